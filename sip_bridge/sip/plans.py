"""Requests of ours beside INVITE and REGISTER: as which line they go out, and how they go within a dialog."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.client_request import HeaderList, Plan
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.line import Line, RegisteredLine
from sip_bridge.sip.policy import Policy
from sip_bridge.sip.route import Route, Routing
from sip_bridge.sip.target import target_uri
from sip_bridge.sip.uri import SIPURI


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """As whom, to whom and which way a request outside a dialog goes."""

    line: Line
    target: SIPURI
    routing: Routing
    authenticator: Authenticator | None = None

    @property
    def route(self) -> Route:
        """Which way it goes."""
        return self.routing.of(self.line, self.target)

    @property
    def is_secure(self) -> bool:
        """Whether it goes to a sips URI."""
        return self.target.scheme == "sips"

    def local(self, flow: Flow, tag: str) -> NameAddr:
        """From: a registered line names itself by its domain, a direct one by its address towards the peer."""
        domain = self.line.domain if isinstance(self.line, RegisteredLine) else flow.local[0]
        uri = SIPURI(user=self.line.user, host=domain)
        return NameAddr(uri=uri.format(), display_name=self.line.display_name, params=(("tag", tag),))


class Origins:
    """What an application says of a request, a line's id and a number or URI, made into an `Origin`."""

    def __init__(self, policy: Policy, routing: Routing, authenticators: Mapping[str, Authenticator]) -> None:
        self._policy = policy
        self._routing = routing
        self._authenticators = authenticators

    def of(self, line_id: str, target: str) -> Origin:
        """LocalProtocolError for a target that is none, InvalidStateError for a line that was removed."""
        line = self._policy.lines.get(line_id)
        if line is None:
            raise InvalidStateError(f"there is no line {line_id}")
        return Origin(
            line=line,
            target=target_uri(line, target),
            routing=self._routing,
            authenticator=self._authenticators.get(line_id),
        )


def plan_outside(
    method: str,
    origin: Origin,
    *,
    call_id: str,
    tag: str,
    next_seq: Callable[[], int],
    headers: Callable[[Flow], HeaderList],
    content: bytes = b"",
) -> Plan:
    """A request outside any dialog."""
    uri, route = origin.target.format(), origin.route

    def all_headers(flow: Flow) -> HeaderList:
        return [
            ("From", origin.local(flow, tag).format()),
            ("To", f"<{uri}>"),
            ("Call-ID", call_id),
            *route.headers,
            *headers(flow),
        ]

    return Plan(
        method=method,
        uri=uri,
        hop=route.hop,
        headers=all_headers,
        next_seq=next_seq,
        content=content,
        authenticator=origin.authenticator,
    )


def plan_within(
    method: str,
    dialog: Dialog,
    *,
    next_seq: Callable[[], int],
    headers: Callable[[Flow], HeaderList],
    content: bytes = b"",
    authenticator: Authenticator | None = None,
) -> Plan:
    """A request within a dialog (RFC 3261 §12.2.1.1)."""
    uri, routes, hop = dialog.routing()

    def all_headers(flow: Flow) -> HeaderList:
        return [
            ("From", dialog.local.format()),
            ("To", dialog.remote.format()),
            ("Call-ID", dialog.call_id),
            *(("Route", route) for route in routes),
            *headers(flow),
        ]

    return Plan(
        method=method,
        uri=uri,
        hop=hop,
        headers=all_headers,
        next_seq=next_seq,
        content=content,
        authenticator=authenticator,
    )
