"""The transaction layer: finds the machine that a message belongs to (RFC 3261 §17.1.3, §17.2.3), runs its timers."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from sip_bridge.sip.fields import COOKIE
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import Headers, SIPMessage
from sip_bridge.sip.responses import build_response, reply_flow, stamp_via
from sip_bridge.sip.schedule import Schedule
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import NEVER, Timers
from sip_bridge.sip.transactions import client, invite_client, invite_server, server
from sip_bridge.sip.transactions.client import NonInviteClient
from sip_bridge.sip.transactions.invite_client import InviteClient
from sip_bridge.sip.transactions.invite_server import InviteServer
from sip_bridge.sip.transactions.server import NonInviteServer

MAX_TRANSACTIONS: Final = 16384  # of either side
MAX_OF_ONE_SOURCE: Final = MAX_TRANSACTIONS // 2  # requests of one host: it can't push out those of others
_FINISHED: Final = frozenset({client.State.COMPLETED, invite_client.State.ACCEPTED, invite_client.State.COMPLETED})
_PENDING: Final = frozenset({server.State.TRYING, server.State.PROCEEDING, invite_server.State.PROCEEDING})

Key = tuple[str, ...]
Transmit = Callable[[bytes, Flow], None]


class ClientUser(Protocol):
    """What a client transaction tells its user."""

    def receive(self, response: SIPMessage, flow: Flow, now: float) -> None:
        """A response that is not a retransmission (every 2xx to INVITE comes)."""

    def time_out(self, now: float) -> None:
        """No final response came."""

    def transport_failed(self, now: float) -> None:
        """The request could not be sent."""


class ClientTransaction:
    """A request of ours, on its way over one flow."""

    __slots__ = ("_layer", "flow", "key", "machine", "scheduled", "user")

    def __init__(
        self, layer: "TransactionLayer", key: Key, machine: InviteClient | NonInviteClient, flow: Flow, user: ClientUser
    ) -> None:
        self._layer = layer
        self.key = key
        self.machine = machine
        self.flow = flow
        self.user = user
        self.scheduled = NEVER

    @property
    def deadline(self) -> float:
        """The machine's."""
        return self.machine.deadline

    def receive(self, response: SIPMessage, flow: Flow, now: float) -> None:
        """A response to this request."""
        goes_up = self.machine.receive(response, now)
        self._layer.settle(self)
        if goes_up:
            self.user.receive(response, flow, now)

    def fire(self, now: float) -> None:
        """A timer is due."""
        timed_out = self.machine.tick(now)
        self._layer.settle(self)
        if timed_out:
            self.user.time_out(now)

    def give_up_at(self, deadline: float) -> None:
        """See `InviteClient.give_up_at`."""
        assert isinstance(self.machine, InviteClient)  # noqa: S101  # nothing else can be cancelled
        self.machine.give_up_at(deadline)
        self._layer.settle(self)

    def stop(self) -> None:
        """End without telling the user."""
        self.machine.terminate()
        self._layer.settle(self)

    def fail(self, now: float) -> None:
        """The transport failed."""
        is_unanswered = self.machine.fail(now)
        self._layer.settle(self)
        if is_unanswered:
            self.user.transport_failed(now)

    @property
    def is_over(self) -> bool:
        """Whether the machine has reached Terminated."""
        return self.machine.is_over

    @property
    def is_finished(self) -> bool:
        """Whether only retransmissions can still come."""
        return self.machine.state in _FINISHED


