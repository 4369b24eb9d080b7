"""Calls that are joined over MQTT."""

from collections.abc import AsyncIterator

import pytest

from sip_bridge.mqtt.contract import ErrorCode, Response
from sip_bridge.phone.call import CallState, VoIPCall
from tests.bridge.conftest import TOPICS, Mqtt, Phone, as_json, phone_on_loopback


@pytest.fixture
async def guest() -> AsyncIterator[Phone]:
    async with phone_on_loopback("guest") as phone:
        yield phone


async def talking(mqtt: Mqtt, phone: Phone, door: str) -> VoIPCall:
    call = await phone.call(door)
    await mqtt.event("RINGING")
    assert (await mqtt.request("answer", as_json(call_id=call.call_id))).status == "ok"
    await phone.state(CallState.IN_CALL)
    return call


def joined(mqtt: Mqtt) -> dict[str, str | None]:
    """Who is joined to whom, as it is retained."""
    return {call.call_id: call.joined_to for call in mqtt.latest(TOPICS.of_account("door", "call")).calls}


def refusal(response: Response) -> tuple[ErrorCode, str]:
    assert response.error is not None
    return response.error.code, response.error.message


async def test_two_calls_are_joined_shown_and_separated(mqtt: Mqtt, station: Phone, guest: Phone, door: str) -> None:
    one, other = await talking(mqtt, station, door), await talking(mqtt, guest, door)
    both = {one.call_id: other.call_id, other.call_id: one.call_id}
    response = await mqtt.request("join", as_json(call_id=one.call_id, other_call_id=other.call_id))
    assert response.data == {"call_id": one.call_id, "other_call_id": other.call_id}
    assert joined(mqtt) == both
    assert refusal(await mqtt.request("join", other.call_id)) == (
        "wrong_state",
        f"call {one.call_id} is joined or connected already",
    )
    assert (await mqtt.request("separate", as_json(call_id=other.call_id))).status == "ok"
    assert joined(mqtt) == {one.call_id: None, other.call_id: None}
    assert refusal(await mqtt.request("separate", as_json(call_id=one.call_id)))[0] == "wrong_state"
    assert (await mqtt.request("join", other.call_id)).status == "ok"  # the only other call is meant
    assert joined(mqtt) == both
    one.hangup()
    await mqtt.event("CALL_ENDED")
    assert joined(mqtt) == {other.call_id: None}


async def test_a_call_is_not_joined_to_one_that_is_not_there(mqtt: Mqtt, station: Phone, door: str) -> None:
    one = await talking(mqtt, station, door)
    assert refusal(await mqtt.request("join", "none")) == (
        "no_call",
        "other_call_id: that call is over, or never was",
    )
    assert refusal(await mqtt.request("join", as_json(call_id=one.call_id, other_call_id=one.call_id)))[0] == "no_call"
    assert refusal(await mqtt.request("join"))[0] == "invalid_payload"
