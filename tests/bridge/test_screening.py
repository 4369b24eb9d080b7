"""Callers whom the bridge refuses or answers by itself, as seen over MQTT and by the caller."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sip_bridge.bridge.service import running
from sip_bridge.mqtt import contract
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import AutoAnswer, CallFrom, DirectAccount, RejectWith, Secret
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, client_of, config_of
from tests.phone.peer import until

CALL = TOPICS.of_account("door", "call")
LAST_CALL = TOPICS.of_account("door", "last_call")


@asynccontextmanager
async def bridge_with(door: DirectAccount) -> AsyncIterator[tuple[Mqtt, str]]:
    """A bridge with this line: a client of it, and the line's URI."""
    async with running(config_of(door)) as bridge, client_of(bridge) as mqtt:
        yield mqtt, f"sip:door@127.0.0.1:{bridge.sip_port}"


async def ended_by(mqtt: Mqtt, verb: str) -> contract.CallEndedEvent:
    """Ask for something, and wait for the call's end rather than for the answer, which may come after it."""
    mqtt.watcher.publish(TOPICS.of_account("door", "request", verb), "")
    ended: contract.CallEndedEvent = await mqtt.event("CALL_ENDED")
    return ended


def line_states(mqtt: Mqtt) -> list[str]:
    return [payload.state for topic, payload in mqtt.seen if topic == CALL]


# --- refused ---


@pytest.mark.parametrize(
    ("door", "status", "refusal"),
    [
        (replace(DOOR, do_not_disturb=True), 480, "do_not_disturb"),
        (replace(DOOR, do_not_disturb=True, reject_with=RejectWith(do_not_disturb=486)), 486, "do_not_disturb"),
        (replace(DOOR, call_from=CallFrom(block=("station",))), 603, "blocked"),
        (replace(DOOR, call_from=CallFrom(block=("127.0.0.0/8",))), 603, "blocked"),
        (replace(DOOR, call_from=CallFrom(allow=("somebody",))), 603, "blocked"),
        (
            replace(DOOR, call_from=CallFrom(block=("sip:station@*",)), reject_with=RejectWith(blocked=607)),
            607,
            "blocked",
        ),
    ],
    ids=range(6),
)
async def test_a_refused_caller_rings_for_nobody_and_is_in_the_list_of_calls(
    station: Phone, door: DirectAccount, status: int, refusal: str
) -> None:
    async with bridge_with(door) as (mqtt, uri):
        await station.call(uri)
        assert (await station.finished()).status == status
        ended = await mqtt.event("CALL_ENDED")
        assert (ended.end_reason, ended.status, ended.refusal, ended.state) == ("declined", status, refusal, "idle")
        assert (ended.direction, ended.remote.user, ended.talk_seconds) == ("incoming", "station", 0.0)
        assert mqtt.latest(LAST_CALL) == ended
        await mqtt.request("set")
        assert mqtt.events() == ["CALL_ENDED"]
        assert set(line_states(mqtt)) == {"idle"}


async def test_a_refused_caller_takes_nothing_from_the_call_that_is_up(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")
    await mqtt.request("set", as_json(do_not_disturb=True))
    await station.call(door)
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.refusal, ended.state) == ("do_not_disturb", "in_call")
    assert (await mqtt.request("mute")).status == "ok"


async def test_do_not_disturb_holds_from_now_on_until_it_is_taken_back(mqtt: Mqtt, station: Phone, door: str) -> None:
    await mqtt.request("set", as_json(do_not_disturb=True))
    await station.call(door)
    assert (await mqtt.event("CALL_ENDED")).refusal == "do_not_disturb"
    await mqtt.request("set", as_json(do_not_disturb=False))
    await station.call(door)
    await mqtt.event("RINGING")


async def test_do_not_disturb_does_not_keep_anybody_from_calling_out(mqtt: Mqtt, station: Phone) -> None:
    await mqtt.request("set", as_json(do_not_disturb=True))
    await mqtt.request("dial", f"sip:station@127.0.0.1:{station.phone.client.port}")
    await station.state(CallState.RINGING)


async def test_reject_sends_what_is_configured_unless_it_says(station: Phone) -> None:
    async with bridge_with(replace(DOOR, reject_with=RejectWith(reject=600))) as (mqtt, uri):
        for payload, status in (("", 600), ("404", 404)):
            await station.call(uri)
            await mqtt.event("RINGING")
            await mqtt.request("reject", payload)
            assert (await station.finished()).status == status


