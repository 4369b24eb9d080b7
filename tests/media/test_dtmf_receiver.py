"""RFC 4733: each key press is heard once."""

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.dtmf import KEYS, event_frames
from sip_bridge.media.dtmf_receiver import DTMFReceiver, Press
from sip_bridge.media.rtp import RTPPacket


def event(
    key: str,
    timestamp: int,
    duration: int = 160,
    *,
    ssrc: int = 1,
    end: bool = False,
    marker: bool = False,
    sequence: int = 0,
) -> RTPPacket:
    payload = bytes([KEYS.index(key), 0x80 * end | 10]) + duration.to_bytes(2)
    return packet(payload, timestamp, ssrc=ssrc, marker=marker, sequence=sequence)


def packet(payload: bytes, timestamp: int, *, ssrc: int = 1, marker: bool = False, sequence: int = 0) -> RTPPacket:
    return RTPPacket(
        payload_type=101,
        sequence=sequence & 0xFFFF,
        timestamp=timestamp & 0xFFFFFFFF,
        ssrc=ssrc,
        payload=payload,
        marker=marker,
    )


def pressed(*packets: RTPPacket) -> str:
    receiver = DTMFReceiver()
    return "".join(press.digit for each in packets for press in receiver.receive(each))


def presses_of(
    digits: str, *, timestamp: int = 1000, sequence: int = 0, duration: int = 800, gap: int = 400, frame: int = 160
) -> list[list[RTPPacket]]:
    """For each key, what a sender makes of it."""
    presses: list[list[RTPPacket]] = []
    begin = timestamp
    for each in event_frames(digits, duration=duration, gap=gap, frame=frame):
        presses += [[]] if each.starts else []
        begin = timestamp if each.starts else begin
        for one in each.packets:
            presses[-1].append(packet(one.payload, begin + one.offset, sequence=sequence))
            sequence += 1
        timestamp += frame
    return presses


def shuffled(packets: Iterable[RTPPacket], chance: random.Random, *, by: float) -> list[RTPPacket]:
    """Each packet up to ``by`` places late."""
    return [each for _, each in sorted(enumerate(packets), key=lambda pair: pair[0] + by * chance.random())]


def lossy(presses: Sequence[Sequence[RTPPacket]], chance: random.Random, *, loss: float) -> list[RTPPacket]:
    """What is left of presses: at least a packet of each, some of them doubled."""
    kept: list[RTPPacket] = []
    for each in presses:
        left = [one for one in each if chance.random() >= loss] or [chance.choice(each)]
        kept += [one for one in left for _ in range(1 + (chance.random() < 0.1))]
    return kept


@given(st.text(KEYS, min_size=1, max_size=20), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF))
def test_what_is_sent_is_received(digits: str, timestamp: int, sequence: int) -> None:
    presses = presses_of(digits, timestamp=timestamp, sequence=sequence)
    assert pressed(*(each for press in presses for each in press)) == digits


@pytest.mark.parametrize("frame", [160, 960])
def test_a_thousand_presses_over_a_tenth_of_loss_count_once_each(frame: int) -> None:
    chance = random.Random(4733)
    digits = "".join(chance.choices(KEYS, k=1000))
    presses = presses_of(digits, duration=5 * frame, gap=2 * frame, frame=frame)
    kept = lossy(presses, chance, loss=0.1)
    assert len({each.sequence for each in kept}) < 0.92 * sum(map(len, presses))
    assert pressed(*kept) == digits


def test_a_thousand_presses_count_once_each_when_packets_come_late_and_doubled_too() -> None:
    chance = random.Random(2833)
    digits = "".join(chance.choices(KEYS, k=1000))
    kept = shuffled(lossy(presses_of(digits), chance, loss=0.1), chance, by=3)
    assert pressed(*kept) == digits


@given(st.text(KEYS, min_size=1, max_size=30), st.randoms(use_true_random=False), st.floats(0, 1))
def test_a_press_counts_once_however_much_of_it_comes_and_in_any_order(
    digits: str, chance: random.Random, loss: float
) -> None:
    kept = lossy(presses_of(digits), chance, loss=loss)
    assert sorted(pressed(*shuffled(kept, chance, by=40))) == sorted(digits)


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5])
def test_a_press_of_many_segments_counts_once_over_loss(loss: float) -> None:
    presses = presses_of("1155", duration=200_000, gap=1920, frame=960)
    assert pressed(*lossy(presses, random.Random(9), loss=loss)) == "1155"


def test_a_press_is_told_with_what_is_known_of_its_duration() -> None:
    assert DTMFReceiver().receive(event("5", 0, 320)) == (Press(digit="5", duration=320),)


