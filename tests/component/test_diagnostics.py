"""What may be attached to a bug report names nobody."""

from __future__ import annotations

import json

from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.diagnostics import get_diagnostics_for_config_entry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from tests.component.bridge import FakeBridge, call, snapshot


async def test_diagnostics_tell_the_state_and_nobodys_name_or_number(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    phone.tell("call", snapshot(call()), "door")
    told = await get_diagnostics_for_config_entry(hass, hass_client, entry)
    assert told["entry"] == {"base_topic": "sip_bridge", "bridge": "home"}
    line = told["state"]["lines"]["door"]
    assert (line["call"]["state"], line["call"]["calls"][0]["direction"]) == ("ringing", "incoming")
    text = json.dumps(told)
    assert [each for each in ("Front", "front", "620", "192.0.2", "sip:", "c1") if each in text] == []
