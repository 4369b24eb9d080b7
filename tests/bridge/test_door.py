"""`open_door` over MQTT: a station hears the code, and nobody else sees it."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sip_bridge.bridge.service import Running, running
from sip_bridge.mqtt import contract
from sip_bridge.phone import keys
from sip_bridge.phone.call import CallState
from sip_bridge.phone.events import CallFinished, DTMFPressed
from sip_bridge.phone.settings import DirectAccount, DoorSettings, Secret
from sip_bridge.sip.events import EndCause
from sip_bridge.sip.status import SIPStatus
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, config_of, ringing_uri
from tests.bridge.watcher import watching
from tests.phone.peer import Peer as RTPPeer
from tests.phone.sip_peer import Dialog, sending_to

QUICK = DoorSettings(code=Secret("47#1"), duration_ms=40, gap_ms=40)


def with_door(door: DoorSettings | None) -> DirectAccount:
    return replace(DOOR, door=door)


@pytest.fixture(params=[QUICK])
async def bridge(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    async with running(config_of(with_door(request.param))) as started:
        yield started


async def keys_of(phone: Phone, count: int) -> list[tuple[str, str]]:
    """The next keys that a phone hears."""
    keys: list[tuple[str, str]] = []
    async with asyncio.timeout(10):
        while len(keys) < count:
            event = await phone.events.get()
            if isinstance(event, DTMFPressed):
                keys.append((event.digit, event.method))
    return keys


async def talking(mqtt: Mqtt, station: Phone, door: str) -> str:
    call = await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")
    return call.call_id


async def test_in_a_call_the_code_is_pressed_and_the_call_goes_on(mqtt: Mqtt, station: Phone, door: str) -> None:
    call_id = await talking(mqtt, station, door)
    response = await mqtt.request("open_door", as_json(transaction="t"))
    assert (response.status, response.transaction, response.data) == ("ok", "t", {"call_id": call_id})
    assert await keys_of(station, 4) == [("4", "rtp"), ("7", "rtp"), ("#", "rtp"), ("1", "rtp")]
    opened = next(payload for topic, payload in mqtt.seen if topic.endswith("/event/DOOR_OPENED"))
    assert (opened.by, opened.call_id, opened.origin, opened.remote.user) == ("request", call_id, "local", "station")
    assert [call.state for call in station.phone.calls.values()] == [CallState.IN_CALL]


async def test_a_ringing_call_is_answered_for_it_and_hung_up(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    assert (await mqtt.request("open_door", as_json(if_state="ringing"))).status == "ok"
    assert [digit for digit, _ in await keys_of(station, 4)] == ["4", "7", "#", "1"]
    assert (await station.finished()).cause is EndCause.HANGUP_REMOTE
    assert mqtt.events() == ["INVITE", "RINGING", "OK", "ACK", "DOOR_OPENED", "BYE", "CALL_ENDED"]


async def code_of(mqtt: Mqtt, payload: str = "") -> str:
    response = await mqtt.request("open_door", payload)
    assert response.error is not None
    return response.error.code


@pytest.mark.parametrize("bridge", [replace(QUICK, hang_up=False)], indirect=True)
async def test_who_was_answered_for_it_may_be_kept(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("open_door")
    assert [call.state for call in station.phone.calls.values()] == [CallState.IN_CALL]


@pytest.mark.parametrize("bridge", [replace(QUICK, hang_up=True)], indirect=True)
async def test_who_was_talked_to_may_be_hung_up_too(mqtt: Mqtt, station: Phone, door: str) -> None:
    await talking(mqtt, station, door)
    await mqtt.request("open_door")
    assert (await station.finished()).cause is EndCause.HANGUP_REMOTE


@pytest.mark.parametrize("bridge", [replace(QUICK, answer=False)], indirect=True)
async def test_a_ringing_call_that_may_not_be_answered_rings_on(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await station.call(door)
    await mqtt.event("RINGING")
    assert await code_of(mqtt) == "wrong_state"
    assert call.state is CallState.RINGING


async def test_what_can_not_open_it_presses_nothing(mqtt: Mqtt, station: Phone, door: str) -> None:
    assert await code_of(mqtt) == "no_call"
    await talking(mqtt, station, door)
    assert await code_of(mqtt, as_json(call_id="the one before")) == "no_call"
    assert await code_of(mqtt, as_json(if_state="ringing")) == "wrong_state"
    assert await code_of(mqtt, as_json(expires="2020-01-01T00:00:00Z")) == "expired"
    assert await code_of(mqtt, "4711") == "invalid_payload"
    assert await keys_of_the_call(mqtt, station) == []


async def keys_of_the_call(mqtt: Mqtt, station: Phone) -> list[str]:
    """All that a phone has heard when its call is over."""
    await mqtt.request("hangup")
    keys = []
    async with asyncio.timeout(10):
        while not isinstance(event := await station.events.get(), CallFinished):
            keys += [event.digit] if isinstance(event, DTMFPressed) else []
    return keys


@pytest.mark.parametrize("bridge", [None], indirect=True)
async def test_without_a_code_it_is_not_allowed(mqtt: Mqtt, station: Phone, door: str) -> None:
    await talking(mqtt, station, door)
    assert await code_of(mqtt) == "not_allowed"
    assert [account.door_code for account in mqtt.latest(TOPICS.of_bridge("accounts")).accounts] == [False]


async def test_a_second_press_meanwhile_is_refused_and_the_code_is_sent_once(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    await talking(mqtt, station, door)
    for transaction in ("first", "second"):
        mqtt.watcher.publish(TOPICS.of_account("door", "request", "open_door"), as_json(transaction=transaction))
    answers = [await mqtt.until(lambda topic, _: topic.endswith("/response/open_door")) for _ in range(2)]
    assert [(each.transaction, each.error and each.error.code) for each in answers] == [
        ("second", "busy"),
        ("first", None),
    ]
    assert await keys_of_the_call(mqtt, station) == list("47#1")


async def test_a_repeated_transaction_opens_once(mqtt: Mqtt, station: Phone, door: str) -> None:
    await talking(mqtt, station, door)
    answers = [await mqtt.request("open_door", as_json(transaction="once")) for _ in range(2)]
    assert [answer.status for answer in answers] == ["ok", "ok"]
    assert await keys_of_the_call(mqtt, station) == list("47#1")


# --- without a call ---


@pytest.fixture
async def calling_mqtt(station: Phone) -> AsyncIterator[Mqtt]:
    """MQTT of a bridge that knows the station's number."""
    account = with_door(replace(QUICK, number=ringing_uri(station)))
    async with running(config_of(account)) as started, watching(started.mqtt_host, started.mqtt_port, "#") as watcher:
        client = Mqtt(watcher=watcher)
        await client.until(lambda topic, payload: topic.endswith("/state") and payload.state == "online")
        yield client


