"""Locating SIP servers (RFC 3263): from a hop, as a URI names it, to addresses, best first."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import groupby
from typing import Final, Literal, get_args

from sip_bridge.phone.names import Names, Server
from sip_bridge.sip.flow import Hop

Transport = Literal["UDP", "TCP", "TLS"]
TRANSPORTS: Final[tuple[Transport, ...]] = get_args(Transport)  # in the order of preference when DNS has none
DEFAULT_PORTS: Final[Mapping[Transport, int]] = {"UDP": 5060, "TCP": 5060, "TLS": 5061}
TIMEOUT: Final = 5.0  # seconds for a hop
MAX_TARGETS: Final = 16
MAX_RULES: Final = 8  # NAPTR records that are followed

_SERVICES: Final[Mapping[Transport, str]] = {"UDP": "_sip._udp", "TCP": "_sip._tcp", "TLS": "_sips._tcp"}
_NAPTR_SERVICES: Final[Mapping[str, Transport]] = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
_LOCAL_DOMAINS: Final = ("local", "localhost")  # mDNS (RFC 6762) and this machine: no question to the world
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_BROADCAST: Final = IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to send: ``host`` is an IP address."""

    transport: Transport
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """A server still to be looked up."""

    transport: Transport
    host: str
    port: int


def has_route(address: str) -> bool:
    """Whether this machine would know where to send; connecting a UDP socket sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError:
        return False
    return True


class Resolver:
    """Finds the targets of hops.

    ``transports`` are those that we can speak; ``reaches`` says whether a family or network can be sent to.
    """

    def __init__(
        self,
        *,
        transports: Iterable[Transport] = TRANSPORTS,
        reaches: Callable[[str], bool] = has_route,
        names: Names | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._transports = tuple(sorted(transports, key=TRANSPORTS.index))
        self._reaches = reaches
        self._names = names or Names()
        self._timeout = timeout

    async def resolve(self, hop: Hop) -> tuple[Target, ...]:
        """The targets of a hop, best first, within `TIMEOUT`; none when it is unknown, unreachable or of no use."""
        known = self.numeric(hop)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(self._timeout):
                return await self._targets(await self._services(hop))
        except TimeoutError:
            return ()

    def numeric(self, hop: Hop) -> tuple[Target, ...] | None:
        """The targets of a hop that needs no look-up, None when it is a name."""
        if not _is_literal(hop.host):
            return None
        return self._located(self._fallback(hop), (hop.host,))

    # --- RFC 3263 §4.1: the transport ---

    def _acceptable(self, hop: Hop) -> tuple[Transport, ...]:
        """The transports that a hop allows: sips never goes out in the clear."""
        wanted = "TLS" if hop.secure and hop.transport in (None, "TCP", "TLS") else hop.transport
        if hop.secure and wanted != "TLS":
            return ()
        return tuple(transport for transport in self._transports if wanted in (None, transport))

    def _unasked(self, hop: Hop) -> tuple[Transport, ...]:
        """The transports for a domain that names none by NAPTR: a sip URI is tried in the clear."""
        acceptable = self._acceptable(hop)
        return tuple(transport for transport in acceptable if transport != "TLS") or acceptable

    def _fallback(self, hop: Hop) -> list[_Service]:
        """Neither NAPTR nor SRV says anything: the host itself, on the first transport."""
        return [
            _Service(transport=transport, host=hop.host, port=hop.port or DEFAULT_PORTS[transport])
            for transport in self._unasked(hop)[:1]
        ]

    async def _services(self, hop: Hop) -> list[_Service]:
        if not self._acceptable(hop):
            return []
        found = None
        if hop.port is None and _is_in_public_dns(hop.host):
            if hop.transport is None:
                found = await self._by_naptr(hop)
            if found is None:
                found = await self._by_srv(hop.host, [(t, f"{_SERVICES[t]}.{hop.host}") for t in self._unasked(hop)])
        return self._fallback(hop) if found is None else found

    async def _by_naptr(self, hop: Hop) -> list[_Service] | None:
        """The services of the lowest order that has any (RFC 3403 §4.1); None when NAPTR is of no help."""
        acceptable = self._acceptable(hop)
        rules: list[tuple[int, Transport, str]] = []
        for rule in await self._names.rules(hop.host):
            transport = _NAPTR_SERVICES.get(rule.service)
            if transport is not None and transport in acceptable:
                rules.append((rule.order, transport, rule.replacement))
        rules = rules[:MAX_RULES]
        answers = await asyncio.gather(*(self._names.servers(name, hop.host) for _, _, name in rules))
        if not any(answers):
            return None
        for _, group in groupby(zip(rules, answers, strict=True), key=_order):
            found = [each for (_, transport, _), servers in group for each in _services(transport, servers)]
            if found:
                return found
        return []

    async def _by_srv(self, domain: str, asked: Sequence[tuple[Transport, str]]) -> list[_Service] | None:
        """The servers of each service, in order; None when there is no record, [] when all say: not available."""
        answers = await asyncio.gather(*(self._names.servers(name, domain) for _, name in asked))
        if not any(answers):
            return None
        pairs = zip(asked, answers, strict=True)
        return [each for (transport, _), servers in pairs for each in _services(transport, servers)]

    # --- RFC 3263 §4.2: the addresses ---

    async def _targets(self, services: list[_Service]) -> tuple[Target, ...]:
        """Every address of every server."""
        services = services[:MAX_TARGETS]
        hosts = list(dict.fromkeys(service.host for service in services))
        answers = await asyncio.gather(*(self._addresses(host) for host in hosts))
        found = dict(zip(hosts, answers, strict=True))
        targets = [target for service in services for target in self._located([service], found[service.host])]
        return tuple(dict.fromkeys(targets))[:MAX_TARGETS]

    async def _addresses(self, host: str) -> tuple[str, ...]:
        if _is_literal(host):
            return (host,)  # an SRV record may not name an address, but some do
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return ()  # 127.1 and 2130706433 are no names, and the system would take them for addresses
        return await self._names.addresses(host)

    def _located(self, services: list[_Service], addresses: Iterable[str]) -> tuple[Target, ...]:
        usable = [text for address in addresses if (text := _unicast(address)) and self._reaches(text)]
        return tuple(
            Target(transport=service.transport, host=host, port=service.port) for service in services for host in usable
        )


def _order(candidate: tuple[tuple[int, Transport, str], tuple[Server, ...]]) -> int:
    return candidate[0][0]


def _services(transport: Transport, servers: Iterable[Server]) -> list[_Service]:
    """Servers that exist: a target of "." or a port of 0 names none."""
    return [_Service(transport=transport, host=s.host, port=s.port) for s in servers if s.host and s.port]


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_in_public_dns(host: str) -> bool:
    """Whether NAPTR and SRV may be asked for: a name without a dot is one of this network."""
    labels = host.rstrip(".").split(".")
    return len(labels) > 1 and labels[-1].lower() not in _LOCAL_DOMAINS and not _NUMBER.fullmatch(labels[-1])


def _unicast(address: str) -> str | None:
    """An address that one host may have, an IPv4 one in its own form; None for any other."""
    ip: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return None if ip.is_multicast or ip.is_unspecified or ip == _BROADCAST else str(ip)
