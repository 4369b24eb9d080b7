"""RFC 4733: the packets of key presses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import LocalProtocolError
from sip_bridge.media.dtmf import EventFrame, EventPacket, check_digits, event_frames

GAP = EventFrame()


def frame(*packets: tuple[int, int, int], at: int = 0, starts: bool = False) -> EventFrame:
    """Packets of ``(event, end bit and volume, duration)`` in one segment."""
    made = (EventPacket(payload=bytes((e, flags)) + duration.to_bytes(2), offset=at) for e, flags, duration in packets)
    return EventFrame(packets=tuple(made), starts=starts)


def test_a_press_rises_in_duration_and_its_end_is_sent_three_times() -> None:
    assert list(event_frames("#", duration=480, gap=640, frame=160)) == [
        frame((11, 10, 160), starts=True),
        frame((11, 10, 320)),
        frame((11, 0x8A, 480)),
        frame((11, 0x8A, 480)),
        frame((11, 0x8A, 480)),
        GAP,
        GAP,
    ]


def test_a_press_of_one_frame_starts_and_ends_at_once() -> None:
    assert list(event_frames("1", duration=160, gap=0, frame=160)) == [
        frame((1, 0x8A, 160), starts=True),
        frame((1, 0x8A, 160)),
        frame((1, 0x8A, 160)),
    ]


def test_a_press_may_end_within_a_frame() -> None:
    assert list(event_frames("D", duration=200, gap=0, frame=160))[:2] == [
        frame((15, 10, 160), starts=True),
        frame((15, 0x8A, 200)),
    ]


def test_a_press_at_48_khz_counts_in_its_clock() -> None:
    assert list(event_frames("9", duration=1920, gap=0, frame=960))[:2] == [
        frame((9, 10, 960), starts=True),
        frame((9, 0x8A, 1920)),
    ]


def test_a_long_press_goes_on_in_segments_that_end_only_once() -> None:
    frames = list(event_frames("7", duration=65600, gap=0, frame=160))
    assert frames[-5:] == [
        frame((7, 10, 65280)),
        frame((7, 10, 65440)),
        EventFrame(packets=(*frame((7, 10, 0xFFFF)).packets, *frame((7, 0x8A, 65), at=0xFFFF).packets)),
        frame((7, 0x8A, 65), at=0xFFFF),
        frame((7, 0x8A, 65), at=0xFFFF),
    ]


def test_a_segment_that_ends_with_a_frame_is_told_once() -> None:
    frames = list(event_frames("7", duration=4 * 0xFFFF // 5, gap=0, frame=0xFFFF // 5))
    longer = list(event_frames("7", duration=6 * (0xFFFF // 5), gap=0, frame=0xFFFF // 5))
    assert [each.packets[0].offset for each in frames] == [0] * 6
    assert longer[4:6] == [frame((7, 10, 0xFFFF)), frame((7, 0x8A, 0xFFFF // 5), at=0xFFFF)]


@given(st.integers(1, 300_000), st.sampled_from([160, 320, 960]))
def test_the_segments_of_a_press_add_up_to_its_duration(duration: int, size: int) -> None:
    packets = [packet for each in event_frames("1", duration=duration, gap=0, frame=size) for packet in each.packets]
    longest = {packet.offset: int.from_bytes(packet.payload[2:]) for packet in packets}
    assert sum(longest.values()) == duration
    assert list(longest) == [0xFFFF * n for n in range(len(longest))]
    assert [packet.payload[1] for packet in packets[-4:-3]] in ([], [10])
    assert [packet.payload[1] for packet in packets[-3:]] == [0x8A] * 3


def test_a_comma_is_half_a_second_of_nothing() -> None:
    assert list(event_frames(",", duration=160, gap=160, frame=160)) == [GAP] * 25


def test_digits_are_taken_in_any_case_and_with_spaces() -> None:
    assert check_digits("1 2a,#") == "12A,#"


@pytest.mark.parametrize("text", ["", "   ", "12x", "1\r\n", "1" * 129, "²"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="digits: expected 1 to 128"):
        check_digits(text)
