"""A proxy on the virtual wire (RFC 3261 §16): stays in the path, may ask for a password, and retransmits nothing."""

from collections.abc import Callable, Iterable

from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI
from tests.scenario import Address, RawPeer, Wire

OWN = "z9hG4bK-at-"


class Proxy(RawPeer):
    """Sends what has no Route to us or beyond to ``next_hop``; ``realm`` makes it challenge INVITEs without one."""

    def __init__(self, wire: Wire, host: str, *, next_hop: Callable[[SIPMessage], Address], realm: str | None) -> None:
        super().__init__(wire, host)
        self._next_hop = next_hop
        self._realm = realm
        self.rewrite: Callable[[bytes], bytes] = lambda data: data  # what a gateway does to session descriptions
        self._way: dict[str, Address] = {}  # of the INVITEs forwarded, by branch: an ACK or CANCEL goes along
        self._refused: set[str] = set()  # branches that were answered here or downstream with a refusal

    def _receive(self, data: bytes, source: Address) -> None:
        message = SIPMessage(data)
        self.received.append(message)
        if not message.is_request:
            self._pass_back(message)
        elif message.method == "ACK" and message.via.branch in self._refused:
            pass  # it ends here, as the refusal did
        elif message.method == "INVITE" and self._asks(message):
            headers = [f'Proxy-Authenticate: Digest realm="{self._realm}", nonce="at-{self._realm}", qop="auth"']
            self.refuse(message, 407, headers)
        elif message.method == "CANCEL":
            self.respond(message, 200, contact="")
            self._forward(message, self._way[message.via.branch or ""])
        else:
            self._pass_on(message)

    def refuse(self, request: SIPMessage, status: int, headers: Iterable[str] = ()) -> None:
        """Answer an INVITE instead of the callee."""
        self._refused.add(request.via.branch or "")
        self.respond(request, status, headers=headers, contact="")

    def _asks(self, request: SIPMessage) -> bool:
        answered = " ".join(request.get_all("proxy-authorization"))
        return self._realm is not None and request.to.tag is None and f'realm="{self._realm}"' not in answered

    def _pass_on(self, request: SIPMessage) -> None:
        if request.method == "INVITE":
            self.respond(request, 100, to_tag=None, contact="")
        routes = [item for item in request.items("route") if f"sip:{self.address[0]};lr" not in item]
        if routes:
            uri = SIPURI.parse(routes[0].strip("<>"))
            target = uri.host, uri.port or 5060
        elif request.to.tag is not None:
            uri = SIPURI.parse(request.uri)
            target = uri.host, uri.port or 5060
        else:
            target = self._next_hop(request)
        self._way[request.via.branch or ""] = target
        self._forward(request, target, routes)

    def _forward(self, request: SIPMessage, target: Address, routes: list[str] | None = None) -> None:
        """§16.6: Max-Forwards, our Via on top, our Record-Route in what opens a dialog, our Route gone."""
        start, *lines = request.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        kept = [line for line in lines if not line.lower().startswith(("route:", "max-forwards:"))]
        host = self.address[0]
        head = [
            start,
            f"Via: SIP/2.0/UDP {host}:5060;branch={OWN}{host}-{request.via.branch}",
            *([f"Record-Route: <sip:{host};lr>"] if request.method == "INVITE" and request.to.tag is None else []),
            *(f"Route: {route}" for route in routes or []),
            f"Max-Forwards: {(request.number('max-forwards') or 70) - 1}",
            *kept,
        ]
        data = "\r\n".join([*head, "", ""]).encode() + request.content
        self.wire.carry(self.rewrite(data), self.address, target)

    def _pass_back(self, response: SIPMessage) -> None:
        """§16.7: without our Via to the next; 100 ends here, and a refusal gets its ACK from us."""
        status, method = SIPStatus(response.status), response.cseq.method
        branch = (response.via.branch or "").removeprefix(f"{OWN}{self.address[0]}-")
        if method == "INVITE" and status >= SIPStatus.MULTIPLE_CHOICES:
            self._refused.add(branch)
            self._acknowledge(response, branch)
        if status == SIPStatus.TRYING or method == "CANCEL":
            return
        lines = response.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        first = next(index for index, line in enumerate(lines) if line.lower().startswith("via:"))
        data = "\r\n".join([*lines[:first], *lines[first + 1 :], "", ""]).encode() + response.content
        via = SIPMessage(data).via
        self.wire.carry(self.rewrite(data), self.address, (via.host, via.rport or via.sent_by[1]))

    def _acknowledge(self, response: SIPMessage, branch: str) -> None:
        host = self.address[0]
        lines = [
            f"ACK sip:refused@{host} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:5060;branch={OWN}{host}-{branch}",
            "Max-Forwards: 70",
            *(f"{name}: {response.get(name.lower())}" for name in ("From", "To", "Call-ID")),
            f"CSeq: {response.cseq.number} ACK",
            "Content-Length: 0",
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.carry(data, self.address, self._way[branch])
