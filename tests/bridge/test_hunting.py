"""Several phones that ring at once, over MQTT: the first that answers, and accepts, has the call."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from sip_bridge.bridge.service import running
from sip_bridge.mqtt import contract
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import Acceptance, Contact
from sip_bridge.sip.events import EndCause
from sip_bridge.sip.status import SIPStatus
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, config_of, phone_on_loopback, ringing_uri
from tests.bridge.watcher import watching
from tests.phone.sip_peer import Callee, callee, sdp

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
NOBODY = "sip:nobody@no-such-host.invalid"


@pytest.fixture
async def kitchen() -> AsyncIterator[Phone]:
    async with phone_on_loopback("kitchen") as phone:
        yield phone


@pytest.fixture
async def study() -> AsyncIterator[Phone]:
    async with phone_on_loopback("study") as phone:
        yield phone


@pytest.fixture
async def bare() -> AsyncIterator[Callee]:
    async with callee() as phone:
        yield phone


@pytest.fixture
async def other() -> AsyncIterator[Callee]:
    async with callee() as phone:
        yield phone


async def rings(mqtt: Mqtt, *uris: str, **options: Any) -> contract.Response:
    return await mqtt.request("dial", as_json(to=uris[0], also=list(uris[1:]), **options))


async def done(mqtt: Mqtt) -> contract.HuntDoneEvent:
    event = await mqtt.event("HUNT_DONE")
    assert isinstance(event, contract.HuntDoneEvent)
    return event


async def press(call: VoIPCall, digits: str) -> None:
    await call.send_dtmf(digits, duration_ms=5, gap_ms=0, method="info")


def ends(mqtt: Mqtt) -> dict[str, str]:
    """Why each call ended, by its id."""
    return {p.call_id: p.end_reason for topic, p in mqtt.seen if topic.endswith("/event/CALL_ENDED")}


# --- who has it ---


async def test_the_first_to_answer_has_the_call_and_the_others_miss_none(
    mqtt: Mqtt, kitchen: Phone, study: Phone
) -> None:
    response = await rings(mqtt, ringing_uri(kitchen), ringing_uri(study))
    here, there = await kitchen.state(CallState.RINGING), await study.state(CallState.RINGING)
    assert response.data == {"call_id": here.call_id, "call_ids": [here.call_id, there.call_id]}
    await there.answer()
    assert (await kitchen.finished()).cause is EndCause.ANSWERED_ELSEWHERE
    told = await done(mqtt)
    assert (told.call_id, told.calls, told.end_reason) == (there.call_id, (here.call_id, there.call_id), None)
    assert told.remote is not None
    assert told.remote.user == "study"
    assert ends(mqtt) == {here.call_id: "answered_elsewhere"}
    assert (await mqtt.request("hangup")).data == {"call_id": there.call_id}


async def test_a_phone_that_stops_ringing_is_told_why(mqtt: Mqtt, kitchen: Phone, bare: Callee) -> None:
    await rings(mqtt, ringing_uri(kitchen), bare.uri)
    invite = await bare.ring()
    await (await kitchen.state(CallState.RINGING)).answer()
    cancel = await bare.receive()
    assert (cancel.method, cancel.get_all("reason")) == ("CANCEL", [ELSEWHERE])
    assert cancel.get_all("via") == invite.get_all("via")[:1]


async def test_of_two_that_answer_at_the_same_instant_one_is_hung_up(mqtt: Mqtt, bare: Callee, other: Callee) -> None:
    await rings(mqtt, bare.uri, other.uri)
    invites = [await each.ring() for each in (bare, other)]
    for each, invite in zip((bare, other), invites, strict=True):
        each.respond(invite, "200 OK", sdp("127.0.0.1"))
    told = await done(mqtt)
    assert (told.call_id, told.end_reason) == (invites[0].call_id, None)
    assert [(await other.receive()).method for _ in range(1)] == ["ACK"]
    bye = await other.receive()
    assert (bye.method, bye.get_all("reason")) == ("BYE", [ELSEWHERE])
    assert (await bare.receive()).method == "ACK"
    assert bare.messages.empty()


async def test_an_answer_that_crosses_our_cancel_is_hung_up_with_the_reason(
    mqtt: Mqtt, kitchen: Phone, bare: Callee
) -> None:
    await rings(mqtt, ringing_uri(kitchen), bare.uri)
    invite = await bare.ring()
    await (await kitchen.state(CallState.RINGING)).answer()
    assert (await bare.receive()).method == "CANCEL"
    bare.respond(invite, "200 OK", sdp("127.0.0.1"))
    assert (await bare.receive()).method == "ACK"
    bye = await bare.receive()
    assert (bye.method, bye.get_all("reason")) == ("BYE", [ELSEWHERE])


async def test_who_can_not_be_reached_keeps_nobody_from_ringing(mqtt: Mqtt, kitchen: Phone) -> None:
    response = await rings(mqtt, NOBODY, ringing_uri(kitchen))
    call = await kitchen.state(CallState.RINGING)
    assert response.data == {"call_id": call.call_id, "call_ids": [call.call_id]}
    await call.answer()
    assert (await done(mqtt)).call_id == call.call_id


async def test_what_is_played_is_heard_by_who_has_the_call(mqtt: Mqtt, kitchen: Phone, study: Phone) -> None:
    await rings(mqtt, ringing_uri(kitchen), ringing_uri(study), play="tone:busy/0.2", auto_hangup=True, hold_ms=0)
    await study.state(CallState.RINGING)
    await (await kitchen.state(CallState.RINGING)).answer()
    assert (await mqtt.event("PLAYBACK_DONE")).completed
    assert (await kitchen.finished()).cause is EndCause.HANGUP_REMOTE


# --- nobody has it ---


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (SIPStatus.BUSY_HERE, SIPStatus.BUSY_HERE, "busy"),
        (SIPStatus.DECLINE, SIPStatus.BUSY_HERE, "declined"),
        (SIPStatus.NOT_FOUND, SIPStatus.TEMPORARILY_UNAVAILABLE, "no_answer"),
        (SIPStatus.NOT_FOUND, SIPStatus.SERVER_INTERNAL_ERROR, "failed"),
    ],
)
async def test_when_all_refuse_there_is_one_outcome(
    mqtt: Mqtt, kitchen: Phone, study: Phone, first: SIPStatus, second: SIPStatus, reason: str
) -> None:
    await rings(mqtt, ringing_uri(kitchen), ringing_uri(study))
    (await kitchen.state(CallState.RINGING)).reject(first)
    (await study.state(CallState.RINGING)).reject(second)
    told = await done(mqtt)
    assert (told.call_id, told.end_reason, len(told.calls), len(ends(mqtt))) == (None, reason, 2, 2)


async def test_who_rings_for_too_long_is_no_answer(mqtt: Mqtt, kitchen: Phone, study: Phone) -> None:
    await rings(mqtt, ringing_uri(kitchen), ringing_uri(study), timeout=1)
    assert (await done(mqtt)).end_reason == "no_answer"
    assert [(await phone.finished()).cause for phone in (kitchen, study)] == [EndCause.CANCELED] * 2


async def test_hanging_up_gives_all_of_them_up(mqtt: Mqtt, kitchen: Phone, study: Phone) -> None:
    await rings(mqtt, ringing_uri(kitchen), ringing_uri(study))
    calls = [await phone.state(CallState.RINGING) for phone in (kitchen, study)]
    assert (await mqtt.request("hangup")).data == {"call_id": calls[0].call_id}
    told = await done(mqtt)
    assert (told.call_id, told.end_reason, list(ends(mqtt).values())) == (None, "canceled", ["canceled"] * 2)
    assert [(await phone.finished()).cause for phone in (kitchen, study)] == [EndCause.CANCELED] * 2


# --- who is asked to accept ---


async def test_who_answers_has_the_call_only_with_the_key(mqtt: Mqtt, kitchen: Phone, study: Phone) -> None:
    await rings(mqtt, ringing_uri(kitchen), ringing_uri(study), accept="1")
    here, there = await kitchen.state(CallState.RINGING), await study.state(CallState.RINGING)
    await here.answer()
    await press(here, "2")
    assert there.state is CallState.RINGING
    await there.answer()
    await press(there, "1")
    told = await done(mqtt)
    assert (told.call_id, told.end_reason) == (there.call_id, None)
    assert (await kitchen.finished()).cause is EndCause.HANGUP_REMOTE
    assert ends(mqtt) == {here.call_id: "answered_elsewhere"}


async def test_one_number_may_have_to_accept_too_and_hears_the_prompt_until_then(mqtt: Mqtt, kitchen: Phone) -> None:
    await mqtt.request("dial", as_json(to=ringing_uri(kitchen), accept="#", accept_prompt="tone:busy/0.2", timeout=5))
    call = await kitchen.state(CallState.RINGING)
    await call.answer()
    await mqtt.event("ACK")
    await press(call, "#")
    assert (await mqtt.event("PLAYBACK_DONE")).source == "tone:busy/0.2"
    assert (await done(mqtt)).call_id == call.call_id
    assert call.is_talking


async def test_a_prompt_that_can_not_be_played_is_a_tone(mqtt: Mqtt, kitchen: Phone) -> None:
    await mqtt.request("dial", as_json(to=ringing_uri(kitchen), accept="1", accept_prompt="none.wav"))
    call = await kitchen.state(CallState.RINGING)
    await call.answer()
    warning = await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("logging"))
    assert warning.message.startswith("none.wav can't be played")
    await press(call, "1")
    assert (await done(mqtt)).call_id == call.call_id


async def test_who_does_not_accept_in_time_is_hung_up_and_the_others_ring_on(
    mqtt: Mqtt, kitchen: Phone, study: Phone
) -> None:
    await rings(mqtt, ringing_uri(kitchen), ringing_uri(study), accept="1", accept_timeout=1)
    here, there = await kitchen.state(CallState.RINGING), await study.state(CallState.RINGING)
    await here.answer()
    assert (await mqtt.event("CALL_ENDED")).end_reason == "no_answer"
    assert there.state is CallState.RINGING
    await there.answer()
    await press(there, "1")
    assert (await done(mqtt)).call_id == there.call_id


async def test_who_hangs_up_instead_of_accepting_is_out(mqtt: Mqtt, kitchen: Phone) -> None:
    await mqtt.request("dial", as_json(to=ringing_uri(kitchen), accept="1"))
    call = await kitchen.state(CallState.RINGING)
    await call.answer()
    await mqtt.event("ACK")
    call.hangup()
    told = await done(mqtt)
    assert (told.call_id, told.end_reason) == (None, "declined")


# --- what is refused ---


async def code_of(mqtt: Mqtt, payload: str, verb: str = "dial") -> str:
    response = await mqtt.request(verb, payload)
    assert response.error is not None
    return response.error.code


async def test_a_request_that_makes_no_sense_rings_nobody(mqtt: Mqtt, kitchen: Phone) -> None:
    uri = ringing_uri(kitchen)
    assert await code_of(mqtt, as_json(to=uri, accept="12")) == "invalid_payload"
    assert await code_of(mqtt, as_json(to=uri, accept="1", accept_timeout=0)) == "invalid_payload"
    assert await code_of(mqtt, as_json(to=uri, also=uri)) == "invalid_payload"
    assert await code_of(mqtt, as_json(to=NOBODY, also=["sip:none@no-such-host.invalid"])) == "sip_error"
    assert await code_of(mqtt, as_json(to=uri, also=[f"{uri};x={n}" for n in range(8)])) == "busy"
    assert kitchen.phone.calls == {}


# --- contacts ---


@pytest.fixture
async def book(kitchen: Phone, study: Phone) -> AsyncIterator[Mqtt]:
    """MQTT of a line with a phone book, that may not call everybody in it."""
    here, there = ringing_uri(kitchen), ringing_uri(study)
    account = replace(
        DOOR,
        allow_dial=(here, there),
        contacts=(
            Contact(name="Kitchen", number=here),
            Contact(name="Family", number=here, also=(there,), acceptance=Acceptance(key="5")),
            Contact(name="Neighbour", number="sip:neighbour@192.0.2.9"),
            Contact(name="112", number=there),
        ),
    )
    async with running(config_of(account)) as started, watching(started.mqtt_host, started.mqtt_port, "#") as watcher:
        client = Mqtt(watcher=watcher)
        await client.until(lambda topic, payload: topic.endswith("/state") and payload.state == "online")
        yield client


async def test_a_contact_is_called_by_its_name_in_whatever_case(book: Mqtt, kitchen: Phone) -> None:
    response = await book.request("dial", "kITCHEN")
    assert response.data == {"call_id": (await kitchen.state(CallState.RINGING)).call_id}


async def test_a_group_rings_at_once_and_asks_to_accept(book: Mqtt, kitchen: Phone, study: Phone) -> None:
    await book.request("dial", "family")
    here, there = await kitchen.state(CallState.RINGING), await study.state(CallState.RINGING)
    await here.answer()
    assert there.state is CallState.RINGING
    await press(here, "5")
    assert (await study.finished()).cause is EndCause.ANSWERED_ELSEWHERE
    assert (await done(book)).call_id == here.call_id


async def test_names_and_numbers_ring_together_and_each_number_once(book: Mqtt, kitchen: Phone, study: Phone) -> None:
    response = await rings(book, "Kitchen", ringing_uri(kitchen), ringing_uri(study))
    calls = [(await phone.state(CallState.RINGING)).call_id for phone in (kitchen, study)]
    assert response.data == {"call_id": calls[0], "call_ids": calls}


async def test_a_name_is_checked_by_its_number_and_a_number_is_no_name(book: Mqtt) -> None:
    assert await code_of(book, "Neighbour") == "not_allowed"
    assert await code_of(book, "112") == "not_allowed"
    assert await code_of(book, "Nobody") == "not_allowed"
    assert await code_of(book, as_json(to="Family", text="Hello"), "send_message") == "invalid_payload"


async def test_the_inventory_shows_groups(book: Mqtt, kitchen: Phone, study: Phone) -> None:
    (account,) = book.latest(TOPICS.of_bridge("accounts")).accounts
    here, there = ringing_uri(kitchen), ringing_uri(study)
    assert account.contacts[:2] == (
        contract.Contact(name="Kitchen", number=here),
        contract.Contact(name="Family", number=here, numbers=(here, there)),
    )
