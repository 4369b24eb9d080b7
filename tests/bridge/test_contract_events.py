"""Rules of the contract about events: their names, what they carry, and how each of the ten ends of a call comes."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sip_bridge.bridge.service import Running, running
from sip_bridge.mqtt import contract
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.sip.status import SIPStatus
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, config_of, ringing_uri
from tests.bridge.sip_peers import Callee, callee
from tests.bridge.watcher import watching
from tests.phone.peer import until
from tests.phone.sip_peer import DatagramPeer, Dialog, sdp, sending_to


@pytest.fixture
async def peer() -> AsyncIterator[Callee]:
    async with callee() as peer:
        yield peer


@pytest.fixture
async def raw(bridge: Running) -> AsyncIterator[DatagramPeer]:
    async with sending_to("127.0.0.1", bridge.sip_port) as raw:
        yield raw


async def test_every_final_answer_to_a_call_of_ours_is_an_event_by_its_sip_name(mqtt: Mqtt, peer: Callee) -> None:
    """Those that IANA doesn't know too: they have a number only."""
    told = []
    for code in range(300, 700):
        peer.answer = lambda request, code=code: f"{code} Because" if request.method == "INVITE" else None  # type: ignore[misc]
        await mqtt.request("dial", peer.uri)
        ended = await mqtt.event("CALL_ENDED")
        told.append((mqtt.events()[-2], ended.status, ended.phrase))
    assert told == [(SIPStatus(code).name, code, "Because") for code in range(300, 700)]
    assert {"BUSY_HERE", "UNKNOWN_499", "UNKNOWN_699", "MOVED_TEMPORARILY"} <= {name for name, _, _ in told}


@pytest.mark.parametrize("status", [100, 180, 181, 182, 183, 199, 187])
async def test_every_provisional_answer_is_an_event(mqtt: Mqtt, peer: Callee, status: int) -> None:
    peer.answer = lambda request: f"{status} Wait" if request.method == "INVITE" else None
    await mqtt.request("dial", peer.uri)
    name = SIPStatus(status).name
    event = await mqtt.event(name)
    assert (event.event, event.status, event.phrase, event.origin, event.method) == (
        name,
        status,
        "Wait",
        "remote",
        "INVITE",
    )
    assert event.description == SIPStatus(status).description
    peer.say(peer.requests[0], "486 Busy Here")
    await mqtt.event("CALL_ENDED")


async def test_an_event_carries_all_that_is_known(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await station.call(door)
    invite = await mqtt.event("INVITE")
    rang = await mqtt.event("RINGING")
    info = mqtt.latest(TOPICS.of_bridge("info"))
    assert invite == contract.Event(
        event="INVITE",
        event_id=f"{info.session}-{invite.seq}",
        seq=invite.seq,
        session=info.session,
        account="door",
        call_id=call.call_id,
        direction=contract.Direction.INCOMING,
        origin=contract.Origin.REMOTE,
        method="INVITE",
        status=None,
        phrase=None,
        description=None,
        remote=contract.Remote(uri="sip:station@127.0.0.1", user="station", name="Station"),
        state=contract.CallState.RINGING,
    )
    assert rang == dataclasses.replace(
        invite,
        event="RINGING",
        event_id=f"{info.session}-{invite.seq + 1}",
        seq=invite.seq + 1,
        origin=contract.Origin.LOCAL,
        status=180,
        phrase="Ringing",
        description=SIPStatus.RINGING.description,
    )


async def test_every_event_has_an_id_of_its_own_and_the_next_number(mqtt: Mqtt, station: Phone, door: str) -> None:
    for _ in range(3):
        call = await station.call(door)
        await mqtt.event("RINGING")
        await station.state(CallState.RINGING)
        call.hangup()
        await mqtt.event("CALL_ENDED")
    events = [payload for topic, payload in mqtt.seen if "/event/" in topic]
    assert [event.seq for event in events] == list(range(1, 13))
    assert len({event.event_id for event in events}) == 12


async def test_another_run_is_another_session() -> None:
    sessions = []
    for _ in range(2):
        async with running(config_of(DOOR)) as bridge, watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
            info = await Mqtt(watcher=watcher).until(lambda topic, _: topic == TOPICS.of_bridge("info"))
            sessions.append(info.session)
    assert sessions[0] != sessions[1]


# --- the ten ends of a call ---


def last_event(mqtt: Mqtt, name: str) -> Any:
    """One that came before the response to a request."""
    return mqtt.latest(TOPICS.of_account("door", "event", name))


async def ringing(mqtt: Mqtt, station: Phone, door: str) -> VoIPCall:
    call = await station.call(door)
    await mqtt.event("RINGING")
    await station.state(CallState.RINGING)
    return call


async def talking(mqtt: Mqtt, station: Phone, door: str) -> VoIPCall:
    call = await ringing(mqtt, station, door)
    await mqtt.request("answer")
    await station.state(CallState.IN_CALL)
    await mqtt.event("ACK")
    return call


async def test_a_call_that_another_phone_took_was_answered_elsewhere(mqtt: Mqtt, raw: DatagramPeer) -> None:
    dialog = Dialog(raw, "sip:door@127.0.0.1")
    raw.send(dialog.request("INVITE", sdp("127.0.0.1")))
    await mqtt.event("RINGING")
    dialog.headers = 'Reason: SIP;cause=200;text="Call completed elsewhere"\r\n'
    raw.send(dialog.request("CANCEL", seq=1).replace(b"z9hG4bKCANCEL", b"z9hG4bKINVITE"))
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.end_reason, ended.direction, ended.talk_seconds) == ("answered_elsewhere", "incoming", 0.0)


