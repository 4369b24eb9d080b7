"""Dialogs (RFC 3261 §12): tags, sequence numbers, route set and remote target."""

from dataclasses import dataclass

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import COOKIE, NameAddr
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.uri import SIPURI, scheme_of

DialogKey = tuple[str, str, str]  # Call-ID, local tag, remote tag


@dataclass(slots=True, kw_only=True)
class Dialog:
    """One dialog; ``remote_target`` is a URI as the peer wrote it, ``route_set`` Route values in sending order."""

    call_id: str
    local: NameAddr
    remote: NameAddr
    remote_target: str
    route_set: tuple[str, ...]
    local_seq: int
    remote_seq: int | None = None

    @classmethod
    def of_server(cls, request: SIPMessage, *, local_tag: str, local_seq: int) -> "Dialog":
        """The callee's side (§12.1.1)."""
        contact = request.contact
        if contact is None and (request.via.branch or "").startswith(COOKIE):
            raise RemoteProtocolError("Contact is missing")
        return cls(
            call_id=request.call_id,
            local=_party(request.to, local_tag),
            remote=_party(request.from_, request.from_.tag),
            remote_target=_checked(contact or request.from_),  # RFC 2543 could do without Contact
            route_set=_route_set(request),
            local_seq=local_seq,
            remote_seq=request.cseq.number,
        )

    @classmethod
    def of_client(cls, response: SIPMessage, *, local: NameAddr, request_uri: str) -> "Dialog":
        """The caller's side (§12.1.2).

        A peer without a legible Contact is called at the Request-URI: an answered call must be acknowledged.
        """
        target, route_set = _target_and_route(response, request_uri)
        return cls(
            call_id=response.call_id,
            local=local,
            remote=_party(response.to, response.to.tag),
            remote_target=target,
            route_set=route_set,
            local_seq=response.cseq.number,
        )

    def confirm(self, response: SIPMessage, *, request_uri: str) -> None:
        """The 2xx of an early dialog: its target and route set are the ones that count (§13.2.2.4)."""
        self.remote_target, self.route_set = _target_and_route(response, request_uri)

    @property
    def key(self) -> DialogKey:
        """What messages of this dialog are found by."""
        return self.call_id, self.local.tag or "", self.remote.tag or ""

    def next_seq(self) -> int:
        """The CSeq number of the next request of ours."""
        self.local_seq += 1
        return self.local_seq

    def is_in_order(self, request: SIPMessage) -> bool:
        """Whether a request of the peer is newer than the last one (§12.2.2); remembers it if so."""
        number = request.keys.seq
        if self.remote_seq is not None and number <= self.remote_seq:
            return False
        self.remote_seq = number
        return True

    def refresh_target(self, message: SIPMessage) -> None:
        """A target refresh (re-INVITE, UPDATE or their 2xx) may move the peer (§12.2).

        RemoteProtocolError for a request without a legible target; a response is none to refuse, and moves nothing.
        """
        try:
            self.remote_target = _checked(message.contact) if message.contact is not None else self.remote_target
        except RemoteProtocolError:
            if message.is_request:
                raise

    def routing(self) -> tuple[str, tuple[str, ...], Hop]:
        """Request-URI, Route values and next hop of a request within the dialog (§12.2.1.1)."""
        if not self.route_set:
            target = NameAddr(uri=self.remote_target).sip_uri
            return self.remote_target, (), Hop.of(target)
        first = NameAddr.parse(self.route_set[0])
        hop = Hop.of(first.sip_uri)
        if first.sip_uri.param("lr") is not None:
            return self.remote_target, self.route_set, hop
        return first.uri, (*self.route_set[1:], f"<{self.remote_target}>"), hop


def _party(address: NameAddr, tag: str | None) -> NameAddr:
    """What a dialog knows of each side: URI and tag."""
    return NameAddr(uri=address.uri, params=() if tag is None else (("tag", tag),))


def _target_and_route(response: SIPMessage, request_uri: str) -> tuple[str, tuple[str, ...]]:
    try:
        target = _checked(response.contact) if response.contact else request_uri
        return target, _route_set(response)[::-1]
    except RemoteProtocolError:
        return request_uri, ()


def _checked(target: NameAddr) -> str:
    """A target that requests can be sent to later; RemoteProtocolError otherwise."""
    if scheme_of(target.uri) not in ("sip", "sips"):
        raise RemoteProtocolError(f"not a SIP URI: {target.uri[:80]!r}")
    SIPURI.parse(target.uri)
    return target.uri


def _route_set(message: SIPMessage) -> tuple[str, ...]:
    """The URIs of Record-Route (§12.1.1); the lines themselves are copied into responses, so NUL is refused."""
    if any("\0" in line for line in message.get_all("record-route")):
        raise RemoteProtocolError("NUL in Record-Route")
    return tuple(f"<{_checked(NameAddr.parse(item))}>" for item in message.items("record-route"))
