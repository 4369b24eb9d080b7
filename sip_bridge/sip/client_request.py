"""A request of ours from its plan to its final response: resolving, sending, credentials, the next address."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.auth import Authenticator, ChallengeKey
from sip_bridge.sip.core import Core
from sip_bridge.sip.digest import challenges_of
from sip_bridge.sip.events import EndCause
from sip_bridge.sip.fields import COOKIE, CSeq, NameAddr, Via, check_value
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.message import VERSION, SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ClientTransaction

HeaderList = list[tuple[str, str]]
MAX_AUTH_ROUNDS: Final = 3  # a proxy's challenge, the registrar's, and one stale nonce
MAX_FORWARDS: Final = 70
MAX_DATAGRAM: Final = 1300  # bytes, RFC 3261 §18.1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A request before it has an address: ``headers`` gives From, To, Call-ID, Contact, Route, ... for a flow."""

    method: str
    uri: str
    hop: Hop
    headers: Callable[[Flow], HeaderList]
    next_seq: Callable[[], int]
    content: bytes = b""
    authenticator: Authenticator | None = None
    learns_address: bool = False  # the server is believed as to how we look from where it is


class RequestUser(Protocol):
    """Who wants a request's outcome."""

    def response_received(self, request: "ClientRequest", response: SIPMessage, now: float) -> None:
        """A provisional or final response that is not a challenge which was answered."""

    def request_failed(self, request: "ClientRequest", cause: EndCause, now: float) -> None:
        """No response: TIMEOUT or UNREACHABLE at the last of the addresses."""


