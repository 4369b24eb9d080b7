"""Conditions: a line or a door station rings, a line is in a call, a line is registered."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import condition
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sip_phone.contract import CallInfo, CallState, Registration, RegistrationState
from tests.component.bridge import FakeBridge, call, snapshot
from tests.component.test_door_stations import add
from tests.component.test_triggers import device_of


async def holds(hass: HomeAssistant, name: str, **target: Any) -> bool | None:
    config = {"condition": f"sip_phone.{name}", "target": target}
    checked = await condition.async_validate_condition_config(hass, config)
    return (await condition.async_from_config(hass, checked)).async_check()


@pytest.mark.parametrize(
    ("calls", "is_ringing", "is_in_call"),
    [
        ((), False, False),
        ((call(),), True, False),
        ((call(state=CallState.IN_CALL),), False, True),
        ((call(state=CallState.ON_HOLD),), False, True),
    ],
)
async def test_a_line_rings_or_is_in_a_call(
    hass: HomeAssistant,
    phone: FakeBridge,
    entry: MockConfigEntry,
    calls: tuple[CallInfo, ...],
    is_ringing: bool,
    is_in_call: bool,
) -> None:
    phone.tell("call", snapshot(*calls), "door")
    await hass.async_block_till_done()
    door, pbx = device_of(hass, entry, "home/door"), device_of(hass, entry, "home/pbx")
    assert await holds(hass, "is_ringing", device_id=door) is is_ringing
    assert await holds(hass, "is_in_call", device_id=[door, pbx]) is is_in_call
    assert await holds(hass, "is_ringing", device_id=pbx) is False


async def test_a_door_station_rings(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    station = await add(hass, entry, caller="garden")
    device = device_of(hass, entry, f"door_station:{station.subentry_id}")
    phone.tell("call", snapshot(call()), "door")
    await hass.async_block_till_done()
    assert await holds(hass, "is_ringing", device_id=device) is False
    assert await holds(hass, "is_ringing", entity_id="binary_sensor.door_ringing") is True


async def test_a_line_is_registered(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    pbx = device_of(hass, entry, "home/pbx")
    assert await holds(hass, "is_registered", device_id=pbx) is False
    phone.tell("registration", Registration(state=RegistrationState.REGISTERED), "pbx")
    await hass.async_block_till_done()
    assert await holds(hass, "is_registered", device_id=pbx) is True


async def test_nothing_holds_of_a_line_whose_bridge_is_away(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    phone.tell("call", snapshot(call()), "door")
    phone.die()
    await hass.async_block_till_done()
    assert await holds(hass, "is_ringing", device_id=device_of(hass, entry, "home/door")) is False


async def test_entities_of_others_say_nothing_of_a_line(hass: HomeAssistant, phone: FakeBridge) -> None:
    hass.states.async_set("binary_sensor.kitchen_ringing", "on")
    assert await holds(hass, "is_ringing", entity_id="binary_sensor.kitchen_ringing") is False
