"""RTP packets (RFC 3550 §5.1), what a sender numbers and what a receiver counts (§6.4.1, appendix A)."""

import struct
from dataclasses import dataclass
from typing import Final

HEADER: Final = struct.Struct("!BBHII")
_VERSION: Final = 0x80
_MAX_DROPOUT: Final = 3000  # a larger step of the sequence number is a restarted sender (appendix A.1)
_REMEMBERED: Final = 512  # sequence numbers behind the newest among which a duplicate is recognised


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
    """Figures of both directions; ``jitter_ms`` is interarrival jitter, ``round_trip_ms`` is None until RTCP tells."""

    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    jitter_ms: float = 0.0
    packets_from_elsewhere: int = 0
    packets_duplicated: int = 0
    round_trip_ms: float | None = None


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
    """Counts one stream: loss by sequence numbers over their wrap, duplicates, and interarrival jitter."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._first = 0
        self._seen = 0  # bit n: the packet n behind the newest came
        self._transit: float | None = None
        self._lost_before = 0  # by streams that this one replaced
        self._received_now = 0
        self.ssrc: int | None = None
        self.highest = 0  # sequence number, extended over the wrap
        self.received = 0
        self.duplicates = 0
        self.jitter = 0.0  # in clock units

    def receive(self, packet: RTPPacket, now: float) -> bool:
        """Count a packet; False when it came before."""
        self.received += 1
        ahead = (packet.sequence - self.highest) & 0xFFFF
        behind = -ahead & 0xFFFF
        if packet.ssrc != self.ssrc or min(ahead, behind) > _MAX_DROPOUT:
            self._restart(packet)
        elif 0 < ahead <= _MAX_DROPOUT:
            self.highest += ahead
            self._seen = (self._seen << ahead | 1) & ((1 << _REMEMBERED) - 1)
        elif self._seen >> behind & 1 or behind >= _REMEMBERED:
            self.duplicates += 1
            return False
        else:
            self._seen |= 1 << behind
        self._received_now += 1
        transit = now * self._clock_rate - packet.timestamp
        if self._transit is not None:
            # The difference is taken over the timestamp's wrap, as a signed 32-bit number.
            step = (transit - self._transit + 0x80000000) % 0x100000000 - 0x80000000
            self.jitter += (abs(step) - self.jitter) / 16
        self._transit = transit
        return True

    def _restart(self, packet: RTPPacket) -> None:
        self._lost_before = self.lost
        self.ssrc = packet.ssrc
        self._first = self.highest = packet.sequence
        self._seen = 1
        self._received_now = 0
        self._transit = None

    @property
    def expected(self) -> int:
        """How many packets the sender of now has sent, as far as can be seen."""
        return 0 if self.ssrc is None else self.highest - self._first + 1

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return self._lost_before + max(self.expected - self._received_now, 0)

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return 1000 * self.jitter / self._clock_rate
