"""The heap of deadlines."""

import random

from sip_bridge.sip.schedule import Alarm, Schedule


def test_alarms_fire_in_the_order_of_their_deadlines() -> None:
    schedule, fired = Schedule(), list[tuple[int, float]]()
    chance = random.Random(1)
    deadlines = [chance.random() for _ in range(100)]
    for number, deadline in enumerate(deadlines):
        Alarm(schedule, lambda now, number=number: fired.append((number, now))).set(deadline)  # type: ignore[misc]
    schedule.run(1.0)
    assert fired == [(number, 1.0) for number, _ in sorted(enumerate(deadlines), key=lambda pair: pair[1])]
    assert schedule.next_deadline is None


def test_an_alarm_may_be_brought_forward_put_off_and_cleared() -> None:
    schedule, fired = Schedule(), list[float]()
    alarm = Alarm(schedule, fired.append)
    for deadline in (5.0, 3.0, 7.0):
        alarm.set(deadline)
        assert schedule.next_deadline == deadline
    schedule.run(6.0)
    assert (fired, schedule.next_deadline) == ([], 7.0)
    schedule.run(7.0)
    assert (fired, schedule.next_deadline) == ([7.0], None)
    alarm.set(9.0)
    alarm.clear()
    assert schedule.next_deadline is None
    schedule.run(10.0)
    assert fired == [7.0]


def test_an_alarm_put_off_is_found_again_when_its_old_entry_comes_up() -> None:
    schedule, fired = Schedule(), list[float]()
    alarm = Alarm(schedule, fired.append)
    alarm.set(1.0)
    alarm.set(5.0)
    schedule.run(2.0)
    assert (fired, schedule.next_deadline) == ([], 5.0)


def test_an_alarm_brought_forward_fires_once() -> None:
    schedule, fired = Schedule(), list[float]()
    alarm = Alarm(schedule, fired.append)
    alarm.set(5.0)
    alarm.set(1.0)
    schedule.run(9.0)
    assert fired == [9.0]


def test_an_alarm_may_set_itself_again() -> None:
    schedule, fired = Schedule(), list[float]()

    def again(now: float) -> None:
        fired.append(now)
        alarm.set(now + 1)

    alarm = Alarm(schedule, again)
    alarm.set(1.0)
    schedule.run(1.0)
    assert (fired, schedule.next_deadline) == ([1.0], 2.0)


def test_what_was_cleared_does_not_pile_up() -> None:
    schedule, fired = Schedule(), list[float]()
    kept = [Alarm(schedule, fired.append) for _ in range(10)]
    for alarm in kept:
        alarm.set(2000.0)
        alarm.set(1000.0)
    for number in range(10_000):
        passing = Alarm(schedule, fired.append)
        passing.set(500.0 + number / 1000)
        passing.clear()
        passing.set(900.0)
        passing.clear()
    assert len(schedule._heap) < 1100
    schedule.run(1000.0)
    assert fired == [1000.0] * 10


def test_an_alarm_that_was_cleared_and_purged_can_be_set_again() -> None:
    schedule, fired = Schedule(), list[float]()
    alarm = Alarm(schedule, fired.append)
    alarm.set(1.0)
    alarm.clear()
    for _ in range(2000):
        passing = Alarm(schedule, fired.append)
        passing.set(500.0)
        passing.clear()
    alarm.set(2.0)
    assert schedule.next_deadline == 2.0
