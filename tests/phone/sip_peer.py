"""Bare SIP peers on real sockets: they send what a test writes, and keep what comes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, cast

from sip_bridge.phone.transport.addresses import family_of
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.stream import MessageFramed, StreamFramer, StreamItem
from sip_bridge.sip.uri import format_host_port

TIMEOUT = 10.0


class SIPPeer(Protocol):
    """The other side, whatever carries its messages."""

    transport: str
    local: tuple[str, int]

    def send(self, data: bytes) -> None: ...

    async def receive(self) -> SIPMessage: ...


class StreamPeer(asyncio.Protocol):
    """One TCP or TLS connection."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.local = ("", 0)
        self.items: asyncio.Queue[StreamItem | None] = asyncio.Queue()
        self.framer = StreamFramer()
        self.stream: asyncio.Transport | None = None
        self.error: Exception | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.stream = cast("asyncio.Transport", transport)
        self.local = transport.get_extra_info("sockname")[:2]

    def data_received(self, data: bytes) -> None:
        self.framer.feed(data, 0.0)
        while (item := self.framer.next_item()) is not None:
            self.items.put_nowait(item)

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.items.put_nowait(None)
        self.lost.set()

    def send(self, data: bytes) -> None:
        assert self.stream is not None
        self.stream.write(data)

    async def item(self) -> StreamItem | None:
        """A message or keep-alive, None when the connection is lost."""
        async with asyncio.timeout(TIMEOUT):
            return await self.items.get()

    async def receive(self) -> SIPMessage:
        item = await self.item()
        assert isinstance(item, MessageFramed), item
        return SIPMessage(item.data)

    def close(self) -> None:
        assert self.stream is not None
        self.stream.close()

    def reset(self) -> None:
        assert self.stream is not None
        self.stream.abort()


class DatagramPeer(asyncio.DatagramProtocol):
    """One UDP socket that talks to one address."""

    transport = "UDP"

    def __init__(self) -> None:
        self.local = ("", 0)
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.socket: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.socket = cast("asyncio.DatagramTransport", transport)
        self.local = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        self.messages.put_nowait(data)

    def send(self, data: bytes) -> None:
        assert self.socket is not None
        self.socket.sendto(data)

    async def receive(self) -> SIPMessage:
        async with asyncio.timeout(TIMEOUT):
            return SIPMessage(await self.messages.get())


