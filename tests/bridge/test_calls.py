"""Calls through the whole bridge: a phone at one end, an MQTT client at the other."""

import asyncio
import dataclasses
import math
import struct
import wave
from pathlib import Path

from sip_bridge.bridge.service import Running, running
from sip_bridge.phone.call import CallState
from sip_bridge.sip.events import EndCause
from sip_bridge.sip.status import SIPStatus
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, config_of, ringing_uri
from tests.bridge.watcher import watching
from tests.phone.peer import until


def write_tone(path: Path, *, seconds: float, frequency: float = 440.0) -> None:
    samples = [int(12000 * math.sin(2 * math.pi * frequency * i / 8000)) for i in range(int(8000 * seconds))]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))


class Ear:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.pcm = bytearray()
        self.rate = 8000
        self._came = asyncio.Event()

    def write(self, frame: bytes, rate: int) -> None:
        self.pcm += frame
        self.rate = rate
        self._came.set()

    async def heard(self, seconds: float) -> None:
        """Wait until so much sound has come; silence before it doesn't count."""
        while len(self._sound()) < seconds * self.rate:
            self._came.clear()
            await self._came.wait()

    def _sound(self) -> tuple[int, ...]:
        """The samples without the silence before and after them, which no codec need keep exactly."""
        samples = struct.unpack(f"<{len(self.pcm) // 2}h", self.pcm)
        loud = [at for at, sample in enumerate(samples) if abs(sample) > 50] or [0]
        return samples[loud[0] : loud[-1]]

    def power_at(self, frequency: float) -> float:
        """How much of the sound's power is in one frequency (Goertzel), 0 to 1; silence around it doesn't count."""
        samples = self._sound()
        total = sum(s * s for s in samples) or 1
        coefficient = 2 * math.cos(2 * math.pi * frequency / self.rate)
        s1 = s2 = 0.0
        for sample in samples:
            s1, s2 = sample + coefficient * s1 - s2, s1
        return 2 * (s1 * s1 + s2 * s2 - coefficient * s1 * s2) / (len(samples) * total)


async def test_a_call_that_is_given_up_makes_invite_ringing_cancel_and_call_ended(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    call = await station.call(door)
    rang = await mqtt.event("RINGING")
    assert (rang.direction, rang.origin, rang.status, rang.phrase) == ("incoming", "local", 180, "Ringing")
    assert (rang.remote.user, rang.remote.name) == ("station", "Station")
    await station.state(CallState.RINGING)
    call.hangup()
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.end_reason, ended.talk_seconds, ended.call_id) == ("canceled", 0.0, call.call_id)
    assert mqtt.events() == ["INVITE", "RINGING", "CANCEL", "CALL_ENDED"]
    states = [payload.state for topic, payload in mqtt.seen if topic.endswith("/account/door/call")]
    assert states == ["idle", "ringing", "idle"]


