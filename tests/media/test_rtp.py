"""RTP packets, a sender's numbers and a receiver's counts."""

from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.rtp import Receiver, RTPPacket, RTPSender

PACKETS = st.builds(
    RTPPacket,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=200),
    marker=st.booleans(),
)
PLAIN = RTPPacket(payload_type=8, sequence=7, timestamp=1600, ssrc=42, payload=b"sound")
HEADER = PLAIN.format()[:12]


def numbered(sequence: int, *, timestamp: int | None = None, ssrc: int = 42) -> RTPPacket:
    return RTPPacket(
        payload_type=0,
        sequence=sequence & 0xFFFF,
        timestamp=(160 * sequence if timestamp is None else timestamp) & 0xFFFFFFFF,
        ssrc=ssrc,
        payload=b"x",
    )


def receiver_of(*sequences: int) -> Receiver:
    receiver = Receiver(8000)
    for i, sequence in enumerate(sequences):
        receiver.receive(numbered(sequence), i * 0.02)
    return receiver


@given(PACKETS)
def test_formatting_and_parsing_are_inverse(packet: RTPPacket) -> None:
    assert RTPPacket.parse(packet.format()) == packet


@given(st.binary(max_size=64))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    packet = RTPPacket.parse(data)
    assert packet is None or len(packet.payload) <= len(data) - 12


def test_contributing_sources_extension_and_padding_are_taken_off() -> None:
    first = HEADER[0] | 0x20 | 0x10 | 2
    data = bytes([first]) + HEADER[1:] + b"CSR1CSR2" + b"\xbe\xde\x00\x01" + b"ext." + b"sound" + b"\0\0\x03"
    assert RTPPacket.parse(data) == PLAIN


def test_what_is_no_rtp_is_none() -> None:
    no_version = bytes([HEADER[0] & 0x3F]) + HEADER[1:]
    no_extension = bytes([HEADER[0] | 0x10]) + HEADER[1:] + b"\0\0"
    long_extension = bytes([HEADER[0] | 0x10]) + HEADER[1:] + b"\0\0\0\x09"
    padded_too_far = bytes([HEADER[0] | 0x20]) + HEADER[1:] + b"\x09"
    padded_by_nothing = bytes([HEADER[0] | 0x20]) + HEADER[1:] + b"ab\0"
    broken = (b"", HEADER[:11], no_version, no_extension, long_extension, padded_too_far, padded_by_nothing)
    assert [RTPPacket.parse(data) for data in broken] == [None] * 7


def test_a_sender_numbers_over_the_wrap_and_marks_the_start_of_a_talkspurt() -> None:
    sender = RTPSender(ssrc=5, sequence=0xFFFF, timestamp=0xFFFFFF60)
    sent = []
    for _ in range(2):
        sent.append(sender.audio(0, b"abc", timestamp=sender.timestamp))
        sender.advance(160)
    sender.pause()
    sent.append(sender.audio(0, b"abc", timestamp=sender.timestamp))
    assert [RTPPacket.parse(data) for data in sent] == [
        RTPPacket(payload_type=0, sequence=0xFFFF, timestamp=0xFFFFFF60, ssrc=5, payload=b"abc", marker=True),
        RTPPacket(payload_type=0, sequence=0, timestamp=0, ssrc=5, payload=b"abc"),
        RTPPacket(payload_type=0, sequence=1, timestamp=160, ssrc=5, payload=b"abc", marker=True),
    ]
    assert (sender.packets, sender.octets) == (3, 9)


def test_a_receiver_that_heard_nothing_counts_nothing() -> None:
    receiver = receiver_of()
    assert (receiver.received, receiver.expected, receiver.lost, receiver.duplicates) == (0, 0, 0, 0)


def test_loss_is_counted_over_the_wrap() -> None:
    receiver = receiver_of(0xFFFE, 0xFFFF, 0x10001, 0x10002)
    assert (receiver.received, receiver.expected, receiver.lost) == (4, 5, 1)


def test_a_packet_that_comes_late_is_not_lost() -> None:
    assert receiver_of(1, 2, 4, 3, 5).lost == 0


def test_duplicates_are_told_and_do_not_hide_a_loss() -> None:
    receiver = Receiver(8000)
    fresh = [receiver.receive(numbered(sequence), 0.0) for sequence in (1, 2, 2, 4, 1, 4)]
    assert fresh == [True, True, False, True, False, False]
    assert (receiver.lost, receiver.duplicates) == (1, 3)


def test_a_packet_older_than_memory_counts_as_a_duplicate() -> None:
    receiver = receiver_of(1, 601)
    assert receiver.receive(numbered(2), 1.0) is False


def test_another_source_starts_a_new_count_and_keeps_the_losses() -> None:
    receiver = receiver_of(1, 3)
    receiver.receive(numbered(900, ssrc=43), 1.0)
    receiver.receive(numbered(902, ssrc=43), 1.02)
    assert (receiver.ssrc, receiver.lost, receiver.expected) == (43, 2, 3)


def test_a_restarted_sender_is_no_loss_of_thousands() -> None:
    assert receiver_of(1, 2, 40000, 40001).lost == 0


def test_steady_packets_have_no_jitter_not_even_over_the_timestamps_wrap() -> None:
    receiver = Receiver(8000)
    for i in range(100):
        receiver.receive(numbered(i, timestamp=0xFFFFFFFF - 5000 + 160 * i), i * 0.02)
    assert receiver.jitter_ms < 0.001


def test_jitter_approaches_the_mean_difference_of_arrival() -> None:
    receiver = Receiver(8000)
    for i in range(500):
        receiver.receive(numbered(i), i * 0.02 + i % 2 * 0.010)
    assert 9.9 < receiver.jitter_ms < 10.1
