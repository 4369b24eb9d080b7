"""Lines: what the endpoint knows of an account. Who may ring one is decided in policy.py."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from sip_bridge.sip.digest import Credentials
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.uri import SIPURI


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectLine:
    """Called by address: its user, an alias, or no user at all."""

    id: str
    user: str
    display_name: str
    aliases: tuple[str, ...] = ()
    transport: str | None = None  # for a SIP URI that names none; None leaves it to DNS, and then UDP
    allow_from: tuple[IPv4Network | IPv6Network, ...] = ()
    credentials: Credentials | None = None  # that callers have to show
    realm: str = "sip-bridge"
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")  # that a challenge offers, the preferred one first


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredLine:
    """At a registrar; ``domain`` is the host part of its address of record, ``expires`` in seconds is asked for."""

    id: str
    user: str
    display_name: str
    domain: str
    registrar: Hop
    credentials: Credentials | None
    realm: str | None = None
    realms: tuple[tuple[str, Credentials], ...] = ()  # of proxies that want other credentials
    min_algorithm: str = "MD5"
    expires: int = 300
    keep_alive: float | None = None  # seconds; None: where a NAT or a connection asks for it; 0: never
    outbound_proxy: SIPURI | None = None
    message_waiting: bool | None = (
        None  # subscribe to the mailbox; None: hear what is told unasked; False: not even that
    )

    @property
    def registrar_uri(self) -> str:
        """The Request-URI of REGISTER: no user part (RFC 3261 §10.2); a FRITZ!Box ignores one that has it."""
        return SIPURI(host=self.domain, port=self.registrar.port).format()

    @property
    def first_hop(self) -> Hop:
        """Where every request of the account goes: the outbound proxy, or the registrar."""
        return Hop.of(self.outbound_proxy) if self.outbound_proxy else self.registrar

    @property
    def aor(self) -> SIPURI:
        """The address of record."""
        return SIPURI(user=self.user, host=self.domain)


Line = DirectLine | RegisteredLine
