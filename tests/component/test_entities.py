"""Each entity: unavailable, then true, then unmoved by rubbish, then unavailable again; and the doorbell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_mqtt_message

from custom_components.sip_phone.contract import (
    Accounts,
    CallEndedEvent,
    CallState,
    Direction,
    DTMFChoice,
    DTMFEvent,
    DTMFMethod,
    DTMFSequenceEvent,
    EndReason,
    Registration,
    RegistrationState,
    Remote,
    RTPQuality,
    SequenceEnd,
    Settings,
    WaitingMessages,
    encode,
)
from tests.component.bridge import DOOR, FRONT, INFO, PBX, TOPICS, TS, FakeBridge, call, invite, snapshot

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
TALKING = snapshot(
    replace(call(state=CallState.IN_CALL), answered_at="2026-11-22T20:15:09.000Z", codec="PCMA", muted=True)
)
QUALITY = RTPQuality(packets=900, lost=100, jitter_ms=12.5, mos=3.9)
SETTINGS = Settings(
    do_not_disturb=True, auto_answer=True, output_volume=0.5, ring_timeout=30.0, dtmf_method=DTMFChoice.INFO
)


def door(kind: str) -> str:
    return TOPICS.of_account("door", kind)


def pbx(kind: str) -> str:
    return TOPICS.of_account("pbx", kind)


def state(hass: HomeAssistant, entity_id: str) -> str | None:
    found = hass.states.get(entity_id)
    return None if found is None else found.state


def attributes(hass: HomeAssistant, entity_id: str) -> Mapping[str, Any]:
    found = hass.states.get(entity_id)
    assert found is not None
    return found.attributes


@pytest.mark.parametrize(
    ("entity_id", "topic", "payload", "expected"),
    [
        ("sensor.door_call_state", door("call"), TALKING, "in_call"),
        ("sensor.door_remote_party", door("call"), RINGING, "Front Door"),
        ("sensor.door_call_start", door("call"), RINGING, "2026-11-22T20:15:00+00:00"),
        ("sensor.door_call_answered", door("call"), TALKING, "2026-11-22T20:15:09+00:00"),
        ("sensor.door_last_call", door("last_call"), LAST_CALL, "2026-11-22T20:15:00+00:00"),
        ("sensor.door_last_call_result", door("last_call"), LAST_CALL, "hangup_remote"),
        ("sensor.door_last_call_duration", door("last_call"), LAST_CALL, "30.0"),
        ("sensor.door_registration", door("registration"), Registration(state=RegistrationState.FAILED), "failed"),
        ("sensor.door_missed_calls", door("last_call"), LAST_CALL, "0"),
        ("sensor.pbx_voicemail", pbx("messages"), WaitingMessages(waiting=True, new=2, old=5), "2"),
        ("sensor.door_codec", door("call"), TALKING, "PCMA"),
        ("sensor.door_quality_mos", door("last_call"), replace(LAST_CALL, quality=QUALITY), "3.9"),
        ("sensor.door_packet_loss", door("last_call"), replace(LAST_CALL, quality=QUALITY), "10.0"),
        ("sensor.door_jitter", door("last_call"), replace(LAST_CALL, quality=QUALITY), "12.5"),
        ("binary_sensor.door_ringing", door("call"), RINGING, "on"),
        ("binary_sensor.door_in_call", door("call"), TALKING, "on"),
        ("binary_sensor.pbx_registered", pbx("registration"), Registration(state=RegistrationState.REGISTERED), "on"),
        ("button.door_answer", door("call"), RINGING, "unknown"),
        ("button.door_reject", door("call"), RINGING, "unknown"),
        ("button.door_hang_up", door("call"), TALKING, "unknown"),
        ("button.door_open_door", TOPICS.of_bridge("accounts"), Accounts(accounts=(DOOR, PBX)), "unknown"),
        ("button.door_dial", TOPICS.of_bridge("accounts"), Accounts(accounts=(DOOR, PBX)), "unknown"),
        ("button.door_redial", door("last_call"), replace(LAST_CALL, direction=Direction.OUTGOING), "unknown"),
        ("button.door_reset_missed_calls", door("call"), RINGING, "unknown"),
        ("button.pbx_register", pbx("registration"), Registration(state=RegistrationState.FAILED), "unknown"),
        ("switch.door_do_not_disturb", door("settings"), SETTINGS, "on"),
        ("switch.door_auto_answer", door("settings"), SETTINGS, "on"),
        ("switch.door_mute", door("call"), TALKING, "on"),
        ("switch.door_hold", door("call"), TALKING, "off"),
        ("switch.door_record", door("call"), TALKING, "off"),
        ("number.door_volume", door("settings"), SETTINGS, "50.0"),
        ("number.door_ring_time_out", door("settings"), SETTINGS, "30.0"),
        ("select.door_dtmf_method", door("settings"), SETTINGS, "info"),
        ("select.door_contact", TOPICS.of_bridge("accounts"), Accounts(accounts=(DOOR, PBX)), "Anna"),
        ("text.door_number_to_dial", door("call"), RINGING, ""),
        ("update.home_version", TOPICS.of_bridge("info"), replace(INFO, version="0.0.9"), "on"),
    ],
)
@pytest.mark.usefixtures("entity_registry_enabled_by_default")
async def test_an_entity_is_true_or_unavailable(
    hass: HomeAssistant,
    bridge: FakeBridge,
    entry: MockConfigEntry,
    entity_id: str,
    topic: str,
    payload: object,
    expected: str,
) -> None:
    bridge.die()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    steps = [state(hass, entity_id)]
    bridge.start(DOOR, PBX)
    bridge.retain(topic, encode(payload, TS))
    await hass.async_block_till_done()
    steps.append(state(hass, entity_id))
    async_fire_mqtt_message(hass, topic, b"\xff{rubbish")
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
        invite(direction=None),
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
    keys = ("result", "direction", "ring_seconds", "talk_seconds", "remote_name", "remote_number", "remote_uri")
    assert [told[key] for key in keys] == [
        "hangup_remote",
        "incoming",
        4.5,
        30.0,
        "Front Door",
        "front",
        "sip:front@192.0.2.3",
    ]


async def test_buttons_are_there_only_for_a_call_that_they_fit(hass: HomeAssistant, phone: FakeBridge) -> None:
    buttons = ("button.door_answer", "button.door_reject", "button.door_hang_up")
    idle = [state(hass, each) for each in buttons]
    phone.tell("call", RINGING, "door")
    await hass.async_block_till_done()
    ringing = [state(hass, each) for each in buttons]
    phone.tell("call", TALKING, "door")
    await hass.async_block_till_done()
    talking = [state(hass, each) for each in buttons]
    assert idle == ["unavailable", "unavailable", "unavailable"]
    assert ringing == ["unknown", "unknown", "unknown"]
    assert talking == ["unavailable", "unavailable", "unknown"]


async def test_calls_on_hold_are_talked_in_after_those_that_are_not(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("call", snapshot(call("c1", CallState.ON_HOLD), call("c2", CallState.IN_CALL)), "door")
    await hass.async_block_till_done()
    assert state(hass, "switch.door_hold") == "off"
    phone.tell("call", snapshot(call("c1", CallState.ON_HOLD)), "door")
    await hass.async_block_till_done()
    assert state(hass, "switch.door_hold") == "on"


SWITCHES = ["mute", "hold", "record"]


async def test_switches_of_a_call_are_there_only_while_it_is_talked_in(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("call", RINGING, "door")
    await hass.async_block_till_done()
    assert [state(hass, f"switch.door_{each}") for each in SWITCHES] == ["unavailable"] * 3
    phone.tell("call", TALKING, "door")
    await hass.async_block_till_done()
    assert [state(hass, f"switch.door_{each}") for each in SWITCHES] == ["on", "off", "off"]


async def test_settings_that_the_bridge_has_not_told_can_not_be_changed(hass: HomeAssistant, phone: FakeBridge) -> None:
    settings = ["switch.door_auto_answer", "number.door_volume", "select.door_dtmf_method"]
    assert [state(hass, each) for each in settings] == ["off", "100.0", "auto"]
    phone.retain(door("settings"), "")
    await hass.async_block_till_done()
    assert [state(hass, each) for each in settings] == ["unavailable"] * 3


async def test_a_direct_line_has_nothing_of_a_registrar(hass: HomeAssistant, phone: FakeBridge) -> None:
    missing = ["binary_sensor.door_registered", "button.door_register", "sensor.door_voicemail"]
    assert [state(hass, each) for each in missing] == [None] * 3


async def test_a_line_that_becomes_a_registered_one_gets_the_entities_of_one(
    hass: HomeAssistant, phone: FakeBridge
) -> None:
    phone.tell("accounts", Accounts(accounts=(replace(DOOR, kind=PBX.kind), PBX)))
    await hass.async_block_till_done()
    assert state(hass, "button.door_register") == "unknown"


async def test_without_a_code_the_door_can_not_be_opened(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("accounts", Accounts(accounts=(replace(DOOR, door_code=False), PBX)))
    await hass.async_block_till_done()
    assert state(hass, "button.door_open_door") == "unavailable"


@pytest.mark.parametrize(
    ("version", "expected", "latest"), [("0.0.9", "on", "0.1.0"), ("0.1.0", "off", "0.1.0"), ("9.9.9", "off", "9.9.9")]
)
async def test_a_bridge_older_than_the_integration_has_an_update(
    hass: HomeAssistant, phone: FakeBridge, version: str, expected: str, latest: str
) -> None:
    phone.tell("info", replace(INFO, version=version))
    await hass.async_block_till_done()
    told = attributes(hass, "update.home_version")
    assert (state(hass, "update.home_version"), told["installed_version"], told["latest_version"]) == (
        expected,
        version,
        latest,
    )


async def test_what_was_not_measured_is_unknown(
    hass: HomeAssistant, entity_registry_enabled_by_default: None, phone: FakeBridge
) -> None:
    sensors = ["sensor.door_quality_mos", "sensor.door_packet_loss", "sensor.door_jitter"]
    phone.tell("last_call", LAST_CALL, "door")
    await hass.async_block_till_done()
    assert [state(hass, each) for each in sensors] == ["unknown"] * 3
    phone.tell("last_call", replace(LAST_CALL, quality=RTPQuality()), "door")
    await hass.async_block_till_done()
    assert [state(hass, each) for each in sensors] == ["unknown", "unknown", "0.0"]


async def test_an_old_ring_whose_caller_is_gone_is_none(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.emit(invite(), age=31)
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == "unknown"


async def test_an_old_ring_whose_caller_still_waits_rings(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("call", RINGING, "door")
    phone.emit(invite(), age=31)
    await hass.async_block_till_done()
    assert attributes(hass, "event.door_doorbell")["event_type"] == "ring"


async def test_an_event_that_says_no_time_is_taken_as_new(hass: HomeAssistant, phone: FakeBridge) -> None:
    told = {key: value for key, value in json.loads(encode(invite(), TS)).items() if key != "ts"}
    async_fire_mqtt_message(hass, TOPICS.of_account("door", "event", "INVITE"), json.dumps(told))
    await hass.async_block_till_done()
    assert attributes(hass, "event.door_doorbell")["event_type"] == "ring"


async def test_a_second_caller_rings_while_the_first_is_talked_to(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("call", snapshot(call("c1", CallState.IN_CALL), call("c2")), "door")
    phone.emit(invite(call_id="c2", state=CallState.IN_CALL))
    await hass.async_block_till_done()
    assert attributes(hass, "event.door_doorbell")["call_id"] == "c2"


async def test_who_is_not_to_be_disturbed_hears_no_bell(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("settings", SETTINGS, "door")
    phone.emit(invite())
    await hass.async_block_till_done()
    assert state(hass, "event.door_doorbell") == "unknown"
