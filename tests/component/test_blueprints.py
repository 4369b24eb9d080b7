"""The blueprints, imported and driven by what a bridge says over MQTT."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from homeassistant.components.blueprint.schemas import BLUEPRINT_SCHEMA
from homeassistant.core import Context, HomeAssistant, ServiceCall
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import load_yaml_dict
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
    async_mock_service,
)

from custom_components.sip_phone.contract import CallState, Direction, EndReason, ErrorCode, Remote, Response
from tests.component.bridge import FRONT, FakeBridge, call, invite, snapshot
from tests.component.test_door_stations import requests
from tests.component.test_triggers import device_of, ended, key, keys

FOLDER = Path(__file__).parents[2] / "blueprints" / "automation" / "sip_phone"
BLUEPRINTS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
BUTTON = "button.door_open_door"
Use = Callable[..., Awaitable[None]]


async def settle() -> None:
    """Let run what runs by itself; an automation may wait for long, so that nothing is ever all done."""
    for _ in range(300):
        await asyncio.sleep(0)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  # Home Assistant sets no event for it
            await asyncio.sleep(0.001)
    await settle()


@pytest.fixture
def use(hass: HomeAssistant, phone: FakeBridge, tmp_path: Path) -> Use:
    """Import a blueprint and make an automation of it."""

    async def use(blueprint: str, **inputs: Any) -> None:
        hass.config.config_dir = str(tmp_path)
        folder = tmp_path / "blueprints" / "automation" / "sip_phone"
        folder.mkdir(parents=True)
        shutil.copy(FOLDER / f"{blueprint}.yaml", folder)
        automation = {"use_blueprint": {"path": f"sip_phone/{blueprint}.yaml", "input": inputs}}
        assert await async_setup_component(hass, "automation", {"automation": [automation | {"alias": "it"}]})
        await hass.async_block_till_done()
        state = hass.states.get("automation.it")
        assert state is not None
        assert state.state == "on"

    return use


def door(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, str]:
    return {"device_id": device_of(hass, entry, "home/door")}


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_a_blueprint_says_where_it_is_from_and_has_a_link_in_the_documentation(blueprint: str) -> None:
    path = FOLDER / f"{blueprint}.yaml"
    header = BLUEPRINT_SCHEMA(load_yaml_dict(path))["blueprint"]
    source = f"https://github.com/sip-bridge/sip-bridge/blob/main/blueprints/automation/sip_phone/{blueprint}.yaml"
    assert (header["source_url"], header["domain"], header["homeassistant"]["min_version"]) == (
        source,
        "automation",
        yaml.safe_load((path.parents[3] / "hacs.json").read_text())["homeassistant"],
    )
    assert (
        source.replace(":", "%3A").replace("/", "%2F") in (path.parents[3] / "docs" / "home-assistant.md").read_text()
    )


# --- someone at the door -------------------------------------------------------------------------------------------


@pytest.fixture
async def pixel(hass: HomeAssistant, entry: MockConfigEntry, use: Use) -> list[ServiceCall]:
    """A phone that is told of visitors; what it is told."""
    app = MockConfigEntry(domain="mobile_app")
    app.add_to_hass(hass)
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=app.entry_id, identifiers={("mobile_app", "1")}, name="Jo's Pixel"
    )
    told: list[ServiceCall] = async_mock_service(hass, "notify", "mobile_app_jo_s_pixel")
    await use(
        "someone_at_the_door",
        door=door(hass, entry),
        phones=[device.id],
        open_door=BUTTON,
        camera="camera.porch",
        after_answer=[{"action": "test.answered"}],
    )
    return told


def ring(phone: FakeBridge) -> None:
    phone.tell("call", snapshot(call()), "door")
    phone.emit(invite())


async def tap(hass: HomeAssistant, told: list[ServiceCall], title: str) -> None:
    """Choose an action of the notification."""
    (action,) = (each["action"] for each in told[0].data["data"]["actions"] if each["title"] == title)
    hass.bus.async_fire("mobile_app_notification_action", {"action": action}, context=Context())
    await until(lambda: len(told) == 2)


async def test_a_visitor_is_shown_with_a_picture_and_three_actions(
    hass: HomeAssistant, phone: FakeBridge, pixel: list[ServiceCall]
) -> None:
    ring(phone)
    await until(lambda: len(pixel) == 1)
    (shown,) = pixel
    data = shown.data["data"]
    assert (shown.data["title"], shown.data["message"]) == ("Someone at the door", "Front Door rings.")
    assert (data["image"], data["ttl"]) == ("/api/camera_proxy/camera.porch", 0)
    assert [each["title"] for each in data["actions"]] == ["Answer", "Open", "Ignore"]


@pytest.mark.parametrize(
    ("title", "asked", "answered"),
    [
        ("Answer", [("answer", {"call_id": "c1"})], 1),
        ("Open", [("open_door", {"call_id": "c1"})], 0),
        ("Ignore", [("reject", {"call_id": "c1"})], 0),
    ],
)
async def test_an_action_of_the_notification_is_done_and_the_notification_goes(
    hass: HomeAssistant,
    phone: FakeBridge,
    pixel: list[ServiceCall],
    title: str,
    asked: list[tuple[str, dict[str, Any]]],
    answered: int,
) -> None:
    done = async_mock_service(hass, "test", "answered")
    ring(phone)
    await until(lambda: len(pixel) == 1)
    await tap(hass, pixel, title)
    await until(lambda: (len(phone.requests), len(done)) == (1, answered))
    assert (requests(phone), len(done)) == (asked, answered)
    assert (pixel[-1].data["message"], pixel[-1].data["data"]["tag"]) == (
        "clear_notification",
        pixel[0].data["data"]["tag"],
    )


async def test_a_visitor_who_gives_up_takes_the_notification_along(
    hass: HomeAssistant, phone: FakeBridge, pixel: list[ServiceCall]
) -> None:
    ring(phone)
    await until(lambda: len(pixel) == 1)
    phone.tell("call", snapshot(), "door")
    phone.emit(ended())
    await until(lambda: len(pixel) == 2)
    assert ([each.data["message"] for each in pixel], phone.requests) == (
        ["Front Door rings.", "clear_notification"],
        [],
    )


# --- a PIN opens the door ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opener", "domain", "action"),
    [
        ("lock.front", "lock", "unlock"),
        ("switch.relay", "switch", "turn_on"),
        ("cover.gate", "cover", "open_cover"),
    ],
)
async def test_the_named_code_opens_the_door_and_no_other_does(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, use: Use, opener: str, domain: str, action: str
) -> None:
    opened = async_mock_service(hass, domain, action)
    after = async_mock_service(hass, "test", "after")
    await use(
        "pin_opens_the_door",
        line=door(hass, entry),
        code="door",
        open_door=opener,
        afterwards=[{"action": "test.after"}],
    )
    phone.emit(keys("????", "k1"))
    phone.emit(keys("????", "k2", "garage"))
    await settle()
    assert opened == []
    phone.emit(keys("????", "k3", "door"))
    await until(lambda: len(after) == 1)
    assert ([each.data["entity_id"] for each in opened], len(after)) == ([[opener]], 1)


async def test_a_code_can_be_for_one_caller(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, use: Use
) -> None:
    opened = async_mock_service(hass, "lock", "unlock")
    line = door(hass, entry)
    await use("pin_opens_the_door", line=line, code="door", open_door="lock.front", caller="front")
    phone.emit(keys("????", "k1", "door", Remote(uri="sip:thief@192.0.2.9", user="thief")))
    await settle()
    assert opened == []
    phone.emit(keys("????", "k2", "door", FRONT))
    await until(lambda: len(opened) == 1)
    assert len(opened) == 1


# --- an alarm calls people -----------------------------------------------------------------------------------------


@pytest.fixture
async def alarm(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, use: Use) -> list[ServiceCall]:
    """An alarm that calls 100, then 200; what it did in the end."""
    phone.answer = Response.ok(call_id="c1")
    finally_done: list[ServiceCall] = async_mock_service(hass, "test", "done")
    await use(
        "alarm_calls_people",
        alarm=[{"trigger": "event", "event_type": "alarm"}],
        line=device_of(hass, entry, "home/door"),
        people=["100", "200"],
        sound="http://192.0.2.1/alarm.wav",
        rounds=1,
        confirmed=[{"action": "test.done", "data": {"who": "{{ person }}"}}],
        nobody=[{"action": "test.done", "data": {"who": "nobody"}}],
    )
    hass.bus.async_fire("alarm")
    await until(lambda: dialed(phone) == ["100"])
    return finally_done


async def outgoing(hass: HomeAssistant, phone: FakeBridge, *states: CallState) -> None:
    """The alarm's call goes through states; without any it is gone."""
    for state in states:
        phone.tell("call", snapshot(call(state=state, direction=Direction.OUTGOING)), "door")
        await settle()


