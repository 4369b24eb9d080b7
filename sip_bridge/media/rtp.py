"""RTP packets (RFC 3550 §5.1) and what a receiver counts (§6.4.1, appendix A)."""

import struct
from dataclasses import dataclass
from typing import Final

_HEADER: Final = struct.Struct("!BBHII")
_VERSION: Final = 0x80
_MAX_DROPOUT: Final = 3000  # a larger step of the sequence number is a restarted sender (appendix A.1)


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
        if len(data) < _HEADER.size:
            return None
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first & 0xC0 != _VERSION:
            return None
        start = _HEADER.size + 4 * (first & 0x0F)
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
        return _HEADER.pack(_VERSION, second, self.sequence, self.timestamp, self.ssrc) + self.payload


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptionStatistics:
    """Figures of both directions; ``jitter_ms`` is the interarrival jitter."""

    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    jitter_ms: float = 0.0
    packets_from_elsewhere: int = 0


class Receiver:
    """Counts one stream: loss by sequence numbers over their wrap, and interarrival jitter."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._ssrc: int | None = None
        self._first = 0
        self._highest = 0  # extended over the wrap
        self._transit: float | None = None
        self._lost_before = 0  # by streams that this one replaced
        self._received_now = 0
        self.received = 0
        self.jitter = 0.0  # in clock units

    def receive(self, packet: RTPPacket, now: float) -> bool:
        """Count a packet; False when it is a duplicate or older than the newest, so too late to be heard."""
        self.received += 1
        step = (packet.sequence - self._highest) & 0xFFFF
        if packet.ssrc != self._ssrc or _MAX_DROPOUT < step < 0x10000 - _MAX_DROPOUT:
            self._lost_before = self.lost
            self._ssrc = packet.ssrc
            self._first = self._highest = packet.sequence
            self._received_now = 1
            self._transit = None
        elif 0 < step <= _MAX_DROPOUT:
            self._highest += step
            self._received_now += 1
        else:
            self._received_now += step != 0
            return False
        transit = now * self._clock_rate - packet.timestamp
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit
        return True

    @property
    def lost(self) -> int:
        """Packets that never came."""
        if self._ssrc is None:
            return 0
        return self._lost_before + max(self._highest - self._first + 1 - self._received_now, 0)

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return 1000 * self.jitter / self._clock_rate
