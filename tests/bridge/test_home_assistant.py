"""Home Assistant's MQTT discovery as the bridge publishes it; what it makes of it is in tests/end_to_end."""

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sip_bridge.bridge.home_assistant import ORIGIN, discovery
from sip_bridge.bridge.service import Running, running
from sip_bridge.config import Config, EmbeddedMQTT
from sip_bridge.mqtt.contract import AccountInfo, AccountKind, Topics
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, config_of
from tests.bridge.watcher import watching

LINE = AccountInfo(id="door", name="Front door", uri="sip:door", kind=AccountKind.DIRECT, door_code=True)
PBX = AccountInfo(id="pbx", name="PBX", uri="sip:620@pbx", kind=AccountKind.REGISTERED)
VERBS = ("dial", "answer", "hangup", "reject", "open_door", "set", "register", "reload", "restart")
BRIDGE_DEVICE = "homeassistant/device/sip_bridge_home/config"
DOOR_DEVICE = "homeassistant/device/sip_bridge_home__door/config"


def payloads(*accounts: AccountInfo, verbs: tuple[str, ...] = VERBS, prefix: str = "homeassistant") -> dict[str, Any]:
    made = discovery(TOPICS, accounts, name="Home", version="1.2.3", prefix=prefix, verbs=verbs)
    return {topic: json.loads(payload) for topic, payload in made.items()}


def test_the_bridge_and_each_line_have_a_device() -> None:
    made = payloads(LINE, PBX)
    assert {topic: payload["device"] for topic, payload in made.items()} == {
        BRIDGE_DEVICE: {
            "identifiers": ["sip_bridge_home"],
            "name": "Home",
            "manufacturer": "sip-bridge",
            "model": "SIP bridge",
            "sw_version": "1.2.3",
        },
        DOOR_DEVICE: {
            "identifiers": ["sip_bridge_home__door"],
            "name": "Front door",
            "manufacturer": "sip-bridge",
            "model": "SIP line",
            "via_device": "sip_bridge_home",
        },
        "homeassistant/device/sip_bridge_home__pbx/config": {
            "identifiers": ["sip_bridge_home__pbx"],
            "name": "PBX",
            "manufacturer": "sip-bridge",
            "model": "SIP line",
            "via_device": "sip_bridge_home",
        },
    }


def test_each_says_whose_it_is_and_when_it_is_available() -> None:
    for payload in payloads(LINE).values():
        assert payload["origin"] == {"name": ORIGIN, "sw_version": "1.2.3"}
        assert payload["availability"] == [
            {"topic": "sip_bridge/home/state", "value_template": "{{ value_json.state }}"}
        ]


def test_the_entities_of_a_line() -> None:
    components = payloads(LINE)[DOOR_DEVICE]["components"]
    assert {(key, each["platform"]) for key, each in components.items() if len(each) > 1} == {
        ("doorbell", "event"),
        ("keys", "event"),
        ("call_state", "sensor"),
        ("remote_party", "sensor"),
        ("last_call", "sensor"),
        ("last_call_time", "sensor"),
        ("registration", "sensor"),
        ("ringing", "binary_sensor"),
        ("in_call", "binary_sensor"),
        ("answer", "button"),
        ("hang_up", "button"),
        ("reject", "button"),
        ("open_door", "button"),
        ("dial", "text"),
        ("do_not_disturb", "switch"),
        ("auto_answer", "switch"),
        ("output_volume", "number"),
    }
    assert components["open_door"] == {
        "platform": "button",
        "name": "Open door",
        "command_topic": "sip_bridge/home/account/door/request/open_door",
        "payload_press": "{}",
        "unique_id": "sip_bridge_home__door__open_door",
    }


