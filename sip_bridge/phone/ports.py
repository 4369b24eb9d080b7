"""UDP ports for RTP: even ones of a range, bound at once, so that nobody else can take them in between."""

import random
import socket

from sip_bridge.errors import InvalidRangeError, NoPortsAvailableError
from sip_bridge.phone.settings import PortRange


class PortAllocator:
    """Hands out bound sockets; closing one gives its port back."""

    def __init__(self, ports: PortRange) -> None:
        if not 1024 <= ports.low <= ports.high <= 65535 or ports.low + ports.low % 2 > ports.high:
            raise InvalidRangeError(f"RTP ports {ports.low} to {ports.high}: expected 1024 to 65535, one of them even")
        self._ports = range(ports.low + ports.low % 2, ports.high + 1, 2)

    def bind(self, host: str) -> socket.socket:
        """A non-blocking UDP socket on a free port, starting anywhere in the range (RFC 3550 §11: even ports)."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        start = random.randrange(len(self._ports))  # noqa: S311  # spreads ports; nobody's secret
        for i in range(len(self._ports)):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
            try:
                sock.bind((host, self._ports[(start + i) % len(self._ports)]))
            except OSError:
                sock.close()
                continue
            return sock
        raise NoPortsAvailableError(f"all RTP ports from {self._ports[0]} to {self._ports[-1]} are in use at {host}")
