"""Ports that the kernel says are free."""

import asyncio
import os
import random
import socket
from pathlib import Path

from tests.peers.process import Process

LOOPBACK = "127.0.0.1"
LOOPBACK_IPV6 = "::1"

# Below the ports that the kernel gives to outgoing connections, or one of those could take a port before its peer does.
# Of these each process that runs tests beside others (pytest -n) has a part, and goes round in it.
_PORTS = range(11000, 20000)


def _part() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = len(_PORTS) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) & ~1
    return _PORTS[worker * size : (worker + 1) * size]


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind((LOOPBACK_IPV6, 0))
        except OSError:
            return False
        return True


HAS_IPV6 = socket.has_ipv6 and _has_ipv6()
_LOOPBACKS = [(socket.AF_INET, LOOPBACK), *([(socket.AF_INET6, LOOPBACK_IPV6)] if HAS_IPV6 else [])]
_WAITING = ("07", "0A")  # in the kernel's tables: a UDP socket, and one that listens for TCP
_OURS = _part()
_next = random.randrange(0, len(_OURS), 2)


def free_ports(count: int) -> int:
    """The first, an even one, of several ports in a row that are free for UDP and TCP on loopback."""
    global _next  # noqa: PLW0603  # one round of the whole process
    while True:
        if _next + count > len(_OURS):
            _next = 0
        first = _OURS[_next]
        _next += count + count % 2
        if all(_is_free(port) for port in range(first, first + count)):
            return first


def free_port() -> int:
    """A port that is free for UDP and TCP on loopback."""
    return free_ports(1)


async def udp_port_taken(port: int, by: Process, *, within: float = 10) -> None:
    """Waits until `by` listens on `port`: the kernel tells nobody, so its table is read again and again."""
    await _taken(port, by, "udp", within)


async def tcp_port_taken(port: int, by: Process, *, within: float = 10) -> None:
    """As `udp_port_taken`."""
    await _taken(port, by, "tcp", within)


async def _taken(port: int, by: Process, protocol: str, within: float) -> None:
    async with asyncio.timeout(within):
        while not _listens(port, protocol):
            by.check_alive()
            await asyncio.sleep(0.01)


def _is_free(port: int) -> bool:
    for family, host in _LOOPBACKS:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(family, kind) as other:
                try:
                    other.bind((host, port))
                except OSError:
                    return False
    return True


def _listens(port: int, protocol: str) -> bool:
    local = f":{port:04X}"
    tables = [Path(f"/proc/net/{name}") for name in (protocol, f"{protocol}6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return any(row[1].endswith(local) and row[3] in _WAITING for row in rows)
