"""Sounds and speech: the media player, the messenger, and the actions that wait for what becomes of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from homeassistant.components import tts
from homeassistant.components.media_player import MediaPlayerEntityFeature
from homeassistant.components.tts.const import DATA_COMPONENT
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_mqtt_message,
)
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.sip_phone import outcome, sound
from custom_components.sip_phone.const import DOMAIN
from custom_components.sip_phone.contract import (
    Accounts,
    CallInfo,
    CallState,
    Direction,
    EndReason,
    ErrorCode,
    PlaybackDoneEvent,
    Response,
    Settings,
)
from tests.component.bridge import DOOR, PBX, TOPICS, FakeBridge, call, snapshot
from tests.component.test_entities import LAST_CALL

ANNA, BOB = (contact.number for contact in DOOR.contacts)
PLAYER = "media_player.door"
INTERNAL = "http://192.0.2.50:8123"
DIALED = call("c9", CallState.DIALING, Direction.OUTGOING)
ENDED = replace(LAST_CALL, call_id="c9", direction=Direction.OUTGOING)


class Voice(tts.TextToSpeechEntity):
    """Says everything by one byte."""

    _attr_name = "Voice"
    _attr_supported_languages = ["en", "de"]  # noqa: RUF012
    _attr_default_language = "en"
    _attr_supported_options = ["voice"]  # noqa: RUF012

    async def async_get_tts_audio(self, message: str, language: str, options: dict[str, Any]) -> tuple[str, bytes]:
        return ("wav", b"\0")


@pytest.fixture
async def voice(hass: HomeAssistant, tmp_path: Any) -> None:
    """A text-to-speech engine, and an address where Home Assistant is found."""
    hass.config.internal_url = INTERNAL
    hass.config.media_dirs = {"local": str(tmp_path)}
    (tmp_path / "hello.wav").touch()
    assert await async_setup_component(hass, "media_source", {})
    assert await async_setup_component(hass, "tts", {})
    await hass.data[DATA_COMPONENT].async_add_entities([Voice()])
    await hass.async_block_till_done()


@pytest.fixture
def door(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> str:
    """The id of the line's device."""
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, "home/door"), entry.entry_id)
    assert device is not None
    return device.id


def state(hass: HomeAssistant, entity_id: str) -> str | None:
    found = hass.states.get(entity_id)
    return None if found is None else found.state


def attributes(hass: HomeAssistant, entity_id: str) -> Mapping[str, Any]:
    found = hass.states.get(entity_id)
    assert found is not None
    return found.attributes


async def calls(hass: HomeAssistant, phone: FakeBridge, *live: CallInfo) -> None:
    phone.tell("call", snapshot(*live), "door")
    await hass.async_block_till_done()


async def do(hass: HomeAssistant, action: str, *, response: bool = False, **fields: Any) -> Any:
    domain, _, service = action.partition(".")
    return await hass.services.async_call(domain, service, fields, blocking=True, return_response=response)


async def play(hass: HomeAssistant, media: str, **fields: Any) -> None:
    content = {"media_content_id": media, "media_content_type": "music"}
    await do(hass, "media_player.play_media", entity_id=PLAYER, **content, **fields)


def asked(phone: FakeBridge) -> list[tuple[str, dict[str, Any]]]:
    hidden = {"ts", "transaction", "schema", "loop", "volume", "headers"}
    return [
        (topic.rpartition("/")[2], {key: value for key, value in request.items() if key not in hidden})
        for topic, request, _, _ in phone.requests
    ]


