"""The one public object of the SIP core: routes messages, owns the machines.

``receive``, ``tick`` and the orders take the time as ``now`` (seconds of any steady clock); after each of them
``drain`` gives what is to be sent and what happened, until it is empty.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sip_bridge.errors import InvalidStateError, RemoteProtocolError, SIPParseError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.core import ACCEPT, ALLOW, Core
from sip_bridge.sip.events import Output, RegistrationState
from sip_bridge.sip.fields import check_value
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.incoming import IncomingCall
from sip_bridge.sip.line import Line, RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.outgoing import Invitation, OutgoingCall
from sip_bridge.sip.policy import MAX_CALLS, MAX_UNANSWERED_PER_SOURCE, Policy
from sip_bridge.sip.registration import Registration
from sip_bridge.sip.responses import build_refusal
from sip_bridge.sip.session import Session, required_extensions
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.target import checked_headers, first_hop, target_uri
from sip_bridge.sip.timers import RFC3261, Timers
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI, scheme_of

_KNOWN_METHODS: Final = frozenset(
    {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "REGISTER", "MESSAGE", "SUBSCRIBE", "NOTIFY"}
    | {"REFER", "PUBLISH", "PRACK"}
)


class Endpoint:
    """A SIP user agent for any number of lines over shared flows."""

    def __init__(
        self, *, entropy: Callable[[int], bytes], timers: Timers = RFC3261, user_agent: str = "sip-bridge"
    ) -> None:
        self._core = Core(timers=timers, entropy=entropy, user_agent=user_agent)
        self._policy = Policy()
        self._registrations: dict[str, Registration] = {}
        self._authenticators: dict[str, Authenticator] = {}

    # --- time and output ---

    @property
    def next_deadline(self) -> float | None:
        """When `tick` wants to be called, None when nothing waits."""
        return self._core.schedule.next_deadline

    def tick(self, now: float) -> None:
        """Fire every timer that is due."""
        self._core.schedule.run(now)

    def drain(self) -> Iterator[Output]:
        """What is to be sent and what happened, in order; what is added while draining comes too."""
        outbox = self._core.outbox
        while outbox:
            yield outbox.popleft()

    @property
    def counters(self) -> Mapping[str, int]:
        """How often something was dropped or refused, by name."""
        return self._core.counters

    @property
    def transactions(self) -> int:
        """How many transactions are alive."""
        return len(self._core.layer)

    @property
    def calls(self) -> int:
        """How many calls are alive."""
        return len(self._core.sessions)

    @property
    def has_open_requests(self) -> bool:
        """Whether a request of ours still waits for its final response."""
        return self._core.layer.has_open_requests

    def resolved(self, hop: Hop, flows: tuple[Flow, ...], now: float) -> None:
        """The answer to `ResolveNeeded`: flows to the hop, best first; none when it can't be reached."""
        hosts = frozenset(flow.remote[0] for flow in flows)
        for line in self._policy.lines.values():
            if isinstance(line, RegisteredLine) and line.first_hop == hop and hosts:
                self._policy.trust(line.id, hosts)
        self._core.resolved(hop, flows, now)

    def transport_failed(self, flow: Flow, now: float) -> None:
        """Sending over a flow failed."""
        self._core.layer.transport_failed(flow, now)

    # --- lines ---

    def add_line(self, line: Line) -> None:
        """Serve a line; a registered one registers when `register` is called."""
        self._policy.add(line)
        if isinstance(line, RegisteredLine):
            authenticator = None
            if line.credentials is not None:
                authenticator = self._authenticators[line.id] = Authenticator(
                    line.credentials,
                    realm=line.realm,
                    token=self._core.chance.token,
                    trusts=lambda host: self._policy.trusts(line.id, host),
                )
            self._registrations[line.id] = Registration(self._core, line, authenticator)

    def register(self, line: str, now: float) -> None:
        """Register a line and keep it registered."""
        self._registration(line).start(now)

    def unregister(self, line: str, now: float) -> None:
        """Remove a line's registration."""
        self._registration(line).stop(now)

    def registration_state(self, line: str) -> RegistrationState:
        """Where a line's registration stands."""
        return self._registration(line).state

    def _registration(self, line: str) -> Registration:
        if line not in self._registrations:
            raise InvalidStateError(f"line {line} has no registrar")
        return self._registrations[line]

    # --- calls ---

    def invite(
        self,
        line_id: str,
        target: str,
        offer: bytes,
        now: float,
        *,
        from_name: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Place a call to a number or URI; returns the call's id. LocalProtocolError for a target that is none."""
        del now
        line = self._policy.lines[line_id]
        uri = target_uri(line, target)
        hop = first_hop(line, uri)
        proxy = line.outbound_proxy if isinstance(line, RegisteredLine) and hop == line.first_hop else None
        call_id = self._core.chance.token(16)
        session = OutgoingCall(
            self._core,
            call=call_id,
            call_id=call_id,
            line=line.id,
            invitation=Invitation(
                target=uri.format(),
                user=line.user,
                display_name=check_value(from_name or line.display_name, "from_name"),
                domain=line.domain if isinstance(line, RegisteredLine) else None,
                hop=hop,
                offer=offer,
                routes=(f"<{proxy.format()}>",) if proxy else (),
                headers=checked_headers(headers or {}),
            ),
            authenticator=self._authenticators.get(line.id),
        )
        self._core.sessions[session.id] = session
        session.start()
        return session.id

    def first_hop(self, line_id: str, target: str) -> Hop:
        """Where an INVITE to a target would go first; LocalProtocolError for a target that is none."""
        line = self._policy.lines[line_id]
        return first_hop(line, target_uri(line, target))

    def ring(self, call: str, status: SIPStatus, now: float, content: bytes = b"") -> None:
        """Send a provisional response to a received call."""
        self._incoming(call).ring(status, now, content)

    def answer(self, call: str, content: bytes, now: float) -> None:
        """Answer a received call with 200 OK."""
        self._incoming(call).answer(content, now)

    def reject(self, call: str, status: SIPStatus, now: float) -> None:
        """Refuse a received call with a 3xx to 6xx."""
        self._incoming(call).reject(status, now)

    def hangup(self, call: str, now: float) -> None:
        """End a call, whatever state it is in."""
        self._session(call).hangup(now)

    def accept_offer(self, call: str, content: bytes, now: float) -> None:
        """Answer `OfferReceived`."""
        self._session(call).accept_offer(content, now)

    def refuse_offer(self, call: str, status: SIPStatus, now: float) -> None:
        """Refuse `OfferReceived`."""
        self._session(call).refuse_offer(status, now)

    def _session(self, call: str) -> Session:
        session = self._core.sessions.get(call)
        if session is None:
            raise InvalidStateError(f"call {call} is over")
        return session

    def _incoming(self, call: str) -> IncomingCall:
        session = self._session(call)
        if not isinstance(session, IncomingCall):
            raise InvalidStateError(f"call {call} is not an incoming call")
        return session

    # --- messages ---

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Bytes of one message arrived; never raises on what a peer sent: it answers, or drops and counts."""
        if not data.strip(b"\r\n\0 "):
            self._core.counters["keep_alives"] += 1
            return
        try:
            message = SIPMessage(data)
        except SIPParseError:
            self._core.counters["malformed"] += 1
            return
        try:
            message.validate(stream=flow.is_reliable)
        except RemoteProtocolError as error:
            self._core.counters["malformed"] += 1
            self._refuse_statelessly(message, flow, SIPStatus(error.status))
            return
        if message.is_request:
            self._receive_request(message, flow, now)
        elif not self._core.layer.receive_response(message, flow, now):
            self._core.counters["stray_responses"] += 1

    def _refuse_statelessly(self, request: SIPMessage, flow: Flow, status: SIPStatus) -> None:
        """Tell a known peer what is wrong with its request, if the request says enough to be answered."""
        if not request.is_request or request.method == "ACK" or not self._policy.is_known(flow):
            return
        refusal = build_refusal(request, flow, status, self._core.chance.token())
        if refusal is not None:
            self._core.layer.transmit(*refusal)

    def _receive_request(self, request: SIPMessage, flow: Flow, now: float) -> None:
        layer = self._core.layer
        known = layer.find_server(request, "INVITE" if request.method == "ACK" else request.method or "")
        if known is not None:
            if known.receive(request, now):
                self._receive_ack(request, now)
        elif request.method == "ACK":
            self._receive_ack(request, now)
        elif request.method == "CANCEL":
            self._receive_cancel(request, flow, now)
        elif request.to.tag is not None:
            self._receive_in_dialog(request, flow, now)
        elif not self._policy.is_known(flow):
            self._core.counters["strangers"] += 1
        else:
            self._receive_initial(request, flow, now)

    def _open(self, request: SIPMessage, flow: Flow, now: float) -> ServerTransaction:
        return self._core.layer.open_server(request, flow, self._core.chance.token(), now)

    @contextmanager
    def _refusing(self, transaction: ServerTransaction, now: float) -> Iterator[None]:
        """Answers the request with the status that a RemoteProtocolError names."""
        try:
            yield
        except RemoteProtocolError as error:
            self._core.counters["malformed"] += 1
            transaction.respond(SIPStatus(error.status), now)

    def _dialog_of(self, request: SIPMessage) -> Session | None:
        return self._core.dialogs.get((request.call_id, request.to.tag or "", request.from_.tag or ""))

    def _receive_ack(self, request: SIPMessage, now: float) -> None:
        session = self._dialog_of(request)
        if session is None:
            self._core.counters["stray_acks"] += 1
        else:
            session.receive_ack(request, now)

    def _receive_in_dialog(self, request: SIPMessage, flow: Flow, now: float) -> None:
        session = self._dialog_of(request)
        if session is not None:
            transaction = self._open(request, flow, now)
            with self._refusing(transaction, now):
                session.receive_request(transaction, now)
        else:
            self._refuse_outside(request, flow, now)

    def _receive_cancel(self, request: SIPMessage, flow: Flow, now: float) -> None:
        """A CANCEL must come from where its INVITE came (§9.2 matches branch and sent-by)."""
        invite = self._core.layer.find_server(request, "INVITE")
        if invite is None or invite.flow.remote[0] != flow.remote[0]:
            self._refuse_outside(request, flow, now)
            return
        transaction = self._open(request, flow, now)
        transaction.to_tag = invite.to_tag
        transaction.respond(SIPStatus.OK, now)
        to_tag = invite.request.to.tag or invite.to_tag
        session = self._core.dialogs.get((request.call_id, to_tag, request.from_.tag or ""))
        if session is not None:
            session.cancel(request, now)

    def _refuse_outside(self, request: SIPMessage, flow: Flow, now: float) -> None:
        """A request for a dialog or transaction that is not here."""
        if self._policy.is_known(flow):
            self._open(request, flow, now).respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, now)
        else:
            self._core.counters["strangers"] += 1

    def _receive_initial(self, request: SIPMessage, flow: Flow, now: float) -> None:
        """A request outside any dialog, from a source that policy knows."""
        transaction = self._open(request, flow, now)
        with self._refusing(transaction, now):
            refusal = self._refusal(request)
            if refusal is not None:
                status, headers = refusal
                transaction.respond(status, now, headers=headers)
            elif request.method == "OPTIONS":
                headers = [("Allow", ALLOW), ("Accept", ACCEPT)]
                found = self._policy.line_for(request, flow) is not None
                transaction.respond(SIPStatus.OK if found else SIPStatus.NOT_FOUND, now, headers=headers)
            else:
                self._receive_invite(transaction, now)

    def _refusal(self, request: SIPMessage) -> tuple[SIPStatus, list[tuple[str, str]]] | None:
        """Why a request is refused before anyone looks whom it is for (RFC 3261 §8.2)."""
        method, scheme = request.method or "", scheme_of(request.uri)
        _ = request.contacts
        if scheme in ("sip", "sips") and SIPURI.parse(request.uri).headers:
            raise RemoteProtocolError("headers in the Request-URI")
        if method not in ("INVITE", "OPTIONS"):
            if method in ("BYE", "INFO", "UPDATE", "PRACK", "NOTIFY"):
                return SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, []  # only makes sense in a dialog
            unknown = method not in _KNOWN_METHODS
            return (SIPStatus.NOT_IMPLEMENTED if unknown else SIPStatus.METHOD_NOT_ALLOWED), [("Allow", ALLOW)]
        if scheme not in ("sip", "sips", "tel"):
            return SIPStatus.UNSUPPORTED_URI_SCHEME, []
        if self._core.layer.is_merged(request):
            return SIPStatus.LOOP_DETECTED, []
        required = required_extensions(request)
        if required:
            return SIPStatus.BAD_EXTENSION, [("Unsupported", required)]
        if request.content and not request.session_description:
            return SIPStatus.UNSUPPORTED_MEDIA_TYPE, [("Accept", ACCEPT)]
        if method == "INVITE" and not _accepts_sdp(request):
            return SIPStatus.NOT_ACCEPTABLE, []
        return None

    def _receive_invite(self, transaction: ServerTransaction, now: float) -> None:
        request, flow = transaction.request, transaction.flow
        line = self._policy.line_for(request, flow)
        if line is None:
            transaction.respond(SIPStatus.NOT_FOUND, now)
            return
        if self._is_crowded(flow.remote[0]):
            self._core.counters["crowded"] += 1
            transaction.respond(SIPStatus.TEMPORARILY_UNAVAILABLE, now, headers=[("Retry-After", "10")])
            return
        call = request.call_id
        if call in self._core.sessions:
            call = f"{call}#{transaction.to_tag}"  # a call to ourselves has both ends here
        session = IncomingCall(
            self._core,
            call=call,
            line=line.id,
            contact_user=line.user,
            transaction=transaction,
            authenticator=self._authenticators.get(line.id),
        )
        session.start()
        self._core.sessions[call] = session

    def _is_crowded(self, source: str) -> bool:
        sessions = self._core.sessions.values()
        if len(sessions) >= MAX_CALLS:
            return True
        unanswered = sum(
            1 for s in sessions if isinstance(s, IncomingCall) and not s.is_confirmed and s.source == source
        )
        return unanswered >= MAX_UNANSWERED_PER_SOURCE


def _accepts_sdp(request: SIPMessage) -> bool:
    """Whether an INVITE's Accept lets us answer with a session description; without one it does (§20.1)."""
    ranges = [item.partition(";")[0].strip().lower() for item in request.items("accept")]
    return not ranges or not {"application/sdp", "application/*", "*/*"}.isdisjoint(ranges)
