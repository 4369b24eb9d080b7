"""The sockets of one call: RTP and RTCP to the peer, and from nobody else."""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.media.negotiation import Stream
from sip_bridge.media.rtcp import is_rtcp
from sip_bridge.media.rtp import RTPPacket
from sip_bridge.phone.peer_lock import Address, PeerLock
from sip_bridge.phone.ports import PortAllocator, SocketPair
from sip_bridge.phone.transport.addresses import SocketAddress, link_of, without_interface

if TYPE_CHECKING:
    from sip_bridge.media.srtp import SRTPContext

MAX_DATAGRAM: Final = 2048  # bytes; what is longer is no sound
_BURST: Final = 16  # packets read before other tasks of the loop get their turn: a flood does not delay other calls


class RTPTransport:
    """Takes RTP from the peer, as `PeerLock` knows it, and sends it there.

    From the first keys on, and from the start where SRTP is ``required``, nothing passes that is not encrypted.
    """

    def __init__(
        self,
        *,
        local_host: str,
        ports: PortAllocator,
        signalling_host: str | None,
        is_srtp_required: bool,
        on_rtp: Callable[[RTPPacket], None],
        on_rtcp: Callable[[bytes], bool],
    ) -> None:
        self._local_host = local_host
        self._ports = ports
        self._lock = PeerLock(signalling_host=None if signalling_host is None else without_interface(signalling_host))
        self._link = link_of(signalling_host)
        self._srtp = new_srtp_context() if is_srtp_required else None  # once there, it stays
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._sockets: SocketPair | None = None
        self._is_closed = False
        self._negotiated_rtcp: Address | None = None
        self._remote_rtcp: Address | None = None
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

    def agree(self, stream: Stream) -> None:
        """What the descriptions say; while the peer has no address the one before stays."""
        remote, remote_rtcp = stream.remote, stream.remote_rtcp
        if stream.keys is not None:
            self._srtp = self._srtp or new_srtp_context()
            self._srtp.agree(stream.keys)
        has_moved = self._lock.agree(remote)
        if remote is not None and (has_moved or remote_rtcp != self._negotiated_rtcp):
            self._negotiated_rtcp = remote_rtcp
            self._remote_rtcp = self._lock.remote if remote_rtcp == remote else remote_rtcp

    # --- sending ---

    def send(self, packet: bytes) -> None:
        """Send RTP to the peer; what can't be encrypted as it has to be is not sent."""
        protected = packet if self._srtp is None else self._srtp.protect(packet)
        if self._sockets is not None and self._lock.remote is not None and protected is not None:
            _send_to(self._sockets[0], protected, (*self._lock.remote, *self._link))

    def send_rtcp(self, packet: bytes) -> None:
        """Send RTCP to the peer; what can't be encrypted as it has to be is not sent."""
        protected = packet if self._srtp is None else self._srtp.protect_rtcp(packet)
        if self._sockets is not None and self._remote_rtcp is not None and protected is not None:
            is_shared = self._remote_rtcp == self._lock.remote
            _send_to(self._sockets[0 if is_shared else 1], protected, (*self._remote_rtcp, *self._link))

    # --- receiving ---

    def _readable(self, sock: socket.socket, received: Callable[[bytes, Address, float], None]) -> None:
        now = asyncio.get_running_loop().time()
        for _ in range(_BURST):
            try:
                data, address = sock.recvfrom(MAX_DATAGRAM + 1)
            except OSError:
                return  # nothing more to read, or an ICMP error of what we sent
            source = (without_interface(address[0]), address[1])
            if len(data) > MAX_DATAGRAM:
                self.from_elsewhere += 1
            else:
                received(data, source, now)
            if self._is_closed:
                return  # what came last ended the call

    def _received_rtcp(self, data: bytes, source: Address, _now: float) -> None:
        plain = self._opened_rtcp(data) if self._lock.is_peers_host(source[0]) else None
        if plain is None:
            self.from_elsewhere += 1
        elif self._on_rtcp(plain):
            self._remote_rtcp = source

    def _received(self, data: bytes, source: Address, now: float) -> None:
        if is_rtcp(data):
            self._received_rtcp(data, source, now)
            return
        plain = self._opened(data) if self._lock.may_be(source, now) else None
        packet = None if plain is None else RTPPacket.parse(plain)
        if packet is None:
            self.from_elsewhere += 1
            return
        before = self._lock.remote
        self._lock.heard(source, now)
        if self._remote_rtcp == before:
            self._remote_rtcp = self._lock.remote  # shared with RTP, so it moves with it
        self._on_rtp(packet)

    def _opened(self, data: bytes) -> bytes | None:
        return data if self._srtp is None else self._srtp.unprotect(data)

    def _opened_rtcp(self, data: bytes) -> bytes | None:
        return data if self._srtp is None else self._srtp.unprotect_rtcp(data)


def new_srtp_context() -> "SRTPContext":
    """Without keys yet. The first one takes its time: it loads libsrtp."""
    from sip_bridge.media.srtp import SRTPContext  # noqa: PLC0415  # 7 MB, for whom SRTP is off

    return SRTPContext()


def _send_to(sock: socket.socket, packet: bytes, address: SocketAddress) -> None:
    try:
        sock.sendto(packet, address)
    except OSError:
        return  # a lost packet: the peer's port is closed, or the network is gone for a moment
