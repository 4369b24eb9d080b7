"""The whole chain in the real Home Assistant: a caller at one end, entities at the other."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sip_bridge.phone.call import CallState, VoIPCall
from tests.end_to_end.bridge import Bridge
from tests.end_to_end.phone import DOOR, handset
from tests.end_to_end.sounding import ADAPTING, Ear, passage, utterance, write_wav
from tests.peers.home_assistant import HomeAssistant, State
from tests.peers.sipp import Sipp

DOORBELL = "event.door_doorbell"
ENTITIES = {
    "binary_sensor.door_in_call",
    "binary_sensor.door_ringing",
    "binary_sensor.home_connectivity",
    "button.door_answer",
    "button.door_dial",
    "button.door_hang_up",
    "button.door_open_door",
    "button.door_redial",
    "button.door_reject",
    "button.door_reset_missed_calls",
    "event.door_call",
    DOORBELL,
    "event.door_keys",
    "event.door_message",
    "media_player.door",
    "notify.door",
    "number.door_ring_time_out",
    "number.door_volume",
    "select.door_contact",
    "select.door_dtmf_method",
    "sensor.door_call_answered",
    "sensor.door_call_start",
    "sensor.door_call_state",
    "sensor.door_codec",
    "sensor.door_jitter",
    "sensor.door_last_call",
    "sensor.door_last_call_duration",
    "sensor.door_last_call_result",
    "sensor.door_missed_calls",
    "sensor.door_packet_loss",
    "sensor.door_quality_mos",
    "sensor.door_registration",
    "sensor.door_remote_party",
    "switch.door_auto_answer",
    "switch.door_do_not_disturb",
    "switch.door_hold",
    "switch.door_mute",
    "switch.door_record",
    "text.door_number_to_dial",
    "update.home_version",
}


@pytest.fixture(scope="module")
def bridge(home_assistant: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A bridge at Home Assistant's broker, found by discovery and confirmed as a person would."""
    bridge = Bridge(tmp_path_factory.mktemp("bridge"), home_assistant.broker)
    bridge.start()
    try:
        asyncio.run(confirm(home_assistant))
        yield bridge
    finally:
        bridge.end()


async def confirm(home_assistant: HomeAssistant) -> None:
    flow = await home_assistant.wait_for_flow()
    result = await home_assistant.step_flow(flow["flow_id"])
    assert (result["type"], result["title"]) == ("create_entry", "Home")
    await home_assistant.wait_for_state("sensor.door_call_state", "idle")


async def press(home_assistant: HomeAssistant, button: str) -> None:
    await home_assistant.call_service("button", "press", {"entity_id": button})


async def device_of_the_line(home_assistant: HomeAssistant) -> str:
    found: list[dict[str, Any]] = [device for device in await home_assistant.devices() if device["name"] == "Door"]
    return str(found[0]["id"])


async def doorbell(home_assistant: HomeAssistant) -> str:
    """The doorbell's state: when it last rang."""
    return str((await home_assistant.get_state(DOORBELL))["state"])


async def test_the_bridge_is_found_and_has_a_device_and_one_a_line(
    home_assistant: HomeAssistant, bridge: Bridge
) -> None:
    assert {entity["entity_id"] for entity in await home_assistant.entities()} == ENTITIES
    devices = {device["name"]: device for device in await home_assistant.devices()}
    assert devices["Door"]["via_device_id"] == devices["Home"]["id"]


async def test_the_doorbell_rings_and_the_buttons_answer_and_hang_up(
    home_assistant: HomeAssistant, bridge: Bridge, sipp: Sipp
) -> None:
    before = await doorbell(home_assistant)
    caller = await sipp.call("uac_wait_bye", bridge.address, user="door")
    await home_assistant.wait_for_state("binary_sensor.door_ringing", "on")

    def has_rung(state: State) -> bool:
        return state["state"] not in (before, "unknown") and state["attributes"]["event_type"] == "ring"

    rang = await home_assistant.wait_for_state(DOORBELL, has_rung)
    assert rang["attributes"]["caller_name"] == "Front door"
    await press(home_assistant, "button.door_answer")
    await home_assistant.wait_for_state("sensor.door_call_state", "in_call")
    await home_assistant.wait_for_state("sensor.door_remote_party", "Front door")
    await press(home_assistant, "button.door_hang_up")
    await caller.succeeded()  # it saw our BYE
    await home_assistant.wait_for_state("sensor.door_call_state", "idle")


async def test_the_actions_dial_and_hang_up(home_assistant: HomeAssistant, bridge: Bridge, sipp: Sipp) -> None:
    called = await sipp.listen("uas_answer")
    line = await device_of_the_line(home_assistant)
    await home_assistant.call_service("sip_phone", "dial", {"device_id": line, "to": f"sip:kitchen@{called.address}"})
    await home_assistant.wait_for_state("sensor.door_call_state", "in_call")
    await home_assistant.call_service("sip_phone", "hangup", {"device_id": line})
    await called.succeeded()  # it saw our BYE
    await home_assistant.wait_for_state("sensor.door_call_state", "idle")


NARROW = replace(DOOR, codecs=("PCMA",))
RATE = 8000
LEAST_SNR = 30.0  # dB; G.711 alone leaves 38
SETTLING = 0.5  # seconds from the end of what is played to the end of what is heard


