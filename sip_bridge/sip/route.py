"""Which way a new request of a line goes (RFC 3261 §8.1.2, RFC 3608 §6.1), and whose answers count on the way."""

from dataclasses import dataclass, field, replace
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.line import Line, RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.uri import SIPURI

MAX_SERVICE_ROUTE: Final = 16  # proxies that a registrar may put between itself and us


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The next hop, and the URIs of the Route headers that the request sets out with."""

    hop: Hop
    uris: tuple[str, ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The Route headers."""
        return [("Route", f"<{uri}>") for uri in self.uris]


@dataclass(slots=True, kw_only=True)
class _Way:
    """How one registered line reaches the world."""

    line: RegisteredLine
    service_route: tuple[SIPURI, ...] = ()
    redirected: Hop | None = None  # where the registrar sent us (3xx to REGISTER)

    @property
    def hops(self) -> tuple[Hop, ...]:
        found = [self.line.first_hop]
        if self.service_route and self.line.outbound_proxy is None:
            found.append(Hop.of(self.service_route[0]))
        if self.redirected is not None:
            found.append(self.redirected)
        return tuple(found)


@dataclass(slots=True, kw_only=True)
class _Server:
    """A registrar or proxy: its addresses as they were resolved last, and the lines that rely on it."""

    hosts: frozenset[str] = frozenset()
    lines: set[str] = field(default_factory=set)


class Routing:
    """The registrars and proxies of registered lines, and what a registrar said of the way through them."""

    def __init__(self) -> None:
        self._ways: dict[str, _Way] = {}
        self._servers: dict[Hop, _Server] = {}

    def add(self, line: RegisteredLine) -> None:
        """Know a line; one of the same id replaces the former."""
        self._change(line.id, _Way(line=line))

    def change(self, line: RegisteredLine) -> None:
        """Go by a line's new settings; what its registrar said of the way stays."""
        self._change(line.id, replace(self._ways[line.id], line=line))

    def remove(self, line_id: str) -> None:
        """Know a line no more, and its registrar neither unless another line is there."""
        way = self._ways.pop(line_id, None)
        for hop in way.hops if way is not None else ():
            self._leave(hop, line_id)

    def registrar(self, line: RegisteredLine) -> Route:
        """The way of REGISTER: through the outbound proxy, or straight to the registrar; a Service-Route has no say."""
        proxy = _proxy(line)
        return Route(hop=line.first_hop, uris=() if proxy is None else (proxy.format(),))

    def of(self, line: Line, target: SIPURI) -> Route:
        """The way of any other request outside a dialog.

        A registered line sends everything through its outbound proxy and the Service-Route that it learned; without
        either, its own domain is reached at the registrar. Anything else is reached at its own address.
        """
        hop = Hop.of(target)
        if not isinstance(line, RegisteredLine):
            return Route(hop=hop if hop.transport or hop.secure else replace(hop, transport=line.transport))
        way = self._ways.get(line.id)
        service_route = way.service_route if way is not None else ()
        proxy = _proxy(line)
        first = [proxy] if proxy is not None and service_route[:1] != (proxy,) else []
        uris = tuple(uri.format() for uri in (*first, *service_route))
        if uris:
            return Route(hop=line.first_hop if proxy is not None else Hop.of(service_route[0]), uris=uris)
        return Route(hop=line.registrar if target.host.lower() == line.domain.lower() else hop)

    # --- what a registrar says ---

    def learn(self, line_id: str, response: SIPMessage) -> bool:
        """Take the Service-Route of a 2xx to REGISTER (RFC 3608), or that there is none; False if it makes no sense."""
        way = self._ways[line_id]
        try:
            route = _service_route(response)
        except RemoteProtocolError:
            return False
        if route != way.service_route:
            self._change(line_id, replace(way, service_route=route))
        return True

    def forget(self, line_id: str) -> None:
        """The registration is gone, and its Service-Route with it."""
        way = self._ways[line_id]
        if way.service_route:
            self._change(line_id, replace(way, service_route=()))

    def redirect(self, line_id: str, hop: Hop | None) -> None:
        """The registrar sent us elsewhere (3xx); None: back to the one that is configured."""
        way = self._ways[line_id]
        if way.redirected != hop:
            self._change(line_id, replace(way, redirected=hop))

    # --- who is trusted ---

    def resolved(self, hop: Hop, hosts: frozenset[str]) -> None:
        """The addresses of a hop; they are taken note of when a line relies on it."""
        server = self._servers.get(hop)
        if server is not None and hosts:
            server.hosts = hosts

    def trusts(self, line_id: str, host: str) -> bool:
        """Whether ``host`` is the line's registrar or proxy."""
        way = self._ways.get(line_id)
        return way is not None and any(host in self._servers[hop].hosts for hop in way.hops)

    def hosts(self, line_id: str) -> frozenset[str]:
        """The addresses of a line's registrar and proxies."""
        return frozenset().union(*(self._servers[hop].hosts for hop in self._ways[line_id].hops))

    def is_server(self, host: str) -> bool:
        """Whether ``host`` is a registrar or proxy of any line."""
        return any(host in server.hosts for server in self._servers.values())

    def _change(self, line_id: str, way: _Way) -> None:
        former = self._ways.get(line_id)
        self._ways[line_id] = way
        for hop in way.hops:
            self._servers.setdefault(hop, _Server()).lines.add(line_id)
        for hop in former.hops if former is not None else ():
            if hop not in way.hops:
                self._leave(hop, line_id)

    def _leave(self, hop: Hop, line_id: str) -> None:
        lines = self._servers[hop].lines
        lines.discard(line_id)
        if not lines:
            del self._servers[hop]


def _proxy(line: RegisteredLine) -> SIPURI | None:
    """The outbound proxy as a loose router (RFC 3261 §8.1.2): a host name in the configuration says no more."""
    proxy = line.outbound_proxy
    if proxy is None or proxy.param("lr") is not None:
        return proxy
    return replace(proxy, params=(*proxy.params, ("lr", None)))


def _service_route(response: SIPMessage) -> tuple[SIPURI, ...]:
    """The URIs of Service-Route, each a loose router (RFC 3608 §5)."""
    uris = tuple(NameAddr.parse(item).sip_uri for item in response.items("service-route"))
    if len(uris) > MAX_SERVICE_ROUTE or any(uri.param("lr") is None or uri.headers for uri in uris):
        raise RemoteProtocolError("a Service-Route that nobody can follow")
    return uris
