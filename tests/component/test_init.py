"""Life of an entry: start, silence, the broker's and the bridge's going and coming, lines that come and go."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from homeassistant.components.mqtt import MQTT_CONNECTION_STATE
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_send
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sip_phone import async_remove_config_entry_device, coordinator
from custom_components.sip_phone.const import DOMAIN
from custom_components.sip_phone.contract import AccountInfo, AccountKind, Accounts, BridgeInfo
from tests.component.bridge import DOOR, INFO, PBX, FakeBridge, call, invite, snapshot

CONNECTED, DISCONNECTED = True, False
GARAGE = AccountInfo(id="garage", name="Garage", uri="sip:garage@192.0.2.1", kind=AccountKind.DIRECT)


def device_names(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, str | None]:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return {name: device.name for device in devices for _, name in device.identifiers}


def state(hass: HomeAssistant, entity_id: str) -> str | None:
    found = hass.states.get(entity_id)
    return None if found is None else found.state


async def test_every_entity_has_the_id_that_the_documentation_names(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    assert {each.entity_id: each.unique_id for each in entities if "pbx" not in each.unique_id} == {
        "binary_sensor.home_connectivity": "home/connectivity",
        "binary_sensor.door_in_call": "home/door/in_call",
        "binary_sensor.door_ringing": "home/door/ringing",
        "button.door_answer": "home/door/answer",
        "button.door_dial": "home/door/dial",
        "button.door_hang_up": "home/door/hang_up",
        "button.door_open_door": "home/door/open_door",
        "button.door_redial": "home/door/redial",
        "button.door_reject": "home/door/reject",
        "button.door_reset_missed_calls": "home/door/reset_missed_calls",
        "event.door_call": "home/door/call",
        "event.door_doorbell": "home/door/doorbell",
        "event.door_keys": "home/door/keys",
        "event.door_message": "home/door/message",
        "media_player.door": "home/door/player",
        "notify.door": "home/door/messenger",
        "number.door_ring_time_out": "home/door/ring_timeout",
        "number.door_volume": "home/door/volume",
        "select.door_contact": "home/door/contact",
        "select.door_dtmf_method": "home/door/dtmf_method",
        "sensor.door_call_answered": "home/door/answered_at",
        "sensor.door_call_start": "home/door/call_start",
        "sensor.door_call_state": "home/door/call_state",
        "sensor.door_codec": "home/door/codec",
        "sensor.door_jitter": "home/door/jitter",
        "sensor.door_last_call": "home/door/last_call",
        "sensor.door_last_call_duration": "home/door/last_call_duration",
        "sensor.door_last_call_result": "home/door/last_call_result",
        "sensor.door_missed_calls": "home/door/missed_calls",
        "sensor.door_packet_loss": "home/door/packet_loss",
        "sensor.door_quality_mos": "home/door/quality",
        "sensor.door_registration": "home/door/registration",
        "sensor.door_remote_party": "home/door/remote_party",
        "switch.door_auto_answer": "home/door/auto_answer",
        "switch.door_do_not_disturb": "home/door/do_not_disturb",
        "switch.door_hold": "home/door/hold",
        "switch.door_mute": "home/door/mute",
        "switch.door_record": "home/door/record",
        "text.door_number_to_dial": "home/door/number",
        "update.home_version": "home/version",
    }


async def test_the_bridge_is_a_service_and_its_lines_are_devices_behind_it(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    registry = dr.async_get(hass)
    hub = registry.async_get_device_by_identifier((DOMAIN, "home"), entry.entry_id)
    door = registry.async_get_device_by_identifier((DOMAIN, "home/door"), entry.entry_id)
    assert hub is not None
    assert door is not None
    assert (hub.name, hub.sw_version, hub.entry_type) == ("Home", "0.1.0", dr.DeviceEntryType.SERVICE)
    assert (door.name, door.model, door.via_device_id) == ("Door", "Direct line", hub.id)


async def test_a_silent_bridge_is_tried_again_later(
    hass: HomeAssistant, silent_bridge: FakeBridge, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr(coordinator, "FIRST_STATE_TIMEOUT", 0.2)
        await hass.config_entries.async_setup(entry.entry_id)
    assert (entry.state, entry.error_reason_translation_key) == (ConfigEntryState.SETUP_RETRY, "bridge_silent")
    silent_bridge.start(DOOR)
    await hass.config_entries.async_reload(entry.entry_id)
    assert (entry.state, state(hass, "sensor.door_call_state")) == (ConfigEntryState.LOADED, "idle")


async def test_without_mqtt_the_bridge_is_tried_again_later(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await hass.config_entries.async_setup(entry.entry_id)
    assert (entry.state, entry.error_reason_translation_key) == (ConfigEntryState.SETUP_RETRY, "mqtt_unavailable")


async def test_an_unloaded_entry_listens_no_more(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()
    phone.tell("call", snapshot(call()), "door")
    phone.emit(invite())
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.NOT_LOADED
    assert state(hass, "sensor.door_call_state") == "unavailable"


async def test_a_bridge_that_is_down_is_set_up_and_shown_as_unavailable(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.die()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    assert state(hass, "sensor.door_call_state") == "unavailable"
    assert state(hass, "binary_sensor.home_connectivity") == "off"


async def test_a_new_line_appears_at_run_time(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    phone.tell("accounts", Accounts(accounts=(DOOR, PBX, GARAGE)))
    phone.tell("call", snapshot(call()), "garage")
    await hass.async_block_till_done()
    assert state(hass, "binary_sensor.garage_ringing") == "on"
    assert device_names(hass, entry)["home/garage"] == "Garage"


async def test_a_removed_line_goes_with_its_entities_and_can_come_back(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    phone.tell("accounts", Accounts(accounts=(PBX,)))
    await hass.async_block_till_done()
    assert device_names(hass, entry) == {"home": "Home", "home/pbx": "PBX"}
    assert state(hass, "sensor.door_call_state") is None
    phone.tell("accounts", Accounts(accounts=(DOOR, PBX)))
    phone.tell("call", snapshot(), "door")
    await hass.async_block_till_done()
    assert state(hass, "sensor.door_call_state") == "idle"


async def test_a_line_removed_while_home_assistant_was_down_goes_too(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    phone.tell("accounts", Accounts(accounts=(PBX,)))
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert device_names(hass, entry) == {"home": "Home", "home/pbx": "PBX"}


@pytest.mark.parametrize("kind", ["accounts", "info"])
async def test_what_was_wiped_off_the_broker_removes_no_device(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, kind: str
) -> None:
    phone.retain(phone.topics.of_bridge(kind), "")
    await hass.async_block_till_done()
    assert device_names(hass, entry) == {"home": "Home", "home/door": "Door", "home/pbx": "PBX"}


async def test_new_names_and_versions_reach_the_devices(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    renamed = AccountInfo(id="door", name="Gate", uri=DOOR.uri, kind=DOOR.kind)
    phone.tell("accounts", Accounts(accounts=(renamed, PBX)))
    newer = BridgeInfo(
        name="House", version="0.2.0", session="s2", started_at=INFO.started_at, capabilities=(), config={}
    )
    phone.tell("info", newer)
    await hass.async_block_till_done()
    assert device_names(hass, entry) == {"home": "House", "home/door": "Gate", "home/pbx": "PBX"}
    hub = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, "home"), entry.entry_id)
    assert hub is not None
    assert hub.sw_version == "0.2.0"


async def test_going_and_coming_of_the_bridge_is_logged_once_each(
    hass: HomeAssistant, phone: FakeBridge, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.clear()
    for _ in range(3):
        phone.die()
    for _ in range(3):
        phone.start(DOOR, PBX)
    await hass.async_block_till_done()
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("custom_components.sip_phone")]
    assert ours == ["Bridge home is offline", "Bridge home is back"]


async def test_without_the_broker_everything_is_unavailable_and_true_again_after(
    hass: HomeAssistant, phone: FakeBridge, mqtt_mock: Any, mqtt_client_mock: Any
) -> None:
    phone.tell("call", snapshot(call()), "door")
    async_dispatcher_send(hass, MQTT_CONNECTION_STATE, DISCONNECTED)
    await hass.async_block_till_done()
    assert state(hass, "sensor.door_call_state") == "unavailable"
    assert state(hass, "binary_sensor.home_connectivity") == "off"
    phone.start(DOOR, PBX)
    async_dispatcher_send(hass, MQTT_CONNECTION_STATE, CONNECTED)
    await hass.async_block_till_done()
    assert state(hass, "sensor.door_call_state") == "idle"


async def test_a_call_that_a_dead_bridge_left_behind_does_not_ring_when_it_returns(
    hass: HomeAssistant, phone: FakeBridge
) -> None:
    phone.tell("call", snapshot(call()), "door")
    await hass.async_block_till_done()
    assert state(hass, "binary_sensor.door_ringing") == "on"
    phone.die()
    phone.tell("info", INFO)
    phone.retain(phone.topics.of_bridge("state"), '{"schema": 1, "state": "online"}')
    await hass.async_block_till_done()
    assert state(hass, "binary_sensor.door_ringing") == "unknown"
    phone.start(DOOR, PBX)
    await hass.async_block_till_done()
    assert state(hass, "binary_sensor.door_ringing") == "off"


async def test_rubbish_is_reported_once_until_it_is_good_again(
    hass: HomeAssistant, phone: FakeBridge, caplog: pytest.LogCaptureFixture
) -> None:
    topic = phone.topics.of_account("door", "call")
    phone.retain(topic, "{rubbish")
    phone.retain(topic, "[]")
    phone.tell("call", snapshot(), "door")
    phone.retain(topic, "rubbish")
    assert [each.levelname for each in caplog.records if f"read on {topic}" in each.getMessage()] == ["WARNING"] * 2


async def test_reports_of_rubbish_are_bounded(
    hass: HomeAssistant, phone: FakeBridge, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(coordinator.REMEMBERED_FAULTS + 10):
        phone.retain(phone.topics.of_account(f"line_{n}", "call"), "rubbish")
    reports = [each for each in caplog.records if "can't be read" in each.getMessage()]
    assert len(reports) == coordinator.REMEMBERED_FAULTS


async def test_a_renamed_entity_goes_on_without_being_added_again(hass: HomeAssistant, phone: FakeBridge) -> None:
    er.async_get(hass).async_update_entity("binary_sensor.door_ringing", new_entity_id="binary_sensor.bell")
    await hass.async_block_till_done()
    phone.tell("call", snapshot(call()), "door")
    await hass.async_block_till_done()
    assert (state(hass, "binary_sensor.bell"), state(hass, "binary_sensor.door_ringing")) == ("on", None)


@pytest.mark.parametrize("topic", ["sip_bridge/home/account/door", "sip_bridge/home/a/b/c/d", "sip_bridge/home/health"])
async def test_topics_of_no_interest_change_nothing_and_are_no_fault(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture, topic: str
) -> None:
    before = entry.runtime_data.state
    phone.retain(topic, "{rubbish")
    assert entry.runtime_data.state == before
    assert [each for each in caplog.records if "can't be read" in each.getMessage()] == []


async def test_a_line_that_the_bridge_has_cannot_be_deleted_and_one_that_it_lost_can(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    registry = dr.async_get(hass)
    hub, door = (
        registry.async_get_device_by_identifier((DOMAIN, name), entry.entry_id) for name in ("home", "home/door")
    )
    assert hub is not None
    assert door is not None
    assert not await async_remove_config_entry_device(hass, entry, hub)
    assert not await async_remove_config_entry_device(hass, entry, door)
    phone.retain(phone.topics.of_bridge("accounts"), "")
    await hass.async_block_till_done()
    assert not await async_remove_config_entry_device(hass, entry, hub)
    assert await async_remove_config_entry_device(hass, entry, door)
