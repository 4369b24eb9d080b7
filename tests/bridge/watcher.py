"""An MQTT client that shares no code with the bridge's: what the bridge publishes, as it comes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sip_bridge.mqtt.contract import Topics
from tests.peers.mqtt import ThreadedClient
from tests.published import check_published

TOPICS = Topics()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    topic: str
    payload: str
    retained: bool
    qos: int = 1
    correlation_data: bytes | None = None


class Watcher:
    """Messages of a topic filter, in order, and a way to publish requests."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.messages: asyncio.Queue[Seen] = asyncio.Queue()
        self.record: list[Seen] = []

    def saw(self, message: Seen) -> None:
        """A message has come."""
        self.record.append(message)
        self.messages.put_nowait(message)

    def publish(
        self, topic: str, payload: str | bytes, *, retain: bool = False, reply: tuple[str, bytes] | None = None
    ) -> None:
        """Publish a request; ``reply`` is its MQTT 5 response topic and correlation data."""
        self._client.publish(topic, payload, qos=1, retain=retain, properties=_properties(reply))


def _properties(reply: tuple[str, bytes] | None) -> Properties | None:
    if reply is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic, properties.CorrelationData = reply
    return properties


@asynccontextmanager
async def watching(host: str, port: int, topic_filter: str, *, topics: Topics = TOPICS) -> AsyncIterator[Watcher]:
    """Subscribe; paho's thread hands each message to the loop. At the end, all that came is held against docs/mqtt."""
    loop = asyncio.get_running_loop()
    client = ThreadedClient(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    watcher = Watcher(client)
    subscribed = asyncio.Event()

    def on_connect(
        _client: Client, _data: object, _flags: ConnectFlags, _code: ReasonCode, _properties: Properties | None
    ) -> None:
        sock = client.socket()
        assert isinstance(sock, socket.socket)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a request does not wait for an acknowledgement
        client.subscribe(topic_filter, qos=1)

    def on_subscribe(
        _client: Client, _data: object, _mid: int, _codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        loop.call_soon_threadsafe(subscribed.set)

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        seen = Seen(
            topic=message.topic,
            payload=message.payload.decode("utf-8", "replace"),
            retained=message.retain,
            qos=message.qos,
            correlation_data=getattr(message.properties, "CorrelationData", None),
        )
        loop.call_soon_threadsafe(watcher.saw, seen)

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    await asyncio.to_thread(client.connect, host, port)
    client.loop_start()
    try:
        async with asyncio.timeout(10):
            await subscribed.wait()
        yield watcher
        check_published(((seen.topic, seen.payload) for seen in watcher.record), topics)
    finally:
        await asyncio.to_thread(client.end)
