"""The logbook tells what happened in words."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant
from homeassistant.setup import async_setup_component

from custom_components.sip_phone.const import DOMAIN
from tests.component.bridge import FakeBridge

FRONT = {"line": "Door", "remote_name": "Front Door", "remote_number": "front", "direction": "incoming"}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (FRONT | {"type": "incoming_call"}, "was called by Front Door"),
        (FRONT | {"type": "incoming_call", "door_station": "Gate"}, "was called by Gate"),
        (FRONT | {"type": "incoming_call", "remote_name": None}, "was called by front"),
        ({"line": "Door", "type": "incoming_call"}, "was called by somebody"),
        (FRONT | {"type": "call_answered"}, "answered Front Door"),
        (FRONT | {"type": "call_answered", "direction": "outgoing"}, "was answered by Front Door"),
        (FRONT | {"type": "call_missed"}, "missed a call by Front Door"),
        (FRONT | {"type": "call_ended", "result": "no_answer"}, "ended its call with Front Door: no answer"),
        (FRONT | {"type": "dtmf_received", "code": None}, "heard keys from Front Door"),
        (FRONT | {"type": "dtmf_received", "code": "door"}, "heard the code “door” from Front Door"),
        (FRONT | {"type": "message_received"}, "got a message from Front Door"),
        (FRONT | {"type": "door_opened"}, "opened the door for Front Door"),
        (FRONT | {"type": "door_opened", "direction": "outgoing"}, "opened the door of Front Door"),
        ({"line": "Door", "type": "registration_lost"}, "lost its registration"),
        ({"line": "Door", "type": "registration_restored"}, "is registered again"),
        ({"line": "Door", "type": "moved_to_mars"}, "was used"),
        ({"line": "Door"}, "was used"),
    ],
)
async def test_a_happening_is_described(
    hass: HomeAssistant, phone: FakeBridge, event: dict[str, Any], message: str
) -> None:
    hass.config.components.add("recorder")
    assert await async_setup_component(hass, "logbook", {})
    await hass.async_block_till_done()
    domain, describe = hass.data["logbook"].external_events["sip_phone_event"]
    assert domain == DOMAIN
    assert describe(Event("sip_phone_event", event)) == {"name": "Door", "message": message}
