"""The embedded broker without input, output or a clock: bytes and the time go in, `Send` and `Close` come out.

One broker for MQTT 3.1.1 and MQTT 5 clients. Everything that a client can make it keep is bounded by `Limits`.
"""

import hmac
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from sip_bridge.mqtt import broker_codec as codec
from sip_bridge.mqtt.broker_packets import (
    MQTT_3_1_1,
    MQTT_5,
    Ack,
    Connect,
    Disconnect,
    Packet,
    PacketError,
    PacketType,
    PingRequest,
    Properties,
    PropertyId,
    Publish,
    Reason,
    Subscribe,
    Unsubscribe,
    Version,
)
from sip_bridge.mqtt.broker_router import Limits, Router
from sip_bridge.mqtt.broker_session import Session
from sip_bridge.mqtt.broker_topics import check_topic_name

_LOGGER = logging.getLogger(__name__)

CONNECT_TIMEOUT: Final = 10.0  # seconds for a client to say CONNECT
CONNECT_LIMIT: Final = 65536  # bytes of a CONNECT packet: before it nobody has said who they are
MAX_WARNED_PEERS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The user name and password that every client must present."""

    username: str
    password: str = field(repr=False)

    def fit(self, username: str | None, password: bytes | None) -> bool:
        """Whether a CONNECT carries them; takes the same time whatever is wrong."""
        name_fits = hmac.compare_digest(self.username.encode(), (username or "").encode())
        password_fits = hmac.compare_digest(self.password.encode(), password or b"")
        return name_fits and password_fits


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for a connection."""

    connection_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Once what was sent to it is out, the connection ends."""

    connection_id: int


Effect = Send | Close


@dataclass(slots=True, kw_only=True)
class _Connection:
    id: int
    peer: str
    stream: codec.PacketStream
    deadline: float | None  # when a silent client is given up
    version: Version = MQTT_3_1_1
    keep_alive: int = 0
    session: Session | None = None  # None before the CONNECT
    is_writable: bool = True

    def heard(self, now: float) -> None:
        """A packet came: the client lives (MQTT 5 §3.1.2.10)."""
        self.deadline = now + 1.5 * self.keep_alive if self.keep_alive else None


@dataclass(slots=True, kw_only=True)
class BrokerCore:
    """Connections, sessions, subscriptions and retained messages; `drain` after every call."""

    limits: Limits
    credentials: Credentials | None
    new_client_id: Callable[[], str]
    rejected: int = 0  # connections that broke the protocol or were refused
    _connections: dict[int, _Connection] = field(default_factory=dict)
    _router: Router = field(init=False)
    _effects: deque[Effect] = field(default_factory=deque)
    _ready: dict[int, None] = field(default_factory=dict)  # connections whose sessions may have something to send
    _warned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._router = Router(limits=self.limits)

    # --- what the shell tells

    def open(self, connection_id: int, peer: str, now: float) -> None:
        """A client connected from the address ``peer``."""
        self._connections[connection_id] = _Connection(
            id=connection_id,
            peer=peer,
            stream=codec.PacketStream(limit=min(CONNECT_LIMIT, self.limits.max_packet_size)),
            deadline=now + CONNECT_TIMEOUT,
        )
        if len(self._connections) > self.limits.max_connections:
            self._reject(self._connections[connection_id], "too many connections", now)

    def receive(self, connection_id: int, data: bytes, now: float) -> None:
        """Bytes arrived; never raises on what a client sent."""
        connection = self._connections.get(connection_id)
        if connection is None:
            return
        try:
            for first, body in connection.stream.feed(data):
                self._handle(connection, codec.decode(first, body, connection.version), now)
                if connection_id not in self._connections:
                    return
        except PacketError as error:
            self._fail(connection, error, now)

    def set_writable(self, connection_id: int, *, writable: bool) -> None:
        """Whether the connection takes more now, or must first drain."""
        if (connection := self._connections.get(connection_id)) is not None:
            connection.is_writable = writable
            self._ready[connection_id] = None

    def lost(self, connection_id: int, now: float) -> None:
        """The connection is gone, by whatever way."""
        if (connection := self._connections.get(connection_id)) is not None:
            self._detach(connection, now, keep_will=True)

    def tick(self, now: float) -> None:
        """Give up silent clients, publish delayed wills, end expired sessions; to be called about each second."""
        for connection in list(self._connections.values()):
            if connection.deadline is not None and connection.deadline <= now:
                self._disconnect(connection, Reason.KEEP_ALIVE_TIMEOUT, now)
        self._router.tick(now)

    def shut_down(self) -> None:
        """Tell the MQTT 5 clients, and close every connection."""
        for connection in self._connections.values():
            self._say_goodbye(connection, Reason.SERVER_SHUTTING_DOWN)
        self._connections.clear()

    def drain(self, now: float) -> Iterator[Effect]:
        """What is to be done; the caller may say `set_writable` between two of them."""
        while True:
            while self._effects:
                yield self._effects.popleft()
            self._ready.update(dict.fromkeys(self._router.take_woken()))
            if not self._ready:
                return
            connection_id = next(iter(self._ready))
            connection = self._connections.get(connection_id)
            packet = None
            if connection is not None and connection.session is not None and connection.is_writable:
                packet = connection.session.next_packet(now)
            if packet is None:
                del self._ready[connection_id]
            else:
                yield Send(connection_id, packet)

    # --- packets

    def _handle(self, connection: _Connection, packet: Packet, now: float) -> None:
        if isinstance(packet, Connect):
            self._connect(connection, packet, now)
            return
        session = connection.session
        if session is None:
            raise PacketError("the first packet is not CONNECT", reason=Reason.PROTOCOL_ERROR)
        connection.heard(now)
        match packet:
            case Publish():
                self._on_publish(connection, session, packet, now)
            case Ack():
                self._on_ack(connection, session, packet)
            case Subscribe():
                self._on_subscribe(connection, session, packet, now)
            case Unsubscribe():
                reasons = [self._router.unsubscribe(session, topic_filter) for topic_filter in packet.topic_filters]
                self._send(connection, codec.encode_unsuback(connection.version, packet.packet_id, reasons))
            case PingRequest():
                self._send(connection, codec.encode_pingresp())
            case Disconnect():
                self._on_disconnect(connection, session, packet, now)
            case _:
                assert_never(packet)

    def _connect(self, connection: _Connection, packet: Connect, now: float) -> None:
        if connection.session is not None:
            raise PacketError("a second CONNECT", reason=Reason.PROTOCOL_ERROR)
        if packet.will is not None:
            check_topic_name(packet.will.topic)
        connection.version = packet.version
        if (refusal := self._refusal(packet)) is not None:
            self._send(connection, codec.encode_connack(packet.version, refusal))
            self._reject(connection, refusal.name.lower().replace("_", " "), now)
            return
        client_id = packet.client_id or self.new_client_id()
        if (rival := self._router.connection_of(client_id)) is not None:
            self._disconnect(self._connections[rival], Reason.SESSION_TAKEN_OVER, now)
        session, is_present = self._router.enter(client_id, clean_start=packet.clean_start, now=now)
        session.expiry = min(packet.session_expiry, self.limits.max_session_expiry)
        session.will, session.will_delay = packet.will, packet.will_delay
        connection.session = session
        connection.stream.limit = self.limits.max_packet_size
        connection.keep_alive = packet.keep_alive
        connection.heard(now)
        properties = self._connack_properties(packet, client_id)
        answer = codec.encode_connack(packet.version, Reason.SUCCESS, session_present=is_present, properties=properties)
        self._send(connection, answer)
        owed = session.attach(
            connection.id,
            packet.version,
            receive_maximum=packet.receive_maximum,
            maximum_packet_size=packet.maximum_packet_size,
        )
        for release in owed:
            self._send(connection, release)
        self._ready[connection.id] = None

    def _refusal(self, packet: Connect) -> Reason | None:
        if packet.authentication_method is not None:
            return Reason.BAD_AUTHENTICATION_METHOD
        if self.credentials is not None and not self.credentials.fit(packet.username, packet.password):
            return Reason.BAD_USER_NAME_OR_PASSWORD
        if packet.version == MQTT_3_1_1 and not packet.client_id and not packet.clean_start:
            return Reason.CLIENT_IDENTIFIER_NOT_VALID
        return None

    def _connack_properties(self, packet: Connect, client_id: str) -> Properties:
        properties: list[tuple[int, int | str]] = [
            (PropertyId.MAXIMUM_PACKET_SIZE, self.limits.max_packet_size),
            (PropertyId.SHARED_SUBSCRIPTION_AVAILABLE, 0),
        ]
        if not packet.client_id:
            properties.append((PropertyId.ASSIGNED_CLIENT_IDENTIFIER, client_id))
        if packet.session_expiry > self.limits.max_session_expiry:
            properties.append((PropertyId.SESSION_EXPIRY_INTERVAL, self.limits.max_session_expiry))
        return tuple(properties)

    def _on_publish(self, connection: _Connection, session: Session, packet: Publish, now: float) -> None:
        check_topic_name(packet.message.topic)
        if packet.packet_id is None:
            self._router.publish(packet.message, session.client_id, now)
            return
        is_repeat = packet.message.qos == 2 and packet.packet_id in session.received
        matched = 1 if is_repeat else self._router.publish(packet.message, session.client_id, now)
        kind = PacketType.PUBACK
        if packet.message.qos == 2:
            session.received.add(packet.packet_id)
            kind = PacketType.PUBREC
        reason = Reason.SUCCESS if matched else Reason.NO_MATCHING_SUBSCRIBERS
        self._send(connection, codec.encode_ack(connection.version, kind, packet.packet_id, reason))

    def _on_ack(self, connection: _Connection, session: Session, packet: Ack) -> None:
        if packet.kind == PacketType.PUBREL:
            known = packet.packet_id in session.received
            session.received.discard(packet.packet_id)
            reason = Reason.SUCCESS if known else Reason.PACKET_IDENTIFIER_NOT_FOUND
            answer = codec.encode_ack(connection.version, PacketType.PUBCOMP, packet.packet_id, reason)
            self._send(connection, answer)
            return
        if (release := session.acknowledge(packet)) is not None:
            self._send(connection, release)
        self._ready[connection.id] = None

    def _on_subscribe(self, connection: _Connection, session: Session, packet: Subscribe, now: float) -> None:
        reasons = [self._router.subscribe(session, subscription, now) for subscription in packet.subscriptions]
        self._send(connection, codec.encode_suback(connection.version, packet.packet_id, reasons))

    def _on_disconnect(self, connection: _Connection, session: Session, packet: Disconnect, now: float) -> None:
        if packet.session_expiry is not None:
            if session.expiry == 0 and packet.session_expiry:
                raise PacketError("a session can't be kept at its end", reason=Reason.PROTOCOL_ERROR)
            session.expiry = min(packet.session_expiry, self.limits.max_session_expiry)
        self._detach(connection, now, keep_will=packet.reason != Reason.SUCCESS)
        self._effects.append(Close(connection.id))

    # --- connections

    def _detach(self, connection: _Connection, now: float, *, keep_will: bool) -> None:
        del self._connections[connection.id]
        if connection.session is not None:
            self._router.leave(connection.session, now, keep_will=keep_will)

    def _fail(self, connection: _Connection, error: PacketError, now: float) -> None:
        """The client broke MQTT: tell it as far as its version can, and close."""
        _LOGGER.debug("MQTT client at %s: %s", connection.peer, error)
        self.rejected += 1
        if connection.session is None and error.reason == Reason.UNSUPPORTED_PROTOCOL_VERSION:
            self._send(connection, codec.encode_connack(MQTT_3_1_1, error.reason))
        self._disconnect(connection, error.reason, now)

    def _reject(self, connection: _Connection, why: str, now: float) -> None:
        self.rejected += 1
        self._warn_once(connection.peer, "refused the MQTT client at %s: %s", connection.peer, why)
        self._detach(connection, now, keep_will=False)
        self._effects.append(Close(connection.id))

    def _disconnect(self, connection: _Connection, reason: Reason, now: float) -> None:
        self._say_goodbye(connection, reason)
        self._detach(connection, now, keep_will=True)

    def _say_goodbye(self, connection: _Connection, reason: Reason) -> None:
        if connection.session is not None and connection.version == MQTT_5:
            self._send(connection, codec.encode_disconnect(reason))
        self._effects.append(Close(connection.id))

    def _send(self, connection: _Connection, data: bytes) -> None:
        self._effects.append(Send(connection.id, data))

    def _warn_once(self, key: str, text: str, *arguments: object) -> None:
        if key not in self._warned and len(self._warned) < MAX_WARNED_PEERS:
            self._warned.add(key)
            _LOGGER.warning(text, *arguments)
