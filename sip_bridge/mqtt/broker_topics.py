"""Topics of the embedded broker: names and filters, who subscribed to what, and the retained messages. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from sip_bridge.mqtt.broker_codec import encode_properties
from sip_bridge.mqtt.broker_packets import Message, PacketError, Reason, Subscription

MAX_LENGTH: Final = 1024  # characters of a topic name or filter
MAX_LEVELS: Final = 128  # of a topic; keeps one match short


def check_topic_name(topic: str) -> None:
    """Raise `PacketError` unless a message may be published on ``topic`` (MQTT 5 §4.7.3)."""
    if not 0 < len(topic) <= MAX_LENGTH or "+" in topic or "#" in topic or topic.count("/") >= MAX_LEVELS:
        raise PacketError("not a topic name", reason=Reason.TOPIC_NAME_INVALID)


def is_topic_filter(topic_filter: str) -> bool:
    """Whether ``topic_filter`` is well-formed (MQTT 5 §4.7.1)."""
    levels = topic_filter.split("/")
    if not 0 < len(topic_filter) <= MAX_LENGTH or len(levels) > MAX_LEVELS or "#" in "".join(levels[:-1]):
        return False
    return all(len(level) == 1 or ("+" not in level and "#" not in level) for level in levels)


def _has_wildcard(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter


def _matches(filter_levels: list[str], topic_levels: list[str]) -> bool:
    """MQTT 5 §4.7.1, §4.7.2: a wildcard on the first level does not match a topic that begins with ``$``."""
    if topic_levels[0].startswith("$") and filter_levels[0] in {"+", "#"}:
        return False
    for index, level in enumerate(filter_levels):
        if level == "#":
            return True
        if index == len(topic_levels) or level not in {"+", topic_levels[index]}:
            return False
    return len(filter_levels) == len(topic_levels)


@dataclass(slots=True)
class SubscriptionIndex:
    """Who subscribed to what, by topic filter and then by client identifier."""

    _by_filter: dict[str, dict[str, Subscription]] = field(default_factory=dict)
    _wildcards: dict[str, list[str]] = field(default_factory=dict)  # the filters with wildcards, and their levels
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def add(self, client_id: str, subscription: Subscription) -> bool:
        """Add or replace a subscription; whether it is new."""
        topic_filter = subscription.topic_filter
        clients = self._by_filter.setdefault(topic_filter, {})
        new = client_id not in clients
        clients[client_id] = subscription
        self._count += new
        if _has_wildcard(topic_filter):
            self._wildcards[topic_filter] = topic_filter.split("/")
        return new

    def remove(self, client_id: str, topic_filter: str) -> bool:
        """Whether there was such a subscription."""
        clients = self._by_filter.get(topic_filter, {})
        if clients.pop(client_id, None) is None:
            return False
        self._count -= 1
        if not clients:
            del self._by_filter[topic_filter]
            self._wildcards.pop(topic_filter, None)
        return True

    def matching(self, topic: str) -> dict[str, list[Subscription]]:
        """Every client with a subscription that matches, and those subscriptions."""
        found: dict[str, list[Subscription]] = {}
        topic_levels = topic.split("/")
        filters = [topic, *(text for text, levels in self._wildcards.items() if _matches(levels, topic_levels))]
        for topic_filter in filters:
            for client_id, subscription in self._by_filter.get(topic_filter, {}).items():
                found.setdefault(client_id, []).append(subscription)
        return found


_OVERHEAD: Final = 400  # bytes of objects around a topic and a payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A message in the broker's hands: ``size`` is about what it costs in memory, ``expires_at`` its last moment."""

    message: Message
    size: int
    expires_at: float | None

    @classmethod
    def of(cls, message: Message, now: float) -> Self:
        """The publication of a message that arrived ``now`` (MQTT 5 §3.3.2.3.3)."""
        properties = len(encode_properties(message.properties)) if message.properties else 0
        return cls(
            message=message,
            size=len(message.topic) + len(message.payload) + properties + _OVERHEAD,
            expires_at=None if message.expiry is None else now + message.expiry,
        )

    def is_expired(self, now: float) -> bool:
        """Whether it must not be delivered any more."""
        return self.expires_at is not None and self.expires_at <= now

    def remaining(self, now: float) -> int | None:
        """The expiry interval that is left of it, in whole seconds."""
        return None if self.expires_at is None else max(1, round(self.expires_at - now))


@dataclass(slots=True, kw_only=True)
class RetainedMessages:
    """The last retained message of each topic, within ``max_messages`` and ``max_bytes``."""

    max_messages: int
    max_bytes: int
    _by_topic: dict[str, Publication] = field(default_factory=dict)
    _bytes: int = 0

    def __len__(self) -> int:
        return len(self._by_topic)

    def store(self, publication: Publication, now: float) -> bool:
        """Set, replace or, with an empty payload, clear; False when there is no room left for it."""
        topic = publication.message.topic
        self._discard(topic)
        if not publication.message.payload:
            return True
        if not self._has_room(publication):
            for expired in [text for text, kept in self._by_topic.items() if kept.is_expired(now)]:
                self._discard(expired)
            if not self._has_room(publication):
                return False
        self._by_topic[topic] = publication
        self._bytes += publication.size
        return True

    def matching(self, topic_filter: str, now: float) -> Iterator[Publication]:
        """The retained messages that a new subscription is due."""
        if _has_wildcard(topic_filter):
            levels = topic_filter.split("/")
            topics = [topic for topic in self._by_topic if _matches(levels, topic.split("/"))]
        else:
            topics = [topic_filter] if topic_filter in self._by_topic else []
        for topic in topics:
            publication = self._by_topic[topic]
            if publication.is_expired(now):
                self._discard(topic)
            else:
                yield publication

    def _has_room(self, publication: Publication) -> bool:
        return len(self._by_topic) < self.max_messages and self._bytes + publication.size <= self.max_bytes

    def _discard(self, topic: str) -> None:
        if (publication := self._by_topic.pop(topic, None)) is not None:
            self._bytes -= publication.size
