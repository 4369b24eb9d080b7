"""Who gets which message: the embedded broker's sessions, subscriptions, retained messages and wills. Pure."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.mqtt.broker_packets import Message, Reason, Subscription
from sip_bridge.mqtt.broker_session import Delivery, Session
from sip_bridge.mqtt.broker_topics import Publication, RetainedMessages, SubscriptionIndex, is_topic_filter

_LOGGER = logging.getLogger(__name__)

_SHARED: Final = "$share/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may make the broker keep; the queue's limits are each session's own."""

    max_packet_size: int = 1024 * 1024
    max_connections: int = 100
    max_sessions: int = 200
    max_session_expiry: int = 7 * 24 * 3600  # seconds; MQTT 3.1.1's clean_session=0 asks for ever
    max_subscriptions: int = 20_000
    max_queued_messages: int = 5_000
    max_queued_bytes: int = 4 * 1024 * 1024
    max_retained_messages: int = 5_000
    max_retained_bytes: int = 16 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Router:
    """All sessions, present or absent; `take_woken` tells which connections have something to send."""

    limits: Limits
    _sessions: dict[str, Session] = field(default_factory=dict)
    _index: SubscriptionIndex = field(default_factory=SubscriptionIndex)
    _retained: RetainedMessages = field(init=False)
    _woken: dict[int, None] = field(default_factory=dict)
    _is_full: bool = False

    def __post_init__(self) -> None:
        self._retained = RetainedMessages(
            max_messages=self.limits.max_retained_messages, max_bytes=self.limits.max_retained_bytes
        )

    def take_woken(self) -> Iterator[int]:
        """The connections that were given messages since the last call."""
        woken, self._woken = self._woken, {}
        return iter(woken)

    # --- messages

    def publish(self, message: Message, source: str, now: float) -> int:
        """Keep a retained message, hand it to every subscriber; how many there were. ``source`` is who published."""
        publication = Publication.of(message, now)
        if message.retain:
            self._retain(publication, now)
        count = 0
        for client_id, matched in self._index.matching(message.topic).items():
            subscriptions = [each for each in matched if not (each.no_local and client_id == source)]
            if subscriptions:
                count += 1
                self._deliver(self._sessions[client_id], publication, subscriptions)
        return count

    def subscribe(self, session: Session, subscription: Subscription, now: float) -> int:
        """Add or replace a subscription and queue the retained messages it is due; the reason code for the SUBACK."""
        topic_filter = subscription.topic_filter
        if not is_topic_filter(topic_filter):
            return Reason.TOPIC_FILTER_INVALID
        if topic_filter.startswith(_SHARED):
            return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        if topic_filter not in session.topic_filters and len(self._index) >= self.limits.max_subscriptions:
            return Reason.QUOTA_EXCEEDED
        is_new = self._index.add(session.client_id, subscription)
        session.topic_filters.add(topic_filter)
        if subscription.retain_handling == 0 or (subscription.retain_handling == 1 and is_new):
            identifiers = () if subscription.identifier is None else (subscription.identifier,)
            for publication in self._retained.matching(topic_filter, now):
                qos = min(publication.message.qos, subscription.qos)
                self._enqueue(session, Delivery(publication=publication, qos=qos, retain=True, identifiers=identifiers))
        return subscription.qos

    def unsubscribe(self, session: Session, topic_filter: str) -> Reason:
        """The reason code for the UNSUBACK."""
        session.topic_filters.discard(topic_filter)
        known = self._index.remove(session.client_id, topic_filter)
        return Reason.SUCCESS if known else Reason.NO_SUBSCRIPTION_EXISTED

    def _retain(self, publication: Publication, now: float) -> None:
        is_full = not self._retained.store(publication, now)
        if is_full and not self._is_full:
            _LOGGER.warning("no room for more retained messages: %s is not kept", publication.message.topic)
        self._is_full = is_full

    def _deliver(self, session: Session, publication: Publication, subscriptions: list[Subscription]) -> None:
        """One copy, however many subscriptions of this client match (MQTT 5 §3.3.4)."""
        message = publication.message
        delivery = Delivery(
            publication=publication,
            qos=min(message.qos, max(each.qos for each in subscriptions)),
            retain=message.retain and any(each.retain_as_published for each in subscriptions),
            identifiers=tuple(each.identifier for each in subscriptions if each.identifier is not None),
        )
        self._enqueue(session, delivery)

    def _enqueue(self, session: Session, delivery: Delivery) -> None:
        session.enqueue(delivery)
        if session.connection_id is not None:
            self._woken[session.connection_id] = None

    # --- sessions

    def connection_of(self, client_id: str) -> int | None:
        """The connection that uses this client identifier now."""
        session = self._sessions.get(client_id)
        return None if session is None else session.connection_id

    def enter(self, client_id: str, *, clean_start: bool, now: float) -> tuple[Session, bool]:
        """The session of a client that nobody else uses now, and whether it was there before."""
        session = self._sessions.get(client_id)
        if session is not None and not clean_start:
            return session, True
        if session is not None:
            self._end(session, now)
        if len(self._sessions) >= self.limits.max_sessions:
            self._evict(now)
        session = Session(
            client_id=client_id,
            max_queued_messages=self.limits.max_queued_messages,
            max_held_bytes=self.limits.max_queued_bytes,
        )
        self._sessions[client_id] = session
        return session, False

    def leave(self, session: Session, now: float, *, keep_will: bool) -> None:
        """The client is away: its session stays for as long as it was asked to (MQTT 5 §3.1.2.5, §4.1)."""
        session.detach()
        session.expires_at = now + session.expiry
        if not keep_will:
            session.will = None
        if session.expiry == 0:
            self._end(session, now)
        elif session.will_delay == 0:
            self._publish_will(session, now)
        else:
            session.will_due_at = now + session.will_delay

    def tick(self, now: float) -> None:
        """Publish the delayed wills and end the sessions whose time has come."""
        for session in [session for session in self._sessions.values() if session.connection_id is None]:
            if session.expires_at <= now:
                self._end(session, now)
            elif session.will_due_at is not None and session.will_due_at <= now:
                self._publish_will(session, now)

    def _evict(self, now: float) -> None:
        """End the session of the absent client that would expire first."""
        absent = [session for session in self._sessions.values() if session.connection_id is None]
        if absent:
            self._end(min(absent, key=lambda session: session.expires_at), now)

    def _end(self, session: Session, now: float) -> None:
        del self._sessions[session.client_id]
        for topic_filter in session.topic_filters:
            self._index.remove(session.client_id, topic_filter)
        self._publish_will(session, now)

    def _publish_will(self, session: Session, now: float) -> None:
        will, session.will, session.will_due_at = session.will, None, None
        if will is not None:
            self.publish(will, session.client_id, now)
