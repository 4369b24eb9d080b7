"""A door that is opened at Asterisk and baresip, and phones of Asterisk's that ring when somebody is at the door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.settings import RegisteredAccount, Secret
from sip_bridge.sip.events import EndCause
from tests.end_to_end.bridge import Bridge, Client, check_contract
from tests.end_to_end.phone import Handset, handset
from tests.peers.asterisk import Asterisk
from tests.peers.baresip import Baresip
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder

NOT_MISSED = 'Reason: SIP;cause=200;text="Call completed elsewhere"'
RING = "{account: pbx, numbers: ['101', Study], door_key: '#'}"
DOOR = f"  - {{id: door, kind: direct, door: {{code: '47*'}}, ring: {RING}}}\n"


@pytest.fixture
def asterisk(shared_asterisk: Asterisk) -> Asterisk:
    return shared_asterisk


def line(asterisk: Asterisk, user: str, more: str = "") -> str:
    """An account at Asterisk in the configuration."""
    return (
        f"  - {{id: pbx, kind: registered, server: {asterisk.host}, port: {asterisk.port}, user: '{user}',"
        f" password: {asterisk.password(user)}{more}}}\n"
    )


@asynccontextmanager
async def running(
    folder: Path, mosquitto: Mosquitto, recorder: MqttRecorder, accounts: str
) -> AsyncIterator[tuple[Bridge, Client]]:
    """A bridge that is registered as ``pbx``, and what is done with that account."""
    bridge = Bridge(folder, mosquitto, accounts)
    await asyncio.to_thread(bridge.start)
    try:
        client = Client(recorder, account="pbx")
        await client.registration("registered")
        yield bridge, client
        await recorder.settled()
        check_contract(recorder.messages)
    finally:
        bridge.end()


@asynccontextmanager
async def phone_at(asterisk: Asterisk, user: str) -> AsyncIterator[Handset]:
    """A phone of the house."""
    account = RegisteredAccount(
        id=user,
        name=user,
        user=user,
        server=asterisk.host,
        port=asterisk.port,
        password=Secret(asterisk.password(user)),
    )
    async with handset(account) as phone:
        await phone.registered()
        yield phone


@pytest.mark.parametrize("user", ["620", "621"])
async def test_asterisk_hears_the_code_by_rtp_and_by_info(
    asterisk: Asterisk, mosquitto: Mosquitto, recorder: MqttRecorder, tmp_path: Path, user: str
) -> None:
    door = ", door: {code: '47*#', number: '205'}"
    async with running(tmp_path, mosquitto, recorder, line(asterisk, user, door)) as (_, client):
        assert (await client.request("open_door"))["status"] == "ok"
        await asterisk.process.printed(r"User entered '47\*'")
        assert (await client.event("DOOR_OPENED"))["by"] == "request"


async def test_a_call_of_asterisks_that_rings_is_answered_for_the_code(
    asterisk: Asterisk, mosquitto: Mosquitto, recorder: MqttRecorder, tmp_path: Path
) -> None:
    async with running(tmp_path, mosquitto, recorder, line(asterisk, "620", ", door: {code: '8*#'}")) as (_, client):
        await asterisk.originate("620", then="205")
        await client.event("RINGING")
        assert (await client.request("open_door"))["status"] == "ok"
        await asterisk.process.printed(r"User entered '8\*'")
        assert (await client.event("CALL_ENDED"))["end_reason"] in {"hangup_local", "hangup_remote"}


async def test_phones_at_asterisk_ring_at_once_and_the_ones_that_stop_are_told_why(
    asterisk: Asterisk, mosquitto: Mosquitto, recorder: MqttRecorder, tmp_path: Path
) -> None:
    async with (
        running(tmp_path, mosquitto, recorder, line(asterisk, "620")) as (_, client),
        phone_at(asterisk, "101") as kitchen,
        phone_at(asterisk, "622") as study,
    ):
        response = await client.request("dial", {"to": "101", "also": ["622", "200"], "accept": "1"})
        here, there = await kitchen.call_in(CallState.RINGING), await study.call_in(CallState.RINGING)
        await there.answer()
        await study.signal("ACK")
        assert here.is_ringing
        await there.send_dtmf("1", duration_ms=120, gap_ms=80)
        await asterisk.process.printed(NOT_MISSED)
        await kitchen.finished()
        done = await client.event("HUNT_DONE")
        ids = response["data"]["call_ids"]
        assert (done["call_id"], done["calls"], done["end_reason"]) == (ids[1], ids, None)
        await client.request("hangup")
        await study.finished()


async def test_a_visitor_is_joined_to_the_phone_that_answers_and_a_key_there_opens_the_door(
    asterisk: Asterisk, baresip: Baresip, mosquitto: Mosquitto, recorder: MqttRecorder, tmp_path: Path
) -> None:
    house = line(asterisk, "620", ", contacts: [{name: Study, number: '622'}]")
    async with (
        running(tmp_path, mosquitto, recorder, DOOR + house) as (bridge, _),
        phone_at(asterisk, "101") as kitchen,
        phone_at(asterisk, "622") as study,
    ):
        await baresip.dial(f"sip:door@{bridge.address}")
        await study.call_in(CallState.RINGING)
        inside = await kitchen.call_in(CallState.RINGING)
        await inside.answer()
        await baresip.wait_for("CALL_ESTABLISHED")
        await asterisk.process.printed(NOT_MISSED)
        await study.finished()
        await inside.send_dtmf("#", duration_ms=120, gap_ms=80)
        assert (await Client(recorder).event("DOOR_OPENED"))["by"] == "key"
        await baresip.hangup()
        assert (await kitchen.finished()).cause is EndCause.HANGUP_REMOTE
        keys = [event["param"] for event in baresip.events if event["type"] == "CALL_DTMF_START"]
        assert keys == ["4", "7", "*"]
