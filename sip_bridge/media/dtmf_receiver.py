"""Hearing key presses in RTP events (RFC 4733), each one once, whatever gets lost, late or doubled on the way."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from sip_bridge.media.dtmf import END, EVENT, KEYS, LONGEST
from sip_bridge.media.rtp import RTPPacket

MAX_EVENTS: Final = 8  # of one packet (RFC 4733 §2.5.1.5); a person's keys come one at a time
_REMEMBERED: Final = 32  # presses and segments of which a late packet is recognised
_NEARLY_LONGEST: Final = 0xF000  # a duration from which a sender may begin anew at 0 instead of a new segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One key; ``duration`` in clock units is what is known at its first packet."""

    digit: str
    duration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What one packet says about one event."""

    ssrc: int
    sequence: int
    event: int
    timestamp: int
    duration: int
    is_end: bool


class DTMFReceiver:
    """A press counts once: its packets share a timestamp, whether or not the first or the last ones got lost.

    The marker is never looked at: it gets lost, and many senders set it wrongly.
    """

    def __init__(self) -> None:
        self._heard: deque[_Report] = deque(maxlen=_REMEMBERED)  # the newest of each press, the newest press last

    def receive(self, packet: RTPPacket) -> tuple[Press, ...]:
        """The presses that this packet is the first to tell of; events that are no keys are passed over."""
        return tuple(
            Press(digit=KEYS[report.event], duration=report.duration)
            for report in _reports(packet)
            if report.event < len(KEYS) and self._is_new(report)
        )

    def _is_new(self, report: _Report) -> bool:
        for index in reversed(range(len(self._heard))):
            earlier = self._heard[index]
            if report.event == earlier.event and report.ssrc == earlier.ssrc:
                if report.timestamp == earlier.timestamp:
                    if _begins_anew(report, earlier):
                        break
                    self._heard[index] = _newer(report, earlier)
                    return False
                if _goes_on(report, earlier):
                    self._heard.append(report)
                    return False
        self._heard.append(report)
        return True


def _reports(packet: RTPPacket) -> Iterator[_Report]:
    """The events of a packet: each one after the first begins where the one before it ended (RFC 4733 §2.5.1.5)."""
    timestamp = packet.timestamp
    size = min(len(packet.payload) // EVENT.size, MAX_EVENTS) * EVENT.size
    for event, flags, duration in EVENT.iter_unpack(packet.payload[:size]):
        is_end = bool(flags & END)
        yield _Report(
            ssrc=packet.ssrc,
            sequence=packet.sequence,
            event=event,
            timestamp=timestamp,
            duration=duration,
            is_end=is_end,
        )
        if not is_end or duration == 0:
            return  # an event that goes on is the last one: what follows is padding
        timestamp = (timestamp + duration) & 0xFFFFFFFF


def _begins_anew(report: _Report, earlier: _Report) -> bool:
    """Whether a sender that gives every press the same timestamp presses the key again.

    Only a new press is told of later and yet as shorter, or not as over any more.
    """
    is_later = 0 < (report.sequence - earlier.sequence) & 0xFFFF < 0x8000
    is_shorter = report.duration < earlier.duration < _NEARLY_LONGEST
    return is_later and not report.is_end and (earlier.is_end or is_shorter)


def _goes_on(report: _Report, earlier: _Report) -> bool:
    """Whether this is a new segment of a press longer than a duration can say: it begins where the old one ended
    (RFC 4733 §2.5.1.3), whether or not the packet that told of that end got lost.
    """
    step = (report.timestamp - earlier.timestamp) & 0xFFFFFFFF
    return not earlier.is_end and step in (earlier.duration, LONGEST)


def _newer(report: _Report, earlier: _Report) -> _Report:
    """All that two packets tell of one press."""
    is_later = (report.sequence - earlier.sequence) & 0xFFFF < 0x8000
    return replace(
        report if is_later else earlier,
        duration=max(report.duration, earlier.duration),
        is_end=report.is_end or earlier.is_end,
    )
