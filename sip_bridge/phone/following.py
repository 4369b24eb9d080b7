"""Waiting for what a phone tells, in a coroutine."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sip_bridge.phone.events import PhoneEvent

if TYPE_CHECKING:
    from sip_bridge.phone.phone import VoIPPhone


class News:
    """Wakes whoever waits whenever the phone tells something."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    def tell(self, event: PhoneEvent) -> None:
        """Something happened; what it is, `until` asks the calls themselves."""
        del event
        self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        self._came.set()

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait until what the phone tells makes something so."""
        while not is_so():
            self._came.clear()
            await self._came.wait()


@contextmanager
def following(*phones: "VoIPPhone") -> Iterator[News]:
    """News of phones, as long as somebody wants to hear them."""
    news = News()
    for phone in phones:
        phone.followers.append(news.tell)
    try:
        yield news
    finally:
        for phone in phones:
            phone.followers.remove(news.tell)