async def refuse(hass: HomeAssistant, phone: FakeBridge, event_id: str, reason: EndReason) -> None:
    phone.tell("call", snapshot(), "door")
    phone.emit(ended(event_id, reason, direction=Direction.OUTGOING))
    await settle()


def dialed(phone: FakeBridge) -> list[str]:
    return [request["to"] for verb, request in requests(phone) if verb == "dial"]


async def test_who_presses_the_key_ends_the_alarm(
    hass: HomeAssistant, phone: FakeBridge, alarm: list[ServiceCall]
) -> None:
    assert requests(phone)[0][1]["play"] == "http://192.0.2.1/alarm.wav"
    await outgoing(hass, phone, CallState.DIALING, CallState.IN_CALL)
    phone.emit(key("2", "k1"))
    phone.emit(key("1", "k2"))
    await until(lambda: len(alarm) == 1)
    assert [verb for verb, _ in requests(phone)] == ["dial", "hangup"]
    assert [each.data["who"] for each in alarm] == [100]


async def test_who_is_busy_or_hangs_up_without_the_key_makes_the_next_one_be_called(
    hass: HomeAssistant, phone: FakeBridge, alarm: list[ServiceCall]
) -> None:
    await refuse(hass, phone, "x1", EndReason.BUSY)
    await until(lambda: dialed(phone) == ["100", "200"])
    await outgoing(hass, phone, CallState.DIALING, CallState.IN_CALL)
    await refuse(hass, phone, "x2", EndReason.HANGUP_REMOTE)
    await until(lambda: len(alarm) == 1)
    assert [each.data["who"] for each in alarm] == ["nobody"]
    assert [verb for verb, _ in requests(phone)] == ["dial", "dial"]


