"""A call of ours: the UAC side of INVITE (RFC 3261 §13.2)."""

from dataclasses import dataclass
from typing import Final

from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.capabilities import ALLOW
from sip_bridge.sip.client_request import MAX_FORWARDS, ClientRequest, HeaderList, Plan
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.events import CallAnswered, CallPlaced, CallProgressed, EndCause
from sip_bridge.sip.fields import COOKIE, NameAddr, Via
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.message import VERSION, SIPMessage
from sip_bridge.sip.reason import Q850, cause_of
from sip_bridge.sip.session import Session
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI

MAX_FORKS: Final = 16  # phones that answer one INVITE; more are not heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Whom to call and as whom; ``domain`` None puts our address towards the peer into From."""

    target: str
    user: str
    display_name: str | None
    domain: str | None
    hop: Hop
    offer: bytes
    routes: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class OutgoingCall(Session):
    """One INVITE to a peer; the first 2xx wins, every other one is acknowledged and hung up."""

    def __init__(
        self,
        core: Core,
        *,
        call: str,
        call_id: str,
        line: str,
        invitation: Invitation,
        authenticator: Authenticator | None,
    ) -> None:
        super().__init__(core, call=call, line=line, authenticator=authenticator)
        self._call_id = call_id
        self._invitation = invitation
        self._local = NameAddr(uri="")
        self._seq = 0
        self._acks: dict[str, _Acknowledgement] = {}
        self._cancel_sent = False
        plan = Plan(
            method="INVITE",
            uri=invitation.target,
            hop=invitation.hop,
            headers=self._invite_headers,
            next_seq=self._next_seq,
            content=invitation.offer,
            authenticator=authenticator,
        )
        self._request = ClientRequest(core, plan, self)

    def start(self) -> None:
        """Send the INVITE."""
        self._core.emit(CallPlaced(call=self.id, line=self.line, remote=NameAddr(uri=self._invitation.target)))
        self._signal("local", "INVITE")
        self._request.send()

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _invite_headers(self, flow: Flow) -> HeaderList:
        given = self._invitation
        self._local = NameAddr(
            uri=SIPURI(user=given.user, host=given.domain or flow.local[0]).format(),
            display_name=given.display_name,
            params=(("tag", self._local_tag),),
        )
        return [
            ("From", self._local.format()),
            ("To", f"<{given.target}>"),
            ("Call-ID", self._call_id),
            ("Contact", f"<{self._contact(flow, given.user)}>"),
            ("Allow", ALLOW),
            ("Content-Type", "application/sdp"),
            *(("Route", route) for route in given.routes),
            *given.headers,
        ]

    # --- responses to the INVITE ---

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        status = SIPStatus(response.status)
        if status.is_provisional:
            self._progress(status, response, now)
        elif status.is_success:
            self._success(request, response, now)
        elif not self.is_over:
            self._signal("remote", "INVITE", status, response.phrase)
            q850 = cause_of(response, Q850)
            self.end(EndCause.REJECTED, status=status, phrase=response.phrase, q850=q850)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del request, now
        self.end(cause)

    def _progress(self, status: SIPStatus, response: SIPMessage, now: float) -> None:
        if self.is_over:
            self._cancel(now)
            return
        self._core.emit(CallProgressed(call=self.id, status=status, answer=response.session_description))
        self._signal("remote", "INVITE", status, response.phrase)

    def _success(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        tag = response.to.tag or ""
        if tag in self._acks:
            self._acks[tag].repeat()
            return
        if len(self._acks) >= MAX_FORKS:
            return
        flow = request.flow
        dialog = Dialog.of_client(
            response,
            local=self._local,
            local_contact=self._contact(flow, self._invitation.user),
            request_uri=self._invitation.target,
        )
        self._acks[tag] = _Acknowledgement(self._core, dialog, request)
        self._acks[tag].send()
        if self.dialog is not None or self.is_over:
            unwanted = _UnwantedLeg(self._core, call=self.id, line=self.line, authenticator=self._authenticator)
            unwanted.dialog = dialog
            unwanted.hangup(now)
            return
        self._adopt(dialog)
        self.is_confirmed = True
        self._core.emit(CallAnswered(call=self.id, answer=response.session_description))
        self._signal("remote", "INVITE", SIPStatus(response.status), response.phrase)
        self._signal("local", "ACK")

    # --- giving up ---

    def hangup(self, now: float) -> None:
        """BYE, or CANCEL before the answer."""
        if self.is_confirmed:
            self._hang_up(now)
            return
        self._request.abandon()
        if self._request.has_progressed:
            self._signal("local", "CANCEL")
            self._cancel(now)
        self.end(EndCause.CANCELED)

    def _cancel(self, now: float) -> None:
        """CANCEL may only follow a provisional response (§9.1); without one it is sent when that comes."""
        if not self._cancel_sent:
            self._cancel_sent = True
            self._request.cancel(now)


class _UnwantedLeg(Session):
    """A fork that answered second, or after we gave up: hung up at once, and not told of."""

    def hangup(self, now: float) -> None:  # noqa: ARG002  # every session's signature
        """BYE."""
        self.is_over = True
        self._send_bye()


class _Acknowledgement:
    """The ACK to a 2xx: a request of its own, end to end, repeated for each repeated 2xx (§13.2.2.4)."""

    def __init__(self, core: Core, dialog: Dialog, request: ClientRequest) -> None:
        self._core = core
        self._dialog = dialog
        self._request = request
        self._seq = request.seq
        self._credentials = tuple(request.credentials)  # the INVITE's own: an ACK can't be challenged (§22.1)
        self._uri, self._routes, self._hop = dialog.routing()
        self._sent: tuple[bytes, Flow] | None = None

    def send(self) -> None:
        """Resolve the route, then send."""
        self._core.resolve(self._hop, self)

    def repeat(self) -> None:
        """The 2xx came once more; as long as the route is being resolved, the first ACK is still to come."""
        if self._sent is not None:
            self._core.layer.transmit(*self._sent)

    def resolved(self, flows: tuple[Flow, ...], now: float) -> None:
        """See `Resolving`; when the Contact leads nowhere, the ACK goes where the INVITE went."""
        del now
        flow = flows[0] if flows else self._request.flow
        host, port = flow.local
        branch = COOKIE + self._core.chance.token()
        via = Via(transport=flow.transport, host=host, port=port, params=(("rport", None), ("branch", branch)))
        lines = [
            f"ACK {self._uri} {VERSION}",
            f"Via: {via.format()}",
            f"Max-Forwards: {MAX_FORWARDS}",
            f"From: {self._dialog.local.format()}",
            f"To: {self._dialog.remote.format()}",
            f"Call-ID: {self._dialog.call_id}",
            f"CSeq: {self._seq} ACK",
            *(f"Route: {route}" for route in self._routes),
            *(f"{name}: {value}" for name, value in self._credentials),
            f"User-Agent: {self._core.user_agent}",
            "Content-Length: 0\r\n\r\n",
        ]
        data = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        self._sent = (data, flow)
        self._core.layer.transmit(data, flow)
