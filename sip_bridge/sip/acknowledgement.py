"""The ACK to a 2xx: a request of its own, end to end, repeated for each repeated 2xx (RFC 3261 §13.2.2.4)."""

from sip_bridge.sip.client_request import MAX_FORWARDS, ClientRequest
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.fields import COOKIE, Via
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import VERSION


class Acknowledgement:
    """Acknowledges the 2xx to one INVITE; ``content`` is our answer when the 2xx brought the offer."""

    def __init__(self, core: Core, dialog: Dialog, request: ClientRequest, content: bytes = b"") -> None:
        self._core = core
        self._dialog = dialog
        self._request = request
        self._content = content
        self._seq = request.seq
        self._credentials = tuple(request.credentials)  # the INVITE's own: an ACK can't be challenged (§22.1)
        self._uri, self._routes, self._hop = dialog.routing()
        self._sent: tuple[bytes, Flow] | None = None

    def send(self) -> None:
        """Resolve the route, then send."""
        self._core.resolve(self._hop, self)

    def repeat(self) -> None:
        """The 2xx came once more; as long as the route is being resolved, the first ACK is still to come."""
        if self._sent is not None:
            self._core.layer.transmit(*self._sent)

    def resolved(self, flows: tuple[Flow, ...], now: float) -> None:
        """See `Resolving`; when the Contact leads nowhere, the ACK goes where the INVITE went."""
        del now
        flow = flows[0] if flows else self._request.flow
        host, port = flow.local
        branch = COOKIE + self._core.chance.token()
        via = Via(transport=flow.transport, host=host, port=port, params=(("rport", None), ("branch", branch)))
        lines = [
            f"ACK {self._uri} {VERSION}",
            f"Via: {via.format()}",
            f"Max-Forwards: {MAX_FORWARDS}",
            f"From: {self._dialog.local.format()}",
            f"To: {self._dialog.remote.format()}",
            f"Call-ID: {self._dialog.call_id}",
            f"CSeq: {self._seq} ACK",
            *(f"Route: {route}" for route in self._routes),
            *(f"{name}: {value}" for name, value in self._credentials),
            f"User-Agent: {self._core.user_agent}",
            *(["Content-Type: application/sdp"] if self._content else []),
            f"Content-Length: {len(self._content)}\r\n\r\n",
        ]
        data = "\r\n".join(lines).encode("utf-8", "surrogateescape") + self._content
        self._sent = (data, flow)
        self._core.layer.transmit(data, flow)