async def test_an_answering_machine_is_hung_up_on(
    hass: HomeAssistant, phone: FakeBridge, alarm: list[ServiceCall]
) -> None:
    await outgoing(hass, phone, CallState.DIALING, CallState.IN_CALL)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=50))
    await until(lambda: len(dialed(phone)) == 2)
    assert [verb for verb, _ in requests(phone)] == ["dial", "hangup", "dial"]
    assert alarm == []


async def test_a_call_that_cannot_be_placed_makes_the_next_one_be_called(
    hass: HomeAssistant, phone: FakeBridge, alarm: list[ServiceCall]
) -> None:
    phone.answer = Response.failed(ErrorCode.NOT_ALLOWED, "not on the list")
    await refuse(hass, phone, "x1", EndReason.BUSY)
    await until(lambda: len(alarm) == 1)
    assert dialed(phone) == ["100", "200"]
    assert [each.data["who"] for each in alarm] == ["nobody"]


# --- announce, pause -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("remote", "message"), [(FRONT, "Front Door is calling."), (None, "Somebody is calling.")])
async def test_who_calls_is_announced(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, use: Use, remote: Remote | None, message: str
) -> None:
    said = async_mock_service(hass, "tts", "speak")
    await use("announce_who_calls", line=door(hass, entry), speakers=["media_player.hall"], voice="tts.piper")
    phone.emit(invite(remote=remote))
    await until(lambda: len(said) == 1)
    (spoken,) = said
    assert (spoken.data["entity_id"], spoken.data["media_player_entity_id"], spoken.data["message"]) == (
        ["tts.piper"],
        ["media_player.hall"],
        message,
    )


async def test_what_plays_is_paused_while_in_a_call(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, use: Use
) -> None:
    hass.states.async_set("media_player.hall", "playing")
    hass.states.async_set("media_player.bath", "idle")
    paused = async_mock_service(hass, "media_player", "media_pause")
    played = async_mock_service(hass, "media_player", "media_play")
    await use("pause_media", line=door(hass, entry), players=["media_player.hall", "media_player.bath"])
    ring(phone)
    await settle()
    assert paused == []
    phone.tell("call", snapshot(call(state=CallState.IN_CALL)), "door")
    await until(lambda: len(paused) == 1)
    assert ([each.data["entity_id"] for each in paused], played) == ([["media_player.hall"]], [])
    phone.tell("call", snapshot(), "door")
    phone.emit(ended(reason=EndReason.HANGUP_REMOTE))
    await until(lambda: len(played) == 1)
    assert [each.data["entity_id"] for each in played] == [["media_player.hall"]]


async def test_what_plays_can_be_paused_as_soon_as_it_rings(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, use: Use
) -> None:
    hass.states.async_set("media_player.hall", "playing")
    paused = async_mock_service(hass, "media_player", "media_pause")
    await use("pause_media", line=door(hass, entry), players=["media_player.hall"], while_ringing=True)
    ring(phone)
    await until(lambda: len(paused) == 1)
    assert [each.data["entity_id"] for each in paused] == [["media_player.hall"]]
