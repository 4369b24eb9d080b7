"""An MQTT broker for people without one: MQTT 3.1.1 and MQTT 5 clients on one TCP port, in this process.

Why not a library: docs/adr/0003-embedded-broker.md. All decisions are `BrokerCore`'s; here are the sockets. Nothing is
written to disk: after a restart the bridge publishes its retained topics again.
"""

import asyncio
import itertools
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self, cast

from sip_bridge.errors import BrokerError
from sip_bridge.mqtt.broker_core import BrokerCore, Close, Credentials, Send
from sip_bridge.mqtt.broker_router import Limits
from sip_bridge.mqtt.listening import stop_listening

__all__ = ["BrokerSettings", "EmbeddedBroker", "Limits"]

_TICK: Final = 1.0  # seconds between looks at keep-alives and expiries
# A small piece at a time: the broker shares its loop with the telephone, and even 1024 pings at once take it 5 ms.
_READ_SIZE: Final = 2048
_HIGH_WATER: Final = 65536  # bytes unsent to a client before it is neither sent more nor read from
_LINGER: Final = 1.0  # seconds for a closing connection to take its last bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where the broker listens, port 0 being the kernel's choice, and whom it lets in: anyone without a user name."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """Raise `BrokerError` for settings that would open the broker to the network without a password."""
        if (self.username is None) != (self.password is None):
            raise BrokerError("the embedded broker needs a username and a password, or neither of them")
        if self.username is None and not _is_loopback(self.host):
            raise BrokerError(
                f"the embedded broker would be open to the network at {self.host}: "
                "set a username and a password, or let it listen on 127.0.0.1"
            )


class EmbeddedBroker:
    """The running broker: ``async with EmbeddedBroker(settings) as broker: broker.port``."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._core = BrokerCore(limits=settings.limits, credentials=_credentials(settings), new_client_id=_client_id)
        self._connections: dict[int, _Connection] = {}
        self._ids: Iterator[int] = itertools.count(1)
        self._all_gone = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        if self._server is None:
            raise BrokerError("the embedded broker is not running")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def rejected(self) -> int:
        """How many connections broke the protocol or were refused."""
        return self._core.rejected

    async def __aenter__(self) -> Self:
        """Listen; raises `BrokerError` when the settings are unsafe or the port is taken."""
        settings = self._settings
        settings.check()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), settings.host, settings.port)
        except (OSError, OverflowError) as error:
            raise BrokerError(
                f"the embedded broker can't listen on {settings.host} port {settings.port}: {_reason(error)}"
            ) from error
        self._timer = loop.call_later(_TICK, self._tick)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Say goodbye and stop: in about a second, however slow a client is."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is None:
            return
        self._is_stopping = True
        await stop_listening(self._server)
        self._core.shut_down()
        self._flush()
        if self._connections:
            self._all_gone.clear()
            await self._all_gone.wait()
        await self._server.wait_closed()
        self._server = None

    # --- what the connections tell

    def connected(self, connection: "_Connection", peer: str) -> int:
        """A client connected; its number here."""
        number = next(self._ids)
        self._connections[number] = connection
        if self._is_stopping:  # it was accepted just before
            connection.close()
            return number
        self._core.open(number, peer, _now())
        self._flush()
        return number

    def received(self, number: int, data: bytes) -> None:
        """Bytes of a client."""
        self._core.receive(number, data, _now())
        self._flush()

    def writable(self, number: int, *, writable: bool) -> None:
        """A client's bytes pile up, or went out."""
        self._core.set_writable(number, writable=writable)
        if writable:
            self._flush()

    def lost(self, number: int) -> None:
        """A connection is gone."""
        del self._connections[number]
        self._core.lost(number, _now())
        self._flush()
        if not self._connections:
            self._all_gone.set()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        self._core.tick(_now())
        self._flush()

    def _flush(self) -> None:
        for effect in self._core.drain(_now()):
            connection = self._connections.get(effect.connection_id)
            match effect:
                case Send(data=data) if connection is not None:
                    connection.send(data)
                case Close() if connection is not None:
                    connection.close()


class _Connection(asyncio.BufferedProtocol):
    """One client's socket; a client that does not read is not read from either, so its buffers stay small."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker
        self._buffer = memoryview(bytearray(_READ_SIZE))
        self._number = 0
        self._transport: asyncio.Transport | None = None
        self._abort: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # no isinstance: uvloop's is no subclass
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        # A peer that lost its power says nothing more, and without a MQTT keep-alive nothing else would find out.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer = transport.get_extra_info("peername")
        self._number = self._broker.connected(self, peer[0] if peer else "unknown")

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._broker.received(self._number, bytes(self._buffer[:nbytes]))

    def pause_writing(self) -> None:
        self._broker.writable(self._number, writable=False)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._broker.writable(self._number, writable=True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        if self._abort is not None:
            self._abort.cancel()
        self._broker.lost(self._number)

    def send(self, data: bytes) -> None:
        """Write, unless the connection is ending."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """End the connection once its last bytes are out, or else after `_LINGER` seconds."""
        if self._transport is not None and self._abort is None:
            self._transport.close()
            self._abort = asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: OSError | OverflowError) -> str:
    """What went wrong, without asyncio's repetition of the address."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error)


def _credentials(settings: BrokerSettings) -> Credentials | None:
    if settings.username is None or settings.password is None:
        return None
    return Credentials(username=settings.username, password=settings.password)


def _client_id() -> str:
    return f"auto-{secrets.token_hex(8)}"


def _now() -> float:
    return asyncio.get_running_loop().time()
