"""Requests that come twice: a sender that saw no answer asks again, and a broker may deliver a message again."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from sip_bridge.mqtt.contract import ErrorCode, Response

REPEAT_WINDOW: Final = 60.0  # seconds from the answer on in which a repeat is answered again, not done again
TRANSACTIONS_KEPT: Final = 512  # answers; the oldest give way

Key = tuple[str | None, str, str | None]  # the account, or None for the bridge; the verb; the transaction


class Repeats:
    """Answers a transaction once, and each repeat of it with the same answer, whether that told of success or not."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[Key, asyncio.Future[Response]] = {}  # as many as requests may be carried out at a time
        self._answered: OrderedDict[Key, tuple[float, Response]] = OrderedDict()

    async def once(self, key: Key, answer: Callable[[], Awaitable[Response]]) -> Response:
        """What ``answer`` returns, or returned when the transaction was new; without a transaction all are new."""
        transaction = key[2]
        if transaction is None:
            return await answer()
        self._forget_old()
        if key in self._open:
            return await self._open[key]
        if key in self._answered:
            return self._answered[key][1]
        outcome = self._open[key] = asyncio.get_running_loop().create_future()
        response = Response.failed(ErrorCode.INTERNAL_ERROR, "a bug: see the log", transaction)
        try:
            response = await answer()
        finally:
            del self._open[key]
            outcome.set_result(response)
            self._answered[key] = (self._clock(), response)
        return response

    def _forget_old(self) -> None:
        oldest_kept = self._clock() - REPEAT_WINDOW
        while self._answered:
            key, (at, _) = next(iter(self._answered.items()))
            if at >= oldest_kept and len(self._answered) < TRANSACTIONS_KEPT:
                return
            del self._answered[key]
