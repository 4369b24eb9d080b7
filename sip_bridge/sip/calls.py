"""The calls of an endpoint: makes a session of each INVITE that comes and of each that is ordered."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from sip_bridge.errors import InvalidStateError, RemoteProtocolError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.caller import caller_of
from sip_bridge.sip.capabilities import ACCEPT
from sip_bridge.sip.core import Core
from sip_bridge.sip.dispatcher import accepts_sdp, has_foreign_body
from sip_bridge.sip.fields import check_value
from sip_bridge.sip.incoming import IncomingCall
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.outgoing import Invitation, OutgoingCall
from sip_bridge.sip.plans import Origin
from sip_bridge.sip.policy import MAX_CALLS, MAX_UNANSWERED_PER_SOURCE, Policy
from sip_bridge.sip.replaces import Replaces
from sip_bridge.sip.session import Session
from sip_bridge.sip.session_timer import MIN_SE_HEADER, is_too_brief
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.target import checked_headers
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI


class Calls:
    """Sessions by the call's id."""

    def __init__(self, core: Core, policy: Policy, authenticators: Mapping[str, Authenticator]) -> None:
        self._core = core
        self._policy = policy
        self._placed: OrderedDict[str, None] = OrderedDict()  # calls of ours, those that ended lately included
        self._authenticators = authenticators

    def session(self, call: str) -> Session:
        """InvalidStateError when the call is over."""
        session = self._core.sessions.get(call)
        if session is None:
            raise InvalidStateError(f"call {call} is over")
        return session

    def incoming(self, call: str) -> IncomingCall:
        """InvalidStateError when the call is over or one of ours."""
        session = self.session(call)
        if not isinstance(session, IncomingCall):
            raise InvalidStateError(f"call {call} is not an incoming call")
        return session

    def outgoing(self, call: str) -> OutgoingCall:
        """InvalidStateError when the call is over or came in."""
        session = self.session(call)
        if not isinstance(session, OutgoingCall):
            raise InvalidStateError(f"call {call} is not one of ours")
        return session

    def place(
        self,
        origin: Origin,
        offer: bytes,
        *,
        from_name: str | None,
        headers: Mapping[str, str],
        replaces: str | None,
        allows: Callable[[SIPURI], bool],
    ) -> str:
        """See `Endpoint.invite`."""
        extra = checked_headers(headers)
        if replaces is not None:
            extra = (*extra, ("Replaces", check_value(replaces, "replaces")), ("Require", "replaces"))
        session = OutgoingCall(
            self._core,
            call=self._core.chance.token(16),
            invitation=Invitation(
                origin=origin,
                display_name=check_value(from_name or origin.line.display_name, "from_name"),
                allows=allows,
                offer=offer,
                headers=extra,
            ),
        )
        self._core.sessions[session.id] = session
        self._placed[session.id] = None
        if len(self._placed) > MAX_CALLS:
            self._placed.popitem(last=False)
        session.start()
        return session.id

    def receive(self, transaction: ServerTransaction, now: float) -> None:
        """An INVITE outside any dialog."""
        request, flow = transaction.request, transaction.flow
        if has_foreign_body(request):
            transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=[("Accept", ACCEPT)])
            return
        if not accepts_sdp(request):
            transaction.respond(SIPStatus.NOT_ACCEPTABLE, now)
            return
        line = self._policy.line_for(request, flow)
        if line is None:
            transaction.respond(SIPStatus.NOT_FOUND, now)
            return
        if is_too_brief(request):
            transaction.respond(SIPStatus.SESSION_INTERVAL_TOO_SMALL, now, headers=[MIN_SE_HEADER])
            return
        replaced, refusal = self._replaced(request, line.id)
        if refusal is not None:
            transaction.respond(refusal, now)
            return
        if self._is_crowded(flow.remote[0]):
            self._core.counters["crowded"] += 1
            transaction.respond(SIPStatus.TEMPORARILY_UNAVAILABLE, now, headers=[("Retry-After", "10")])
            return
        call = request.call_id
        if call in self._core.sessions or call in self._placed:
            call = f"{call}#{transaction.to_tag}"  # a call to ourselves has both ends here
        session = IncomingCall(
            self._core,
            call=call,
            line=line.id,
            contact_user=line.user,
            caller=caller_of(request, trusted=self._core.routing.trusts(line.id, flow.remote[0])),
            transaction=transaction,
            authenticator=self._authenticators.get(line.id),
            replaces=replaced,
        )
        session.start()
        self._core.sessions[call] = session

    def _replaced(self, request: SIPMessage, line: str) -> tuple[Session | None, SIPStatus | None]:
        """The call whose place an INVITE takes, or why it can't (RFC 3891 §3)."""
        values = request.get_all("replaces")
        if not values:
            return None, None
        if len(values) > 1:
            raise RemoteProtocolError("more than one Replaces")
        wanted = Replaces.parse(values[0])
        session = self._core.dialogs.get(wanted.dialog_key)
        if not isinstance(session, Session) or session.line != line:
            return None, SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST
        if session.is_confirmed and wanted.early_only:
            return None, SIPStatus.BUSY_HERE
        if not session.is_confirmed and not isinstance(session, OutgoingCall):
            return None, SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST
        return session, None

    def _is_crowded(self, source: str) -> bool:
        sessions = self._core.sessions.values()
        if len(sessions) >= MAX_CALLS:
            return True
        unanswered = sum(
            1 for s in sessions if isinstance(s, IncomingCall) and not s.is_confirmed and s.source == source
        )
        return unanswered >= MAX_UNANSWERED_PER_SOURCE
