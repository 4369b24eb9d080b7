"""What Home Assistant asks of the bridge: buttons, actions, and what becomes of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import probatio
import pytest
import yaml
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_mqtt_message

from custom_components.sip_phone import requests
from custom_components.sip_phone.const import DOMAIN
from custom_components.sip_phone.contract import CallState, ErrorCode, Response, encode
from tests.component.bridge import TS, FakeBridge, call, snapshot

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
        ("play", {"url": "a.wav", "volume": 2}),
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
    assert taken == {name: set(form["fields"]) for name, form in forms.items()}
