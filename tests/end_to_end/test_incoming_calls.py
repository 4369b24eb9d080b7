"""SIPp and baresip call the line, at a real mosquitto."""

import signal
import socket

from tests.end_to_end.bridge import TOPICS, Bridge, Client
from tests.peers.baresip import Baresip
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder
from tests.peers.ports import LOOPBACK
from tests.peers.sipp import Sipp


async def test_a_caller_who_gives_up_makes_invite_ringing_cancel_and_call_ended(
    bridge: Bridge, client: Client, sipp: Sipp
) -> None:
    caller = await sipp.call("uac_cancel", bridge.address, user="door")
    invite = await client.event("INVITE")
    assert (invite["direction"], invite["origin"], invite["remote"]["name"]) == ("incoming", "remote", "Front door")
    ended = await client.event("CALL_ENDED")
    assert (ended["end_reason"], ended["talk_seconds"]) == ("canceled", 0.0)
    assert ended["call_id"] == invite["call_id"]
    assert await client.event_names() == ["INVITE", "RINGING", "CANCEL", "CALL_ENDED"]
    assert client.call_states() == ["idle", "ringing", "idle"]
    await caller.succeeded()


async def test_a_call_is_answered_by_a_request_and_ended_by_the_caller(
    bridge: Bridge, client: Client, sipp: Sipp
) -> None:
    caller = await sipp.call("uac_invite_bye", bridge.address, user="door", options=("-d", "300"))
    await client.event("RINGING")
    assert (await client.request("answer"))["status"] == "ok"
    ended = await client.event("CALL_ENDED")
    assert ended["end_reason"] == "hangup_remote"
    assert await client.event_names() == ["INVITE", "RINGING", "OK", "ACK", "BYE", "CALL_ENDED"]
    assert client.call_states() == ["idle", "ringing", "in_call", "idle"]
    await caller.succeeded()


async def test_a_call_is_ended_by_a_request(bridge: Bridge, client: Client, sipp: Sipp) -> None:
    caller = await sipp.call("uac_wait_bye", bridge.address, user="door")
    await client.event("RINGING")
    await client.request("answer")
    await client.event("ACK")
    assert (await client.request("hangup"))["status"] == "ok"
    assert (await client.event("BYE"))["origin"] == "local"
    assert (await client.event("CALL_ENDED"))["end_reason"] == "hangup_local"
    await caller.succeeded()


async def test_sipps_own_caller_is_answered_too(bridge: Bridge, client: Client, sipp: Sipp) -> None:
    caller = await sipp.call("uac", bridge.address, user="door", options=("-d", "200"))
    await client.event("RINGING")
    await client.request("answer")
    await client.event("CALL_ENDED")
    await caller.succeeded()


async def test_ten_calls_in_a_row_each_ring_and_each_end_once(bridge: Bridge, client: Client, sipp: Sipp) -> None:
    caller = await sipp.call("uac_cancel", bridge.address, user="door", calls=10, rate=20)
    for _ in range(10):
        await client.event("CALL_ENDED")
    names = await client.event_names()
    assert {name: names.count(name) for name in names} == dict.fromkeys(
        ("INVITE", "RINGING", "CANCEL", "CALL_ENDED"), 10
    )
    await caller.succeeded()


async def test_baresip_calls_and_hangs_up(bridge: Bridge, client: Client, baresip: Baresip) -> None:
    await baresip.dial(f"sip:door@{bridge.address}")
    await client.event("RINGING")
    await baresip.wait_for("CALL_RINGING")
    await client.request("answer")
    await baresip.wait_for("CALL_ESTABLISHED")
    await client.event("ACK")
    await baresip.hangup()
    ended = await client.event("CALL_ENDED")
    assert ended["end_reason"] == "hangup_remote"
    assert await client.event_names() == ["INVITE", "RINGING", "OK", "ACK", "BYE", "CALL_ENDED"]


async def test_baresip_is_called_and_answers(bridge: Bridge, client: Client, baresip: Baresip) -> None:
    response = await client.request("dial", {"to": f"sip:baresip@{baresip.address}", "transaction": "7"})
    assert (response["status"], response["transaction"]) == ("ok", "7")
    await baresip.wait_for("CALL_INCOMING")
    await baresip.accept()
    await client.event("ACK")
    assert (await client.call_state("in_call"))["calls"][0]["codec"] == "PCMU"
    await client.request("hangup")
    await baresip.wait_for("CALL_CLOSED")


async def test_garbage_on_the_sip_port_changes_nothing_and_is_counted(
    bridge: Bridge, client: Client, sipp: Sipp
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for garbage in (b"\xff" * 2000, b"INVITE\r\n\r\n", b"\x00" * 10 + b"x"):
            sender.sendto(garbage, (LOOPBACK, bridge.port))
    await (await sipp.call("uac_cancel", bridge.address, user="door")).succeeded()
    await client.event("CALL_ENDED")
    await client.recorder.publish(TOPICS.of_bridge("request", "health_check"))
    health = await client.recorder.wait_for_topic(TOPICS.of_bridge("response", "health_check"))
    assert health.payload["data"]["counters"]["malformed"] == 3


async def test_ctrl_c_hangs_up_says_offline_and_ends(bridge: Bridge, client: Client, sipp: Sipp) -> None:
    caller = await sipp.call("uac_wait_bye", bridge.address, user="door")
    await client.event("RINGING")
    await client.request("answer")
    await client.event("ACK")
    assert bridge.stop(signal.SIGINT) == 0
    await caller.succeeded()
    assert (await client.event("CALL_ENDED"))["end_reason"] == "hangup_local"
    topic = TOPICS.of_bridge("state")
    states = [m.payload["state"] for m in client.recorder.messages if m.topic == topic]
    assert states == ["online", "offline"]


async def test_a_killed_bridge_is_offline_and_returns_without_a_phantom_ring(
    bridge: Bridge, client: Client, sipp: Sipp, mosquitto: Mosquitto
) -> None:
    await sipp.call("uac_wait_bye", bridge.address, user="door")
    await client.event("RINGING")
    bridge.kill()
    state = TOPICS.of_bridge("state")
    await client.recorder.wait_for(lambda m: m.topic == state and m.payload["state"] == "offline", within=10)
    sipp.stop()
    mark = client.recorder.mark()
    bridge.start()
    await client.recorder.wait_for(lambda m: m.topic == state and m.payload["state"] == "online", since=mark, within=10)
    async with MqttRecorder(mosquitto.port) as late:
        await late.settled()
        retained = {message.topic: message.payload for message in late.messages}
    assert retained[TOPICS.of_account("door", "call")]["state"] == "idle"
    assert [m.topic for m in late.messages if "/event/" in m.topic] == []
    assert client.recorder.messages[mark:] != []
    assert [m.topic for m in client.recorder.messages[mark:] if "/event/" in m.topic] == []