@asynccontextmanager
async def connected(
    transport: str, host: str, port: int, *, tls: ssl.SSLContext | None = None, name: str | None = None
) -> AsyncIterator[StreamPeer]:
    """A TCP or TLS connection to the phone."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(TIMEOUT):
        _, peer = await loop.create_connection(
            lambda: StreamPeer(transport), host, port, ssl=tls, server_hostname=name if tls else None
        )
    try:
        yield peer
    finally:
        peer.close()
        async with asyncio.timeout(TIMEOUT):
            await peer.lost.wait()


@asynccontextmanager
async def sending_to(host: str, port: int) -> AsyncIterator[DatagramPeer]:
    """A UDP socket towards the phone."""
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(DatagramPeer, remote_addr=(host, port))
    try:
        yield peer
    finally:
        transport.close()


class Server:
    """Listens for TCP or TLS; ``peers`` are the connections in the order they came."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.peers: asyncio.Queue[StreamPeer] = asyncio.Queue()
        self.port = 0
        self._open: list[StreamPeer] = []
        self._server: asyncio.Server | None = None

    def _accept(self) -> StreamPeer:
        peer = _Accepted(self.transport, self.peers)
        self._open.append(peer)
        return peer

    async def start(self, host: str, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener, and reset what is open, as a machine that restarts."""
        assert self._server is not None
        self._server.close()
        opened = [peer for peer in self._open if peer.stream is not None]
        for peer in opened:
            peer.reset()
        async with asyncio.timeout(TIMEOUT):
            for peer in opened:
                await peer.lost.wait()

    async def peer(self) -> StreamPeer:
        async with asyncio.timeout(TIMEOUT):
            return await self.peers.get()


class _Accepted(StreamPeer):
    def __init__(self, transport: str, peers: asyncio.Queue[StreamPeer]) -> None:
        super().__init__(transport)
        self._peers = peers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._peers.put_nowait(self)


@asynccontextmanager
async def serving(
    transport: str, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(transport)
    await server.start(host, tls=tls)
    try:
        yield server
    finally:
        await server.stop()


class Dialog:
    """Requests of one call to ``sip:door@...``, as a simple door station writes them."""

    def __init__(self, peer: SIPPeer, uri: str, *, contact: str | None = None, headers: str = "") -> None:
        self.peer = peer
        self.uri = uri
        self.target = uri
        self.call_id = f"{id(self)}@{peer.transport}"
        self.to_tag = ""
        self.answer = b""
        self.seq = 0
        self.headers = headers
        self.contact = contact or f"sip:station@{format_host_port(*peer.local)};transport={peer.transport.lower()}"

    def request(self, method: str, body: bytes = b"", *, seq: int | None = None) -> bytes:
        if seq is None:
            self.seq += 1
        number = seq or self.seq
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {self.target} SIP/2.0\r\n"
            f"Via: SIP/2.0/{self.peer.transport} {format_host_port(*self.peer.local)}"
            f";branch=z9hG4bK{method}{number}{id(self)};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:station@station.example>;tag=s\r\nTo: <{self.uri}>{self.to_tag}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {number} {method}\r\nContact: <{self.contact}>\r\n{self.headers}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def response(self, request: SIPMessage, status: str = "200 OK", body: bytes = b"") -> bytes:
        copied = "".join(
            f"{name}: {value}\r\n"
            for name in ("Via", "From", "To", "Call-ID", "CSeq")
            for value in request.get_all(name.lower())
        )
        kind = f"Contact: <{self.contact}>\r\nContent-Type: application/sdp\r\n" if body else ""
        return f"SIP/2.0 {status}\r\n{copied}{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def establish(self, offer: bytes = b"") -> list[str]:
        """INVITE, wait for 200, ACK; returns the statuses in the order they came."""
        self.peer.send(self.request("INVITE", offer or sdp(self.peer.local[0])))
        statuses: list[str] = []
        while not statuses or statuses[-1] < "200":
            response = await self.peer.receive()
            statuses.append(str(int(response.status)))
        assert response.contact is not None
        self.answer = response.content
        self.to_tag = f";tag={response.to.tag}"
        self.target = response.contact.uri
        self.peer.send(self.request("ACK", seq=self.seq))
        return statuses

    async def call(self, offer: bytes = b"") -> list[str]:
        """From INVITE to the answer to BYE."""
        statuses = await self.establish(offer)
        self.peer.send(self.request("BYE"))
        return [*statuses, str(int((await self.peer.receive()).status))]


def sdp(host: str) -> bytes:
    family = family_of(host).name.replace("AF_INET", "IP4").replace("IP46", "IP6")
    return (
        f"v=0\r\no=- 1 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
    ).encode()


class Callee(DatagramPeer):
    """A bare phone that somebody calls over UDP: it answers what a test says, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.caller: tuple[str, int] = ("", 0)

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        self.caller = cast("tuple[str, int]", addr)
        super().datagram_received(data, addr)

    def send(self, data: bytes) -> None:
        assert self.socket is not None
        self.socket.sendto(data, self.caller)

    @property
    def uri(self) -> str:
        return f"sip:callee@{format_host_port(*self.local)}"

    def respond(self, request: SIPMessage, status: str, body: bytes = b"") -> None:
        """``180 Ringing``, ``200 OK`` with a description, ..."""
        tag = "" if request.to.tag else f";tag={id(self)}"
        copied = "".join(
            f"{name}: {value}{tag if name == 'To' else ''}\r\n"
            for name in ("Via", "From", "To", "Call-ID", "CSeq")
            for value in request.get_all(name.lower())
        )
        kind = "Content-Type: application/sdp\r\n" if body else ""
        head = f"SIP/2.0 {status}\r\n{copied}Contact: <{self.uri}>\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
        self.send(head.encode() + body)

    async def ring(self) -> SIPMessage:
        """The INVITE, which has been answered by 180."""
        invite = await self.receive()
        assert invite.method == "INVITE"
        self.respond(invite, "180 Ringing")
        return invite


@asynccontextmanager
async def callee() -> AsyncIterator[Callee]:
    """A phone on loopback."""
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(Callee, local_addr=("127.0.0.1", 0))
    try:
        yield peer
    finally:
        transport.close()
