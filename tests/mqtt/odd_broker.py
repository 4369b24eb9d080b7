"""A broker that says what a test has it say, byte by byte, and remembers what it was sent."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.mqtt import broker_codec as codec
from sip_bridge.mqtt.broker_packets import (
    MQTT_5,
    Connect,
    Message,
    Packet,
    PacketType,
    PingRequest,
    Properties,
    Publish,
    Subscribe,
    Version,
)
from sip_bridge.mqtt.listening import stop_listening

LOCALHOST: Final = "127.0.0.1"
ACCEPTED: Final = 0


def connack(reason: int = ACCEPTED, properties: Properties = ()) -> bytes:
    """CONNACK of MQTT 5."""
    body = bytes((0, reason)) + codec.encode_properties(properties)
    return bytes((PacketType.CONNACK << 4, len(body))) + body


def connack_3(code: int = ACCEPTED) -> bytes:
    """CONNACK of MQTT 3.1.1."""
    return bytes((PacketType.CONNACK << 4, 2, 0, code))


def disconnect(reason: int) -> bytes:
    """DISCONNECT of MQTT 5."""
    return bytes((PacketType.DISCONNECT << 4, 2, reason, 0))


@dataclass(kw_only=True)
class OddBroker:
    """What it answers may be changed while it runs; None is no answer."""

    connacks: list[bytes] = field(default_factory=list)  # one a connect, the last one for every further one
    puback: int | None = 0
    suback: int = 1
    answers_pings: bool = True
    hates: bytes | None = None  # the payload that makes it say ``hatred`` and hang up
    hatred: bytes = b""
    connects: list[Connect] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)  # all of all connections
    most_unacknowledged: int = 0
    port: int = 0
    _unacknowledged: list[tuple[asyncio.StreamWriter, int]] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def published(self) -> list[Message]:
        """Every PUBLISH."""
        return [packet.message for packet in self.packets if isinstance(packet, Publish)]

    @property
    def pings(self) -> int:
        """How many PINGREQ came."""
        return sum(isinstance(packet, PingRequest) for packet in self.packets)

    def send(self, data: bytes) -> None:
        """Bytes for everyone who is connected."""
        for writer in self._writers:
            writer.write(data)

    def hang_up(self) -> None:
        """Close every connection without a word."""
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.add(writer)
        stream = codec.PacketStream(limit=1024 * 1024)
        version: Version = MQTT_5
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for first, body in stream.feed(data):
                    packet = codec.decode(first, body, version)
                    if isinstance(packet, Connect):
                        version = packet.version
                    self.packets.append(packet)
                    self._answer(packet, version, writer)
                self._acknowledge(version)
        self._writers.discard(writer)
        writer.close()

    def _answer(self, packet: Packet, version: Version, writer: asyncio.StreamWriter) -> None:
        match packet:
            case Connect():
                self.connects.append(packet)
                if self.connacks:
                    writer.write(self.connacks.pop(0) if len(self.connacks) > 1 else self.connacks[0])
            case Subscribe(packet_id=number, subscriptions=subscriptions):
                writer.write(codec.encode_suback(version, number, [self.suback] * len(subscriptions)))
            case Publish(message=message) if message.payload == self.hates:
                self._acknowledge(version)
                writer.write(self.hatred)
                writer.close()
            case Publish(packet_id=int(number)) if not writer.is_closing():
                self._unacknowledged.append((writer, number))
                self.most_unacknowledged = max(self.most_unacknowledged, len(self._unacknowledged))
            case PingRequest() if self.answers_pings:
                writer.write(codec.encode_pingresp())
            case _:
                pass

    def _acknowledge(self, version: Version) -> None:
        """Only now, so that a client may send as much as it dares."""
        if self.puback is None:
            return
        waiting, self._unacknowledged = self._unacknowledged, []
        for writer, number in waiting:
            reason = bytes((self.puback,)) if version == MQTT_5 and self.puback else b""
            writer.write(bytes((PacketType.PUBACK << 4, 2 + len(reason))) + struct.pack(">H", number) + reason)


@contextlib.asynccontextmanager
async def odd_broker(broker: OddBroker) -> AsyncIterator[OddBroker]:
    """Have it listen on a port of the kernel's choice."""
    server = await asyncio.start_server(broker.serve, LOCALHOST, 0)
    broker.port = server.sockets[0].getsockname()[1]
    async with server:
        yield broker
        await stop_listening(server)
        broker.hang_up()
