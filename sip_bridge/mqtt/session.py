"""The bridge's session at an MQTT broker, across as many connections as it takes.

Retained topics and events are kept apart. Of a retained topic only the last payload matters: all are published again
on every connect, the state last. Events keep their order: while the broker is away they wait, the oldest give way when
there are too many, and those that were sent but not acknowledged go out again first. With an outbox, what is to be kept
outlives the process too.

Every connection starts a clean session that ends with it: what was asked of us while we were away is not done later,
for nobody who rang for a taxi an hour ago wants it to be called now.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from paho.mqtt.enums import MQTTProtocolVersion

from sip_bridge.errors import LocalProtocolError
from sip_bridge.mqtt.connection import (
    Connection,
    Ended,
    Failure,
    InboundMessage,
    Message,
    MQTTSettings,
    ProtocolVersion,
    Transport,
    is_valid_topic,
)
from sip_bridge.mqtt.outbox import Kept, Outbox

__all__ = ["InboundMessage", "MQTTSession", "MQTTSettings", "ProtocolVersion", "RetryDelays", "Transport"]

HOME_ASSISTANT_STATUS: Final = "homeassistant/status"
MAX_WAITING: Final = 1000  # events
MAX_WAITING_BYTES: Final = 8 * 1024 * 1024  # of their payloads

_LOG: Final = logging.getLogger(__name__)
_V5: Final = MQTTProtocolVersion.MQTTv5
_V311: Final = MQTTProtocolVersion.MQTTv311
_VERSIONS: Final = {"auto": (_V5, _V311), "5": (_V5,), "3.1.1": (_V311,)}
_VERSION_NAMES: Final = {_V5: "5", _V311: "3.1.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDelays:
    """Seconds between connects: doubled from ``first`` to ``most``, and ``refused`` after a wrong password."""

    first: float = 1.0
    most: float = 60.0
    refused: float = 60.0


class MQTTSession:
    """``async with MQTTSession(...) as session``: connected whenever the broker is, and never in the way when not.

    ``will`` is the topic and payload that say offline; `stop` publishes it by hand. ``on_message`` gets what arrives on
    ``filters``, ``on_connect`` is called on each connect, ``on_home_assistant_online`` after Home Assistant started.
    All run on the event loop. Without an ``outbox``, nothing is kept for the next run.
    """

    def __init__(
        self,
        settings: MQTTSettings,
        *,
        will: tuple[str, str],
        filters: tuple[str, ...] = (),
        on_message: Callable[[InboundMessage], None],
        on_connect: Callable[[], None] = lambda: None,
        on_home_assistant_online: Callable[[], None] = lambda: None,
        outbox: Outbox | None = None,
        max_waiting: int = MAX_WAITING,
        retry: RetryDelays = RetryDelays(),
        stop_timeout: float = 3.0,
    ) -> None:
        self.dropped = 0
        self._settings = settings
        self._will = Message(topic=will[0], payload=will[1].encode(), retain=True)
        self._filters = filters
        self._on_message = on_message
        self._on_connect = on_connect
        self._on_home_assistant_online = on_home_assistant_online
        self._outbox = outbox
        self._max_waiting = max_waiting
        self._retry = retry
        self._stop_timeout = stop_timeout
        self._former: dict[str, bytes | None] = {}  # what a former run retained and this one has not yet
        self._retained: dict[str, bytes] = {}
        self._kept: set[str] = set()  # topics of `_retained` whose payloads are kept
        self._to_retain: dict[str, None] = {}  # topics of `_retained` yet to be sent: a set that keeps its order
        self._events: deque[Message] = deque()
        self._in_flight: dict[int, Message] = {}
        self._idle = asyncio.Event()
        self._connection: Connection | None = None
        self._tasks = asyncio.TaskGroup()
        self._runner: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._said = ""
        self._stopping = False

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and is still there."""
        return self._connection is not None

    @property
    def queued(self) -> int:
        """Events that the broker has not acknowledged."""
        return len(self._events) + sum(not message.retain for message in self._in_flight.values())

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        if self._outbox is not None:
            kept = await self._outbox.load()
            self._events.extend(kept.events)
            self._former.update(kept.retained)
            self._drop_oldest()
            self._writer = self._tasks.create_task(self._outbox.run(self._to_keep), name="mqtt-outbox")
        self._runner = self._tasks.create_task(self._run(), name="mqtt-session")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._stop()
            await self._finish_writing()
        finally:
            for task in (self._runner, self._writer):
                if task is not None:
                    task.cancel()
            if isinstance(error, asyncio.CancelledError):
                await self._tasks.__aexit__(kind, error, traceback)
            else:  # an exception of the body goes out as it is, not in a group
                await self._tasks.__aexit__(None, None, None)

    def publish(
        self,
        topic: str,
        payload: str,
        *,
        qos: int = 1,
        retain: bool = False,
        correlation_data: bytes | None = None,
        keep: bool = False,
    ) -> None:
        """Send an event; it waits while the broker is away, with QoS 0 it is lost then. Never blocks.

        ``keep``: also while we are away. Raises `LocalProtocolError` for what is no topic.
        """
        if retain:
            self.retain(topic, payload, keep=keep)
            return
        message = Message(
            topic=_checked(topic), payload=_bytes(payload), qos=qos, correlation_data=correlation_data, keep=keep
        )
        if qos == 0 and self._connection is None:
            return
        self._events.append(message)
        if keep:
            self._changed()
        self._pump()
        self._drop_oldest()

    def retain(self, topic: str, payload: str, *, keep: bool = False) -> None:
        """Publish a retained message, now and on every connect; an empty payload clears the topic.

        ``keep``: its payload is there for `former` in the next run.
        """
        is_known = topic in self._retained or topic in self._former
        self._former.pop(topic, None)
        self._retained[_checked(topic)] = _bytes(payload)
        if keep:
            self._kept.add(topic)
        if keep or not is_known:
            self._changed()
        if self._connection is not None:
            self._to_retain[topic] = None
            self._pump()

    def former(self, topic: str) -> bytes | None:
        """What a former run retained and kept on a topic, and this one has not replaced."""
        return self._former.get(topic)

    def clear_former(self) -> None:
        """Clear the topics that a former run retained and this one does not: their lines or options are gone."""
        for topic in tuple(self._former):
            self.retain(topic, "")

    def republish(self) -> None:
        """Publish every retained topic again, the state last."""
        if self._connection is not None:
            state = self._will.topic
            self._to_retain = dict.fromkeys(sorted(self._retained, key=lambda topic: topic == state))
            self._pump()

    async def _run(self) -> None:
        delay = self._retry.first
        while True:
            ended = await self._connect_and_stay()
            if ended.lasted is not None and ended.lasted > 2 * delay:  # a ping-pong of equal client ids does not last
                delay = self._retry.first
            wait = self._retry.refused if ended.failure is Failure.REFUSED else delay
            await asyncio.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311  # spreads many bridges, hides nothing
            delay = min(2 * delay, self._retry.most)

    async def _connect_and_stay(self) -> Ended:
        for version in _VERSIONS[self._settings.protocol]:
            ended = await self._connect_as(version)
            if ended.failure is not Failure.UNSUPPORTED_VERSION:
                break
        if ended.lasted is None:
            hint = "; check username and password" if ended.failure is Failure.REFUSED else ""
            self._say(logging.WARNING, f"no connection to the MQTT broker at {self._where}: {ended.reason}{hint}")
        return ended

    async def _connect_as(self, version: MQTTProtocolVersion) -> Ended:
        connection = Connection(
            self._settings,
            version,
            will=self._will,
            on_message=self._received,
            on_acknowledged=self._acknowledged,
            on_refused=self._say_refused,
        )
        try:
            ended = await connection.open()
            if ended is None:
                self._begin(connection, version)
                ended = await connection.ended()
                self._end(ended)
            return ended
        finally:
            self._connection = None
            connection.abort()

    def _begin(self, connection: Connection, version: MQTTProtocolVersion) -> None:
        self._say(logging.INFO, f"connected to the MQTT broker at {self._where} (MQTT {_VERSION_NAMES[version]})")
        self._connection = connection
        connection.subscribe(self._filters, as_published=True)
        connection.subscribe((HOME_ASSISTANT_STATUS,))
        self.republish()
        self._on_connect()

    def _end(self, ended: Ended) -> None:
        if not self._stopping:
            self._say(logging.WARNING, f"lost the MQTT broker at {self._where}: {ended.reason}")
        unacknowledged = [each for each in self._in_flight.values() if not each.retain and each.qos > 0]
        self._in_flight.clear()
        self._to_retain.clear()
        self._events.extendleft(reversed(unacknowledged))
        self._connection = None
        self._drop_oldest()

    async def _stop(self) -> None:
        self._stopping = True
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(TimeoutError):  # a broker that hangs gets no goodbye: the will tells for us
            async with asyncio.timeout(self._stop_timeout):
                await self._idle.wait()
                self.retain(self._will.topic, self._will.payload.decode())
                await self._idle.wait()
                await connection.close()

    async def _finish_writing(self) -> None:
        if self._outbox is None or self._writer is None:
            return
        self._outbox.close()
        await asyncio.wait((self._writer,), timeout=self._stop_timeout)  # no longer for a disk that hangs

    def _pump(self) -> None:
        """Send what waits as far as the window allows: retained topics first, then events."""
        connection = self._connection
        while connection is not None and len(self._in_flight) < connection.window:
            if self._to_retain:
                topic = next(iter(self._to_retain))
                del self._to_retain[topic]
                message = Message(topic=topic, payload=self._retained[topic], retain=True)
            elif self._events:
                message = self._events.popleft()
            else:
                break
            self._in_flight[connection.send(message)] = message
        if self._in_flight:
            self._idle.clear()
        else:
            self._idle.set()

    def _acknowledged(self, number: int) -> None:
        message = self._in_flight.pop(number, None)
        if message is not None and message.keep:
            self._changed()
        if message is not None and message.retain and not message.payload:
            self._forget(message.topic)
        self._pump()

    def _forget(self, topic: str) -> None:
        """A topic is cleared at the broker, unless it was set again meanwhile."""
        if self._retained.get(topic) == b"":
            del self._retained[topic]
            self._kept.discard(topic)
            self._changed()

    def _drop_oldest(self) -> None:
        """Keep the queue within its bounds: events that nobody keeps give way first."""
        while self._events and (self.queued > self._max_waiting or self._waiting_bytes > MAX_WAITING_BYTES):
            if self.dropped == 0:
                _LOG.warning("more than %d MQTT events wait: the oldest are dropped", self._max_waiting)
            index = next((index for index, each in enumerate(self._events) if not each.keep), 0)
            if self._events[index].keep:
                self._changed()
            del self._events[index]
            self.dropped += 1

    @property
    def _waiting_bytes(self) -> int:
        return sum(len(each.payload) for each in self._events)

    def _changed(self) -> None:
        if self._outbox is not None:
            self._outbox.changed()

    def _to_keep(self) -> Kept:
        waiting = (*self._in_flight.values(), *self._events)
        retained = {topic: payload if topic in self._kept else None for topic, payload in self._retained.items()}
        return Kept(events=tuple(each for each in waiting if each.keep), retained=self._former | retained)

    def _received(self, message: InboundMessage) -> None:
        if message.topic != HOME_ASSISTANT_STATUS:
            self._on_message(message)
        elif message.payload == b"online" and not message.retained:
            self.republish()
            self._on_home_assistant_online()

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _say_refused(self, text: str) -> None:
        self._say(logging.WARNING, f"the MQTT broker at {self._where} {text}")

    def _say(self, level: int, text: str) -> None:
        """Log on change only."""
        if text != self._said:
            self._said = text
            _LOG.log(level, "%s", text)


def _checked(topic: str) -> str:
    if not is_valid_topic(topic):
        raise LocalProtocolError(f"{topic!r} is no topic to publish to")
    return topic


def _bytes(payload: str) -> bytes:
    return payload.encode(errors="replace")  # JSON from a peer may smuggle in lone surrogates
