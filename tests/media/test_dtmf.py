"""RFC 4733: key presses out, and each one once in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import LocalProtocolError
from sip_bridge.media.dtmf import KEYS, DTMFReceiver, EventFrame, Press, check_digits, event_frames
from sip_bridge.media.rtp import RTPPacket


def event(
    key: str, timestamp: int, duration: int = 160, *, ssrc: int = 1, end: bool = False, marker: bool = False
) -> RTPPacket:
    payload = bytes([KEYS.index(key), 0x80 * end | 10]) + duration.to_bytes(2)
    return RTPPacket(
        payload_type=101, sequence=0, timestamp=timestamp & 0xFFFFFFFF, ssrc=ssrc, payload=payload, marker=marker
    )


def pressed(*packets: RTPPacket) -> str:
    receiver = DTMFReceiver()
    presses = [receiver.receive(packet) for packet in packets]
    return "".join(press.digit for press in presses if press is not None)


def packets_of(digits: str, *, ssrc: int = 1) -> list[RTPPacket]:
    """What a sender makes of them, 20 ms a frame."""
    timestamp, press, packets = 1000, 0, []
    for frame in event_frames(digits, duration=800, gap=400, frame=160):
        press = timestamp if frame.starts else press
        packets += [
            RTPPacket(payload_type=101, sequence=0, timestamp=press, ssrc=ssrc, payload=payload)
            for payload in frame.payloads
        ]
        timestamp += 160
    return packets


def test_a_press_rises_in_duration_and_ends_three_times() -> None:
    assert list(event_frames("#", duration=480, gap=320, frame=160)) == [
        EventFrame(payloads=(bytes((11, 10, 0, 160)),), starts=True),
        EventFrame(payloads=(bytes((11, 10, 1, 64)),)),
        EventFrame(payloads=(bytes((11, 0x8A, 1, 224)),) * 3),
        EventFrame(payloads=()),
        EventFrame(payloads=()),
    ]


def test_a_press_of_one_frame_starts_and_ends_at_once() -> None:
    assert list(event_frames("1", duration=160, gap=0, frame=160)) == [
        EventFrame(payloads=(bytes((1, 0x8A, 0, 160)),) * 3, starts=True),
        EventFrame(payloads=()),
    ]


def test_a_comma_is_half_a_second_of_nothing() -> None:
    assert list(event_frames(",", duration=160, gap=160, frame=160)) == [EventFrame(payloads=())] * 25


@given(st.text(KEYS, min_size=1, max_size=20))
def test_what_is_sent_is_received(digits: str) -> None:
    assert pressed(*packets_of(digits)) == digits


def test_a_thousand_presses_over_a_tenth_of_loss_count_once_each() -> None:
    chance = random.Random(4733)
    digits = "".join(chance.choices(KEYS, k=1000))
    packets = packets_of(digits)
    kept = [packet for packet in packets if chance.random() >= 0.1]
    assert len(kept) < 0.92 * len(packets)
    assert pressed(*kept) == digits


def test_a_press_is_told_with_what_is_known_of_its_duration() -> None:
    assert DTMFReceiver().receive(event("5", 0, 320)) == Press(digit="5", duration=320)


def test_only_the_timestamp_tells_presses_apart_never_the_marker() -> None:
    assert pressed(event("1", 0, marker=True), event("1", 0, marker=True), event("1", 800)) == "11"


def test_a_late_packet_of_an_earlier_press_is_not_a_press() -> None:
    assert pressed(event("1", 0), event("2", 2000), event("1", 0, end=True), event("2", 2000, end=True)) == "12"


def test_presses_are_told_apart_over_the_timestamps_wrap() -> None:
    assert pressed(event("1", -400), event("2", 400), event("1", -400)) == "12"


def test_a_sender_that_began_anew_is_heard() -> None:
    assert pressed(event("1", 900_000), event("2", 100)) == "12"
    assert pressed(event("1", 0, ssrc=1), event("1", 0, ssrc=2)) == "11"


def test_a_press_longer_than_a_duration_can_say_counts_once() -> None:
    packets = [event("7", 0, 0x7000), event("7", 0, 0xFFFF), event("7", 0xFFFF, 160), event("7", 0xFFFF, 320, end=True)]
    assert pressed(*packets) == "7"
    assert pressed(event("7", 0, 0xFFFF), event("8", 0xFFFF, 160)) == "78"


def test_other_events_and_stumps_are_no_keys() -> None:
    flash = RTPPacket(payload_type=101, sequence=0, timestamp=5, ssrc=1, payload=b"\x10\x0a\x00\xa0")
    stump = RTPPacket(payload_type=101, sequence=0, timestamp=5, ssrc=1, payload=b"\x01\x0a\x00")
    assert pressed(flash, stump) == ""


def test_digits_are_taken_in_any_case_and_with_spaces() -> None:
    assert check_digits("1 2a,#") == "12A,#"


@pytest.mark.parametrize("text", ["", "   ", "12x", "1\r\n", "1" * 129, "²"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="digits: expected 1 to 128"):
        check_digits(text)
