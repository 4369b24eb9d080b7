"""Rules of the contract about requests: their form, their repeats, how late they may come, and who hears the answer."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone

import pytest

from sip_bridge.bridge.inbox import MAX_REQUESTS
from sip_bridge.bridge.repeats import REPEAT_WINDOW, TRANSACTIONS_KEPT, Repeats
from sip_bridge.bridge.service import Running, running
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import Response
from sip_bridge.phone.call import CallState
from sip_bridge.phone.phone import MAX_OUTGOING
from sip_bridge.phone.settings import DirectAccount, RegisteredAccount, Secret
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, config_of, ringing_uri
from tests.bridge.sip_peers import Callee, callee
from tests.bridge.watcher import watching


@pytest.fixture
async def silent() -> AsyncIterator[Callee]:
    """A peer that never answers."""
    async with callee() as peer:
        yield peer


def code_of(response: Response) -> str | None:
    return None if response.error is None else response.error.code


async def request(mqtt: Mqtt, topic: str, payload: str | bytes) -> Response:
    """Publish bytes as they are, and wait for the response."""
    mqtt.watcher.publish(topic, payload)
    answer = topic.replace("/request/", "/response/")
    response: Response = await mqtt.until(lambda seen, _: seen == answer)
    return response


# --- form ---


async def test_a_bare_value_does_what_the_object_does(mqtt: Mqtt, station: Phone) -> None:
    called = await mqtt.request("dial", ringing_uri(station))
    assert called.status == "ok"
    call = await station.state(CallState.RINGING)
    await call.answer()
    await mqtt.event("ACK")
    pressed = await mqtt.request("send_dtmf", "12#")
    over = await mqtt.request("hangup")
    assert [pressed, over] == [Response(status="ok", data=called.data)] * 2


@pytest.mark.parametrize("verb", contract.ACCOUNT_VERBS)
async def test_every_verb_answers_an_object_that_it_can_not_read(mqtt: Mqtt, verb: str) -> None:
    response = await mqtt.request(verb, as_json(call_id=[], to=[], transaction="t"))
    assert (code_of(response), response.transaction) == ("invalid_payload", "t")


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00\xff\xfe\x80",
        b'{"to": "100"',
        b"[" * 20000,
        b'{"to":' * 20000,
        b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"to": "' + b"x" * 65536 + b'"}',
        b'{"to": "sip:a@b", "timeout": NaN}',
        b'{"to": "sip:a@b", "timeout": 1e999}',
        b'{"to": "sip:a@b", "timeout": ' + b"9" * 5000 + b"}",
        b'{"to": "sip:a@b", "hold_ms": ' + b"9" * 5000 + b"}",
        b'{"to": "\\ud800"}',
        b'{"to": null}',
        b'{"to": true}',
        b'{"to": "sip:a@b", "headers": {"X": 5.5}}',
        b'{"to": "sip:a@b", "transaction": "' + b"t" * 257 + b'"}',
        b"null",
        '"\u202e\U0001f6aa"'.encode(),
        "türe".encode(),
    ],
    ids=range(18),
)
async def test_whatever_is_published_as_a_dial_is_answered(mqtt: Mqtt, payload: bytes) -> None:
    response = await request(mqtt, TOPICS.of_account("door", "request", "dial"), payload)
    assert code_of(response) == "invalid_payload"
    assert (await mqtt.request("hangup")).error is not None  # the bridge goes on


async def test_a_word_and_an_account_that_nobody_knows_are_named(mqtt: Mqtt) -> None:
    verb = await mqtt.request("make_tea", as_json(transaction="t"))
    account = await mqtt.request("dial", as_json(transaction="u"), account="garden")
    of_bridge = await request(mqtt, TOPICS.of_bridge("request", "dial"), as_json(transaction="v"))
    assert [(code_of(each), each.transaction) for each in (verb, account, of_bridge)] == [
        ("unknown_verb", "t"),
        ("unknown_account", "u"),
        ("unknown_verb", "v"),
    ]


async def test_a_verb_that_is_no_word_gets_no_topic_of_its_own(mqtt: Mqtt) -> None:
    mqtt.watcher.publish(TOPICS.of_account("door", "request", "Dial now!"), "")
    await mqtt.request("hangup")
    assert [topic for topic, _ in mqtt.seen if "/response/" in topic] == [
        TOPICS.of_account("door", "response", "hangup")
    ]


async def test_numbers_and_texts_are_taken_for_each_other(mqtt: Mqtt, station: Phone, door: str) -> None:
    """As templates write them."""
    await station.call(door)
    await mqtt.event("RINGING")
    response = await mqtt.request("reject", as_json(status="603", transaction=7))
    assert (response.status, response.transaction) == ("ok", "7")
    assert (await station.finished()).status == 603


# --- repeats ---


async def test_a_repeat_is_answered_alike_while_its_request_is_still_being_done(
    mqtt: Mqtt, station: Phone, silent: Callee
) -> None:
    text = as_json(to=silent.uri, text="hi", transaction="once")
    topic = TOPICS.of_account("door", "request", "send_message")
    mqtt.watcher.publish(topic, text)
    mqtt.watcher.publish(topic, text)
    await mqtt.request("hangup")  # both have been taken
    silent.say(silent.requests[0], "200 OK")
    answer = TOPICS.of_account("door", "response", "send_message")
    responses = [await mqtt.until(lambda seen, _: seen == answer) for _ in range(2)]
    assert responses == [Response(status="ok", transaction="once", data={"status": 200})] * 2
    assert {one.call_id for one in silent.requests} == {silent.requests[0].call_id}


async def test_a_repeat_of_what_failed_fails_alike_and_is_not_tried_again(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    early = await mqtt.request("answer", as_json(transaction="press"))
    await station.call(door)
    await mqtt.event("RINGING")
    assert await mqtt.request("answer", as_json(transaction="press")) == early
    assert code_of(early) == "no_call"
    assert (await mqtt.request("answer", as_json(transaction="another"))).status == "ok"


async def test_one_transaction_of_two_verbs_or_accounts_is_two() -> None:
    bell = DirectAccount(id="bell", name="Bell", user="bell")
    async with running(config_of(DOOR, bell)) as bridge, watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
        mqtt = Mqtt(watcher=watcher)
        await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("state"))
        one = await mqtt.request("hangup", as_json(transaction="t"))
        other = await mqtt.request("hangup", as_json(transaction="t"), account="bell")
        unknown = await mqtt.request("nonsense", as_json(transaction="t"))
    assert [each.error.message for each in (one, other, unknown) if each.error] == [
        "account 'door' has no call",
        "account 'bell' has no call",
        "there is no verb 'nonsense'",
    ]


async def test_a_bridge_wide_request_is_repeated_alike_too(mqtt: Mqtt) -> None:
    topic = TOPICS.of_bridge("request", "health_check")
    first, again = [await request(mqtt, topic, as_json(transaction="t")) for _ in range(2)]
    assert first == again
    assert first.data["uptime_seconds"] < (await request(mqtt, topic, "")).data["uptime_seconds"]


async def test_repeats_are_known_for_their_time_and_no_longer() -> None:
    clock = iter((0.0, 0.0, REPEAT_WINDOW, REPEAT_WINDOW + 1, REPEAT_WINDOW + 1))  # asked, and answered
    repeats = Repeats(lambda: next(clock))
    done = itertools.count(1)

    async def answer() -> Response:
        return Response.ok(None, number=next(done))

    key = ("door", "dial", "t")
    numbers = [(await repeats.once(key, answer)).data["number"] for _ in range(3)]
    assert numbers == [1, 1, 2]


async def test_so_many_answers_are_kept_and_no_more() -> None:
    repeats = Repeats(lambda: 0.0)
    done = itertools.count()

    async def answer() -> Response:
        return Response.ok(None, number=next(done))

    for number in range(TRANSACTIONS_KEPT + 1):
        await repeats.once(("door", "dial", str(number)), answer)
    newest = await repeats.once(("door", "dial", str(TRANSACTIONS_KEPT)), answer)
    oldest = await repeats.once(("door", "dial", "0"), answer)
    assert (newest.data["number"], oldest.data["number"]) == (TRANSACTIONS_KEPT, TRANSACTIONS_KEPT + 1)


# --- which call, which state, how late ---


async def test_a_call_is_named_among_several(mqtt: Mqtt, station: Phone, door: str) -> None:
    first, second = await station.call(door), await station.call(door)
    await mqtt.until(lambda topic, payload: topic.endswith("door/call") and len(payload.calls) == 2)
    assert code_of(await mqtt.request("hangup")) == "ambiguous_call"
    assert (await mqtt.request("reject", as_json(call_id=first.call_id))).data == {"call_id": first.call_id}
    assert (await mqtt.request("hangup")).data == {"call_id": second.call_id}
    assert code_of(await mqtt.request("hangup", as_json(call_id=first.call_id))) == "no_call"


async def test_of_several_calls_the_only_one_that_fits_is_meant(mqtt: Mqtt, station: Phone, door: str) -> None:
    first = await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    second = await station.call(door)
    await mqtt.event("RINGING")
    assert (await mqtt.request("mute")).data == {"call_id": first.call_id}
    assert (await mqtt.request("reject")).data == {"call_id": second.call_id}


@pytest.mark.parametrize("state", ["idle", "dialing", "early_media", "in_call", "on_hold"])
async def test_a_request_for_another_state_is_not_done(mqtt: Mqtt, station: Phone, door: str, state: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    assert code_of(await mqtt.request("hangup", as_json(if_state=state))) == "wrong_state"
    assert (await mqtt.request("hangup", as_json(if_state="ringing"))).status == "ok"


@pytest.mark.parametrize("verb", ["play", "send_dtmf", "hold", "resume", "mute", "unmute", "stop_recording", "record"])
async def test_what_needs_an_answered_call_is_refused_while_it_rings(
    mqtt: Mqtt, station: Phone, door: str, verb: str
) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    assert code_of(await mqtt.request(verb, as_json(url="tone:dial", digits="1"))) == "wrong_state"


EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("expires", "code"),
    [
        ("2999-12-31T23:59:59Z", "no_call"),  # in time: there just is none
        ("2999-12-31T23:59:59.123456Z", "no_call"),
        ("2999-12-31T23:59:59+05:30", "no_call"),
        ("9999-12-31T23:59:59-23:59", "no_call"),
        ("2026-01-01T00:00:00Z", "expired"),
        ("2026-01-01T00:00:00.000-11:00", "expired"),
        ("0001-01-01T00:00:00+23:59", "expired"),
        ("2999-12-31T23:59:59", "invalid_payload"),
        ("2026-13-01T00:00:00Z", "invalid_payload"),
        ("tomorrow", "invalid_payload"),
        ("", "invalid_payload"),
        (1790000000, "invalid_payload"),
    ],
)
async def test_an_expired_request_is_not_done(mqtt: Mqtt, expires: object, code: str) -> None:
    assert code_of(await mqtt.request("hangup", as_json(expires=expires))) == code


async def test_the_zone_of_an_expiry_counts(mqtt: Mqtt) -> None:
    now = datetime.now(EAST)
    ends = [now + timedelta(seconds=seconds) for seconds in (-2, 60)]
    codes = [code_of(await mqtt.request("hangup", as_json(expires=end.isoformat()))) for end in ends]
    assert codes == ["expired", "no_call"]


async def test_a_bridge_wide_request_expires_too(mqtt: Mqtt) -> None:
    topic = TOPICS.of_bridge("request", "health_check")
    assert code_of(await request(mqtt, topic, as_json(expires="2026-01-01T00:00:00Z"))) == "expired"


# --- who may be called ---


async def test_an_account_that_is_not_registered_calls_nobody(silent: Callee) -> None:
    host, port = silent.uri.removeprefix("sip:callee@").split(":")
    pbx = RegisteredAccount(
        id="pbx", name="PBX", user="620", server=host, port=int(port), password=Secret("x"), allow_dial=("2*",)
    )
    async with running(config_of(pbx)) as bridge, watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
        mqtt = Mqtt(watcher=watcher)
        await mqtt.until(lambda topic, payload: topic.endswith("pbx/registration") and payload.state == "registering")
        assert code_of(await mqtt.request("dial", "200", account="pbx")) == "not_registered"
        assert code_of(await mqtt.request("dial", "100", account="pbx")) == "not_allowed"
        silent.say(silent.requests[0], "200 OK\r\nContact: <sip:620@127.0.0.1>;expires=60")
        changed = await mqtt.event("REGISTRATION_CHANGED", account="pbx")
        assert (changed.registration, changed.status, changed.phrase) == ("registered", 200, "OK")
        assert (await mqtt.request("dial", "200", account="pbx")).status == "ok"
        silent.say(silent.requests[-1], "486 Busy Here")
        await mqtt.event("CALL_ENDED", account="pbx")
        silent.answer = lambda _: "200 OK"


async def test_a_ninth_call_at_a_time_finds_the_account_busy(mqtt: Mqtt, station: Phone) -> None:
    for _ in range(MAX_OUTGOING):
        assert (await mqtt.request("dial", ringing_uri(station))).status == "ok"
    assert code_of(await mqtt.request("dial", ringing_uri(station))) == "busy"


# --- floods ---


async def test_who_asks_in_a_flood_hears_that_the_bridge_is_busy(
    silent: Callee, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [DirectAccount(id=name, name=name, user=name) for name in ("a", "b", "c")]
    text = as_json(to=silent.uri, text="hi")
    async with running(config_of(*lines)) as bridge, watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
        mqtt = Mqtt(watcher=watcher)
        await mqtt.until(lambda topic, payload: topic.endswith("/state") and payload.state == "online")
        for line, _ in itertools.product(("a", "b"), range(MAX_REQUESTS // 2)):
            watcher.publish(TOPICS.of_account(line, "request", "send_message"), text)
        refused = [await mqtt.request("hangup", as_json(transaction=f"t{n}"), account="c") for n in range(3)]
        assert [(code_of(each), each.transaction) for each in refused] == [("busy", f"t{n}") for n in range(3)]
        for asked in {one.call_id: one for one in silent.requests}.values():
            silent.say(asked, "200 OK")
        await mqtt.until(lambda topic, _: topic == TOPICS.of_account("b", "response", "send_message"))
        assert code_of(await mqtt.request("hangup", account="c")) == "no_call"
        health = await request(mqtt, TOPICS.of_bridge("request", "health_check"), "")
    assert health.data["counters"]["dropped_requests"] == 3
    assert sum("refused a request" in line for line in caplog.messages) == 1


async def test_every_one_of_many_requests_is_answered(mqtt: Mqtt) -> None:
    for number in range(500):
        mqtt.watcher.publish(TOPICS.of_account("door", "request", "hangup"), as_json(transaction=str(number)))
    answer = TOPICS.of_account("door", "response", "hangup")
    responses = [await mqtt.until(lambda seen, _: seen == answer) for _ in range(500)]
    assert sorted(int(each.transaction) for each in responses) == list(range(500))


# --- who hears the answer ---


async def test_the_response_topic_of_mqtt_5_gets_the_answer_with_its_correlation_data(
    mqtt: Mqtt, bridge: Running
) -> None:
    async with watching(bridge.mqtt_host, bridge.mqtt_port, "my/answers") as mine:
        topic = TOPICS.of_account("door", "request", "hangup")
        mine.publish(topic, as_json(transaction="t"), reply=("my/answers", b"\x00press\xff"))
        async with asyncio.timeout(10):
            answer = await mine.messages.get()
    assert json.loads(answer.payload)["error"]["code"] == "no_call"
    assert (answer.correlation_data, answer.qos, answer.retained) == (b"\x00press\xff", 1, False)
    usual = await mqtt.until(lambda seen, _: seen == TOPICS.of_account("door", "response", "hangup"))
    assert usual.transaction == "t"  # who watches the usual topic sees it too


async def test_a_response_topic_that_is_the_usual_one_gets_one_answer(mqtt: Mqtt) -> None:
    usual = TOPICS.of_account("door", "response", "hangup")
    topic = TOPICS.of_account("door", "request", "hangup")
    mqtt.watcher.publish(topic, as_json(transaction="t"), reply=(usual, b"c"))
    await mqtt.until(lambda seen, _: seen == usual)
    await mqtt.request("answer")
    answers = [message for message in mqtt.raw if message.topic == usual]
    assert [(each.correlation_data, json.loads(each.payload)["transaction"]) for each in answers] == [(b"c", "t")]


@pytest.mark.parametrize("kind", ["state", "account/door/call", "account/door/request/dial", "request/health_check"])
async def test_no_answer_is_sent_to_a_topic_that_is_the_bridges_own(mqtt: Mqtt, kind: str) -> None:
    topic = TOPICS.of_account("door", "request", "hangup")
    mqtt.watcher.publish(topic, "", reply=(f"{TOPICS.prefix}/{kind}", b""))
    await mqtt.until(lambda seen, _: seen == TOPICS.of_account("door", "response", "hangup"))
    await mqtt.request("answer")
    answers = [message.topic for message in mqtt.raw if '"no_call"' in message.payload]
    assert answers == [TOPICS.of_account("door", "response", verb) for verb in ("hangup", "answer")]


# --- retained requests ---


@pytest.mark.parametrize("verb", contract.ACCOUNT_VERBS)
async def test_a_retained_request_of_any_verb_is_dropped_and_gets_no_answer(mqtt: Mqtt, verb: str) -> None:
    mqtt.watcher.publish(TOPICS.of_account("door", "request", verb), "", retain=True)
    warned = await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("logging"))
    assert warned.level == "warning"
    assert f"dropped a retained request on {TOPICS.of_account('door', 'request', verb)}" in warned.message
    health = await request(mqtt, TOPICS.of_bridge("request", "health_check"), "")
    assert health.data["counters"]["dropped_requests"] == 1
    assert [topic for topic, _ in mqtt.seen if topic.startswith(f"{TOPICS.prefix}/account/door/response")] == []


def test_every_error_code_is_shown_by_a_test(pytestconfig: pytest.Config) -> None:
    tests = "".join(path.read_text() for path in sorted(pytestconfig.rootpath.glob("tests/bridge/test_*.py")))
    assert [code for code in contract.ErrorCode if f'"{code}"' not in tests] == []
