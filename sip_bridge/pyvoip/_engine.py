"""The asynchronous phone behind a blocking client. All of it runs on the loop's thread."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from sip_bridge.errors import InvalidAccountInfoError, InvalidStateError, SIPParseError
from sip_bridge.phone.client import SIPClient, WireMessage
from sip_bridge.phone.events import CallChanged, CallFinished, DTMFPressed, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import RING_TIMEOUT, RegisteredAccount, SIPSettings
from sip_bridge.pyvoip._link import CallLink
from sip_bridge.pyvoip._loop import Workers
from sip_bridge.pyvoip.networking.sock import VoIPConnection
from sip_bridge.pyvoip.SIP.message import SIPMessage
from sip_bridge.sip.events import (
    CallEnded,
    CallPlaced,
    CallReceived,
    CallSignaled,
    Event,
    LineEvent,
    OfferNeeded,
    OfferReceived,
    RegistrationChanged,
    RegistrationState,
    TransferRequested,
)
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.message import SIPMessage as CoreMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import RFC3261
from sip_bridge.sip.uri import SIPURI

LINE: Final = "line"  # the id of the only one
MAX_CONNECTIONS: Final = 1024  # the oldest is forgotten


class Owner(Protocol):
    """The blocking client."""

    workers: Workers

    @property
    def threshold(self) -> int:
        """How many failures in a row to register are too many."""

    @property
    def manages_calls(self) -> bool:
        """Whether calls have sound here, or leave that to who called `invite` or was called back."""

    def call_received(self, connection: VoIPConnection, request: SIPMessage) -> None:
        """An INVITE came, and was told that it rings."""

    def make_connection(self, message: SIPMessage) -> VoIPConnection:
        """A connection for a dialog that begins with a message."""

    def gave_up(self) -> None:
        """The registration is lost for good while nobody waited for it."""


class Engine(VoIPPhone):
    """A phone that keeps a `CallLink` for each of its calls, and a connection for each dialog."""

    def __init__(self, client: SIPClient, account: RegisteredAccount, owner: Owner) -> None:
        super().__init__(client, account, listener=lambda _, event: self._listen(event))
        self._owner = owner
        self._current = b""  # the message that came last
        self._links: dict[str, CallLink] = {}
        self._raw: set[str] = set()  # calls whose sound is the application's affair
        self._changed = asyncio.Event()
        self._is_awaited = True  # somebody hears how registering ends; later nobody waits
        self.connections: OrderedDict[str, VoIPConnection] = OrderedDict()
        self.failures = 0
        self.failure: Exception | None = None
        client.on_wire = self._see

    # --- registration ---

    async def until_registered(self, timeout: float) -> None:  # noqa: ASYNC109  # the registrar's
        """Wait for the registration; raises why it failed, TimeoutError when nobody answered in time."""
        try:
            async with asyncio.timeout(timeout):
                while not self.is_registered and self.failure is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._give_up(TimeoutError("the registrar does not answer"))
        finally:
            self._is_awaited = False
        if self.failure is not None:
            raise self.failure

    async def register_anew(self, timeout: float) -> None:  # noqa: ASYNC109
        """Send REGISTER now and wait as `until_registered`."""
        self.registration, self.failure, self.failures = None, None, 0
        self._is_awaited = True
        self.register()
        await self.until_registered(timeout)

    async def deregister(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Remove the registration; whether the registrar confirmed that in time."""
        self.unregister()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._is_unregistered:
                    self._changed.clear()
                    await self._changed.wait()
        told = self.registration
        return self._is_unregistered and told is not None and told.status is not None and told.status.is_success

    @property
    def _is_unregistered(self) -> bool:
        return self.registration is not None and self.registration.state is RegistrationState.UNREGISTERED

    def _registration_changed(self, event: RegistrationChanged) -> None:
        self._changed.set()
        if event.state is RegistrationState.REGISTERED:
            self.failures = 0
            self.failure = None
        elif event.state is RegistrationState.FAILED:
            self.failures += 1
            if event.account_refused or self.failures >= self._owner.threshold:
                self._give_up(_reason(event))

    def _give_up(self, reason: Exception) -> None:
        if self.failure is not None:
            return
        self.failure = reason
        self.unregister()
        if not self._is_awaited:
            self._owner.gave_up()

    # --- calls ---

    def _listen(self, event: PhoneEvent) -> None:
        match event:
            case RegistrationChanged():
                self._registration_changed(event)
            case CallChanged(call=call) | CallFinished(call=call) | DTMFPressed(call=call):
                self._pass_on(call.call_id, event)
            case CallSignaled(call=call_id, origin="local", status=SIPStatus.RINGING) if call_id not in self._links:
                self._rings(call_id)
            case CallSignaled(call=call_id):
                self._pass_on(call_id, event)
            case _:
                pass  # nothing that this API tells

    def _pass_on(self, call_id: str, event: PhoneEvent) -> None:
        link = self._links.get(call_id)
        if link is not None:
            link.handle(event)
        if isinstance(event, CallFinished):
            self._forget(call_id)

    def _forget(self, call_id: str) -> None:
        self._links.pop(call_id, None)
        connection = self.connections.pop(call_id, None)
        if connection is not None:
            connection.end()

    def handle(self, event: Event) -> None:
        """See `LineUser`."""
        if isinstance(event, CallReceived) and not self._owner.manages_calls:
            self._received_raw(event)
        elif not isinstance(event, LineEvent) and event.call in self._raw:
            self._handle_raw(event)
        else:
            if isinstance(event, CallPlaced):
                self._links[event.call] = CallLink(self._owner.workers, self.calls[event.call], None)
            super().handle(event)

    def _rings(self, call_id: str) -> None:
        """A call that can be answered was told that it rings: the INVITE is the message that came last."""
        request = SIPMessage(self._current)
        link = self._links[call_id] = CallLink(self._owner.workers, self.calls[call_id], request)
        connection = self._connect(call_id, request)
        connection.link = link
        self._owner.call_received(connection, request)

    def _connect(self, call_id: str, message: SIPMessage) -> VoIPConnection:
        connection = self._owner.make_connection(message)
        connection.call_id = call_id
        self.connect(connection)
        return connection

    def connect(self, connection: VoIPConnection) -> None:
        """Bring a connection the messages of its dialog."""
        self.connections[connection.call_id] = connection
        if len(self.connections) > MAX_CONNECTIONS:
            self.connections.popitem(last=False)[1].end()

    async def place(self, target: str, codecs: tuple[str, ...]) -> tuple[SIPMessage, VoIPConnection]:
        """Call a number or URI; returns when the INVITE is sent: it, and the connection of its dialog."""
        call = await self.dial(target, timeout=RING_TIMEOUT, codecs=codecs)
        return await self._invited(call.call_id, self._links.get(call.call_id))

    async def invite(self, target: str, describe: Callable[[str], bytes]) -> tuple[SIPMessage, VoIPConnection]:
        """As `place`, for a call whose sound is the application's: ``describe`` makes an offer of our address."""
        endpoint = self.client.endpoint
        flow = await self.client.flow_towards(endpoint.first_hop(self.account.id, target))
        offer = describe(self.client.transports.media_hosts(flow, None)[1])
        call_id = endpoint.invite(self.account.id, target, offer, self.client.now)
        self._raw.add(call_id)
        self.client.flush()
        return await self._invited(call_id, None)

    async def _invited(self, call_id: str, link: CallLink | None) -> tuple[SIPMessage, VoIPConnection]:
        """Wait until the INVITE is seen on its way: a name may have to be looked up."""
        async with asyncio.timeout(RFC3261.t1 * 64):
            while call_id not in self.connections:
                self._changed.clear()
                await self._changed.wait()
        connection = self.connections[call_id]
        connection.link = link
        return connection.message, connection

    def stop(self) -> None:
        """See `VoIPPhone`."""
        for call_id in list(self._raw):
            self.hang_up(call_id)
        super().stop()

    def hang_up(self, call_id: str) -> None:
        """End a call, whatever state it is in; InvalidStateError when it is over."""
        self.client.endpoint.hangup(call_id, self.client.now)
        self.client.flush()

    # --- calls whose sound is the application's ---

    def _received_raw(self, event: CallReceived) -> None:
        request = SIPMessage(self._current)
        self._raw.add(event.call)
        self.client.endpoint.ring(event.call, SIPStatus.RINGING, self.client.now)
        self._owner.call_received(self._connect(event.call, request), request)

    def _handle_raw(self, event: Event) -> None:
        endpoint, now = self.client.endpoint, self.client.now
        match event:
            case CallEnded(call=call):
                self._raw.discard(call)
                self.client.forget_call(call)
                self._forget(call)
            case OfferReceived(call=call):
                endpoint.refuse_offer(call, SIPStatus.NOT_ACCEPTABLE_HERE, now)
            case OfferNeeded(call=call):
                endpoint.send_offer(call, b"", now)
            case TransferRequested(call=call):
                endpoint.refuse_transfer(call, SIPStatus.DECLINE, now)
            case _:
                pass  # seen on the connection

    # --- messages ---

    def _see(self, message: WireMessage) -> None:
        """Every message passes here before anything is done about it."""
        if message.is_ours:
            if message.data.startswith(b"INVITE "):
                self._invite_sent(message.data)
            return
        self._current = message.data
        if not self.connections and not self._links:
            return
        with contextlib.suppress(SIPParseError):
            self._came(CoreMessage(message.data).get("call-id") or "", message.data)

    def _came(self, call_id: str, data: bytes) -> None:
        if call_id in self.connections:
            self.connections[call_id].deliver(data)
        if call_id in self._links:
            self._links[call_id].received(data)

    def _invite_sent(self, data: bytes) -> None:
        """The first INVITE of a call begins its connection."""
        message = SIPMessage(data)
        call_id = message.headers["Call-ID"]
        if call_id not in self.connections and (call_id in self._links or call_id in self._raw):
            self._connect(call_id, message)
            self._changed.set()

    async def send(self, connection: VoIPConnection, data: bytes) -> None:
        """Send a message of the application's. What the call does by itself it does by itself, and in order."""
        message = CoreMessage(data)
        is_alive = connection.call_id in self._raw or connection.call_id in self._links
        if is_alive and self._order(connection.call_id, message):
            return
        flow = await self.client.flow_towards(self._hop_of(message))
        self.client.transports.send(data, flow)

    def _order(self, call_id: str, message: CoreMessage) -> bool:
        """Whether a message means an order to a call of ours, which is then carried out."""
        endpoint, now = self.client.endpoint, self.client.now
        match message.method, SIPStatus(message.status) if message.status else None:
            case None, SIPStatus() as status if message.cseq.method == "INVITE":
                if status.is_provisional:
                    endpoint.ring(call_id, status, now, message.content)
                elif status.is_success:
                    endpoint.answer(call_id, message.content, now)
                else:
                    endpoint.reject(call_id, status, now)
            case "BYE" | "CANCEL", _:
                endpoint.hangup(call_id, now)
            case None | "ACK", _:
                return True  # sent already
            case _:
                return False
        self.client.flush()
        return True

    def _hop_of(self, message: CoreMessage) -> Hop:
        """Where a request goes by its Request-URI, and a response by its topmost Via (RFC 3261 §18.2.2, RFC 3581)."""
        if message.is_request:
            hop = Hop.of(SIPURI.parse(message.uri))
            return Hop(host=hop.host, port=hop.port, transport=hop.transport or self.account.transport.upper())
        via = message.via
        return Hop(host=via.received or via.host, port=via.rport or via.sent_by[1], transport=via.transport)


def _reason(event: RegistrationChanged) -> Exception:
    if event.status is None:
        return TimeoutError("the registrar does not answer")
    return InvalidAccountInfoError(f"the registrar answered {int(event.status)} {event.phrase}")


@asynccontextmanager
async def serving(
    settings: SIPSettings, account: RegisteredAccount, owner: Owner, *, tell: Callable[[Engine], None]
) -> AsyncIterator[None]:
    """A phone that is started, and told of; stopped at the end."""
    client = SIPClient(settings)
    client.transports.advertise_everywhere()  # which host fits which network is decided by `NAT`
    async with client:
        engine = Engine(client, account, owner)
        tell(engine)
        engine.start()
        try:
            yield
        finally:
            with contextlib.suppress(InvalidStateError):
                engine.stop()
