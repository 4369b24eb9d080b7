"""The connections of TCP and TLS: which are there, which one a message takes, and when another one is made."""

import asyncio
import logging
import socket
import ssl
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import replace
from itertools import count
from typing import Final, Protocol

from sip_bridge.errors import TransportError
from sip_bridge.phone.transport.addresses import (
    SocketAddress,
    family_of,
    flow_address,
    socket_address,
    without_interface,
)
from sip_bridge.phone.transport.connection import Connection, Sending, is_response
from sip_bridge.phone.transport.routes import Routes
from sip_bridge.phone.transport.sockets import Sockets, prepare_stream
from sip_bridge.phone.transport.tls import TLSContexts
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.limits import Limits
from sip_bridge.sip.responses import reopened_flow

_LOG = logging.getLogger(__name__)
CONNECT_TIME: Final = 4.0  # seconds, the TLS handshake included
HANDSHAKE_TIME: Final = 4.0  # seconds for a peer's
SHUTDOWN_TIME: Final = 1.0  # seconds for the last bytes, and over TLS the peer's goodbye
MAX_INBOUND: Final = 64
MAX_INBOUND_PER_HOST: Final = 8
MAX_OUTBOUND: Final = 64
MAX_RESERVED: Final = 64  # local ports that wait for their connection
MAX_COMPLAINTS: Final = 64  # peers whose certificates were complained of, remembered so as not to repeat it
EVICTABLE_AFTER: Final = 30.0  # seconds without a byte, after which an inbound connection may make room for another
# A client without certificate is reached over its own connection only; below this port a TLS server may listen, whose
# place nobody shall take by connecting from there.
FIRST_CLIENT_PORT: Final = 32768

Peer = tuple[str, str, int]


class TransportUser(Protocol):
    """What the transports serve."""

    def receive(self, data: bytes, flow: Flow) -> None:
        """A message came, or a keep-alive's answer."""

    def transport_failed(self, flow: Flow) -> None:
        """What was sent over a flow is lost, and nothing will come back over it."""

    def knows(self, flow: Flow) -> bool:
        """Whether a peer may ask for something; strangers make room for others."""

    def is_busy(self) -> bool:
        """Whether idle connections of peers have to be kept: a call is up, or somebody watches a line."""

    def start_task(self, work: Coroutine[object, object, None], *, name: str) -> object:
        """Run something that ends with the client."""


