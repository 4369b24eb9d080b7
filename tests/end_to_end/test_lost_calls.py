"""No call's end is lost: not by a broker that is away, not by a bridge that ends meanwhile, and none is told twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.bridge import DOOR, TOPICS, Bridge
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder, Recorded
from tests.peers.sipp import Sipp

BELL = "  - {id: bell, kind: direct, name: Bell}\n"
LAST_CALL = TOPICS.of_account("door", "last_call")


@pytest.fixture
def bridge(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path, mosquitto)
    yield bridge
    bridge.end()


@pytest.fixture
def kept(tmp_path: Path) -> "StateFile":
    return StateFile(tmp_path / "state" / "mqtt-home.jsonl")


class StateFile:
    """What the bridge keeps on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def has_events(self, count: int) -> None:
        """Wait until so many events are kept."""
        await self._holds(b'"event": "sip_bridge/home/', count)

    async def has_last_call(self) -> None:
        """Wait until the record of the last call is kept."""
        await self._holds(f'"retained": "{LAST_CALL}", "payload"'.encode(), 1)

    async def _holds(self, text: bytes, count: int) -> None:
        async with asyncio.timeout(10):
            while self._path.read_bytes().count(text) != count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def ring(sipp: Sipp, bridge: Bridge) -> None:
    """Somebody rings and gives up."""
    caller = await sipp.call("uac_cancel", bridge.address, user="door")
    await caller.succeeded()


async def online(recorder: MqttRecorder, *, since: int = 0) -> None:
    state = TOPICS.of_bridge("state")
    await recorder.wait_for(lambda m: m.topic == state and m.payload["state"] == "online", within=15, since=since)
    await recorder.settled()


def events(messages: list[Recorded]) -> list[dict[str, Any]]:
    return [message.payload for message in messages if "/event/" in message.topic]


def latest(messages: list[Recorded], topic: str) -> Any:
    return next(message.payload for message in reversed(messages) if message.topic == topic)


async def test_missed_calls_outlive_a_killed_bridge_and_a_broker_that_was_away(
    bridge: Bridge, mosquitto: Mosquitto, sipp: Sipp, kept: StateFile
) -> None:
    bridge.start()
    mosquitto.stop()
    await ring(sipp, bridge)
    await ring(sipp, bridge)
    await kept.has_events(2)
    bridge.kill()
    mosquitto.start()
    async with MqttRecorder(mosquitto.port) as recorder:
        bridge.start()
        await recorder.wait_for(lambda m: m.payload and "/event/CALL_ENDED" in m.topic, within=15)
        await kept.has_events(0)
        await ring(sipp, bridge)
        await recorder.wait_for(lambda m: m.topic.endswith("/event/CANCEL"))
        await recorder.settled()
        told = events(recorder.messages)
        first, second, *new = told
        assert [first["event"], second["event"]] == ["CALL_ENDED", "CALL_ENDED"]
        assert [first["end_reason"], second["end_reason"]] == ["canceled", "canceled"]
        assert (first["session"], first["seq"] < second["seq"]) == (second["session"], True)
        assert first["event_id"] != second["event_id"]
        assert first["ts"] < second["ts"] < new[0]["ts"]
        assert {event["session"] for event in new}.isdisjoint({first["session"]})
        assert [event["event"] for event in new] == ["INVITE", "RINGING", "CANCEL", "CALL_ENDED"]


async def test_the_last_call_is_retained_again_after_the_broker_and_the_bridge_began_anew(
    bridge: Bridge, mosquitto: Mosquitto, sipp: Sipp, kept: StateFile
) -> None:
    bridge.start()
    async with MqttRecorder(mosquitto.port, LAST_CALL) as recorder:
        await ring(sipp, bridge)
        before = (await recorder.wait_for_topic(LAST_CALL)).payload
    await kept.has_last_call()
    bridge.kill()
    mosquitto.restart()
    bridge.start()
    async with MqttRecorder(mosquitto.port) as recorder:
        await online(recorder)
        assert latest(recorder.messages, LAST_CALL) == before
        repeated = {event["event_id"] for event in events(recorder.messages)}
        assert repeated <= {before["event_id"]}  # the kill may have come between the acknowledgement and the disk


async def test_a_call_that_the_stop_ends_is_told_by_the_next_run_when_the_broker_is_away(
    bridge: Bridge, mosquitto: Mosquitto, sipp: Sipp
) -> None:
    bridge.start()
    caller = await sipp.call("uac_wait_bye", bridge.address, user="door")
    async with MqttRecorder(mosquitto.port) as recorder:
        await recorder.wait_for(lambda m: m.topic == TOPICS.of_account("door", "call") and m.payload["calls"])
        await recorder.publish(TOPICS.of_account("door", "request", "answer"))
        await recorder.wait_for(
            lambda m: m.topic == TOPICS.of_account("door", "call") and m.payload["state"] == "in_call"
        )
    mosquitto.stop()
    assert bridge.stop() == 0
    await caller.succeeded()
    mosquitto.start()
    async with MqttRecorder(mosquitto.port) as recorder:
        bridge.start()
        ended = await recorder.wait_for_topic(TOPICS.of_account("door", "event", "CALL_ENDED"), within=15)
        await online(recorder)
        assert [event["event"] for event in events(recorder.messages)] == ["CALL_ENDED"]
        assert ended.payload["end_reason"] == "hangup_local"
        assert latest(recorder.messages, LAST_CALL)["event_id"] == ended.payload["event_id"]


async def test_a_damaged_file_costs_what_is_damaged_and_the_bridge_starts(
    bridge: Bridge, mosquitto: Mosquitto, sipp: Sipp, kept: StateFile, tmp_path: Path
) -> None:
    bridge.start()
    mosquitto.stop()
    await ring(sipp, bridge)
    await ring(sipp, bridge)
    await kept.has_events(2)
    bridge.kill()
    truncate(tmp_path / "state" / "mqtt-home.jsonl", by=10)
    mosquitto.start()
    async with MqttRecorder(mosquitto.port) as recorder:
        bridge.start()
        await recorder.wait_for_topic(TOPICS.of_account("door", "event", "CALL_ENDED"), within=15)
        await online(recorder)
        assert [event["event"] for event in events(recorder.messages)] == ["CALL_ENDED"]
    assert sum("is damaged: 1 of its lines are left out" in line for line in bridge.process.lines) == 1


async def test_a_line_that_is_no_longer_configured_leaves_nothing_retained(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    before = Bridge(tmp_path, mosquitto, DOOR + BELL)
    before.start()
    async with MqttRecorder(mosquitto.port) as recorder:
        await online(recorder)
        assert TOPICS.of_account("bell", "call") in {message.topic for message in recorder.messages}
    assert before.stop() == 0
    after = Bridge(tmp_path, mosquitto, DOOR)
    after.start()
    try:
        async with MqttRecorder(mosquitto.port) as recorder:
            await online(recorder)
            await recorder.wait_for(lambda m: m.topic == TOPICS.discovery)
        async with MqttRecorder(mosquitto.port) as recorder:
            await online(recorder)
            retained = {message.topic for message in recorder.messages}
    finally:
        after.end()
    assert {topic for topic in retained if "/account/bell/" in topic} == set()
    assert TOPICS.of_account("door", "call") in retained


def truncate(path: Path, *, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])
