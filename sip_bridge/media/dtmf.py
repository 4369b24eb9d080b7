"""DTMF as RTP events (RFC 4733): sending key presses, and receiving each one once."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import LocalProtocolError
from sip_bridge.media.rtp import RTPPacket

KEYS: Final = "0123456789*#ABCD"
PAUSE: Final = ","  # half a second
MAX_DIGITS: Final = 128
_EVENT: Final = struct.Struct("!BBH")
_END: Final = 0x80
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
        self._last: tuple[int, int] | None = None

    def receive(self, packet: RTPPacket) -> Press | None:
        """The press that this packet is the first to tell of; its duration is what is known so far."""
        if len(packet.payload) < _EVENT.size:
            return None
        event, _, duration = _EVENT.unpack_from(packet.payload)
        if event >= len(KEYS) or self._last == (packet.ssrc, packet.timestamp):
            return None
        self._last = (packet.ssrc, packet.timestamp)
        return Press(digit=KEYS[event], duration=duration)


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
            payload = _EVENT.pack(event, _VOLUME, min(elapsed, 0xFFFF))
            yield EventFrame(payloads=(payload,), starts=elapsed == frame)
        last = _EVENT.pack(event, _END | _VOLUME, min(duration, 0xFFFF))
        yield EventFrame(payloads=(last,) * _END_PACKETS, starts=duration <= frame)
        yield from (EventFrame(payloads=()) for _ in range(max(gap // frame, 1)))


def check_digits(text: str) -> str:
    """Keys in capitals; LocalProtocolError names what is none."""
    digits = text.upper().replace(" ", "")
    if not digits or len(digits) > MAX_DIGITS or any(c not in KEYS and c != PAUSE for c in digits):
        raise LocalProtocolError(f"digits: expected 1 to {MAX_DIGITS} of {KEYS} and {PAUSE!r} for a pause")
    return digits