def is_spoken(url: str) -> bool:
    parts = urlsplit(url)
    return url.startswith(f"{INTERNAL}/api/tts_proxy/") and parts.path.endswith(".wav")


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ((), "idle"),
        ((call(),), "idle"),
        ((call(state=CallState.IN_CALL),), "on"),
        ((replace(call(state=CallState.IN_CALL), playing=True),), "playing"),
        ((replace(call(state=CallState.EARLY_MEDIA), playing=True),), "playing"),
    ],
)
async def test_the_player_says_what_the_line_does(
    hass: HomeAssistant, phone: FakeBridge, live: tuple[CallInfo, ...], expected: str
) -> None:
    await calls(hass, phone, *live)
    async_fire_mqtt_message(hass, TOPICS.of_account("door", "call"), "{rubbish")
    await hass.async_block_till_done()
    assert state(hass, PLAYER) == expected
    phone.die()
    await hass.async_block_till_done()
    assert state(hass, PLAYER) == "unavailable"


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ((call("c1", CallState.IN_CALL),), {"call_id": "c1", "enqueue": False, "early": False}),
        ((call("c1"), call("c2", CallState.ON_HOLD)), {"call_id": "c2", "enqueue": False, "early": False}),
        ((call("c1"),), {"call_id": "c1", "enqueue": False, "early": True}),
    ],
)
async def test_media_is_played_to_whom_the_line_talks_to_or_who_rings_it(
    hass: HomeAssistant, phone: FakeBridge, live: tuple[CallInfo, ...], expected: dict[str, Any]
) -> None:
    await calls(hass, phone, *live)
    await play(hass, "http://192.0.2.9/a.wav")
    assert asked(phone) == [("play", {"url": "http://192.0.2.9/a.wav", **expected})]


async def test_media_waits_for_what_plays_where_it_is_asked_to(hass: HomeAssistant, phone: FakeBridge) -> None:
    await calls(hass, phone, call(state=CallState.IN_CALL))
    for word in ("add", "next", "play", "replace"):
        await play(hass, "tone:ring", enqueue=word)
    assert [request["enqueue"] for _, request in asked(phone)] == [True, True, False, False]


async def test_without_a_call_the_contact_is_called_and_hears_it(hass: HomeAssistant, phone: FakeBridge) -> None:
    await do(hass, "select.select_option", entity_id="select.door_contact", option="Bob")
    await play(hass, "http://192.0.2.9/a.wav")
    dial = {"to": BOB, "play": "http://192.0.2.9/a.wav", "auto_hangup": True, "hold_ms": 500, "timeout": 60.0}
    assert asked(phone) == [("dial", dial)]


async def test_who_has_not_answered_yet_hears_nothing(hass: HomeAssistant, phone: FakeBridge) -> None:
    await calls(hass, phone, DIALED)
    with pytest.raises(ServiceValidationError) as caught:
        await play(hass, "http://192.0.2.9/a.wav")
    assert (caught.value.translation_key, phone.requests) == ("not_answered_yet", [])


async def test_a_line_without_contacts_calls_nobody(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("accounts", Accounts(accounts=(replace(DOOR, contacts=()), PBX)))
    await hass.async_block_till_done()
    with pytest.raises(ServiceValidationError) as caught:
        await play(hass, "http://192.0.2.9/a.wav")
    assert (caught.value.translation_key, state(hass, "notify.door")) == ("no_contact", "unavailable")


async def test_what_home_assistant_has_is_given_by_an_address_that_the_bridge_can_fetch(
    hass: HomeAssistant, voice: None, phone: FakeBridge
) -> None:
    await calls(hass, phone, call(state=CallState.IN_CALL))
    await play(hass, "media-source://media_source/local/hello.wav")
    await play(hass, "/local/hello.wav")
    files = [urlsplit(request["url"]) for _, request in asked(phone)]
    assert [f"{each.scheme}://{each.netloc}{each.path}" for each in files] == [
        f"{INTERNAL}/media/local/hello.wav",
        f"{INTERNAL}/local/hello.wav",
    ]
    assert files[0].query.startswith("authSig=")


@pytest.mark.parametrize("options", [{}, {"options": {"voice": "bass"}, "language": "de"}])
async def test_home_assistants_voice_speaks_into_the_call(
    hass: HomeAssistant, voice: None, phone: FakeBridge, options: dict[str, Any]
) -> None:
    await calls(hass, phone, call(state=CallState.IN_CALL))
    await do(hass, "tts.speak", entity_id="tts.voice", media_player_entity_id=PLAYER, message="Come in", **options)
    ((verb, request),) = asked(phone)
    assert (verb, request["call_id"], is_spoken(request["url"])) == ("play", "c1", True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("message=x", "message=x&preferred_format=wav"),
        ("message=x&preferred_format=mp3", "message=x&preferred_format=mp3"),
        ("message=x&tts_options=null", 'message=x&tts_options={"preferred_format":+"wav"}'),
        ("message=x&tts_options={rubbish", "message=x&tts_options={rubbish"),
        ("nothing=x", "nothing=x"),
    ],
)
def test_speech_is_asked_for_in_a_format_that_every_bridge_plays(query: str, expected: str) -> None:
    made = sound.URL(sound._as_wav(f"media-source://tts/tts.voice?{query}"))
    assert dict(made.query) == dict(sound.URL(f"media-source://tts/tts.voice?{expected}").query)


