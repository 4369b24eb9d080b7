"""What one stream's two ends tell each other over RTCP: our reports, and the round trip that theirs reveal."""

from typing import assert_never

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
                    self._measure(packet.blocks, ntp)
                case ReceiverReport():
                    self._measure(packet.blocks, ntp)
                case Goodbye():
                    self.peer_left = True
                case SourceDescription():
                    pass
                case _:
                    assert_never(packet)
        return bool(packets)

    def _measure(self, blocks: tuple[ReportBlock, ...], ntp: int) -> None:
        """RFC 3550 §6.4.1: now, less when our report left, less how long the peer kept it."""
        for block in blocks:
            if block.ssrc == self._sender.ssrc and block.last_sr:
                took = (_middle(ntp) - block.last_sr - block.delay) & 0xFFFFFFFF
                if took < 0x80000000:  # a peer's wrong figures give a negative time
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
            lost=min(receiver.lost, 0x7FFFFF),
            highest_sequence=receiver.highest & 0xFFFFFFFF,
            jitter=int(receiver.jitter) & 0xFFFFFFFF,
            last_sr=self._last_sr,
            delay=(_middle(ntp) - _middle(self._last_sr_came)) & 0xFFFFFFFF if self._last_sr else 0,
        )

    def _name(self) -> SourceDescription:
        return SourceDescription(ssrc=self._sender.ssrc, cname=self._cname)


def _middle(ntp: int) -> int:
    return ntp >> 16 & 0xFFFFFFFF
