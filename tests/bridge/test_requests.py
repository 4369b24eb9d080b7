"""Requests over MQTT: what is refused, and how it is told."""

import pytest

from sip_bridge.bridge.service import Running
from sip_bridge.phone.call import CallState
from sip_bridge.phone.phone import VoIPPhone
from tests.bridge.conftest import TOPICS, Mqtt, Phone, as_json, ringing_uri, send_datagram


async def code_of(mqtt: Mqtt, verb: str, payload: str = "", account: str = "door") -> str:
    response = await mqtt.request(verb, payload, account)
    assert response.error is not None
    return response.error.code


@pytest.mark.parametrize(
    ("verb", "payload", "code"),
    [
        ("dial", "", "invalid_payload"),
        ("dial", "[1]", "invalid_payload"),
        ("dial", '{"to": 5, "timeout": "soon"}', "invalid_payload"),
        ("dial", '{"to": "sip:a@127.0.0.1", "schema": 2}', "invalid_payload"),
        ("dial", "200", "invalid_payload"),  # a number needs a PBX
        ("dial", "sip:a\r\nX: y@127.0.0.1", "invalid_payload"),
        ("dial", '{"to": "sip:a@127.0.0.1", "headers": {"Via": "x"}}', "invalid_payload"),
        ("dial", '{"to": "sip:a@127.0.0.1", "from_name": "a\\r\\nX: y"}', "invalid_payload"),
        ("dial", "sip:a@no-such-host.invalid", "sip_error"),
        ("answer", "", "no_call"),
        ("hangup", "", "no_call"),
        ("hangup", '{"call_id": "x"}', "no_call"),
        ("hangup", '{"expires": "2020-01-01T00:00:00Z"}', "expired"),
        ("hangup", '{"expires": "soon"}', "invalid_payload"),
        ("make_coffee", "", "unknown_verb"),
    ],
)
async def test_a_request_that_can_not_be_done_says_why(mqtt: Mqtt, verb: str, payload: str, code: str) -> None:
    assert await code_of(mqtt, verb, payload) == code


async def test_an_account_that_is_not_there_is_unknown(mqtt: Mqtt) -> None:
    assert await code_of(mqtt, "hangup", account="nobody") == "unknown_account"


async def test_a_transaction_is_echoed_even_when_its_request_makes_no_sense(mqtt: Mqtt) -> None:
    response = await mqtt.request("dial", as_json(transaction="abc"))
    assert (response.status, response.transaction) == ("error", "abc")


async def test_a_repeated_transaction_is_answered_again_and_not_done_again(mqtt: Mqtt, station: Phone) -> None:
    request = as_json(to=ringing_uri(station), transaction="once")
    first = await mqtt.request("dial", request)
    second = await mqtt.request("dial", request)
    assert first == second
    await station.state(CallState.RINGING)
    assert len(station.phone.calls) == 1


async def test_with_two_calls_a_request_must_name_one(mqtt: Mqtt, station: Phone, door: str) -> None:
    first = await station.call(door)
    second = await station.call(door)
    await mqtt.until(lambda topic, payload: topic.endswith("door/call") and len(payload.calls) == 2)
    await mqtt.event("RINGING")
    assert await code_of(mqtt, "answer") == "ambiguous_call"
    response = await mqtt.request("answer", as_json(call_id=second.call_id))
    assert response.data == {"call_id": second.call_id}
    assert first.state is not CallState.IN_CALL


async def test_a_late_button_press_does_not_hit_the_next_call(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    assert await code_of(mqtt, "hangup", as_json(if_state="in_call")) == "wrong_state"
    assert await code_of(mqtt, "hangup", as_json(call_id="the one before")) == "no_call"
    assert await code_of(mqtt, "play", "x.wav") == "wrong_state"


async def test_garbage_on_the_sip_port_changes_nothing_and_is_counted(
    mqtt: Mqtt, bridge: Running, station: Phone, door: str
) -> None:
    for garbage in (b"\x00\xff\xfe", b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:door SIP/2.0\r\nVia: x\r\n\r\n"):
        send_datagram(garbage, bridge.sip_port)
    await station.call(door)
    await mqtt.event("RINGING")
    mqtt.watcher.publish(TOPICS.of_bridge("request", "health_check"), "")
    response = await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("response", "health_check"))
    assert response.data["counters"]["malformed"] == 3
    assert response.data["calls"] == 1


async def test_discovery_says_the_same_at_every_start(mqtt: Mqtt) -> None:
    found = [message for message in mqtt.raw if message.topic == "sip_bridge/discovery/home"]
    assert [message.payload for message in found] == [
        '{"schema": 1, "bridge": "home", "name": "Home", "base_topic": "sip_bridge"}'
    ]


async def test_a_retained_dial_is_dropped(mqtt: Mqtt, station: Phone) -> None:
    mqtt.watcher.publish(TOPICS.of_account("door", "request", "dial"), ringing_uri(station), retain=True)
    warned = await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("logging"))
    assert "dropped a retained request" in warned.message
    assert (await mqtt.request("hangup")).error is not None
    assert station.phone.calls == {}


async def test_a_bug_in_one_request_is_an_internal_error_and_the_bridge_goes_on(
    mqtt: Mqtt, station: Phone, door: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_phone: VoIPPhone) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(VoIPPhone, "register", broken)
    response = await mqtt.request("register", as_json(transaction="t"))
    assert response.error is not None
    assert (response.error.code, response.transaction) == ("internal_error", "t")
    assert "a bug" in caplog.text
    await station.call(door)
    await mqtt.event("RINGING")