async def test_without_a_call_the_station_is_called_and_hung_up(calling_mqtt: Mqtt, station: Phone) -> None:
    opening = asyncio.ensure_future(calling_mqtt.request("open_door"))
    await (await station.state(CallState.RINGING)).answer()
    assert [digit for digit, _ in await keys_of(station, 4)] == list("47#1")
    assert (await station.finished()).cause is EndCause.HANGUP_REMOTE
    assert (await opening).status == "ok"


async def test_a_station_that_does_not_answer_is_an_error_with_its_status(calling_mqtt: Mqtt, station: Phone) -> None:
    opening = asyncio.ensure_future(calling_mqtt.request("open_door"))
    (await station.state(CallState.RINGING)).reject(SIPStatus.BUSY_HERE)
    response = await opening
    assert response.error is not None
    assert (response.error.code, response.error.message) == ("sip_error", "the door station did not answer: 486")


async def test_a_late_press_calls_nobody(calling_mqtt: Mqtt, station: Phone) -> None:
    assert await code_of(calling_mqtt, as_json(if_state="ringing")) == "no_call"
    assert await code_of(calling_mqtt, as_json(call_id="the one before")) == "no_call"
    assert station.phone.calls == {}


# --- stations that hang up ---


async def hang_up_at(key: int, mqtt: Mqtt, bridge: Running) -> contract.Response:
    """The answer when a station that takes INFO hangs up at a key, which it doesn't answer any more."""
    ear = RTPPeer()
    async with sending_to("127.0.0.1", bridge.sip_port) as peer:
        dialog = Dialog(peer, f"sip:door@127.0.0.1:{bridge.sip_port}", headers="Allow: INFO\r\n")
        peer.send(dialog.request("INVITE", ear.sdp(formats="0")))
        await mqtt.event("RINGING")
        opening = asyncio.ensure_future(mqtt.request("open_door"))
        await answered(dialog)
        for _ in range(key - 1):
            peer.send(dialog.response(await peer.receive()))
        await peer.receive()
        peer.send(dialog.request("BYE"))
        ear.close()
        return await opening


