"""DTMF as RTP events (RFC 4733): sending key presses, and receiving each one once."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import LocalProtocolError
from sip_bridge.media.rtp import RTPPacket

KEYS: Final = "0123456789*#ABCD"
PAUSE: Final = ","
PAUSE_SECONDS: Final = 0.5
MAX_DIGITS: Final = 128
_EVENT: Final = struct.Struct("!BBH")
_END: Final = 0x80
_LONGEST: Final = 0xFFFF  # what a duration can say
_OLDEST: Final = 80000  # clock units: an older timestamp is no late packet, but a sender that began anew
_VOLUME: Final = 10  # -10 dBm0
_END_PACKETS: Final = 3  # RFC 4733 §2.5.1.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One key; ``duration`` in clock units."""

    digit: str
    duration: int


class DTMFReceiver:
    """A press counts once: its packets share a timestamp, whether or not the first or the last ones got lost."""

    def __init__(self) -> None:
        self._ssrc: int | None = None
        self._event = 0
        self._timestamp = 0
        self._duration = 0

    def receive(self, packet: RTPPacket) -> Press | None:
        """The press that this packet is the first to tell of; its duration is what is known so far."""
        if len(packet.payload) < _EVENT.size:
            return None
        event, _, duration = _EVENT.unpack_from(packet.payload)
        if event >= len(KEYS):
            return None
        is_new = self._is_new(packet, event)
        if is_new is None:
            return None
        self._ssrc, self._event = packet.ssrc, event
        self._timestamp, self._duration = packet.timestamp, duration
        return Press(digit=KEYS[event], duration=duration) if is_new else None

    def _is_new(self, packet: RTPPacket, event: int) -> bool | None:
        """None when the packet belongs to the newest press or to one before it, False when it prolongs the newest.

        A press longer than the duration can say goes on as a new segment, just where the old one ended
        (RFC 4733 §2.5.1.3).
        """
        if packet.ssrc != self._ssrc:
            return True
        step = (packet.timestamp - self._timestamp) & 0xFFFFFFFF
        if step == 0:
            self._duration = max(self._duration, _EVENT.unpack_from(packet.payload)[2])
            return None
        if step > 0xFFFFFFFF - _OLDEST:
            return None
        return not (event == self._event and self._duration == step == _LONGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFrame:
    """One frame's event packets: ``payloads`` are sent at once; ``starts`` marks a new press, None is a gap."""

    payloads: tuple[bytes, ...]
    starts: bool = False


def event_frames(digits: str, *, duration: int, gap: int, frame: int) -> Iterator[EventFrame]:
    """A frame at a time, what to send for a sequence of keys; ``duration``, ``gap`` and ``frame`` in clock units.

    A frame without payloads is the gap between two presses.
    """
    for digit in digits:
        if digit == PAUSE:
            yield from (EventFrame(payloads=()) for _ in range(25))
            continue
        event = KEYS.index(digit)
        for elapsed in range(frame, duration, frame):
            payload = _EVENT.pack(event, _VOLUME, min(elapsed, _LONGEST))
            yield EventFrame(payloads=(payload,), starts=elapsed == frame)
        last = _EVENT.pack(event, _END | _VOLUME, min(duration, _LONGEST))
        yield EventFrame(payloads=(last,) * _END_PACKETS, starts=duration <= frame)
        yield from (EventFrame(payloads=()) for _ in range(max(gap // frame, 1)))


def check_digits(text: str) -> str:
    """Keys in capitals; LocalProtocolError names what is none."""
    digits = text.upper().replace(" ", "")
    if not digits or len(digits) > MAX_DIGITS or any(c not in KEYS and c != PAUSE for c in digits):
        raise LocalProtocolError(f"digits: expected 1 to {MAX_DIGITS} of {KEYS} and {PAUSE!r} for a pause")
    return digits
