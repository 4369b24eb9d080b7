"""What Home Assistant shows of two lines, one of them in a call: every entity, device and diagnostic, word for word.

After a change that is meant, write `snapshots` anew: `pytest ... tests/component/test_snapshots.py --snapshot-update`.
"""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry, entity_registry
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.syrupy import HomeAssistantSnapshotExtension
from syrupy.assertion import SnapshotAssertion

from custom_components.sip_phone.contract import CallState, Registration, RegistrationState, WaitingMessages
from tests.component.bridge import FakeBridge, call
from tests.component.bridge import snapshot as calls_of
from tests.component.test_entities import LAST_CALL, QUALITY, SETTINGS


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """One that leaves out what differs from run to run."""
    return snapshot.use_extension(HomeAssistantSnapshotExtension)


@pytest.fixture
async def busy(
    hass: HomeAssistant, phone: FakeBridge, entity_registry_enabled_by_default: None, entry: MockConfigEntry
) -> MockConfigEntry:
    """The door talks, the PBX has voicemail, and both have a past."""
    phone.tell("settings", SETTINGS, "door")
    phone.tell("last_call", replace(LAST_CALL, quality=QUALITY), "door")
    talking = replace(call(state=CallState.IN_CALL), answered_at="2026-11-22T20:15:09.000Z", codec="PCMA", muted=True)
    phone.tell("call", calls_of(talking), "door")
    phone.tell("registration", Registration(state=RegistrationState.REGISTERED, status=200, phrase="OK"), "pbx")
    phone.tell("messages", WaitingMessages(waiting=True, new=2, old=5), "pbx")
    await hass.async_block_till_done()
    return entry


async def test_every_entity_is_as_before(
    hass: HomeAssistant, busy: MockConfigEntry, snapshot: SnapshotAssertion
) -> None:
    found = entity_registry.async_entries_for_config_entry(entity_registry.async_get(hass), busy.entry_id)
    assert len(found) > 60
    for entity in sorted(found, key=attrgetter("entity_id")):
        assert entity == snapshot(name=f"{entity.entity_id}-entry")
        assert hass.states.get(entity.entity_id) == snapshot(name=f"{entity.entity_id}-state")


async def test_every_device_is_as_before(
    hass: HomeAssistant, busy: MockConfigEntry, snapshot: SnapshotAssertion
) -> None:
    found = device_registry.async_entries_for_config_entry(device_registry.async_get(hass), busy.entry_id)
    assert len(found) == 3
    for device in found:
        assert device == snapshot(name=device.name)
