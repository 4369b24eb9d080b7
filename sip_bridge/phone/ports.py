"""UDP ports for RTP: pairs of a range, bound at once, so that nobody else can take them in between."""

import random
import socket

from sip_bridge.errors import InvalidRangeError, NoPortsAvailableError
from sip_bridge.phone.settings import PortRange
from sip_bridge.phone.transport.addresses import family_of, socket_address

SocketPair = tuple[socket.socket, socket.socket]


class PortAllocator:
    """Hands out bound sockets; closing them gives their ports back."""

    def __init__(self, ports: PortRange) -> None:
        first = ports.low + ports.low % 2
        if not 1024 <= ports.low <= ports.high <= 65535 or first + 1 > ports.high:
            raise InvalidRangeError(
                f"RTP ports {ports.low} to {ports.high}: expected 1024 to 65535, an even one and the next among them"
            )
        self._ports = range(first, ports.high, 2)
        self._next = random.randrange(len(self._ports))  # noqa: S311  # spreads ports; nobody's secret

    def bind(self, host: str) -> SocketPair:
        """Non-blocking UDP sockets for RTP, on an even port, and RTCP, on the next one (RFC 3550 §11).

        They are given in turn, from anywhere in the range on: what still comes for a call that is over would be heard
        in the next one with its port. NoPortsAvailableError when no pair is free.
        """
        for _ in self._ports:
            port = self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)
            try:
                rtp = _bound(host, port)
            except OSError:
                continue
            try:
                return rtp, _bound(host, port + 1)
            except OSError:
                rtp.close()
        raise NoPortsAvailableError(f"all RTP ports from {self._ports[0]} to {self._ports[-1]} are in use at {host}")


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(family_of(host), socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
        if sock.family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(socket_address(host, port))
    except OSError:
        sock.close()
        raise
    return sock
