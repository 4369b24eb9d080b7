"""Hold, resume and transfer over MQTT, and keys by INFO, with phones on loopback."""

import pytest

from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.events import DTMFPressed
from tests.bridge.conftest import TOPICS, Mqtt, Phone, as_json, phone_on_loopback


def uri_of(phone: Phone) -> str:
    return f"sip:{phone.phone.account.user}@127.0.0.1:{phone.phone.client.port}"


async def talking(mqtt: Mqtt, phone: Phone) -> tuple[str, VoIPCall]:
    """The bridge dials a phone, which answers: the call's id, and the phone's side of it."""
    response = await mqtt.request("dial", uri_of(phone))
    call = await phone.state(CallState.RINGING)
    await call.answer()
    await mqtt.event("ACK")
    return response.data["call_id"], call


async def test_hold_and_resume_are_done_when_they_are_answered(mqtt: Mqtt, station: Phone) -> None:
    _, call = await talking(mqtt, station)
    response = await mqtt.request("hold")
    assert (response.status, call.state) == ("ok", CallState.ON_HOLD)
    response = await mqtt.request("resume")
    assert (response.status, call.state) == ("ok", CallState.IN_CALL)


async def test_a_hold_shows_in_the_state(mqtt: Mqtt, station: Phone) -> None:
    await talking(mqtt, station)
    await mqtt.request("hold")
    assert mqtt.latest(TOPICS.of_account("door", "call")).state == "on_hold"


async def test_a_transfer_that_is_refused_says_why_and_the_call_goes_on(mqtt: Mqtt, station: Phone) -> None:
    await talking(mqtt, station)
    response = await mqtt.request("transfer", "sip:anybody@127.0.0.1:9")
    assert response.error is not None
    assert (response.error.code, response.error.message) == ("sip_error", "603 Decline")
    assert (await mqtt.request("hangup")).status == "ok"


async def test_the_other_parties_of_two_calls_are_connected(mqtt: Mqtt) -> None:
    async with (
        phone_on_loopback("kitchen", accept_transfers=True) as kitchen,
        phone_on_loopback("hall") as hall,
    ):
        first, _ = await talking(mqtt, kitchen)
        second, _ = await talking(mqtt, hall)
        response = await mqtt.request("transfer", as_json(call_id=first, attended_call_id=second))
        assert response.status == "ok"
        ended = [payload.call_id for topic, payload in mqtt.seen if topic.endswith("/event/CALL_ENDED")]
        assert sorted(ended) == sorted([first, second])
        assert [call.state for call in kitchen.phone.calls.values()] == [CallState.IN_CALL]
        assert [call.state for call in hall.phone.calls.values()] == [CallState.IN_CALL]


@pytest.mark.parametrize("payload", ["", as_json(to="sip:a@127.0.0.1", attended_call_id="x")])
async def test_a_transfer_names_one_target(mqtt: Mqtt, station: Phone, payload: str) -> None:
    await talking(mqtt, station)
    response = await mqtt.request("transfer", payload)
    assert response.error is not None
    assert response.error.code == "invalid_payload"


async def test_a_call_is_not_transferred_to_itself(mqtt: Mqtt, station: Phone) -> None:
    call, _ = await talking(mqtt, station)
    response = await mqtt.request("transfer", as_json(attended_call_id=call))
    assert response.error is not None
    assert response.error.code == "wrong_state"


async def test_keys_by_info_arrive_as_such(mqtt: Mqtt, station: Phone) -> None:
    await talking(mqtt, station)
    response = await mqtt.request("send_dtmf", as_json(digits="1#", method="info", duration_ms=40, gap_ms=10))
    assert response.status == "ok"
    heard = [station.events.get_nowait() for _ in range(station.events.qsize())]
    pressed = [(event.digit, event.method) for event in heard if isinstance(event, DTMFPressed)]
    assert pressed == [("1", "info"), ("#", "info")]
