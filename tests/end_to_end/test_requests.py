"""Requests and their responses, as programs other than Home Assistant make them."""

import asyncio
import json
import subprocess

from tests.end_to_end.bridge import TOPICS, Bridge, Client
from tests.peers import missing
from tests.peers.mosquitto import Mosquitto
from tests.peers.sipp import Sipp


async def test_the_mqtt_5_response_topic_gets_the_response_with_its_correlation_data(
    client: Client, mosquitto: Mosquitto
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(missing.command("mosquitto_rr"), "-V", "mqttv5", "-p", str(mosquitto.port), "-W", "10"),
        *("-t", TOPICS.of_account("door", "request", "answer"), "-e", "my/own/topic", "-n"),
        *("-D", "publish", "correlation-data", "press-7", "-F", "%D %p"),
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    correlation, _, response = output.decode().partition(" ")
    assert correlation == "press-7"
    assert json.loads(response)["error"]["code"] == "no_call"


async def test_reject_makes_busy_here(bridge: Bridge, client: Client, sipp: Sipp) -> None:
    caller = await sipp.call("uac_busy", bridge.address, user="door")
    await client.event("RINGING")
    assert (await client.request("reject"))["status"] == "ok"
    ended = await client.event("CALL_ENDED")
    assert (ended["end_reason"], ended["status"]) == ("declined", 486)
    await caller.succeeded()


async def test_a_repeated_transaction_is_answered_again_and_not_done_again(client: Client, sipp: Sipp) -> None:
    called = await sipp.listen("uas_answer")
    dial = {"to": f"sip:kitchen@{called.address}", "transaction": "one"}
    first = await client.request("dial", dial)
    await client.event("ACK")
    again = await client.request("dial", dial)
    assert (again["status"], again["data"]) == ("ok", first["data"])
    await client.request("hangup")
    await client.event("CALL_ENDED")
    await called.succeeded()
    calls = {event["call_id"] for event in await client.recorder.events("door")}
    assert calls == {first["data"]["call_id"]}


async def test_a_request_for_another_state_is_refused(bridge: Bridge, client: Client, sipp: Sipp) -> None:
    """A finger that was late must not answer, or end, the next call."""
    caller = await sipp.call("uac_wait_bye", bridge.address, user="door")
    await client.event("RINGING")
    late = await client.request("hangup", {"if_state": "in_call"})
    assert late["error"]["code"] == "wrong_state"
    assert (await client.request("answer", {"if_state": "ringing"}))["status"] == "ok"
    await client.event("ACK")
    await client.request("hangup", {"if_state": "in_call"})
    await caller.succeeded()
