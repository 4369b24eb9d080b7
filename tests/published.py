"""Whether what a bridge publishes is what docs/mqtt says: every test that watches a bridge asks this."""

import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import jsonschema

from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import AccountTopic, BridgeTopic, Topics

SCHEMAS: Final = Path(__file__).parents[1] / "docs" / "mqtt"
_OF_BRIDGE: Final = {
    "state": "bridge_state",
    "info": "bridge_info",
    "accounts": "accounts",
    "health": "health",
    "logging": "log_record",
    "trace": "traced_message",
    "response": "response",
}
_OF_ACCOUNT: Final = {
    "registration": "registration",
    "call": "call_snapshot",
    "last_call": "call_ended_event",
    "settings": "settings",
    "messages": "waiting_messages",
    "response": "response",
}


def schema_name(topic: str, topics: Topics) -> str | None:
    """The schema of a topic's payloads by its file's name; None for a request, which may be wrong, and for others'."""
    if topic == topics.discovery:
        return "discovery"
    match topics.parse(topic):
        case None | AccountTopic(kind="request") | BridgeTopic(kind="request"):
            return None
        case AccountTopic(kind="event", name=str(name)):
            return snake(contract.EVENT_CLASSES.get(name, contract.Event))
        case AccountTopic(kind=kind):
            return _OF_ACCOUNT[kind]
        case BridgeTopic(kind=kind):
            return _OF_BRIDGE[kind]


def snake(kind: type) -> str:
    """`CallEndedEvent` as its file is called."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


@functools.cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """Of a schema of docs/mqtt."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@functools.cache
def known_keys(name: str) -> frozenset[str]:
    """The keys that a schema of docs/mqtt has a word for."""
    return frozenset(json.loads((SCHEMAS / f"{name}.json").read_text())["properties"])


def check_published(messages: Iterable[tuple[str, str]], topics: Topics) -> None:
    """Each topic and payload is one of the contract's, says nothing that its schema has no word for, and no event is
    missing or twice.
    """
    heard: dict[str, list[int]] = {}
    for topic, text in messages:
        name = schema_name(topic, topics)
        if name is None:
            continue
        if not text:  # how MQTT removes what was retained
            assert topic.rpartition("/")[2] in contract.RETAINED_OF_ACCOUNT, topic
            continue
        payload = json.loads(text)
        validator(name).validate(payload)
        assert payload.keys() <= known_keys(name), topic
        if "/event/" in topic:
            _check_event(topic, payload, topics)
            heard.setdefault(payload["session"], []).append(payload["seq"])
    for numbers in heard.values():
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _check_event(topic: str, event: dict[str, Any], topics: Topics) -> None:
    assert topic == topics.of_account(event["account"], "event", event["event"])
    assert event["event_id"] == f"{event['session']}-{event['seq']}"
    assert (event["status"] is None) is (event["description"] is None) or event["event"] in contract.EVENT_CLASSES
