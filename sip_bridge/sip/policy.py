"""Who may ring: the one place that decides whether a request outside a dialog is acted on, and for which line.

RFC 3261 §8.2.2.1, §26.1.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.line import DirectLine, Line, RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.route import Routing
from sip_bridge.sip.uri import SIPURI, scheme_of, tel_number

MAX_CALLS: Final = 512  # live calls of one endpoint
MAX_UNANSWERED_PER_SOURCE: Final = 16  # INVITEs of one host that ring or wait for their ACK


class Policy:
    """Lines by id; whose registrar or proxy a host is, ``routing`` knows."""

    def __init__(self, routing: Routing) -> None:
        self.lines: dict[str, Line] = {}
        self._by_name: dict[str, list[Line]] = {}
        self._routing = routing

    def add(self, line: Line) -> None:
        """Serve a line."""
        self.lines[line.id] = line
        self._index()
        if isinstance(line, RegisteredLine):
            self._routing.add(line)

    def change(self, line: RegisteredLine) -> None:
        """Serve a line of the same registrar otherwise."""
        self.lines[line.id] = line
        self._index()
        self._routing.change(line)

    def remove(self, line_id: str) -> None:
        """Serve a line no more."""
        del self.lines[line_id]
        self._index()
        self._routing.remove(line_id)

    def order(self, line_ids: Sequence[str]) -> None:
        """Who comes first is rung first where a request fits several lines; all of them have to be named."""
        self.lines = {line_id: self.lines[line_id] for line_id in line_ids}
        self._index()

    def _index(self) -> None:
        self._by_name = {}
        for line in self.lines.values():
            for name in _names(line):
                self._by_name.setdefault(name, []).append(line)

    def is_known(self, flow: Flow) -> bool:
        """Whether anything outside a dialog is answered at all; strangers get silence."""
        if self._routing.is_server(flow.remote[0]):
            return True
        return any(isinstance(line, DirectLine) and self._lets_in(line, flow) for line in self.lines.values())

    def line_for(self, request: SIPMessage, flow: Flow) -> Line | None:
        """The line that a request of a known source is for, None when it names nobody here."""
        user = _user(request.uri)
        exact = next((line for line in self._by_name.get(user or "", ()) if self._lets_in(line, flow)), None)
        if exact is not None:
            return exact
        lines = [line for line in self.lines.values() if self._lets_in(line, flow)]
        if user is None:
            return next((line for line in lines if isinstance(line, DirectLine)), None)
        at_registrar = [line for line in lines if isinstance(line, RegisteredLine)]
        # A trunk calls its one line by any number of ours; with several lines the number has to say which.
        return at_registrar[0] if len(at_registrar) == 1 and not _has_direct(lines) else None

    def _lets_in(self, line: Line, flow: Flow) -> bool:
        host = flow.remote[0]
        if isinstance(line, RegisteredLine):
            return self._routing.trusts(line.id, host)
        address = _address(host)
        return any(address in network for network in line.allow_from if network.version == address.version)


def _has_direct(lines: list[Line]) -> bool:
    return any(isinstance(line, DirectLine) for line in lines)


def _names(line: Line) -> tuple[str, ...]:
    return (line.user, *line.aliases) if isinstance(line, DirectLine) else (line.user,)


@lru_cache(maxsize=1024)
def _address(host: str) -> IPv4Address | IPv6Address:
    """The source of a datagram; an IPv4 address on a dual-stack socket comes as ::ffff:a.b.c.d."""
    address = ip_address(host.partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _user(uri: str) -> str | None:
    """The user part of a Request-URI; RemoteProtocolError(416) for a scheme that is neither sip, sips nor tel."""
    if scheme_of(uri) == "tel":
        return tel_number(uri)
    user = SIPURI.parse(uri).user
    if user is not None and not user.isprintable():
        raise RemoteProtocolError("control characters in the Request-URI's user part")
    return user
