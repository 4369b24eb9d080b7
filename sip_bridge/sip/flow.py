"""Where messages go and come from, in values: a flow of one transport, and a hop that is still to be resolved."""

from dataclasses import dataclass

from sip_bridge.sip.uri import SIPURI


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A way to a peer: transport, our address as that peer should name it, and the peer's address.

    ``connection`` tells two TCP or TLS connections between the same addresses apart; 0 on UDP.
    """

    transport: str
    local: tuple[str, int]
    remote: tuple[str, int]
    connection: int = 0

    @property
    def is_reliable(self) -> bool:
        """Whether the transport retransmits by itself."""
        return self.transport != "UDP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """The next hop of a request as its URI names it (RFC 3263 §4 input); resolving it gives flows, best first."""

    host: str
    port: int | None = None
    transport: str | None = None

    @classmethod
    def of(cls, uri: SIPURI) -> "Hop":
        """The hop that a Route or Request-URI asks for; ``maddr`` wins over the host."""
        return cls(host=uri.param("maddr") or uri.host, port=uri.port, transport=uri.transport)
