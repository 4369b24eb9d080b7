"""What Home Assistant asks of the bridge: buttons, actions, and what becomes of the answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import probatio
import pytest
import yaml
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import floor_registry as fr
from homeassistant.helpers import label_registry as lr
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_mqtt_message

from custom_components.sip_phone import requests
from custom_components.sip_phone.const import DOMAIN
from custom_components.sip_phone.contract import (
    Accounts,
    CallState,
    EndReason,
    ErrorCode,
    Hangup,
    Hold,
    OpenDoor,
    Response,
    SendDTMF,
    Transfer,
    encode,
)
from tests.component.bridge import DOOR, TS, FakeBridge, call, snapshot
from tests.component.test_entities import LAST_CALL

DIAL = "sip_bridge/home/account/door/request/dial"
CALLERS_FAULTS = {
    ErrorCode.INVALID_PAYLOAD,
    ErrorCode.UNKNOWN_ACCOUNT,
    ErrorCode.NO_CALL,
    ErrorCode.AMBIGUOUS_CALL,
    ErrorCode.WRONG_STATE,
    ErrorCode.NOT_ALLOWED,
}


@pytest.fixture
def door(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> str:
    """The id of the line's device."""
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, "home/door"), entry.entry_id)
    assert device is not None
    return device.id


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "RESPONSE_TIMEOUT", 0.2)


async def act(hass: HomeAssistant, action: str, device: str, *, response: bool = False, **fields: Any) -> Any:
    data = {"device_id": device, **fields}
    return await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=response)


async def press(hass: HomeAssistant, button: str) -> None:
    await hass.services.async_call("button", "press", {"entity_id": f"button.door_{button}"}, blocking=True)


async def ring(hass: HomeAssistant, phone: FakeBridge, state: CallState = CallState.RINGING) -> None:
    phone.tell("call", snapshot(call(state=state)), "door")
    await hass.async_block_till_done()


def sent(phone: FakeBridge) -> tuple[str, dict[str, Any], int, bool]:
    """The only request, without what differs from run to run."""
    ((topic, request, qos, retain),) = phone.requests
    return (
        topic,
        {key: value for key, value in request.items() if key not in {"ts", "transaction", "schema"}},
        qos,
        retain,
    )


async def test_the_answer_button_answers_the_call_that_rings(hass: HomeAssistant, phone: FakeBridge) -> None:
    await ring(hass, phone)
    await press(hass, "answer")
    topic = "sip_bridge/home/account/door/request/answer"
    assert sent(phone) == (topic, {"call_id": "c1", "if_state": "ringing"}, 1, False)


async def test_the_hang_up_button_ends_the_call(hass: HomeAssistant, phone: FakeBridge) -> None:
    await ring(hass, phone, CallState.IN_CALL)
    await press(hass, "hang_up")
    topic = "sip_bridge/home/account/door/request/hangup"
    assert sent(phone) == (topic, {"call_id": "c1", "status": 603}, 1, False)


