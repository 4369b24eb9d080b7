"""When the peer's sound is lost, and when it is back."""

from sip_bridge.media.silence import SilenceWatch


def ticks(watch: SilenceWatch, count: int, *, expects: bool = True) -> list[bool]:
    return [watch.tick(1, expects=expects) for _ in range(count)]


def test_a_peer_that_never_sent_is_lost_when_the_time_is_up_and_that_is_told_once() -> None:
    watch = SilenceWatch(0.1)
    assert ticks(watch, 20) == [False] * 4 + [True] + [False] * 15
    assert watch.silent_seconds == 0.4


def test_a_packet_begins_the_count_anew_and_brings_back_what_was_lost() -> None:
    watch = SilenceWatch(0.1)
    ticks(watch, 4)
    assert watch.heard() is False
    assert ticks(watch, 5) == [False] * 4 + [True]
    assert (watch.heard(), watch.heard()) == (True, False)
    assert ticks(watch, 5)[-1] is True


def test_on_hold_nothing_is_missed_and_after_it_the_count_begins_anew() -> None:
    watch = SilenceWatch(0.1)
    ticks(watch, 4)
    assert ticks(watch, 100, expects=False) == [False] * 100
    assert ticks(watch, 5) == [False] * 4 + [True]


def test_the_time_of_a_stall_counts() -> None:
    watch = SilenceWatch(0.1)
    assert watch.tick(3, expects=True) is False
    assert watch.tick(3, expects=True) is True


def test_without_a_time_limit_nothing_is_ever_lost() -> None:
    watch = SilenceWatch(0)
    assert ticks(watch, 1000) == [False] * 1000
    assert watch.heard() is False