async def test_a_call_is_answered_by_mqtt_and_hung_up_by_the_caller(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await station.call(door)
    await mqtt.event("RINGING")
    response = await mqtt.request("answer", as_json(transaction="t1"))
    assert (response.status, response.transaction, response.data) == ("ok", "t1", {"call_id": call.call_id})
    await station.state(CallState.IN_CALL)
    await mqtt.event("ACK")
    call.hangup()
    bye = await mqtt.event("BYE")
    ended = await mqtt.event("CALL_ENDED")
    assert bye.origin == "remote"
    assert ended.end_reason == "hangup_remote"
    assert ended.quality is not None
    assert mqtt.events() == ["INVITE", "RINGING", "OK", "ACK", "BYE", "CALL_ENDED"]


async def test_a_call_is_hung_up_by_mqtt(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")
    response = await mqtt.request("hangup")
    assert response.status == "ok"
    assert (await station.finished()).cause is EndCause.HANGUP_REMOTE
    assert [payload.origin for topic, payload in mqtt.seen if topic.endswith("/event/BYE")] == ["local"]


async def test_a_call_is_rejected_with_the_status_that_was_asked_for(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("reject", "603")
    finished = await station.finished()
    assert (finished.cause, finished.status) == (EndCause.REJECTED, SIPStatus.DECLINE)
    ended = mqtt.latest(TOPICS.of_account("door", "last_call"))
    assert (ended.end_reason, ended.status) == ("declined", 603)


async def test_hangup_while_ringing_declines(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("hangup")
    assert (await station.finished()).status == SIPStatus.DECLINE


async def test_a_dialled_phone_answers_and_hangs_up(mqtt: Mqtt, station: Phone) -> None:
    response = await mqtt.request("dial", as_json(to=ringing_uri(station)))
    assert response.status == "ok"
    call = await station.state(CallState.RINGING)
    await call.answer()
    await mqtt.event("ACK")
    call.hangup()
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.direction, ended.end_reason) == ("outgoing", "hangup_remote")
    assert mqtt.events() == ["INVITE", "RINGING", "OK", "ACK", "BYE", "CALL_ENDED"]


async def test_a_busy_phone_makes_busy_here(mqtt: Mqtt, station: Phone) -> None:
    await mqtt.request("dial", ringing_uri(station))
    call = await station.state(CallState.RINGING)
    call.reject(SIPStatus.BUSY_HERE)
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.end_reason, ended.status, ended.phrase) == ("busy", 486, "Busy Here")
    assert mqtt.events() == ["INVITE", "RINGING", "BUSY_HERE", "CALL_ENDED"]


async def test_a_dialled_call_is_given_up_after_its_timeout(mqtt: Mqtt, station: Phone) -> None:
    await mqtt.request("dial", as_json(to=ringing_uri(station), timeout=1))
    await station.state(CallState.RINGING)
    ended = await mqtt.event("CALL_ENDED")
    assert ended.end_reason == "no_answer"
    assert (await station.finished()).cause is EndCause.CANCELED


async def test_a_played_file_is_heard_and_its_end_is_told(
    mqtt: Mqtt, station: Phone, door: str, tmp_path: Path
) -> None:
    write_tone(tmp_path / "tone.wav", seconds=0.6)
    ear = Ear()
    call = await station.call(door)
    call.media.sinks.append(ear)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")
    await mqtt.request("play", as_json(url=str(tmp_path / "tone.wav")))
    played = await mqtt.event("PLAYBACK_DONE")
    assert (played.completed, played.source, played.error) == (True, str(tmp_path / "tone.wav"), None)
    assert ear.power_at(440) > 0.9
    assert ear.power_at(1000) < 0.01


async def test_sound_crosses_in_the_other_direction_too(mqtt: Mqtt, station: Phone, tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.wav", seconds=0.4, frequency=880)
    ear = Ear()
    await mqtt.request("dial", as_json(to=ringing_uri(station), play=str(tmp_path / "tone.wav"), auto_hangup=True))
    call = await station.state(CallState.RINGING)
    call.media.sinks.append(ear)
    await call.answer()
    await station.finished()
    assert ear.power_at(880) > 0.9
    assert (await mqtt.event("CALL_ENDED")).end_reason == "hangup_local"


async def test_a_file_that_is_not_there_is_a_media_error_and_the_call_goes_on(
    mqtt: Mqtt, station: Phone, door: str, tmp_path: Path
) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    response = await mqtt.request("play", str(tmp_path / "none.wav"))
    assert response.error is not None
    assert response.error.code == "media_error"
    assert (await mqtt.request("hangup")).status == "ok"


async def test_every_key_press_of_the_caller_becomes_one_event(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await station.state(CallState.IN_CALL)
    await call.send_dtmf("12#", duration_ms=80, gap_ms=40)
    pressed = [await mqtt.event("DTMF") for _ in range(3)]
    assert [event.digits for event in pressed] == ["1", "2", "#"]
    assert [event.dtmf_method for event in pressed] == ["rtp"] * 3


async def test_the_door_opener_is_pressed_over_mqtt(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await station.state(CallState.IN_CALL)
    response = await mqtt.request("send_dtmf", "*9")
    assert response.status == "ok"
    assert [await key_of(station) for _ in range(2)] == ["*", "9"]
    assert call.is_talking


async def test_a_hang_up_right_after_the_keys_does_not_cut_them(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")
    await mqtt.request("send_dtmf", "*9#")
    await mqtt.request("hangup")
    assert [await key_of(station) for _ in range(3)] == ["*", "9", "#"]
    assert (await station.finished()).cause is EndCause.HANGUP_REMOTE


async def test_an_announcement_that_can_not_be_played_is_told_and_ends_the_call(
    mqtt: Mqtt, station: Phone, tmp_path: Path
) -> None:
    await mqtt.request("dial", as_json(to=ringing_uri(station), play=str(tmp_path / "none.wav"), auto_hangup=True))
    await (await station.state(CallState.RINGING)).answer()
    played = await mqtt.event("PLAYBACK_DONE")
    assert (played.completed, played.error) == (False, f"{tmp_path / 'none.wav'}: No such file or directory")
    assert (await mqtt.event("CALL_ENDED")).end_reason == "hangup_local"


async def key_of(phone: Phone) -> str:
    async with asyncio.timeout(10):
        while True:
            event = await phone.events.get()
            digit = getattr(event, "digit", None)
            if isinstance(digit, str):
                return digit


async def test_a_line_takes_its_alias_and_no_user_at_all(mqtt: Mqtt, station: Phone, bridge: Running) -> None:
    for uri in (f"sip:bell@127.0.0.1:{bridge.sip_port}", f"sip:127.0.0.1:{bridge.sip_port}"):
        call = await station.call(uri)
        await mqtt.event("RINGING")
        await station.state(CallState.RINGING)
        call.hangup()
        await mqtt.event("CALL_ENDED")


async def test_a_name_that_is_nobodys_is_not_found(station: Phone, bridge: Running) -> None:
    await station.call(f"sip:nobody@127.0.0.1:{bridge.sip_port}")
    assert (await station.finished()).status == SIPStatus.NOT_FOUND


async def test_a_caller_whose_sound_is_lost_is_told_of_and_hung_up(station: Phone) -> None:
    quiet = dataclasses.replace(DOOR, media_timeout=0.3)
    async with running(config_of(quiet)) as bridge, watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
        mqtt = Mqtt(watcher=watcher)
        call = await station.call(f"sip:door@127.0.0.1:{bridge.sip_port}")
        await mqtt.event("RINGING")
        await mqtt.request("answer")
        await station.state(CallState.IN_CALL)
        await mqtt.event("ACK")
        await until(lambda: call.media.statistics.packets_sent > 0)
        call.media.close()
        lost = await mqtt.event("MEDIA_LOST")
        ended = await mqtt.event("CALL_ENDED")
    assert (lost.call_id, lost.origin, lost.state) == (call.call_id, "local", "in_call")
    assert lost.silent_seconds >= 0.3
    assert ended.end_reason == "media_lost"
    assert ended.quality is not None