async def test_stop_ends_what_plays_and_nothing_else(hass: HomeAssistant, phone: FakeBridge) -> None:
    await calls(hass, phone, call("c1", CallState.IN_CALL))
    await do(hass, "media_player.media_stop", entity_id=PLAYER)
    await calls(hass, phone, call("c1", CallState.IN_CALL), replace(call("c2", CallState.ON_HOLD), playing=True))
    await do(hass, "media_player.media_stop", entity_id=PLAYER)
    assert asked(phone) == [("stop_playback", {"call_id": "c2"})]


async def test_the_volume_is_the_lines_setting(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("settings", Settings(output_volume=0.4), "door")
    await hass.async_block_till_done()
    assert attributes(hass, PLAYER)["volume_level"] == 0.4
    phone.tell("settings", Settings(output_volume=1.7), "door")
    await hass.async_block_till_done()
    assert attributes(hass, PLAYER)["volume_level"] == 1.0
    await do(hass, "media_player.volume_set", entity_id=PLAYER, volume_level=0.3)
    ((topic, request, _, _),) = phone.requests
    assert (topic.rpartition("/")[2], request["output_volume"]) == ("set", 0.3)


async def test_mute_is_of_the_call_that_is_talked_in(hass: HomeAssistant, phone: FakeBridge) -> None:
    await calls(hass, phone, replace(call("c1", CallState.IN_CALL), muted=True))
    assert attributes(hass, PLAYER)["is_volume_muted"] is True
    for muted in (False, True):
        await do(hass, "media_player.volume_mute", entity_id=PLAYER, is_volume_muted=muted)
    assert asked(phone) == [("unmute", {"call_id": "c1"}), ("mute", {"call_id": "c1"})]


async def test_what_can_not_be_done_now_is_not_offered(hass: HomeAssistant, phone: FakeBridge) -> None:
    mute, volume = MediaPlayerEntityFeature.VOLUME_MUTE, MediaPlayerEntityFeature.VOLUME_SET
    assert attributes(hass, PLAYER)["supported_features"] & (mute | volume) == volume
    phone.retain(TOPICS.of_account("door", "settings"), "")
    await calls(hass, phone, call(state=CallState.IN_CALL))
    assert attributes(hass, PLAYER)["supported_features"] & (mute | volume) == mute
    assert "volume_level" not in attributes(hass, PLAYER)


async def test_home_assistants_sounds_can_be_browsed(
    hass: HomeAssistant, voice: None, phone: FakeBridge, hass_ws_client: WebSocketGenerator
) -> None:
    client = await hass_ws_client()
    where = {"media_content_id": "media-source://media_source/local/.", "media_content_type": ""}
    await client.send_json_auto_id({"type": "media_player/browse_media", "entity_id": PLAYER, **where})
    answer = await client.receive_json()
    assert [child["title"] for child in answer["result"]["children"]] == ["hello.wav"]


async def test_the_messenger_calls_the_contact_and_speaks(hass: HomeAssistant, voice: None, phone: FakeBridge) -> None:
    await do(hass, "notify.send_message", entity_id="notify.door", message="It burns", title="Alarm")
    ((verb, request),) = asked(phone)
    assert (verb, request["to"], request["auto_hangup"], is_spoken(request["play"])) == ("dial", ANNA, True, True)
    assert state(hass, "notify.door") != "unknown"


async def test_without_an_engine_nobody_is_called(hass: HomeAssistant, phone: FakeBridge, door: str) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await do(hass, "sip_phone.speak", device_id=door, message="Hello", to="200")
    assert (caught.value.translation_key, phone.requests) == ("no_speech_engine", [])


async def test_the_cloud_speaks_where_there_is_one(hass: HomeAssistant) -> None:
    hass.states.async_set("tts.a_voice", "unknown")
    assert sound._default_engine(hass) == "tts.a_voice"
    hass.states.async_set("tts.home_assistant_cloud", "unknown")
    assert sound._default_engine(hass) == "tts.home_assistant_cloud"


async def test_the_actions_play_media_sources_too(
    hass: HomeAssistant, voice: None, phone: FakeBridge, door: str
) -> None:
    source = "media-source://media_source/local/hello.wav"
    await do(hass, "sip_phone.play", device_id=door, url=source)
    await do(hass, "sip_phone.dial", device_id=door, to="200", play=source)
    played, dialed = (request for _, request in asked(phone))
    assert [url.partition("?")[0] for url in (played["url"], dialed["play"])] == [
        f"{INTERNAL}/media/local/hello.wav"
    ] * 2


def following(hass: HomeAssistant, action: str, door: str, **fields: Any) -> asyncio.Task[Any]:
    return hass.async_create_task(do(hass, action, response=True, device_id=door, **fields))


async def request_of(hass: HomeAssistant, phone: FakeBridge) -> dict[str, Any]:
    """The request that was made, answered, with what follows from the answer."""
    async with asyncio.timeout(5):
        await phone.has_request.wait()
    ((_, request, _, _),) = phone.requests
    return request


async def test_dial_waits_for_the_answer_if_asked(hass: HomeAssistant, phone: FakeBridge, door: str) -> None:
    phone.answer = Response.ok(call_id="c9")
    waiting = following(hass, "sip_phone.dial", door, to="200", wait=True)
    await request_of(hass, phone)
    phone.tell("call", snapshot(DIALED), "door")
    phone.tell("call", snapshot(replace(DIALED, state=CallState.IN_CALL)), "door")
    assert await waiting == {"call_id": "c9", "result": "answered"}


@pytest.mark.parametrize(
    ("reason", "talked", "result"),
    [
        (EndReason.BUSY, 0.0, "busy"),
        (EndReason.NO_ANSWER, 0.0, "no_answer"),
        (EndReason.HANGUP_REMOTE, 2.0, "answered"),
    ],
)
async def test_dial_tells_how_a_call_ended_that_was_waited_for(
    hass: HomeAssistant, phone: FakeBridge, door: str, reason: EndReason, talked: float, result: str
) -> None:
    phone.answer = Response.ok(call_id="c9")
    waiting = following(hass, "sip_phone.dial", door, to="200", wait=True)
    await request_of(hass, phone)
    phone.emit(replace(ENDED, event_id="e1", call_id="another"))
    phone.emit(replace(ENDED, event_id="e2", end_reason=reason, talk_seconds=talked, status=486))
    told = {"call_id": "c9", "result": result, "status": 486, "ring_seconds": 4.5, "talk_seconds": talked}
    assert await waiting == told


async def test_the_record_tells_how_a_call_ended_whose_end_was_not_heard(
    hass: HomeAssistant, phone: FakeBridge, door: str
) -> None:
    phone.answer = Response.ok(call_id="c9")
    waiting = following(hass, "sip_phone.dial", door, to="200", wait=True)
    await request_of(hass, phone)
    phone.die()
    phone.start(DOOR, PBX)
    phone.tell("last_call", replace(ENDED, end_reason=EndReason.DECLINED, talk_seconds=0.0), "door")
    assert (await waiting)["result"] == "declined"


async def test_a_call_of_which_nothing_more_is_heard_is_an_error(
    hass: HomeAssistant, phone: FakeBridge, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone.answer = Response.ok(call_id="c9")
    monkeypatch.setattr("custom_components.sip_phone.services.MARGIN", -0.9)
    with pytest.raises(HomeAssistantError) as caught:
        await following(hass, "sip_phone.dial", door, to="200", timeout=1, wait=True)
    assert caught.value.translation_key == "no_outcome"


async def test_nobody_listens_to_the_line_once_the_action_is_done(
    hass: HomeAssistant, phone: FakeBridge, door: str, entry: MockConfigEntry
) -> None:
    coordinator = entry.runtime_data
    before = [len(coordinator._event_listeners["door"]), len(coordinator._update_listeners["door"])]
    phone.answer = Response.failed(ErrorCode.NOT_ALLOWED, "no")
    with pytest.raises(ServiceValidationError):
        await following(hass, "sip_phone.dial", door, to="200", wait=True)
    assert [len(coordinator._event_listeners["door"]), len(coordinator._update_listeners["door"])] == before


def played(source: str, event_id: str = "e1", **fields: Any) -> PlaybackDoneEvent:
    values: dict[str, Any] = {"call_id": "c9", "completed": True} | fields
    return PlaybackDoneEvent(
        event="PLAYBACK_DONE", event_id=event_id, seq=1, session="s1", account="door", source=source, **values
    )


async def test_speak_calls_speaks_and_is_done_when_that_is(
    hass: HomeAssistant, voice: None, phone: FakeBridge, door: str
) -> None:
    phone.answer = Response.ok(call_id="c9")
    waiting = following(hass, "sip_phone.speak", door, message="Dinner", to="200", timeout=30, hold_ms=1000)
    request = await request_of(hass, phone)
    assert (request["to"], request["timeout"], request["hold_ms"], request["auto_hangup"]) == ("200", 30.0, 1000, True)
    assert is_spoken(request["play"])
    phone.emit(played(request["play"]))
    phone.emit(replace(ENDED, event_id="e2", end_reason=EndReason.HANGUP_LOCAL, talk_seconds=3.0))
    told = {"call_id": "c9", "result": "answered", "status": None, "ring_seconds": 4.5, "talk_seconds": 3.0}
    assert await waiting == {**told, "completed": True}


async def test_speak_tells_who_did_not_answer(hass: HomeAssistant, voice: None, phone: FakeBridge, door: str) -> None:
    phone.answer = Response.ok(call_id="c9")
    waiting = following(hass, "sip_phone.speak", door, message="Dinner")
    request = await request_of(hass, phone)
    assert request["to"] == ANNA
    phone.emit(replace(ENDED, end_reason=EndReason.NO_ANSWER, talk_seconds=0.0))
    told = await waiting
    assert (told["result"], told["completed"]) == ("no_answer", False)


async def test_speak_speaks_in_the_call_that_there_is_and_leaves_it(
    hass: HomeAssistant, voice: None, phone: FakeBridge, door: str
) -> None:
    await calls(hass, phone, call("c9", CallState.IN_CALL))
    waiting = following(hass, "sip_phone.speak", door, message="Come in", language="de")
    request = await request_of(hass, phone)
    assert (request["call_id"], is_spoken(request["url"])) == ("c9", True)
    phone.emit(played("http://192.0.2.9/other.wav", "e1", completed=False))
    phone.emit(played(request["url"], "e2", call_id="c1", completed=False))
    phone.emit(played(request["url"], "e3"))
    assert await waiting == {"call_id": "c9", "result": "answered", "completed": True}
    assert len(phone.requests) == 1


async def test_speech_that_a_hang_up_cut_short_was_not_completed(
    hass: HomeAssistant, voice: None, phone: FakeBridge, door: str
) -> None:
    waiting = following(hass, "sip_phone.speak", door, message="Come in", call_id="c9")
    await request_of(hass, phone)
    phone.emit(ENDED)
    assert (await waiting)["completed"] is False


async def test_speech_that_can_not_be_heard_is_an_error(
    hass: HomeAssistant, voice: None, phone: FakeBridge, door: str
) -> None:
    waiting = following(hass, "sip_phone.speak", door, message="Come in", call_id="c9")
    request = await request_of(hass, phone)
    phone.emit(played(request["url"], completed=False, error="404 Not Found"))
    with pytest.raises(HomeAssistantError) as caught:
        await waiting
    assert (caught.value.translation_key, caught.value.translation_placeholders) == (
        "not_heard",
        {"reason": "404 Not Found"},
    )


def test_a_sound_of_another_call_says_nothing_of_ours() -> None:
    follower = outcome.Follower(None, "door")  # type: ignore[arg-type]
    follower._async_hear(played("http://192.0.2.9/hello.wav", call_id="c1"))
    heard = [follower.was_played(call_id, "http://192.0.2.9/hello.wav?token=1") for call_id in ("c1", "c9")]
    assert heard == [True, None]


def test_what_a_follower_remembers_is_bounded() -> None:
    follower = outcome.Follower(None, "door")  # type: ignore[arg-type]
    for n in range(outcome.REMEMBERED + 10):
        follower._async_hear(replace(ENDED, event_id=str(n)))
    assert len(follower._events) == outcome.REMEMBERED
