"""Bare SIP peers of a bridge in this process: they say exactly what a test writes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.message import SIPMessage

Answer = Callable[[SIPMessage], str | None]


class Callee(asyncio.DatagramProtocol):
    """A UDP socket that answers each request with the status line, and further headers, that ``answer`` returns."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: None
        self.requests: list[SIPMessage] = []
        self._socket: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            request = SIPMessage(data)
        except RemoteProtocolError:  # a port is free for somebody else's latecomers too
            return
        self.requests.append(request)
        answer = self.answer(request)
        if answer is not None:
            self.say(request, answer)

    def say(self, request: SIPMessage, answer: str, body: bytes = b"") -> None:
        """Answer a request, once more if it must be; ``body`` is SDP."""
        copied = "".join(
            f"{name}: {value}\r\n"
            for name in ("Via", "From", "To", "Call-ID", "CSeq")
            for value in request.get_all(name.lower())
        ).replace("\r\nCall-ID", ";tag=callee\r\nCall-ID")
        via = request.via
        assert self._socket is not None
        kind = f"Contact: <{self.uri}>\r\nContent-Type: application/sdp\r\n" if body else ""
        response = f"SIP/2.0 {answer}\r\n{copied}{kind}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendto(response.encode() + body, (via.host, via.port or 5060))

    def send(self, message: str, port: int) -> None:
        """Whatever it is, to somebody on this machine."""
        assert self._socket is not None
        self._socket.sendto(message.encode(), ("127.0.0.1", port))

    @property
    def uri(self) -> str:
        assert self._socket is not None
        return f"sip:callee@127.0.0.1:{self._socket.get_extra_info('sockname')[1]}"

    def methods(self) -> list[str | None]:
        """Of the requests so far."""
        return [request.method for request in self.requests]


@asynccontextmanager
async def callee() -> AsyncIterator[Callee]:
    """Open as long as it is needed."""
    transport, peer = await asyncio.get_running_loop().create_datagram_endpoint(Callee, local_addr=("127.0.0.1", 0))
    try:
        yield peer
    finally:
        transport.close()
