"""The account at Asterisk: digest authentication, calls in both directions, sound through Echo()."""

import asyncio
from pathlib import Path

import pytest

from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, PhoneEvent, PlaybackEnded
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import PortRange, RegisteredAccount, Secret, SIPSettings
from sip_bridge.sip.events import RegistrationChanged, RegistrationState
from tests.bridge.test_calls import Ear, write_tone
from tests.end_to_end.bridge import TOPICS, Bridge, Client
from tests.peers import missing
from tests.peers.asterisk import Asterisk
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder
from tests.peers.process import Process


@pytest.fixture
def asterisk(shared_asterisk: Asterisk) -> Asterisk:
    return shared_asterisk


async def test_the_account_registers_and_deregisters(pbx: Client, pbx_bridge: Bridge, asterisk: Asterisk) -> None:
    registered = await pbx.registration("registered")
    assert (registered["status"], registered["phrase"]) == (200, "OK")
    assert registered["expires_at"] > registered["ts"]
    assert await asterisk.contacts("620") == [f"sip:620@{pbx_bridge.address}"]
    assert pbx_bridge.stop() == 0
    assert await asterisk.contacts("620") == []


async def test_a_bare_number_from_mosquitto_pub_places_a_call_and_busy_is_busy_here(
    pbx: Client, mosquitto: Mosquitto
) -> None:
    topic = TOPICS.of_account("pbx", "request", "dial")
    publisher = Process(missing.command("mosquitto_pub"), "-p", str(mosquitto.port), "-t", topic, "-m", "200")
    publisher.start()
    ended = await pbx.event("CALL_ENDED")
    assert (ended["end_reason"], ended["status"], ended["phrase"]) == ("busy", 486, "Busy Here")
    assert (await pbx.event_names())[-2:] == ["BUSY_HERE", "CALL_ENDED"]
    assert publisher.wait(within=5) == 0


async def test_hangup_cancels_a_call_that_rings(pbx: Client) -> None:
    await pbx.request("dial", "201")
    await pbx.event("RINGING")
    await pbx.request("hangup")
    assert (await pbx.event("CALL_ENDED"))["end_reason"] == "canceled"
    assert (await pbx.event_names())[-2:] == ["CANCEL", "CALL_ENDED"]


async def test_a_call_that_asterisk_hangs_up(pbx: Client) -> None:
    await pbx.request("dial", "202")
    assert (await pbx.event("BYE", within=15))["origin"] == "remote"
    ended = await pbx.event("CALL_ENDED")
    assert (ended["end_reason"], ended["q850"]) == ("hangup_remote", 16)
    assert [name for name in await pbx.event_names() if name in ("OK", "ACK")] == ["OK", "ACK"]


async def test_hangup_makes_bye(pbx: Client, asterisk: Asterisk) -> None:
    await pbx.request("dial", "600")
    await pbx.event("ACK")
    await pbx.request("hangup")
    assert (await pbx.event("BYE"))["origin"] == "local"
    await asterisk.process.printed("PJSIP/620-.* (left|Spawn extension|exited)|Spawn extension", within=10)


async def test_asterisk_calls_the_line(pbx: Client, asterisk: Asterisk) -> None:
    await asterisk.originate("620")
    rang = await pbx.event("RINGING")
    assert (rang["remote"]["name"], rang["remote"]["user"]) == ("Kitchen", "101")
    await pbx.request("answer")
    await pbx.event("ACK")
    await pbx.request("hangup")
    await pbx.event("CALL_ENDED")
    assert (await pbx.event_names())[-6:] == ["INVITE", "RINGING", "OK", "ACK", "BYE", "CALL_ENDED"]


async def test_a_retained_dial_places_no_call_not_even_after_a_restart(
    pbx: Client, pbx_bridge: Bridge, asterisk: Asterisk
) -> None:
    await pbx.recorder.publish(TOPICS.of_account("pbx", "request", "dial"), "201", retain=True)
    await pbx.recorder.wait_for_topic(TOPICS.of_bridge("logging"))
    pbx_bridge.stop()
    mark = pbx.recorder.mark()
    pbx_bridge.start()
    await pbx.recorder.wait_for_topic(TOPICS.of_bridge("logging"), since=mark)
    assert "INVITE" not in await pbx.event_names()
    assert await asterisk.channels() == 0


async def test_a_wrong_password_is_said_once_and_not_tried_on(
    tmp_path: Path, mosquitto: Mosquitto, asterisk: Asterisk, recorder: MqttRecorder
) -> None:
    host, port = asterisk.address.split(":")
    account = f"  - {{id: pbx, kind: registered, server: {host}, port: {port}, user: '620', password: wrong}}\n"
    bridge = Bridge(tmp_path, mosquitto, account)
    bridge.start()
    try:
        client = Client(recorder, account="pbx")
        failed = await client.registration("failed")
        assert failed["status"] == 401
        response = await client.request("dial", "200")
        assert response["error"]["code"] == "not_registered"
        assert "wrong" not in bridge.process.output
    finally:
        bridge.end()


async def test_sound_comes_back_through_echo(asterisk: Asterisk, tmp_path: Path) -> None:
    """Both directions in one: what we play is what we hear, in PCMU, through Asterisk's Echo()."""
    write_tone(tmp_path / "tone.wav", seconds=1.0)
    host, port = asterisk.address.split(":")
    registered, answered, played = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def listen(_phone: VoIPPhone, event: PhoneEvent) -> None:
        match event:
            case RegistrationChanged(state=RegistrationState.REGISTERED):
                registered.set()
            case CallChanged(call=call) if call.is_talking:
                answered.set()
            case PlaybackEnded(completed=True):
                played.set()
            case _:
                pass

    account = RegisteredAccount(
        id="pbx", name="PBX", user="620", server=host, port=int(port), password=Secret(asterisk.password("620"))
    )
    settings = SIPSettings(bind="127.0.0.1", port=0, rtp_ports=PortRange(low=30000, high=39999))
    ear = Ear()
    async with SIPClient(settings) as client, asyncio.timeout(20):
        phone = VoIPPhone(client, account, listener=listen)
        phone.start()
        await registered.wait()
        call = await phone.dial("600", timeout=10)
        await answered.wait()
        call.media.sinks.append(ear)
        await call.play(str(tmp_path / "tone.wav"))
        await played.wait()
        await ear.heard(0.98)  # the echo is behind by a jitter buffer and two networks
        assert call.media.codec == "PCMU"
        assert ear.power_at(440) > 0.9
        phone.stop()
