"""Sounds by MQTT: from a web server, in a queue, before the answer, and what is said when there is none."""

import asyncio
import dataclasses
from array import array
from collections.abc import AsyncIterator

import pytest

from sip_bridge.bridge.service import running
from sip_bridge.media.pcm import samples_of
from sip_bridge.phone.call import CallState
from sip_bridge.phone.settings import MediaSettings
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, config_of, ringing_uri
from tests.bridge.watcher import watching
from tests.phone.sound_files import encoded, sine, wav
from tests.phone.sound_server import SoundServer, body, redirect, serving

TONE = wav(sine(440, 8000, 0.3), 8000)
DONE = TOPICS.of_account("door", "event", "PLAYBACK_DONE")
SECRETS = ("s3cret", "authSig", "ann")


@pytest.fixture
async def server() -> AsyncIterator[SoundServer]:
    answers = {
        "/tone.wav": body(TONE),
        "/tone.mp3": body(encoded("mp3", 1000.0, 0.3), "audio/mpeg"),
        "/page.mp3": body(b"<html>Log in</html>", "text/html"),
        "/gone.mp3": body(b"", status="404 Not Found"),
        "/round.mp3": redirect("/round.mp3?authSig=s3cret"),
    }
    async with serving(answers) as made:
        yield made


class Ear:
    """A sink that keeps what it hears, and waits for something loud."""

    def __init__(self) -> None:
        self.loud = asyncio.Event()

    def write(self, frame: bytes, rate: int) -> None:
        if max(map(abs, samples_of(frame) or array("h", [0]))) > 1000:
            self.loud.set()


async def answered(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")


async def test_queued_urls_play_one_after_the_other_and_show_no_token(
    mqtt: Mqtt, station: Phone, door: str, server: SoundServer
) -> None:
    await answered(mqtt, station, door)
    for path in ("/tone.wav", "/tone.mp3"):
        url = server.url(f"{path}?authSig=s3cret", userinfo="ann:s3cret@")
        assert (await mqtt.request("play", as_json(url=url, enqueue=True, volume=1.5))).status == "ok"
    ends = [await mqtt.event("PLAYBACK_DONE") for _ in range(2)]
    assert [(end.source, end.completed, end.error) for end in ends] == [
        (server.url("/tone.wav"), True, None),
        (server.url("/tone.mp3"), True, None),
    ]
    published = [message for message in mqtt.raw if "/request/" not in message.topic]
    assert not [message for message in published if any(secret in str(message.payload) for secret in SECRETS)]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/page.mp3", "text, not a sound"),
        ("/gone.mp3", "the server answers 404 Not Found"),
        ("/round.mp3", "the server moved it more than 5 times"),
    ],
)
async def test_a_url_without_sound_is_a_media_error_and_the_call_goes_on(
    mqtt: Mqtt, station: Phone, door: str, server: SoundServer, path: str, reason: str
) -> None:
    await answered(mqtt, station, door)
    response = await mqtt.request("play", as_json(url=server.url(f"{path}?authSig=s3cret")))
    assert response.error is not None
    assert (response.error.code, response.error.message) == ("media_error", f"{server.url(path)}: {reason}")
    assert (await mqtt.request("hangup")).status == "ok"


async def test_the_snapshot_says_whether_something_plays(mqtt: Mqtt, station: Phone, door: str) -> None:
    snapshot = TOPICS.of_account("door", "call")
    await answered(mqtt, station, door)
    assert mqtt.latest(snapshot).calls[0].playing is False
    assert (await mqtt.request("play", "tone:dial")).status == "ok"
    assert mqtt.latest(snapshot).calls[0].playing is True
    assert (await mqtt.request("stop_playback")).status == "ok"
    assert mqtt.latest(snapshot).calls[0].playing is False
    assert (await mqtt.request("play", "tone:busy/0.2")).status == "ok"
    await mqtt.event("PLAYBACK_DONE")
    assert mqtt.latest(snapshot).calls[0].playing is False


async def test_the_caller_hears_a_tone_before_the_answer(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await station.call(door)
    ear = Ear()
    call.media.sinks.append(ear)
    await mqtt.event("RINGING")
    assert (await mqtt.request("play", as_json(url="tone:ringback@gb", early=True))).status == "ok"
    assert mqtt.latest(TOPICS.of_account("door", "call")).state == "early_media"
    await station.state(CallState.EARLY_MEDIA)
    async with asyncio.timeout(10):
        await ear.loud.wait()
    assert (await mqtt.request("stop_playback")).status == "ok"
    assert mqtt.latest(DONE).source == "tone:ringback@gb"
    assert (await mqtt.request("answer")).status == "ok"
    await station.state(CallState.IN_CALL)
    await mqtt.event("ACK")
    ear.loud.clear()
    assert (await mqtt.request("play", "tone:dial")).status == "ok"
    async with asyncio.timeout(10):
        await ear.loud.wait()
    assert mqtt.events()[:4] == ["INVITE", "RINGING", "SESSION_PROGRESS", "PLAYBACK_DONE"]


async def test_a_call_with_early_media_can_be_rejected_like_any_other(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("play", as_json(url="tone:busy", early=True))
    await mqtt.request("reject", "486")
    assert (await station.finished()).status == 486
    assert mqtt.latest(DONE).completed is False


async def test_without_early_a_ringing_call_plays_nothing(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    response = await mqtt.request("play", "tone:busy")
    assert response.error is not None
    assert response.error.code == "wrong_state"


async def test_an_announcement_that_can_never_be_played_places_no_call(mqtt: Mqtt, station: Phone) -> None:
    for source in ("tone:moo", "ftp://ann:s3cret@ha.local/a.mp3"):
        response = await mqtt.request("dial", as_json(to=ringing_uri(station), play=source))
        assert response.error is not None
        assert response.error.code == "media_error"
        assert "s3cret" not in response.error.message
    assert mqtt.events() == []


async def test_files_outside_of_the_folders_are_not_allowed(station: Phone) -> None:
    restricted = dataclasses.replace(config_of(DOOR), media=MediaSettings(folders=()))
    async with running(restricted) as bridge, watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
        mqtt = Mqtt(watcher=watcher)
        await mqtt.until(lambda topic, payload: topic == TOPICS.of_bridge("state") and payload.state == "online")
        await answered(mqtt, station, f"sip:door@127.0.0.1:{bridge.sip_port}")
        response = await mqtt.request("play", "/etc/passwd")
        assert response.error is not None
        assert response.error.code == "not_allowed"
