"""Triggers as an automation hears them: once for what happened, and never because something was restarted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers import condition as condition_helper
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import trigger as trigger_helper
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events, async_mock_service

from custom_components.sip_phone.condition import CONDITIONS
from custom_components.sip_phone.contract import (
    CallEndedEvent,
    CallState,
    Direction,
    DoorOpenedEvent,
    DoorOpening,
    DTMFEvent,
    DTMFMethod,
    DTMFSequenceEvent,
    EndReason,
    MessageEvent,
    Origin,
    Registration,
    RegistrationState,
    Remote,
    SequenceEnd,
)
from custom_components.sip_phone.contract import Event as PhoneEvent
from custom_components.sip_phone.trigger import TRIGGERS
from tests.component.bridge import DOOR, FRONT, PBX, FakeBridge, call, invite, snapshot
from tests.component.test_door_stations import add

Automate = Callable[..., Awaitable[list[ServiceCall]]]
TOLD = "{{ dict(trigger | items | rejectattr(0, 'in', ['id', 'idx', 'alias', 'platform', 'description'])) }}"


@pytest.fixture
def automate(hass: HomeAssistant, phone: FakeBridge) -> Automate:
    """Set up an automation of one trigger; what it gives is what it was told, each time that it ran."""

    async def automate(trigger: str, options: dict[str, Any] | None = None, **target: str) -> list[ServiceCall]:
        told: list[ServiceCall] = async_mock_service(hass, "test", "told")
        listen = {"trigger": f"sip_phone.{trigger}"}
        listen |= {"options": options} if options else {}  # type: ignore[dict-item]
        listen |= {"target": target} if target else {}  # type: ignore[dict-item]
        action = {"action": "test.told", "data": {"told": TOLD}}
        config = {"automation": [{"triggers": [listen], "actions": [action]}]}
        assert await async_setup_component(hass, "automation", config)
        await hass.async_block_till_done()
        return told

    return automate


def fields(event_id: str, remote: Remote | None = FRONT, **more: Any) -> dict[str, Any]:
    common: dict[str, Any] = {"event_id": event_id, "seq": 1, "session": "s1", "account": "door", "call_id": "c1"}
    return common | {"direction": Direction.INCOMING, "origin": Origin.REMOTE, "remote": remote} | more


def ended(event_id: str = "x1", reason: EndReason = EndReason.CANCELED, **more: Any) -> CallEndedEvent:
    about: dict[str, Any] = {"event": "CALL_ENDED", "end_reason": reason, "status": 487}
    values = fields(event_id, **(about | more))
    return CallEndedEvent(started_at="2026-11-22T20:15:00.000Z", ring_seconds=12.0, **values)


def key(digits: str, event_id: str) -> DTMFEvent:
    return DTMFEvent(event="DTMF", digits=digits, dtmf_method=DTMFMethod.RTP, **fields(event_id))


def keys(digits: str, event_id: str, code: str | None = None, remote: Remote | None = FRONT) -> DTMFSequenceEvent:
    return DTMFSequenceEvent(
        event="DTMF_SEQUENCE",
        digits=digits,
        dtmf_method=DTMFMethod.RTP,
        ended_by=SequenceEnd.TERMINATOR,
        code=code,
        **fields(event_id, remote),
    )


def device_of(hass: HomeAssistant, entry: MockConfigEntry, name: str) -> str:
    device = dr.async_get(hass).async_get_device_by_identifier(("sip_phone", name), entry.entry_id)
    assert device is not None
    return device.id


async def emit(hass: HomeAssistant, phone: FakeBridge, *events: PhoneEvent) -> None:
    for event in events:
        phone.emit(event)
    await hass.async_block_till_done()


async def test_an_incoming_call_tells_who_calls(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, automate: Automate
) -> None:
    station = await add(hass, entry, caller="front", camera="camera.porch")
    told = await automate("incoming_call")
    await emit(hass, phone, invite("e1"), invite("e1"), invite("e2", state=CallState.IN_CALL))
    assert [each.data["told"] for each in told] == [
        {
            "device_id": device_of(hass, entry, "home/door"),
            "account": "door",
            "line": "Door",
            "call_id": "c1",
            "direction": "incoming",
            "remote_name": "Front Door",
            "remote_number": "front",
            "remote_uri": "sip:front@192.0.2.3",
            "door_station": "Front door",
            "camera": "camera.porch",
        }
    ]
    assert station.title == "Front door"


async def test_a_caller_who_withholds_everything_is_an_incoming_call(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate
) -> None:
    told = await automate("incoming_call")
    await emit(hass, phone, invite("e1", remote=None))
    assert [told[0].data["told"][key] for key in ("remote_name", "remote_number", "door_station")] == [None] * 3


async def test_a_target_is_a_line_a_station_a_bridge_or_one_of_their_entities(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, automate: Automate
) -> None:
    station = await add(hass, entry, caller="front")
    async_mock_service(hass, "test", "told")
    ran = async_capture_events(hass, "automation_triggered")
    targets = {
        "line": {"device_id": device_of(hass, entry, "home/door")},
        "station": {"device_id": device_of(hass, entry, f"door_station:{station.subentry_id}")},
        "bridge": {"device_id": device_of(hass, entry, "home")},
        "entity": {"entity_id": "event.front_door_doorbell"},
        "diagnostic": {"entity_id": "sensor.door_registration"},
        "other line": {"device_id": device_of(hass, entry, "home/pbx")},
        "other entity": {"entity_id": ["event.pbx_doorbell", "event.gone"]},
    }
    automations = [
        {
            "alias": alias,
            "triggers": [{"trigger": "sip_phone.incoming_call", "target": target}],
            "actions": [{"action": "test.told"}],
        }
        for alias, target in targets.items()
    ]
    assert await async_setup_component(hass, "automation", {"automation": automations})
    await emit(hass, phone, invite("e1"))
    assert {each.data["name"] for each in ran} == {"line", "station", "bridge", "entity", "diagnostic"}


@pytest.mark.parametrize(("caller", "runs"), [("front", 1), ("Front*", 1), ("sip:front@192.0.2.3", 1), ("garden", 0)])
async def test_a_trigger_can_be_for_one_caller(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate, caller: str, runs: int
) -> None:
    told = await automate("incoming_call", {"caller": caller})
    await emit(hass, phone, invite("e1"))
    assert len(told) == runs


async def test_an_answered_call_is_told_once_whoever_answered(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate
) -> None:
    told = await automate("call_answered")
    for calls in (
        (call(),),
        (call(state=CallState.IN_CALL),),
        (call(state=CallState.ON_HOLD),),
        (call(state=CallState.IN_CALL), call("c2", CallState.DIALING, Direction.OUTGOING)),
        (call(state=CallState.IN_CALL), call("c2", CallState.IN_CALL, Direction.OUTGOING)),
        (),
    ):
        phone.tell("call", snapshot(*calls), "door")
        await hass.async_block_till_done()
    assert [(each.data["told"]["call_id"], each.data["told"]["direction"]) for each in told] == [
        ("c1", "incoming"),
        ("c2", "outgoing"),
    ]


async def test_a_call_that_was_answered_before_a_restart_is_no_news(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate, entry: MockConfigEntry
) -> None:
    told = await automate("call_answered")
    lost = await automate("registration_lost")
    phone.die()
    phone.tell("call", snapshot(call(state=CallState.IN_CALL)), "door")
    phone.start(DOOR, PBX)
    phone.tell("registration", Registration(state=RegistrationState.FAILED), "pbx")
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert (told, lost) == ([], [])


async def test_a_call_that_ended_tells_how(hass: HomeAssistant, phone: FakeBridge, automate: Automate) -> None:
    told = await automate("call_ended")
    await emit(hass, phone, ended("x1", EndReason.HANGUP_REMOTE, talk_seconds=42.5))
    assert {name: told[0].data["told"][name] for name in ("result", "status", "ring_seconds", "talk_seconds")} == {
        "result": "hangup_remote",
        "status": 487,
        "ring_seconds": 12.0,
        "talk_seconds": 42.5,
    }


@pytest.mark.parametrize(("result", "runs"), [(["busy", "canceled"], 1), ("canceled", 1), (["busy"], 0)])
async def test_the_end_of_a_call_can_be_narrowed_to_results(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate, result: Any, runs: int
) -> None:
    told = await automate("call_ended", {"result": result})
    await emit(hass, phone, ended())
    assert len(told) == runs


@pytest.mark.parametrize(
    ("event", "runs"),
    [
        (ended(), 1),
        (ended(reason=EndReason.TIMEOUT), 1),
        (ended(reason=EndReason.HANGUP_REMOTE, talk_seconds=3.0), 0),
        (ended(reason=EndReason.DECLINED), 0),
        (ended(reason=EndReason.ANSWERED_ELSEWHERE), 0),
        (ended(direction=Direction.OUTGOING), 0),
    ],
)
async def test_a_missed_call_is_one_that_nobody_took(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate, event: CallEndedEvent, runs: int
) -> None:
    told = await automate("call_missed")
    await emit(hass, phone, event)
    assert len(told) == runs


async def test_one_key_is_heard_as_soon_as_it_is_pressed(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate
) -> None:
    told = await automate("dtmf_received", {"digits": "1"})
    await emit(hass, phone, key("2", "k1"), key("1", "k2"), keys("1", "k3"))
    assert [each.data["told"]["digits"] for each in told] == ["1"]


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({}, [None, "door", None]),
        ({"digits": "4711"}, [None]),
        ({"code": "door"}, ["door"]),
        ({"code": "door", "digits": "9"}, []),
        ({"caller": "garden"}, [None]),
    ],
)
async def test_a_sequence_of_keys_is_known_by_its_digits_or_by_the_name_of_its_code(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate, options: dict[str, Any], codes: list[str | None]
) -> None:
    told = await automate("dtmf_received", options)
    garden = Remote(uri="sip:garden@192.0.2.4", user="garden")
    await emit(
        hass, phone, key("4", "k1"), keys("4711", "k2"), keys("????", "k3", "door"), keys("5", "k4", None, garden)
    )
    assert [each.data["told"]["code"] for each in told] == codes


async def test_a_door_code_that_was_sent_is_told(hass: HomeAssistant, phone: FakeBridge, automate: Automate) -> None:
    told = await automate("door_opened")
    await emit(hass, phone, DoorOpenedEvent(event="DOOR_OPENED", by=DoorOpening.REQUEST, **fields("d1")))
    assert len(told) == 1


async def test_a_text_is_told_to_automations_and_not_to_the_bus(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate
) -> None:
    told = await automate("message_received", {"caller": "front"})
    on_bus = async_capture_events(hass, "sip_phone_event")
    await emit(
        hass,
        phone,
        MessageEvent(event="MESSAGE", text="Parcel", **fields("m1")),
        MessageEvent(event="MESSAGE", text="Spam", **fields("m2", None)),
    )
    assert [each.data["told"]["text"] for each in told] == ["Parcel"]
    assert [(each.data["type"], "text" in each.data) for each in on_bus] == [("message_received", False)] * 2


@pytest.mark.parametrize(
    ("trigger", "told_statuses"), [("registration_lost", [503]), ("registration_restored", [None, None])]
)
async def test_a_registration_is_lost_once_and_restored_once(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate, trigger: str, told_statuses: list[int | None]
) -> None:
    told = await automate(trigger)
    for word, status in (
        ("failed", 403),  # it never was registered, so it is not lost
        ("registered", None),
        ("registering", None),
        ("failed", 503),
        ("registering", None),
        ("failed", 503),
        ("registered", None),
    ):
        phone.tell("registration", Registration(state=RegistrationState(word), status=status), "pbx")
        await hass.async_block_till_done()
    assert [each.data["told"].get("status") for each in told] == told_statuses


async def test_triggers_outlive_a_reload_of_the_bridge(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, automate: Automate
) -> None:
    told = await automate("incoming_call", None, device_id=device_of(hass, entry, "home/door"))
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    await emit(hass, phone, invite("e1"))
    assert len(told) == 1


async def test_a_trigger_that_is_switched_off_hears_nothing(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate
) -> None:
    told = await automate("incoming_call")
    await hass.services.async_call("automation", "turn_off", {"entity_id": "automation.automation_0"}, blocking=True)
    await emit(hass, phone, invite("e1"))
    assert told == []


@pytest.mark.parametrize(
    ("trigger", "options"),
    [
        ("incoming_call", {"colour": "red"}),
        ("call_ended", {"result": "answered"}),
        ("dtmf_received", {"digits": "twelve"}),
        ("registration_lost", {"caller": "front"}),
    ],
)
async def test_an_option_that_makes_no_sense_is_refused(
    hass: HomeAssistant,
    phone: FakeBridge,
    automate: Automate,
    caplog: pytest.LogCaptureFixture,
    trigger: str,
    options: dict[str, Any],
) -> None:
    await automate(trigger, options)
    assert "failed to setup triggers" in caplog.text


async def test_what_an_unknown_line_says_is_no_happening(
    hass: HomeAssistant, phone: FakeBridge, automate: Automate
) -> None:
    told = await automate("incoming_call")
    await emit(hass, phone, invite("e1", account="elsewhere"))
    assert told == []


async def test_a_happening_is_a_bus_event_too_without_the_digits(hass: HomeAssistant, phone: FakeBridge) -> None:
    heard = async_capture_events(hass, "sip_phone_event")
    await emit(hass, phone, key("4", "k1"), keys("4711", "k2", "door"))
    assert [(each.data["type"], each.data["line"], each.data["code"]) for each in heard] == [
        ("dtmf_received", "Door", "door")
    ]
    assert "digits" not in heard[0].data


async def test_the_automation_editor_gets_a_form_for_each_trigger_and_condition(
    hass: HomeAssistant, phone: FakeBridge, caplog: pytest.LogCaptureFixture
) -> None:
    assert await async_setup_component(hass, "automation", {})
    triggers = await trigger_helper.async_get_all_descriptions(hass)
    conditions = await condition_helper.async_get_all_descriptions(hass)
    assert {name for name in triggers if name.startswith("sip_phone.")} == {f"sip_phone.{name}" for name in TRIGGERS}
    assert {name for name in conditions if name.startswith("sip_phone.")} == {
        f"sip_phone.{name}" for name in CONDITIONS
    }
    assert "sip_phone integration" not in caplog.text  # a description that can't be parsed is only logged
