"""Real MQTT clients for the tests of the embedded broker, and the broker on a loop of its own beside them."""

import asyncio
import itertools
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sip_bridge.mqtt.broker import BrokerSettings, EmbeddedBroker
from tests.peers.mqtt import ThreadedClient

V3, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
PATIENCE = 5.0  # seconds for something that must happen
names = itertools.count(1)


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class Peer:
    """A paho client whose calls wait for the broker's answer."""

    def __init__(
        self,
        port: int,
        version: MQTTProtocolVersion,
        client_id: str = "",
        *,
        clean: bool = True,
        expiry: int | None = None,
        will: Heard | None = None,
        keepalive: int = 60,
        login: tuple[str, str] | None = None,
        manual_ack: bool = False,
    ) -> None:
        self.version = version
        self.client_id = client_id or f"peer-{next(names)}"
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self.answers: queue.Queue[tuple[ConnectFlags, ReasonCode, Properties | None]] = queue.Queue()
        self.granted: queue.Queue[list[ReasonCode]] = queue.Queue()
        self.ends: queue.Queue[ReasonCode] = queue.Queue()
        self.client = ThreadedClient(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=version,
            clean_session=None if version == V5 else clean,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_connect = lambda _c, _d, flags, reason, props: self.answers.put((flags, reason, props))
        self.client.on_subscribe = lambda _c, _d, _id, reasons, _props: self.granted.put(reasons)
        self.client.on_disconnect = lambda _c, _d, _flags, reason, _props: self.ends.put(reason)
        if will is not None:
            self.client.will_set(will.topic, will.payload, will.qos, will.retain)
        if login is not None:
            self.client.username_pw_set(*login)
        if version == V5:
            asked = properties(PacketTypes.CONNECT, **({} if expiry is None else {"SessionExpiryInterval": expiry}))
            self.client.connect("127.0.0.1", port, keepalive, clean_start=clean, properties=asked)
        else:
            self.client.connect("127.0.0.1", port, keepalive)
        self.client.loop_start()
        self.flags, self.reason, self.granted_properties = self.answers.get(timeout=PATIENCE)

    def subscribe(self, topic_filter: str, qos: int = 1, **options: Any) -> list[int]:
        if self.version == V5:
            self.client.subscribe(topic_filter, options=SubscribeOptions(qos=qos, **options))
        else:
            self.client.subscribe(topic_filter, qos)
        return [reason.value for reason in self.granted.get(timeout=PATIENCE)]

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, properties: Properties | None = None
    ) -> None:
        self.client.publish(topic, payload, qos, retain, properties=properties).wait_for_publish(PATIENCE)

    def message(self) -> MQTTMessage:
        return self.messages.get(timeout=PATIENCE)

    def hear(self) -> Heard:
        """The next message, which must come."""
        return as_heard(self.message())

    def heard(self) -> list[Heard]:
        """Whatever has come by now: two round trips later, the broker has acted on all that anyone sent before."""
        fence = f"$fence/{self.client_id}"
        self.subscribe(fence)
        came: list[Heard] = []
        for _ in range(2):
            self.client.publish(fence, b"", 1)
            came.extend(iter(self.hear, Heard(fence, b"")))
        return came

    def disconnect(self, **options: Any) -> None:
        self.client.end(**options)

    def stop_answering(self) -> None:
        """Hang: the socket stays open and nothing is sent or read any more."""
        stopper = threading.Thread(target=self.client.loop_stop)
        stopper.start()
        while stopper.is_alive():  # paho looks once a second whether it is to stop, or when there is something to send
            self.client.publish(f"$wake/{self.client_id}", b"")
            stopper.join(0.02)

    def die(self) -> None:
        """Vanish with a TCP reset, as a killed process with unread data does."""
        self.stop_answering()
        sock = self.client.socket()
        assert isinstance(sock, socket.socket)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def as_heard(message: MQTTMessage) -> Heard:
    return Heard(message.topic, bytes(message.payload), message.qos, bool(message.retain))


def properties(packet: int, **values: object) -> Properties:
    """MQTT 5 properties by their names, spaces left out."""
    made: Properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    return made


def names_and_values(made: Properties | None) -> dict[str, Any]:
    assert made is not None
    shown: dict[str, Any] = made.json()  # type: ignore[no-untyped-call]
    return shown


@contextmanager
def running(settings: BrokerSettings) -> Iterator[EmbeddedBroker]:
    """A broker on an event loop in a thread of its own, as the clients' calls block."""
    started: queue.Queue[EmbeddedBroker | BaseException] = queue.Queue()
    stop: queue.Queue[Callable[[], object]] = queue.Queue()

    async def serve() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.put(lambda: loop.call_soon_threadsafe(done.set))
        async with EmbeddedBroker(settings) as broker:
            started.put(broker)
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    broker = started.get(timeout=PATIENCE)
    assert isinstance(broker, EmbeddedBroker)
    try:
        yield broker
    finally:
        stop.get(timeout=PATIENCE)()
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Peers:
    """Makes clients of one broker and ends them after the test."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.made: list[Peer] = []

    def __call__(self, version: MQTTProtocolVersion, client_id: str = "", **options: Any) -> Peer:
        peer = Peer(self.port, version, client_id, **options)
        self.made.append(peer)
        return peer

    def end(self) -> None:
        for peer in self.made:
            peer.disconnect()
