"""How messages travel: UDP, TCP and TLS over IPv4 and IPv6 at the same time, on sockets that every line shares.

RFC 3261 §18.
"""

import logging
from functools import partial

from sip_bridge.phone.settings import SIPSettings
from sip_bridge.phone.transport.addresses import family_of, without_interface
from sip_bridge.phone.transport.connections import Connections, TransportUser
from sip_bridge.phone.transport.listener import Listener
from sip_bridge.phone.transport.routes import Routes
from sip_bridge.phone.transport.sockets import Sockets, open_sockets
from sip_bridge.phone.transport.tls import TLSContexts
from sip_bridge.phone.transport.udp import Datagrams
from sip_bridge.sip.flow import Flow

__all__ = ["TransportUser", "Transports"]

_LOG = logging.getLogger(__name__)


class Transports:
    """The one way in and out. ``user`` hears of messages, and of flows that failed."""

    def __init__(self, settings: SIPSettings, user: TransportUser) -> None:
        self._settings = settings
        self._user = user
        self._routes = Routes(settings.advertised_host)
        self._tls = TLSContexts(settings.tls)
        self._datagrams = Datagrams(self._routes, receive=user.receive)
        self._connections = Connections(user, self._routes, self._tls, settings.limits)
        self._sockets = Sockets()
        self._listeners: list[Listener] = []
        self._is_open = False

    def open(self) -> None:
        """Bind and listen; TransportError when an address is taken, or a certificate is of no use."""
        self._tls.check()
        if not self._settings.tls.verify:
            _LOG.warning("sip.tls.verify is false: whoever is on the way can pose as the other side of TLS")
        tls_port = self._settings.tls_port if self._tls.is_server else None
        sockets = self._sockets = open_sockets(self._settings.hosts, self._settings.port, tls_port)
        self._routes.bound = tuple(sockets.udp)
        self._datagrams.open(sockets.udp, sockets.port)
        self._connections.open(sockets)
        for transport, group in (("TCP", sockets.tcp), ("TLS", sockets.tls)):
            for sock in group.values():
                listener = Listener(sock, partial(self._connections.accept, transport))
                listener.open()
                self._listeners.append(listener)
        self._is_open = True

    async def close(self) -> None:
        """Stop listening; what is written already still goes out, within bounded time."""
        self._is_open = False
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._datagrams.close()
        self._sockets.close()
        await self._connections.close()

    def advertise_everywhere(self) -> None:
        """Tell peers in private networks the advertised host, too."""
        self._routes.everywhere = True

    @property
    def port(self) -> int:
        """The port of UDP and TCP."""
        return self._sockets.port

    @property
    def tls_port(self) -> int | None:
        """The port of TLS, None without a certificate."""
        return self._sockets.tls_port

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses that are bound."""
        return tuple(self._routes.bound)

    @property
    def connections(self) -> int:
        """How many TCP and TLS connections there are."""
        return len(self._connections)

    def reaches(self, host: str) -> bool:
        """Whether there is a way to an IP address."""
        return self._routes.reaches(host)

    def media_hosts(self, flow: Flow, named: str | None) -> tuple[str, str]:
        """The address to bind for the sound of a call, a wildcard perhaps, and the one that its peer is told.

        They are of the family of the address that the peer ``named`` for its sound, else of the signalling's.
        """
        routes, peer = self._routes, flow.remote[0]
        if named is not None and family_of(named) is not family_of(peer) and routes.reaches(named):
            return routes.binding(named), routes.told(routes.source(named), named)
        own = flow.local[0]
        return own if own in routes.bound else routes.binding(peer), own

    def flow_to(self, transport: str, host: str, port: int, *, server_name: str | None = None) -> Flow:
        """A flow to an IP address; OSError when there is no way to it.

        Over TLS the peer has to show a certificate for ``server_name``.
        """
        host = self._routes.on_link(host)
        if transport == "UDP":
            local = (self._routes.told(self._routes.source(host), host), self.port)
            return Flow(transport=transport, local=local, remote=(host, port))
        name = without_interface(server_name or host).lower() if transport == "TLS" else None
        return self._connections.flow_to(transport, host, port, name)

    def established(self, host: str, port: int) -> Flow | None:
        """A flow over an open TCP connection to exactly this address; None when there is none."""
        return self._connections.established(self._routes.on_link(host), port)

    def forget_routes(self) -> None:
        """Addresses or routes of this machine changed."""
        self._routes.forget()

    def renew(self, flow: Flow) -> None:
        """Our address towards a peer is not the flow's any more: connections from there lead nowhere."""
        self._connections.abandon(flow)

    def send(self, data: bytes, flow: Flow) -> None:
        """Send now, or as soon as the connection is there. The user is told of failure, perhaps before this returns."""
        if not self._is_open:
            return  # stopped
        if flow.transport != "UDP":
            self._connections.send(data, flow)
            return
        try:
            self._datagrams.send(data, flow)
        except OSError as error:
            _LOG.debug("UDP %s port %d: %s", *flow.remote, error.strerror)
            self._user.transport_failed(flow)