def test_what_a_line_has_not_is_only_named_so_that_home_assistant_removes_it() -> None:
    plain = dataclasses.replace(LINE, door_code=False)
    components = payloads(plain, verbs=("dial",))[DOOR_DEVICE]["components"]
    assert {key: each for key, each in components.items() if len(each) == 1} == {
        "open_door": {"platform": "button"},
        "register": {"platform": "button"},
        "registered": {"platform": "binary_sensor"},
        "new_messages": {"platform": "sensor"},
        "do_not_disturb": {"platform": "switch"},
        "auto_answer": {"platform": "switch"},
        "output_volume": {"platform": "number"},
    }


def test_no_two_entities_have_the_same_unique_id() -> None:
    made = payloads(LINE, PBX, dataclasses.replace(LINE, id="door_2"))
    ids = [
        each["unique_id"] for payload in made.values() for each in payload["components"].values() if "unique_id" in each
    ]
    assert len(ids) == len(set(ids)) > 40


def test_the_prefix_and_the_base_topic_are_the_configured_ones() -> None:
    made = discovery(Topics(base="phones", bridge="attic"), [LINE], name="Attic", version="1", prefix="ha/found")
    assert list(made) == ["ha/found/device/sip_bridge_attic/config", "ha/found/device/sip_bridge_attic__door/config"]
    assert "sip_bridge/home" not in "".join(made.values())
    assert '"phones/attic/state"' in "".join(made.values())


# --- as it is published --------------------------------------------------------------------------------------------


def config_with(*, discovery: bool, state_dir: Path, prefix: str = "homeassistant") -> Config:
    mqtt = EmbeddedMQTT(port=0, discovery=discovery, discovery_prefix=prefix)
    return dataclasses.replace(config_of(DOOR, state_dir=state_dir), mqtt=mqtt)


class Configuration:
    """What a reload reads."""

    def __init__(self, state_dir: Path) -> None:
        self.current = config_with(discovery=True, state_dir=state_dir)

    def read(self) -> Config:
        return self.current


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Configuration(tmp_path)


@pytest.fixture
async def bridge(configuration: Configuration) -> AsyncIterator[Running]:
    async with running(configuration.current, read=configuration.read) as bridge:
        yield bridge


async def test_the_payloads_are_retained(bridge: Running, mqtt: Mqtt) -> None:
    async with watching(bridge.mqtt_host, bridge.mqtt_port, "homeassistant/#") as watcher:
        seen = [await watcher.messages.get() for _ in range(2)]
    assert {(each.topic, each.retained) for each in seen} == {(BRIDGE_DEVICE, True), (DOOR_DEVICE, True)}


async def test_home_assistant_that_starts_gets_them_again(bridge: Running, mqtt: Mqtt) -> None:
    async with watching(bridge.mqtt_host, bridge.mqtt_port, "homeassistant/#") as watcher:
        watcher.publish("homeassistant/status", "online")
        seen = [await watcher.messages.get() for _ in range(5)]
    topics = [each.topic for each in seen]
    assert (topics.count(BRIDGE_DEVICE), topics.count(DOOR_DEVICE), topics.count("homeassistant/status")) == (2, 2, 1)


async def test_a_reload_takes_them_back_moves_them_and_brings_them(
    mqtt: Mqtt, configuration: Configuration, tmp_path: Path
) -> None:
    configuration.current = config_with(discovery=False, state_dir=tmp_path)
    assert (await mqtt.ask("reload")).data["applied"] == ["mqtt.discovery"]
    cleared = {each.topic for each in mqtt.raw if each.payload == "" and "/request/" not in each.topic}
    assert cleared == {BRIDGE_DEVICE, DOOR_DEVICE}
    configuration.current = config_with(discovery=True, state_dir=tmp_path, prefix="elsewhere")
    assert (await mqtt.ask("reload")).data["applied"] == ["mqtt.discovery", "mqtt.discovery_prefix"]
    moved = {each.topic for each in mqtt.raw if each.topic.startswith("elsewhere/")}
    assert moved == {
        BRIDGE_DEVICE.replace("homeassistant", "elsewhere"),
        DOOR_DEVICE.replace("homeassistant", "elsewhere"),
    }
