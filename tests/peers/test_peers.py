"""The peers work by themselves, before anything of ours is measured against them."""

from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.peers.asterisk import Asterisk
from tests.peers.baresip import Baresip
from tests.peers.home_assistant import HomeAssistant
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder, Recorded
from tests.peers.process import PeerError
from tests.peers.sipp import Sipp


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
async def test_mosquitto_brings_messages_in_order_with_what_it_retained_first(
    mosquitto: Mosquitto, recorder: MqttRecorder, version: MQTTProtocolVersion
) -> None:
    await recorder.publish("home/state", {"state": "online"}, retain=True)
    async with MqttRecorder(mosquitto.port, "home/#", version=version) as late:
        await late.wait_for_topic("home/state")
        await recorder.publish("home/text", "no JSON", qos=0)
        await recorder.publish("home/number", 7)
        await late.settled()
        assert late.messages == [
            Recorded(topic="home/state", payload={"state": "online"}, retain=True, qos=1),
            Recorded(topic="home/text", payload="no JSON", qos=0),
            Recorded(topic="home/number", payload=7),
        ]


async def test_mosquitto_forgets_everything_over_a_restart(mosquitto: Mosquitto, recorder: MqttRecorder) -> None:
    await recorder.publish("home/state", "online", retain=True)
    mosquitto.restart()
    async with MqttRecorder(mosquitto.port) as late:
        await late.settled()
        assert late.messages == []


async def test_the_recorder_tells_the_events_of_an_account(recorder: MqttRecorder) -> None:
    await recorder.publish("sip_bridge/home/account/door/event/INVITE", {"event": "INVITE"})
    await recorder.publish("sip_bridge/home/account/pbx/event/BYE", {"event": "BYE"})
    await recorder.publish("sip_bridge/home/account/door/event/RINGING", {"event": "RINGING"})
    assert await recorder.event_names("door") == ["INVITE", "RINGING"]


async def test_sipp_calls_sipp_and_hangs_up(sipp: Sipp) -> None:
    called = await sipp.listen("uas_answer", calls=2)
    caller = await sipp.call("uac_invite_bye", called.address, user="door", calls=2, options=("-d", "50"))
    result = await caller.succeeded()
    assert (result.exit_code, result.successful_calls, result.failed_calls, result.errors) == (0, 2, 0, "")
    assert "INVITE sip:door@" in result.messages
    assert (await called.succeeded()).successful_calls == 2


async def test_sipp_gives_up_while_it_rings(sipp: Sipp) -> None:
    called = await sipp.listen("uas_canceled")
    await (await sipp.call("uac_cancel", called.address)).succeeded()
    await called.succeeded()


async def test_sipp_waits_for_the_other_side_to_hang_up(sipp: Sipp) -> None:
    called = await sipp.listen("uas_hang_up")
    await (await sipp.call("uac_wait_bye", called.address)).succeeded()
    await called.succeeded()


async def test_sipp_is_busy(sipp: Sipp) -> None:
    called = await sipp.listen("uas_busy")
    await (await sipp.call("uac_busy", called.address)).succeeded()
    await called.succeeded()


async def test_a_scenario_that_does_not_fit_ends_with_an_error(sipp: Sipp) -> None:
    called = await sipp.listen("uas_busy")
    result = await (await sipp.call("uac_invite_bye", called.address)).finished()
    assert (result.exit_code, result.failed_calls) == (1, 1)
    assert "486" in result.errors


async def test_baresip_calls_sipp_and_hangs_up(baresip: Baresip, sipp: Sipp) -> None:
    called = await sipp.listen("uas_answer")
    await baresip.dial(f"sip:door@{called.address}")
    await baresip.wait_for("CALL_ESTABLISHED")
    await baresip.hangup()
    await called.succeeded()


async def test_baresip_is_called_by_sipp_and_answers(baresip: Baresip, sipp: Sipp) -> None:
    caller = await sipp.call("uac_wait_bye", baresip.address, user="baresip")
    await baresip.wait_for("CALL_INCOMING")
    await baresip.accept()
    await baresip.wait_for("CALL_ESTABLISHED")
    await baresip.hangup()
    await caller.succeeded()


async def test_asterisk_registers_a_phone_calls_it_and_echoes(asterisk: Asterisk, tmp_path: Path) -> None:
    account = f"<sip:620@{asterisk.address}>;auth_pass={asterisk.password('620')};audio_codecs=pcmu"
    async with Baresip(tmp_path / "620", account=account) as phone:
        await asterisk.registered("620")
        assert len(await asterisk.contacts("620")) == 1
        await asterisk.originate("620")
        ring = await phone.wait_for("CALL_INCOMING")
        assert "101" in ring["peeruri"]
        await phone.accept()
        await phone.wait_for("CALL_ESTABLISHED")
        assert await asterisk.channels() > 0
        await phone.hangup()


async def test_asterisk_is_busy_at_200_and_hangs_up_at_202(asterisk: Asterisk, tmp_path: Path) -> None:
    account = f"<sip:620@{asterisk.address}>;auth_pass={asterisk.password('620')};audio_codecs=pcmu"
    async with Baresip(tmp_path / "620", account=account) as phone:
        await phone.dial(f"sip:200@{asterisk.address}")
        busy = await phone.wait_for("CALL_CLOSED")
        assert "486" in busy["param"]
        mark = len(phone.events)
        await phone.dial(f"sip:202@{asterisk.address}")
        await phone.wait_for("CALL_ESTABLISHED", since=mark)
        await phone.wait_for("CALL_CLOSED", since=mark)


async def test_asterisk_starts_again_on_its_port(asterisk: Asterisk) -> None:
    asterisk.restart()
    assert f"{asterisk.address}" in await asterisk.cli("pjsip show transports")


async def test_home_assistant_runs_with_mqtt_connected(home_assistant: HomeAssistant) -> None:
    entries = await home_assistant.config_entries("mqtt")
    assert [(entry["domain"], entry["state"]) for entry in entries] == [("mqtt", "loaded")]
    async with MqttRecorder(home_assistant.broker.port) as recorder:
        await home_assistant.call_service("mqtt", "publish", {"topic": "from/home", "payload": "hello"})
        message = await recorder.wait_for_topic("from/home")
        assert message == Recorded(topic="from/home", payload="hello", qos=0)


async def test_home_assistant_shows_what_mqtt_discovery_and_messages_tell(home_assistant: HomeAssistant) -> None:
    sensor = {"name": "Probe", "unique_id": "probe", "state_topic": "probe/state"}
    async with MqttRecorder(home_assistant.broker.port) as recorder:
        await recorder.publish("homeassistant/sensor/probe/config", sensor, retain=True)
        await recorder.publish("probe/state", "one", retain=True)  # it comes when Home Assistant has subscribed
        await home_assistant.wait_for_state("sensor.probe", "one")
        async with home_assistant.states_of("sensor.probe") as states:
            await recorder.publish("probe/state", "two")
            await recorder.publish("probe/state", "three")
            await home_assistant.wait_for_state("sensor.probe", "three")
        assert [state["state"] for state in states] == ["two", "three"]


async def test_home_assistant_refuses_an_action_that_it_does_not_know(home_assistant: HomeAssistant) -> None:
    with pytest.raises(PeerError, match="not_found"):
        await home_assistant.call_service("no_such", "action")


async def test_home_assistant_comes_back_with_what_it_had(home_assistant: HomeAssistant) -> None:
    await home_assistant.restart()
    assert [entry["state"] for entry in await home_assistant.config_entries("mqtt")] == ["loaded"]
