"""A press counts once however many ways it is told in."""

from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.press_filter import MAX_PRESSES, PRESSES_PER_SECOND, PressFilter, PressMethod

Told = tuple[str, PressMethod, float]


def counted(*told: Told) -> str:
    presses = PressFilter()
    return "".join(digit for digit, method, now in told if presses.counts(digit, method, now))


def test_a_key_told_in_two_ways_counts_once() -> None:
    assert counted(("5", "rtp", 0.0), ("5", "info", 0.1)) == "5"
    assert counted(("5", "info", 0.0), ("5", "rtp", 0.9)) == "5"
    assert counted(("5", "inband", 0.0), ("5", "rtp", 0.1), ("5", "info", 0.2)) == "5"


def test_a_key_told_twice_in_the_same_way_counts_twice() -> None:
    assert counted(("5", "rtp", 0.0), ("5", "rtp", 0.1), ("5", "info", 5.0), ("5", "info", 5.1)) == "5555"


def test_a_double_press_told_in_two_ways_counts_twice_in_whatever_order() -> None:
    assert counted(("5", "rtp", 0.0), ("5", "info", 0.05), ("5", "rtp", 0.3), ("5", "info", 0.35)) == "55"
    assert counted(("5", "rtp", 0.0), ("5", "rtp", 0.2), ("5", "info", 0.25), ("5", "info", 0.45)) == "55"
    assert counted(("5", "rtp", 0.0), ("5", "info", 0.1), ("5", "info", 0.3), ("5", "rtp", 0.4)) == "55"


def test_another_key_or_the_same_one_later_is_another_press() -> None:
    assert counted(("5", "rtp", 0.0), ("6", "info", 0.1), ("5", "info", 1.2)) == "565"


def test_a_key_told_when_it_is_let_go_is_known_by_how_long_it_was_held() -> None:
    presses = PressFilter()
    assert [
        presses.counts("5", "rtp", 0.0),
        presses.counts("5", "info", 2.9, duration=2.0),
        presses.counts("5", "info", 9.0, duration=60.0),
    ] == [True, False, True]


def test_tones_count_until_the_peer_shows_a_better_way() -> None:
    assert counted(("1", "inband", 0.0), ("2", "inband", 1.0), ("3", "rtp", 2.0), ("4", "inband", 9.0)) == "123"
    assert counted(("1", "inband", 0.0), ("1", "info", 0.1), ("1", "inband", 9.0)) == "1"


def test_a_flood_is_cut_and_presses_count_again_after_it() -> None:
    presses = PressFilter()
    flood = [presses.counts("1", "rtp", 0.0001 * n) for n in range(10_000)]
    assert MAX_PRESSES <= sum(flood) <= MAX_PRESSES + PRESSES_PER_SECOND
    assert [presses.counts("1", "rtp", 2.0 + 0.02 * n) for n in range(500)] == [True] * 500
    assert len(presses._counted) == 128


@given(st.lists(st.tuples(st.sampled_from("12"), st.floats(0.05, 0.3)), max_size=60), st.floats(0.01, 0.15))
def test_whoever_tells_every_press_twice_is_counted_once(keys: list[tuple[str, float]], delay: float) -> None:
    told: list[Told] = []
    now = 0.0
    for digit, gap in keys:
        told += [(digit, "rtp", now), (digit, "info", now + delay)]
        now += gap
    assert counted(*sorted(told, key=lambda each: each[2])) == "".join(digit for digit, _ in keys)