async def test_a_press_that_waited_until_the_call_was_over_does_nothing(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.answer = None
    await ring(hass, phone, CallState.IN_CALL)
    first = hass.async_create_task(press(hass, "hang_up"))
    second = hass.async_create_task(press(hass, "hang_up"))
    await phone.has_request.wait()
    phone.tell("call", snapshot(), "door")
    ((topic, request, _, _),) = phone.requests
    phone.respond(topic, Response.ok(), request["transaction"])
    await first
    with pytest.raises(ServiceValidationError) as caught:
        await second
    assert (caught.value.translation_key, len(phone.requests)) == ("no_call", 1)


@pytest.mark.parametrize(
    ("action", "fields", "request_"),
    [
        (
            "dial",
            {"to": 200},
            {"to": "200", "timeout": 60.0, "headers": {}, "auto_hangup": False, "hold_ms": 500},
        ),
        (
            "dial",
            {"to": "sip:x@192.0.2.9", "from_name": "Door", "timeout": 20, "play": "hello.wav", "auto_hangup": True},
            {
                "to": "sip:x@192.0.2.9",
                "from_name": "Door",
                "timeout": 20.0,
                "headers": {},
                "play": "hello.wav",
                "auto_hangup": True,
                "hold_ms": 500,
            },
        ),
        ("answer", {"call_id": "c1"}, {"call_id": "c1"}),
        ("reject", {"status": 603}, {"status": 603}),
        ("hangup", {}, {"status": 603}),
        (
            "send_dtmf",
            {"digits": "12#", "method": "info"},
            {"digits": "12#", "method": "info", "duration_ms": 160, "gap_ms": 80},
        ),
        ("open_door", {}, {}),
        ("stop_playback", {"call_id": "c1"}, {"call_id": "c1"}),
        ("record", {"name": "x", "max_seconds": 5}, {"name": "x", "max_seconds": 5.0}),
        ("stop_recording", {}, {}),
        ("transfer", {"to": "200"}, {"to": "200"}),
        ("transfer", {"attended_call_id": "c2", "call_id": "c1"}, {"attended_call_id": "c2", "call_id": "c1"}),
        ("hold", {}, {}),
        ("resume", {}, {}),
        ("mute", {}, {}),
        ("unmute", {}, {}),
        ("join", {"other_call_id": "c2"}, {"other_call_id": "c2"}),
        ("separate", {}, {}),
        ("send_message", {"to": "200", "text": "Hello"}, {"to": "200", "text": "Hello"}),
        (
            "play",
            {"url": "a.wav", "volume": 0.5},
            {"url": "a.wav", "loop": False, "volume": 0.5, "enqueue": False, "early": False},
        ),
    ],
)
async def test_an_action_is_the_request_of_its_name(
    hass: HomeAssistant, phone: FakeBridge, door: str, action: str, fields: dict[str, Any], request_: dict[str, Any]
) -> None:
    await act(hass, action, door, **fields)
    assert sent(phone) == (f"sip_bridge/home/account/door/request/{action}", request_, 1, False)


async def test_an_action_returns_what_the_bridge_answered(hass: HomeAssistant, phone: FakeBridge, door: str) -> None:
    phone.answer = Response.ok(call_id="c7")
    assert await act(hass, "dial", door, response=True, to="200") == {"call_id": "c7"}


@pytest.mark.parametrize("code", list(ErrorCode))
async def test_a_refusal_says_whose_fault_it_is_and_why(
    hass: HomeAssistant, phone: FakeBridge, door: str, code: ErrorCode
) -> None:
    phone.answer = Response.failed(code, "because")
    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "dial", door, to="200")
    assert isinstance(caught.value, ServiceValidationError) is (code in CALLERS_FAULTS)
    assert (caught.value.translation_domain, caught.value.translation_key) == (DOMAIN, f"request_{code}")
    assert caught.value.translation_placeholders == {"verb": "dial", "reason": "because"}
    assert "because" in str(caught.value)


async def test_a_bridge_that_is_down_is_not_asked(hass: HomeAssistant, phone: FakeBridge, door: str) -> None:
    phone.die()
    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "dial", door, to="200")
    assert (caught.value.translation_key, phone.requests) == ("bridge_offline", [])


async def test_a_bridge_that_does_not_answer_is_an_error(
    hass: HomeAssistant, phone: FakeBridge, door: str, short_timeout: None
) -> None:
    phone.answer = None
    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "dial", door, to="200")
    assert (caught.value.translation_key, len(phone.requests)) == ("no_response", 1)


async def test_only_the_answer_to_this_very_request_counts(hass: HomeAssistant, phone: FakeBridge, door: str) -> None:
    phone.answer = None
    asked = hass.async_create_task(act(hass, "dial", door, response=True, to="200"))
    await phone.has_request.wait()
    ((_, request, _, _),) = phone.requests
    answers = DIAL.replace("request", "response")
    stale = encode(Response.ok(request["transaction"], call_id="stale"), TS)
    async_fire_mqtt_message(hass, answers, stale, retain=True)
    async_fire_mqtt_message(hass, answers, "{rubbish")
    phone.respond(DIAL, Response.ok(call_id="none"), None)
    phone.respond(DIAL, Response.ok(call_id="another's"), "another")
    phone.respond(DIAL, Response.ok(call_id="ours"), request["transaction"])
    phone.respond(DIAL, Response.ok(call_id="again"), request["transaction"])
    assert await asked == {"call_id": "ours"}


