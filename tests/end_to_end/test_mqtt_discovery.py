"""Home Assistant without the component and without a broker of its own: the bridge's, with discovery."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.end_to_end.bridge import DOOR, Bridge
from tests.peers.home_assistant import HomeAssistant, State
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder
from tests.peers.ports import LOOPBACK, free_port
from tests.peers.sipp import Sipp

DOORBELL = "event.door_doorbell"
OF_THE_BRIDGE = {"binary_sensor.home_connectivity", "button.home_reload_the_configuration", "button.home_restart"}
OF_A_LINE = {
    "binary_sensor.{}_in_call",
    "binary_sensor.{}_ringing",
    "button.{}_answer",
    "button.{}_hang_up",
    "button.{}_reject",
    "event.{}_doorbell",
    "event.{}_keys",
    "sensor.{}_call_state",
    "sensor.{}_last_call",
    "sensor.{}_registration",
    "sensor.{}_remote_party",
    "sensor.{}_time_of_the_last_call",
    "text.{}_dial",
}
OF_SETTINGS = {"switch.{}_do_not_disturb", "switch.{}_auto_answer", "number.{}_output_volume"}
OF_A_REGISTERED_LINE = {"button.{}_register", "binary_sensor.{}_registered", "sensor.{}_new_messages"}
DISCOVERED = "homeassistant/device/sip_bridge_home__door/config"


@pytest.fixture(scope="module")
def broker() -> Mosquitto:
    """Where the bridge's own broker listens."""
    return cast("Mosquitto", SimpleNamespace(host=LOOPBACK, port=free_port()))


