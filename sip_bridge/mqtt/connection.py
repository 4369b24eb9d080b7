"""One connection to an MQTT broker: paho-mqtt under asyncio, from the TCP connect to the last byte.

paho runs on the event loop, through its socket callbacks, not in a thread of its own: queue, acknowledgements and
stop need no lock, nothing wakes up but the socket and one timer for the keep-alive, and no callback outlives the
session. Only name resolution, the TCP connect and the handshakes of TLS and WebSocket block; they run in a thread
before the loop first sees the client. A connection is used once, so no state of paho's survives into the next.
"""

import asyncio
import logging
import os
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final, Literal

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import MQTTException, Properties  # type: ignore[attr-defined]  # where paho 2.1 has it
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sip_bridge.mqtt.daemon_thread import in_thread
from sip_bridge.mqtt.limits import Limits
from sip_bridge.mqtt.message import InboundMessage, Message, is_valid_topic

_LOG: Final = logging.getLogger(__name__)

ProtocolVersion = Literal["auto", "5", "3.1.1"]
Transport = Literal["tcp", "websockets"]

CONNACK_TIMEOUT: Final = 10.0  # seconds from the TCP connect to the broker's answer
MAX_PACKET: Final = 128 * 1024  # bytes that an MQTT 5 broker may send us at once: twice the longest payload we read


@dataclass(frozen=True, slots=True, kw_only=True)
class MQTTSettings:
    """Where the broker is and who we are there; ``keepalive`` in seconds.

    ``tls`` is asked for a context at each connect, so that changed files are taken; None is a connection in the clear.
    ``path`` is where a WebSocket is asked for (MQTT 5 §6).
    """

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str
    keepalive: int = 30
    protocol: ProtocolVersion = "auto"
    transport: Transport = "tcp"
    path: str = "/mqtt"
    tls: Callable[[], ssl.SSLContext] | None = None


class Failure(StrEnum):
    """What kept or ended a connection, as far as it matters for the next one."""

    UNREACHABLE = "unreachable"
    UNSUPPORTED_VERSION = "unsupported version"
    HUNG_UP = "hung up"  # instead of answering
    REFUSED = "refused"
    TAKEN_OVER = "taken over"
    NO_RETAINED_WILL = "no retained will"
    NO_SUCH_QOS = "no such QoS"
    LOST = "lost"


