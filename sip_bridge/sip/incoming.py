"""A call to us: the UAS side of INVITE (RFC 3261 §13.3)."""

from typing import Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.caller import Caller
from sip_bridge.sip.capabilities import ACCEPT, ALLOW_AND_SUPPORTED
from sip_bridge.sip.client_request import HeaderList
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.events import AnswerReceived, CallConfirmed, CallReceived, EndCause
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.reason import Q850, SIP, cause_of
from sip_bridge.sip.reliable import ReliableProvisionals
from sip_bridge.sip.session import Session
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction

ANSWERED_ELSEWHERE: Final = 200  # the SIP cause in the Reason of a CANCEL (RFC 3326)
# A ringing that takes longer is kept alive in proxies by a provisional response each minute (§13.3.1.1).
RING_REFRESH: Final = 60.0


class IncomingCall(Session):
    """One INVITE from a peer: rings until it is answered, rejected, cancelled or given up."""

    def __init__(
        self,
        core: Core,
        *,
        call: str,
        line: str,
        contact_user: str,
        caller: Caller,
        transaction: ServerTransaction,
        authenticator: Authenticator | None,
        replaces: Session | None = None,
    ) -> None:
        super().__init__(
            core,
            call=call,
            line=line,
            contact_user=contact_user,
            is_secure=transaction.request.uri[:5].lower() == "sips:",
            authenticator=authenticator,
        )
        self._caller = caller
        self._transaction = transaction
        self._replaces = replaces
        self._hangup_wanted = False
        self._answer: bytes | None = None  # the 2xx waits for a PRACK
        self._is_described = False  # a provisional response that was acknowledged settled what flows
        self._ring_alarm = core.alarm(self._ring_again)
        self._rung = (SIPStatus.RINGING, b"")
        self._reliable = ReliableProvisionals(core, transaction, self._no_prack)
        request = transaction.request
        self._may_be_reliable = "100rel" in request.tokens("supported") | request.tokens("require")
        self._must_be_reliable = "100rel" in request.tokens("require")
        self._we_offer = not request.session_description

    def start(self) -> None:
        """Make the dialog and tell of the call."""
        request = self._transaction.request
        self._adopt(
            Dialog.of_server(
                request, local_tag=self._transaction.to_tag, local_seq=int.from_bytes(self._core.chance.entropy(2))
            )
        )
        self.learn_capabilities(request)
        self._core.emit(
            CallReceived(
                call=self.id,
                line=self.line,
                remote=request.from_,
                caller=self._caller,
                flow=self._transaction.flow,
                offer=request.session_description,
                replaces=self._replaces.id if self._replaces is not None else None,
            )
        )
        self._signal("remote", "INVITE")

    @property
    def source(self) -> str:
        """The host that the INVITE came from."""
        return self._transaction.flow.remote[0]

    @property
    def owns_call_id(self) -> bool:
        """See `Session`: the caller made it."""
        return False

    @property
    def is_answered(self) -> bool:
        """See `InviteUsage`."""
        return self.is_confirmed or (not self._transaction.is_pending and not self.is_over)

    @property
    def is_ringing(self) -> bool:
        """Whether the INVITE waits for its final response."""
        return self._transaction.is_pending and self._answer is None

    # --- ringing ---

    def ring(self, status: SIPStatus, now: float, content: bytes = b"") -> None:
        """Send a provisional response: 180 Ringing, or 183 with early media.

        Without an offer in the INVITE, ``content`` is ours, and that takes a caller who knows 100rel (RFC 3262 §5).
        """
        self._require_ringing()
        if content and self._we_offer and not self._may_be_reliable:
            raise InvalidStateError(f"call {self.id} made no offer and can't take ours before the answer")
        self._rung = (status, content)
        self._send_provisional(now)
        self._signal("local", "INVITE", status, status.phrase)

    def _ring_again(self, now: float) -> None:
        self._rung = (self._rung[0], b"") if self._is_described else self._rung
        self._send_provisional(now)

    def _send_provisional(self, now: float) -> None:
        status, content = self._rung
        headers = [*self._dialog_headers(), *([("Content-Type", ACCEPT)] if content else [])]
        if self._must_be_reliable or (content and self._may_be_reliable):
            self._reliable.send(status, headers, content, now)
        else:
            self._transaction.respond(status, now, headers=headers, content=content)
        self._ring_alarm.set(now + RING_REFRESH)

    def _receive_prack(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        settles = self._reliable.carries_description
        if not self._reliable.acknowledge(request, now):
            transaction.respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, now)
            return
        description = request.session_description
        is_answer = settles and self._we_offer and not self._is_described
        self._is_described |= settles
        if description and not is_answer:
            self._open(transaction, self._answering(transaction))
        else:
            transaction.respond(SIPStatus.OK, now)
        if is_answer:
            self._core.emit(AnswerReceived(call=self.id, answer=description))
        self._send_answer(now)
        self.exchange_closed(now)

    def _no_prack(self, now: float) -> None:
        """RFC 3262 §3: a provisional response that is never acknowledged ends the call."""
        self._finish(SIPStatus.GATEWAY_TIMEOUT, now)
        self.end(EndCause.TIMEOUT, phrase="no PRACK came")

    # --- the final response ---

    def answer(self, content: bytes, now: float) -> None:
        """Send 200 OK with our answer (or our offer, when the INVITE had none), after the PRACK that is due."""
        self._require_ringing()
        self._answer = content
        self._send_answer(now)

    def _send_answer(self, now: float) -> None:
        if self._answer is None or not self._transaction.is_pending or self._reliable.holds_back_answer:
            return
        self._stop_ringing()
        content = b"" if self._is_described else self._answer
        self._offered = self._we_offer and not self._is_described
        headers = [*self._dialog_headers(), *self.timer.answer(self._transaction.request, now)]
        if content:
            headers.append(("Content-Type", ACCEPT))
        response = self._transaction.respond(SIPStatus.OK, now, headers=headers, content=content)
        self._await_ack(self._transaction, response, now)
        self._signal("local", "INVITE", SIPStatus.OK, SIPStatus.OK.phrase)
        if self._replaces is not None and not self._replaces.is_over:
            self._replaces.hangup(now)

    def reject(self, status: SIPStatus, now: float) -> None:
        """Refuse with a 3xx to 6xx."""
        self._require_ringing()
        self._finish(status, now)
        self.end(EndCause.REJECTED, status=status, phrase=status.phrase)

    def _finish(self, status: SIPStatus, now: float) -> None:
        self._transaction.respond(status, now)
        self._abort_pending(now)
        self._signal("local", "INVITE", status, status.phrase)

    def _stop_ringing(self) -> None:
        self._ring_alarm.clear()
        self._reliable.stop()

    def cancel(self, request: SIPMessage, now: float) -> None:
        """The caller gave up; a CANCEL that comes after the final response changes nothing (§9.2)."""
        if not self._transaction.is_pending:
            super().cancel(request, now)
            return
        self._abort_pending(now)
        self._signal("remote", "CANCEL")
        elsewhere = cause_of(request, SIP) == ANSWERED_ELSEWHERE
        cause = EndCause.ANSWERED_ELSEWHERE if elsewhere else EndCause.CANCELED
        self.end(cause, q850=cause_of(request, Q850))

    def hangup(self, now: float) -> None:
        """BYE; before the ACK it has to wait for it (§15). A ringing call is declined."""
        if self._transaction.is_pending:
            self._answer = None
            self.reject(SIPStatus.DECLINE, now)
        elif self.is_confirmed:
            self._hang_up(now)
        else:
            self._hangup_wanted = True

    def _acknowledged(self, answer: bytes, now: float) -> None:
        if self.is_confirmed:
            super()._acknowledged(answer, now)
            return
        self.is_confirmed = True
        self._signal("remote", "ACK")
        self._core.emit(CallConfirmed(call=self.id, answer=answer))
        held, self._held = self._held, []
        for send in held:
            send()
        if self._hangup_wanted:
            self.hangup(now)

    def _abort_pending(self, now: float) -> None:
        """A BYE in the early dialog ends the INVITE too (§15.1.2)."""
        super()._abort_pending(now)
        self._stop_ringing()
        if self._transaction.is_pending:
            self._transaction.respond(SIPStatus.REQUEST_TERMINATED, now)

    # --- offers before the answer ---

    @property
    def can_offer(self) -> bool:
        """See `Session`; before the answer only once a PRACK settled the first exchange (RFC 3311 §5.1)."""
        is_early = self._is_described and self._transaction.is_pending and not self._reliable.holds_back_answer
        is_free = self.open_offer is None and not self.modification.is_open and not self.is_over
        return super().can_offer or (is_early and is_free)

    @property
    def _owes_answer(self) -> bool:
        return self._transaction.is_pending and not self._is_described

    def _require_modifiable(self) -> None:
        if not (self._is_described and self._transaction.is_pending):
            super()._require_modifiable()

    def _require_ringing(self) -> None:
        if not self.is_ringing:
            raise InvalidStateError(f"call {self.id} is not ringing")

    def _dialog_headers(self) -> HeaderList:
        routes = [("Record-Route", value) for value in self._transaction.request.get_all("record-route")]
        return [*routes, ("Contact", f"<{self.contact(self._transaction.flow)}>"), *ALLOW_AND_SUPPORTED]
