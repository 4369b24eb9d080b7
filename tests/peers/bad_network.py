"""A bad network between a phone and whom it calls, on loopback: it loses sound, holds it up and mixes up its order.

SIP passes unharmed over UDP, but for the ports of the sound in it. What follows an answer the parties send each other
directly: their Contacts are their own.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

from tests.peers.ports import LOOPBACK

Address = tuple[str, int]
_AUDIO: Final = re.compile(rb"(?<=\r\nm=audio )\d+")
_LENGTH: Final = re.compile(rb"(?im)(?<=^Content-Length:)\s*\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What part of the packets is lost, and how many seconds the others are held up, each by chance."""

    loss: float = 0.05
    delay: float = 0.06


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(data, addr)

    @property
    def port(self) -> int:
        assert self.transport is not None
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    def send(self, data: bytes, to: Address) -> None:
        if self.transport is not None and not self.transport.is_closing():  # what was held up too long is lost
            self.transport.sendto(data, to)


class BadNetwork:
    """``address`` is what the phone takes for the server."""

    def __init__(self, server: Address, weather: Weather) -> None:
        self._server = server
        self._weather = weather
        self._chance = random.Random(3550)
        self._phone: Address | None = None
        self._sockets: list[_Socket] = []
        self.passed = 0
        self.lost = 0

    async def open(self) -> None:
        self._inside = await self._socket(self._to_server)
        self._outside = await self._socket(self._to_phone)
        self._sound_inside = await self._socket(lambda data, addr: self._sound(data, self._sound_outside, self._theirs))
        self._sound_outside = await self._socket(lambda data, addr: self._sound(data, self._sound_inside, self._ours))
        self._ours = self._theirs = (LOOPBACK, 0)

    def close(self) -> None:
        for each in self._sockets:
            assert each.transport is not None
            each.transport.close()

    @property
    def port(self) -> int:
        return self._inside.port

    async def _socket(self, received: Callable[[bytes, Address], None]) -> _Socket:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(lambda: _Socket(received), local_addr=(LOOPBACK, 0))
        self._sockets.append(protocol)
        return protocol

    def _to_server(self, data: bytes, source: Address) -> None:
        self._phone = source
        self._ours = _sound_address(data) or self._ours
        self._outside.send(_with_port(data, self._sound_outside.port), self._server)

    def _to_phone(self, data: bytes, source: Address) -> None:
        self._theirs = _sound_address(data) or self._theirs
        if self._phone is not None:
            self._inside.send(_with_port(data, self._sound_inside.port), self._phone)

    def _sound(self, data: bytes, through: _Socket, to: Address) -> None:
        if self._chance.random() < self._weather.loss:
            self.lost += 1
            return
        self.passed += 1
        delay = self._chance.uniform(0, self._weather.delay)
        asyncio.get_running_loop().call_later(delay, through.send, data, to)


def _sound_address(message: bytes) -> Address | None:
    found = _AUDIO.search(message)
    return (LOOPBACK, int(found[0])) if found else None


def _with_port(message: bytes, port: int) -> bytes:
    """The message with another port for its sound."""
    head, _, body = message.partition(b"\r\n\r\n")
    body = _AUDIO.sub(b"%d" % port, body)
    return _LENGTH.sub(b" %d" % len(body), head) + b"\r\n\r\n" + body


@asynccontextmanager
async def bad_network(server: Address, weather: Weather) -> AsyncIterator[BadNetwork]:
    """Open as long as it is needed."""
    network = BadNetwork(server, weather)
    await network.open()
    try:
        yield network
    finally:
        network.close()
