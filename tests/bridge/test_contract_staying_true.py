"""Rules of the contract about what is retained, and about staying true for whoever comes later."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from sip_bridge.bridge.service import Running, running
from sip_bridge.mqtt import contract
from sip_bridge.phone.call import CallState
from sip_bridge.phone.settings import RegisteredAccount, Secret
from sip_bridge.sip.message import SIPMessage
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, config_of, ringing_uri
from tests.bridge.sip_peers import callee
from tests.bridge.watcher import watching
from tests.phone.sip_peer import sdp

DOOR_TOPICS = [TOPICS.of_account("door", kind) for kind in ("call", "last_call", "registration")]
ALWAYS = {
    TOPICS.discovery,
    *(TOPICS.of_bridge(kind) for kind in ("state", "info", "accounts")),
    *(TOPICS.of_account("door", kind) for kind in ("call", "registration")),
}


async def one_call(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("reject")


async def test_who_comes_later_finds_every_retained_topic_and_nothing_else(
    mqtt: Mqtt, bridge: Running, station: Phone, door: str
) -> None:
    await one_call(mqtt, station, door)
    async with watching(bridge.mqtt_host, bridge.mqtt_port, "#") as later:
        late = Mqtt(watcher=later)
        await late.request("answer")
    retained = {message.topic for message in late.raw if message.retained}
    assert retained >= {*ALWAYS, *DOOR_TOPICS}
    assert [topic for topic in retained if "/event/" in topic or "/request/" in topic or "/response/" in topic] == []
    assert {message.qos for message in late.raw if message.retained} == {1}


async def test_events_and_answers_come_once_with_qos_1_and_are_not_retained(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    await one_call(mqtt, station, door)
    told = [message for message in mqtt.raw if "/event/" in message.topic or "/response/" in message.topic]
    assert [(message.topic.rpartition("/")[2], message.qos, message.retained) for message in told] == [
        ("INVITE", 1, False),
        ("RINGING", 1, False),
        ("BUSY_HERE", 1, False),
        ("CALL_ENDED", 1, False),
        ("reject", 1, False),
    ]


async def test_home_assistant_that_starts_hears_all_again_and_the_health(mqtt: Mqtt, station: Phone, door: str) -> None:
    await one_call(mqtt, station, door)
    before = len(mqtt.raw)
    mqtt.watcher.publish("homeassistant/status", "online")
    health = await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("health"))
    said = [message.topic for message in mqtt.raw[before:] if message.topic != "homeassistant/status"]
    again = said[:-1]
    assert set(again) >= {*ALWAYS, *DOOR_TOPICS}
    assert (again[-1], said[-1]) == (TOPICS.of_bridge("state"), TOPICS.of_bridge("health"))
    assert (mqtt.raw[-1].qos, mqtt.raw[-1].retained, health.accounts) == (0, False, 1)


async def test_home_assistant_that_stops_changes_nothing(mqtt: Mqtt) -> None:
    mqtt.watcher.publish("homeassistant/status", "offline")
    before = len(mqtt.raw)
    await mqtt.request("answer")
    assert [message.topic for message in mqtt.raw[before:] if message.topic in ALWAYS] == []


async def test_a_line_without_a_registrar_is_not_registered_anywhere(mqtt: Mqtt) -> None:
    assert mqtt.latest(TOPICS.of_account("door", "registration")) == contract.Registration(
        state=contract.RegistrationState.DISABLED
    )


async def test_what_the_bridge_can_do_is_every_verb(mqtt: Mqtt) -> None:
    info = mqtt.latest(TOPICS.of_bridge("info"))
    assert set(info.capabilities) >= {*contract.ACCOUNT_VERBS, *contract.BRIDGE_VERBS}


# --- the state of a line ---


def states(mqtt: Mqtt) -> list[str]:
    """Which the door's line was in, one after the other."""
    topic = TOPICS.of_account("door", "call")
    told = [payload.state for seen, payload in mqtt.seen if seen == topic]
    return [state for before, state in zip(["", *told], told, strict=False) if state != before]


async def test_a_call_of_ours_dials_rings_has_early_media_talks_and_is_held(mqtt: Mqtt) -> None:
    async with callee() as peer:
        call_id = (await mqtt.request("dial", peer.uri)).data["call_id"]
        invite = peer.requests[0]
        peer.say(invite, "180 Ringing")
        await mqtt.event("RINGING")
        peer.say(invite, "183 Session Progress", sdp("127.0.0.1"))
        await mqtt.event("SESSION_PROGRESS")
        peer.say(invite, "200 OK", sdp("127.0.0.1"))
        await mqtt.event("ACK")
        peer.answer = lambda request: "200 OK" if request.method == "BYE" else None
        topic = TOPICS.of_account("door", "request", "hold")
        mqtt.watcher.publish(topic, as_json(call_id=call_id))
        await mqtt.until(lambda seen, _: seen == topic)
        await mqtt.request("answer")  # the re-INVITE has left
        peer.say(peer.requests[-1], "200 OK", sdp("127.0.0.1") + b"a=recvonly\r\n")
        await mqtt.snapshot("on_hold")
        await mqtt.request("hangup")
    assert states(mqtt) == ["idle", "dialing", "ringing", "early_media", "in_call", "on_hold", "idle"]


