"""A NAT for one UDP client and one server, on loopback: the server sees another address, which `rebind` changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

INSIDE = "127.0.0.5"  # what the client takes for the server

Address = tuple[str, int]


class _Side(asyncio.DatagramProtocol):
    """One socket; what comes goes to the other side's peer."""

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.peer: Address | None = None
        self.received: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    @property
    def address(self) -> Address:
        assert self._transport is not None
        address: Address = self._transport.get_extra_info("sockname")
        return address

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.peer = addr
        self.received.append(data)
        if self.other is not None and self.other.peer is not None:
            self.other.send(data)

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.sendto(data, self.peer)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class NAT:
    """Stands between a client and ``server``."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._inside = _Side()
        self._outside = _Side()

    async def open(self) -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self._inside, local_addr=(INSIDE, 0))
        await self._map("127.0.0.6")

    async def rebind(self) -> None:
        """As when a router comes back with another public address."""
        self._outside.close()
        await self._map("127.0.0.7")

    def close(self) -> None:
        self._inside.close()
        self._outside.close()

    async def _map(self, host: str) -> None:
        side = self._outside = _Side()
        side.peer, side.other, self._inside.other = self._server, self._inside, side
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: side, local_addr=(host, 0))

    @property
    def port(self) -> int:
        """Where the client finds the server at `INSIDE`."""
        return self._inside.address[1]

    @property
    def public(self) -> str:
        """`host:port` that the server sees."""
        host, port = self._outside.address
        return f"{host}:{port}"

    @property
    def from_client(self) -> list[bytes]:
        """The datagrams of the client."""
        return self._inside.received


@asynccontextmanager
async def nat_before(host: str, port: int) -> AsyncIterator[NAT]:
    """A NAT whose other side is a server's."""
    nat = NAT((host, port))
    await nat.open()
    try:
        yield nat
    finally:
        nat.close()
