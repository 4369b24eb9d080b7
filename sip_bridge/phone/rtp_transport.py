"""The sockets of one call: RTP and RTCP to the peer, and from nobody else."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.media.rtcp import is_rtcp
from sip_bridge.media.rtp import RTPPacket
from sip_bridge.phone.ports import PortAllocator, SocketPair
from sip_bridge.phone.transport.addresses import SocketAddress, link_of, without_interface

_RECEIVE_SIZE: Final = 2048
_BURST: Final = 16  # packets read before other tasks of the loop get their turn

Address = tuple[str, int]


class RTPTransport:
    """Takes RTP from the negotiated host or the ``signalling_host``.

    The first packet locks the address until another one is agreed on.
    """

    def __init__(
        self,
        *,
        local_host: str,
        ports: PortAllocator,
        signalling_host: str | None,
        on_rtp: Callable[[RTPPacket], None],
        on_rtcp: Callable[[bytes], bool],
    ) -> None:
        self._local_host = local_host
        self._ports = ports
        self._signalling_host = None if signalling_host is None else without_interface(signalling_host)
        self._link = link_of(signalling_host)
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._sockets: SocketPair | None = None
        self._is_closed = False
        self._is_agreed = False
        self._negotiated: Address | None = None
        self._remote: Address | None = None
        self._remote_rtcp: Address | None = None
        self._is_locked = False
        self.from_elsewhere = 0  # packets that were no RTP of the peer's

    def open(self) -> None:
        """Bind the sockets; NoPortsAvailableError when the range is used up."""
        if self._sockets is not None or self._is_closed:
            return
        self._sockets = self._ports.bind(self._local_host)
        loop = asyncio.get_running_loop()
        rtp, rtcp = self._sockets
        loop.add_reader(rtp, self._readable, rtp, self._received)
        loop.add_reader(rtcp, self._readable, rtcp, self._received_rtcp)

    def close(self) -> None:
        """Give the ports back. A second time it does nothing."""
        self._is_closed = True
        if self._sockets is not None:
            for sock in self._sockets:
                asyncio.get_running_loop().remove_reader(sock)
                sock.close()
            self._sockets = None

    @property
    def port(self) -> int:
        """Our RTP port."""
        if self._sockets is None:
            raise InvalidStateError("the media session is not open")
        port: int = self._sockets[0].getsockname()[1]
        return port

    def agree(self, remote: Address | None, remote_rtcp: Address | None) -> None:
        """What the peer's description says; None while it has no address: the one before stays."""
        self._is_agreed = True
        before, self._negotiated = self._negotiated, remote
        if remote is not None and before != remote:
            self._remote, self._remote_rtcp = remote, remote_rtcp
            self._is_locked = False

    # --- sending ---

    def send(self, packet: bytes) -> None:
        """Send RTP to the peer."""
        if self._sockets is not None and self._remote is not None:
            _send_to(self._sockets[0], packet, (*self._remote, *self._link))

    def send_rtcp(self, packet: bytes) -> None:
        """Send RTCP to the peer."""
        if self._sockets is not None and self._remote_rtcp is not None:
            is_shared = self._remote_rtcp == self._remote
            _send_to(self._sockets[0 if is_shared else 1], packet, (*self._remote_rtcp, *self._link))

    # --- receiving ---

    def _readable(self, sock: socket.socket, received: Callable[[bytes, Address], None]) -> None:
        for _ in range(_BURST):
            try:
                data, address = sock.recvfrom(_RECEIVE_SIZE)
            except OSError:
                return  # nothing more to read, or an ICMP error of what we sent
            received(data, (without_interface(address[0]), address[1]))
            if self._is_closed:
                return  # what came last ended the call

    def _received_rtcp(self, data: bytes, source: Address) -> None:
        if not self._is_agreed or not self._is_peers_host(source[0]):
            self.from_elsewhere += 1
        elif self._on_rtcp(data):
            self._remote_rtcp = source

    def _received(self, data: bytes, source: Address) -> None:
        if is_rtcp(data):
            self._received_rtcp(data, source)
            return
        packet = RTPPacket.parse(data)
        if not self._is_agreed or packet is None or not self._is_from_peer(source):
            self.from_elsewhere += 1
            return
        self._on_rtp(packet)

    def _is_peers_host(self, host: str) -> bool:
        learned = self._remote[0] if self._remote is not None else None
        if self._is_locked:
            return host == learned
        negotiated = self._negotiated[0] if self._negotiated is not None else None
        return host in (negotiated, learned, self._signalling_host)

    def _is_from_peer(self, source: Address) -> bool:
        if self._is_locked:
            return source == self._remote
        if not self._is_peers_host(source[0]):
            return False
        if self._remote is not None and source != self._remote and self._remote_rtcp == self._remote:
            self._remote_rtcp = source  # shared with RTP, so it moves with it
        self._remote = source
        self._is_locked = True
        return True


def _send_to(sock: socket.socket, packet: bytes, address: SocketAddress) -> None:
    try:
        sock.sendto(packet, address)
    except OSError:
        return  # a lost packet: the peer's port is closed, or the network is gone for a moment
