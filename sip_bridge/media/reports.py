"""What one stream's two ends tell each other over RTCP: our reports, and the round trip that theirs reveal."""

from typing import Final, assert_never

from sip_bridge.media.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RTCPPacket,
    SenderReport,
    SourceDescription,
    format_rtcp,
    parse_rtcp,
)
from sip_bridge.media.rtp import Receiver, RTPSender

_MIN_INTERVAL: Final = 5.0  # seconds (RFC 3550 §6.2)
_MAX_ROUND_TRIP: Final = 60 << 16  # in 1/65536 s
_COMPENSATION: Final = 1.21828  # e - 3/2 (§6.3.1)


def report_interval(chance: float, *, is_first: bool) -> float:
    """Seconds until the next report; ``chance`` is random, 0.0 to 1.0 (RFC 3550 §6.3.1).

    A call has two members, whose reports need less than their share of the bandwidth: the minimum interval rules.
    """
    return (_MIN_INTERVAL / 2 if is_first else _MIN_INTERVAL) * (0.5 + chance) / _COMPENSATION


class Reports:
    """Writes and reads the reports of one call. ``ntp`` is a 64-bit NTP timestamp everywhere."""

    def __init__(self, *, cname: str, sender: RTPSender, receiver: Receiver) -> None:
        self._cname = cname
        self._sender = sender
        self._receiver = receiver
        self._expected_before = 0
        self._lost_before = 0
        self._last_sr = 0  # the middle 32 bits of the peer's last report's time
        self._last_sr_came = 0
        self.round_trip: float | None = None  # seconds
        self.heard_by_peer: ReportBlock | None = None  # how the peer receives us, as it told last
        self.peer_left = False

    def report(self, ntp: int) -> bytes:
        """A compound packet for the peer: what we sent, how we receive, our name."""
        return format_rtcp((self._report(ntp), self._name()))

    def goodbye(self, ntp: int) -> bytes:
        """The last one."""
        return format_rtcp((self._report(ntp), self._name(), Goodbye(ssrcs=(self._sender.ssrc,))))

    def receive(self, data: bytes, ntp: int) -> bool:
        """Take the peer's; False when it is no RTCP."""
        packets = parse_rtcp(data)
        for packet in packets:
            match packet:
                case SenderReport():
                    self._last_sr, self._last_sr_came = _middle(packet.ntp), ntp
                    self._keep(packet.blocks, ntp)
                case ReceiverReport():
                    self._keep(packet.blocks, ntp)
                case Goodbye():
                    self.peer_left = True
                case SourceDescription():
                    pass
                case _:
                    assert_never(packet)
        return bool(packets)

    def _keep(self, blocks: tuple[ReportBlock, ...], ntp: int) -> None:
        for block in blocks:
            if block.ssrc == self._sender.ssrc:
                self.heard_by_peer = block
                self._measure(block, ntp)

    def _measure(self, block: ReportBlock, ntp: int) -> None:
        """RFC 3550 §6.4.1: now, less when our report left, less how long the peer kept it."""
        took = (_middle(ntp) - block.last_sr - block.delay) & 0xFFFFFFFF
        if block.last_sr and took < _MAX_ROUND_TRIP:  # a peer's wrong figures give a negative time, or hours
            self.round_trip = took / 65536

    def _report(self, ntp: int) -> RTCPPacket:
        blocks = (self._block(ntp),) if self._receiver.ssrc is not None else ()
        if not self._sender.packets:
            return ReceiverReport(ssrc=self._sender.ssrc, blocks=blocks)
        return SenderReport(
            ssrc=self._sender.ssrc,
            ntp=ntp,
            rtp_timestamp=self._sender.timestamp,
            packets=self._sender.packets & 0xFFFFFFFF,
            octets=self._sender.octets & 0xFFFFFFFF,
            blocks=blocks,
        )

    def _block(self, ntp: int) -> ReportBlock:
        """How we receive; the fraction is of what was expected since the last report (appendix A.3)."""
        receiver = self._receiver
        expected = receiver.expected - self._expected_before
        lost = receiver.lost - self._lost_before
        self._expected_before, self._lost_before = receiver.expected, receiver.lost
        return ReportBlock(
            ssrc=receiver.ssrc or 0,
            fraction_lost=min(lost * 256 // expected, 255) if expected > 0 and lost > 0 else 0,
            lost=min(receiver.source_lost, 0x7FFFFF),
            highest_sequence=receiver.highest & 0xFFFFFFFF,
            jitter=receiver.jitter,
            last_sr=self._last_sr,
            delay=(_middle(ntp) - _middle(self._last_sr_came)) & 0xFFFFFFFF if self._last_sr else 0,
        )

    def _name(self) -> SourceDescription:
        return SourceDescription(ssrc=self._sender.ssrc, cname=self._cname)


def _middle(ntp: int) -> int:
    return ntp >> 16 & 0xFFFFFFFF
