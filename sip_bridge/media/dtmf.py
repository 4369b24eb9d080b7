"""DTMF as RTP events (RFC 4733): the keys, and the packets of their presses. `DTMFReceiver` hears them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import LocalProtocolError
from sip_bridge.media.codec import FRAME_MS

KEYS: Final = "0123456789*#ABCD"
PAUSE: Final = ","
PAUSE_SECONDS: Final = 0.5
MAX_DIGITS: Final = 128
EVENT: Final = struct.Struct("!BBH")  # event code, end bit and volume, duration (RFC 4733 §2.3)
END: Final = 0x80
LONGEST: Final = 0xFFFF  # what a duration can say
_VOLUME: Final = 10  # -10 dBm0
_END_PACKETS: Final = 3  # RFC 4733 §2.5.1.4
_PAUSE_FRAMES: Final = round(PAUSE_SECONDS * 1000 / FRAME_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPacket:
    """The payload of an event packet; its timestamp is ``offset`` clock units after the beginning of the press."""

    payload: bytes
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFrame:
    """What is sent in one frame of a press; without packets it is a gap. ``starts`` marks a new press."""

    packets: tuple[EventPacket, ...] = ()
    starts: bool = False


_GAP: Final = EventFrame()


def event_frames(digits: str, *, duration: int, gap: int, frame: int) -> Iterator[EventFrame]:
    """A frame at a time, what to send for a sequence of keys; ``duration``, ``gap`` and ``frame`` in clock units.

    The last packet of a press is sent three times, a frame apart, so that one burst of loss doesn't take all of them:
    the gap is never shorter than that.
    """
    for digit in digits:
        if digit == PAUSE:
            yield from (_GAP for _ in range(_PAUSE_FRAMES))
        else:
            yield from _press_frames(KEYS.index(digit), duration=duration, frame=frame)
            yield from (_GAP for _ in range(max(gap // frame - _END_PACKETS + 1, 0)))


def _press_frames(event: int, *, duration: int, frame: int) -> Iterator[EventFrame]:
    """A long press is told in segments of LONGEST, each with a timestamp of its own (RFC 4733 §2.5.1.3)."""
    packet = EventPacket(payload=b"")
    for elapsed in (*range(frame, duration, frame), duration):
        begin = (elapsed - 1) // LONGEST * LONGEST  # of the segment
        flags = _VOLUME | (END if elapsed == duration else 0)
        packet = EventPacket(payload=EVENT.pack(event, flags, elapsed - begin), offset=begin)
        told = (elapsed - 1) // frame * frame
        full = EventPacket(payload=EVENT.pack(event, _VOLUME, LONGEST), offset=begin - LONGEST)
        yield EventFrame(packets=(full, packet) if told < begin else (packet,), starts=told == 0)
    yield from (EventFrame(packets=(packet,)) for _ in range(_END_PACKETS - 1))


def check_digits(text: str) -> str:
    """Keys in capitals; LocalProtocolError names what is none."""
    digits = text.upper().replace(" ", "")
    if not digits or len(digits) > MAX_DIGITS or any(c not in KEYS and c != PAUSE for c in digits):
        raise LocalProtocolError(f"digits: expected 1 to {MAX_DIGITS} of {KEYS} and {PAUSE!r} for a pause")
    return digits
