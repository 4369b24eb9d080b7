"""The INVITE usage of a dialog (RFC 3261 §12 to §15): what is the same for caller and callee once a dialog exists."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.capabilities import ACCEPT, ALLOW, ALLOW_AND_SUPPORTED, CAPABILITIES, unsupported_extensions
from sip_bridge.sip.client_request import HeaderList
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.dispatcher import has_foreign_body
from sip_bridge.sip.event_package import EventType
from sip_bridge.sip.events import (
    AnswerReceived,
    EndCause,
    InfoReceived,
    OfferReceived,
)
from sip_bridge.sip.info import Info
from sip_bridge.sip.instant_message import receive_message
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.modification import Modification, Refresh
from sip_bridge.sip.reason import Q850, Reason, cause_of
from sip_bridge.sip.referral import PACKAGE, Referral
from sip_bridge.sip.replaces import Replaces
from sip_bridge.sip.session_timer import MIN_SE_HEADER, SessionTimer, is_too_brief
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.success import UnacknowledgedSuccess
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.transfer import Transfer
from sip_bridge.sip.usage import NORMAL_CLEARING, InviteUsage

RETRY_AFTER_BOUND: Final = 10  # seconds, RFC 3261 §14.2
_NO_PACKAGES: Final = [("Recv-Info", "nil")]  # RFC 6086: we take INFO without a package only


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOffer:
    """An offer of the peer that the application has not answered yet, and the ways to do it."""

    accept: Callable[[bytes, float], None]
    refuse: Callable[[SIPStatus, float], None]
    abandon: Callable[[float], None]  # the call ends, or the peer gave it up


class Session(InviteUsage):
    """One call. Its ``id`` names it to the caller of the endpoint; a call ends once, with `CallEnded`."""

    def __init__(
        self,
        core: Core,
        *,
        call: str,
        line: str,
        contact_user: str,
        is_secure: bool,
        authenticator: Authenticator | None,
    ) -> None:
        super().__init__(
            core,
            call=call,
            line=line,
            contact_user=contact_user,
            is_secure=is_secure,
            authenticator=authenticator,
        )
        self._unacknowledged: UnacknowledgedSuccess | None = None
        self._offered = False  # the 2xx that waits for its ACK carries our offer
        self._peer_allows: frozenset[str] = frozenset()
        self.open_offer: OpenOffer | None = None
        self.timer = SessionTimer(core, refresh=self._refresh, expire=self._expire)
        self.modification = Modification(core, self)
        self.transfer = Transfer(core, self)
        self.referral = Referral(core, self)

    # --- orders ---

    def cancel(self, request: SIPMessage, now: float) -> None:  # noqa: ARG002  # the callee's has a reason in it
        """The peer gave up its re-INVITE; one that was answered stays answered (§9.2)."""
        if self.open_offer is not None:
            self._take_open_offer().abandon(now)
            self.exchange_closed(now)

    def accept_offer(self, content: bytes, now: float) -> None:
        """Answer the peer's offer; for a re-INVITE without one, ``content`` is our offer."""
        self._take_open_offer().accept(content, now)
        self.exchange_closed(now)

    def refuse_offer(self, status: SIPStatus, now: float) -> None:
        """Refuse the peer's offer; the session goes on as it was."""
        self._take_open_offer().refuse(status, now)
        self.exchange_closed(now)

    def _take_open_offer(self) -> OpenOffer:
        if self.open_offer is None:
            raise InvalidStateError(f"call {self.id} has no offer to answer")
        offer, self.open_offer = self.open_offer, None
        return offer

    def modify(self, now: float) -> None:
        """Change the session: `OfferNeeded` follows as soon as an offer may go out."""
        self._require_modifiable()
        self.modification.want(now)

    def send_info(self, content_type: str, content: bytes) -> None:
        """INFO with a body (RFC 6086 §4.2.2 calls this legacy usage); `InfoAnswered` tells the outcome."""
        self.require_talking()
        headers = [("Content-Type", content_type)]
        info = Info(self._core, self)
        self.when_confirmed(lambda: self.send_request("INFO", info, content=content, headers=headers))

    def refer(self, target: str, replaces: Replaces | None, now: float) -> None:
        """Ask the peer to call ``target``, taking the place of a call of ours if ``replaces`` names it."""
        self.require_talking()
        self.transfer.start(target, replaces, now)

    def _require_modifiable(self) -> None:
        self.require_talking()

    # --- requests within the dialog ---

    def dialog_of(self, request: SIPMessage) -> Dialog:  # noqa: ARG002  # a caller may have several early ones
        """The dialog that a request belongs to."""
        assert self.dialog is not None  # noqa: S101  # it was found by its dialog
        return self.dialog

    def receive_request(self, transaction: ServerTransaction, now: float) -> None:
        """A request of the peer in this dialog (ACK and CANCEL apart)."""
        request = transaction.request
        if not self.dialog_of(request).is_in_order(request):
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
        self.transfer.peer_left()
        self._abort_pending(now)
        self.end(EndCause.HANGUP_REMOTE, q850=cause_of(transaction.request, Q850))

    def _abort_pending(self, now: float) -> None:
        """A BYE ends requests that still wait for their answer too (§15.1.2)."""
        if self.open_offer is not None:
            self._take_open_offer().abandon(now)
        self.referral.abandon(now)
        self.modification.abandon(now)

    def _receive_info(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if request.get("info-package") is not None:
            transaction.respond(SIPStatus.BAD_INFO_PACKAGE, now, headers=_NO_PACKAGES)
            return
        transaction.respond(SIPStatus.OK, now)
        self._signal("remote", "INFO")
        self._core.emit(InfoReceived(call=self.id, content_type=request.content_type, content=request.content))

    def _receive_options(self, transaction: ServerTransaction, now: float) -> None:
        transaction.respond(SIPStatus.OK, now, headers=CAPABILITIES)

    def _receive_message(self, transaction: ServerTransaction, now: float) -> None:
        receive_message(self._core, transaction, self.line, now)

    def _receive_refer(self, transaction: ServerTransaction, now: float) -> None:
        if not self.is_answered:
            transaction.respond(SIPStatus.FORBIDDEN, now)
            return
        self._signal("remote", "REFER")
        self.referral.receive(transaction, now)

    def _receive_notify(self, transaction: ServerTransaction, now: float) -> None:
        if EventType.of(transaction.request).package == PACKAGE:
            self.transfer.receive_notify(transaction, now)
        else:
            transaction.respond(SIPStatus.BAD_EVENT, now, headers=[("Allow-Events", PACKAGE)])

    def _receive_subscribe(self, transaction: ServerTransaction, now: float) -> None:
        self.referral.receive_subscribe(transaction, now)

    def _receive_prack(self, transaction: ServerTransaction, now: float) -> None:
        """Only a callee that rings waits for one (RFC 3262 §3)."""
        transaction.respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, now)

    # --- offers of the peer ---

    @property
    def can_offer(self) -> bool:
        """Whether no exchange of session descriptions is open, so that ours may begin (§14.1, RFC 3311 §5.1)."""
        if self.is_over or self.open_offer is not None or self.modification.is_open:
            return False
        return self.is_confirmed and self._unacknowledged is None

    def exchange_closed(self, now: float) -> None:
        """An exchange of session descriptions is over: what waited for it may go on."""
        self.modification.freed(now)

    def _receive_offer(self, transaction: ServerTransaction, now: float) -> None:
        """A re-INVITE or UPDATE."""
        request = transaction.request
        is_refresh = request.method == "UPDATE" and not request.session_description
        if not is_refresh and self._refuse_glare(transaction, now):
            return
        if has_foreign_body(request):
            transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=[("Accept", ACCEPT)])
            return
        if is_too_brief(request):
            transaction.respond(SIPStatus.SESSION_INTERVAL_TOO_SMALL, now, headers=[MIN_SE_HEADER])
            return
        self.dialog_of(request).refresh_target(request)
        self.learn_capabilities(request)
        if is_refresh:
            transaction.respond(SIPStatus.OK, now, headers=self._agreeing_headers(transaction, now))
            return
        self._open(transaction, self._answering(transaction))

    def _refuse_glare(self, transaction: ServerTransaction, now: float) -> bool:
        """An offer while another exchange is open (§14.2, RFC 3311 §5.2, RFC 5407 §3.1)."""
        if self.modification.is_open or self._unacknowledged is not None:
            transaction.respond(SIPStatus.REQUEST_PENDING, now)
        elif self.open_offer is not None or self._owes_answer:
            seconds = int(self._core.chance.fraction() * RETRY_AFTER_BOUND)
            transaction.respond(SIPStatus.SERVER_INTERNAL_ERROR, now, headers=[("Retry-After", str(seconds))])
        else:
            return False
        return True

    @property
    @abstractmethod
    def _owes_answer(self) -> bool:
        """Whether the offer of the INVITE itself is still to be answered."""

    def _open(self, transaction: ServerTransaction, offer: OpenOffer) -> None:
        self.open_offer = offer
        self._core.emit(OfferReceived(call=self.id, offer=transaction.request.session_description))

    def _answering(self, transaction: ServerTransaction) -> OpenOffer:
        """How the offer in a request is answered."""

        def accept(content: bytes, now: float) -> None:
            headers = [*self._agreeing_headers(transaction, now), ("Content-Type", ACCEPT)]
            response = transaction.respond(SIPStatus.OK, now, headers=headers, content=content)
            if transaction.request.method == "INVITE":
                self._offered = not transaction.request.session_description
                self._await_ack(transaction, response, now)

        def refuse(status: SIPStatus, now: float) -> None:
            transaction.respond(status, now)

        def abandon(now: float) -> None:
            transaction.respond(SIPStatus.REQUEST_TERMINATED, now)

        return OpenOffer(accept=accept, refuse=refuse, abandon=abandon)

    def _agreeing_headers(self, transaction: ServerTransaction, now: float) -> HeaderList:
        """Contact, capabilities and session timer of a 2xx to INVITE or UPDATE."""
        contact = ("Contact", f"<{self.contact(transaction.flow)}>")
        return [contact, *ALLOW_AND_SUPPORTED, *self.timer.answer(transaction.request, now)]

    _HANDLERS: ClassVar[dict[str, Callable[["Session", ServerTransaction, float], None]]] = {
        "BYE": lambda self, transaction, now: self._receive_bye(transaction, now),  # a caller has its own
        "INVITE": _receive_offer,
        "UPDATE": _receive_offer,
        "INFO": _receive_info,
        "OPTIONS": _receive_options,
        "MESSAGE": _receive_message,
        "REFER": _receive_refer,
        "NOTIFY": _receive_notify,
        "SUBSCRIBE": _receive_subscribe,
        "PRACK": lambda self, transaction, now: self._receive_prack(transaction, now),  # the callee has its own
    }

    # --- the ACK to our 2xx ---

    def _await_ack(self, transaction: ServerTransaction, response: bytes, now: float) -> None:
        self._unacknowledged = UnacknowledgedSuccess(self._core, transaction, response, self._no_ack)
        self._unacknowledged.start(now)

    def receive_ack(self, request: SIPMessage, now: float) -> None:
        """The ACK to a 2xx of ours; others and retransmissions change nothing."""
        waiting = self._unacknowledged
        if waiting is None or waiting.seq != request.keys.seq:
            return
        waiting.stop()
        self._unacknowledged = None
        answer = request.session_description if self._offered else b""
        self._offered = False
        self._acknowledged(answer, now)
        self.exchange_closed(now)

    def _acknowledged(self, answer: bytes, now: float) -> None:  # noqa: ARG002  # the callee needs the time
        if answer:
            self._core.emit(AnswerReceived(call=self.id, answer=answer))

    def _no_ack(self, now: float) -> None:
        """RFC 3261 §13.3.1.4: no ACK in 64*T1 ends the dialog."""
        self._unacknowledged = None
        self._abort_pending(now)
        self._send_bye(Reason.of_status(SIPStatus.REQUEST_TIMEOUT, "no ACK came"))
        self.end(EndCause.TIMEOUT, phrase="no ACK came")

    # --- session timer ---

    def learn_capabilities(self, message: SIPMessage) -> None:
        """Which methods the peer allows, as its latest Allow has it (RFC 3311 §4)."""
        if message.get("allow") is not None:
            self._peer_allows = message.tokens("allow")

    def peer_allows(self, method: str) -> bool:
        """Whether the peer's latest Allow names a method."""
        return method.lower() in self._peer_allows

    def _refresh(self, now: float) -> None:
        if self.peer_allows("UPDATE"):
            Refresh(self).send()
        else:
            self.modification.want(now)

    def _expire(self, now: float) -> None:
        self.lost(now, cause=EndCause.TIMEOUT)

    # --- the end ---

    def _hang_up(self, now: float) -> None:
        self._abort_pending(now)
        self._send_bye(Reason.of_cause(NORMAL_CLEARING))
        self.end(EndCause.HANGUP_LOCAL)

    def lost(
        self,
        now: float,
        status: SIPStatus | None = None,
        phrase: str | None = None,
        *,
        cause: EndCause = EndCause.TIMEOUT,
    ) -> None:
        """The peer knows the dialog no more, or is gone: BYE all the same, and over (§12.2.1.2, RFC 5057)."""
        if not self.is_over:
            self._abort_pending(now)
            self._send_bye(Reason.of_status(status or SIPStatus.REQUEST_TIMEOUT, phrase))
            self.end(cause, status=status, phrase=phrase or "the other side is gone")

    def end(
        self,
        cause: EndCause,
        *,
        status: SIPStatus | None = None,
        phrase: str | None = None,
        q850: int | None = None,
    ) -> None:
        """See `InviteUsage`: nothing of it waits any more."""
        if self._unacknowledged is not None:
            self._unacknowledged.stop()
            self._unacknowledged = None
        self.timer.stop()
        self.modification.stop()
        self.transfer.stop()
        super().end(cause, status=status, phrase=phrase, q850=q850)
