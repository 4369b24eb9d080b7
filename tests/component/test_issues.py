"""Repairs: shown while something needs a person, and gone by themselves."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_mqtt_message,
    async_fire_time_changed,
)

from custom_components.sip_phone import coordinator
from custom_components.sip_phone.contract import Availability, BridgeState, Registration, RegistrationState
from tests.component.bridge import DOOR, INFO, PBX, FakeBridge

REFUSED = Registration(state=RegistrationState.FAILED, status=403, phrase="Forbidden")
DEVICE: dict[str, Any] = {
    "dev": {"ids": "sip_bridge_home", "name": "Home"},
    "o": {"name": "sip-bridge"},
    "cmps": {"ringing": {"p": "binary_sensor", "state_topic": "sip_bridge/home/account/door/call"}},
}


def issues(hass: HomeAssistant) -> dict[str, Any]:
    """Placeholders of our issues by their translation key."""
    return {
        str(issue.translation_key): issue.translation_placeholders
        for issue in ir.async_get(hass).issues.values()
        if issue.domain == "sip_phone" and issue.active
    }


async def after(hass: HomeAssistant, **delta: float) -> None:
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(**delta))
    await hass.async_block_till_done()


async def test_a_bridge_that_stays_offline_needs_repair_until_it_is_back(
    hass: HomeAssistant, phone: FakeBridge
) -> None:
    phone.die()
    await after(hass, minutes=14)
    assert issues(hass) == {}
    await after(hass, minutes=16)
    assert issues(hass) == {"bridge_offline": {"name": "Home", "minutes": "15"}}
    phone.tell("state", BridgeState(state=Availability.ONLINE))
    await hass.async_block_till_done()
    assert issues(hass) == {}


async def test_a_bridge_that_comes_back_in_time_needs_no_repair(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.die()
    await hass.async_block_till_done()
    phone.start(DOOR, PBX)
    await after(hass, minutes=60)
    assert issues(hass) == {}


async def test_how_long_a_bridge_may_be_offline_is_an_option(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(entry, options={"offline_minutes": 60})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    phone.die()
    await after(hass, minutes=59)
    assert issues(hass) == {}
    await after(hass, minutes=61)
    assert issues(hass) == {"bridge_offline": {"name": "Home", "minutes": "60"}}


async def test_a_bridge_that_is_unloaded_is_not_waited_for(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    phone.die()
    await hass.async_block_till_done()
    await hass.config_entries.async_unload(entry.entry_id)
    await after(hass, minutes=60)
    assert issues(hass) == {}


async def test_a_line_whose_password_is_wrong_needs_repair_until_it_is_registered(
    hass: HomeAssistant, phone: FakeBridge
) -> None:
    phone.tell("registration", REFUSED, "pbx")
    await hass.async_block_till_done()
    assert issues(hass) == {"registration_refused": {"name": "Home", "line": "PBX", "answer": "403 Forbidden"}}
    phone.tell("registration", Registration(state=RegistrationState.REGISTERED), "pbx")
    await hass.async_block_till_done()
    assert issues(hass) == {}


async def test_a_registrar_that_cannot_be_reached_is_no_wrong_password(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("registration", Registration(state=RegistrationState.FAILED, status=408), "pbx")
    await hass.async_block_till_done()
    assert issues(hass) == {}


async def test_a_refused_line_that_is_removed_needs_no_repair(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("registration", REFUSED, "pbx")
    await hass.async_block_till_done()
    phone.start(DOOR)
    await hass.async_block_till_done()
    assert issues(hass) == {}


async def test_a_bridge_of_a_later_schema_asks_for_an_update(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator, "FIRST_STATE_TIMEOUT", 2.0)  # of which what comes takes little, on any machine
    bridge.retain(bridge.topics.of_bridge("info"), json.dumps({"schema": 2}))
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert issues(hass) == {"schema_not_supported": {"name": "Home", "schema": "2", "supported": "1"}}
    bridge.tell("info", INFO)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert (entry.state, issues(hass)) == (ConfigEntryState.LOADED, {})


@pytest.mark.parametrize("payload", ["rubbish", "[2]", '{"schema": "two"}', '{"schema": 1}'])
async def test_rubbish_is_of_no_later_schema(hass: HomeAssistant, phone: FakeBridge, payload: str) -> None:
    phone.retain(phone.topics.of_bridge("info"), payload)
    phone.retain(phone.topics.of_bridge("accounts"), '{"schema": 2}')
    await hass.async_block_till_done()
    assert issues(hass) == {}


@pytest.mark.parametrize(
    "payload",
    [DEVICE, {"origin": {"name": "sip-bridge"}, "dev": {"ids": ["x"]}, "~": "sip_bridge/home", "cmps": {}, "qos": 1}],
)
async def test_plain_mqtt_entities_beside_ours_need_repair_until_they_are_gone(
    hass: HomeAssistant, phone: FakeBridge, payload: dict[str, Any]
) -> None:
    first, second = "homeassistant/device/sip_bridge_home/config", "homeassistant/device/sip_bridge_home_door/config"
    async_fire_mqtt_message(hass, first, json.dumps(payload), retain=True)
    async_fire_mqtt_message(hass, second, json.dumps(payload), retain=True)
    await hass.async_block_till_done()
    assert issues(hass) == {"doubled_by_mqtt": {"name": "Home", "topic": second}}
    async_fire_mqtt_message(hass, first, "")
    await hass.async_block_till_done()
    assert "doubled_by_mqtt" in issues(hass)
    async_fire_mqtt_message(hass, second, "")
    await hass.async_block_till_done()
    assert issues(hass) == {}


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps(DEVICE).replace("sip_bridge/home/", "sip_bridge/home2/"),
        json.dumps(DEVICE | {"o": {"name": "zigbee2mqtt"}}),
        json.dumps(DEVICE | {"o": "sip-bridge"}),
        "rubbish",
        "[" * 100_000,
    ],
)
async def test_what_others_announce_is_no_double(hass: HomeAssistant, phone: FakeBridge, payload: str) -> None:
    async_fire_mqtt_message(hass, "homeassistant/device/other/config", payload, retain=True)
    await hass.async_block_till_done()
    assert issues(hass) == {}


async def test_a_removed_bridge_leaves_no_issue_and_takes_no_other(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    ir.async_create_issue(
        hass,
        "sip_phone",
        "office/bridge_offline",
        is_fixable=False,
        severity=ir.IssueSeverity.ERROR,
        translation_key="bridge_offline",
    )
    phone.tell("registration", REFUSED, "pbx")
    await hass.async_block_till_done()
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    assert issues(hass) == {"bridge_offline": None}