class ServerTransaction:
    """A request of a peer and the responses to it; ``on_no_ack`` is called when a 3xx-6xx was never acknowledged."""

    __slots__ = ("_layer", "_reply_flow", "_via", "flow", "key", "machine", "request", "scheduled", "to_tag")

    def __init__(self, layer: "TransactionLayer", key: Key, request: SIPMessage, flow: Flow, to_tag: str) -> None:
        self._layer = layer
        self._reply_flow = reply_flow(request, flow)
        self._via = stamp_via(request, flow)
        self.key = key
        self.request = request
        self.flow = flow
        self.to_tag = to_tag
        self.scheduled = NEVER
        self.machine: InviteServer | NonInviteServer
        if request.method == "INVITE":
            self.machine = InviteServer(
                build_trying=self._trying, send=self._send, timers=layer.timers, reliable=flow.is_reliable
            )
        else:
            self.machine = NonInviteServer(send=self._send, timers=layer.timers, reliable=flow.is_reliable)

    @property
    def deadline(self) -> float:
        """The machine's."""
        return self.machine.deadline

    def respond(
        self, status: SIPStatus, now: float, *, headers: Headers = (), content: bytes = b"", phrase: str | None = None
    ) -> bytes:
        """Send a response; returns its bytes, for the user's retransmission of a 2xx."""
        tag = None if status == SIPStatus.TRYING else self.to_tag
        response = build_response(
            self.request, self._via, status, to_tag=tag, headers=headers, content=content, phrase=phrase
        )
        self.machine.respond(status, response, now)
        self._layer.settle(self)
        return response

    def repeat(self, response: bytes) -> None:
        """Send a 2xx once more, as the user does until its ACK comes (RFC 3261 §13.3.1.4)."""
        self._send(response)

    def _send(self, data: bytes) -> None:
        self._layer.transmit(data, self._reply_flow)

    def _trying(self) -> bytes:
        """100, with the request's Timestamp (RFC 3261 §8.2.6.1)."""
        timestamp = self.request.get("timestamp") or ""
        headers = [("Timestamp", timestamp)] if timestamp.replace(".", "", 1).isdecimal() else []
        return build_response(self.request, self._via, SIPStatus.TRYING, headers=headers)

    def receive(self, request: SIPMessage, now: float) -> bool:
        """A retransmission or an ACK; True when it is the ACK to a 2xx."""
        is_ack_to_2xx = False
        if isinstance(self.machine, NonInviteServer):
            self.machine.receive(now)
        elif request.method == "ACK":
            is_ack_to_2xx = self.machine.receive_ack(now)
        else:
            self.machine.receive_invite(now)
        self._layer.settle(self)
        return is_ack_to_2xx

    def fire(self, now: float) -> None:
        """A timer is due."""
        self.machine.tick(now)
        self._layer.settle(self)

    @property
    def is_pending(self) -> bool:
        """Whether no final response was sent."""
        return self.machine.state in _PENDING

    @property
    def is_over(self) -> bool:
        """Whether the machine has reached Terminated."""
        return self.machine.is_over

    @property
    def is_finished(self) -> bool:
        """Whether only retransmissions can still come."""
        return not self.is_pending


T = TypeVar("T", ClientTransaction, ServerTransaction)


