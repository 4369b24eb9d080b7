"""From a hop's name to addresses (RFC 3263): SRV through dnspython, addresses through the system, which knows
/etc/hosts and mDNS too.
"""

import asyncio
import logging
import random
import socket
from ipaddress import ip_address
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.resolver

from sip_bridge.sip.flow import Hop

_LOG = logging.getLogger(__name__)
_TIMEOUT: Final = 5.0  # seconds for a name
DEFAULT_PORT: Final = 5060

Address = tuple[str, int]


def literal(hop: Hop) -> Address | None:
    """The address of a hop that needs no look-up."""
    try:
        ip_address(hop.host)
    except ValueError:
        return None
    return hop.host, hop.port or DEFAULT_PORT


class Resolver:
    """Looks names up for UDP; ``family`` is the socket's, so that only reachable addresses come back."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self._family = family

    async def resolve(self, hop: Hop) -> tuple[Address, ...]:
        """Addresses of a hop, best first; none when the name is unknown or nobody answers in time."""
        known = literal(hop)
        if known is not None:
            return (known,)
        targets = [(hop.host, hop.port)] if hop.port is not None else await self._services(hop.host)
        found: list[Address] = []
        for host, port in targets:
            found += await self._addresses(host, port or DEFAULT_PORT)
        return tuple(dict.fromkeys(found))

    async def _services(self, host: str) -> list[tuple[str, int | None]]:
        """SRV records by priority and weight (RFC 2782); the host itself when there are none."""
        if "." not in host:
            return [(host, None)]  # a name of this network: no SRV, and no question to the world
        try:
            answer = await dns.asyncresolver.resolve(f"_sip._udp.{host}", "SRV", lifetime=_TIMEOUT)
        except (dns.exception.DNSException, OSError) as error:
            _LOG.debug("no SRV for %s: %s", host, error)
            return [(host, None)]
        records = sorted(answer, key=lambda r: (r.priority, -random.random() * (r.weight + 0.1)))  # noqa: S311
        return [(str(record.target).rstrip("."), record.port) for record in records] or [(host, None)]

    async def _addresses(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_TIMEOUT):
                infos = await loop.getaddrinfo(host, port, family=self._family, type=socket.SOCK_DGRAM)
        except (OSError, TimeoutError, UnicodeError) as error:
            _LOG.debug("no address for %s: %s", host, error)
            return []
        return [(info[4][0], info[4][1]) for info in infos if isinstance(info[4][0], str)]
