"""What becomes of a call: waited for by whoever asked for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from homeassistant.core import callback
from homeassistant.exceptions import HomeAssistantError

from .const import DOMAIN
from .contract import CallEndedEvent, Event, PlaybackDoneEvent
from .coordinator import SipPhoneCoordinator
from .state import TALKING

REMEMBERED: Final = 256  # events; a line has few calls at a time
MARGIN: Final = 15.0  # seconds in which the bridge tells what has happened

T = TypeVar("T")


class Follower:
    """Hears what happens on a line. `follow` begins before the request, so that nothing is missed."""

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        self._coordinator = coordinator
        self._account = account
        self._events: deque[Event] = deque(maxlen=REMEMBERED)
        self._changed = asyncio.Event()

    async def async_outcome(self, call_id: str, within: float) -> dict[str, Any]:
        """Whether a call was ``answered``, else how it ended, which comes in so many seconds."""
        return await self._async_first(lambda: self._outcome(call_id), within)

    async def async_end(self, call_id: str, within: float) -> dict[str, Any]:
        """How a call ended; ``answered`` if it was talked in."""
        return await self._async_first(lambda: self._end(call_id), within)

    async def async_playback(self, call_id: str, source: str, within: float) -> bool:
        """Whether a source was played to its end in a call; raises `HomeAssistantError` if it can't be heard."""
        return await self._async_first(lambda: self.was_played(call_id, source), within)

    def was_played(self, call_id: str, source: str) -> bool | None:
        """As `async_playback`; None when that is not known yet."""
        shown = source.partition("?")[0].partition("#")[0]  # a URL is told without what may be a token
        for event in self._events:
            match event:
                case PlaybackDoneEvent(error=str(reason)) if event.call_id == call_id and event.source == shown:
                    raise HomeAssistantError(
                        translation_domain=DOMAIN,
                        translation_key="not_heard",
                        translation_placeholders={"reason": reason},
                    )
                case PlaybackDoneEvent() if event.call_id == call_id and event.source == shown:
                    return event.completed
                case CallEndedEvent() if event.call_id == call_id:
                    return False
                case _:
                    continue
        return None

    def _outcome(self, call_id: str) -> dict[str, Any] | None:
        call = self._coordinator.state.line(self._account).find_call(call_id)
        if call is not None and call.state in TALKING:
            return {"call_id": call_id, "result": "answered"}
        return self._end(call_id)

    def _end(self, call_id: str) -> dict[str, Any] | None:
        last_call = self._coordinator.state.line(self._account).last_call
        for event in (*self._events, last_call):
            if isinstance(event, CallEndedEvent) and event.call_id == call_id:
                return _result(event)
        return None

    async def _async_first(self, find: Callable[[], T | None], within: float) -> T:
        try:
            async with asyncio.timeout(within):
                while (found := find()) is None:
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError as error:
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="no_outcome") from error

    @callback
    def _async_hear(self, event: Event) -> None:
        self._events.append(event)
        self._changed.set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what happens."""
        stops = (
            self._coordinator.async_listen_events(self._account, self._async_hear),
            self._coordinator.async_listen(self._account, self._changed.set),
        )
        try:
            yield
        finally:
            for stop in stops:
                stop()


@contextmanager
def follow(coordinator: SipPhoneCoordinator, account: str) -> Iterator[Follower]:
    """Hear what happens on a line from now on."""
    follower = Follower(coordinator, account)
    with follower.listening():
        yield follower


def _result(record: CallEndedEvent) -> dict[str, Any]:
    return {
        "call_id": record.call_id,
        "result": "answered" if record.talk_seconds else record.end_reason.value,
        "status": record.status,
        "ring_seconds": record.ring_seconds,
        "talk_seconds": record.talk_seconds,
    }