@pytest.mark.parametrize("left", [slice(0, 1), slice(3, 4), slice(-1, None), slice(2, None), slice(0, 3)])
def test_a_press_of_which_parts_were_lost_counts_once(left: slice) -> None:
    first, second = presses_of("55")
    assert pressed(*first[left], *second[left]) == "55"


def test_only_the_timestamp_tells_presses_apart_never_the_marker() -> None:
    assert pressed(event("1", 0, marker=True), event("1", 0, marker=True), event("1", 800)) == "11"


def test_a_late_packet_of_an_earlier_press_is_not_a_press() -> None:
    assert pressed(event("1", 0), event("2", 2000), event("1", 0, end=True), event("2", 2000, end=True)) == "12"


def test_a_press_of_which_only_a_late_packet_came_is_a_press() -> None:
    assert pressed(event("2", 2000), event("1", 0, end=True), event("1", 0, end=True)) == "21"


def test_presses_are_told_apart_over_the_timestamps_wrap() -> None:
    assert pressed(event("1", -400), event("2", 400), event("1", -400)) == "12"


def test_a_sender_that_began_anew_is_heard() -> None:
    assert pressed(event("1", 900_000), event("1", 100)) == "11"
    assert pressed(event("1", 0, ssrc=1), event("1", 0, ssrc=2), event("1", 0, ssrc=1)) == "11"


def test_a_press_longer_than_a_duration_can_say_counts_once() -> None:
    packets = [event("7", 0, 0x7000), event("7", 0, 0xFFFF), event("7", 0xFFFF, 160), event("7", 0xFFFF, 320, end=True)]
    assert pressed(*packets) == "7"
    assert pressed(*packets[::2], *packets[:2]) == "7"
    assert pressed(event("7", 0, 0xFFFF), event("8", 0xFFFF, 160)) == "78"


def test_a_press_after_one_that_ended_is_another_one_even_where_a_segment_would_begin() -> None:
    assert pressed(event("7", 0, 0xFFFF, end=True), event("7", 0xFFFF, 160)) == "77"


def test_a_long_press_whose_duration_begins_anew_counts_once() -> None:
    assert pressed(event("7", 0, 0xFFF0), event("7", 0, 80, sequence=1), event("7", 0, 240, sequence=2)) == "7"


def test_keys_with_one_timestamp_for_all_are_told_apart() -> None:
    first = [event("1", 0, 800, end=True, sequence=n) for n in range(3)]
    second = [event("2", 0, 800, end=True, sequence=n) for n in (3, 4)]
    third = [event("1", 0, 160, sequence=5), event("1", 0, 320, sequence=6), event("1", 0, 800, end=True, sequence=7)]
    late = [event("2", 0, 800, end=True, sequence=8), event("1", 0, 640, sequence=4)]
    assert pressed(*first, *second, *third, *late) == "121"


def test_a_key_again_with_the_same_timestamp_is_known_by_its_beginning() -> None:
    presses = [event("1", 0, duration, sequence=n) for n, duration in enumerate((160, 320, 480, 160, 320, 480))]
    assert pressed(*presses) == "11"


def test_several_events_of_a_packet_are_several_presses() -> None:
    payload = bytes.fromhex("018a0140 018a0140 108a0050 020a00a0")
    assert pressed(packet(payload, 0), packet(payload, 0)) == "112"
    assert pressed(packet(payload, 0), event("2", 320 + 320 + 80, 480, end=True)) == "112"


def test_padding_after_an_event_is_no_press() -> None:
    assert pressed(packet(bytes.fromhex("010a00a0 00000000"), 0)) == "1"
    assert pressed(packet(bytes.fromhex("018a0000 00000000"), 0)) == "1"


def test_a_packet_has_no_more_than_eight_events() -> None:
    assert pressed(packet(bytes.fromhex("018a0140") * 300, 0)) == "1" * 8


@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF)), max_size=40))
def test_whatever_comes_is_remembered_within_bounds(packets: list[tuple[bytes, int, int]]) -> None:
    receiver = DTMFReceiver()
    heard = [receiver.receive(packet(payload, timestamp, sequence=n)) for payload, timestamp, n in packets]
    assert max(map(len, heard), default=0) <= 8
    assert len(receiver._heard) <= 32


def test_other_events_and_stumps_are_no_keys() -> None:
    assert pressed(packet(b"\x10\x0a\x00\xa0", 5), packet(b"\x01\x0a\x00", 5), packet(b"", 5)) == ""