async def test_a_caller_who_gives_up_has_canceled(mqtt: Mqtt, station: Phone, door: str) -> None:
    (await ringing(mqtt, station, door)).hangup()
    assert (await mqtt.event("CALL_ENDED")).end_reason == "canceled"


async def test_a_call_of_ours_that_is_hung_up_while_it_rings_is_canceled(mqtt: Mqtt, station: Phone) -> None:
    await mqtt.request("dial", ringing_uri(station))
    await mqtt.event("RINGING")
    await mqtt.request("hangup")
    ended = last_event(mqtt, "CALL_ENDED")
    cancel = last_event(mqtt, "CANCEL")
    assert (cancel.origin, ended.end_reason, ended.direction) == ("local", "canceled", "outgoing")


@pytest.mark.parametrize(
    ("answer", "reason", "q850"),
    [
        ("486 Busy Here", "busy", None),
        ("600 Busy Everywhere", "busy", None),
        ("603 Decline", "declined", None),
        ("607 Unwanted", "declined", None),
        ("480 Temporarily Unavailable", "no_answer", None),
        ("408 Request Timeout", "no_answer", None),
        ("404 Not Found", "failed", None),
        ("503 Service Unavailable", "failed", None),
        ('486 Busy Here\r\nReason: Q.850;cause=17;text="User busy"', "busy", 17),
        ("500 Oops\r\nReason: SIP;cause=500, Q.850 ;cause=34", "failed", 34),
        ("404 Not Found\r\nReason: Q.850;cause=nonsense", "failed", None),
    ],
)
async def test_a_refusal_is_told_by_its_kind_and_its_q850_cause(
    mqtt: Mqtt, peer: Callee, answer: str, reason: str, q850: int | None
) -> None:
    peer.answer = lambda request: answer if request.method == "INVITE" else None
    await mqtt.request("dial", peer.uri)
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.end_reason, ended.q850, ended.quality) == (reason, q850, None)
    assert mqtt.latest(TOPICS.of_account("door", "last_call")) == ended


async def test_a_caller_whom_we_refuse_was_declined(mqtt: Mqtt, station: Phone, door: str) -> None:
    await ringing(mqtt, station, door)
    await mqtt.request("reject")
    ended = last_event(mqtt, "CALL_ENDED")
    assert (ended.end_reason, ended.status, ended.phrase) == ("declined", 486, "Busy Here")


async def test_nobody_answered_a_call_that_we_gave_up(mqtt: Mqtt, station: Phone) -> None:
    await mqtt.request("dial", as_json(to=ringing_uri(station), timeout=1))
    ended = await mqtt.event("CALL_ENDED")
    assert ended.end_reason == "no_answer"
    assert 1.0 <= ended.ring_seconds < 5.0


