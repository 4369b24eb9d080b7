"""How the calls of a line go: the call event, and the count of those that nobody took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from homeassistant.core import Event as BusEvent
from homeassistant.core import HomeAssistant, callback
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sip_phone.contract import (
    CallInfo,
    CallState,
    Direction,
    DoorOpenedEvent,
    DoorOpening,
    EndReason,
    Event,
    MediaLostEvent,
    MessageEvent,
    RecordingDoneEvent,
    RecordingEnd,
)
from custom_components.sip_phone.state import MAX_TEXT
from tests.component.bridge import DOOR, FRONT, PBX, FakeBridge, call, invite, snapshot
from tests.component.restoring import remember
from tests.component.test_entities import LAST_CALL

CALL = "event.door_call"
MISSED = "sensor.door_missed_calls"
OUTGOING = Direction.OUTGOING


@pytest.fixture
def steps(hass: HomeAssistant, phone: FakeBridge) -> list[dict[str, Any]]:
    """The attributes of each call event."""
    seen: list[dict[str, Any]] = []

    @callback
    def note(event: BusEvent) -> None:
        new = event.data["new_state"]
        if event.data["entity_id"] == CALL and new.state != "unavailable":
            seen.append(dict(new.attributes))

    hass.bus.async_listen("state_changed", note)
    return seen


async def calls(hass: HomeAssistant, phone: FakeBridge, *live: CallInfo) -> None:
    phone.tell("call", snapshot(*live), "door")
    await hass.async_block_till_done()


async def emit(hass: HomeAssistant, phone: FakeBridge, event: Event, **fields: Any) -> None:
    phone.emit(event, **fields)
    await hass.async_block_till_done()


def missed(event_id: str) -> Any:
    return replace(LAST_CALL, event_id=event_id, end_reason=EndReason.CANCELED, talk_seconds=0.0, call_id="c1")


def count(hass: HomeAssistant) -> str | None:
    found = hass.states.get(MISSED)
    return None if found is None else found.state


async def test_each_step_of_an_incoming_call_is_told(
    hass: HomeAssistant, phone: FakeBridge, steps: list[dict[str, Any]]
) -> None:
    await calls(hass, phone, call())
    await emit(hass, phone, invite("e1"))
    for state in (CallState.IN_CALL, CallState.ON_HOLD, CallState.IN_CALL):
        await calls(hass, phone, call(state=state))
    await calls(hass, phone)
    await emit(hass, phone, replace(LAST_CALL, call_id="c1", status=200))
    assert [each["event_type"] for each in steps] == ["incoming", "answered", "held", "resumed", "ended"]
    assert {each["call_id"] for each in steps} == {"c1"}
    assert {key: steps[-1][key] for key in ("direction", "remote_name", "remote_number", "remote_uri")} == {
        "direction": "incoming",
        "remote_name": "Front Door",
        "remote_number": "front",
        "remote_uri": "sip:front@192.0.2.3",
    }
    assert {key: steps[-1][key] for key in ("result", "ring_seconds", "talk_seconds", "status")} == {
        "result": "hangup_remote",
        "ring_seconds": 4.5,
        "talk_seconds": 30.0,
        "status": 200,
    }


async def test_each_step_of_an_outgoing_call_is_told(
    hass: HomeAssistant, phone: FakeBridge, steps: list[dict[str, Any]]
) -> None:
    await calls(hass, phone, call(state=CallState.DIALING, direction=OUTGOING))
    await emit(hass, phone, invite("e1", direction=OUTGOING))
    await emit(hass, phone, replace(invite("e2", direction=OUTGOING), event="RINGING"))
    await calls(hass, phone, call(state=CallState.RINGING, direction=OUTGOING))
    await calls(hass, phone, call(state=CallState.IN_CALL, direction=OUTGOING))
    assert [each["event_type"] for each in steps] == ["outgoing", "ringing", "answered"]


async def test_a_call_that_nobody_took_is_told_as_missed(
    hass: HomeAssistant, phone: FakeBridge, steps: list[dict[str, Any]]
) -> None:
    await emit(hass, phone, missed("e1"), age=3600)
    assert [(each["event_type"], each["result"]) for each in steps] == [("missed", "canceled")]


async def test_a_recording_and_lost_sound_are_told_and_nothing_else(
    hass: HomeAssistant, phone: FakeBridge, steps: list[dict[str, Any]]
) -> None:
    fields: dict[str, Any] = {"seq": 1, "session": "s1", "account": "door", "call_id": "c1"}
    done = RecordingDoneEvent(
        event="RECORDING_DONE", event_id="e1", file="a.wav", seconds=2.5, reason=RecordingEnd.STOPPED, **fields
    )
    await emit(hass, phone, done)
    await emit(hass, phone, replace(done, event_id="e2", file=None, error="no space"))
    await emit(hass, phone, MediaLostEvent(event="MEDIA_LOST", event_id="e3", silent_seconds=5.0, **fields))
    await emit(hass, phone, replace(invite("e4"), event="TRYING"))
    assert [(each["event_type"], each.get("file")) for each in steps] == [("recorded", "a.wav"), ("media_lost", None)]


async def test_a_door_that_was_opened_is_told(
    hass: HomeAssistant, phone: FakeBridge, steps: list[dict[str, Any]]
) -> None:
    fields: dict[str, Any] = {"seq": 1, "session": "s1", "account": "door", "call_id": "c1", "remote": FRONT}
    await emit(hass, phone, DoorOpenedEvent(event="DOOR_OPENED", event_id="e1", by=DoorOpening.KEY, **fields))
    assert [(each["event_type"], each["by"], each["remote_name"]) for each in steps] == [
        ("door_opened", "key", "Front Door")
    ]


async def test_a_text_is_told_whole_and_within_bounds(hass: HomeAssistant, phone: FakeBridge) -> None:
    fields: dict[str, Any] = {"event": "MESSAGE", "seq": 1, "session": "s1", "account": "door", "remote": FRONT}
    await emit(hass, phone, MessageEvent(event_id="e1", text="Parcel\nat the gate", **fields), age=3600)
    state = hass.states.get("event.door_message")
    assert state is not None
    told = {key: state.attributes[key] for key in ("event_type", "text", "content_type", "remote_name", "remote_uri")}
    assert told == {
        "event_type": "received",
        "text": "Parcel\nat the gate",
        "content_type": "text/plain",
        "remote_name": "Front Door",
        "remote_uri": "sip:front@192.0.2.3",
    }
    await emit(hass, phone, MessageEvent(event_id="e2", text="x" * (MAX_TEXT + 1), **fields | {"remote": None}))
    state = hass.states.get("event.door_message")
    assert state is not None
    assert (state.attributes["text"], state.attributes["remote_name"]) == ("x" * MAX_TEXT, None)


async def test_who_was_answered_in_an_outage_is_not_told_later(
    hass: HomeAssistant, phone: FakeBridge, steps: list[dict[str, Any]]
) -> None:
    await calls(hass, phone, call())
    phone.die()
    await hass.async_block_till_done()
    phone.start(DOOR, PBX)
    await calls(hass, phone, call(state=CallState.IN_CALL))
    assert [each for each in steps if each.get("event_type") == "answered"] == []


async def test_missed_calls_are_counted_once_each_however_often_they_are_told(
    hass: HomeAssistant, phone: FakeBridge
) -> None:
    for event_id in ("e1", "e1", "e2"):
        phone.tell("last_call", missed(event_id), "door")
        await emit(hass, phone, missed(event_id))
    assert count(hass) == "2"


async def test_calls_that_somebody_took_are_not_counted(hass: HomeAssistant, phone: FakeBridge) -> None:
    await emit(hass, phone, replace(missed("e1"), end_reason=EndReason.ANSWERED_ELSEWHERE))
    await emit(hass, phone, replace(missed("e2"), direction=OUTGOING))
    await emit(hass, phone, replace(LAST_CALL, event_id="e3"))
    assert count(hass) == "0"


async def test_what_was_missed_before_the_line_was_added_is_not_news(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.tell("last_call", missed("e1"), "door")
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert count(hass) == "0"
    await emit(hass, bridge, missed("e1"))
    assert count(hass) == "0"
    await emit(hass, bridge, missed("e2"))
    assert count(hass) == "1"


async def test_the_count_survives_a_restart_and_what_was_missed_meanwhile_is_counted(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    remember(hass, entry, {"sensor.missed_calls": {"count": 3, "seen": ["e1", "e2"]}})
    bridge.tell("last_call", missed("e3"), "door")
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    counts = [hass.states.get("sensor.sip_phone_home_door_missed_calls")]
    await emit(hass, bridge, missed("e2"))
    counts.append(hass.states.get("sensor.sip_phone_home_door_missed_calls"))
    assert [each and each.state for each in counts] == ["4", "4"]


async def test_a_reload_counts_nothing_twice(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    phone.tell("last_call", missed("e1"), "door")
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert count(hass) == "1"


async def test_the_button_resets_the_count_of_its_line(hass: HomeAssistant, phone: FakeBridge) -> None:
    await emit(hass, phone, missed("e1"))
    await emit(hass, phone, replace(missed("e2"), account="pbx"))
    await hass.services.async_call("button", "press", {"entity_id": "button.door_reset_missed_calls"}, blocking=True)
    other = hass.states.get("sensor.pbx_missed_calls")
    assert other is not None
    assert (count(hass), other.state) == ("0", "1")
    await emit(hass, phone, missed("e1"))
    assert count(hass) == "0"
