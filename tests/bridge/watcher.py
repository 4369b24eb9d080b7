"""An MQTT client that shares no code with the bridge's: what the bridge publishes, as it comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    topic: str
    payload: str
    retained: bool


class Watcher:
    """Messages of a topic filter, in order, and a way to publish requests."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.messages: asyncio.Queue[Seen] = asyncio.Queue()

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish a request."""
        self._client.publish(topic, payload, qos=1, retain=retain)


@asynccontextmanager
async def watching(host: str, port: int, topic_filter: str) -> AsyncIterator[Watcher]:
    """Subscribe; paho's thread hands each message to the loop."""
    loop = asyncio.get_running_loop()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    watcher = Watcher(client)
    subscribed = asyncio.Event()

    def on_connect(
        _client: Client, _data: object, _flags: ConnectFlags, _code: ReasonCode, _properties: Properties | None
    ) -> None:
        client.subscribe(topic_filter, qos=1)

    def on_subscribe(
        _client: Client, _data: object, _mid: int, _codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        loop.call_soon_threadsafe(subscribed.set)

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        seen = Seen(topic=message.topic, payload=message.payload.decode("utf-8", "replace"), retained=message.retain)
        loop.call_soon_threadsafe(watcher.messages.put_nowait, seen)

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    await asyncio.to_thread(client.connect, host, port)
    client.loop_start()
    try:
        async with asyncio.timeout(10):
            await subscribed.wait()
        yield watcher
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
