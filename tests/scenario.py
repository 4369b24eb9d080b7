"""Two or more endpoints, a virtual wire between them (loss, delay, reordering, duplication) and a virtual clock."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import count

from sip_bridge.sip.endpoint import Endpoint
from sip_bridge.sip.events import Event, ResolveNeeded, Transmit
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.line import DirectLine
from sip_bridge.sip.message import SIPMessage

OFFER = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 10000 RTP/AVP 0\r\n"
ANSWER = b"v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\n"

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
            heapq.heappush(self._queue, (self.now + self.delay, next(self._order), sent))

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


class Party:
    """An endpoint with one address on the wire, and all that it told."""

    def __init__(self, wire: Wire, host: str, *, port: int = 5060, seed: int = 0) -> None:
        self.address = (host, port)
        self.wire = wire
        self.events: deque[Event] = deque()
        chance = random.Random(f"{host}{seed}")
        self.endpoint = Endpoint(entropy=chance.randbytes)
        self.hosts: dict[str, Address] = {}
        wire.join(self)

    def add_direct_line(self, name: str, *, allow: str = "0.0.0.0/0") -> None:
        self.endpoint.add_line(DirectLine(id=name, user=name, display_name=name, allow_from=(ip_network(allow),)))

    def flow_to(self, remote: Address) -> Flow:
        return Flow(transport="UDP", local=self.address, remote=remote)

    def receive(self, data: bytes, source: Address) -> None:
        self.endpoint.receive(data, self.flow_to(source), self.wire.now)
        self.drain()

    def tick(self) -> None:
        self.endpoint.tick(self.wire.now)
        self.drain()

    def drain(self) -> None:
        for output in self.endpoint.drain():
            match output:
                case Transmit(data=data, flow=flow):
                    self.wire.carry(data, self.address, flow.remote)
                case ResolveNeeded(hop=hop):
                    self.endpoint.resolved(hop, self._flows(hop), self.wire.now)
                case _:
                    self.events.append(output)

    def _flows(self, hop: Hop) -> tuple[Flow, ...]:
        if hop.host in self.hosts:
            return (self.flow_to(self.hosts[hop.host]),)
        return (self.flow_to((hop.host, hop.port or 5060)),) if hop.host[0].isdigit() else ()

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
