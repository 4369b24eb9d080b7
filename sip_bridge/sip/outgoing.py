"""A call of ours: the UAC side of INVITE (RFC 3261 §13.2)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sip_bridge.sip.acknowledgement import Acknowledgement
from sip_bridge.sip.capabilities import ACCEPT, ALLOW_AND_SUPPORTED
from sip_bridge.sip.client_request import ClientRequest, HeaderList, Plan, Unminded
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.events import CallAnswered, CallPlaced, CallProgressed, EndCause, OfferReceived
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.plans import Origin
from sip_bridge.sip.reason import Q850, Reason, cause_of
from sip_bridge.sip.redirection import Redirection
from sip_bridge.sip.reliable import RAck, rseq_of
from sip_bridge.sip.session import OpenOffer, Session
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI

MAX_FORKS: Final = 16  # phones that answer one INVITE; more are not heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Whom to call and as whom; ``allows`` says where a redirection may lead."""

    origin: Origin
    display_name: str | None
    allows: Callable[[SIPURI], bool]
    offer: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, kw_only=True)
class _Leg:
    """One of the phones that an INVITE reached: its dialog, and how far its provisional responses are."""

    dialog: Dialog
    rseq: int | None = None  # of the last provisional response that was acknowledged
    answer: bytes = b""  # what it answered to our offer before the 2xx
    is_described: bool = False  # offer and answer were exchanged reliably
    ack: Acknowledgement | None = None


