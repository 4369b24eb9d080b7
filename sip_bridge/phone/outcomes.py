"""Requests of ours within a call whose outcome somebody waits for."""

import asyncio

from sip_bridge.errors import InvalidStateError, RequestRefusedError
from sip_bridge.sip.status import SIPStatus


class Outcomes:
    """One outcome of a kind at a time: ``expect`` before the order, ``settle`` when the answer comes."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}

    def expect(self, kind: str) -> asyncio.Future[None]:
        """Await it for the outcome: RequestRefusedError unless the other side agreed."""
        if kind in self._waiting:
            raise InvalidStateError(f"the outcome of another {kind} is still to come")
        outcome = self._waiting[kind] = asyncio.get_running_loop().create_future()
        return outcome

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