async def test_every_request_has_its_own_transaction(hass: HomeAssistant, phone: FakeBridge, door: str) -> None:
    await act(hass, "dial", door, to="200")
    await act(hass, "dial", door, to="200")
    assert len({request["transaction"] for _, request, _, _ in phone.requests}) == 2


async def test_the_bridge_itself_is_no_line(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    hub = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, "home"), entry.entry_id)
    assert hub is not None
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "dial", hub.id, to="200")
    assert caught.value.translation_key == "not_a_line"


async def test_an_unknown_device_is_refused(hass: HomeAssistant, phone: FakeBridge) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "dial", "nothing", to="200")
    assert caught.value.translation_key == "service_device_not_found"


async def hang_up(hass: HomeAssistant, **target: Any) -> None:
    await hass.services.async_call(DOMAIN, "hangup", target, blocking=True)


@pytest.mark.parametrize(
    "target",
    [
        {"entity_id": "binary_sensor.door_ringing"},
        {"entity_id": ["media_player.door", "event.door_doorbell"]},
        {"account": "door"},
        {"area_id": "hall"},
    ],
)
async def test_a_line_goes_by_its_entities_its_account_or_its_area(
    hass: HomeAssistant, phone: FakeBridge, door: str, target: dict[str, Any]
) -> None:
    ar.async_get(hass).async_create("hall")
    dr.async_get(hass).async_update_device(door, area_id="hall")
    await hang_up(hass, **target)
    assert sent(phone)[0] == "sip_bridge/home/account/door/request/hangup"


@pytest.mark.parametrize("target", [{"label_id": "phones"}, {"area_id": "hall"}, {"floor_id": "ground"}])
async def test_a_line_goes_by_the_label_or_the_place_of_one_of_its_entities(
    hass: HomeAssistant, phone: FakeBridge, target: dict[str, Any]
) -> None:
    floor = fr.async_get(hass).async_create("Ground")
    area = ar.async_get(hass).async_create("Hall", floor_id=floor.floor_id)
    label = lr.async_get(hass).async_create("Phones")
    er.async_get(hass).async_update_entity("event.pbx_doorbell", labels={label.label_id}, area_id=area.id)
    await hang_up(hass, **target)
    assert sent(phone)[0] == "sip_bridge/home/account/pbx/request/hangup"


