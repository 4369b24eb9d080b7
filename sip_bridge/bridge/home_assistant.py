"""Home Assistant's device-based MQTT discovery: plain entities for people without the component. Pure.

One payload for the bridge and one for each line, retained on ``<prefix>/device/<id>/config``. Their templates read the
contract's own topics, so nothing else is published for Home Assistant.
"""

import json
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import AccountInfo, AccountKind, CallState, EndReason, RegistrationState, Topics

ORIGIN: Final = "sip-bridge"  # by which these payloads are known from those of other programs
MAX_AGE: Final = 60  # seconds after which what waited for the broker is no news: a bell of an hour ago does not ring
MAX_STATE: Final = 255  # characters of a state in Home Assistant

Component = dict[str, Any]

# In Home Assistant's templates. An empty result is no event.
_IS_NEW: Final = f"(now() - as_datetime(value_json.ts)).total_seconds() < {MAX_AGE}"
_CALLER: Final = (
    "'caller_name': (value_json.remote or {}).get('name'), 'caller_number': (value_json.remote or {}).get('user'), "
    "'caller_uri': (value_json.remote or {}).get('uri')"
)
_RING: Final = (
    "{% if value_json.direction == 'incoming' and value_json.state not in ['in_call', 'on_hold'] and " + _IS_NEW + " %}"
    "{{ {'event_type': 'ring', 'call_id': value_json.call_id, " + _CALLER + "} | to_json }}{% endif %}"
)
_KEYS: Final = (
    "{% set kind = {'DTMF': 'pressed', 'DTMF_SEQUENCE': 'entered'}.get(value_json.event) %}{% if kind and "
    + _IS_NEW
    + " %}"
    "{{ {'event_type': kind, 'digits': value_json.digits, 'code': value_json.code | default(none), "
    "'call_id': value_json.call_id} | to_json }}{% endif %}"
)
_REMOTE_PARTY: Final = (
    "{% set calls = value_json.calls | selectattr('state', 'in', ['in_call', 'on_hold']) | list or value_json.calls %}"
    "{% set remote = calls[0].remote if calls else none %}"
    "{{ (remote.name or remote.user or remote.uri)[:" + str(MAX_STATE) + "] if remote else 'None' }}"
)
_RINGING: Final = (
    "{{ 'ON' if value_json.calls | selectattr('direction', 'eq', 'incoming') | selectattr('state', 'eq', 'ringing')"
    " | list else 'OFF' }}"
)
_LAST_CALL: Final = (
    "{{ {'direction': value_json.direction, 'started_at': value_json.started_at, " + _CALLER + ", "
    "'ring_seconds': value_json.ring_seconds, 'talk_seconds': value_json.talk_seconds} | to_json }}"
)


class _Topic(Protocol):
    def __call__(self, kind: str, name: str | None = None) -> str:
        """A topic of the line."""


def discovery(
    topics: Topics,
    accounts: Collection[AccountInfo],
    *,
    name: str,
    version: str,
    prefix: str,
    verbs: Collection[str] = (*contract.ACCOUNT_VERBS, *contract.BRIDGE_VERBS),
) -> Mapping[str, str]:
    """Every topic with its payload; entities for ``verbs`` that this bridge does not know are left out."""
    bridge = f"sip_bridge_{topics.bridge}"
    common = {
        "origin": {"name": ORIGIN, "sw_version": version},
        "availability": [{"topic": topics.of_bridge("state"), "value_template": "{{ value_json.state }}"}],
        "qos": 1,
    }
    device = {
        "identifiers": [bridge],
        "name": name,
        "manufacturer": ORIGIN,
        "model": "SIP bridge",
        "sw_version": version,
    }
    devices = {bridge: {"device": device, "components": _of_bridge(topics, bridge, verbs)}}
    for account in accounts:
        line = f"{bridge}__{account.id}"
        device = {"identifiers": [line], "name": account.name, "manufacturer": ORIGIN, "model": "SIP line"}
        device |= {"via_device": bridge}
        devices[line] = {"device": device, "components": _of_line(topics, line, account, verbs)}
    return {
        f"{prefix}/device/{identifier}/config": json.dumps(common | payload, ensure_ascii=False)
        for identifier, payload in devices.items()
    }


def _of_bridge(topics: Topics, device: str, verbs: Collection[str]) -> Component:
    connectivity = {
        "platform": "binary_sensor",
        "name": "Connectivity",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": topics.of_bridge("state"),
        "value_template": "{{ value_json.state }}",
        "payload_on": "online",
        "payload_off": "offline",
        "availability": [],  # it is there to say "off"
    }
    restart = _button("Restart", topics.of_bridge("request", "restart"), entity_category="config")
    buttons = {
        "reload": _button("Reload the configuration", topics.of_bridge("request", "reload"), entity_category="config"),
        "restart": restart | {"device_class": "restart"},
    }
    components = {"connectivity": connectivity}
    components |= {verb: button if verb in verbs else _absent(button) for verb, button in buttons.items()}
    return _with_unique_ids(components, device)


