"""What becomes of a call that comes in: refused, rung, and maybe answered by itself or in the place of another."""

import contextlib
import logging
from typing import TYPE_CHECKING

from sip_bridge.errors import InvalidStateError, NegotiationError
from sip_bridge.media.negotiation import check_offer
from sip_bridge.phone.call import VoIPCall
from sip_bridge.phone.events import CallChanged
from sip_bridge.phone.screening import IncomingCall, Refuse, Ring, screen
from sip_bridge.sip.events import CallReceived
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.phone.phone import VoIPPhone

_LOG = logging.getLogger(__name__)


class Reception:
    """Receives the callers of one phone."""

    def __init__(self, phone: "VoIPPhone") -> None:
        self._phone = phone
        self._client = phone.client

    def receive(self, event: CallReceived) -> None:
        """Somebody calls."""
        phone = self._phone
        caller = IncomingCall(
            caller=event.caller,
            claimed=event.remote,
            host=event.flow.remote[0],
            is_replacing=event.replaces is not None,
        )
        match screen(phone.account, phone.settings, caller):
            case Refuse() as refusal:
                self._refuse(event, refusal)
            case Ring() as verdict:
                self._let_in(event, verdict)

    def _refuse(self, event: CallReceived, refusal: Refuse) -> None:
        """Only the call's end is told."""
        self._phone.calls[event.call] = VoIPCall(
            self._phone,
            call_id=event.call,
            is_incoming=True,
            remote=event.caller.address,
            media=self._phone.media_session(event.flow),
            refusal=refusal.reason,
        )
        self._client.endpoint.reject(event.call, refusal.status, self._client.now)

    def _let_in(self, event: CallReceived, verdict: Ring) -> None:
        named, problem = None, None
        try:
            named = check_offer(event.offer, codecs=self._phone.account.codecs, srtp=self._phone.account.srtp)
        except NegotiationError as error:
            problem = error
        call = VoIPCall(
            self._phone,
            call_id=event.call,
            is_incoming=True,
            remote=event.caller.address,
            media=self._phone.media_session(event.flow, named),
            offer=event.offer,
        )
        self._phone.calls[event.call] = call
        self._phone.tell(CallChanged(call=call))
        with contextlib.suppress(InvalidStateError):  # the listener has refused it by now
            self._respond(call, event, verdict, problem)

    def _respond(self, call: VoIPCall, event: CallReceived, verdict: Ring, problem: NegotiationError | None) -> None:
        endpoint, now = self._client.endpoint, self._client.now
        if problem is not None:
            about = {"account": self._phone.account.id, "call_id": event.call}
            # As text: whoever keeps the line would keep the exception, and with its traceback the call.
            _LOG.info("%s: refused a call: %s (%s)", self._phone.account.id, str(problem), event.call, extra=about)
            endpoint.reject(event.call, SIPStatus.NOT_ACCEPTABLE_HERE, now)
            return
        if event.replaces is not None:
            self._phone.start_task(_answered(call), name=f"answer {event.call}")
            return
        endpoint.ring(event.call, SIPStatus.RINGING, now)
        call.give_up_after(self._phone.settings.ring_timeout)
        if verdict.answer_after is not None:
            call.self_answer.start(verdict.answer_after)


async def _answered(call: VoIPCall) -> None:
    """A call that takes the place of another is answered at once (RFC 3891 §3); it may be over already."""
    with contextlib.suppress(InvalidStateError, NegotiationError):
        await call.answer()