async def test_a_call_to_a_closed_port_failed(mqtt: Mqtt) -> None:
    """The kernel says over TCP that nobody is there."""
    async with callee() as gone:
        uri = gone.uri
    await mqtt.request("dial", f"{uri};transport=tcp")
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.end_reason, ended.status, ended.direction) == ("failed", None, "outgoing")


async def test_who_hangs_up_is_told(mqtt: Mqtt, station: Phone, door: str) -> None:
    await talking(mqtt, station, door)
    await mqtt.request("hangup")
    assert last_event(mqtt, "CALL_ENDED").end_reason == "hangup_local"
    (await talking(mqtt, station, door)).hangup()
    assert (await mqtt.event("CALL_ENDED")).end_reason == "hangup_remote"


async def test_the_cause_in_a_bye_is_told(mqtt: Mqtt, raw: DatagramPeer) -> None:
    dialog = Dialog(raw, "sip:door@127.0.0.1")
    established = asyncio.create_task(dialog.establish())
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await established
    await mqtt.event("ACK")
    dialog.headers = 'Reason: Q.850;cause=16;text="Normal"\r\n'
    raw.send(dialog.request("BYE"))
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.end_reason, ended.q850) == ("hangup_remote", 16)


async def test_a_call_that_lasts_too_long_times_out(station: Phone) -> None:
    brief = dataclasses.replace(DOOR, max_duration=0.5)
    async with running(config_of(brief)) as bridge, watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
        mqtt = Mqtt(watcher=watcher)
        await talking(mqtt, station, f"sip:door@127.0.0.1:{bridge.sip_port}")
        ended = await mqtt.event("CALL_ENDED")
    assert ended.end_reason == "timeout"
    assert 0.5 <= ended.talk_seconds < 5.0


async def test_a_record_tells_when_how_long_and_how_well(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await talking(mqtt, station, door)
    await until(lambda: call.media.statistics.packets_received >= 10)
    await mqtt.request("hangup")
    ended = last_event(mqtt, "CALL_ENDED")
    assert datetime.fromisoformat(ended.started_at).timestamp() == pytest.approx(call.started_at, abs=5)
    assert 0.0 < ended.ring_seconds < 5.0
    assert 0.1 <= ended.talk_seconds < 5.0
    assert ended.quality is not None
    assert ended.quality.sent >= 10
    assert ended.quality.packets > 0
    assert (ended.quality.lost, ended.state) == (0, "idle")


# --- what a peer calls itself ---


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('"Türe \U0001f6aa"', "Türe \U0001f6aa"),
        (r'"A \"quoted\" \\ name"', r'A "quoted" \ name'),
        ('"<script>&amp;{{ 7*7 }}"', "<script>&amp;{{ 7*7 }}"),
        ("", None),
    ],
)
async def test_a_caller_is_shown_as_it_calls_itself(
    mqtt: Mqtt, raw: DatagramPeer, written: str, name: str | None
) -> None:
    dialog = Dialog(raw, "sip:door@127.0.0.1")
    invite = dialog.request("INVITE", sdp("127.0.0.1"))
    raw.send(invite.replace(b"From: <sip:station@", f"From: {written} <sip:b%C3%BCro@".encode()))
    event = await mqtt.event("INVITE")
    assert event.remote == contract.Remote(uri="sip:b%C3%BCro@station.example", user="büro", name=name)


async def test_bytes_that_are_no_text_do_no_harm(mqtt: Mqtt, raw: DatagramPeer) -> None:
    dialog = Dialog(raw, "sip:door@127.0.0.1")
    invite = dialog.request("INVITE", sdp("127.0.0.1"))
    raw.send(invite.replace(b"From: <", b'From: "\xff\xfe\x80" <'))
    assert (await mqtt.event("INVITE")).remote.name == "\ufffd\ufffd\ufffd"


def test_the_contract_names_every_end(pytestconfig: pytest.Config) -> None:
    """Each of them is made by a real call above, or where sound is lost: in test_calls."""
    tests = "".join((Path(__file__).parent / name).read_text() for name in ("test_contract_events.py", "test_calls.py"))
    assert [reason for reason in contract.EndReason if f'"{reason}"' not in tests] == []
