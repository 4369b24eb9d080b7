"""Ports that the kernel says are free."""

import asyncio
import random
import socket
from pathlib import Path

from tests.peers.process import Process

LOOPBACK = "127.0.0.1"
_RECENT: set[int] = set()  # the kernel may offer a port again before its peer has taken it


def free_port(*kinds: socket.SocketKind) -> int:
    """A port on loopback that is free for every one of the given kinds, and was not given out before."""
    while True:
        with socket.socket(socket.AF_INET, kinds[0]) as first:
            first.bind((LOOPBACK, 0))
            port: int = first.getsockname()[1]
            if port not in _RECENT and all(_is_free(port, kind) for kind in kinds[1:]):
                _RECENT.add(port)
                return port


def free_udp_port() -> int:
    """A free UDP port on loopback."""
    return free_port(socket.SOCK_DGRAM)


def free_tcp_port() -> int:
    """A free TCP port on loopback."""
    return free_port(socket.SOCK_STREAM)


def free_sip_port() -> int:
    """A port on loopback that is free for UDP and for TCP."""
    return free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)


def free_sip_port_with_tls() -> int:
    """A port that is free for UDP and TCP, with the next one free too: SIP over TLS listens there.

    Below the ports that the kernel gives to outgoing connections, or one of those could take the second meanwhile.
    """
    while True:
        port = random.randrange(11000, 19000, 2)
        both = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        if port not in _RECENT and all(_is_free(each, kind) for each in (port, port + 1) for kind in both):
            _RECENT.update((port, port + 1))
            return port


async def udp_port_taken(port: int, by: Process, *, within: float = 10) -> None:
    """Waits until `by` listens on `port`: the kernel tells nobody, so its table is read again and again."""
    async with asyncio.timeout(within):
        while not _listens(port):
            by.check_alive()
            await asyncio.sleep(0.01)


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as other:
        try:
            other.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _listens(port: int) -> bool:
    local = f":{port:04X}"
    return any(line.split()[1].endswith(local) for line in Path("/proc/net/udp").read_text().splitlines()[1:])
