"""Two or more endpoints, a virtual wire between them (loss, delay, reordering, duplication) and a virtual clock."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import count

from sip_bridge.sip.digest import Credentials
from sip_bridge.sip.endpoint import Endpoint
from sip_bridge.sip.events import Event, ResolveNeeded, Transmit
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.limits import LIMITS, Limits
from sip_bridge.sip.line import DirectLine, RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI

OFFER = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 10000 RTP/AVP 0\r\n"
ANSWER = b"v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\n"

PBX = Hop(host="192.0.2.100")
Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message that went onto the wire, whether or not it arrived."""

    at: float
    source: Address
    destination: Address
    data: bytes

    @property
    def message(self) -> SIPMessage:
        return SIPMessage(self.data)

    @property
    def word(self) -> str:
        """``INVITE``, ``180``, ..."""
        message = self.message
        return message.method or str(int(message.status))


@dataclass(kw_only=True)
class Wire:
    """Carries datagrams with ``delay`` seconds; ``drops(sent)`` decides what gets lost."""

    delay: float = 0.01
    drops: Callable[[Sent], bool] = lambda _: False
    copies: Callable[[Sent], Sequence[float]] = lambda _: (0.0,)  # further seconds that each copy takes
    now: float = 1000.0
    sent: list[Sent] = field(default_factory=list)
    _queue: list[tuple[float, int, Sent]] = field(default_factory=list)
    _receivers: dict[Address, Callable[[bytes, Address], None]] = field(default_factory=dict)
    _clients: list["Party"] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)

    def attach(self, address: Address, receive: Callable[[bytes, Address], None]) -> None:
        self._receivers[address] = receive

    def join(self, party: "Party") -> None:
        self._clients.append(party)
        self.attach(party.address, party.receive)

    def carry(self, data: bytes, source: Address, destination: Address) -> None:
        sent = Sent(at=self.now, source=source, destination=destination, data=data)
        self.sent.append(sent)
        if not self.drops(sent):
            for extra in self.copies(sent):
                heapq.heappush(self._queue, (self.now + self.delay + extra, next(self._order), sent))

    def run(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass."""
        end = self.now + seconds
        while (due := self._next()) is not None and due <= end:
            self.now = max(self.now, due)
            while self._queue and self._queue[0][0] <= self.now:
                sent = heapq.heappop(self._queue)[2]
                receive = self._receivers.get(sent.destination)
                if receive is not None:
                    receive(sent.data, sent.source)
            for party in self._clients:
                party.tick()
        self.now = end

    def _next(self) -> float | None:
        deadlines = [party.endpoint.next_deadline for party in self._clients]
        candidates = [deadline for deadline in deadlines if deadline is not None]
        if self._queue:
            candidates.append(self._queue[0][0])
        return min(candidates, default=None)

    @property
    def words(self) -> list[str]:
        """What went onto the wire, in order."""
        return [sent.word for sent in self.sent]

    def instants(self, word: str) -> list[float]:
        """When something went onto the wire, in seconds since the first message."""
        return [round(sent.at - self.sent[0].at, 6) for sent in self.sent if sent.word == word]


class Party:
    """An endpoint with one address on the wire, and all that it told."""

    def __init__(
        self,
        wire: Wire,
        host: str,
        *,
        port: int = 5060,
        seed: int = 0,
        limits: Limits = LIMITS,
        learns_address: bool = True,
    ) -> None:
        self.address = (host, port)
        self.local = self.address  # as it sees itself, behind a NAT perhaps
        self.transport = "UDP"
        self.wire = wire
        self.events: deque[Event] = deque()
        chance = random.Random(f"{host}{seed}")
        self.endpoint = Endpoint(entropy=chance.randbytes, limits=limits, learns_address=learns_address)
        self.hosts: dict[str, tuple[Address, ...]] = {}
        self.resolves = True
        self.has_streams = True  # whether a TCP connection to anybody comes about
        self.unresolved: list[Hop] = []
        wire.join(self)

    def add_registered_line(
        self,
        name: str = "620",
        *,
        registrar: Hop = PBX,
        password: str | None = "secret",  # noqa: S107  # nobody's
        realm: str | None = None,
        expires: int = 300,
        keep_alive: float | None = None,
        outbound_proxy: SIPURI | None = None,
        message_waiting: bool | None = None,
    ) -> None:
        self.endpoint.add_line(
            RegisteredLine(
                id=name,
                user=name,
                display_name=name,
                domain=registrar.host,
                registrar=registrar,
                credentials=None if password is None else Credentials(username=name, password=password),
                realm=realm,
                expires=expires,
                keep_alive=keep_alive,
                outbound_proxy=outbound_proxy,
                message_waiting=message_waiting,
            )
        )

    def add_direct_line(
        self,
        name: str,
        *,
        allow: str = "0.0.0.0/0",
        credentials: Credentials | None = None,
        algorithms: tuple[str, ...] = ("SHA-256", "MD5"),
    ) -> None:
        self.endpoint.add_line(
            DirectLine(
                id=name,
                user=name,
                display_name=name,
                allow_from=(ip_network(allow),),
                credentials=credentials,
                algorithms=algorithms,
            )
        )

    def flow_to(self, remote: Address) -> Flow:
        return Flow(transport=self.transport, local=self.local, remote=remote)

    def receive(self, data: bytes, source: Address) -> None:
        self.endpoint.receive(data, self.flow_to(source), self.wire.now)
        self.drain()

    def tick(self) -> None:
        self.endpoint.tick(self.wire.now)
        self.drain()

    def drain(self) -> None:
        for output in self.endpoint.drain():
            match output:
                case Transmit(flow=flow) if flow.transport != "UDP" and not self.has_streams:
                    self.endpoint.transport_failed(flow, self.wire.now)
                case Transmit(data=data, flow=flow):
                    self.wire.carry(data, self.address, flow.remote)
                case ResolveNeeded(hop=hop) if not self.resolves:
                    self.unresolved.append(hop)
                case ResolveNeeded(hop=hop):
                    self.endpoint.resolved(hop, self._flows(hop), self.wire.now)
                case _:
                    self.events.append(output)

    def _flows(self, hop: Hop) -> tuple[Flow, ...]:
        if hop.host in self.hosts:
            return tuple(self.flow_to(address) for address in self.hosts[hop.host])
        return (self.flow_to((hop.host, hop.port or 5060)),) if hop.host[0].isdigit() else ()

    def resolve_now(self) -> None:
        """Answer what was asked while ``resolves`` was off."""
        self.resolves = True
        for hop in self.unresolved:
            self.do(self.endpoint.resolved, hop, self._flows(hop))
        self.unresolved.clear()

    # --- orders ---

    def dial(self, other: "Party", line: str, called: str, offer: bytes = OFFER) -> str:
        host, port = other.address
        call = self.endpoint.invite(line, f"sip:{called}@{host}:{port}", offer, self.wire.now)
        self.drain()
        return call

    def do(self, order: Callable[..., None], *arguments: object) -> None:
        """``alice.do(alice.endpoint.hangup, call)``: an order at the virtual now."""
        order(*arguments, self.wire.now)
        self.drain()

    def told(self, kind: type[Event]) -> list[Event]:
        """Every event of a class so far."""
        return [event for event in self.events if isinstance(event, kind)]


class RawPeer:
    """A peer that says what the test dictates, byte by byte, and answers nothing by itself."""

    def __init__(self, wire: Wire, host: str, *, port: int = 5060) -> None:
        self.address = (host, port)
        self.wire = wire
        self.received: list[SIPMessage] = []
        self.on_request: Callable[[SIPMessage], None] = lambda _: None
        self._branches = count(1)
        wire.attach(self.address, self._receive)

    def _receive(self, data: bytes, source: Address) -> None:
        self.peer = source
        self.received.append(SIPMessage(data))
        if self.received[-1].is_request:
            self.on_request(self.received[-1])

    def send(self, text: str | bytes, to: Party) -> None:
        """Bytes as they are; a text with LF line ends gets CRLF."""
        data = text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode()
        self.wire.carry(data, self.address, to.address)

    def request(
        self,
        to: Party,
        method: str,
        *,
        uri: str | None = None,
        branch: str | None = None,
        from_tag: str = "raw",
        to_tag: str | None = None,
        call_id: str = "raw-call",
        seq: int = 1,
        cseq_method: str | None = None,
        headers: Iterable[str] = (),
        content: bytes = b"",
        content_type: str = "application/sdp",
        contact: str | None = None,
    ) -> None:
        """A request with everything in it that is not said otherwise."""
        host, port = self.address
        branch = branch or f"z9hG4bK-raw-{host}-{next(self._branches)}"
        uri = uri or f"sip:door@{to.address[0]}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch={branch}",
            "Max-Forwards: 70",
            f"From: <sip:raw@{host}>;tag={from_tag}",
            f"To: <sip:door@{to.address[0]}>" + (f";tag={to_tag}" if to_tag else ""),
            f"Call-ID: {call_id}",
            f"CSeq: {seq} {cseq_method or method}",
            *([] if contact == "" else [f"Contact: {contact or f'<sip:raw@{host}:{port}>'}"]),
            *([f"Content-Type: {content_type}"] if content else []),
            *headers,
            f"Content-Length: {len(content)}",
            "",
            "",
        ]
        self.send("\r\n".join(lines).encode() + content, to)

    def respond(
        self,
        request: SIPMessage,
        status: int,
        *,
        to_tag: str | None = "raw",
        headers: Iterable[str] = (),
        content: bytes = b"",
        content_type: str = "application/sdp",
        contact: str | None = None,
    ) -> None:
        """A response to what was received."""
        host, port = self.address
        to = request.get("to") or ""
        lines = [
            f"SIP/2.0 {status} {SIPStatus(status).phrase}",
            *(f"Via: {value}" for value in request.get_all("via")),
            f"From: {request.get('from')}",
            f"To: {to}" + (f";tag={to_tag}" if to_tag and "tag=" not in to else ""),
            f"Call-ID: {request.get('call-id')}",
            f"CSeq: {request.get('cseq')}",
            *([] if contact == "" else [f"Contact: {contact or f'<sip:raw@{host}:{port}>'}"]),
            *([f"Content-Type: {content_type}"] if content else []),
            *headers,
            f"Content-Length: {len(content)}",
            "",
            "",
        ]
        via = request.via
        self.wire.carry("\r\n".join(lines).encode("utf-8", "surrogateescape") + content, self.address, via.sent_by)

    @property
    def words(self) -> list[str]:
        """What was received, in order."""
        return [message.method or str(int(message.status)) for message in self.received]

    def last(self, word: str) -> SIPMessage:
        """The latest request or response of that name."""
        found = [message for message in self.received if word in (message.method, str(int(message.status)))]
        return found[-1]


def established(wire: Wire, alice: Party, bob: Party) -> str:
    """A call from alice to bob that is answered and acknowledged; both sides call it the same."""
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(0.1)
    return call


def assert_nothing_left(wire: Wire, *parties: Party) -> None:
    wire.run(200)
    left = [(p.endpoint.calls, p.endpoint.transactions, p.endpoint.next_deadline) for p in parties]
    assert left == [(0, 0, None)] * len(parties)