class Unminded:
    """The user of a request whose outcome changes nothing: BYE (RFC 3261 §15.1.1), PRACK."""

    def response_received(self, request: "ClientRequest", response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""

    def request_failed(self, request: "ClientRequest", cause: EndCause, now: float) -> None:
        """See `RequestUser`."""


class ClientRequest:
    """One request; each attempt is a transaction with its own branch and CSeq number."""

    def __init__(self, core: Core, plan: Plan, user: RequestUser) -> None:
        self._core = core
        self._user = user
        self._flows: list[Flow] = []
        self._is_outgrown = False  # the first flow stands in for the second, which is UDP
        self._auth_rounds = 0
        self._answered: set[ChallengeKey] = set()
        self._headers: HeaderList = []
        self.credentials: HeaderList = []
        self.has_progressed = False  # the current attempt had a provisional response
        self._abandoned = False
        self.credentials_refused = False  # for good: stale nonces and challenges that are none are no refusal
        self.plan = plan
        self.seq = 0
        self.branch = ""
        self.transaction: ClientTransaction | None = None

    def send(self) -> None:
        """Resolve the hop, then send."""
        self._core.resolve(self.plan.hop, self)

    def abandon(self) -> None:
        """Make no further attempt: the call was given up."""
        self._abandoned = True

    def give_up(self, now: float) -> None:
        """Make no further attempt, and don't wait for ever for a peer that only said 1xx to an INVITE."""
        self.abandon()
        if self.transaction is not None and self.plan.method == "INVITE":
            self.transaction.give_up_at(now + self._core.timers.b)

    def drop(self) -> None:
        """Stop retransmitting too, and hear no answer: another request takes its place."""
        self.abandon()
        if self.transaction is not None:
            self.transaction.stop()

    def resolved(self, flows: tuple[Flow, ...], now: float) -> None:
        """The addresses of the hop, best first."""
        if not flows or self._abandoned:
            self._user.request_failed(self, EndCause.UNREACHABLE, now)
            return
        self._flows = list(flows)
        self._attempt(now)

    @property
    def flow(self) -> Flow:
        """The way of the current attempt."""
        return self._flows[0]

    def _attempt(self, now: float) -> None:
        plan = self.plan
        self.seq = plan.next_seq()
        self.branch = COOKIE + self._core.chance.token()
        self._headers = plan.headers(self._flows[1] if self._is_outgrown else self.flow)
        if plan.authenticator is not None:
            self.credentials = plan.authenticator.headers(plan.method, plan.uri, plan.content)
        self.has_progressed = False
        data = self._build(plan.method, [*self._headers, *self.credentials], plan.content)
        if len(data) > MAX_DATAGRAM and self._outgrow(now):
            data = self._build(plan.method, [*self._headers, *self.credentials], plan.content)
        self.transaction = self._core.layer.start(
            data,
            method=plan.method,
            branch=self.branch,
            flow=self.flow,
            user=self,
            build_ack=self._ack_of_refusal,
            now=now,
        )

    def _outgrow(self, now: float) -> bool:
        """A request too large for a datagram goes by TCP to the same place (§18.1.1), unless that failed lately.

        Only Via says so: the Contact stays where the peer can reach us when the connection is gone.
        """
        stream = replace(self.flow, transport="TCP", connection=0)
        if self.flow.transport != "UDP" or self._core.failover.avoids(stream, now):
            return False
        self._flows.insert(0, stream)
        self._is_outgrown = True
        return True

    def _build(self, method: str, headers: HeaderList, content: bytes = b"") -> bytes:
        transport, (host, port) = self.flow.transport, self.flow.local
        via = Via(transport=transport, host=host, port=port, params=(("rport", None), ("branch", self.branch)))
        lines = [
            f"{method} {check_value(self.plan.uri, 'Request-URI')} {VERSION}",
            f"Via: {via.format()}",
            f"Max-Forwards: {MAX_FORWARDS}",
            f"CSeq: {CSeq(number=self.seq, method=method).format()}",
            *(f"{name}: {check_value(value, name)}" for name, value in headers),
            f"User-Agent: {self._core.user_agent}",
            f"Content-Length: {len(content)}",
            "",
            "",
        ]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + content

    def _ack_of_refusal(self, response: SIPMessage) -> bytes:
        """The ACK to a 3xx-6xx: the INVITE's branch, the response's To (RFC 3261 §17.1.1.3)."""
        headers = [pair for pair in self._headers if pair[0] in ("From", "Call-ID", "Route")]
        to = NameAddr(
            uri=response.to.uri, params=tuple(pair for pair in response.to.params if pair[0].lower() == "tag")
        )
        return self._build("ACK", [*headers, ("To", to.format())])

    def cancel(self, now: float, *, more: Sequence[tuple[str, str]] = ()) -> None:
        """Send CANCEL for this INVITE, which has had a provisional response (RFC 3261 §9.1); ``more`` are headers."""
        assert self.transaction is not None  # noqa: S101  # a provisional response came through it
        headers = [pair for pair in self._headers if pair[0] in ("From", "To", "Call-ID", "Route")]
        self._core.layer.start(
            self._build("CANCEL", [*headers, *more]),
            method="CANCEL",
            branch=self.branch,
            flow=self.flow,
            user=_Ignored(),
            build_ack=self._ack_of_refusal,
            now=now,
        )
        self.transaction.give_up_at(now + self._core.timers.b)

    def receive(self, response: SIPMessage, flow: Flow, now: float) -> None:
        """See `ClientUser`."""
        status = SIPStatus(response.status)
        self.has_progressed |= status.is_provisional
        if self.plan.learns_address and flow.remote[0] == self.flow.remote[0]:
            self._core.learn_address(response, self.flow, now)
        if status in (SIPStatus.UNAUTHORIZED, SIPStatus.PROXY_AUTHENTICATION_REQUIRED):
            if self._may_answer(response, flow):
                self._auth_rounds += 1
                self._attempt(now)
                return
        elif status == SIPStatus.SERVICE_UNAVAILABLE and self._try_next(now):
            return
        elif status.is_success and self._is_trusted(flow):
            assert self.plan.authenticator is not None  # noqa: S101  # there is no trust without
            self.plan.authenticator.proceed(response)
        self._user.response_received(self, response, now)

    def _is_trusted(self, flow: Flow) -> bool:
        authenticator, host = self.plan.authenticator, flow.remote[0]
        return authenticator is not None and host == self.flow.remote[0] and authenticator.trusts(host)

    def _may_answer(self, response: SIPMessage, flow: Flow) -> bool:
        """Only the host that was asked gets credentials, and only while they may be right."""
        authenticator = self.plan.authenticator
        if self._abandoned:
            return False
        host = flow.remote[0]
        if host != self.flow.remote[0] or (authenticator is not None and not authenticator.trusts(host)):
            self._core.counters["challenges_from_elsewhere"] += 1
            return False
        try:
            is_challenge = bool(challenges_of(response))
            may = authenticator is not None and authenticator.learn(response, self._answered)
        except RemoteProtocolError:
            self._core.counters["malformed"] += 1
            return False
        self.credentials_refused = is_challenge and not may
        return may and self._auth_rounds < MAX_AUTH_ROUNDS

    def time_out(self, now: float) -> None:
        """See `ClientUser`."""
        if not self._try_next(now):
            self._user.request_failed(self, EndCause.TIMEOUT, now)

    def transport_failed(self, now: float) -> None:
        """See `ClientUser`."""
        if not self._try_next(now):
            self._user.request_failed(self, EndCause.UNREACHABLE, now)

    def _try_next(self, now: float) -> bool:
        """Go on to the next address (RFC 3263 §4.3); False when there is none."""
        self._core.failover.avoid(self.flow, now)
        if len(self._flows) < 2 or self._abandoned:
            return False
        del self._flows[0]
        self._is_outgrown = False
        self._attempt(now)
        return True


class _Ignored:
    """The user of a CANCEL: what counts is the response to the INVITE."""

    def receive(self, response: SIPMessage, flow: Flow, now: float) -> None:
        """Nothing follows from it."""

    def time_out(self, now: float) -> None:
        """Nothing follows from it."""

    def transport_failed(self, now: float) -> None:
        """Nothing follows from it."""
