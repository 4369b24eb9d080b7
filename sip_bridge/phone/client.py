"""SIPClient: the SIP core on an event loop. One client, and its sockets, serve every phone."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from sip_bridge.errors import TransportError
from sip_bridge.phone.pacer import Pacer
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.recorder import Recorder
from sip_bridge.phone.resolver import Resolver, Target
from sip_bridge.phone.settings import MEDIA, MediaSettings, RecordingSettings, SIPSettings
from sip_bridge.phone.transport import Transports
from sip_bridge.phone.transport.network import NetworkWatch
from sip_bridge.sip.endpoint import Endpoint
from sip_bridge.sip.events import CallPlaced, CallReceived, Event, LineEvent, ResolveNeeded, Transmit
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.line import Line

_LOG = logging.getLogger(__name__)
ADDRESS_CHECK: Final = 15.0  # seconds between two looks at our address towards each registrar
STOP_TIMEOUT: Final = 2.0  # seconds that stopping waits for BYE and REGISTER to be answered, and then for its tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class WireMessage:
    """A SIP message as it was sent by us or came from a peer."""

    data: bytes
    flow: Flow
    is_ours: bool


class LineUser(Protocol):
    """Who hears of a line's events."""

    def handle(self, event: Event) -> None:
        """Something happened on this line."""

    def close(self) -> None:
        """The client stops: let go of what calls that are not over yet hold."""


