"""RTP packets, a sender's numbers and a receiver's counts."""

from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.rtp import MAX_DROPOUT, Receiver, RTPPacket, RTPSender

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
    receiver = Receiver()
    for i, sequence in enumerate(sequences):
        receiver.receive(numbered(sequence), i * 0.02, clock_rate=8000)
    return receiver


def fresh(receiver: Receiver, *packets: RTPPacket) -> list[list[int]]:
    """The sequence numbers of what is to be heard after each packet."""
    return [[each.sequence for each in receiver.receive(packet, 0.0, clock_rate=8000)] for packet in packets]


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


def test_what_the_first_packet_overtook_is_heard_and_hides_no_loss() -> None:
    receiver = Receiver()
    assert fresh(receiver, *map(numbered, (10, 9, 8, 12))) == [[10], [9], [8], [12]]
    assert (receiver.expected, receiver.lost) == (3, 1)


def test_duplicates_are_told_and_do_not_hide_a_loss() -> None:
    receiver = Receiver()
    assert fresh(receiver, *map(numbered, (1, 2, 2, 4, 1, 4))) == [[1], [2], [], [4], [], []]
    assert (receiver.lost, receiver.duplicates) == (1, 3)


def test_a_packet_older_than_any_disorder_is_not_heard() -> None:
    receiver = receiver_of(1, 601)
    assert fresh(receiver, numbered(2)) == [[]]


def test_runs_of_losses_are_counted_whatever_order_fills_them() -> None:
    runs = [receiver_of(*sequences).loss_runs for sequences in ((1, 6), (1, 6, 3), (1, 6, 5), (1, 6, 2, 3, 4, 5))]
    assert runs == [1, 2, 1, 0]
    assert receiver_of(1, 3, 6, 7, 9).loss_runs == 3


def test_another_source_is_followed_at_its_second_packet_and_the_losses_are_kept() -> None:
    receiver = receiver_of(1, 3)
    assert fresh(receiver, *(numbered(n, ssrc=43) for n in (900, 901, 903))) == [[], [900, 901], [903]]
    assert (receiver.ssrc, receiver.lost, receiver.source_lost, receiver.expected) == (43, 2, 1, 7)


def test_the_first_two_packets_of_another_source_may_change_places() -> None:
    receiver = receiver_of(1)
    assert fresh(receiver, numbered(0x10000, ssrc=43), numbered(0xFFFF, ssrc=43)) == [[], [0xFFFF, 0]]
    assert (receiver.highest, receiver.lost) == (0x10000, 0)


def test_stragglers_of_a_source_that_left_do_not_bring_it_back() -> None:
    receiver = receiver_of(1)
    packets = (numbered(n, ssrc=42 if n < 500 else 43) for n in (500, 501, 2, 502, 3, 503, 4))
    assert fresh(receiver, *packets) == [[], [500, 501], [], [502], [], [503], []]
    assert receiver.ssrc == 43


def test_two_strays_that_lie_far_apart_are_no_source() -> None:
    receiver = receiver_of(1)
    strays = (numbered(100, ssrc=7), numbered(300, ssrc=7), numbered(300, ssrc=7), numbered(301, ssrc=8))
    assert fresh(receiver, *strays, numbered(2)) == [[], [], [], [], [2]]


def test_a_restarted_sender_is_followed_and_is_no_loss_of_thousands() -> None:
    receiver = receiver_of(1, 2)
    assert fresh(receiver, *map(numbered, (40000, 40001, 40002))) == [[], [40000, 40001], [40002]]
    assert (receiver.lost, receiver.expected) == (0, 5)


def test_a_gap_of_nearly_the_largest_dropout_is_a_loss() -> None:
    assert receiver_of(1, MAX_DROPOUT).lost == MAX_DROPOUT - 2


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 0xFFFF))
def test_what_was_lost_is_what_never_came(offsets: list[int], first: int) -> None:
    sequences = [first, *(first + offset for offset in offsets)]
    came = {sequence - first for sequence in sequences}
    missing = set(range(max(came))) - came
    receiver = receiver_of(*sequences)
    assert (receiver.lost, receiver.duplicates) == (len(missing), len(sequences) - len(came))
    assert receiver.loss_runs == sum(n - 1 not in missing for n in missing)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(1, 3)), max_size=60))
def test_no_stream_breaks_the_counts(packets: list[tuple[int, int]]) -> None:
    receiver = Receiver()
    heard = fresh(receiver, *(numbered(sequence, ssrc=ssrc) for sequence, ssrc in packets))
    assert receiver.received == len(packets)
    assert sum(map(len, heard)) + receiver.duplicates <= len(packets)
    assert 0 <= receiver.source_lost <= receiver.lost <= receiver.expected


def test_steady_packets_have_no_jitter_not_even_over_the_timestamps_wrap() -> None:
    receiver = Receiver()
    for i in range(100):
        receiver.receive(numbered(i, timestamp=0xFFFFFFFF - 5000 + 160 * i), i * 0.02, clock_rate=8000)
    assert receiver.jitter_ms < 0.001


def test_jitter_approaches_the_mean_difference_of_arrival() -> None:
    receiver = Receiver()
    for i in range(500):
        receiver.receive(numbered(i), i * 0.02 + i % 2 * 0.010, clock_rate=8000)
    assert 9.9 < receiver.jitter_ms < 10.1
    assert receiver.jitter == int(receiver.jitter_ms * 8)


def test_jitter_is_counted_in_the_clock_of_the_codec_in_use() -> None:
    receiver = Receiver()
    for i in range(500):
        receiver.receive(numbered(i, timestamp=960 * i), i * 0.02 + i % 2 * 0.010, clock_rate=48000)
    assert 9.9 < receiver.jitter_ms < 10.1
    assert receiver.jitter == int(receiver.jitter_ms * 48)


def test_another_clock_a_press_and_a_clock_that_jumps_are_no_jitter() -> None:
    receiver = Receiver()
    receiver.receive(numbered(1, timestamp=0), 0.00, clock_rate=8000)
    receiver.receive(numbered(2, timestamp=500000), 0.02, clock_rate=48000)
    receiver.receive(numbered(3, timestamp=500000), 0.50, clock_rate=None)
    receiver.receive(numbered(4, timestamp=500960), 0.04, clock_rate=48000)
    receiver.receive(numbered(5, timestamp=999999), 0.06, clock_rate=48000)
    assert receiver.jitter_ms < 0.001


def test_packets_of_every_length_have_no_jitter_when_they_come_in_time() -> None:
    receiver = Receiver()
    at = 0
    for i, ms in enumerate((10, 20, 30, 40, 60, 120, 20, 10)):
        receiver.receive(numbered(i, timestamp=8 * at), at / 1000, clock_rate=8000)
        at += ms
    assert receiver.jitter_ms < 0.001
