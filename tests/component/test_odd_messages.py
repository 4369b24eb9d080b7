"""Messages as no bridge of ours makes them: what can't be true is left out, and everything else goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers.json import json_bytes
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_mqtt_message

from custom_components.sip_phone.contract import CallState
from tests.component.bridge import FakeBridge, call, invite, snapshot

ENDED: dict[str, Any] = {
    "event": "CALL_ENDED",
    "event_id": "o1",
    "seq": 1,
    "session": "s1",
    "account": "door",
    "call_id": "c1",
    "direction": "incoming",
    "end_reason": "canceled",
    "started_at": "2026-11-22T20:15:00Z",
}
CALL: dict[str, Any] = {
    "call_id": "c1",
    "direction": "incoming",
    "state": "in_call",
    "remote": {"uri": "x" * 50_000},
    "started_at": "0001-01-01T00:00:00+23:59",
    "answered_at": "9999-12-31T23:59:59-23:59",
}
INFO: dict[str, Any] = {"session": "s", "started_at": "", "capabilities": [], "config": {}}
CONTACTS = [{"name": "x" * 9000, "number": ""}, {"name": "", "number": "1"}, {"name": "", "number": "1"}]
DOOR = {"id": "door", "uri": "", "kind": "direct", "contacts": CONTACTS}


@pytest.mark.usefixtures("entity_registry_enabled_by_default")
@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("account/door/last_call", {**ENDED, "status": 10**40}),
        ("account/door/last_call", {**ENDED, "started_at": "0001-01-01T00:00:00+23:59"}),
        ("account/door/last_call", {**ENDED, "talk_seconds": 1e308, "ring_seconds": -1e308}),
        ("account/door/last_call", {**ENDED, "quality": {"packets": 1 - 10**400, "lost": 10**400, "jitter_ms": 1.0}}),
        ("account/door/event/CALL_ENDED", {**ENDED, "status": 10**40}),
        ("account/door/event/CALL_ENDED", {**ENDED, "ts": "0001-01-01T00:00:00+23:59"}),
        ("account/door/event/CALL_ENDED", {**ENDED, "ts": 5, "seq": -1, "more": {"a": [1]}}),
        ("account/door/event/CALL_ENDED", {**ENDED, "remote": {"uri": "x" * 60_000, "user": "\0", "name": "é" * 9000}}),
        ("account/pbx/messages", {"waiting": True, "new": 10**40, "old": -(10**40)}),
        ("account/door/registration", {"state": "melted"}),
        ("account/door/settings", {"output_volume": 1e300, "ring_timeout": 10**20}),
        ("account/door/call", {"state": "in_call", "calls": []}),
        ("account/door/call", {"state": "in_call", "calls": [CALL]}),
        ("account/dör/call", {"state": "idle", "calls": []}),
        (
            "accounts",
            {"accounts": [{"id": "dör", "name": "x"} | DOOR, {"name": ""} | DOOR, {"name": "N" * 9000} | DOOR]},
        ),
        ("info", INFO | {"name": "", "version": "x" * 1000}),
        ("info", INFO | {"name": "N" * 9000, "version": "not a version", "config": {"a": 10**40}}),
        ("state", {"state": "online", "more": 1e400}),
    ],
)
async def test_an_odd_message_hinders_no_other(
    hass: HomeAssistant,
    phone: FakeBridge,
    caplog: pytest.LogCaptureFixture,
    topic: str,
    payload: dict[str, Any],
    retain: bool,
) -> None:
    async_fire_mqtt_message(hass, f"sip_bridge/home/{topic}", json.dumps(payload), qos=1, retain=retain)
    await hass.async_block_till_done()
    assert json_bytes([state.as_dict() for state in hass.states.async_all()])  # as the user interface gets them
    phone.tell("call", snapshot(call("c9")), "door")
    phone.emit(invite("e9", call_id="c9"))
    await hass.async_block_till_done()
    bell = hass.states.get("event.door_doorbell")
    assert bell is not None
    assert bell.attributes["call_id"] == "c9"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_options_that_change_in_a_call_leave_the_call_as_it_is(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    phone.tell("call", snapshot(call(state=CallState.IN_CALL)), "door")
    phone.emit(invite())
    await hass.async_block_till_done()
    told = hass.states.get("event.door_doorbell")
    hass.config_entries.async_update_entry(entry, options={"offline_minutes": 3})
    await hass.async_block_till_done()
    state, bell = hass.states.get("sensor.door_call_state"), hass.states.get("event.door_doorbell")
    assert state is not None
    assert bell is not None
    assert told is not None
    assert (state.state, bell.state) == ("in_call", told.state)
