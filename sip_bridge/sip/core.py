"""What every usage shares: the clockless machinery, the outbox, chance, and the requests that wait for an address."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sip_bridge.sip.allowance import Allowance
from sip_bridge.sip.dialog import DialogKey
from sip_bridge.sip.events import Output, ResolveNeeded, Transmit
from sip_bridge.sip.failover import Failover
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.keep_alive import KeepAlives
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.public_address import PublicAddresses
from sip_bridge.sip.route import Routing
from sip_bridge.sip.schedule import Alarm, Schedule
from sip_bridge.sip.timers import Timers
from sip_bridge.sip.transactions.layer import ServerTransaction, TransactionLayer
from sip_bridge.sip.uri import SIPURI

if TYPE_CHECKING:
    from sip_bridge.sip.session import Session


MESSAGE_BURST: Final = 20  # texts that one host may send at once, ...
MESSAGES_PER_SECOND: Final = 1.0  # ... and how many after that


class DialogUser(Protocol):
    """What a dialog belongs to: a session, or a subscription."""

    def receive_request(self, transaction: ServerTransaction, now: float) -> None:
        """A request of the peer in this dialog (ACK and CANCEL apart)."""

    def receive_ack(self, request: SIPMessage, now: float) -> None:
        """An ACK in this dialog that ends no transaction."""

    def cancel(self, request: SIPMessage, now: float) -> None:
        """A CANCEL of an INVITE of the peer, already answered."""


class Resolving(Protocol):
    """Something that waits for the flows to a hop."""

    def resolved(self, flows: tuple[Flow, ...], now: float) -> None:
        """The flows, best first; none when the name has no address or can't be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """Randomness as an argument: ``entropy(n)`` gives n bytes."""

    entropy: Callable[[int], bytes]

    def token(self, size: int = 8) -> str:
        """A random token of 2 * size hexadecimal digits."""
        return self.entropy(size).hex()

    def fraction(self) -> float:
        """A number from 0 up to 1."""
        return int.from_bytes(self.entropy(4)) / 2**32


class Core:
    """Shared by all usages of one endpoint."""

    def __init__(self, *, timers: Timers, entropy: Callable[[int], bytes], user_agent: str) -> None:
        self.timers = timers
        self.chance = Chance(entropy=entropy)
        self.user_agent = user_agent
        self.schedule = Schedule()
        self.layer = TransactionLayer(timers=timers, schedule=self.schedule, transmit=self._transmit)
        self.outbox: deque[Output] = deque()
        self.readdressed: list[Callable[[Flow, float], None]] = []  # who follows our address over a flow
        self.observers: list[Callable[[Output], None]] = []  # usages that follow what others do
        self.counters: Counter[str] = Counter()
        self.dialogs: dict[DialogKey, DialogUser] = {}
        self.sessions: dict[str, Session] = {}
        self.message_allowance = Allowance(burst=MESSAGE_BURST, per_second=MESSAGES_PER_SECOND)
        self.failover = Failover()
        self.routing = Routing()
        self.addresses = PublicAddresses()
        self.keep_alives = KeepAlives(self)
        self._resolving: dict[Hop, list[Resolving]] = {}

    def _transmit(self, data: bytes, flow: Flow) -> None:
        self.outbox.append(Transmit(data=data, flow=flow))

    def emit(self, output: Output) -> None:
        """Tell the caller, at its next drain."""
        self.outbox.append(output)
        for observe in self.observers:
            observe(output)

    def learn_address(self, response: SIPMessage, flow: Flow, now: float) -> None:
        """A registrar's response shows where we look to be."""
        if self.addresses.learn(response, flow):
            for tell in self.readdressed:
                tell(flow, now)

    def contact(self, flow: Flow, user: str, *, secure: bool = False) -> str:
        """Where the peer at the other end of a flow reaches us; ``secure`` when it is a sips URI (RFC 5630 §3.3)."""
        host, port = self.addresses.of(flow)
        host = host.partition("%")[0]  # a zone is of no use to anybody else
        if secure:
            return SIPURI(scheme="sips", user=user, host=host, port=port).format()
        transport = () if flow.transport == "UDP" else (("transport", flow.transport.lower()),)
        return SIPURI(user=user, host=host, port=port, params=transport).format()

    def alarm(self, action: Callable[[float], None]) -> Alarm:
        """A deadline of a usage."""
        return Alarm(self.schedule, action)

    def resolve(self, hop: Hop, waiter: Resolving) -> None:
        """Ask for the flows to a hop; several waiters share one question."""
        waiters = self._resolving.setdefault(hop, [])
        waiters.append(waiter)
        if len(waiters) == 1:
            self.emit(ResolveNeeded(hop=hop))

    def resolved(self, hop: Hop, flows: tuple[Flow, ...], now: float) -> None:
        """The answer to `resolve`."""
        flows = self.failover.in_order(flows, now)
        for waiter in self._resolving.pop(hop, []):
            waiter.resolved(flows, now)