class SIPClient:
    """``async with SIPClient(settings) as client``: listens, keeps the core's timers, routes its events to phones."""

    def __init__(
        self,
        settings: SIPSettings,
        *,
        media: MediaSettings = MEDIA,
        recording: RecordingSettings | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.settings = settings
        self.media = media
        self.endpoint = Endpoint(
            entropy=entropy, limits=settings.limits, learns_address=settings.advertised_host is None
        )
        self.transports = Transports(settings, self)
        self._resolver = Resolver(reaches=self.transports.reaches)
        self._tasks = asyncio.TaskGroup()
        self._unfinished: set[asyncio.Task[None]] = set()
        self._users: dict[str, LineUser] = {}
        self._user_of: dict[str, LineUser] = {}  # a call stays with the user that its line had
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._watch: asyncio.TimerHandle | None = None
        self._network = NetworkWatch(self._network_changed)
        self._quiet: asyncio.Event | None = None
        self.on_wire: Callable[[WireMessage], None] | None = None  # sees every message
        self.ports = PortAllocator(settings.rtp_ports)
        self.pacer = Pacer()
        self.recorder = Recorder(recording)

    async def __aenter__(self) -> Self:
        """Open the sockets; TransportError when an address is taken, or a certificate can't be used."""
        self.transports.open()
        await self._tasks.__aenter__()
        self._watch_addresses()
        self._network.start()
        self.recorder.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait, bounded, until what was sent last is answered; then close."""
        if kind is None:
            await self._settle()
        self._is_closing = True
        self._set_timer()
        if self._watch is not None:
            self._watch.cancel()
        self._network.stop()
        for user in {*self._users.values(), *self._user_of.values()}:
            user.close()
        await self.recorder.close()
        await self.transports.close()
        if kind is None:
            await self._finish_tasks()
        await self._tasks.__aexit__(kind, error, traceback)

    async def _settle(self) -> None:
        self._quiet = asyncio.Event()
        self._check_quiet()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._quiet.wait()
        except TimeoutError:
            _LOG.debug("stopped with a request unanswered")

    async def _finish_tasks(self) -> None:
        """One that waits for a peer would wait for ever: no timer tells it any more that none will answer."""
        if self._unfinished:
            _, waiting = await asyncio.wait(self._unfinished, timeout=STOP_TIMEOUT)
            for task in waiting:
                task.cancel()

    def _check_quiet(self) -> None:
        if self._quiet is not None and not self.endpoint.has_open_requests:
            self._quiet.set()

    @property
    def port(self) -> int:
        """The port that SIP over UDP and TCP listens on."""
        return self.transports.port

    @property
    def now(self) -> float:
        """The clock that the core is given."""
        return asyncio.get_running_loop().time()

    def add_line(self, line: Line, user: LineUser) -> None:
        """Serve a line; its events go to ``user``."""
        self._users[line.id] = user
        self.endpoint.add_line(line)

    def change_line(self, line: Line) -> None:
        """Serve a line otherwise from now on; see `Endpoint.change_line`."""
        self.endpoint.change_line(line, self.now)
        self.flush()

    def remove_line(self, line: str) -> None:
        """Serve a line no more; its user goes on to hear of the calls that it has."""
        del self._users[line]
        self.endpoint.remove_line(line, self.now)
        self.flush()

    def flush(self) -> None:
        """Carry out what the core decided; call it after every order."""
        if self._flushing:
            return  # an event's handler gave an order: the loop below takes its output too
        self._flushing = True
        try:
            for output in self.endpoint.drain():
                match output:
                    case Transmit(data=data, flow=flow):
                        self._show(data, flow, is_ours=True)
                        self.transports.send(data, flow)
                    case ResolveNeeded(hop=hop):
                        self._resolve(hop)
                    case _:
                        self._dispatch(output)
        finally:
            self._flushing = False
        self._set_timer()
        self._check_quiet()

    async def flow_towards(self, hop: Hop) -> Flow:
        """Our address as the peer at a hop should name it, and the peer's; TransportError when there is no way."""
        flows = self._flows(hop, await self._resolver.resolve(hop))
        if not flows:
            raise TransportError(f"{hop.host} has no address that can be reached")
        return flows[0]

    # --- inward; `TransportUser` ---

    def receive(self, data: bytes, flow: Flow) -> None:
        """A message came."""
        self._show(data, flow, is_ours=False)
        try:
            self.endpoint.receive(data, flow, self.now)
        finally:
            self.flush()  # a bug is logged by the loop, but its request is answered all the same

    def _show(self, data: bytes, flow: Flow, *, is_ours: bool) -> None:
        if self.on_wire is not None:
            self.on_wire(WireMessage(data=data, flow=flow, is_ours=is_ours))

    def transport_failed(self, flow: Flow) -> None:
        """Nothing that was sent over a flow will be answered."""
        self.endpoint.transport_failed(flow, self.now)
        self.flush()

    def knows(self, flow: Flow) -> bool:
        """Whether a peer may ask for something."""
        return self.endpoint.knows(flow)

    def is_busy(self) -> bool:
        """Whether a peer may need the connection that it made later: a call is up, or somebody watches a line."""
        return bool(self._user_of) or self.endpoint.watchers > 0

    def _dispatch(self, event: Event) -> None:
        if isinstance(event, LineEvent):
            if event.line in self._users:  # else it was removed with a request unanswered
                self._users[event.line].handle(event)
            return
        match event:
            case CallReceived(call=call, line=line) | CallPlaced(call=call, line=line):
                user = self._user_of[call] = self._user_of.get(call) or self._users[line]
                user.handle(event)
            case _:
                self._user_of[event.call].handle(event)

    def start_task(
        self, work: Coroutine[object, object, None], *, name: str, on_error: Callable[[], None] = lambda: None
    ) -> asyncio.Task[None]:
        """Run something that ends with the client at the latest; its failure is logged, told, and ends nothing else."""
        task = self._tasks.create_task(_guarded(work, name, on_error), name=name)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    def forget_call(self, call: str) -> None:
        """The call is over and its phone has seen it."""
        self._user_of.pop(call, None)

    def _set_timer(self) -> None:
        deadline = None if self._is_closing else self.endpoint.next_deadline
        if self._timer is not None:
            if self._timer.when() == deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.endpoint.tick(self.now)
        self.flush()

    def _watch_addresses(self) -> None:
        """Look now and then, since not every system tells of a change."""
        self._watch = asyncio.get_running_loop().call_later(ADDRESS_CHECK, self._watch_addresses)
        self._check_addresses()

    def _network_changed(self) -> None:
        self.transports.forget_routes()
        self._check_addresses()

    def _check_addresses(self) -> None:
        """A DHCP lease or an interface changed: whoever registered from the former address can't be called there."""
        for flow in self.endpoint.registrar_flows():
            try:
                current = self.transports.flow_to(flow.transport, *flow.remote, server_name=flow.server_name)
            except OSError:
                continue  # no network for the moment
            if current.local != flow.local:
                _LOG.info("our address towards %s is %s now, it was %s", flow.remote[0], current.local, flow.local)
                self.transports.renew(flow)
                self.endpoint.address_changed(flow, self.now)
        self.flush()

    # --- outward ---

    def _resolve(self, hop: Hop) -> None:
        known = self._resolver.numeric(hop)
        if known is not None:
            self.endpoint.resolved(hop, self._flows(hop, known), self.now)
        else:
            self.start_task(self._resolve_name(hop), name=f"resolve {hop.host}")

    async def _resolve_name(self, hop: Hop) -> None:
        flows = self._flows(hop, await self._resolver.resolve(hop))
        self.endpoint.resolved(hop, flows, self.now)
        self.flush()

    def _flows(self, hop: Hop, targets: tuple[Target, ...]) -> tuple[Flow, ...]:
        flows = []
        for target in targets:
            if hop.transport is None and not hop.secure:
                # A peer whose Contact names no transport, but is where its TCP connection comes from.
                flows.append(self.transports.established(target.host, target.port))
            try:
                flow = self.transports.flow_to(target.transport, target.host, target.port, server_name=hop.server_name)
            except OSError as error:
                _LOG.debug("no route to %s: %s", target.host, error.strerror)
            else:
                flows.append(flow)
        return tuple(flow for flow in flows if flow is not None)


async def _guarded(work: Coroutine[object, object, None], name: str, on_error: Callable[[], None]) -> None:
    """The one place where a bug is caught: a bridge that is left alone for years must outlive it."""
    try:
        await work
    except Exception:  # noqa: BLE001  # this is the runner that the rule is about
        _LOG.exception("%s failed", name)
        on_error()
