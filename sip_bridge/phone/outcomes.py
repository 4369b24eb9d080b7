"""Requests of ours within a call whose outcome somebody waits for."""

import asyncio
from collections.abc import Callable

from sip_bridge.errors import InvalidStateError, RequestRefusedError
from sip_bridge.sip.status import SIPStatus


class Outcomes:
    """One outcome of a kind at a time: ``ask`` gives the order and waits, ``settle`` follows when the answer comes."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def ask(self, kind: str, order: Callable[[], None]) -> None:
        """Give an order and wait for its outcome: RequestRefusedError unless the other side agreed."""
        if kind in self._waiting:
            raise InvalidStateError(f"the outcome of another {kind} is still to come")
        order()
        outcome = self._waiting[kind] = asyncio.get_running_loop().create_future()
        self._flush()
        await outcome

    def settle(self, kind: str, status: SIPStatus = SIPStatus.OK, phrase: str = "") -> None:
        """The other side answered; nothing follows when nobody waits."""
        outcome = self._waiting.pop(kind, None)
        if outcome is None or outcome.done():
            return
        if status.is_success:
            outcome.set_result(None)
        else:
            outcome.set_exception(RequestRefusedError(f"{int(status)} {phrase}", status=status))

    def abandon(self) -> None:
        """The call is over: whoever waits hears that."""
        for kind in list(self._waiting):
            self.settle(kind, SIPStatus.REQUEST_TERMINATED, "the call is over")