_FAILURES: Final = {  # MQTT 5 §2.4; paho translates the codes of MQTT 3.1.1
    "Bad user name or password": Failure.REFUSED,
    "Not authorized": Failure.REFUSED,
    "Bad authentication method": Failure.REFUSED,
    "Client identifier not valid": Failure.REFUSED,
    "Banned": Failure.REFUSED,
    "Unsupported protocol version": Failure.UNSUPPORTED_VERSION,
    "Session taken over": Failure.TAKEN_OVER,
    "Retain not supported": Failure.NO_RETAINED_WILL,
    "QoS not supported": Failure.NO_SUCH_QOS,
}
# What paho raises on bytes that are no MQTT.
_NO_MQTT: Final = (MQTTException, AssertionError, IndexError, KeyError, ValueError, TypeError, struct.error)
BROKEN: Final = "the connection broke"
ODD: Final = "it does not speak MQTT as it should"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why there is no connection (any more); ``reason`` is for a person, ``lasted`` in seconds if there was one."""

    failure: Failure
    reason: str
    lasted: float | None = None


class Connection:
    """One connection; `open` it, `send`, and wait for `ended`.

    ``on_acknowledged`` gets what `send` returned, and why the broker refused it if it did; ``on_unsubscribed`` the
    filters of a subscription that was refused, and why.
    """

    def __init__(
        self,
        settings: MQTTSettings,
        version: MQTTProtocolVersion,
        *,
        will: Message | None,
        on_message: Callable[[InboundMessage], None],
        on_acknowledged: Callable[[int, str | None], None],
        on_unsubscribed: Callable[[tuple[str, ...], str], None],
    ) -> None:
        self.limits = Limits()
        self._settings = settings
        self._version = version
        self._will = will
        self._on_message = on_message
        self._on_acknowledged = on_acknowledged
        self._on_unsubscribed = on_unsubscribed
        self._subscriptions: dict[int | None, tuple[str, ...]] = {}
        self._loop = asyncio.get_running_loop()
        self._accepted = self._loop.create_future()
        self._ended: asyncio.Future[Ended] = self._loop.create_future()
        self._client: Client | None = None
        self._keepalive_timer: asyncio.TimerHandle | None = None
        self._accepted_at = 0.0
        self._is_abandoned = False

    async def open(self) -> Ended | None:
        """Connect; None when the broker has accepted us."""
        client = self._new_client()
        try:
            await in_thread(partial(self._connect_tcp, client))
        except (OSError, UnicodeError) as error:  # a host name of bad labels is a UnicodeError
            return Ended(failure=Failure.UNREACHABLE, reason=_reason(error))
        except asyncio.CancelledError:  # the thread may be done already, or may still connect
            self._is_abandoned = True
            _close(client)
            raise
        self._attach(client)
        try:
            async with asyncio.timeout(CONNACK_TIMEOUT):
                await asyncio.wait((self._accepted, self._ended), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.abort("it does not answer")
        return self._ended.result() if self._ended.done() else None

    def subscribe(self, filters: tuple[str, ...], *, as_published: bool = False) -> None:
        """Subscribe to ``filters`` with QoS 1.

        ``as_published`` asks an MQTT 5 broker to leave the retain flag as it was sent, so that what is published to be
        kept is known as such even while we are connected; a 3.1.1 broker only tells it of what was there before us.
        """
        if self._client is None or not filters:
            return
        if self._version is MQTTProtocolVersion.MQTTv5:
            options = SubscribeOptions(qos=1, retainAsPublished=as_published)
            _, number = self._client.subscribe([(each, options) for each in filters])
        else:
            _, number = self._client.subscribe([(each, 1) for each in filters])
        self._subscriptions[number] = filters

    def fits(self, message: Message) -> bool:
        """Whether the broker takes a packet as large as this message needs."""
        correlation_data = message.correlation_data or b""
        return self.limits.fits(len(message.topic.encode()) + len(message.payload), len(correlation_data))

    def send(self, message: Message) -> int:
        """Hand a message to the broker; the number comes back through ``on_acknowledged``."""
        if self._client is None:
            raise RuntimeError("send before open")
        properties = None
        if message.correlation_data is not None and self._version is MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = message.correlation_data
        qos = min(message.qos, self.limits.max_qos)
        retain = message.retain and self.limits.retains
        return self._client.publish(message.topic, message.payload, qos, retain, properties).mid

    async def ended(self) -> Ended:
        """Wait for the end."""
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Say goodbye, so that the broker keeps the will to itself; wait for the bytes to leave."""
        if self._client is not None and not self._ended.done():
            self._client.disconnect()
            await self.ended()

    def abort(self, reason: str = "dropped") -> None:
        """Drop the connection without a word, so that the broker publishes the will."""
        client = self._client
        if client is not None and (sock := client.socket()) is not None and sock.fileno() >= 0:
            client.on_socket_close = None
            client.on_socket_unregister_write = None
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            sock.close()
        self._end(Failure.LOST, reason)

    def _new_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            protocol=self._version,
            transport=self._settings.transport,
            reconnect_on_failure=False,  # paho's own fallback to MQTT 3.1 would connect, blocking, on the loop
        )
        client.connect_timeout = 5.0
        client.max_inflight_messages = 0  # the session's window limits them
        if self._settings.transport == "websockets":
            client.ws_set_options(path=self._settings.path)
        if self._settings.tls is not None:
            context = self._settings.tls()
            context.sslsocket_class = _TLSSocket
            client.tls_set_context(context)
            client.tls_insecure_set(not context.check_hostname)  # else paho looks at the name although nobody asked
        client.username_pw_set(self._settings.username, self._settings.password)
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, self._will.qos, self._will.retain)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        # Until the loop has the client, CONNECT waits: a connect that nobody waits for any more stays unsaid.
        client.on_socket_register_write = lambda *_: None
        return client

    def _connect_tcp(self, client: Client) -> None:
        settings = self._settings
        if self._version is MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = MAX_PACKET
            client.connect(settings.host, settings.port, settings.keepalive, clean_start=True, properties=properties)
        else:
            client.connect(settings.host, settings.port, settings.keepalive)
        if self._is_abandoned:
            _close(client)

    def _attach(self, client: Client) -> None:
        sock = client.socket()
        if sock is None:
            self._end(Failure.LOST, BROKEN)
            return
        _send_at_once(sock.fileno())
        self._client = client
        client.on_socket_register_write = self._start_writing
        client.on_socket_unregister_write = self._stop_writing
        client.on_socket_close = self._stop_reading
        self._loop.add_reader(sock, self._read, client)
        self._loop.add_writer(sock, client.loop_write)
        self._watch_keepalive(client)

    def _read(self, client: Client) -> None:
        try:
            client.loop_read()
            while _has_pending(client):  # decrypted already, so the socket wakes nobody for it
                client.loop_read()
        except _NO_MQTT as error:
            _LOG.debug("bytes of the broker that paho can't read: %r", error)
            self.abort(ODD)

    def _start_writing(self, client: Client, _userdata: Any, sock: Any) -> None:
        self._loop.add_writer(sock, client.loop_write)

    def _stop_writing(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self._loop.remove_writer(sock)

    def _stop_reading(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self._loop.remove_reader(sock)

    def _watch_keepalive(self, client: Client) -> None:
        if self._keepalive_timer is not None:
            self._keepalive_timer.cancel()
        client.loop_misc()
        if not self._ended.done():  # a broker may ask for another keep-alive, or for none
            self._keepalive_timer = self._loop.call_later((client.keepalive or 60) / 4, self._watch_keepalive, client)

    def _connected(
        self, client: Client, _userdata: Any, _flags: Any, reason: ReasonCode, given: Properties | None
    ) -> None:
        if not reason.is_failure:
            self.limits = Limits.of(given)
            if not self._accepted.done():
                self._accepted_at = self._loop.time()
                self._accepted.set_result(None)
            self._loop.call_soon(self._watch_keepalive, client)  # the broker may have set another
            return
        text = reason.getName()
        self._end(_FAILURES.get(text, Failure.LOST), text)

    def _disconnected(self, _client: Client, _userdata: Any, _flags: Any, reason: ReasonCode, _given: Any) -> None:
        text = reason.getName()
        failure = _FAILURES.get(text, Failure.LOST) if self._accepted.done() else Failure.HUNG_UP
        self._end(failure, BROKEN if text == "Unspecified error" else text)

    def _end(self, failure: Failure, reason: str) -> None:
        if self._keepalive_timer is not None:
            self._keepalive_timer.cancel()
        if not self._ended.done():
            lasted = self._loop.time() - self._accepted_at if self._accepted.done() else None
            self._ended.set_result(Ended(failure=failure, reason=reason, lasted=lasted))

    def _received(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no topic of ours
            return
        given = message.properties
        inbound = InboundMessage(
            topic=topic,
            payload=bytes(message.payload),
            retained=message.retain,
            response_topic=_valid_topic(getattr(given, "ResponseTopic", None)),
            correlation_data=getattr(given, "CorrelationData", None),
        )
        # Not from inside paho, which an exception would leave in the middle of a packet.
        self._loop.call_soon(self._on_message, inbound)

    def _published(self, _client: Client, _userdata: Any, mid: int, reason: ReasonCode, _given: Any) -> None:
        self._on_acknowledged(mid, reason.getName() if reason.is_failure else None)

    def _subscribed(self, _client: Client, _userdata: Any, mid: int, reasons: list[ReasonCode], _given: Any) -> None:
        filters = self._subscriptions.pop(mid, ())
        refused = [(each, reason) for each, reason in zip(filters, reasons, strict=False) if reason.is_failure]
        if refused:
            self._on_unsubscribed(tuple(each for each, _ in refused), refused[0][1].getName())


def _close(client: Client) -> None:
    if (sock := client.socket()) is not None:
        sock.close()


def _has_pending(client: Client) -> bool:
    pending = getattr(client.socket(), "pending", None)  # only TLS and WebSocket have it
    return pending is not None and pending() > 0


def _send_at_once(descriptor: int) -> None:
    """Without it an event that follows an acknowledgement waits 40 ms for the broker's (RFC 9293 §3.7.4, Nagle).

    paho's WebSocket does not let its socket be reached, so the option is set through a duplicate.
    """
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _reason(error: OSError | UnicodeError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"no TLS with it: {(error.reason or str(error)).replace('_', ' ').lower()}"
        case _:
            return getattr(error, "strerror", None) or str(error)


def _valid_topic(topic: str | None) -> str | None:
    return topic if topic is not None and is_valid_topic(topic) else None


class _TLSSocket(ssl.SSLSocket):
    """Closed when its handshake fails: paho drops it then."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
