"""Where messages go and come from, in values: a flow of one transport, and a hop that is still to be resolved."""

from dataclasses import dataclass

from sip_bridge.sip.uri import SIPURI


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A way to a peer: transport, our address as that peer should name it, and the peer's address.

    ``connection`` is the one that a message came on over TCP or TLS; 0 on UDP, and where any connection to the peer
    will do. ``server_name`` is whom a TLS peer's certificate has to name: the host of the hop (RFC 5922).
    """

    transport: str
    local: tuple[str, int]
    remote: tuple[str, int]
    connection: int = 0
    server_name: str | None = None

    @property
    def is_reliable(self) -> bool:
        """Whether the transport retransmits by itself."""
        return self.transport != "UDP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """The next hop of a request as its URI names it (RFC 3263 §4 input); resolving it gives flows, best first.

    ``secure`` asks for TLS all the way (a sips URI); ``domain`` is set when the host is not the name of its owner.
    """

    host: str
    port: int | None = None
    transport: str | None = None
    secure: bool = False
    domain: str | None = None

    @classmethod
    def of(cls, uri: SIPURI) -> "Hop":
        """The hop that a Route or Request-URI asks for; ``maddr`` wins over the host (RFC 3263 §4)."""
        secure = uri.scheme == "sips"
        transport = (uri.param("transport") or "").upper() or None
        maddr = (uri.param("maddr") or "").strip("[]").lower()
        return cls(
            host=maddr or uri.host,
            port=uri.port,
            transport="TLS" if secure and transport == "TCP" else transport,
            secure=secure,
            domain=uri.host if maddr else None,
        )

    @property
    def server_name(self) -> str:
        """The name that a TLS certificate has to hold: the URI's own, whatever DNS made of it (RFC 5922 §4)."""
        return (self.domain or self.host).rstrip(".")
