"""What stays true when the broker or the registrar goes away and comes back."""

from pathlib import Path

from tests.end_to_end.bridge import TOPICS, Bridge, Client
from tests.peers.asterisk import Asterisk
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder
from tests.peers.ports import LOOPBACK
from tests.peers.sipp import Sipp

RETAINED = {
    TOPICS.discovery,
    TOPICS.of_bridge("state"),
    TOPICS.of_bridge("info"),
    TOPICS.of_bridge("accounts"),
    TOPICS.of_account("door", "call"),
    TOPICS.of_account("door", "registration"),
}


async def test_a_broker_that_forgot_everything_hears_it_all_again_with_the_call_that_goes_on(
    bridge: Bridge, client: Client, sipp: Sipp, mosquitto: Mosquitto
) -> None:
    caller = await sipp.call("uac_wait_bye", bridge.address, user="door")
    await client.event("RINGING")
    await client.request("answer")
    await client.event("ACK")
    mosquitto.restart()
    async with MqttRecorder(mosquitto.port) as late:
        state = TOPICS.of_bridge("state")
        await late.wait_for(lambda m: m.topic == state and m.payload["state"] == "online", within=30)
        await late.settled()
        told = {message.topic: message.payload for message in late.messages}
        assert set(told) >= RETAINED
        assert told[TOPICS.of_account("door", "call")]["state"] == "in_call"
        assert [message.topic for message in late.messages if "/event/INVITE" in message.topic] == []
        hangup = TOPICS.of_account("door", "request", "hangup")
        await late.publish(hangup)
        await late.wait_for_topic(TOPICS.of_account("door", "event", "CALL_ENDED"))
    await caller.succeeded()


async def test_a_registration_is_renewed_before_it_ends(
    tmp_path: Path, mosquitto: Mosquitto, asterisk: Asterisk, recorder: MqttRecorder
) -> None:
    """Asterisk grants less than was asked for, and what it grants is what counts."""
    bridge = Bridge(tmp_path, mosquitto, pbx_account(asterisk, asterisk.password("620")))
    bridge.start()
    try:
        client = Client(recorder, account="pbx")
        first = await client.registration("registered")
        renewed = await recorder.wait_for(
            lambda m: (
                m.topic == TOPICS.of_account("pbx", "registration")
                and m.payload["state"] == "registered"
                and m.payload["expires_at"] > first["expires_at"]
            ),
            within=15,
        )
        assert renewed.payload["ts"] < first["expires_at"]
        assert await asterisk.contacts("620") == [f"sip:620@{bridge.address}"]
    finally:
        bridge.end()


async def test_a_refused_password_is_sent_once(
    tmp_path: Path, mosquitto: Mosquitto, asterisk: Asterisk, recorder: MqttRecorder
) -> None:
    """One REGISTER that is challenged and one with credentials: more would have a trunk lock the account."""
    bridge = Bridge(tmp_path, mosquitto, pbx_account(asterisk, "wrong"))
    bridge.start()
    try:
        await Client(recorder, account="pbx").registration("failed")
        await asterisk.cli("core show uptime")  # whatever was on its way has arrived
        assert sum("REGISTER sip:" in line for line in asterisk.process.lines) == 2
        assert await asterisk.contacts("620") == []
    finally:
        bridge.end()


def pbx_account(asterisk: Asterisk, password: str) -> str:
    """A configuration's line for 620 at Asterisk."""
    words = [
        "id: pbx",
        "kind: registered",
        f"server: {LOOPBACK}",
        f"port: {asterisk.port}",
        "user: '620'",
        f"password: {password}",
    ]
    return f"  - {{{', '.join(words)}}}\n"
