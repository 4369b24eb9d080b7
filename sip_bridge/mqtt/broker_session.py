"""What the embedded broker keeps for one client while it is connected, and while it is away. Pure."""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from sip_bridge.mqtt.broker_codec import encode_ack, encode_publish
from sip_bridge.mqtt.broker_packets import MQTT_5, Ack, Message, PacketType, Version
from sip_bridge.mqtt.broker_topics import Publication

_LOGGER = logging.getLogger(__name__)

MAX_IN_FLIGHT: Final = 20  # messages that wait for the client's acknowledgement; the client may ask for fewer
_LAST_PACKET_ID: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A publication on its way to one client; ``packet_id`` is set once it was sent at QoS 1 or 2."""

    publication: Publication
    qos: int
    retain: bool
    identifiers: tuple[int, ...] = ()
    packet_id: int | None = None


@dataclass(slots=True, kw_only=True)
class Session:
    """Session state (MQTT 5 §4.1). ``connection_id`` is None while the client is away; ``expiry`` is in seconds."""

    client_id: str
    max_queued_messages: int
    max_held_bytes: int
    version: Version = MQTT_5
    connection_id: int | None = None
    expiry: float = 0
    expires_at: float = 0
    will: Message | None = None
    will_delay: int = 0
    will_due_at: float | None = None
    topic_filters: set[str] = field(default_factory=set)
    received: set[int] = field(default_factory=set)  # QoS 2 messages from the client that are not released yet
    _window: int = MAX_IN_FLIGHT
    _maximum_packet_size: int | None = None
    _queue: deque[Delivery] = field(default_factory=deque)
    _held_bytes: int = 0  # queued or in flight
    _in_flight: dict[int, Delivery] = field(default_factory=dict)
    _released: dict[int, None] = field(default_factory=dict)  # PUBREL sent, PUBCOMP not here yet; in order
    _last_packet_id: int = 0
    _has_dropped: bool = False

    def attach(
        self, connection_id: int, version: Version, *, receive_maximum: int, maximum_packet_size: int | None
    ) -> Iterator[bytes]:
        """The client is here (again); the PUBREL packets that it is owed."""
        self.connection_id = connection_id
        self.version = version
        self._window = min(receive_maximum, MAX_IN_FLIGHT)
        self._maximum_packet_size = maximum_packet_size
        self._has_dropped = False
        return (encode_ack(version, PacketType.PUBREL, packet_id) for packet_id in self._released)

    def detach(self) -> None:
        """The client is away: what it did not acknowledge goes out again, first and in order, when it returns."""
        self.connection_id = None
        self._queue.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()
        self._trim()

    def enqueue(self, delivery: Delivery) -> None:
        """Queue a message; at QoS 0 only for a client that is here. A full queue loses its oldest message."""
        if self.connection_id is None and delivery.qos == 0:
            return
        self._queue.append(delivery)
        self._held_bytes += delivery.publication.size
        self._trim()

    def next_packet(self, now: float) -> bytes | None:
        """The next PUBLISH that may be sent, or None when there is none or the client must acknowledge first."""
        while self._queue and (self._queue[0].qos == 0 or self._unacknowledged() < self._window):
            delivery = self._queue.popleft()
            packet_id = self._packet_id(delivery)
            packet = self._encode(delivery, packet_id, now)
            fits = self._maximum_packet_size is None or len(packet) <= self._maximum_packet_size
            if delivery.publication.is_expired(now) or not fits:
                self._release(delivery)
                continue
            if packet_id is None:
                self._release(delivery)
            else:
                self._in_flight[packet_id] = replace(delivery, packet_id=packet_id)
            return packet
        return None

    def acknowledge(self, ack: Ack) -> bytes | None:
        """PUBACK, PUBREC or PUBCOMP from the client; the answer that it is due, if any."""
        match ack.kind:
            case PacketType.PUBREC if ack.reason < 0x80:
                if self._settle(ack.packet_id):
                    self._released[ack.packet_id] = None
                return encode_ack(self.version, PacketType.PUBREL, ack.packet_id)
            case PacketType.PUBCOMP:
                self._released.pop(ack.packet_id, None)
            case _:
                self._settle(ack.packet_id)
        return None

    def _unacknowledged(self) -> int:
        return len(self._in_flight) + len(self._released)

    def _settle(self, packet_id: int) -> bool:
        """The client has the message; whether it was in flight."""
        if (delivery := self._in_flight.pop(packet_id, None)) is None:
            return False
        self._release(delivery)
        return True

    def _release(self, delivery: Delivery) -> None:
        self._held_bytes -= delivery.publication.size

    def _trim(self) -> None:
        while self._queue and (len(self._queue) > self.max_queued_messages or self._held_bytes > self.max_held_bytes):
            self._release(self._queue.popleft())
            if not self._has_dropped:
                self._has_dropped = True
                _LOGGER.warning("MQTT client %r does not keep up: its oldest messages are dropped", self.client_id)

    def _packet_id(self, delivery: Delivery) -> int | None:
        if delivery.qos == 0 or delivery.packet_id is not None:
            return delivery.packet_id
        while True:
            self._last_packet_id = self._last_packet_id % _LAST_PACKET_ID + 1
            if self._last_packet_id not in self._in_flight and self._last_packet_id not in self._released:
                return self._last_packet_id

    def _encode(self, delivery: Delivery, packet_id: int | None, now: float) -> bytes:
        publication = delivery.publication
        message = replace(
            publication.message, qos=delivery.qos, retain=delivery.retain, expiry=publication.remaining(now)
        )
        dup = delivery.packet_id is not None
        return encode_publish(self.version, message, packet_id=packet_id, dup=dup, identifiers=delivery.identifiers)
