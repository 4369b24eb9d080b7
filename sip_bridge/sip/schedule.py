"""Deadlines of everything that waits, in one heap. Time is an argument; nothing here sleeps."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol

from sip_bridge.sip.timers import NEVER

_PURGE_ABOVE: Final = 1024  # entries


class Waiting(Protocol):
    """Something with a deadline. ``scheduled`` belongs to the `Schedule`: the earliest entry it holds for the item."""

    scheduled: float

    @property
    def deadline(self) -> float:
        """When `fire` wants to be called, NEVER when it does not."""

    def fire(self, now: float) -> None:
        """The deadline passed."""


class Alarm:
    """A deadline with a callback: ``alarm.set(now + 5)``, ``alarm.clear()``."""

    __slots__ = ("_action", "_schedule", "deadline", "scheduled")

    def __init__(self, schedule: "Schedule", action: Callable[[float], None]) -> None:
        self._schedule = schedule
        self._action = action
        self.deadline = NEVER
        self.scheduled = NEVER

    def set(self, deadline: float) -> None:
        """Call the action at ``deadline``, instead of whenever it was set to before."""
        self.deadline = deadline
        self._schedule.watch(self)

    @property
    def is_set(self) -> bool:
        """Whether it is going to be called."""
        return self.deadline != NEVER

    def clear(self) -> None:
        """Don't call it."""
        self.deadline = NEVER

    def fire(self, now: float) -> None:
        """The deadline passed."""
        self.deadline = NEVER
        self._action(now)


class Schedule:
    """A heap with lazy removal: an entry that fires early is looked at, and put back at the item's real deadline."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Waiting]] = []
        self._count = count()
        self._purge_above = _PURGE_ABOVE

    def watch(self, item: Waiting) -> None:
        """Take note of an item's deadline; call it after each change that may bring it forward."""
        if item.deadline < item.scheduled:
            item.scheduled = item.deadline
            heapq.heappush(self._heap, (item.deadline, next(self._count), item))
            if len(self._heap) > self._purge_above:
                self._purge()

    def _purge(self) -> None:
        """Let go of what no longer waits, so that the heap is never much larger than what is alive."""
        alive = []
        for entry in self._heap:
            item = entry[2]
            if entry[0] == item.scheduled and item.deadline != NEVER:
                alive.append(entry)
            elif entry[0] == item.scheduled:
                item.scheduled = NEVER
        heapq.heapify(alive)
        self._heap = alive
        self._purge_above = max(_PURGE_ABOVE, 2 * len(alive))

    def run(self, now: float) -> None:
        """Fire everything that is due."""
        while self._heap and self._heap[0][0] <= now:
            entry, _, item = heapq.heappop(self._heap)
            if entry != item.scheduled:
                continue  # an older entry of an item that was brought forward
            item.scheduled = NEVER
            if item.deadline <= now:
                item.fire(now)
            self.watch(item)

    @property
    def next_deadline(self) -> float | None:
        """When `run` has something to do, None when nothing waits."""
        while self._heap:
            entry, _, item = self._heap[0]
            if entry == item.scheduled and item.deadline == entry:
                return entry
            heapq.heappop(self._heap)
            if entry == item.scheduled:
                item.scheduled = NEVER
                self.watch(item)
        return None
