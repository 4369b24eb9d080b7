"""Call transfer at the phone: our own, and those that the other party of a call asks for."""

from typing import TYPE_CHECKING

from sip_bridge.phone.outcomes import Outcomes
from sip_bridge.sip.events import TransferEnded, TransferProgressed, TransferRequested
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone

TransferEvent = TransferRequested | TransferProgressed | TransferEnded


class CallTransfer:
    """The transfers of one call."""

    def __init__(self, phone: "VoIPPhone", call: "VoIPCall", outcomes: Outcomes) -> None:
        self._phone = phone
        self._client = phone.client
        self._call = call
        self._outcomes = outcomes

    async def to(self, target: str) -> None:
        """Have the other party call ``target``; returns when they talk."""
        endpoint, call = self._client.endpoint, self._call.call_id
        await self._outcomes.ask("transfer", lambda: endpoint.transfer(call, target, self._client.now))

    async def to_call(self, other: "VoIPCall") -> None:
        """Connect the other parties of two calls; returns when they talk."""
        endpoint, call = self._client.endpoint, self._call.call_id
        await self._outcomes.ask("transfer", lambda: endpoint.transfer_to(call, other.call_id, self._client.now))

    def handle(self, event: TransferEvent) -> None:
        """A fact of the core."""
        match event:
            case TransferRequested(target=target, replaces=replaces):
                self._requested(target, replaces)
            case TransferProgressed():
                pass  # the outcome is what counts
            case TransferEnded(status=status, phrase=phrase):
                self._outcomes.settle("transfer", status, phrase)

    def _requested(self, target: str, replaces: str | None) -> None:
        """Toll fraud is the danger: only an account that says so calls whom a caller names, and only whom it may."""
        endpoint, now = self._client.endpoint, self._client.now
        if not self._phone.account.accept_transfers or not self._phone.may_dial(target):
            endpoint.refuse_transfer(self._call.call_id, SIPStatus.DECLINE, now)
            return
        endpoint.accept_transfer(self._call.call_id, now)
        work = self._phone.follow_transfer(self._call, target, replaces)
        self._phone.start_task(work, name=f"transfer {self._call.call_id}")

    def report(self, status: SIPStatus) -> None:
        """Tell the party that transferred us how the new call goes; the caller flushes."""
        if self._call.is_talking:
            self._client.endpoint.report_transfer(self._call.call_id, status, self._client.now)
