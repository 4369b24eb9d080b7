"""Whatever fails, and in whatever order: afterwards every retained topic is true, and every call's end was told once.

``CHAOS_SECONDS`` is for how long (the default suits CI), ``CHAOS_SEED`` repeats a run that failed.
"""

import json
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.bridge import TOPICS
from tests.end_to_end.chaos import LINES, Holdings, House, house
from tests.peers.mqtt import MqttRecorder
from tests.peers.network import Cable, on
from tests.published import check_published

SECONDS = float(os.environ.get("CHAOS_SECONDS", "45"))
SEED = int(os.environ.get("CHAOS_SEED") or time.time())


@pytest.fixture
def cable() -> Iterator[Cable]:
    with Cable() as cable, on(cable.b):
        yield cable


@pytest.mark.timeout(SECONDS + 400)
async def test_chaos(tmp_path: Path, cable: Cable) -> None:
    print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:.0f}")
    chance = random.Random(SEED)
    async with house(tmp_path, cable, chance) as home:
        try:
            await home.live(2)  # what is made once
            await home.quiet()
            before = Holdings.of(home.bridge)
            await home.live(SECONDS)
            await home.quiet()
            assert {call: len(ends) for call, ends in home.ends().items()} == dict.fromkeys(home.begun(), 1)
            assert await home.held(before) == {}
            await check_retained(home)
            check_events(home)
            assert complaints(home) == []
        finally:
            print("\n".join(home.told), home.bridge.output, sep="\n")


async def check_retained(home: House) -> None:
    """As whoever comes now finds it at the broker."""
    async with MqttRecorder(home.broker.port, "sip_bridge/#") as late:
        await late.settled()
        found = {message.topic: message.payload for message in late.messages}
    check_published(((topic, json.dumps(payload)) for topic, payload in found.items()), TOPICS)
    assert found[TOPICS.of_bridge("state")]["state"] == "online"
    assert found[TOPICS.of_bridge("info")]["session"] == home.events()[0].payload["session"]
    assert found[TOPICS.discovery]["bridge"] == "home"
    assert [account["id"] for account in found[TOPICS.of_bridge("accounts")]["accounts"]] == list(LINES)
    states = [found[TOPICS.of_account(line, "call")] for line in LINES]
    assert [(state["state"], state["calls"]) for state in states] == [("idle", [])] * 2
    registrations = [found[TOPICS.of_account(line, "registration")]["state"] for line in LINES]
    assert registrations == ["disabled", "registered"]
    await home.reachable()
    last = {
        event.payload["account"]: event.payload for event in home.events() if event.payload["event"] == "CALL_ENDED"
    }
    told = {line: found[TOPICS.of_account(line, "last_call")] for line in LINES}
    assert {line: record["event_id"] for line, record in told.items()} == {
        line: last[line]["event_id"] for line in LINES
    }


def check_events(home: House) -> None:
    """None is missing; one that was not acknowledged in time may have gone out again as it was."""
    by_number = {event.payload["seq"]: event for event in home.events()}
    assert sorted(by_number) == list(range(1, len(by_number) + 1))
    distinct = sorted({json.dumps(event.payload) for event in home.events()})
    assert len(distinct) == len(by_number)
    check_published(((event.topic, json.dumps(event.payload)) for _, event in sorted(by_number.items())), TOPICS)


def complaints(home: House) -> list[str]:
    """Lines of the log that tell of a bug."""
    return [line for line in home.bridge.lines if re.search(r"Traceback|\bfailed$|never awaited|CRITICAL|a bug", line)]
