"""The INVITE usage of a dialog (RFC 3261 §12 to §15): what is the same for caller and callee once a dialog exists."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.capabilities import ACCEPT, ALLOW, CAPABILITIES, unsupported_extensions
from sip_bridge.sip.client_request import ClientRequest, HeaderList, Plan
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.events import (
    AnswerReceived,
    CallEnded,
    CallSignaled,
    EndCause,
    InfoReceived,
    OfferReceived,
    Origin,
)
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.instant_message import receive_message
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.reason import Q850, cause_of
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.success import UnacknowledgedSuccess
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI

RETRY_AFTER_BOUND: Final = 10  # seconds, RFC 3261 §14.2


class Session(ABC):
    """One call. Its ``id`` names it to the caller of the endpoint; a call ends once, with `CallEnded`."""

    def __init__(self, core: Core, *, call: str, line: str, authenticator: Authenticator | None) -> None:
        self._core = core
        self._authenticator = authenticator
        self._unacknowledged: UnacknowledgedSuccess | None = None
        self._pending_offer: ServerTransaction | None = None
        self._offered = False  # the 2xx that waits for its ACK carries our offer
        self._local_tag = core.chance.token()
        self.id = call
        self.line = line
        self.dialog: Dialog | None = None
        self.is_confirmed = False
        self.is_over = False

    # --- orders ---

    @abstractmethod
    def hangup(self, now: float) -> None:
        """End the call, whatever state it is in."""

    def cancel(self, request: SIPMessage, now: float) -> None:  # noqa: ARG002  # the callee's has a reason in it
        """The peer gave up its re-INVITE; one that was answered stays answered (§9.2)."""
        if self._pending_offer is not None:
            self._take_pending_offer().respond(SIPStatus.REQUEST_TERMINATED, now)

    def accept_offer(self, content: bytes, now: float) -> None:
        """Answer the peer's re-INVITE or UPDATE; for one without an offer, ``content`` is our offer."""
        transaction = self._take_pending_offer()
        response = transaction.respond(
            SIPStatus.OK, now, headers=self._target_headers(transaction.flow), content=content
        )
        if transaction.request.method == "INVITE":
            self._offered = not transaction.request.content
            self._await_ack(transaction, response, now)

    def refuse_offer(self, status: SIPStatus, now: float) -> None:
        """Refuse the peer's re-INVITE or UPDATE; the session goes on as it was."""
        self._take_pending_offer().respond(status, now)

    def _take_pending_offer(self) -> ServerTransaction:
        if self._pending_offer is None:
            raise InvalidStateError(f"call {self.id} has no offer to answer")
        transaction, self._pending_offer = self._pending_offer, None
        return transaction

    # --- requests within the dialog ---

    def receive_request(self, transaction: ServerTransaction, now: float) -> None:
        """A request of the peer in this dialog (ACK and CANCEL apart)."""
        request = transaction.request
        assert self.dialog is not None  # noqa: S101  # it was found by its dialog
        if not self.dialog.is_in_order(request):
            transaction.respond(SIPStatus.SERVER_INTERNAL_ERROR, now, phrase="CSeq is not higher")
            return
        required = unsupported_extensions(request)
        if required:
            transaction.respond(SIPStatus.BAD_EXTENSION, now, headers=[("Unsupported", required)])
            return
        handler = self._HANDLERS.get(request.method or "")
        if handler is None:
            transaction.respond(SIPStatus.METHOD_NOT_ALLOWED, now, headers=[("Allow", ALLOW)])
            return
        handler(self, transaction, now)

    def _receive_bye(self, transaction: ServerTransaction, now: float) -> None:
        transaction.respond(SIPStatus.OK, now)
        self._signal("remote", "BYE")
        self._abort_pending(now)
        self.end(EndCause.HANGUP_REMOTE, q850=cause_of(transaction.request, Q850))

    def _abort_pending(self, now: float) -> None:
        """A BYE ends requests that still wait for their answer too (§15.1.2)."""
        if self._pending_offer is not None:
            self._take_pending_offer().respond(SIPStatus.REQUEST_TERMINATED, now)

    @property
    def _is_negotiating(self) -> bool:
        """Whether an offer or answer is still open: a further offer has to wait (§14.2, RFC 3311 §5.2)."""
        return self._pending_offer is not None or self._unacknowledged is not None

    def _receive_offer(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if self._is_negotiating:
            seconds = int(self._core.chance.fraction() * RETRY_AFTER_BOUND)
            transaction.respond(SIPStatus.SERVER_INTERNAL_ERROR, now, headers=[("Retry-After", str(seconds))])
            return
        if request.content and not request.session_description:
            transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=[("Accept", ACCEPT)])
            return
        assert self.dialog is not None  # noqa: S101  # it was found by its dialog
        self.dialog.refresh_target(request)
        if request.method == "UPDATE" and not request.content:
            transaction.respond(SIPStatus.OK, now, headers=self._target_headers(transaction.flow))
            return
        self._pending_offer = transaction
        self._core.emit(OfferReceived(call=self.id, offer=request.session_description))

    def _receive_info(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        transaction.respond(SIPStatus.OK, now)
        self._core.emit(InfoReceived(call=self.id, content_type=request.content_type, content=request.content))

    def _receive_options(self, transaction: ServerTransaction, now: float) -> None:
        transaction.respond(SIPStatus.OK, now, headers=CAPABILITIES)

    def _receive_message(self, transaction: ServerTransaction, now: float) -> None:
        receive_message(self._core, transaction, self.line, now)

    _HANDLERS: ClassVar[dict[str, Callable[["Session", ServerTransaction, float], None]]] = {
        "BYE": _receive_bye,
        "INVITE": _receive_offer,
        "UPDATE": _receive_offer,
        "INFO": _receive_info,
        "OPTIONS": _receive_options,
        "MESSAGE": _receive_message,
    }

    # --- the ACK to our 2xx ---

    def _await_ack(self, transaction: ServerTransaction, response: bytes, now: float) -> None:
        self._unacknowledged = UnacknowledgedSuccess(self._core, transaction, response, self._no_ack)
        self._unacknowledged.start(now)

    def receive_ack(self, request: SIPMessage, now: float) -> None:
        """The ACK to a 2xx of ours; others and retransmissions change nothing."""
        waiting = self._unacknowledged
        if waiting is None or waiting.seq != request.cseq.number:
            return
        waiting.stop()
        self._unacknowledged = None
        answer = request.session_description if self._offered else b""
        self._offered = False
        self._acknowledged(answer, now)

    def _acknowledged(self, answer: bytes, now: float) -> None:  # noqa: ARG002  # the callee needs the time
        if answer:
            self._core.emit(AnswerReceived(call=self.id, answer=answer))

    def _no_ack(self) -> None:
        """RFC 3261 §13.3.1.4: no ACK in 64*T1 ends the dialog."""
        self._unacknowledged = None
        self._send_bye()
        self.end(EndCause.TIMEOUT, phrase="no ACK came")

    # --- the end ---

    def _hang_up(self, now: float) -> None:
        self._abort_pending(now)
        self._send_bye()
        self.end(EndCause.HANGUP_LOCAL)

    def _send_bye(self) -> None:
        if not self.is_over:
            self._signal("local", "BYE")
        self.send_request("BYE", _Unheard())

    def send_request(self, method: str, user: "SessionRequestUser", content: bytes = b"") -> ClientRequest:
        """A request of ours within the dialog (§12.2.1)."""
        dialog = self.dialog
        assert dialog is not None  # noqa: S101  # nobody sends before the dialog
        uri, routes, hop = dialog.routing()

        def headers(_flow: Flow) -> HeaderList:
            return [
                ("From", dialog.local.format()),
                ("To", dialog.remote.format()),
                ("Call-ID", dialog.call_id),
                *(("Route", route) for route in routes),
            ]

        plan = Plan(
            method=method,
            uri=uri,
            hop=hop,
            headers=headers,
            next_seq=dialog.next_seq,
            content=content,
            authenticator=self._authenticator,
        )
        request = ClientRequest(self._core, plan, user)
        request.send()
        return request

    def end(
        self,
        cause: EndCause,
        *,
        status: SIPStatus | None = None,
        phrase: str | None = None,
        q850: int | None = None,
    ) -> None:
        """Tell that the call is over, once; the dialog goes when nothing more can come for it."""
        if self.is_over:
            return
        self.is_over = True
        if self._unacknowledged is not None:
            self._unacknowledged.stop()
            self._unacknowledged = None
        self._core.sessions.pop(self.id, None)
        self._forget_dialog()
        self._core.emit(CallEnded(call=self.id, cause=cause, status=status, phrase=phrase, q850=q850))

    def _forget_dialog(self) -> None:
        if self.dialog is not None:
            self._core.dialogs.pop(self.dialog.key, None)

    # --- shared building blocks ---

    def _adopt(self, dialog: Dialog) -> None:
        self.dialog = dialog
        self._core.dialogs[dialog.key] = self

    def _contact(self, flow: Flow, user: str) -> str:
        transport = () if flow.transport == "UDP" else (("transport", flow.transport.lower()),)
        return SIPURI(user=user, host=flow.local[0], port=flow.local[1], params=transport).format()

    def _target_headers(self, flow: Flow) -> HeaderList:
        """Contact, Allow and Content-Type of a message that sets or refreshes the target."""
        contact = self.dialog.local_contact if self.dialog else self._contact(flow, self.line)
        return [("Contact", f"<{contact}>"), ("Allow", ALLOW), ("Content-Type", ACCEPT)]

    def _signal(self, origin: Origin, method: str, status: SIPStatus | None = None, phrase: str | None = None) -> None:
        self._core.emit(CallSignaled(call=self.id, origin=origin, method=method, status=status, phrase=phrase))


class SessionRequestUser:
    """The user of a request within a dialog. A 481 or 408 to it means that the dialog is gone (§12.2.1.2)."""

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""


class _Unheard(SessionRequestUser):
    """BYE: whatever the answer, the call is over (§15.1.1)."""