def voice_says_the_utterance(home_assistant: HomeAssistant) -> None:
    write_wav(home_assistant.folder / "voice.wav", utterance(RATE), RATE)


async def listening(call: VoIPCall) -> Ear:
    """An ear that has got used to the call."""
    ear = Ear()
    call.media.sinks.append(ear)
    await ear.hears(ADAPTING)
    return ear


async def test_home_assistants_voice_is_heard_by_the_caller_at_the_door(
    home_assistant: HomeAssistant, bridge: Bridge
) -> None:
    voice_says_the_utterance(home_assistant)
    async with handset(NARROW) as station:
        call = await station.dial(f"sip:door@{bridge.address}")
        await home_assistant.wait_for_state("binary_sensor.door_ringing", "on")
        await press(home_assistant, "button.door_answer")
        await home_assistant.wait_for_state("media_player.door", "on")
        async with home_assistant.states_of("media_player.door") as states:
            target = {"entity_id": "tts.stand_in_voice", "media_player_entity_id": "media_player.door"}
            ear = await listening(call)
            await home_assistant.call_service("tts", "speak", {**target, "message": "Come in."})
            await home_assistant.wait_for_state("media_player.door", "playing")
            await home_assistant.wait_for_state("media_player.door", "on")
            await ear.hears(SETTLING)
        assert passage(ear.signal, RATE).snr_db >= LEAST_SNR
        assert [state["state"] for state in states] == ["playing", "on"]
        await press(home_assistant, "button.door_hang_up")
        await station.finished()
    await home_assistant.wait_for_state("sensor.door_call_state", "idle")


async def test_the_action_speak_calls_speaks_and_hangs_up(home_assistant: HomeAssistant, bridge: Bridge) -> None:
    voice_says_the_utterance(home_assistant)
    line = await device_of_the_line(home_assistant)
    async with handset(NARROW, answers=True) as kitchen:
        asked = {
            "device_id": line,
            "to": f"sip:door@{kitchen.address}",
            "message": "Dinner is ready.",
            "hold_ms": round(ADAPTING * 1000),
        }
        speaking = asyncio.create_task(home_assistant.call_service("sip_phone", "speak", asked, return_response=True))
        call = await kitchen.call_in(CallState.IN_CALL)
        ear = Ear()
        call.media.sinks.append(ear)
        told = await speaking
        await kitchen.finished()
    assert passage(ear.signal, RATE).snr_db >= LEAST_SNR
    assert (told["result"], told["completed"]) == ("answered", True)
    await home_assistant.wait_for_state("sensor.door_call_state", "idle")


async def test_dial_tells_that_nobody_answered(home_assistant: HomeAssistant, bridge: Bridge) -> None:
    line = await device_of_the_line(home_assistant)
    async with handset(NARROW) as kitchen:
        asked = {"device_id": line, "to": f"sip:door@{kitchen.address}", "timeout": 1, "wait": True}
        told = await home_assistant.call_service("sip_phone", "dial", asked, return_response=True)
    assert told["result"] == "no_answer"
    await home_assistant.wait_for_state("sensor.door_call_state", "idle")


async def test_a_dead_bridge_makes_entities_unavailable_and_its_return_rings_nothing(
    home_assistant: HomeAssistant, bridge: Bridge, sipp: Sipp
) -> None:
    await sipp.call("uac_wait_bye", bridge.address, user="door")
    await home_assistant.wait_for_state("binary_sensor.door_ringing", "on")
    rang = await doorbell(home_assistant)
    async with home_assistant.states_of(DOORBELL) as states:
        bridge.kill()
        await home_assistant.wait_for_state("sensor.door_call_state", "unavailable")
        await home_assistant.wait_for_state(DOORBELL, "unavailable")
        await home_assistant.wait_for_state("binary_sensor.home_connectivity", "off")
        sipp.stop()
        bridge.start()
        await home_assistant.wait_for_state("sensor.door_call_state", "idle", within=20)
        await home_assistant.wait_for_state(DOORBELL, rang)
    assert [state["state"] for state in states] == ["unavailable", rang]


async def test_a_restart_of_the_broker_rings_nothing_and_nothing_stays_unavailable(
    home_assistant: HomeAssistant, bridge: Bridge
) -> None:
    rang = await doorbell(home_assistant)
    async with home_assistant.states_of(DOORBELL) as states:
        home_assistant.broker.stop()
        await home_assistant.wait_for_state("binary_sensor.home_connectivity", "off")
        home_assistant.broker.start()
        await home_assistant.wait_for_state("binary_sensor.home_connectivity", "on", within=30)
        await home_assistant.wait_for_state("sensor.door_call_state", "idle", within=30)
        await home_assistant.wait_for_state(DOORBELL, rang)
    assert [state["state"] for state in states] == ["unavailable", rang]


async def test_a_restart_of_home_assistant_rings_nothing(
    home_assistant: HomeAssistant, bridge: Bridge, tmp_path: Path
) -> None:
    rang = await doorbell(home_assistant)
    await home_assistant.restart()
    await home_assistant.wait_for_state("sensor.door_call_state", "idle", within=30)
    assert await doorbell(home_assistant) == rang
