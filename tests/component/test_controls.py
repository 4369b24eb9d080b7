"""What a person does with a line: switches, numbers, selects, the dial pad, and what each asks of the bridge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sip_phone.contract import (
    Accounts,
    CallInfo,
    CallState,
    Contact,
    Direction,
    Remote,
    Response,
)
from tests.component.bridge import DOOR, PBX, FakeBridge, call, snapshot
from tests.component.restoring import remember
from tests.component.test_entities import LAST_CALL

ANNA, BOB = (contact.number for contact in DOOR.contacts)


def state(hass: HomeAssistant, entity_id: str) -> str | None:
    found = hass.states.get(entity_id)
    return None if found is None else found.state


async def act(hass: HomeAssistant, action: str, entity_id: str, **fields: Any) -> None:
    domain, _, service = action.partition(".")
    await hass.services.async_call(domain, service, {"entity_id": entity_id, **fields}, blocking=True)


async def press(hass: HomeAssistant, button: str, line: str = "door") -> None:
    await act(hass, "button.press", f"button.{line}_{button}")


def sent(phone: FakeBridge) -> list[tuple[str, dict[str, Any]]]:
    """Each request by the end of its topic, without what differs from run to run."""
    hidden = {"ts", "transaction", "schema"}
    return [
        (topic.partition("/account/")[2], {key: value for key, value in request.items() if key not in hidden})
        for topic, request, _, _ in phone.requests
    ]


async def calls(hass: HomeAssistant, phone: FakeBridge, *live: CallInfo, line: str = "door") -> None:
    phone.tell("call", snapshot(*live), line)
    await hass.async_block_till_done()


@pytest.mark.parametrize(
    ("action", "entity_id", "fields", "asked"),
    [
        ("switch.turn_on", "switch.door_do_not_disturb", {}, {"do_not_disturb": True}),
        ("switch.turn_off", "switch.door_do_not_disturb", {}, {"do_not_disturb": False}),
        ("switch.turn_on", "switch.door_auto_answer", {}, {"auto_answer": True}),
        ("number.set_value", "number.door_volume", {"value": 150}, {"output_volume": 1.5}),
        ("number.set_value", "number.door_ring_time_out", {"value": 45}, {"ring_timeout": 45.0}),
        ("select.select_option", "select.door_dtmf_method", {"option": "inband"}, {"dtmf_method": "inband"}),
    ],
)
async def test_a_setting_is_changed_by_one_request_that_names_nothing_else(
    hass: HomeAssistant,
    phone: FakeBridge,
    action: str,
    entity_id: str,
    fields: dict[str, Any],
    asked: dict[str, Any],
) -> None:
    await act(hass, action, entity_id, **fields)
    assert sent(phone) == [("door/request/set", asked)]


@pytest.mark.parametrize(
    ("switch", "on", "off"),
    [("mute", "mute", "unmute"), ("hold", "hold", "resume"), ("record", "record", "stop_recording")],
)
async def test_a_switch_of_the_call_names_the_call_that_is_talked_in(
    hass: HomeAssistant, phone: FakeBridge, switch: str, on: str, off: str
) -> None:
    await calls(hass, phone, call("c1"), call("c2", CallState.IN_CALL))
    await act(hass, "switch.turn_on", f"switch.door_{switch}")
    await act(hass, "switch.turn_off", f"switch.door_{switch}")
    assert sent(phone) == [
        (f"door/request/{on}", {"call_id": "c2"}),
        (f"door/request/{off}", {"call_id": "c2"}),
    ]


async def test_the_reject_button_refuses_the_call_that_rings(hass: HomeAssistant, phone: FakeBridge) -> None:
    await calls(hass, phone, call())
    await press(hass, "reject")
    assert sent(phone) == [("door/request/reject", {"call_id": "c1", "if_state": "ringing"})]


async def test_the_register_button_registers(hass: HomeAssistant, phone: FakeBridge) -> None:
    await press(hass, "register", "pbx")
    assert sent(phone) == [("pbx/request/register", {})]


@pytest.mark.parametrize(
    ("live", "asked"),
    [
        ((), {}),
        ((call("c1"),), {"call_id": "c1"}),
        ((call("c1"), call("c2", CallState.IN_CALL)), {"call_id": "c2"}),
    ],
)
async def test_the_door_is_opened_in_the_call_that_is_talked_in_or_rings(
    hass: HomeAssistant, phone: FakeBridge, live: tuple[CallInfo, ...], asked: dict[str, Any]
) -> None:
    await calls(hass, phone, *live)
    await press(hass, "open_door")
    assert sent(phone) == [("door/request/open_door", asked)]


def dialed(phone: FakeBridge) -> list[str]:
    return [request["to"] for topic, request, _, _ in phone.requests if topic.endswith("/dial")]


async def test_the_dial_button_calls_what_was_entered_last(hass: HomeAssistant, phone: FakeBridge) -> None:
    await press(hass, "dial")
    await act(hass, "text.set_value", "text.door_number_to_dial", value=" 200 ")
    await press(hass, "dial")
    await act(hass, "select.select_option", "select.door_contact", option="Bob")
    assert (state(hass, "text.door_number_to_dial"), state(hass, "select.door_contact")) == ("", "Bob")
    await press(hass, "dial")
    assert dialed(phone) == [ANNA, "200", BOB]


async def test_choosing_a_contact_calls_nobody(hass: HomeAssistant, phone: FakeBridge) -> None:
    await act(hass, "select.select_option", "select.door_contact", option="Bob")
    assert phone.requests == []


async def test_a_line_without_contacts_dials_only_what_is_typed(hass: HomeAssistant, phone: FakeBridge) -> None:
    entities = ("select.pbx_contact", "button.pbx_dial")
    assert [state(hass, each) for each in entities] == ["unavailable", "unavailable"]
    await act(hass, "text.set_value", "text.pbx_number_to_dial", value="200")
    assert [state(hass, each) for each in entities] == ["unavailable", "unknown"]


async def test_a_contact_that_is_gone_is_no_longer_chosen(hass: HomeAssistant, phone: FakeBridge) -> None:
    await act(hass, "select.select_option", "select.door_contact", option="Bob")
    contacts = (Contact(name="Carol", number="sip:carol@192.0.2.9"),)
    phone.tell("accounts", Accounts(accounts=(replace(DOOR, contacts=contacts), PBX)))
    await hass.async_block_till_done()
    assert state(hass, "select.door_contact") == "Carol"


async def test_what_was_entered_is_there_after_a_restart(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    before = {
        "select.contact": {"contact": "Bob"},
        "text.number": {"number": "200"},
        "button.redial": {"target": "sip:old@192.0.2.9"},
    }
    remember(hass, entry, before)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    names = ("select.sip_phone_home_door_contact", "text.sip_phone_home_door_number")
    assert [state(hass, each) for each in names] == ["Bob", "200"]
    await act(hass, "button.press", "button.sip_phone_home_door_redial")
    assert dialed(bridge) == ["sip:old@192.0.2.9"]


async def test_what_was_entered_is_there_after_a_reload(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await act(hass, "select.select_option", "select.door_contact", option="Bob")
    await act(hass, "text.set_value", "text.door_number_to_dial", value="200")
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert (state(hass, "select.door_contact"), state(hass, "text.door_number_to_dial")) == ("Bob", "200")


@pytest.mark.parametrize(
    ("line", "uri", "user", "expected"),
    [
        ("door", "sip:200@192.0.2.2", "200", "sip:200@192.0.2.2"),
        ("pbx", "sip:200@192.0.2.2", "200", "200"),
        ("pbx", "sip:200@192.0.2.2;user=phone", "200", "200"),
        ("pbx", "sip:anna@192.0.2.9", "anna", "sip:anna@192.0.2.9"),
    ],
)
async def test_redial_calls_a_number_of_the_registrar_by_its_number_and_others_by_their_address(
    hass: HomeAssistant, phone: FakeBridge, line: str, uri: str, user: str, expected: str
) -> None:
    assert state(hass, f"button.{line}_redial") == "unavailable"
    remote = Remote(uri=uri, user=user)
    await calls(hass, phone, call(direction=Direction.OUTGOING, remote=remote), line=line)
    await press(hass, "redial", line)
    assert dialed(phone) == [expected]


async def test_redial_remembers_whom_the_line_called_before_others_called_it(
    hass: HomeAssistant, phone: FakeBridge
) -> None:
    outgoing = replace(LAST_CALL, direction=Direction.OUTGOING, remote=Remote(uri="sip:anna@192.0.2.9"))
    phone.tell("last_call", outgoing, "door")
    phone.tell("last_call", replace(LAST_CALL, event_id="e10"), "door")
    await press(hass, "redial")
    assert dialed(phone) == ["sip:anna@192.0.2.9"]


async def meanwhile_nothing_is_left(hass: HomeAssistant, phone: FakeBridge, action: Any, again: Any) -> str | None:
    """Do something twice; the second finds call and contacts gone, since the first had to wait for its answer."""
    phone.answer = None
    first, second = hass.async_create_task(action), hass.async_create_task(again)
    await phone.has_request.wait()
    phone.tell("call", snapshot(), "door")
    phone.tell("accounts", Accounts(accounts=(replace(DOOR, contacts=()), PBX)))
    ((topic, request, _, _),) = phone.requests
    phone.respond(topic, Response.ok(), request["transaction"])
    await first
    with pytest.raises(ServiceValidationError) as caught:
        await second
    assert len(phone.requests) == 1
    return caught.value.translation_key


async def test_a_switch_that_waited_until_the_call_was_over_does_nothing(
    hass: HomeAssistant, phone: FakeBridge
) -> None:
    await calls(hass, phone, call(state=CallState.IN_CALL))
    actions = (act(hass, f"switch.turn_{word}", "switch.door_mute") for word in ("on", "off"))
    assert await meanwhile_nothing_is_left(hass, phone, *actions) == "no_call"


async def test_a_dial_button_that_waited_until_nobody_was_left_calls_nobody(
    hass: HomeAssistant, phone: FakeBridge
) -> None:
    assert await meanwhile_nothing_is_left(hass, phone, press(hass, "dial"), press(hass, "dial")) == "no_number"