@pytest.fixture(scope="module")
def bridge(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    accounts = (
        '  - {id: door, kind: direct, name: Door, door: {code: "4711"}}\n'
        f"  - {{id: pbx, kind: registered, name: PBX, server: {LOOPBACK}, port: {free_port()}, user: '620'}}\n"
    )
    section = f"{{broker: embedded, port: {broker.port}, discovery: true}}"
    bridge = Bridge(tmp_path_factory.mktemp("bridge"), broker, accounts, mqtt=section)
    bridge.start()
    yield bridge
    bridge.end()


@pytest.fixture(scope="module")
def home_assistant(
    bridge: Bridge, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HomeAssistant]:
    home_assistant = HomeAssistant(tmp_path_factory.mktemp("home_assistant") / "config", broker)
    try:
        asyncio.run(home_assistant.set_up())
        asyncio.run(complete(home_assistant))
        yield home_assistant
    finally:
        if home_assistant.process.is_running:
            home_assistant.process.stop(within=60)


async def complete(home_assistant: HomeAssistant) -> None:
    await home_assistant.wait_for_state("sensor.door_call_state", "idle", within=60)
    await home_assistant.wait_for_state("sensor.pbx_call_state", "idle", within=60)


def of(line: str, *patterns: set[str]) -> set[str]:
    return {pattern.format(line) for group in patterns for pattern in group}


async def press(home_assistant: HomeAssistant, button: str) -> None:
    await home_assistant.call_service("button", "press", {"entity_id": button})


def has_rung(state: State) -> bool:
    return state["state"] not in ("unknown", "unavailable") and state["attributes"]["event_type"] == "ring"


async def test_every_entity_is_there_on_a_device_of_its_line(home_assistant: HomeAssistant) -> None:
    assert {entity["entity_id"] for entity in await home_assistant.entities("mqtt")} == (
        OF_THE_BRIDGE
        | of("door", OF_A_LINE, OF_SETTINGS, {"button.{}_open_door"})
        | of("pbx", OF_A_LINE, OF_SETTINGS, OF_A_REGISTERED_LINE)
    )
    devices: dict[str, Any] = {device["name"]: device for device in await home_assistant.devices()}
    assert devices["Door"]["via_device_id"] == devices["PBX"]["via_device_id"] == devices["Home"]["id"]
    assert "4711" not in str(await home_assistant.get_states())
    assert [
        line for line in home_assistant.log.splitlines() if "components.mqtt" in line and " INFO " not in line
    ] == []


async def test_the_doorbell_rings_and_the_buttons_answer_and_hang_up(
    home_assistant: HomeAssistant, bridge: Bridge, sipp: Sipp
) -> None:
    caller = await sipp.call("uac_wait_bye", bridge.address, user="door")
    await home_assistant.wait_for_state("binary_sensor.door_ringing", "on")
    rang = await home_assistant.wait_for_state(DOORBELL, has_rung)
    assert rang["attributes"]["caller_name"] == "Front door"
    await home_assistant.wait_for_state("sensor.door_remote_party", "Front door")
    await press(home_assistant, "button.door_answer")
    await home_assistant.wait_for_state("binary_sensor.door_in_call", "on")
    await press(home_assistant, "button.door_hang_up")
    await caller.succeeded()  # it saw our BYE
    last = await home_assistant.wait_for_state("sensor.door_last_call", "hangup_local")
    assert (last["attributes"]["direction"], last["attributes"]["caller_name"]) == ("incoming", "Front door")
    await home_assistant.wait_for_state("sensor.door_remote_party", "unknown")
    assert (await home_assistant.get_state("sensor.door_time_of_the_last_call"))["state"].startswith("20")


async def test_a_number_is_dialled(home_assistant: HomeAssistant, bridge: Bridge, sipp: Sipp) -> None:
    called = await sipp.listen("uas_answer")
    number = f"sip:kitchen@{called.address}"
    await home_assistant.call_service("text", "set_value", {"entity_id": "text.door_dial", "value": number})
    await home_assistant.wait_for_state("sensor.door_call_state", "in_call")
    await press(home_assistant, "button.door_hang_up")
    await called.succeeded()


async def test_settings_are_changed(home_assistant: HomeAssistant) -> None:
    switch, volume = "switch.door_do_not_disturb", "number.door_output_volume"
    await home_assistant.wait_for_state(switch, "off")
    await home_assistant.call_service("switch", "turn_on", {"entity_id": switch})
    await home_assistant.wait_for_state(switch, "on")
    await home_assistant.call_service("number", "set_value", {"entity_id": volume, "value": 0.5})
    await home_assistant.wait_for_state(volume, "0.5")
    await home_assistant.call_service("switch", "turn_off", {"entity_id": switch})
    await home_assistant.wait_for_state(switch, "off")


async def test_a_dead_bridge_makes_entities_unavailable_and_its_return_rings_nothing(
    home_assistant: HomeAssistant, bridge: Bridge
) -> None:
    rang = (await home_assistant.get_state(DOORBELL))["state"]
    last = (await home_assistant.get_state("sensor.door_last_call"))["state"]
    bridge.kill()  # and its broker with it
    await home_assistant.wait_for_state(DOORBELL, "unavailable", within=20)
    bridge.start()
    await home_assistant.wait_for_state(DOORBELL, rang, within=60)
    await home_assistant.wait_for_state("sensor.door_last_call", last)
    await home_assistant.wait_for_state("binary_sensor.home_connectivity", "on")


async def test_without_the_option_the_entities_are_gone(home_assistant: HomeAssistant, bridge: Bridge) -> None:
    bridge.mqtt = bridge.mqtt.replace("discovery: true", "discovery: false")
    bridge.configure(DOOR)
    bridge.process.send(signal.SIGHUP)
    async with asyncio.timeout(30):
        while await home_assistant.entities("mqtt"):  # noqa: ASYNC110  # the registry has no event for it here
            await asyncio.sleep(0.1)


async def test_what_a_former_run_left_at_the_broker_is_cleared(tmp_path: Path, mosquitto: Mosquitto) -> None:
    address = f"host: {mosquitto.host}, port: {mosquitto.port}"
    before = Bridge(tmp_path, mosquitto, mqtt=f"{{{address}, discovery: true}}")
    before.start()
    async with MqttRecorder(mosquitto.port) as recorder:
        await recorder.wait_for_topic(DISCOVERED)
    assert before.stop() == 0
    after = Bridge(tmp_path, mosquitto, mqtt=f"{{{address}}}")
    async with MqttRecorder(mosquitto.port, "homeassistant/#") as recorder:
        assert (await recorder.wait_for_topic(DISCOVERED)).payload["origin"]["name"] == "sip-bridge"
        after.start()
        try:
            await recorder.wait_for(lambda m: m.topic == DISCOVERED and m.payload == "")
        finally:
            after.end()