def _of_line(topics: Topics, device: str, account: AccountInfo, verbs: Collection[str]) -> Component:
    def topic(kind: str, name: str | None = None) -> str:
        return topics.of_account(account.id, kind, name)

    is_registered = account.kind is AccountKind.REGISTERED
    components = {
        "doorbell": {
            "platform": "event",
            "name": "Doorbell",
            "device_class": "doorbell",
            "event_types": ["ring"],
            "state_topic": topic("event", "INVITE"),
            "value_template": _RING,
        },
        "keys": {
            "platform": "event",
            "name": "Keys",
            "event_types": ["pressed", "entered"],
            "state_topic": topic("event", "+"),
            "value_template": _KEYS,
        },
        **_sensors(topic, is_registered=is_registered),
        "answer": _button("Answer", topic("request", "answer")),
        "hang_up": _button("Hang up", topic("request", "hangup")),
        "reject": _button("Reject", topic("request", "reject")),
        "dial": {
            "platform": "text",
            "name": "Dial",
            "command_topic": topic("request", "dial"),
            "command_template": "{{ {'to': value} | to_json }}",
            "min": 1,
        },
    }
    door = _button("Open door", topic("request", "open_door"))
    has_door = account.door_code and "open_door" in verbs
    components["open_door"] = door if has_door else _absent(door)
    register = _button("Register", topic("request", "register"), entity_category="config")
    components["register"] = register if is_registered else _absent(register)
    for key, setting in _settings(topic).items():
        components[key] = setting if "set" in verbs else _absent(setting)
    return _with_unique_ids(components, device)


def _sensors(topic: _Topic, *, is_registered: bool) -> Component:
    registered = {
        "platform": "binary_sensor",
        "name": "Registered",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": topic("registration"),
        "value_template": "{{ 'ON' if value_json.state == 'registered' else 'OFF' }}",
    }
    voicemail = {
        "platform": "sensor",
        "name": "New messages",
        "state_class": "measurement",
        "state_topic": topic("messages"),
        "value_template": "{{ value_json.new }}",
    }
    return {
        "call_state": _words("Call state", topic("call"), "state", CallState),
        "remote_party": {
            "platform": "sensor",
            "name": "Remote party",
            "state_topic": topic("call"),
            "value_template": _REMOTE_PARTY,
        },
        "ringing": {
            "platform": "binary_sensor",
            "name": "Ringing",
            "state_topic": topic("call"),
            "value_template": _RINGING,
        },
        "in_call": {
            "platform": "binary_sensor",
            "name": "In call",
            "state_topic": topic("call"),
            "value_template": "{{ 'ON' if value_json.state in ['in_call', 'on_hold'] else 'OFF' }}",
        },
        "last_call": _words("Last call", topic("last_call"), "end_reason", EndReason)
        | {"json_attributes_topic": topic("last_call"), "json_attributes_template": _LAST_CALL},
        "last_call_time": {
            "platform": "sensor",
            "name": "Time of the last call",
            "device_class": "timestamp",
            "state_topic": topic("last_call"),
            "value_template": "{{ value_json.started_at }}",
        },
        "registration": _words("Registration", topic("registration"), "state", RegistrationState)
        | {"entity_category": "diagnostic"},
        "registered": registered if is_registered else _absent(registered),
        "new_messages": voicemail if is_registered else _absent(voicemail),
    }


def _settings(topic: _Topic) -> Component:
    def switch(name: str, key: str) -> Component:
        return {
            "platform": "switch",
            "name": name,
            "entity_category": "config",
            "state_topic": topic("settings"),
            "value_template": f"{{{{ 'ON' if value_json.{key} else 'OFF' }}}}",
            "state_on": "ON",
            "state_off": "OFF",
            "command_topic": topic("request", "set"),
            "payload_on": json.dumps({key: True}),
            "payload_off": json.dumps({key: False}),
        }

    return {
        "do_not_disturb": switch("Do not disturb", "do_not_disturb"),
        "auto_answer": switch("Auto answer", "auto_answer"),
        "output_volume": {
            "platform": "number",
            "name": "Output volume",
            "entity_category": "config",
            "min": 0,
            "max": 2,
            "step": 0.05,
            "state_topic": topic("settings"),
            "value_template": "{{ value_json.output_volume }}",
            "command_topic": topic("request", "set"),
            "command_template": "{{ {'output_volume': value | float} | to_json }}",
        },
    }


def _words(name: str, topic: str, key: str, words: type[StrEnum]) -> Component:
    return {
        "platform": "sensor",
        "name": name,
        "device_class": "enum",
        "options": [str(word) for word in words],
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{key} }}}}",
    }


def _button(name: str, topic: str, **more: str) -> Component:
    return {"platform": "button", "name": name, "command_topic": topic, "payload_press": "{}", **more}


def _absent(component: Component) -> Component:
    """Only the platform of an entity: Home Assistant removes it if there was one before."""
    return {"platform": component["platform"]}


def _with_unique_ids(components: Component, device: str) -> Component:
    return {
        key: component | {"unique_id": f"{device}__{key}"} if len(component) > 1 else component
        for key, component in components.items()
    }
