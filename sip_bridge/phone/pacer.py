"""One clock for all audio that is sent: a tick each 20 ms on the loop's absolute time, so that nothing drifts."""

import asyncio
from collections.abc import Callable
from typing import Final

from sip_bridge.media.codec import FRAME_MS

FRAME: Final = FRAME_MS / 1000  # seconds
_MAX_BEHIND: Final = 5  # frames: after a longer stall the clock starts anew instead of sending a burst


class Pacer:
    """Calls every sender once a frame; idle when there is none."""

    def __init__(self) -> None:
        self._senders: dict[Callable[[], None], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def add(self, sender: Callable[[], None]) -> None:
        """Call ``sender`` each frame from now on."""
        self._senders[sender] = None
        if self._timer is None:
            self._next = asyncio.get_running_loop().time()
            self._schedule()

    def remove(self, sender: Callable[[], None]) -> None:
        """Don't call it any longer."""
        self._senders.pop(sender, None)
        if not self._senders and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._next, self._tick)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._next > _MAX_BEHIND * FRAME:
            self._next = now
        self._next += FRAME
        self._schedule()
        for sender in list(self._senders):
            sender()