async def test_of_several_calls_the_line_shows_the_state_that_matters_most(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    await mqtt.request("dial", ringing_uri(station))
    await mqtt.snapshot("ringing")
    talked = await station.call(door)
    await mqtt.until(lambda topic, payload: topic.endswith("door/call") and len(payload.calls) == 2)
    await mqtt.request("answer", as_json(call_id=talked.call_id))
    snapshot = mqtt.latest(TOPICS.of_account("door", "call"))
    assert snapshot.state == "in_call"
    assert [(call.direction, call.state) for call in snapshot.calls] == [
        ("outgoing", "ringing"),
        ("incoming", "in_call"),
    ]
    await mqtt.request("hangup", as_json(call_id=talked.call_id))
    assert mqtt.latest(TOPICS.of_account("door", "call")).state == "ringing"


async def test_a_live_call_shows_all_that_is_known_of_it(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await station.call(door)
    await mqtt.event("RINGING")
    (ringing,) = mqtt.latest(TOPICS.of_account("door", "call")).calls
    await mqtt.request("answer")
    await mqtt.request("mute")
    (talking,) = mqtt.latest(TOPICS.of_account("door", "call")).calls
    assert ringing == contract.CallInfo(
        call_id=call.call_id,
        direction=contract.Direction.INCOMING,
        state=contract.CallState.RINGING,
        remote=contract.Remote(uri="sip:station@127.0.0.1", user="station", name="Station"),
        started_at=ringing.started_at,
    )
    assert (talking.state, talking.muted, talking.recording, talking.codec) == (
        "in_call",
        True,
        False,
        call.media.codec,
    )
    assert talking.started_at == ringing.started_at <= talking.answered_at


# --- the methods within a call ---


async def test_keys_by_info_and_a_transfer_are_told_by_their_methods(mqtt: Mqtt, station: Phone) -> None:
    await mqtt.request("dial", ringing_uri(station))
    call = await station.state(CallState.RINGING)
    await call.answer()
    await mqtt.event("ACK")
    await mqtt.request("send_dtmf", as_json(digits="1", method="info"))
    await call.send_dtmf("2", duration_ms=100, gap_ms=0, method="info")
    await mqtt.event("DTMF")
    await mqtt.request("transfer", "sip:anybody@127.0.0.1:9")  # which the station refuses
    told = [payload for topic, payload in mqtt.seen if "/event/" in topic and payload.method in ("INFO", "REFER")]
    assert [(each.event, each.origin, each.call_id) for each in told] == [
        ("INFO", "local", call.call_id),
        ("INFO", "remote", call.call_id),
        ("REFER", "local", call.call_id),
    ]


# --- registrations ---


@asynccontextmanager
async def at_a_registrar(answer: Callable[[SIPMessage], str | None]) -> AsyncIterator[Mqtt]:
    """A bridge with a line ``pbx`` at a registrar that answers so."""
    async with callee() as registrar:
        registrar.answer = answer
        host, port = registrar.uri.removeprefix("sip:callee@").split(":")
        pbx = RegisteredAccount(id="pbx", name="PBX", user="620", server=host, port=int(port), password=Secret("x"))
        async with (
            running(config_of(DOOR, pbx)) as bridge,
            watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher,
        ):
            yield Mqtt(watcher=watcher)


def accepted(request: SIPMessage) -> str:
    """For a minute."""
    is_bound = request.get("expires") != "0"
    return "200 Fine" + (f"\r\nContact: {request.get('contact')};expires=60" if is_bound else "")


async def test_a_registration_is_shown_until_when_and_that_it_was_removed() -> None:
    topic = TOPICS.of_account("pbx", "registration")
    async with at_a_registrar(accepted) as mqtt:
        registered = await mqtt.until(lambda seen, payload: seen == topic and payload.state == "registered")
        await mqtt.request("unregister", account="pbx")
        unregistered = await mqtt.until(lambda seen, payload: seen == topic and payload.state == "unregistered")
    left = datetime.fromisoformat(registered.expires_at) - datetime.now(UTC)
    assert 30 < left.total_seconds() < 61
    assert (registered.status, registered.phrase) == (200, "Fine")
    assert unregistered.expires_at is None


@pytest.mark.parametrize(("answer", "status"), [("403 Not you", 403), ("503 Later", 503)])
async def test_a_registration_that_fails_says_why(answer: str, status: int) -> None:
    async with at_a_registrar(lambda _: answer) as mqtt:
        topic = TOPICS.of_account("pbx", "registration")
        shown = await mqtt.until(lambda seen, payload: seen == topic and payload.state == "failed")
        assert shown == contract.Registration(
            state=contract.RegistrationState.FAILED, status=status, phrase=answer.partition(" ")[2]
        )
        assert (await mqtt.request("dial", "200", account="pbx")).error is not None


async def test_registering_a_line_without_a_registrar_is_refused(mqtt: Mqtt) -> None:
    codes = [(await mqtt.request(verb)).error for verb in ("register", "unregister")]
    assert [error and error.code for error in codes] == ["wrong_state"] * 2