async def test_a_line_goes_by_its_bridge_and_account(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await hang_up(hass, config_entry_id=entry.entry_id, account="pbx")
    assert sent(phone)[0] == "sip_bridge/home/account/pbx/request/hangup"


async def test_a_bridge_that_is_not_loaded_has_no_line_to_choose_from(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    MockConfigEntry(domain=DOMAIN, title="Cabin", unique_id="cabin", data=dict(entry.data)).add_to_hass(hass)
    phone.tell("accounts", Accounts(accounts=(DOOR,)))
    await hass.async_block_till_done()
    await hang_up(hass)
    assert sent(phone)[0] == "sip_bridge/home/account/door/request/hangup"


async def test_the_only_line_that_there_is_need_not_be_named(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    phone.tell("accounts", Accounts(accounts=(DOOR,)))
    await hass.async_block_till_done()
    await hang_up(hass)
    await hang_up(hass, config_entry_id=entry.entry_id)
    assert [topic for topic, *_ in phone.requests] == ["sip_bridge/home/account/door/request/hangup"] * 2


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ({}, "several_lines"),
        ({"entity_id": ["event.door_doorbell", "event.pbx_doorbell"]}, "several_lines"),
        ({"entity_id": "binary_sensor.home_connectivity"}, "not_a_line"),
        ({"area_id": "nowhere"}, "not_a_line"),
        ({"entity_id": "all"}, "several_lines"),
        ({"entity_id": "none"}, "not_a_line"),
        ({"device_id": "none"}, "not_a_line"),
        ({"floor_id": "nowhere"}, "not_a_line"),
        ({"entity_id": "light.lamp"}, "not_an_entity_of_a_line"),
        ({"account": "garage"}, "unknown_line"),
        ({"config_entry_id": "nothing", "account": "door"}, "service_config_entry_not_found"),
    ],
)
async def test_what_is_not_one_line_is_refused(
    hass: HomeAssistant, phone: FakeBridge, target: dict[str, Any], error: str
) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await hang_up(hass, **target)
    assert (caught.value.translation_key, phone.requests) == (error, [])


async def test_the_calls_of_a_line_are_told(hass: HomeAssistant, phone: FakeBridge, door: str) -> None:
    assert await act(hass, "get_calls", door, response=True) == {"state": "idle", "calls": [], "last_call": None}
    phone.tell("call", snapshot(call()), "door")
    phone.tell("last_call", LAST_CALL, "door")
    told = await act(hass, "get_calls", door, response=True)
    assert (told["state"], told["last_call"]["end_reason"]) == ("ringing", "hangup_remote")
    assert {key: told["calls"][0][key] for key in ("call_id", "direction", "state")} == {
        "call_id": "c1",
        "direction": "incoming",
        "state": "ringing",
    }


async def test_an_action_resets_the_missed_calls(hass: HomeAssistant, phone: FakeBridge, door: str) -> None:
    phone.tell("last_call", replace(LAST_CALL, end_reason=EndReason.CANCELED, talk_seconds=0.0), "door")
    await hass.async_block_till_done()
    missed = [hass.states.get("sensor.door_missed_calls")]
    await act(hass, "reset_missed_calls", door)
    missed.append(hass.states.get("sensor.door_missed_calls"))
    assert [each and each.state for each in missed] == ["1", "0"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (SendDTMF(digits="12,3"), 10 + (4 * 240 + 500) / 1000),
        (Hold(), 40),
        (Transfer(to="100"), 120),
        (OpenDoor(), 120),
        (Hangup(), 10),
    ],
)
def test_an_answer_is_awaited_as_long_as_the_other_party_may_take(request_: Any, expected: float) -> None:
    assert requests._patience(request_) == pytest.approx(expected)


async def test_an_entry_that_is_not_loaded_is_refused(
    hass: HomeAssistant, phone: FakeBridge, door: str, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "dial", door, to="200")
    assert caught.value.translation_key == "service_config_entry_not_loaded"


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("dial", {}),
        ("dial", {"to": ""}),
        ("dial", {"to": "200", "timeout": 0}),
        ("reject", {"status": 200}),
        ("send_dtmf", {"digits": "12 "}),
        ("send_dtmf", {"digits": "1" * 129}),
        ("send_dtmf", {"digits": "1", "method": "morse"}),
        ("play", {"url": "a.wav", "volume": 3}),
        ("speak", {"message": ""}),
        ("speak", {"message": "x", "engine": "light.lamp"}),
        ("transfer", {"to": "1", "attended_call_id": "c2"}),
        ("send_message", {"to": "1"}),
        ("join", {}),
        ("record", {"max_seconds": 0}),
        ("hangup", {"unknown": 1}),
    ],
)
async def test_an_action_with_wrong_fields_never_reaches_the_bridge(
    hass: HomeAssistant, phone: FakeBridge, door: str, action: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(probatio.Invalid):
        await act(hass, action, door, **fields)
    assert phone.requests == []


async def test_the_form_of_every_action_has_the_fields_that_it_takes(hass: HomeAssistant, phone: FakeBridge) -> None:
    forms = yaml.safe_load((Path(requests.__file__).parent / "services.yaml").read_text())
    schemas: dict[str, Any] = {
        name: action.schema for name, action in hass.services.async_services_for_domain(DOMAIN).items()
    }
    taken = {name: {str(key) for key in schema.schema} for name, schema in schemas.items()}
    offered = {name: set(form["fields"]) for name, form in forms.items()}
    assert {name: keys - set(cv.ENTITY_SERVICE_FIELDS) for name, keys in taken.items()} == offered
