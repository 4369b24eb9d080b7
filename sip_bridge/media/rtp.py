"""RTP packets (RFC 3550 §5.1), what a sender numbers and what a receiver counts (§6.4.1, appendix A)."""

import struct
from dataclasses import dataclass
from typing import Final

HEADER: Final = struct.Struct("!BBHII")
_VERSION: Final = 0x80
MAX_DROPOUT: Final = 3000  # a larger step of the sequence number ahead is a restarted sender (appendix A.1)
MAX_MISORDER: Final = 100  # and so is a larger one back
_MEMORY: Final = (1 << MAX_MISORDER + 1) - 1
_MAX_STEP: Final = 1.0  # seconds: when arrivals are further from the timestamps, the clock jumped


@dataclass(frozen=True, slots=True, kw_only=True)
class RTPPacket:
    """One packet; ``timestamp`` in units of the codec's clock rate."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    @classmethod
    def parse(cls, data: bytes) -> "RTPPacket | None":
        """A packet without contributing sources, header extension and padding; None when it is no RTP."""
        if len(data) < HEADER.size:
            return None
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        if first & 0xC0 != _VERSION:
            return None
        start = HEADER.size + 4 * (first & 0x0F)
        if first & 0x10:
            if len(data) < start + 4:
                return None
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
        end = len(data)
        if first & 0x20:
            end -= data[-1]
        if start > end or (first & 0x20 and data[-1] == 0):
            return None
        return cls(
            payload_type=second & 0x7F,
            marker=bool(second & 0x80),
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=data[start:end],
        )

    def format(self) -> bytes:
        """The inverse of `parse`."""
        second = self.payload_type | (0x80 if self.marker else 0)
        return HEADER.pack(_VERSION, second, self.sequence, self.timestamp, self.ssrc) + self.payload


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptionStatistics:
    """Figures of both directions. What is None has not been measured.

    ``jitter_ms`` is interarrival jitter, ``delay_ms`` what packets waited in the jitter buffer, ``rating`` and ``mos``
    are the E-model's; ``remote_lost`` and ``remote_jitter_ms`` are how the peer says that it received us.
    """

    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    packets_duplicated: int = 0
    packets_from_elsewhere: int = 0
    jitter_ms: float = 0.0
    delay_ms: float = 0.0
    round_trip_ms: float | None = None
    rating: float | None = None
    mos: float | None = None
    remote_lost: int | None = None
    remote_jitter_ms: float | None = None


class RTPSender:
    """Numbers one outgoing stream. Its first values are random (RFC 3550 §5.1), so they are arguments."""

    def __init__(self, *, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.timestamp = timestamp  # of the packet that is sent next
        self._sequence = sequence
        self._is_talkspurt_start = True
        self.packets = 0
        self.octets = 0  # of payload

    def audio(self, payload_type: int, payload: bytes, *, timestamp: int) -> bytes:
        """A packet of sound; the first one after `pause` carries the marker (RFC 3551 §4.1)."""
        marker, self._is_talkspurt_start = self._is_talkspurt_start, False
        return self.packet(payload_type, payload, timestamp=timestamp, marker=marker)

    def packet(self, payload_type: int, payload: bytes, *, timestamp: int, marker: bool) -> bytes:
        """The next packet's bytes."""
        second = payload_type | (0x80 if marker else 0)
        header = HEADER.pack(_VERSION, second, self._sequence, timestamp & 0xFFFFFFFF, self.ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return header + payload

    def advance(self, units: int) -> None:
        """Time went on by that many units of the clock, whether or not anything was sent."""
        self.timestamp = (self.timestamp + units) & 0xFFFFFFFF

    def pause(self) -> None:
        """Nothing is sent for a while: the next sound begins a talkspurt."""
        self._is_talkspurt_start = True


class Receiver:
    """Counts one stream: loss by sequence numbers over their wrap, duplicates, and interarrival jitter.

    It starts with the first packet. Another source, or a jump of the sequence number, is followed when two of its
    packets came with none of the present one in between (after RFC 3550 A.1): a straggler changes nothing.
    """

    def __init__(self) -> None:
        self._first = 0
        self._seen = 0  # bit n: the packet n behind the newest came
        self._fresh = 0  # of the present source, since its first one
        self._expected_before = 0  # of sources that this one replaced
        self._lost_before = 0
        self._probation: RTPPacket | None = None
        self._arrival: tuple[float, int, int] | None = None  # of the last packet: when, its timestamp, its clock rate
        self._jitter = 0.0  # seconds
        self.ssrc: int | None = None
        self.highest = 0  # sequence number, extended over the wrap
        self.received = 0
        self.duplicates = 0
        self.loss_runs = 0  # how often packets were missing, however many each time

    def receive(self, packet: RTPPacket, now: float, *, clock_rate: int | None) -> tuple[RTPPacket, ...]:
        """Count a packet; what is to be heard now: nothing of a duplicate, two packets of a source that is new.

        ``clock_rate`` is None where the timestamp does not tell when the packet was sent: of an RTP event.
        """
        self.received += 1
        ahead = (packet.sequence - self.highest) & 0xFFFF
        behind = -ahead & 0xFFFF
        if self.ssrc is None:
            self._start(packet)
        elif packet.ssrc != self.ssrc or (ahead >= MAX_DROPOUT and behind >= MAX_MISORDER):
            return self._try(packet)
        elif 0 < ahead < MAX_DROPOUT:
            self._advance(ahead)
        elif self._seen >> behind & 1:
            self.duplicates += 1
            return ()
        else:
            self._fill(behind)
        self._probation = None
        self._measure(packet, now, clock_rate)
        return (packet,)

    def _start(self, packet: RTPPacket) -> None:
        self._expected_before, self._lost_before = self.expected, self.lost
        self.ssrc = packet.ssrc
        self._first = self.highest = packet.sequence
        self._seen = self._fresh = 1
        self._arrival = None

    def _try(self, packet: RTPPacket) -> tuple[RTPPacket, ...]:
        held, self._probation = self._probation, packet
        if held is None or held.ssrc != packet.ssrc:
            return ()
        step = (packet.sequence - held.sequence + 0x8000) % 0x10000 - 0x8000  # over the wrap
        if not 0 < abs(step) < MAX_MISORDER:
            return ()
        earlier, later = (held, packet) if step > 0 else (packet, held)
        self._start(earlier)
        self._advance(abs(step))
        self._probation = None
        return earlier, later

    def _advance(self, ahead: int) -> None:
        self.highest += ahead
        self._seen = (self._seen << ahead | 1) & _MEMORY
        self._fresh += 1
        if ahead > 1:
            self.loss_runs += 1

    def _fill(self, behind: int) -> None:
        """A packet that was taken for lost: its run of losses gets shorter, is over, or falls apart into two."""
        newer, older = self._seen >> (behind - 1) & 1, self._seen >> (behind + 1) & 1
        self._seen |= 1 << behind
        if self.highest - behind > self._first:  # those that the first packet overtook were never expected
            self._fresh += 1
            self.loss_runs += 1 - newer - older

    def _measure(self, packet: RTPPacket, now: float, clock_rate: int | None) -> None:
        if clock_rate is None:
            return
        before, self._arrival = self._arrival, (now, packet.timestamp, clock_rate)
        if before is None or before[2] != clock_rate:
            return
        sent_apart = signed32(packet.timestamp - before[1]) / clock_rate
        step = abs(now - before[0] - sent_apart)
        if step < _MAX_STEP:
            self._jitter += (step - self._jitter) / 16

    @property
    def expected(self) -> int:
        """How many packets were sent to us, as far as can be seen."""
        return self._expected_before + (0 if self.ssrc is None else self.highest - self._first + 1)

    @property
    def lost(self) -> int:
        """How many of them never came."""
        return self.expected - self._expected_before - self._fresh + self._lost_before

    @property
    def source_lost(self) -> int:
        """How many packets of the present source never came."""
        return self.lost - self._lost_before

    @property
    def jitter(self) -> int:
        """Interarrival jitter (§6.4.1) in units of the clock of the packet that came last."""
        return 0 if self._arrival is None else int(self._jitter * self._arrival[2])

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return 1000 * self._jitter


def signed32(difference: int) -> int:
    """The difference of two timestamps, over their wrap."""
    return (difference + 0x80000000) % 0x100000000 - 0x80000000