class OutgoingCall(Session):
    """One INVITE to a peer; the first 2xx wins, every other one is acknowledged and hung up."""

    def __init__(self, core: Core, *, call: str, invitation: Invitation) -> None:
        origin = invitation.origin
        super().__init__(
            core,
            call=call,
            line=origin.line.id,
            contact_user=origin.line.user,
            is_secure=origin.is_secure,
            authenticator=origin.authenticator,
        )
        self._invitation = invitation
        self._redirection = Redirection(origin.target, allows=invitation.allows)
        self._local = NameAddr(uri="")
        self._seq = 0
        self._legs: dict[str, _Leg] = {}
        self._cancel_sent = False
        self._is_elsewhere = False  # somebody else took the call
        self._request = self._request_to(origin.target)

    def start(self) -> None:
        """Send the INVITE."""
        remote = NameAddr(uri=self._invitation.origin.target.format())
        self._core.emit(CallPlaced(call=self.id, line=self.line, remote=remote))
        self._signal("local", "INVITE")
        self._request.send()

    @property
    def owns_call_id(self) -> bool:
        """See `Session`."""
        return True

    # --- the INVITE ---

    def _request_to(self, target: SIPURI) -> ClientRequest:
        route = replace(self._invitation.origin, target=target).route

        def headers(flow: Flow) -> HeaderList:
            return [*self._invite_headers(flow), *route.headers]

        plan = Plan(
            method="INVITE",
            uri=target.format(),
            hop=route.hop,
            headers=headers,
            next_seq=self._next_seq,
            content=self._invitation.offer,
            authenticator=self._authenticator,
        )
        return ClientRequest(self._core, plan, self)

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _invite_headers(self, flow: Flow) -> HeaderList:
        given = self._invitation
        self._local = replace(given.origin.local(flow, self._local_tag), display_name=given.display_name)
        return [
            ("From", self._local.format()),
            ("To", f"<{given.origin.target.format()}>"),
            ("Call-ID", self.id),
            ("Contact", f"<{self.contact(flow)}>"),
            *ALLOW_AND_SUPPORTED,
            *self.timer.request_headers(),
            *([("Content-Type", ACCEPT)] if given.offer else []),
            *given.headers,
        ]

    # --- responses to the INVITE ---

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        status = SIPStatus(response.status)
        if status.is_provisional:
            self._progress(request, status, response, now)
        elif status.is_success:
            self._success(request, response, now)
        elif not self.is_over and not self._goes_on(status, response):
            self._signal("remote", "INVITE", status, response.phrase)
            self._abort_pending(now)
            q850 = cause_of(response, Q850)
            self.end(EndCause.REJECTED, status=status, phrase=response.phrase, q850=q850)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del request
        if self.is_over or not self._goes_on(SIPStatus.REQUEST_TIMEOUT, None):
            self._abort_pending(now)
            self.end(cause)

    def _goes_on(self, status: SIPStatus, response: SIPMessage | None) -> bool:
        """Whether another INVITE takes the place of the refused one: elsewhere, or with a longer session timer."""
        if response is not None and status == SIPStatus.SESSION_INTERVAL_TOO_SMALL and self.timer.raise_to(response):
            target: SIPURI | None = SIPURI.parse(self._request.plan.uri)
        else:
            target = self._redirection.next_after(status, response)
        if target is None:
            return False
        self._forget_legs()
        self._request = self._request_to(target)
        self._request.send()
        return True

    def _progress(self, request: ClientRequest, status: SIPStatus, response: SIPMessage, now: float) -> None:
        if self.is_over:
            self._cancel(now)
            return
        leg = self._leg_of(response)
        rseq = rseq_of(response)
        if rseq is not None and (leg is None or not _is_next(leg, rseq)):
            return  # a repetition, or one that came before its predecessor: it is going to be repeated
        description = response.session_description
        if leg is not None and self._invitation.offer and description:
            leg.answer = description
        answer = description if self._invitation.offer else b""
        self._core.emit(CallProgressed(call=self.id, status=status, answer=answer))
        self._signal("remote", "INVITE", status, response.phrase)
        if leg is not None and rseq is not None:
            leg.rseq = rseq
            self._acknowledge_reliably(request, leg, description, now)

    def _leg_of(self, response: SIPMessage) -> _Leg | None:
        """The phone that a response comes from; None for one that makes no dialog (§12.1)."""
        tag = response.to.tag or ""
        makes_none = response.status == SIPStatus.TRYING or (not tag and response.status < SIPStatus.OK)
        if makes_none:
            return None
        if tag not in self._legs and len(self._legs) < MAX_FORKS:
            dialog = Dialog.of_client(response, local=self._local, request_uri=self._request.plan.uri)
            self._legs[tag] = _Leg(dialog=dialog)
            self._core.dialogs[dialog.key] = self
        leg = self._legs.get(tag)
        if leg is not None:
            self.learn_capabilities(response)
        return leg

    def _acknowledge_reliably(self, request: ClientRequest, leg: _Leg, description: bytes, now: float) -> None:
        """PRACK (RFC 3262 §4); a description in the response to an INVITE without offer is an offer (§5)."""
        rack = ("RAck", RAck(rseq=leg.rseq or 0, seq=request.seq, method="INVITE").format())

        def prack(content: bytes, now: float) -> None:
            del now
            headers = [rack, ("Content-Type", ACCEPT)] if content else [rack]
            self.send_request("PRACK", Unminded(), content=content, headers=headers, dialog=leg.dialog)

        def refuse(status: SIPStatus, now: float) -> None:
            del status
            prack(b"", now)
            self.hangup(now)

        def abandon(now: float) -> None:
            prack(b"", now)

        is_new = bool(description) and not leg.is_described
        if is_new:
            leg.is_described = True
            self.dialog = leg.dialog
        if is_new and not self._invitation.offer:
            self.open_offer = OpenOffer(accept=prack, refuse=refuse, abandon=abandon)
            self._core.emit(OfferReceived(call=self.id, offer=description))
        else:
            prack(b"", now)

    def _success(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        leg = self._leg_of(response)
        if leg is None:
            return
        if leg.ack is not None:
            leg.ack.repeat()
            return
        if self.is_confirmed and leg.dialog is self.dialog:
            return  # a repetition: its offer still waits for the answer that goes into the ACK
        leg.dialog.confirm(response, request_uri=request.plan.uri)
        description = response.session_description
        if self.is_confirmed or self.is_over:
            leg.ack = Acknowledgement(self._core, leg.dialog, request)
            leg.ack.send()
            self.send_request("BYE", Unminded(), dialog=leg.dialog, headers=self._farewell)
            self._core.dialogs.pop(leg.dialog.key, None)
            return
        for other in self._legs.values():
            self._core.dialogs.pop(other.dialog.key, None)
        self._adopt(leg.dialog)
        self.is_confirmed = True
        self.timer.agreed(response, now)
        if not self._invitation.offer and not leg.is_described and description:
            self._core.emit(CallAnswered(call=self.id, answer=b""))
            self._signal("remote", "INVITE", SIPStatus(response.status), response.phrase)
            self.open_offer = self._answering_success(request, leg)
            self._core.emit(OfferReceived(call=self.id, offer=description))
            return
        self._acknowledge(request, leg, b"")
        answer = (description or leg.answer) if self._invitation.offer else b""
        self._core.emit(CallAnswered(call=self.id, answer=answer))
        self._signal("remote", "INVITE", SIPStatus(response.status), response.phrase)
        self._signal("local", "ACK")
        self.exchange_closed(now)

    def _acknowledge(self, request: ClientRequest, leg: _Leg, content: bytes) -> None:
        leg.ack = Acknowledgement(self._core, leg.dialog, request, content)
        leg.ack.send()

    def _answering_success(self, request: ClientRequest, leg: _Leg) -> OpenOffer:
        """The 2xx brought the offer: our answer goes into the ACK (§13.2.2.4)."""

        def accept(content: bytes, now: float) -> None:
            del now
            self._acknowledge(request, leg, content)
            self._signal("local", "ACK")

        def refuse(status: SIPStatus, now: float) -> None:
            del status
            self._acknowledge(request, leg, b"")
            self._hang_up(now)

        def abandon(now: float) -> None:
            del now
            self._acknowledge(request, leg, b"")

        return OpenOffer(accept=accept, refuse=refuse, abandon=abandon)

    # --- offers before the answer ---

    def dialog_of(self, request: SIPMessage) -> Dialog:
        """See `Session`: before the answer each phone that rings has a dialog of its own."""
        return self._legs[request.from_.tag or ""].dialog

    def _receive_bye(self, transaction: ServerTransaction, now: float) -> None:
        """A callee may not end an early dialog that way (§15)."""
        if self.is_confirmed:
            super()._receive_bye(transaction, now)
        else:
            transaction.respond(SIPStatus.FORBIDDEN, now)

    @property
    def _is_early(self) -> bool:
        """Whether the phone that we hear has settled what flows, though it has not answered yet."""
        return not self.is_confirmed and any(
            leg.is_described and leg.dialog is self.dialog for leg in self._legs.values()
        )

    @property
    def can_offer(self) -> bool:
        """See `Session`; before the answer only once a PRACK settled the first exchange (RFC 3311 §5.1)."""
        is_free = self.open_offer is None and not self.modification.is_open and not self.is_over
        return super().can_offer or (self._is_early and is_free)

    def exchange_closed(self, now: float) -> None:
        """See `Session`: what the phone answered at first stands no more once it is changed; no 2xx revives it."""
        for leg in self._legs.values():
            if leg.dialog is self.dialog and self._is_early:
                leg.answer = b""
        super().exchange_closed(now)

    @property
    def _owes_answer(self) -> bool:
        return not self.is_confirmed and not self._is_early

    def _require_modifiable(self) -> None:
        if not self._is_early:
            super()._require_modifiable()

    # --- giving up ---

    def hangup(self, now: float) -> None:
        """BYE, or CANCEL before the answer."""
        if self.is_confirmed:
            self._hang_up(now)
            return
        self._abort_pending(now)
        self._request.abandon()
        if self._request.has_progressed:
            self._signal("local", "CANCEL")
            self._cancel(now)
        self.end(EndCause.ANSWERED_ELSEWHERE if self._is_elsewhere else EndCause.CANCELED)

    def leave_to_other(self, now: float) -> None:
        """Give up since somebody else took the call: the peer's phone shows no missed call (RFC 3326)."""
        self._is_elsewhere = True
        self.hangup(now)

    @property
    def _farewell(self) -> HeaderList:
        """Why the peer hears no more of the call."""
        return [("Reason", Reason.answered_elsewhere().format())] if self._is_elsewhere else []

    def _hang_up(self, now: float) -> None:
        if not self._is_elsewhere:
            super()._hang_up(now)
            return
        self._abort_pending(now)
        self._send_bye(Reason.answered_elsewhere())
        self.end(EndCause.ANSWERED_ELSEWHERE)

    def _cancel(self, now: float) -> None:
        """CANCEL may only follow a provisional response (§9.1); without one it is sent when that comes."""
        if not self._cancel_sent:
            self._cancel_sent = True
            self._request.cancel(now, more=self._farewell)

    def _forget_dialogs(self) -> None:
        super()._forget_dialogs()
        for leg in self._legs.values():
            self._core.dialogs.pop(leg.dialog.key, None)

    def _forget_legs(self) -> None:
        self._forget_dialogs()
        self._legs.clear()
        self.dialog = None


def _is_next(leg: _Leg, rseq: int) -> bool:
    return leg.rseq is None or rseq == leg.rseq + 1
