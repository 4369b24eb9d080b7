"""The one clock of all audio, in real time."""

import asyncio
import time

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
