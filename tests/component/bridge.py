"""A bridge as Home Assistant sees it: retained messages that the broker replays, events, answers to requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import async_fire_mqtt_message

from custom_components.sip_phone.contract import (
    AccountInfo,
    AccountKind,
    Accounts,
    Availability,
    BridgeInfo,
    BridgeState,
    CallInfo,
    CallSnapshot,
    CallState,
    Contact,
    Direction,
    Event,
    Origin,
    Registration,
    RegistrationState,
    Remote,
    Response,
    Settings,
    Topics,
    encode,
)

TS = 1795378500.0  # 2026-11-22T20:15:00Z
TOPICS = Topics()
DOOR = AccountInfo(
    id="door",
    name="Door",
    uri="sip:door@192.0.2.1",
    kind=AccountKind.DIRECT,
    contacts=(Contact(name="Anna", number="sip:anna@192.0.2.9"), Contact(name="Bob", number="sip:bob@192.0.2.9")),
    door_code=True,
)
PBX = AccountInfo(id="pbx", name="PBX", uri="sip:620@192.0.2.2", kind=AccountKind.REGISTERED)
INFO = BridgeInfo(
    name="Home",
    version="0.1.0",
    session="s1",
    started_at="2026-11-22T20:00:00.000Z",
    capabilities=(),
    config={"accounts": ["620"]},
)
FRONT = Remote(uri="sip:front@192.0.2.3", user="front", name="Front Door")


def call(
    call_id: str = "c1",
    state: CallState = CallState.RINGING,
    direction: Direction = Direction.INCOMING,
    remote: Remote = FRONT,
) -> CallInfo:
    return CallInfo(
        call_id=call_id, direction=direction, state=state, remote=remote, started_at="2026-11-22T20:15:00.000Z"
    )


def snapshot(*calls: CallInfo) -> CallSnapshot:
    return CallSnapshot(state=calls[0].state if calls else CallState.IDLE, calls=calls)


def invite(event_id: str = "e1", account: str = "door", **fields: Any) -> Event:
    values: dict[str, Any] = {
        "direction": Direction.INCOMING,
        "origin": Origin.REMOTE,
        "remote": FRONT,
        "call_id": "c1",
    }
    return Event(event="INVITE", event_id=event_id, seq=1, session="s1", account=account, **(values | fields))


@dataclass
class FakeBridge:
    """What a bridge and its broker do; `requests` are those that Home Assistant published."""

    hass: HomeAssistant
    topics: Topics = TOPICS
    answer: Response | None = field(default_factory=Response.ok)
    retained: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any], int, bool]] = field(default_factory=list)
    has_request: asyncio.Event = field(default_factory=asyncio.Event)
    has_subscriber: asyncio.Event = field(default_factory=asyncio.Event)

    def retain(self, topic: str, payload: str) -> None:
        """Publish and retain."""
        self.retained[topic] = payload
        async_fire_mqtt_message(self.hass, topic, payload, qos=1)

    def tell(self, kind: str, payload: object, account: str | None = None) -> None:
        """Publish one of the contract's retained payloads."""
        topic = self.topics.of_bridge(kind) if account is None else self.topics.of_account(account, kind)
        self.retain(topic, encode(payload, TS))

    def start(self, *accounts: AccountInfo) -> None:
        """Introduce the bridge, with idle lines."""
        self.tell("info", INFO)
        self.tell("accounts", Accounts(accounts=accounts))
        for account in accounts:
            self.tell("registration", Registration(state=RegistrationState.DISABLED), account.id)
            self.tell("call", snapshot(), account.id)
            self.tell("settings", Settings(), account.id)
        self.tell("state", BridgeState(state=Availability.ONLINE))

    def die(self) -> None:
        """The broker publishes the last will."""
        self.tell("state", BridgeState(state=Availability.OFFLINE))

    def emit(self, event: Event, *, retain: bool = False, age: float = 0.0) -> None:
        """Publish an event that happened so many seconds ago."""
        topic = self.topics.of_account(event.account, "event", event.event)
        made = dt_util.utcnow().timestamp() - age
        async_fire_mqtt_message(self.hass, topic, encode(event, made), qos=1, retain=retain)

    def subscribed(self, filters: Sequence[str]) -> None:
        """Home Assistant subscribed: the broker replays what it retains."""
        self.has_subscriber.set()
        for topic, payload in tuple(self.retained.items()):
            if topic in filters or any(topic.startswith(each.removesuffix("#")) for each in filters if each[-1] == "#"):
                async_fire_mqtt_message(self.hass, topic, payload, qos=1, retain=True)

    def published(self, topic: str, payload: str, qos: int, retain: bool) -> None:
        """Home Assistant published: a request is recorded and answered."""
        if "/request/" not in topic:
            return
        request = json.loads(payload)
        self.requests.append((topic, request, qos, retain))
        self.has_request.set()
        if self.answer is not None:
            self.respond(topic, self.answer, request["transaction"])

    def respond(self, request_topic: str, answer: Response, transaction: str | None) -> None:
        """Answer a request."""
        reply = Response(status=answer.status, transaction=transaction, data=answer.data, error=answer.error)
        async_fire_mqtt_message(self.hass, request_topic.replace("/request/", "/response/"), encode(reply, TS), qos=1)
