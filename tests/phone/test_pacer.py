"""The one clock of all audio, in real time."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from sip_bridge.errors import MediaError
from sip_bridge.phone.pacer import FRAME, Pacer


async def test_frames_come_at_the_clocks_pace_without_drift() -> None:
    ticks: list[int] = []
    pacer = Pacer()
    began = asyncio.get_running_loop().time()

    def sender(frames: int) -> None:
        ticks.append(frames)
        time.sleep(0.01)  # work that a relative timer would add to each frame

    pacer.add(sender)
    await asyncio.sleep(0.6)
    pacer.remove(sender)
    elapsed = asyncio.get_running_loop().time() - began
    assert abs(sum(ticks) - elapsed / FRAME) <= 6  # what a busy machine may still catch up


async def test_a_stall_is_skipped_not_sent_in_a_burst() -> None:
    ticks: list[int] = []
    pacer = Pacer()
    pacer.add(ticks.append)
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(0.05)
    time.sleep(0.4)  # noqa: ASYNC251  # the stall
    await asyncio.sleep(0.1)
    pacer.remove(ticks.append)
    elapsed = asyncio.get_running_loop().time() - began
    assert max(ticks) >= 15
    assert len(ticks) <= elapsed / FRAME - 15
    assert abs(sum(ticks) - elapsed / FRAME) <= 6  # what a busy machine may still catch up


async def test_a_pacer_without_senders_has_no_timer_and_one_that_left_hears_nothing() -> None:
    first: list[int] = []
    second: list[int] = []
    pacer = Pacer()
    pacer.add(first.append)
    pacer.add(second.append)
    await asyncio.sleep(0.05)
    pacer.remove(first.append)
    count = len(first)
    await asyncio.sleep(0.05)
    pacer.remove(second.append)
    pacer.remove(second.append)
    assert (len(first), pacer._timer) == (count, None)
    assert len(second) > count


async def test_a_sender_that_fails_silences_no_other_and_one_that_was_just_removed_is_not_called() -> None:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
    pacer, ticks, never = Pacer(), list[int](), list[int]()

    def failing(_: int) -> None:
        pacer.remove(never.append)
        raise MediaError("broken")

    for sender in (failing, never.append, ticks.append):
        pacer.add(sender)
    await asyncio.sleep(0.1)
    for sender in (failing, ticks.append):
        pacer.remove(sender)
    assert len(ticks) == len(problems) >= 3
    assert never == []


class Handle:
    """Can be cancelled."""

    def __init__(self, callback: Callable[..., None]) -> None:
        self.callback = callback

    def cancel(self) -> None:
        self.callback = lambda: None


class VirtualClock:
    """As much of an event loop as a pacer needs; it is late by what ``lateness`` says, and keeps every time."""

    def __init__(self, lateness: Callable[[], float]) -> None:
        self.now = 1000.0
        self._lateness = lateness
        self._timers: list[tuple[float, Handle]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        self._timers.append((when, Handle(callback)))
        return self._timers[-1][1]

    def call_soon(self, callback: Callable[..., None], *_: object) -> Handle:
        return Handle(callback)  # the pacer only makes use of it when a sender fails

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers[0][0] <= end:
            when, timer = self._timers.pop(0)
            self.now = max(self.now, when) + self._lateness()
            timer.callback()
        self.now = max(self.now, end)


@pytest.mark.parametrize("stall", [0.0, 0.3])
async def test_an_hour_of_late_timers_and_stalls_has_as_many_frames_as_it_should(
    monkeypatch: pytest.MonkeyPatch, stall: float
) -> None:
    chance = random.Random(20)
    clock = VirtualClock(lambda: chance.uniform(0, 0.004) + (stall if chance.random() < 0.001 else 0.0))
    pacer, ticks = Pacer(), [0]
    late: list[float] = []
    begun = clock.now

    def sender(frames: int) -> None:
        late.append(clock.now - (begun + ticks[0] * FRAME))
        ticks[0] += frames

    monkeypatch.setattr("sip_bridge.phone.pacer.asyncio.get_running_loop", lambda: clock)
    pacer.add(sender)
    clock.run(3600)
    monkeypatch.undo()
    assert abs(ticks[0] - 3600 / FRAME) <= 1 + stall / FRAME
    assert min(late) >= 0
    assert max(late) <= stall + 0.01
    assert len(late) >= 3600 / FRAME - 200 * stall / FRAME
