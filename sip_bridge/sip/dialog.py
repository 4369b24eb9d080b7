"""Dialogs (RFC 3261 §12): tags, sequence numbers, route set and remote target."""

from dataclasses import dataclass

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.message import SIPMessage

DialogKey = tuple[str, str, str]  # Call-ID, local tag, remote tag


@dataclass(slots=True, kw_only=True)
class Dialog:
    """One dialog; ``remote_target`` is a URI as the peer wrote it, ``route_set`` Route values in sending order."""

    call_id: str
    local: NameAddr
    remote: NameAddr
    local_contact: str
    remote_target: str
    route_set: tuple[str, ...]
    local_seq: int
    remote_seq: int | None = None

    @classmethod
    def of_server(cls, request: SIPMessage, *, local_tag: str, local_contact: str, local_seq: int) -> "Dialog":
        """The callee's side (§12.1.1)."""
        if request.contact is None:
            raise RemoteProtocolError("Contact is missing")
        return cls(
            call_id=request.call_id,
            local=request.to.with_tag(local_tag),
            remote=request.from_,
            local_contact=local_contact,
            remote_target=request.contact.uri,
            route_set=tuple(request.items("record-route")),
            local_seq=local_seq,
            remote_seq=request.cseq.number,
        )

    @classmethod
    def of_client(cls, response: SIPMessage, *, local: NameAddr, local_contact: str, request_uri: str) -> "Dialog":
        """The caller's side (§12.1.2); a peer that forgets Contact is called at the Request-URI."""
        return cls(
            call_id=response.call_id,
            local=local,
            remote=response.to,
            local_contact=local_contact,
            remote_target=response.contact.uri if response.contact else request_uri,
            route_set=tuple(reversed(response.items("record-route"))),
            local_seq=response.cseq.number,
        )

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
        number = request.cseq.number
        if self.remote_seq is not None and number <= self.remote_seq:
            return False
        self.remote_seq = number
        return True

    def refresh_target(self, message: SIPMessage) -> None:
        """A target refresh (re-INVITE, UPDATE or their 2xx) may move the peer (§12.2)."""
        if message.contact is not None:
            self.remote_target = message.contact.uri

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
