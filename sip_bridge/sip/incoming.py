"""A call to us: the UAS side of INVITE (RFC 3261 §13.3)."""

from typing import Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.events import CallConfirmed, CallReceived, EndCause
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.reason import Q850, SIP, cause_of
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
        transaction: ServerTransaction,
        authenticator: Authenticator | None,
    ) -> None:
        super().__init__(core, call=call, line=line, authenticator=authenticator)
        self._transaction = transaction
        self._contact_user = contact_user
        self._hangup_wanted = False
        self._ring_alarm = core.alarm(self._ring_again)
        self._rung = (SIPStatus.RINGING, b"")

    def start(self) -> None:
        """Make the dialog and tell of the call."""
        request = self._transaction.request
        self._adopt(
            Dialog.of_server(
                request,
                local_tag=self._transaction.to_tag,
                local_contact=self._contact(self._transaction.flow, self._contact_user),
                local_seq=int.from_bytes(self._core.chance.entropy(2)),
            )
        )
        self._core.emit(
            CallReceived(
                call=self.id,
                line=self.line,
                remote=request.from_,
                flow=self._transaction.flow,
                offer=request.session_description,
            )
        )
        self._signal("remote", "INVITE")

    @property
    def source(self) -> str:
        """The host that the INVITE came from."""
        return self._transaction.flow.remote[0]

    def ring(self, status: SIPStatus, now: float, content: bytes = b"") -> None:
        """Send a provisional response: 180 Ringing, or 183 with early media."""
        self._require_pending()
        self._rung = (status, content)
        self._ring_again(now)
        self._signal("local", "INVITE", status, status.phrase)

    def _ring_again(self, now: float) -> None:
        status, content = self._rung
        headers = self._dialog_headers() if content else self._dialog_headers()[:-1]
        self._transaction.respond(status, now, headers=headers, content=content)
        self._ring_alarm.set(now + RING_REFRESH)

    def answer(self, content: bytes, now: float) -> None:
        """Send 200 OK with our answer (or our offer, when the INVITE had none)."""
        self._require_pending()
        self._ring_alarm.clear()
        self._offered = not self._transaction.request.content
        response = self._transaction.respond(SIPStatus.OK, now, headers=self._dialog_headers(), content=content)
        self._await_ack(self._transaction, response, now)
        self._signal("local", "INVITE", SIPStatus.OK, SIPStatus.OK.phrase)

    def reject(self, status: SIPStatus, now: float) -> None:
        """Refuse with a 3xx to 6xx."""
        self._require_pending()
        self._ring_alarm.clear()
        self._transaction.respond(status, now)
        self._signal("local", "INVITE", status, status.phrase)
        self.end(EndCause.REJECTED, status=status, phrase=status.phrase)

    def cancel(self, request: SIPMessage, now: float) -> None:
        """The caller gave up; a CANCEL that comes after the final response changes nothing (§9.2)."""
        if not self._transaction.is_pending:
            super().cancel(request, now)
            return
        self._ring_alarm.clear()
        self._transaction.respond(SIPStatus.REQUEST_TERMINATED, now)
        self._signal("remote", "CANCEL")
        elsewhere = cause_of(request, SIP) == ANSWERED_ELSEWHERE
        cause = EndCause.ANSWERED_ELSEWHERE if elsewhere else EndCause.CANCELED
        self.end(cause, q850=cause_of(request, Q850))

    def hangup(self, now: float) -> None:
        """BYE; before the ACK it has to wait for it (§15). A ringing call is declined."""
        if self._transaction.is_pending:
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
        if self._hangup_wanted:
            self.hangup(now)

    def _abort_pending(self, now: float) -> None:
        """A BYE in the early dialog ends the INVITE too (§15.1.2)."""
        super()._abort_pending(now)
        self._ring_alarm.clear()
        if self._transaction.is_pending:
            self._transaction.respond(SIPStatus.REQUEST_TERMINATED, now)

    @property
    def _is_negotiating(self) -> bool:
        return self._transaction.is_pending or super()._is_negotiating

    def _require_pending(self) -> None:
        if not self._transaction.is_pending:
            raise InvalidStateError(f"call {self.id} is not ringing")

    def _dialog_headers(self) -> list[tuple[str, str]]:
        routes = [("Record-Route", value) for value in self._transaction.request.get_all("record-route")]
        return [*routes, *self._target_headers(self._transaction.flow)]
