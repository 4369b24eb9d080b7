"""RTCP packets, and the reports of two ends."""

from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.reports import Reports, report_interval
from sip_bridge.media.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RTCPPacket,
    SenderReport,
    SourceDescription,
    format_rtcp,
    is_rtcp,
    parse_rtcp,
)
from sip_bridge.media.rtp import Receiver, RTPPacket, RTPSender

WORDS = st.integers(0, 0xFFFFFFFF)
BLOCKS = st.lists(
    st.builds(
        ReportBlock,
        ssrc=WORDS,
        fraction_lost=st.integers(0, 255),
        lost=st.integers(-0x800000, 0x7FFFFF),
        highest_sequence=WORDS,
        jitter=WORDS,
        last_sr=WORDS,
        delay=WORDS,
    ),
    max_size=4,
).map(tuple)
REPORTS: st.SearchStrategy[RTCPPacket] = st.builds(ReceiverReport, ssrc=WORDS, blocks=BLOCKS) | st.builds(
    SenderReport,
    ssrc=WORDS,
    ntp=st.integers(0, 2**64 - 1),
    rtp_timestamp=WORDS,
    packets=WORDS,
    octets=WORDS,
    blocks=BLOCKS,
)
OTHERS: st.SearchStrategy[RTCPPacket] = st.builds(
    SourceDescription, ssrc=WORDS, cname=st.text("abcdefghij@.ü", max_size=40)
) | st.builds(Goodbye, ssrcs=st.lists(WORDS, max_size=3).map(tuple))
EMPTY_REPORT = format_rtcp((ReceiverReport(ssrc=1),))
SECOND = 1 << 32  # of an NTP timestamp


@given(REPORTS, st.lists(OTHERS, max_size=3))
def test_formatting_and_parsing_are_inverse(report: RTCPPacket, others: list[RTCPPacket]) -> None:
    packets = (report, *others)
    data = format_rtcp(packets)
    assert parse_rtcp(data) == packets
    assert is_rtcp(data)


@given(st.binary(max_size=80), st.sampled_from([b"", EMPTY_REPORT, b"\x81\xc8\x00\x01", b"\xa0\xc9\x00\x01"]))
def test_no_bytes_break_the_parser(data: bytes, begin: bytes) -> None:
    assert len(parse_rtcp(begin + data)) <= 16


def test_rtp_is_no_rtcp() -> None:
    assert [is_rtcp(data) for data in (b"", b"\x80\x00", b"\x80\x80", b"\x80\xe5")] == [False] * 4


def test_padding_and_unknown_types_are_passed_over() -> None:
    application = b"\x80\xcc\x00\x02" + b"\0\0\0\x01" + b"name"
    padded_goodbye = b"\xa1\xcb\x00\x02" + b"\0\0\0\x09" + b"\0\0\0\x04"
    assert parse_rtcp(EMPTY_REPORT + application + padded_goodbye) == (ReceiverReport(ssrc=1), Goodbye(ssrcs=(9,)))


def test_malformed_compounds_are_refused_whole() -> None:
    goodbye = format_rtcp((Goodbye(ssrcs=(1,)),))
    broken = (
        goodbye,  # does not begin with a report
        EMPTY_REPORT + b"\x80",  # less than a header
        EMPTY_REPORT + b"\x81\xcb\x00\x05",  # longer than what came
        EMPTY_REPORT + b"\x41\xcb\x00\x00",  # another version
        EMPTY_REPORT + b"\xa0\xcb\x00\x00",  # padding without room
        EMPTY_REPORT + b"\xa0\xcb\x00\x01\0\0\0\x05",  # padding that is longer than the packet
        EMPTY_REPORT + b"\xa0\xcb\x00\x01\0\0\0\x00",  # padding of nothing
    )
    assert [parse_rtcp(data) for data in broken] == [()] * 7


def test_packets_shorter_than_they_claim_and_nameless_sources_are_passed_over() -> None:
    short = (
        b"\x81\xc8\x00\x06" + bytes(24),  # SR without its block
        b"\x81\xc9\x00\x01" + bytes(4),  # RR without its block
        b"\x82\xcb\x00\x01" + bytes(4),  # BYE of two sources with one
        b"\x80\xca\x00\x00",  # SDES of nobody
        b"\x81\xca\x00\x00",  # SDES without a source
        b"\x81\xca\x00\x03" + bytes(4) + b"\x02\x02Al" + b"\0\0\0\0",  # SDES with a name, but no canonical one
        b"\x81\xca\x00\x02" + bytes(4) + b"\x01\x09Al",  # SDES whose name goes on behind the end
    )
    assert [parse_rtcp(EMPTY_REPORT + data) for data in short] == [(ReceiverReport(ssrc=1),)] * 7


def test_a_compound_of_many_packets_is_read_up_to_the_limit() -> None:
    assert len(parse_rtcp(EMPTY_REPORT * 40)) == 16


def end(ssrc: int) -> tuple[Reports, RTPSender, Receiver]:
    sender, receiver = RTPSender(ssrc=ssrc, sequence=0, timestamp=8000), Receiver()
    return Reports(cname=f"end {ssrc}", sender=sender, receiver=receiver), sender, receiver


def test_an_end_that_sent_and_heard_nothing_says_so() -> None:
    reports, _, _ = end(1)
    assert parse_rtcp(reports.report(SECOND)) == (ReceiverReport(ssrc=1), SourceDescription(ssrc=1, cname="end 1"))