async def test_without_a_configured_one_reject_sends_486(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("reject")
    assert (await station.finished()).status == 486


async def test_a_call_rings_for_as_long_as_is_configured(station: Phone) -> None:
    async with bridge_with(replace(DOOR, ring_timeout=1.0)) as (mqtt, uri):
        await station.call(uri)
        ended = await mqtt.event("CALL_ENDED")
        assert (ended.end_reason, ended.status) == ("no_answer", 480)
        assert (await station.finished()).status == 480


@pytest.mark.parametrize("target", ["sip:0900-1@127.0.0.1", "SIP:%30900@127.0.0.1;user=phone"])
async def test_a_blocked_number_is_neither_dialled_nor_written_to(target: str) -> None:
    async with bridge_with(replace(DOOR, block_dial=("0900*",))) as (mqtt, _):
        for verb, payload in (("dial", target), ("send_message", as_json(to=target, text="x"))):
            response = await mqtt.request(verb, payload)
            assert response.error is not None
            assert response.error.code == "not_allowed"


# --- answered by itself ---


async def test_a_call_is_answered_after_its_time_and_told_as_any_other(station: Phone) -> None:
    async with bridge_with(replace(DOOR, auto_answer=AutoAnswer(enabled=True, after=0.3))) as (mqtt, uri):
        await station.call(uri)
        await mqtt.event("ACK")
        assert mqtt.events() == ["INVITE", "RINGING", "OK", "ACK"]
        ended = await ended_by(mqtt, "hangup")
        assert 0.25 <= ended.ring_seconds < 3


async def test_auto_answer_is_switched_on_and_off_over_mqtt(mqtt: Mqtt, station: Phone, door: str) -> None:
    await mqtt.request("set", as_json(auto_answer=True))
    await station.call(door)
    await mqtt.event("ACK")
    await ended_by(mqtt, "hangup")
    await mqtt.request("set", as_json(auto_answer=False, ring_timeout=1))
    await station.call(door)
    assert (await mqtt.event("CALL_ENDED")).end_reason == "no_answer"


async def test_it_is_not_answered_once_that_was_switched_off(station: Phone) -> None:
    door = replace(DOOR, auto_answer=AutoAnswer(enabled=True, after=0.4), ring_timeout=1.0)
    async with bridge_with(door) as (mqtt, uri):
        await station.call(uri)
        await mqtt.event("RINGING")
        await mqtt.request("set", as_json(auto_answer=False))
        assert (await mqtt.event("CALL_ENDED")).end_reason == "no_answer"


async def test_a_caller_who_is_not_named_rings(station: Phone) -> None:
    door = replace(DOOR, auto_answer=AutoAnswer(enabled=True, callers=("somebody",)), ring_timeout=1.0)
    async with bridge_with(door) as (mqtt, uri):
        await station.call(uri)
        assert (await mqtt.event("CALL_ENDED")).end_reason == "no_answer"


@pytest.mark.parametrize(
    "headers",
    [
        {"Call-Info": "<sip:127.0.0.1>;answer-after=0"},
        {"Alert-Info": "<http://127.0.0.1>;info=alert-autoanswer;delay=0"},
        {"Answer-Mode": "Auto"},
    ],
    ids=["Call-Info", "Alert-Info", "Answer-Mode"],
)
async def test_who_asks_for_an_answer_gets_one_where_that_is_configured(
    station: Phone, headers: dict[str, str]
) -> None:
    answering = AutoAnswer(enabled=True, on_request=True, after=300)
    async with bridge_with(replace(DOOR, auto_answer=answering, ring_timeout=1.0)) as (mqtt, uri):
        await station.phone.dial(uri, timeout=10, headers=headers)
        await mqtt.event("ACK")
        await ended_by(mqtt, "hangup")
        await station.call(uri)
        assert (await mqtt.event("CALL_ENDED")).end_reason == "no_answer"


async def test_nobody_is_answered_for_asking_where_it_is_not_configured(station: Phone) -> None:
    async with bridge_with(replace(DOOR, ring_timeout=1.0)) as (mqtt, uri):
        await station.phone.dial(uri, timeout=10, headers={"Call-Info": "<sip:127.0.0.1>;answer-after=0"})
        assert (await mqtt.event("CALL_ENDED")).end_reason == "no_answer"


async def test_the_caller_may_give_up_while_the_answer_waits(station: Phone) -> None:
    async with bridge_with(replace(DOOR, auto_answer=AutoAnswer(enabled=True, after=0.3))) as (mqtt, uri):
        call = await station.call(uri)
        await mqtt.event("RINGING")
        call.hangup()
        assert (await mqtt.event("CALL_ENDED")).end_reason == "canceled"
        await asyncio.sleep(0.5)  # the time of the answer goes by
        assert (await mqtt.request("set")).status == "ok"
        assert mqtt.events() == ["INVITE", "RINGING", "CANCEL", "CALL_ENDED"]


async def test_a_person_may_be_faster_and_then_nothing_is_played(station: Phone) -> None:
    answering = AutoAnswer(enabled=True, after=0.3, play=Secret("tone:busy/1"), settle_ms=0)
    async with bridge_with(replace(DOOR, auto_answer=answering)) as (mqtt, uri):
        await station.call(uri)
        await mqtt.event("RINGING")
        assert (await mqtt.request("answer")).status == "ok"
        await mqtt.event("ACK")
        await asyncio.sleep(0.5)  # the time of the answer goes by
        await ended_by(mqtt, "hangup")
        assert mqtt.events() == ["INVITE", "RINGING", "OK", "ACK", "BYE", "CALL_ENDED"]


async def test_a_person_may_refuse_before(station: Phone) -> None:
    async with bridge_with(replace(DOOR, auto_answer=AutoAnswer(enabled=True, after=0.3))) as (mqtt, uri):
        await station.call(uri)
        await mqtt.event("RINGING")
        assert (await ended_by(mqtt, "reject")).end_reason == "declined"
        await asyncio.sleep(0.5)  # the time of the answer goes by
        assert (await mqtt.request("set")).status == "ok"
        assert mqtt.events() == ["INVITE", "RINGING", "BUSY_HERE", "CALL_ENDED"]


@pytest.mark.parametrize("round_", range(5))
async def test_whoever_answers_in_the_same_moment_it_is_answered_once(station: Phone, round_: int) -> None:
    async with bridge_with(replace(DOOR, auto_answer=AutoAnswer(enabled=True, after=0.1))) as (mqtt, uri):
        await station.call(uri)
        await mqtt.event("RINGING")
        await asyncio.sleep(0.09 + round_ * 0.004)
        response = await mqtt.request("answer")
        assert (response.status, response.error and response.error.code) in {
            ("ok", None),
            ("error", contract.ErrorCode.WRONG_STATE),
        }
        await ended_by(mqtt, "hangup")
        assert mqtt.events().count("OK") == 1


async def test_what_is_played_at_the_answer_is_heard_after_its_settle_time_and_may_end_the_call(
    station: Phone,
) -> None:
    answering = AutoAnswer(enabled=True, play=Secret("tone:busy/1"), settle_ms=600, auto_hangup=True)
    async with bridge_with(replace(DOOR, auto_answer=answering)) as (mqtt, uri):
        call = await station.call(uri)
        await station.state(CallState.IN_CALL)
        heard = _Frames(call)
        await until(lambda: max(heard.peaks, default=0) > 1000)
        silent = next(index for index, peak in enumerate(heard.peaks) if peak > 1000)
        assert 20 <= silent <= 45  # frames of 20 ms
        done = await mqtt.event("PLAYBACK_DONE")
        assert (done.source, done.completed) == ("tone:busy/1", True)
        assert (await mqtt.event("CALL_ENDED")).end_reason == "hangup_local"


async def test_what_can_not_be_played_is_told_and_the_call_goes_on(station: Phone, tmp_path: Path) -> None:
    answering = AutoAnswer(enabled=True, play=Secret(str(tmp_path / "none.wav")))
    async with bridge_with(replace(DOOR, auto_answer=answering)) as (mqtt, uri):
        await station.call(uri)
        done = await mqtt.event("PLAYBACK_DONE")
        assert (done.completed, "none.wav" in done.error) == (False, True)
        assert (await mqtt.request("mute")).status == "ok"


class _Frames:
    """A sink: how loud each frame was."""

    def __init__(self, call: VoIPCall) -> None:
        self.peaks: list[int] = []
        call.media.sinks.append(self)

    def write(self, frame: bytes, rate: int) -> None:
        del rate
        self.peaks.append(max(map(abs, array("h", frame))))
