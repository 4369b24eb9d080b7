"""The doorbell as an automation hears it: once for each caller, and never because something was restarted."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_mock_service

from tests.component.bridge import DOOR, PBX, FakeBridge, call, invite, snapshot

AUTOMATIONS: list[dict[str, Any]] = [
    {
        "triggers": [{"trigger": "doorbell.rang", "target": {"entity_id": "event.door_doorbell"}}],
        "actions": [{"action": "test.rang"}],
    },
    {
        "triggers": [{"trigger": "state", "entity_id": "binary_sensor.door_ringing", "to": "on"}],
        "actions": [{"action": "test.ringing"}],
    },
]


@pytest.fixture
def rang(hass: HomeAssistant) -> list[ServiceCall]:
    calls: list[ServiceCall] = async_mock_service(hass, "test", "rang")
    return calls


@pytest.fixture
def ringing(hass: HomeAssistant) -> list[ServiceCall]:
    calls: list[ServiceCall] = async_mock_service(hass, "test", "ringing")
    return calls


@pytest.fixture
async def automations(hass: HomeAssistant, phone: FakeBridge, rang: Any, ringing: Any) -> None:
    """Two automations: the bell rang, and the line rings."""
    assert await async_setup_component(hass, "doorbell", {})
    assert await async_setup_component(hass, "automation", {"automation": AUTOMATIONS})
    await hass.async_block_till_done()


async def ring(hass: HomeAssistant, phone: FakeBridge, event_id: str = "e1") -> None:
    phone.tell("call", snapshot(call()), "door")
    phone.emit(invite(event_id))
    await hass.async_block_till_done()


@pytest.mark.usefixtures("automations")
async def test_each_caller_starts_the_automations_once(
    hass: HomeAssistant, phone: FakeBridge, rang: list[ServiceCall], ringing: list[ServiceCall]
) -> None:
    await ring(hass, phone, "e1")
    phone.tell("call", snapshot(), "door")
    await ring(hass, phone, "e2")
    assert (len(rang), len(ringing)) == (2, 2)


@pytest.mark.usefixtures("automations")
async def test_a_bridge_that_dies_while_it_rings_and_returns_starts_nothing(
    hass: HomeAssistant, phone: FakeBridge, rang: list[ServiceCall], ringing: list[ServiceCall]
) -> None:
    await ring(hass, phone)
    phone.die()
    await hass.async_block_till_done()
    phone.start(DOOR, PBX)
    await hass.async_block_till_done()
    assert (len(rang), len(ringing)) == (1, 1)


@pytest.mark.usefixtures("automations")
async def test_a_reload_while_it_rings_keeps_the_last_ring_and_is_no_new_one(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, rang: list[ServiceCall]
) -> None:
    await ring(hass, phone)
    before = hass.states.get("event.door_doorbell")
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    after = hass.states.get("event.door_doorbell")
    ringing_still = hass.states.get("binary_sensor.door_ringing")
    assert before is not None
    assert after is not None
    assert ringing_still is not None
    assert (after.state, after.attributes, len(rang)) == (before.state, before.attributes, 1)
    assert ringing_still.state == "on"


async def test_home_assistant_restarted_while_the_bridge_is_away_knows_the_last_ring(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await ring(hass, phone)
    before = hass.states.get("event.door_doorbell")
    phone.die()
    await hass.async_block_till_done()
    await hass.config_entries.async_reload(entry.entry_id)
    phone.start(DOOR, PBX)
    await hass.async_block_till_done()
    after = hass.states.get("event.door_doorbell")
    assert before is not None
    assert after is not None
    assert (after.state, after.attributes) == (before.state, before.attributes)