def test_a_report_tells_what_was_sent_and_what_was_lost_since_the_last_one() -> None:
    reports, sender, receiver = end(1)
    sender.audio(0, b"abcd", timestamp=8000)
    blocks: list[ReportBlock] = []
    for sequences in ((1, 2, 3, 4), (7, 8), (9, 10)):
        for sequence in sequences:
            receiver.receive(
                RTPPacket(payload_type=0, sequence=sequence, timestamp=0, ssrc=2, payload=b""), 0.0, clock_rate=8000
            )
        report = parse_rtcp(reports.report(3 * SECOND))[0]
        assert isinstance(report, SenderReport)
        assert (report.ntp, report.rtp_timestamp, report.packets, report.octets) == (3 * SECOND, 8000, 1, 4)
        blocks += report.blocks
    assert blocks == [
        ReportBlock(ssrc=2, fraction_lost=0, lost=0, highest_sequence=4, jitter=0),
        ReportBlock(ssrc=2, fraction_lost=128, lost=2, highest_sequence=8, jitter=0),
        ReportBlock(ssrc=2, fraction_lost=0, lost=2, highest_sequence=10, jitter=0),
    ]


def test_two_ends_measure_the_round_trip() -> None:
    (near, near_sender, near_receiver), (far, far_sender, far_receiver) = end(1), end(2)
    for sender, receiver in ((near_sender, far_receiver), (far_sender, near_receiver)):
        packet = RTPPacket.parse(sender.audio(0, b"x", timestamp=0))
        assert packet is not None
        receiver.receive(packet, 0.0, clock_rate=8000)
    assert far.receive(near.report(10 * SECOND), 10 * SECOND + SECOND // 20) is True
    assert near.receive(far.report(12 * SECOND), 12 * SECOND + SECOND // 20) is True
    assert near.round_trip is not None
    assert abs(near.round_trip - 0.1) < 0.001
    assert far.round_trip is None


def test_figures_that_give_a_negative_round_trip_are_not_believed() -> None:
    reports, _, _ = end(1)
    block = ReportBlock(ssrc=1, fraction_lost=0, lost=0, highest_sequence=0, jitter=0, last_sr=5 << 16, delay=9 << 16)
    assert reports.receive(format_rtcp((ReceiverReport(ssrc=2, blocks=(block,)),)), 10 * SECOND) is True
    assert reports.round_trip is None


def test_reports_about_others_and_garbage_measure_nothing() -> None:
    reports, _, _ = end(1)
    block = ReportBlock(ssrc=7, fraction_lost=0, lost=0, highest_sequence=0, jitter=0, last_sr=1, delay=1)
    assert reports.receive(format_rtcp((ReceiverReport(ssrc=2, blocks=(block,)),)), SECOND) is True
    assert reports.receive(b"garbage", SECOND) is False
    assert reports.round_trip is None


def test_a_goodbye_is_heard() -> None:
    (near, _, _), (far, _, _) = end(1), end(2)
    assert far.receive(near.goodbye(SECOND), SECOND) is True
    assert (near.peer_left, far.peer_left) == (False, True)


def test_reports_come_at_random_every_two_to_six_seconds_and_the_first_one_sooner() -> None:
    first = [round(report_interval(chance, is_first=True), 2) for chance in (0.0, 0.5, 1.0)]
    later = [round(report_interval(chance, is_first=False), 2) for chance in (0.0, 0.5, 1.0)]
    assert (first, later) == ([1.03, 2.05, 3.08], [2.05, 4.1, 6.16])


def test_what_the_peer_says_of_our_stream_is_kept() -> None:
    reports, _, _ = end(1)
    blocks = [
        ReportBlock(ssrc=ssrc, fraction_lost=9, lost=lost, highest_sequence=0, jitter=80)
        for ssrc, lost in ((7, 100), (1, 5))
    ]
    assert reports.heard_by_peer is None
    assert reports.receive(format_rtcp((ReceiverReport(ssrc=2, blocks=tuple(blocks)),)), SECOND) is True
    assert reports.heard_by_peer == blocks[1]


def test_another_source_begins_another_count_in_the_reports() -> None:
    reports, sender, receiver = end(1)
    sender.audio(0, b"abcd", timestamp=8000)
    blocks: list[ReportBlock] = []
    for ssrc, sequences in ((2, (1, 2, 4, 5)), (3, (70, 71, 72, 73))):
        for sequence in sequences:
            packet = RTPPacket(payload_type=0, sequence=sequence, timestamp=0, ssrc=ssrc, payload=b"")
            receiver.receive(packet, 0.0, clock_rate=8000)
        report = parse_rtcp(reports.report(3 * SECOND))[0]
        assert isinstance(report, SenderReport)
        blocks += report.blocks
    assert blocks == [
        ReportBlock(ssrc=2, fraction_lost=51, lost=1, highest_sequence=5, jitter=0),
        ReportBlock(ssrc=3, fraction_lost=0, lost=0, highest_sequence=73, jitter=0),
    ]


def test_extended_reports_and_feedback_are_passed_over() -> None:
    extended = b"\x80\xcf\x00\x03" + b"\0\0\0\x01" + b"\x07\0\0\x01" + bytes(4)
    feedback = b"\x81\xcd\x00\x02" + bytes(8)
    picture = b"\x81\xce\x00\x02" + bytes(8)
    assert parse_rtcp(EMPTY_REPORT + extended + feedback + picture) == (ReceiverReport(ssrc=1),)
