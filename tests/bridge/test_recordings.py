"""Recordings over MQTT."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sip_bridge.bridge.service import Running, running
from sip_bridge.mqtt.contract import ErrorCode, Response
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import RecordingSettings
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, config_of
from tests.phone.recordings import files_no_longer_than, names_in, read_recording

ALWAYS = replace(DOOR, record="answered")
NEVER = replace(DOOR, record="never")


@pytest.fixture(params=[DOOR])
async def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    config = replace(config_of(request.param), recording=RecordingSettings(folder=tmp_path, min_free=0))
    async with running(config) as started:
        yield started


async def talking(mqtt: Mqtt, station: Phone, door: str) -> VoIPCall:
    call = await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await station.state(CallState.IN_CALL)
    return call


def refusal(response: Response) -> tuple[ErrorCode, str]:
    assert response.error is not None
    return response.error.code, response.error.message


def replace_by_a_file(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("")


def recording_flags(mqtt: Mqtt) -> list[bool]:
    topic = TOPICS.of_account("door", "call")
    return [call.recording for seen, payload in mqtt.seen if seen == topic for call in payload.calls]


async def test_a_recording_is_begun_shown_ended_and_told(mqtt: Mqtt, station: Phone, door: str, tmp_path: Path) -> None:
    call = await talking(mqtt, station, door)
    begun = await mqtt.request("record", as_json(name="Postbote", max_seconds=60))
    assert begun.status == "ok"
    file = begun.data["file"]
    assert file.endswith("Z_Postbote.wav")
    assert refusal(await mqtt.request("record")) == (
        "wrong_state",
        f"call {call.call_id} is being recorded already",
    )
    assert (await mqtt.request("stop_recording")).data == {"call_id": call.call_id}
    done = await mqtt.event("RECORDING_DONE")
    assert (done.file, done.reason, done.error, done.missed_seconds) == (file, "stopped", None, 0.0)
    assert (done.call_id, done.direction, done.origin, done.remote.user) == (
        call.call_id,
        "incoming",
        "local",
        "station",
    )
    rate, left, _ = read_recording(tmp_path / file)
    assert (done.seconds, done.size) == (round(len(left) / rate, 3), (tmp_path / file).stat().st_size)
    await mqtt.request("hangup")
    assert [flag for flag in (True, False) if flag in recording_flags(mqtt)] == [True, False]
    assert recording_flags(mqtt)[-1] is False


async def test_a_bare_name_is_enough_and_the_call_ends_the_recording(
    mqtt: Mqtt, station: Phone, door: str, tmp_path: Path
) -> None:
    call = await talking(mqtt, station, door)
    begun = await mqtt.request("record", "../../door")
    call.hangup()
    done = await mqtt.event("RECORDING_DONE")
    assert (done.file, done.reason) == (begun.data["file"], "call_ended")
    assert names_in(tmp_path) == [begun.data["file"]]
    assert begun.data["file"].endswith("Z_door.wav")


@pytest.mark.parametrize("bridge", [ALWAYS], indirect=True)
async def test_a_line_may_record_every_call(mqtt: Mqtt, station: Phone, door: str, tmp_path: Path) -> None:
    call = await talking(mqtt, station, door)
    await mqtt.until(lambda topic, payload: topic.endswith("/call") and any(each.recording for each in payload.calls))
    call.hangup()
    done = await mqtt.event("RECORDING_DONE")
    assert (names_in(tmp_path), done.file.partition("_")[2]) == ([done.file], "door_incoming_station.wav")


@pytest.mark.parametrize("bridge", [NEVER], indirect=True)
async def test_a_line_may_record_none(mqtt: Mqtt, station: Phone, door: str) -> None:
    await talking(mqtt, station, door)
    assert refusal(await mqtt.request("record"))[0] == "not_allowed"
    assert refusal(await mqtt.request("stop_recording"))[0] == "wrong_state"


async def test_a_full_disk_is_told_and_logged_and_the_call_goes_on(
    mqtt: Mqtt, station: Phone, door: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await talking(mqtt, station, door)
    begun = await mqtt.request("record")
    with files_no_longer_than(20_044):
        done = await mqtt.event("RECORDING_DONE")
    error = "the recording can't be written: File too large"
    assert (done.file, done.reason, done.error, done.size) == (begun.data["file"], "disk_full", error, 20_044)
    assert (await mqtt.request("mute")).status == "ok"
    assert f"door: the recording of a call ended: {error}" in caplog.text


async def test_a_folder_that_can_not_be_written_is_a_media_error(
    mqtt: Mqtt, station: Phone, door: str, tmp_path: Path
) -> None:
    await talking(mqtt, station, door)
    replace_by_a_file(tmp_path)
    assert refusal(await mqtt.request("record")) == (
        "media_error",
        "the recording can't be written: File exists",
    )
