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
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from paho.mqtt.enums import MQTTProtocolVersion

from sip_bridge.errors import LocalProtocolError
from sip_bridge.mqtt.connection import (
    BROKEN,
    Connection,
    Ended,
    Failure,
    MQTTSettings,
    ProtocolVersion,
    Transport,
)
from sip_bridge.mqtt.harm import HarmWatch
from sip_bridge.mqtt.message import InboundMessage, Message, is_valid_topic
from sip_bridge.mqtt.outbox import Kept, Outbox
from sip_bridge.mqtt.report import Report

__all__ = ["InboundMessage", "MQTTSession", "MQTTSettings", "ProtocolVersion", "RetryDelays", "Transport"]

HOME_ASSISTANT_STATUS: Final = "homeassistant/status"
MAX_WAITING: Final = 1000  # events
MAX_WAITING_BYTES: Final = 8 * 1024 * 1024  # of their payloads
ACKNOWLEDGE_TIMEOUT: Final = 30.0  # seconds after which a broker that answers pings only is given up
_FLAPPING: Final = 2  # short connections after which no further one is told of before it has lasted

_LOG: Final = logging.getLogger(__name__)
_V5: Final = MQTTProtocolVersion.MQTTv5
_V311: Final = MQTTProtocolVersion.MQTTv311
_VERSIONS: Final = {"auto": (_V5, _V311), "5": (_V5,), "3.1.1": (_V311,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDelays:
    """Seconds between connects: doubled from ``first`` to ``most``, and ``refused`` after a wrong password.

    Only after a connection that was ``stable`` for so long they begin anew.
    """

    first: float = 1.0
    most: float = 15.0  # a doorbell is not to stay silent for long after the broker is back
    refused: float = 60.0
    stable: float = 60.0


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
        acknowledge_timeout: float = ACKNOWLEDGE_TIMEOUT,
    ) -> None:
        self.dropped = 0  # events for which there was no room
        self.refused = 0  # messages that the broker did not take
        self._settings = settings
        self._report = Report(settings)
        self._will = Message(topic=will[0], payload=will[1].encode(), retain=True)
        self._filters = filters
        self._on_message = on_message
        self._on_connect = on_connect
        self._on_home_assistant_online = on_home_assistant_online
        self._outbox = outbox
        self._max_waiting = max_waiting
        self._retry = retry
        self._stop_timeout = stop_timeout
        self._acknowledge_timeout = acknowledge_timeout
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
        self._delay = retry.first
        self._harm = HarmWatch()
        self._has_spoken_newest = False
        self._short_lived = 0  # connections one after the other that ended soon after they began
        self._timers: dict[str, asyncio.TimerHandle] = {}  # of the connection
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
        while True:
            ended = await self._connect_and_stay()
            wait = self._retry.refused if ended.failure is Failure.REFUSED else self._delay
            await asyncio.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311  # spreads many bridges, hides nothing
            self._delay = min(2 * self._delay, self._retry.most)

    async def _connect_and_stay(self) -> Ended:
        """One connection, as good a one as the broker accepts."""
        will = self._will
        version, *older = _VERSIONS[self._settings.protocol]
        while True:
            ended = await self._connect_as(version, will)
            if ended.lasted is not None:
                return ended
            match ended.failure:
                case Failure.UNSUPPORTED_VERSION if older:
                    version = older.pop(0)
                case Failure.HUNG_UP if older and not self._has_spoken_newest:
                    version = older.pop(
                        0
                    )  # brokers that predate MQTT 5 may do that, and others while they start or stop
                case Failure.NO_RETAINED_WILL if will.retain:
                    will = replace(will, retain=False)
                case Failure.NO_SUCH_QOS if will.qos > 0:
                    will = replace(will, qos=0)
                case _:
                    self._short_lived = 0
                    self._report.trouble("no connection to", ended)
                    return ended

    async def _connect_as(self, version: MQTTProtocolVersion, will: Message) -> Ended:
        connection = Connection(
            self._settings,
            version,
            will=will,
            on_message=self._received,
            on_acknowledged=self._acknowledged,
            on_unsubscribed=self._unsubscribed,
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
            for timer in self._timers.values():
                timer.cancel()
            connection.abort()

    def _begin(self, connection: Connection, version: MQTTProtocolVersion) -> None:
        if self._short_lived < _FLAPPING:
            self._report.connected(version)
        else:
            loop = asyncio.get_running_loop()
            self._timers["connected"] = loop.call_later(self._retry.stable, self._report.connected, version)
        self._report.limits(connection.limits)
        self._has_spoken_newest |= version is _VERSIONS[self._settings.protocol][0]
        self._connection = connection
        connection.subscribe(self._filters, as_published=True)
        connection.subscribe((HOME_ASSISTANT_STATUS,))
        self.republish()
        self._on_connect()
        self._watch_acknowledgements(connection)

    def _end(self, ended: Ended) -> None:
        is_short = ended.lasted is not None and ended.lasted < self._retry.stable
        self._short_lived = self._short_lived + 1 if is_short else 0
        if not is_short:
            self._delay = self._retry.first
        if ended.failure is Failure.TAKEN_OVER:  # the other one will be back, and so are we: no line a turn of these
            self._short_lived = max(self._short_lived, _FLAPPING)
        elif self._short_lived > _FLAPPING and ended.reason == BROKEN:  # MQTT 3.1.1 has no word for it
            client_id = self._settings.client_id
            ended = replace(ended, reason=f"{BROKEN} soon, again; perhaps another client has the id {client_id!r} too")
        if not self._stopping:
            self._report.trouble("lost", ended)
        number, oldest = next(iter(self._in_flight.items()), (0, None))
        if self._harm.ended(ended, oldest):
            self._refused(self._in_flight.pop(number), ended.reason)
        unacknowledged = [each for each in self._in_flight.values() if not each.retain and each.qos > 0]
        self._in_flight.clear()
        self._to_retain.clear()
        self._events.extendleft(reversed(unacknowledged))
        self._connection = None
        self._drop_oldest()

    def _watch_acknowledgements(self, connection: Connection, before: int | None = None) -> None:
        """Give up a broker that acknowledges nothing: its next connection may, and the will tells that we are away."""
        oldest = next(iter(self._in_flight), None)
        if oldest is not None and oldest == before:
            connection.abort("it acknowledges nothing that it is sent")
            return
        self._timers["acknowledgements"] = asyncio.get_running_loop().call_later(
            self._acknowledge_timeout, self._watch_acknowledgements, connection, oldest
        )

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
        while connection is not None and len(self._in_flight) < connection.limits.window:
            if self._to_retain:
                topic = next(iter(self._to_retain))
                del self._to_retain[topic]
                message = Message(topic=topic, payload=self._retained[topic], retain=True)
            elif self._events:
                message = self._events.popleft()
            else:
                break
            if self._harm.is_harmful(message):
                continue
            if connection.fits(message):
                self._in_flight[connection.send(message)] = message
            else:
                self._refused(message, f"it takes packets of {connection.limits.max_packet} bytes at most")
        if self._in_flight:
            self._idle.clear()
        else:
            self._idle.set()

    def _acknowledged(self, number: int, refusal: str | None) -> None:
        message = self._in_flight.pop(number, None)
        if message is not None and refusal is not None:
            self._refused(message, refusal)
        elif message is not None and message.keep:
            self._changed()
        elif message is not None and message.retain and not message.payload:
            self._forget(message.topic)
        self._pump()

    def _refused(self, message: Message, why: str) -> None:
        """The broker does not want a message; it would not the next time either."""
        self.refused += 1
        self._report.warn_once(f"does not take all messages: {why}", f"; {message.topic} is the first")
        if message.keep:
            self._changed()

    def _unsubscribed(self, filters: tuple[str, ...], why: str) -> None:
        named = " and ".join(filters)
        self._report.warn_once(
            f"refused the subscription to {named}: {why}", "; what is published there does not arrive"
        )

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


def _checked(topic: str) -> str:
    if not is_valid_topic(topic):
        raise LocalProtocolError(f"{topic!r} is no topic to publish to")
    return topic


def _bytes(payload: str) -> bytes:
    return payload.encode(errors="replace")  # JSON from a peer may smuggle in lone surrogates