class TransactionLayer:
    """Every transaction of an endpoint, at most MAX_TRANSACTIONS on either side.

    Past that the oldest finished ones are forgotten: of a request that comes, those of the same source before others.
    """

    def __init__(self, *, timers: Timers, schedule: Schedule, transmit: Transmit) -> None:
        self.timers = timers
        self.transmit = transmit
        self._schedule = schedule
        self._clients: OrderedDict[Key, ClientTransaction] = OrderedDict()
        self._servers: OrderedDict[Key, ServerTransaction] = OrderedDict()
        self._of_source: dict[str, OrderedDict[Key, ServerTransaction]] = {}  # the same by host
        self._initial: dict[Key, Key] = {}  # requests without To tag by what stays the same over every way they come

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    @property
    def has_open_requests(self) -> bool:
        """Whether a request of ours still waits for its final response."""
        return any(not transaction.is_finished for transaction in self._clients.values())

    def settle(self, transaction: ClientTransaction | ServerTransaction) -> None:
        """After each step of a machine: forget it when it is over, else take note of its deadline."""
        if not transaction.is_over:
            self._schedule.watch(transaction)
        elif isinstance(transaction, ClientTransaction):
            self._clients.pop(transaction.key, None)
        elif self._servers.pop(transaction.key, None) is not None:
            self._forget_server(transaction)

    def _forget_server(self, transaction: ServerTransaction) -> None:
        merge_key, source = _merge_key(transaction.request), transaction.flow.remote[0]
        if self._initial.get(merge_key) == transaction.key:
            del self._initial[merge_key]
        siblings = self._of_source[source]
        del siblings[transaction.key]
        if not siblings:
            del self._of_source[source]

    # --- client side ---

    def start(
        self,
        request: bytes,
        *,
        method: str,
        branch: str,
        flow: Flow,
        user: ClientUser,
        build_ack: Callable[[SIPMessage], bytes],
        now: float,
    ) -> ClientTransaction:
        """Send a request over a flow; its responses go to ``user``."""

        def send(data: bytes) -> None:
            self.transmit(data, flow)

        machine: InviteClient | NonInviteClient
        if method == "INVITE":
            machine = InviteClient(
                request, build_ack=build_ack, send=send, timers=self.timers, reliable=flow.is_reliable
            )
        else:
            machine = NonInviteClient(request, send=send, timers=self.timers, reliable=flow.is_reliable)
        host, port = flow.local
        transaction = ClientTransaction(self, (branch, host.lower(), str(port), method), machine, flow, user)
        if len(self._clients) >= MAX_TRANSACTIONS:
            self._forget(_oldest(self._clients))
        self._clients[transaction.key] = transaction
        machine.start(now)
        self.settle(transaction)
        return transaction

    def receive_response(self, response: SIPMessage, flow: Flow, now: float) -> bool:
        """Hand a response to the transaction that it answers (§17.1.3); False when there is none.

        Its one Via must have our sent-by (§18.1.2); with a second one it is for somebody else (§8.1.3.3).
        """
        keys = response.keys
        host, port = keys.sent_by
        transaction = self._clients.get((keys.branch or "", host, str(port), keys.method))
        if transaction is None or len(response.items("via")) > 1:
            return False
        transaction.receive(response, flow, now)
        return True

    def transport_failed(self, flow: Flow, now: float) -> None:
        """Sending over a flow failed (RFC 3261 §17.1.4)."""
        for transaction in [t for t in self._clients.values() if t.flow == flow]:
            transaction.fail(now)

    # --- server side ---

    def find_server(self, request: SIPMessage, method: str) -> ServerTransaction | None:
        """The transaction of a retransmission, of an ACK (method INVITE) or that a CANCEL is about (INVITE too)."""
        return self._servers.get(server_key(request, method))

    def open_server(self, request: SIPMessage, flow: Flow, to_tag: str, now: float) -> ServerTransaction:
        """A transaction for a new request."""
        key = server_key(request, request.method or "")
        transaction = ServerTransaction(self, key, request, flow, to_tag)
        self._make_room(flow.remote[0])
        self._servers[key] = transaction
        self._of_source.setdefault(flow.remote[0], OrderedDict())[key] = transaction
        if request.keys.to_tag is None:
            self._initial.setdefault(_merge_key(request), key)
        if isinstance(transaction.machine, InviteServer):
            transaction.machine.start(now)
        self.settle(transaction)
        return transaction

    def is_merged(self, request: SIPMessage) -> bool:
        """Whether a request without To tag came by two ways (RFC 3261 §8.2.2.2)."""
        known = self._initial.get(_merge_key(request))
        return known is not None and known != server_key(request, request.method or "")

    def _make_room(self, source: str) -> None:
        """A place for a request of a source: its own finished ones go first, then anybody's."""
        siblings = self._of_source.get(source)
        is_full = len(self._servers) >= MAX_TRANSACTIONS
        if siblings is not None and (is_full or len(siblings) >= MAX_OF_ONE_SOURCE):
            oldest = _oldest(siblings)
            self._forget(oldest if oldest.is_finished or not is_full else _oldest(self._servers))
        elif is_full:
            self._forget(_oldest(self._servers))

    def _forget(self, transaction: ClientTransaction | ServerTransaction) -> None:
        transaction.machine.terminate()
        self.settle(transaction)


def _oldest(table: OrderedDict[Key, T]) -> T:
    """The oldest finished transaction; the oldest of all when none is finished."""
    return next((t for t in table.values() if t.is_finished), None) or next(iter(table.values()))


def server_key(request: SIPMessage, method: str) -> Key:
    """What a request's transaction is known by; without the magic cookie by RFC 2543's rules (§17.2.3)."""
    keys = request.keys
    branch = keys.branch or ""
    host, port = keys.sent_by
    if branch.startswith(COOKIE) and branch != COOKIE:
        return branch, host, str(port), method
    return branch, host, str(port), method, keys.call_id, str(keys.seq), keys.from_tag or "", request.uri


def _merge_key(request: SIPMessage) -> Key:
    keys = request.keys
    return keys.from_tag or "", keys.call_id, str(keys.seq), request.method or ""