async def answered(dialog: Dialog) -> None:
    """From the INVITE that was sent to the ACK."""
    response = await dialog.peer.receive()
    while response.status < SIPStatus.OK:
        response = await dialog.peer.receive()
    assert response.contact is not None
    dialog.to_tag, dialog.target = f";tag={response.to.tag}", response.contact.uri
    dialog.peer.send(dialog.request("ACK", seq=dialog.seq))


async def test_a_station_that_hangs_up_at_the_last_key_has_opened(mqtt: Mqtt, bridge: Running) -> None:
    assert (await hang_up_at(4, mqtt, bridge)).status == "ok"


async def test_a_station_that_hangs_up_before_the_last_key_has_not(mqtt: Mqtt, bridge: Running) -> None:
    response = await hang_up_at(3, mqtt, bridge)
    assert response.error is not None
    assert response.error.code == "sip_error"
    assert "DOOR_OPENED" not in mqtt.events()


async def test_a_code_that_can_not_be_sent_in_time_opens_no_door_later(
    mqtt: Mqtt, station: Phone, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "PRESS_WAIT", 0.2)
    call_id = await talking(mqtt, station, door)
    call = station.phone.calls[call_id]
    await call.hold()
    assert await code_of(mqtt) == "wrong_state"
    await call.resume()
    assert (await mqtt.request("send_dtmf", as_json(digits="5", method="rtp"))).status == "ok"
    assert await keys_of_the_call(mqtt, station) == ["5"]


@pytest.mark.parametrize(
    ("bridge", "way"), [(QUICK, "info"), (replace(QUICK, method="rtp"), "rtp")], indirect=["bridge"]
)
async def test_the_keys_go_as_the_line_presses_keys_unless_the_door_says_how(
    mqtt: Mqtt, station: Phone, door: str, way: str
) -> None:
    await mqtt.request("set", as_json(dtmf_method="info"))
    await talking(mqtt, station, door)
    await mqtt.request("open_door")
    assert await keys_of(station, 4) == [(key, way) for key in "47#1"]


# --- the code ---


@pytest.mark.parametrize("bridge", [replace(QUICK, method="info"), QUICK], indirect=True)
async def test_the_code_is_seen_nowhere(
    mqtt: Mqtt, station: Phone, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mqtt.watcher.publish(TOPICS.of_bridge("request", "trace"), "60")
    await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("response", "trace"))
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("open_door")
    assert [digit for digit, _ in await keys_of(station, 4)] == list("47#1")
    await station.finished()
    text = "".join(message.payload for message in mqtt.raw) + caplog.text
    assert re.findall("47#1|Signal=[^*]", text) == []
    assert [account["door"]["code"] for account in mqtt.latest(TOPICS.of_bridge("info")).config["accounts"]] == ["***"]
    assert [account.door_code for account in mqtt.latest(TOPICS.of_bridge("accounts")).accounts] == [True]
