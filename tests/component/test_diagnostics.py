"""What may be attached to a bug report names nobody and opens no door."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.diagnostics import (
    get_diagnostics_for_config_entry,
    get_diagnostics_for_device,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from tests.component.bridge import FakeBridge, call, snapshot
from tests.component.test_door_stations import add

SECRETS = ("Front", "front", "620", "192.0.2", "sip", "c1", "4711")


def secrets_in(told: Any) -> list[str]:
    """Whole words: an id that Home Assistant made up may have such letters in it."""
    words = re.findall(r"\w+(?:\.\d+)*", json.dumps(told))
    return [each for each in SECRETS if any(word == each or word.startswith(f"{each}.") for word in words)]


async def device(hass: HomeAssistant, entry: MockConfigEntry, name: str) -> dr.DeviceEntry:
    found = dr.async_get(hass).async_get_device_by_identifier(("sip_phone", name), entry.entry_id)
    assert found is not None
    return found


async def test_diagnostics_tell_the_state_and_nobodys_name_number_or_code(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await add(hass, entry, caller="front", camera="camera.porch", opened_by="keys", door_code="4711")
    phone.tell("call", snapshot(call()), "door")
    told = await get_diagnostics_for_config_entry(hass, hass_client, entry)
    assert (told["entry"], told["options"]) == ({"base_topic": "sip_bridge", "bridge": "home"}, {})
    line = told["state"]["lines"]["door"]
    assert (line["call"]["state"], line["call"]["calls"][0]["direction"]) == ("ringing", "incoming")
    (station,) = told["door_stations"]
    assert (station["account"], station["camera"], station["opened_by"]) == ("door", "camera.porch", "keys")
    assert (station["door_code"], station["caller"]) == ("**REDACTED**", "**REDACTED**")
    assert secrets_in(told) == []


@pytest.mark.parametrize(("account", "kind"), [("door", "direct"), ("pbx", "registered")])
async def test_the_diagnostics_of_a_line_are_about_that_line(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    phone: FakeBridge,
    entry: MockConfigEntry,
    account: str,
    kind: str,
) -> None:
    told = await get_diagnostics_for_device(hass, hass_client, entry, await device(hass, entry, f"home/{account}"))
    assert (told["account"]["id"], told["account"]["kind"], told["door_station"]) == (account, kind, None)
    assert secrets_in(told) == []


async def test_the_diagnostics_of_a_door_station_are_about_its_line_too(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    station = await add(hass, entry, caller="front", opened_by="keys", door_code="4711")
    chosen = await device(hass, entry, f"door_station:{station.subentry_id}")
    phone.start()
    await hass.async_block_till_done()
    told = await get_diagnostics_for_device(hass, hass_client, entry, chosen)
    assert (told["account"], told["door_station"]["opened_by"]) == (None, "keys")
    assert secrets_in(told) == []


async def test_the_diagnostics_of_the_bridges_device_are_those_of_its_entry(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    told = await get_diagnostics_for_device(hass, hass_client, entry, await device(hass, entry, "home"))
    assert set(told) == {"entry", "options", "door_stations", "state"}
