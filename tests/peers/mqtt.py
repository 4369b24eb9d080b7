"""An MQTT client for tests that run on an event loop."""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.peers.ports import LOOPBACK
from tests.peers.process import PeerError

_names = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A message as it came: its payload is what the JSON says, or the text if it is no JSON."""

    topic: str
    payload: Any
    retain: bool = False
    qos: int = 1


class ThreadedClient(Client):
    """paho's client in a thread of its own, which leaves no socket open when it has ended."""

    def end(self, **options: Any) -> None:
        """Disconnect, stop the thread, and close what paho leaves to the garbage collector: it wakes by two sockets."""
        self.disconnect(**options)
        self.loop_stop()
        self._reset_sockets()


class MqttRecorder:
    """Subscribes, and keeps every message in the order of arrival: `async with MqttRecorder(port) as recorder`."""

    def __init__(
        self, port: int, *topics: str, host: str = LOOPBACK, version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
    ) -> None:
        self.messages: list[Recorded] = []
        self._address = (host, port)
        self._name = f"recorder-{next(_names)}"
        self._topics = topics or ("#",)
        self._version = version
        self._marks = itertools.count(1)
        self._arrived = asyncio.Event()  # of the next message; a new one for each
        self._barriers: dict[str, asyncio.Future[None]] = {}
        self._answers: dict[int, asyncio.Future[None]] = {}

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self._client = ThreadedClient(CallbackAPIVersion.VERSION2, client_id=self._name, protocol=self._version)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda _c, _u, _m, _r, _p: self._in_loop(_resolve, self._subscribed, None)
        self._client.on_publish = lambda _c, _u, mid, _r, _p: self._in_loop(self._published, mid)
        self._client.on_message = lambda _c, _u, message: self._in_loop(self._record, message)
        await asyncio.to_thread(self._client.connect, *self._address)
        self._client.loop_start()
        async with asyncio.timeout(5):
            await self._subscribed
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._client.end)

    async def wait_for(self, predicate: Callable[[Recorded], bool], *, within: float = 5, since: int = 0) -> Recorded:
        """The first message from number `since` on that fits, whether it came already or comes `within` seconds."""
        seen = since
        try:
            async with asyncio.timeout(within):
                while True:
                    for message in self.messages[seen:]:
                        if predicate(message):
                            return message
                    seen = len(self.messages)
                    await self._arrived.wait()
        except TimeoutError:
            raise PeerError(f"no such MQTT message in {within} s; these came:\n{self._told(since)}") from None

    async def wait_for_topic(self, topic: str, *, within: float = 5, since: int = 0) -> Recorded:
        """The first message of a topic from number `since` on."""
        return await self.wait_for(lambda message: message.topic == topic, within=within, since=since)

    def mark(self) -> int:
        """The number of the next message, for `since`."""
        return len(self.messages)

    async def events(self, account: str) -> list[dict[str, Any]]:
        """The payloads of an account's events so far, after all that the broker has sent arrived."""
        await self.settled()
        part = f"/account/{account}/event/"
        return [message.payload for message in self.messages if part in message.topic]

    async def event_names(self, account: str) -> list[str]:
        """The names of an account's events so far, in order."""
        return [event["event"] for event in await self.events(account)]

    async def settled(self) -> None:
        """Everything that the broker took before this call has arrived here."""
        topic = f"{self._name}/{next(self._marks)}"
        self._barriers[topic] = self._loop.create_future()
        await self.publish(topic, "")
        async with asyncio.timeout(5):
            await self._barriers.pop(topic)

    async def publish(self, topic: str, payload: Any = "", *, qos: int = 1, retain: bool = False) -> None:
        """Publishes text or bytes as they are, anything else as JSON; with QoS 1 returns when the broker has it."""
        body = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        sent = self._client.publish(topic, body, qos, retain)
        async with asyncio.timeout(5):
            await self._answers.setdefault(sent.mid, self._loop.create_future())
        del self._answers[sent.mid]

    def _in_loop(self, callback: Callable[..., None], *args: object) -> None:
        self._loop.call_soon_threadsafe(callback, *args)

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:  # on the first connection and on each after a broker's restart
        if reason.is_failure:
            self._in_loop(_fail, self._subscribed, PeerError(f"the MQTT broker refused: {reason}"))
        else:
            client.subscribe([(topic, 1) for topic in (*self._topics, f"{self._name}/#")])

    def _published(self, mid: int) -> None:
        _resolve(self._answers.setdefault(mid, self._loop.create_future()), None)

    def _record(self, message: MQTTMessage) -> None:
        if message.topic in self._barriers:
            _resolve(self._barriers[message.topic], None)
        elif not message.topic.startswith(f"{self._name}/"):
            payload = _decoded(message.payload)
            self.messages.append(Recorded(topic=message.topic, payload=payload, retain=message.retain, qos=message.qos))
            self._arrived.set()
            self._arrived = asyncio.Event()

    def _told(self, since: int) -> str:
        return "\n".join(f"{message.topic} {message.payload}" for message in self.messages[since:]) or "(none)"


def _resolve(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():  # paho connects again by itself
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: PeerError) -> None:
    if not future.done():
        future.set_exception(error)


def _decoded(payload: bytes | bytearray) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")