class Connections:
    """All connections, by number and by peer. One to a peer serves every line, whoever opened it."""

    def __init__(self, user: TransportUser, routes: Routes, tls: TLSContexts, limits: Limits) -> None:
        self._limits = limits
        self._user = user
        self._routes = routes
        self._tls = tls
        self._ports: dict[str, int | None] = {}
        self._numbers = count(1)
        self._alive: set[Connection] = set()  # with those that only send what is left
        self._by_number: dict[int, Connection] = {}
        self._by_peer: dict[Peer, list[Connection]] = {}
        self._reserved: OrderedDict[tuple[Peer, str | None], socket.socket] = OrderedDict()
        self._complaints: OrderedDict[Peer, str] = OrderedDict()
        self._is_open = False

    def __len__(self) -> int:
        return len(self._alive)

    def open(self, sockets: Sockets) -> None:
        """Peers are told the ports that we listen on."""
        self._ports = {"TCP": sockets.port, "TLS": sockets.tls_port}
        self._is_open = True

    async def close(self) -> None:
        """Send what is written, then end every connection, within SHUTDOWN_TIME."""
        self._is_open = False
        for sock in self._reserved.values():
            sock.close()
        self._reserved.clear()
        connections = list(self._alive)
        for connection in connections:
            connection.close()
        try:
            async with asyncio.timeout(SHUTDOWN_TIME):
                await _ends(connections)
        except TimeoutError:
            for connection in connections:
                connection.abort("stopped")
            await _ends(connections)

    # --- outward ---

    def flow_to(self, transport: str, host: str, port: int, server_name: str | None) -> Flow:
        """A flow over any connection to a peer; OSError when there is no way to it.

        Without a listener the connection's own port is told, so that a peer that calls us uses the connection.
        """
        flow = Flow(transport=transport, local=("", 0), remote=(host, port), server_name=server_name)
        source = self._routes.source(host)
        local_port = self._ports.get(transport) or self._own_port(flow)
        return replace(flow, local=(self._routes.told(source, host), local_port))

    def established(self, host: str, port: int) -> Flow | None:
        """A flow over a connection that is open to exactly this address, TLS first; None when there is none."""
        for transport in ("TLS", "TCP"):
            wanted = Flow(transport=transport, local=("", 0), remote=(host, port), server_name=host)
            connection = self._find(wanted)
            if connection is not None and connection.is_open:
                return replace(connection.flow, connection=0)
        return None

    def abandon(self, flow: Flow) -> None:
        """End the connections to a flow's peer that come from the flow's local address."""
        for connection in list(self._by_peer.get((flow.transport, *flow.remote), ())):
            if connection.flow.local[0] == flow.local[0]:
                connection.abort("our address changed")

    def send(self, data: bytes, flow: Flow) -> None:
        """Send over the flow's connection, over another to the same peer, or over a new one.

        A response whose connection is gone goes to the address that its request gave (RFC 3261 §18.2.2).
        """
        connection = self._by_number.get(flow.connection)
        if connection is None and flow.connection and is_response(data):
            flow = reopened_flow(data, flow)
        connection = connection or self._find(flow) or self._dial(flow)
        if connection is not None:
            connection.send(data, flow)

    def _find(self, flow: Flow) -> Connection | None:
        """The newest connection to the flow's peer that may be used for the name it asks for."""
        connections = self._by_peer.get((flow.transport, *flow.remote), [])
        return next((each for each in reversed(connections) if self._is_for(each, flow)), None)

    def _is_for(self, connection: Connection, flow: Flow) -> bool:
        """Over TLS the name has to be the one that was proven (RFC 5923 §9.1), or no name but the peer's address.

        PBXs with a certificate for their name put their address into Contact.
        """
        if flow.transport != "TLS" or not self._tls.verifies:
            return True
        host, port = flow.remote
        is_unnamed = flow.server_name in (None, without_interface(host))
        if connection.is_inbound:
            return is_unnamed and port >= FIRST_CLIENT_PORT
        return is_unnamed or connection.flow.server_name == flow.server_name

    def _own_port(self, flow: Flow) -> int:
        connection = self._find(flow)
        if connection is not None:
            return connection.flow.local[1]
        key = ((flow.transport, *flow.remote), flow.server_name)
        if key not in self._reserved:
            self._reserved[key] = self._new_socket(flow.remote[0])
            if len(self._reserved) > MAX_RESERVED:
                self._reserved.popitem(last=False)[1].close()
        port: int = self._reserved[key].getsockname()[1]
        return port

    def _new_socket(self, remote: str) -> socket.socket:
        """A socket with a port of its own, for one connection to a peer."""
        binding = self._routes.binding(remote)
        sock = socket.socket(family_of(remote), socket.SOCK_STREAM)
        try:
            sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
            prepare_stream(sock)
            sock.bind(socket_address(binding, 0))
        except OSError:
            sock.close()
            raise
        return sock

    def _dial(self, flow: Flow) -> Connection | None:
        """Connect in the background; None when that can't even be tried, which was told."""
        outbound = [each for each in self._by_number.values() if not each.is_inbound]
        if len(outbound) >= MAX_OUTBOUND:
            min(outbound, key=lambda each: each.active_at).abort("makes room for another")
        key = ((flow.transport, *flow.remote), flow.server_name)
        try:
            source = self._routes.source(flow.remote[0])
            sock = self._reserved.pop(key, None) or self._new_socket(flow.remote[0])
        except OSError as error:
            _LOG.debug("%s %s: %s", flow.transport, flow.remote[0], error.strerror)
            self._user.transport_failed(flow)
            return None
        port = self._ports.get(flow.transport) or sock.getsockname()[1]
        local = (self._routes.told(source, flow.remote[0]), port)
        connection = self._add(replace(flow, local=local), is_inbound=False)
        self._user.start_task(self._connect(connection, sock), name=f"connect {flow.transport} {flow.remote[0]}")
        return connection

    async def _connect(self, connection: Connection, sock: socket.socket) -> None:
        flow = connection.flow
        name = without_interface(flow.server_name or flow.remote[0]).rstrip(".")
        loop = asyncio.get_running_loop()
        try:
            with connection.being_opened(sock):
                context = self._tls.client() if flow.transport == "TLS" else None
                async with asyncio.timeout(CONNECT_TIME):
                    await loop.sock_connect(sock, socket_address(*flow.remote))
                    await loop.create_connection(
                        lambda: connection,
                        sock=sock,
                        ssl=context,
                        server_hostname=name if context else None,
                        ssl_shutdown_timeout=SHUTDOWN_TIME if context else None,
                    )
                self._complaints.pop(connection.peer, None)
        except (OSError, TransportError, ValueError) as error:  # ValueError: a name that TLS can't ask for
            self._complain(connection, error)
            connection.abort(f"can't connect: {error}")

    def _complain(self, connection: Connection, error: Exception) -> None:
        """An operator has to hear of a certificate that is wrong, once."""
        if not isinstance(error, ssl.SSLError | TransportError):
            return
        reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
        if self._complaints.get(connection.peer) != reason:
            host, port = connection.flow.remote
            _LOG.warning("TLS to %s (%s port %d): %s", connection.flow.server_name or host, host, port, reason)
            self._complaints[connection.peer] = reason
            if len(self._complaints) > MAX_COMPLAINTS:
                self._complaints.popitem(last=False)

    # --- inward ---

    def accept(self, transport: str, sock: socket.socket, address: SocketAddress) -> None:
        """A peer connected."""
        remote = flow_address(address)
        self._routes.learn(remote[0])
        source = without_interface(flow_address(sock.getsockname())[0])
        local = (self._routes.told(source, remote[0]), self._ports[transport] or 0)
        flow = Flow(transport=transport, local=local, remote=remote)
        if not self._make_room(flow):
            sock.close()
            return
        sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
        prepare_stream(sock)
        connection = self._add(flow, is_inbound=True)
        self._user.start_task(self._serve(connection, sock), name=f"serve {transport} {flow.remote[0]}")

    async def _serve(self, connection: Connection, sock: socket.socket) -> None:
        try:
            with connection.being_opened(sock):
                context = self._tls.server() if connection.flow.transport == "TLS" else None
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=context,
                    ssl_handshake_timeout=HANDSHAKE_TIME if context else None,
                    ssl_shutdown_timeout=SHUTDOWN_TIME if context else None,
                )
        except (OSError, TransportError) as error:
            connection.abort(f"no handshake: {error}")

    def _make_room(self, newcomer: Flow) -> bool:
        """Whether another connection is taken; one may have to go: a stranger's, a silent one, or one long idle."""
        inbound = [each for each in self._alive if each.is_inbound]
        same = [each for each in inbound if each.flow.remote[0] == newcomer.remote[0]]
        crowd = same if len(same) >= MAX_INBOUND_PER_HOST else inbound if len(inbound) >= MAX_INBOUND else []
        if not crowd:
            return True
        knows = self._user.knows
        victim = min(crowd, key=lambda each: (not each.is_over, knows(each.flow), each.has_spoken, each.active_at))
        if knows(victim.flow) and not victim.is_over:
            now = asyncio.get_running_loop().time()
            is_dispensable = not victim.has_spoken or (
                victim.active_at < now - EVICTABLE_AFTER and not self._user.is_busy()
            )
            if not is_dispensable or not knows(newcomer):
                return False
        victim.abort("makes room for another")
        return True

    # --- the table; `ConnectionOwner` ---

    def _add(self, flow: Flow, *, is_inbound: bool) -> Connection:
        flow = replace(flow, connection=next(self._numbers))
        now = asyncio.get_running_loop().time()
        connection = Connection(flow, is_inbound=is_inbound, owner=self, now=now, limits=self._limits)
        self._alive.add(connection)
        self._by_number[flow.connection] = connection
        self._by_peer.setdefault(connection.peer, []).append(connection)
        return connection

    def received(self, data: bytes, flow: Flow) -> None:
        """See `ConnectionOwner`."""
        self._user.receive(data, flow)

    def closed(self, connection: Connection, *, unanswered: list[Sending]) -> None:
        """Tell whom it concerns. Requests that a stale connection swallowed go out once more, over a fresh one."""
        del self._by_number[connection.flow.connection]
        siblings = self._by_peer[connection.peer]
        siblings.remove(connection)
        if not siblings:
            del self._by_peer[connection.peer]
        if not self._is_open:
            return
        again = [] if connection.is_inbound else unanswered
        retried = {flow for _, flow in again}
        for flow in connection.flows:
            if flow not in retried:
                self._user.transport_failed(flow)
        for data, flow in list(again):
            self.send(data, flow)

    def gone(self, connection: Connection) -> None:
        """See `ConnectionOwner`."""
        self._alive.discard(connection)

    def is_needed(self, connection: Connection) -> bool:
        """See `ConnectionOwner`."""
        return self._user.is_busy() and self._user.knows(connection.flow)


async def _ends(connections: list[Connection]) -> None:
    for connection in connections:
        await connection.ended.wait()
