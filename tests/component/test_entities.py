"""Each entity: unavailable, then true, then unmoved by rubbish, then unavailable again; and the doorbell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_mqtt_message

from custom_components.sip_phone.contract import (
    CallEndedEvent,
    CallState,
    Direction,
    DTMFEvent,
    DTMFMethod,
    DTMFSequenceEvent,
    EndReason,
    Registration,
    RegistrationState,
    Remote,
    SequenceEnd,
)
from tests.component.bridge import DOOR, FRONT, PBX, FakeBridge, call, invite, snapshot

LAST_CALL = CallEndedEvent(
    event="CALL_ENDED",
    event_id="e9",
    seq=9,
    session="s1",
    account="door",
    direction=Direction.INCOMING,
    remote=FRONT,
    end_reason=EndReason.HANGUP_REMOTE,
    started_at="2026-11-22T20:15:00.000Z",
    ring_seconds=4.5,
    talk_seconds=30.0,
)
RINGING = snapshot(call())
TALKING = snapshot(call(state=CallState.IN_CALL))


def state(hass: HomeAssistant, entity_id: str) -> str | None:
    found = hass.states.get(entity_id)
    return None if found is None else found.state


def attributes(hass: HomeAssistant, entity_id: str) -> Mapping[str, Any]:
    found = hass.states.get(entity_id)
    assert found is not None
    return found.attributes


@pytest.mark.parametrize(
    ("entity_id", "kind", "payload", "expected"),
    [
        ("sensor.door_call_state", "call", TALKING, "in_call"),
        ("sensor.door_remote_party", "call", RINGING, "Front Door"),
        ("sensor.door_last_call", "last_call", LAST_CALL, "2026-11-22T20:15:00+00:00"),
        ("sensor.door_registration", "registration", Registration(state=RegistrationState.FAILED), "failed"),
        ("binary_sensor.door_ringing", "call", RINGING, "on"),
        ("binary_sensor.door_in_call", "call", TALKING, "on"),
        ("button.door_answer", "call", RINGING, "unknown"),
        ("button.door_hang_up", "call", TALKING, "unknown"),
    ],
)
async def test_an_entity_is_true_or_unavailable(
    hass: HomeAssistant,
    bridge: FakeBridge,
    entry: MockConfigEntry,
    entity_id: str,
    kind: str,
    payload: object,
    expected: str,
) -> None:
    bridge.die()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    steps = [state(hass, entity_id)]
    bridge.start(DOOR, PBX)
    bridge.tell(kind, payload, "door")
    await hass.async_block_till_done()
    steps.append(state(hass, entity_id))
    async_fire_mqtt_message(hass, bridge.topics.of_account("door", kind), b"\xff{rubbish")
    await hass.async_block_till_done()
    steps.append(state(hass, entity_id))
    bridge.die()
    await hass.async_block_till_done()
    steps.append(state(hass, entity_id))
    assert steps == ["unavailable", expected, expected, "unavailable"]


async def test_the_doorbell_is_true_or_unavailable(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.die()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == "unavailable"
    bridge.start(DOOR, PBX)
    bridge.emit(invite())
    await hass.async_block_till_done()
    rang = state(hass, "event.door_doorbell")
    assert rang not in {"unavailable", "unknown", None}
    async_fire_mqtt_message(hass, bridge.topics.of_account("door", "event", "INVITE"), "{rubbish")
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == rang
    bridge.die()
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == "unavailable"


async def test_connectivity_stays_to_say_that_the_bridge_is_gone(hass: HomeAssistant, phone: FakeBridge) -> None:
    assert state(hass, "binary_sensor.home_connectivity") == "on"
    phone.die()
    await hass.async_block_till_done()
    assert state(hass, "binary_sensor.home_connectivity") == "off"


async def test_the_doorbell_tells_who_rang(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.emit(invite())
    await hass.async_block_till_done()
    told = attributes(hass, "event.door_doorbell")
    assert {key: told[key] for key in ("event_type", "call_id", "caller_name", "caller_number", "caller_uri")} == {
        "event_type": "ring",
        "call_id": "c1",
        "caller_name": "Front Door",
        "caller_number": "front",
        "caller_uri": "sip:front@192.0.2.3",
    }
    assert (told["device_class"], told["event_types"]) == ("doorbell", ["ring"])


async def test_a_caller_without_a_name_rings_too(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.emit(invite(remote=None))
    await hass.async_block_till_done()
    told = attributes(hass, "event.door_doorbell")
    assert (told["event_type"], told["caller_name"], told["caller_uri"]) == ("ring", None, None)


@pytest.mark.parametrize(
    "event",
    [
        invite(direction=Direction.OUTGOING),
        invite(state=CallState.IN_CALL),
        invite(state=CallState.ON_HOLD),
        invite(account="pbx"),
        LAST_CALL,
    ],
)
async def test_only_a_new_incoming_call_of_the_line_rings_its_bell(
    hass: HomeAssistant, phone: FakeBridge, event: Any
) -> None:
    phone.emit(event)
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == "unknown"


async def test_an_event_that_the_broker_replays_does_not_ring(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.emit(invite(), retain=True)
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == "unknown"


async def test_an_event_that_comes_twice_rings_once(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.emit(invite("e1"))
    await hass.async_block_till_done()
    first = state(hass, "event.door_doorbell")
    phone.emit(invite("e1"))
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == first
    phone.emit(invite("e2"))
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") != first


async def test_the_bell_does_not_ring_when_the_bridge_returns(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.emit(invite())
    await hass.async_block_till_done()
    rang = state(hass, "event.door_doorbell")
    phone.die()
    await hass.async_block_till_done()
    phone.start(DOOR, PBX)
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == rang


async def test_a_caller_may_call_himself_anything_however_long(hass: HomeAssistant, phone: FakeBridge) -> None:
    endless = Remote(uri="sip:x@192.0.2.3", name="x" * 1000)
    phone.tell("call", snapshot(call(remote=endless)), "door")
    phone.emit(invite(remote=endless))
    await hass.async_block_till_done()
    assert state(hass, "sensor.door_remote_party") == "x" * 255
    assert attributes(hass, "event.door_doorbell")["caller_name"] == "x" * 255


async def test_the_keys_tell_each_press_and_each_sequence(hass: HomeAssistant, phone: FakeBridge) -> None:
    fields: dict[str, Any] = {
        "seq": 1,
        "session": "s1",
        "account": "door",
        "call_id": "c1",
        "dtmf_method": DTMFMethod.RTP,
    }
    phone.emit(DTMFEvent(event="DTMF", event_id="k1", digits="5", **fields))
    await hass.async_block_till_done()
    told = attributes(hass, "event.door_keys")
    assert (told["event_type"], told["digits"], told["call_id"]) == ("pressed", "5", "c1")
    fields |= {"ended_by": SequenceEnd.TERMINATOR, "code": "family"}
    phone.emit(DTMFSequenceEvent(event="DTMF_SEQUENCE", event_id="k2", digits="????", **fields))
    await hass.async_block_till_done()
    told = attributes(hass, "event.door_keys")
    assert {key: told[key] for key in ("event_type", "digits", "code", "ended_by", "locked")} == {
        "event_type": "entered",
        "digits": "????",
        "code": "family",
        "ended_by": "terminator",
        "locked": False,
    }
    assert state(hass, "event.door_doorbell") == "unknown"


async def test_the_keys_hear_nothing_else(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.emit(invite())
    await hass.async_block_till_done()
    assert state(hass, "event.door_keys") == "unknown"


async def test_the_last_call_tells_how_it_went(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("last_call", LAST_CALL, "door")
    await hass.async_block_till_done()
    told = attributes(hass, "sensor.door_last_call")
    keys = ("result", "direction", "ring_seconds", "talk_seconds", "remote_name", "remote_number")
    assert [told[key] for key in keys] == ["hangup_remote", "incoming", 4.5, 30.0, "Front Door", "front"]


async def test_buttons_are_there_only_for_a_call_that_they_fit(hass: HomeAssistant, phone: FakeBridge) -> None:
    buttons = ("button.door_answer", "button.door_hang_up")
    idle = [state(hass, each) for each in buttons]
    phone.tell("call", RINGING, "door")
    await hass.async_block_till_done()
    ringing = [state(hass, each) for each in buttons]
    phone.tell("call", TALKING, "door")
    await hass.async_block_till_done()
    talking = [state(hass, each) for each in buttons]
    assert idle == ["unavailable", "unavailable"]
    assert ringing == ["unknown", "unknown"]
    assert talking == ["unavailable", "unknown"]
