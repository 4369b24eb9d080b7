"""UDP for SIP: one socket serves every line (RFC 3261 §18)."""

import asyncio
import contextlib
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from sip_bridge.errors import TransportError
from sip_bridge.sip.flow import Flow

_LOG = logging.getLogger(__name__)
_RECEIVE_SIZE: Final = 65535
_BURST: Final = 64  # datagrams read before other tasks of the loop get their turn
_RECEIVE_BUFFER: Final = 1 << 20  # bytes: a burst of calls waits here while the loop is busy
_ROUTES_KEPT: Final = 256
_ROUTE_AGE: Final = 10.0  # seconds after which the local address towards a peer is looked up again

Receiver = Callable[[bytes, Flow], None]


class UDPTransport:
    """A bound UDP socket. ``receive(data, flow)`` is called for every datagram.

    ``advertised_host`` is what peers outside private networks are told instead of our own address.
    """

    def __init__(self, bind: str, port: int, *, receive: Receiver, advertised_host: str | None = None) -> None:
        self._bind = bind
        self._port = port
        self._receive = receive
        self._advertised_host = advertised_host
        self._socket: socket.socket | None = None
        self._routes: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def open(self) -> None:
        """Bind; TransportError says which address is in use or not ours."""
        family = socket.AF_INET6 if ":" in self._bind else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        try:
            sock.bind((self._bind, self._port))
        except OSError as error:
            sock.close()
            raise TransportError(f"UDP {self._bind}:{self._port}: {error.strerror}") from error
        self._port = sock.getsockname()[1]
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self._readable)

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    @property
    def port(self) -> int:
        """The port, as the kernel chose it."""
        return self._port

    def flow_to(self, host: str, port: int) -> Flow:
        """A flow to an IP address; OSError when there is no route to it."""
        return Flow(transport="UDP", local=(self._local_host(host), self._port), remote=(host, port))

    def send(self, data: bytes, flow: Flow) -> None:
        """Send a datagram; OSError when the network is gone. A full buffer is a loss like any other on UDP."""
        assert self._socket is not None  # noqa: S101  # the client sends between open and close
        with contextlib.suppress(BlockingIOError):
            self._socket.sendto(data, flow.remote)

    def _readable(self) -> None:
        assert self._socket is not None  # noqa: S101  # the reader is removed before the socket is closed
        for _ in range(_BURST):
            try:
                data, address = self._socket.recvfrom(_RECEIVE_SIZE)
            except (BlockingIOError, ConnectionError):
                return
            host, port = address[0], address[1]
            if port == 0:
                continue  # nothing could be sent back there
            try:
                flow = self.flow_to(host, port)
            except OSError as error:
                _LOG.debug("no route back to %s: %s", host, error.strerror)
                continue
            self._receive(data, flow)

    def _local_host(self, remote: str) -> str:
        """Our address towards a peer: the advertised one outside private networks, else the one that routes there."""
        if self._advertised_host is not None and not ip_address(remote.partition("%")[0]).is_private:
            return self._advertised_host
        if self._bind not in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
            return self._bind
        now = asyncio.get_running_loop().time()
        known = self._routes.get(remote)
        if known is not None and now - known[0] < _ROUTE_AGE:
            return known[1]
        local = local_address_towards(remote)
        self._routes[remote] = (now, local)
        if len(self._routes) > _ROUTES_KEPT:
            self._routes.popitem(last=False)
        return local


def local_address_towards(remote: str) -> str:
    """The local address that the kernel would send from; connecting a UDP socket sends nothing."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((remote, 9))
        address: str = probe.getsockname()[0]
    return address
