"""One clock for all audio that is sent: a tick each 20 ms on the loop's absolute time, so that nothing drifts."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from sip_bridge.media.codec import FRAME_MS

FRAME: Final = FRAME_MS / 1000  # seconds
_MAX_BEHIND: Final = 5  # frames: what a longer stall missed is left out instead of sent in a burst


Sender = Callable[[int], None]


class Pacer:
    """Calls every sender once a frame with how many frames went by: 1, more after a stall. Idle when there is none."""

    def __init__(self) -> None:
        self._senders: dict[Sender, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def add(self, sender: Sender) -> None:
        """Call ``sender`` each frame from now on."""
        self._senders[sender] = None
        if self._timer is None:
            self._next = asyncio.get_running_loop().time()
            self._schedule()

    def remove(self, sender: Sender) -> None:
        """Don't call it any longer."""
        self._senders.pop(sender, None)
        if not self._senders and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._next, self._tick)

    def _tick(self) -> None:
        behind = int((asyncio.get_running_loop().time() - self._next) / FRAME)
        frames = behind + 1 if behind > _MAX_BEHIND else 1
        self._next += frames * FRAME
        self._schedule()
        self._run(iter(list(self._senders)), frames)

    def _run(self, senders: Iterator[Sender], frames: int) -> None:
        """Call each; should one raise, the loop reports it, and the others have their turn right after."""
        rest = asyncio.get_running_loop().call_soon(self._run, senders, frames)
        for sender in senders:
            if sender in self._senders:  # one before it may have ended its call
                sender(frames)
        rest.cancel()
