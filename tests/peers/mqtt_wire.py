"""A relay between an MQTT client and its broker that sees what the client publishes and what the broker has taken."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sip_bridge.mqtt.broker_codec import PacketStream, decode
from sip_bridge.mqtt.broker_packets import MQTT_5, Connect, PacketType, Publish, Version
from sip_bridge.mqtt.listening import stop_listening
from tests.peers.ports import LOOPBACK

_LIMIT: Final = 1 << 20
_See = Callable[[bytes], None]


@dataclass(slots=True, kw_only=True)
class Published:
    """A message that the client sent; ``taken`` when the broker has acknowledged it."""

    topic: str
    payload: dict[str, Any]
    retain: bool
    taken: bool = False


class MqttWire:
    """Listens at ``host``; the wire can be cut, as a cable that is pulled, or held up, as by a firewall that drops."""

    def __init__(self, broker: int, *, host: str = LOOPBACK) -> None:
        self.port = 0
        self.messages: list[Published] = []
        self._host = host
        self._broker = broker
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._passes = asyncio.Event()
        self._is_cut = False

    async def open(self) -> None:
        self._passes.set()
        self._server = await asyncio.start_server(self._accepted, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        await stop_listening(self._server)
        self.cut()
        await asyncio.gather(*self._serving)

    def cut(self) -> None:
        """Connections break, and new ones do at once, until `restore`."""
        self._is_cut = True
        self._passes.set()
        for writer in self._writers:
            writer.transport.abort()

    def hold_up(self) -> None:
        """Bytes wait, until `restore`."""
        self._passes.clear()

    def restore(self) -> None:
        """Bytes pass."""
        self._is_cut = False
        self._passes.set()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        upward: asyncio.StreamWriter | None = None
        try:
            if not self._is_cut:
                downward, upward = await asyncio.open_connection(LOOPBACK, self._broker)
                self._writers.add(upward)
                connection = _Connection(self.messages)
                await asyncio.gather(
                    self._pipe(reader, upward, connection.sent), self._pipe(downward, writer, connection.answered)
                )
        except ConnectionError:
            pass  # the broker is not there: its client finds out by the end of this connection
        finally:
            for each in (writer, upward):
                if each is not None:
                    self._writers.discard(each)
                    each.transport.abort()

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, see: Callable[[bytes], None]
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._passes.wait()
                see(data)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


class _Connection:
    """Reads along."""

    def __init__(self, messages: list[Published]) -> None:
        self._messages = messages
        self._sent = PacketStream(limit=_LIMIT)
        self._answered = PacketStream(limit=_LIMIT)
        self._open: dict[int, Published] = {}
        self._version: Version = MQTT_5

    def sent(self, data: bytes) -> None:
        for first, body in self._sent.feed(data):
            match decode(first, body, self._version):
                case Connect(version=version):
                    self._version = version
                case Publish(message=message, packet_id=number):
                    seen = Published(
                        topic=message.topic, payload=json.loads(message.payload or b"{}"), retain=message.retain
                    )
                    self._messages.append(seen)
                    if number is not None:
                        self._open[number] = seen
                case _:
                    pass

    def answered(self, data: bytes) -> None:
        for first, body in self._answered.feed(data):
            if first >> 4 == PacketType.PUBACK:
                self._open.pop(int.from_bytes(body[:2], "big")).taken = True
