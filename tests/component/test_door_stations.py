"""Door stations: described in a form, with a bell, a ringing and a door of their own."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.config_entries import SOURCE_USER, ConfigEntryState, ConfigSubentry, SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, InvalidData
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_mock_service

from custom_components.sip_phone import door_station
from custom_components.sip_phone.contract import CallState, Direction, ErrorCode, Remote, Response
from custom_components.sip_phone.door_station import DoorStation, OpenedBy, matches
from tests.component.bridge import FRONT, PBX, FakeBridge, call, invite, snapshot

GARDEN = Remote(uri="sip:garden@192.0.2.4:5062;transport=udp", user="garden", name="Garden")
BASE: dict[str, Any] = {"name": "Front door", "account": "door", "opened_by": "nothing", "auto_answer": False}


async def form_of(hass: HomeAssistant, entry: MockConfigEntry) -> SubentryFlowResult:
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, "door_station"), context={"source": SOURCE_USER}
    )


async def add(hass: HomeAssistant, entry: MockConfigEntry, **data: Any) -> ConfigSubentry:
    """Describe a station in the form."""
    known = set(entry.subentries)
    form = await form_of(hass, entry)
    added = await hass.config_entries.subentries.async_configure(form["flow_id"], BASE | data)
    assert added["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    subentry: ConfigSubentry
    (subentry,) = (each for key, each in entry.subentries.items() if key not in known)
    return subentry


def state_of(hass: HomeAssistant, entity_id: str) -> str:
    state = hass.states.get(entity_id)
    assert state is not None, entity_id
    return state.state


async def press(hass: HomeAssistant, entity_id: str = "button.front_door_open_door") -> None:
    await hass.services.async_call("button", "press", {"entity_id": entity_id}, blocking=True)


def requests(phone: FakeBridge) -> list[tuple[str, dict[str, Any]]]:
    """Verb and fields of each request that was published."""
    unimportant = {"schema", "ts", "transaction"}
    return [
        (topic.rpartition("/")[2], {key: value for key, value in request.items() if key not in unimportant})
        for topic, request, _, _ in phone.requests
    ]


async def test_a_station_is_described_in_a_form_and_gets_a_device_beside_its_line(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    station = await add(hass, entry, name=" Front door ", caller="front", camera="camera.porch", opened_by="bridge")
    assert (station.title, dict(station.data)) == (
        "Front door",
        BASE | {"caller": "front", "camera": "camera.porch", "opened_by": "bridge"},
    )
    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier(
        ("sip_phone", f"door_station:{station.subentry_id}"), entry.entry_id
    )
    line = registry.async_get_device_by_identifier(("sip_phone", "home/door"), entry.entry_id)
    assert device is not None
    assert line is not None
    assert (device.name, device.model, device.via_device_id) == ("Front door", "Door station", line.id)
    entities = er.async_entries_for_device(er.async_get(hass), device.id)
    assert {(each.entity_id, each.config_subentry_id) for each in entities} == {
        (entity_id, station.subentry_id)
        for entity_id in (
            "binary_sensor.front_door_ringing",
            "button.front_door_open_door",
            "event.front_door_doorbell",
        )
    }


async def test_the_form_asks_for_a_code_or_an_entity_only_where_it_opens_the_door(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    by_keys = await add(hass, entry, opened_by="keys", door_code="12#", dtmf_method="info", opener="lock.gate")
    by_entity = await add(hass, entry, opened_by="entity", opener="lock.gate", door_code="12#")
    assert dict(by_keys.data) == BASE | {"opened_by": "keys", "door_code": "12#", "dtmf_method": "info"}
    assert dict(by_entity.data) == BASE | {"opened_by": "entity", "opener": "lock.gate"}
    form = await form_of(hass, entry)
    with pytest.raises(InvalidData):
        await hass.config_entries.subentries.async_configure(form["flow_id"], BASE | {"opened_by": "entity"})


@pytest.mark.parametrize(
    ("mistake", "errors"),
    [
        ({"opened_by": "keys", "door_code": "twelve"}, {"door_code": "invalid_door_code"}),
        ({"opened_by": "keys", "door_code": ""}, {"door_code": "invalid_door_code"}),
        ({"name": "  "}, {"name": "name_missing"}),
    ],
)
async def test_a_mistake_in_the_form_is_named_and_can_be_put_right(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, mistake: dict[str, str], errors: dict[str, str]
) -> None:
    form = await form_of(hass, entry)
    again = await hass.config_entries.subentries.async_configure(form["flow_id"], BASE | mistake)
    assert (again["type"], again["step_id"], again["errors"]) == (FlowResultType.FORM, "user", errors)
    added = await hass.config_entries.subentries.async_configure(form["flow_id"], BASE)
    assert added["type"] is FlowResultType.CREATE_ENTRY


async def test_without_a_line_there_is_no_station_to_add(hass: HomeAssistant, phone: FakeBridge, entry: Any) -> None:
    phone.start()
    await hass.async_block_till_done()
    result = await form_of(hass, entry)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "no_lines")


async def test_without_its_bridge_no_station_can_be_added(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    result = await form_of(hass, entry)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_loaded")


async def test_a_station_can_be_described_anew(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    station = await add(hass, entry, caller="front")
    form = await entry.start_subentry_reconfigure_flow(hass, station.subentry_id)
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "reconfigure")
    suggested = {str(key): (key.description or {}).get("suggested_value") for key in form["data_schema"].schema}
    assert (suggested["name"], suggested["caller"]) == ("Front door", "front")
    new = BASE | {"name": "Gate", "opened_by": "bridge"}
    result = await hass.config_entries.subentries.async_configure(form["flow_id"], new)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    await hass.async_block_till_done()
    changed = entry.subentries[station.subentry_id]
    assert (changed.title, dict(changed.data), entry.state) == ("Gate", new, ConfigEntryState.LOADED)
    device = dr.async_get(hass).async_get_device_by_identifier(
        ("sip_phone", f"door_station:{station.subentry_id}"), entry.entry_id
    )
    assert device is not None
    assert device.name == "Gate"


async def test_a_station_that_is_removed_takes_its_device_along(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    station = await add(hass, entry, opened_by="bridge")
    hass.config_entries.async_remove_subentry(entry, station.subentry_id)
    await hass.async_block_till_done()
    assert hass.states.get("event.front_door_doorbell") is None
    assert entry.state is ConfigEntryState.LOADED
    device = dr.async_get(hass).async_get_device_by_identifier(
        ("sip_phone", f"door_station:{station.subentry_id}"), entry.entry_id
    )
    assert device is None


async def test_other_changes_of_the_entry_do_not_reload_it(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    before = entry.runtime_data
    hass.config_entries.async_update_entry(entry, title="House")
    await hass.async_block_till_done()
    assert entry.runtime_data is before


async def test_a_station_on_a_line_that_is_gone_is_kept_without_its_line(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    station = await add(hass, entry)
    phone.start(PBX)
    phone.retain(phone.topics.of_account("door", "call"), "")
    await hass.async_block_till_done()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    device = dr.async_get(hass).async_get_device_by_identifier(
        ("sip_phone", f"door_station:{station.subentry_id}"), entry.entry_id
    )
    assert device is not None
    assert device.via_device_id is None
    assert state_of(hass, "binary_sensor.front_door_ringing") == "unknown"


async def test_the_bell_of_a_station_rings_for_its_own_calls_only(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await add(hass, entry, caller="front", camera="camera.porch")
    await add(hass, entry, name="Garden gate", caller="sip:garden@*")
    phone.emit(invite("e1", remote=GARDEN))
    phone.emit(invite("e2", remote=FRONT, state=CallState.IN_CALL))
    phone.emit(invite("e3", remote=FRONT, direction=Direction.OUTGOING))
    phone.tell("call", snapshot(call(remote=GARDEN)), "door")
    await hass.async_block_till_done()
    assert state_of(hass, "event.front_door_doorbell") == "unknown"
    assert state_of(hass, "binary_sensor.front_door_ringing") == "off"
    gate = hass.states.get("event.garden_gate_doorbell")
    assert gate is not None
    assert (gate.attributes["event_type"], gate.attributes["caller_name"]) == ("ring", "Garden")
    assert state_of(hass, "binary_sensor.garden_gate_ringing") == "on"
    phone.emit(invite("e4", remote=FRONT))
    await hass.async_block_till_done()
    front = hass.states.get("event.front_door_doorbell")
    assert front is not None
    told = ("call_id", "camera", "caller_name", "caller_number", "caller_uri")
    assert [front.attributes[key] for key in told] == [
        "c1",
        "camera.porch",
        "Front Door",
        "front",
        "sip:front@192.0.2.3",
    ]


async def test_a_station_without_a_pattern_rings_for_whoever_calls(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await add(hass, entry)
    phone.emit(invite("e1", remote=None))
    await hass.async_block_till_done()
    bell = hass.states.get("event.front_door_doorbell")
    assert bell is not None
    assert (bell.attributes["event_type"], bell.attributes["caller_uri"]) == ("ring", None)


async def test_a_station_goes_with_its_bridge(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    await add(hass, entry)
    assert state_of(hass, "binary_sensor.front_door_ringing") == "off"
    phone.die()
    await hass.async_block_till_done()
    assert state_of(hass, "binary_sensor.front_door_ringing") == "unavailable"


async def test_a_station_that_asks_for_it_is_answered_once(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await add(hass, entry, caller="front", auto_answer=True)
    phone.emit(invite("e1", remote=GARDEN))
    phone.emit(invite("e2", remote=FRONT))
    phone.emit(invite("e3", remote=FRONT, state=CallState.IN_CALL))
    phone.emit(invite("e4", remote=FRONT, account="pbx"))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert requests(phone) == [("answer", {"call_id": "c1", "if_state": "ringing"})]


async def test_an_answer_that_is_refused_is_logged(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    await add(hass, entry, auto_answer=True)
    phone.answer = Response.failed(ErrorCode.WRONG_STATE, "it was answered elsewhere")
    phone.emit(invite("e1"))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert "Did not answer the door station on door: Can't answer" in caplog.text


async def test_the_bridge_opens_the_door_with_its_own_code(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await add(hass, entry, opened_by="bridge", caller="front")
    await press(hass)
    phone.tell("call", snapshot(call("c1", remote=GARDEN), call("c2")), "door")
    await hass.async_block_till_done()
    await press(hass)
    assert requests(phone) == [("open_door", {}), ("open_door", {"call_id": "c2"})]


async def test_keys_open_the_door_in_a_call(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    await add(hass, entry, opened_by="keys", door_code="12#", dtmf_method="info")
    phone.tell("call", snapshot(call("c1"), call("c2", CallState.IN_CALL)), "door")
    await hass.async_block_till_done()
    await press(hass)
    assert requests(phone) == [
        ("send_dtmf", {"call_id": "c2", "digits": "12#", "method": "info", "duration_ms": 160, "gap_ms": 80})
    ]


async def test_keys_open_the_door_of_a_ringing_call_once_it_is_answered(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await add(hass, entry, opened_by="keys", door_code="12#")
    phone.tell("call", snapshot(call()), "door")
    await hass.async_block_till_done()
    phone.has_request.clear()
    pressing = hass.async_create_task(press(hass))
    await phone.has_request.wait()
    phone.tell("call", snapshot(call(), call("c2", CallState.IN_CALL)), "door")
    phone.tell("call", snapshot(call(state=CallState.IN_CALL)), "door")
    await pressing
    assert [verb for verb, _ in requests(phone)] == ["answer", "send_dtmf"]


async def test_without_a_call_keys_open_nothing(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    await add(hass, entry, opened_by="keys", door_code="12#")
    with pytest.raises(ServiceValidationError, match="no such call"):
        await press(hass)
    assert phone.requests == []


async def test_a_call_that_is_not_answered_in_time_gets_no_keys(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_station, "ANSWER_TIMEOUT", 0.05)
    await add(hass, entry, opened_by="keys", door_code="12#")
    phone.tell("call", snapshot(call()), "door")
    await hass.async_block_till_done()
    with pytest.raises(HomeAssistantError, match="not answered in time"):
        await press(hass)
    assert [verb for verb, _ in requests(phone)] == ["answer"]


@pytest.mark.parametrize(
    ("opener", "features", "action"),
    [
        ("lock.gate", 1, "open"),
        ("lock.gate", 0, "unlock"),
        ("button.gate", 0, "press"),
        ("input_button.gate", 0, "press"),
        ("cover.gate", 0, "open_cover"),
        ("switch.gate", 0, "turn_on"),
        ("script.gate", 0, "turn_on"),
    ],
)
async def test_an_entity_opens_the_door_in_the_way_of_its_kind(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, opener: str, features: int, action: str
) -> None:
    await add(hass, entry, opened_by="entity", opener=opener)
    hass.states.async_set(opener, "unknown", {"supported_features": features})
    domain = opener.partition(".")[0]
    button = er.async_get(hass).async_get("button.front_door_open_door")
    assert button is not None
    done = async_mock_service(hass, domain, action)
    (station,) = door_station.door_stations(entry)
    await door_station.async_open(hass, entry.runtime_data, station)
    assert [each.data for each in done] == [{"entity_id": opener}]


async def test_a_door_without_an_opener_has_no_button_and_says_so(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await add(hass, entry)
    assert hass.states.get("button.front_door_open_door") is None
    (station,) = door_station.door_stations(entry)
    with pytest.raises(ServiceValidationError, match="Nothing is set up that opens Front door"):
        await door_station.async_open(hass, entry.runtime_data, station)


@pytest.mark.parametrize(
    ("pattern", "text", "is_match"),
    [
        ("front", "front", True),
        ("FRONT", "front", True),
        ("fr*", "front", True),
        ("front", "front2", False),
        ("[front]", "[front]", True),
        ("sip:*@192.0.2.3", "sip:front@192.0.2.3", True),
    ],
)
def test_a_pattern_is_the_text_with_stars_for_anything(pattern: str, text: str, is_match: bool) -> None:
    assert matches(pattern, text) is is_match


@pytest.mark.parametrize(
    ("caller", "remote", "is_remote"),
    [
        ("garden", GARDEN, True),
        ("garden@192.0.2.4:5062", GARDEN, True),
        ("Garden", GARDEN, True),
        ("front", GARDEN, False),
        ("front", None, False),
        ("", None, True),
    ],
)
def test_a_station_is_known_by_its_number_uri_or_name(caller: str, remote: Remote | None, is_remote: bool) -> None:
    station = DoorStation(id="s1", name="Door", account="door", caller=caller)
    assert station.is_remote(remote) is is_remote


def test_a_door_code_is_in_no_repr() -> None:
    station = DoorStation(id="s1", name="Door", account="door", opened_by=OpenedBy.KEYS, door_code="4711")
    assert "4711" not in repr(station)


def device_of(hass: HomeAssistant, entry: MockConfigEntry, station: ConfigSubentry) -> str:
    device = dr.async_get(hass).async_get_device_by_identifier(
        ("sip_phone", f"door_station:{station.subentry_id}"), entry.entry_id
    )
    assert device is not None
    return device.id


async def act(hass: HomeAssistant, action: str, **data: Any) -> None:
    await hass.services.async_call("sip_phone", action, data, blocking=True)


@pytest.mark.parametrize(
    ("action", "state", "data"),
    [
        ("answer", CallState.RINGING, {}),
        ("reject", CallState.RINGING, {}),
        ("hangup", CallState.IN_CALL, {}),
        ("play", CallState.IN_CALL, {"url": "tone:busy"}),
        ("send_dtmf", CallState.IN_CALL, {"digits": "1"}),
    ],
)
async def test_an_action_for_a_station_is_about_its_call_and_no_other(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, action: str, state: CallState, data: dict[str, Any]
) -> None:
    station = await add(hass, entry, caller="garden", name="Garden")
    other = call("c1", state)
    phone.tell("call", snapshot(other), "door")
    await hass.async_block_till_done()
    with pytest.raises(ServiceValidationError, check=lambda error: error.translation_key == "no_call"):
        await act(hass, action, device_id=device_of(hass, entry, station), **data)
    phone.tell("call", snapshot(other, call("c2", state, remote=GARDEN)), "door")
    await hass.async_block_till_done()
    await act(hass, action, device_id=device_of(hass, entry, station), **data)
    await act(hass, action, entity_id="event.garden_doorbell", call_id="c1", **data)
    assert [(verb, request["call_id"]) for verb, request in requests(phone)] == [(action, "c2"), (action, "c1")]


async def test_a_station_stands_for_its_line_where_no_call_is_needed(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    stations = [await add(hass, entry, name=name, caller=name) for name in ("front", "garden")]
    await act(hass, "dial", device_id=device_of(hass, entry, stations[0]), to="100")
    await act(hass, "send_message", entity_id=["event.front_doorbell", "media_player.door"], to="100", text="Hello")
    assert [(verb, request["to"]) for verb, request in requests(phone)] == [("dial", "100"), ("send_message", "100")]
    with pytest.raises(ServiceValidationError, check=lambda error: error.translation_key == "several_stations"):
        await act(hass, "open_door", device_id=[device_of(hass, entry, each) for each in stations])


async def test_the_action_opens_the_door_of_the_station_in_its_own_way(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    station = await add(hass, entry, opened_by="entity", opener="lock.gate")
    unlocked = async_mock_service(hass, "lock", "unlock")
    await act(hass, "open_door", device_id=device_of(hass, entry, station))
    assert ([each.data["entity_id"] for each in unlocked], phone.requests) == (["lock.gate"], [])
    await act(hass, "open_door", device_id=device_of(hass, entry, station), call_id="c1")
    assert requests(phone) == [("open_door", {"call_id": "c1"})]


async def test_speaking_to_a_station_is_heard_there_or_nowhere(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    station = await add(hass, entry, caller="garden")
    phone.tell("call", snapshot(call(state=CallState.IN_CALL)), "door")
    await hass.async_block_till_done()
    with pytest.raises(ServiceValidationError, check=lambda error: error.translation_key == "no_call"):
        await act(hass, "speak", device_id=device_of(hass, entry, station), message="Hello")
    assert phone.requests == []


async def test_the_line_tells_which_station_its_call_is_with_and_what_camera_sees_it(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    await add(hass, entry, name="Anybody", camera="camera.street")
    await add(hass, entry, name="Garden", caller="garden", camera="camera.garden")
    told = []
    for live in ([], [call()], [call(state=CallState.IN_CALL, remote=GARDEN)]):
        phone.tell("call", snapshot(*live), "door")
        await hass.async_block_till_done()
        state = hass.states.get("sensor.door_remote_party")
        assert state is not None
        told.append((state.attributes["door_station"], state.attributes["camera"]))
    assert told == [(None, None), ("Anybody", "camera.street"), ("Garden", "camera.garden")]
