"""Keys that the other party presses, over MQTT: one by one, as sequences, and as codes that nobody sees."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sip_bridge.bridge.service import Running, running
from sip_bridge.media.tone_detector import ToneDetector
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import DTMFCode, DTMFSettings, Secret
from tests.bridge.conftest import DOOR, Mqtt, Phone, as_json, config_of

SHOWN = replace(DOOR, dtmf=DTMFSettings(pause=0.5, max_digits=4))
HIDDEN = replace(DOOR, dtmf=DTMFSettings(codes=(DTMFCode(name="family", digits=Secret("471D")),)))
SHORT = replace(DOOR, dtmf=DTMFSettings(codes=(DTMFCode(name="family", digits=Secret("7")),)))


@pytest.fixture(params=[SHOWN])
async def bridge(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    async with running(config_of(request.param)) as started:
        yield started


async def talking(mqtt: Mqtt, station: Phone, door: str) -> VoIPCall:
    call = await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await station.state(CallState.IN_CALL)
    return call


async def press(call: VoIPCall, digits: str) -> None:
    await call.send_dtmf(digits, duration_ms=5, gap_ms=0, method="info")


async def test_a_sequence_is_an_event_beside_its_keys(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await talking(mqtt, station, door)
    await press(call, "12#")
    sequence = await mqtt.event("DTMF_SEQUENCE")
    assert (sequence.digits, sequence.ended_by, sequence.dtmf_method) == ("12", "terminator", "info")
    assert (sequence.code, sequence.locked, sequence.origin) == (None, False, "remote")
    assert (sequence.call_id, sequence.direction, sequence.remote.user) == (call.call_id, "incoming", "station")
    assert [name for name in mqtt.events() if name.startswith("DTMF")] == ["DTMF"] * 3 + ["DTMF_SEQUENCE"]


async def test_a_sequence_ends_by_its_length_by_a_pause_and_with_the_call(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    call = await talking(mqtt, station, door)
    await press(call, "123456")
    ends = [await mqtt.event("DTMF_SEQUENCE") for _ in range(2)]
    await press(call, "7")
    call.hangup()
    ends.append(await mqtt.event("DTMF_SEQUENCE"))
    assert [(each.digits, each.ended_by) for each in ends] == [
        ("1234", "length"),
        ("56", "pause"),
        ("7", "call_end"),
    ]
    await mqtt.event("CALL_ENDED")


@pytest.mark.parametrize("bridge", [HIDDEN], indirect=True)
async def test_a_code_is_told_by_its_name_and_seen_nowhere(
    mqtt: Mqtt, station: Phone, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    call = await talking(mqtt, station, door)
    await press(call, "471D#")
    sequence = await mqtt.event("DTMF_SEQUENCE")
    assert (sequence.digits, sequence.code) == ("????", "family")
    keys = [payload.digits for topic, payload in mqtt.seen if topic.endswith("/DTMF")]
    assert keys == ["?"] * 5
    assert not [message.topic for message in mqtt.raw if "471D" in message.payload or '"D"' in message.payload]
    assert "471D" not in caplog.text


@pytest.mark.parametrize("bridge", [SHORT], indirect=True)
async def test_codes_that_are_tried_out_are_locked_and_logged_once(
    mqtt: Mqtt, station: Phone, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    call = await talking(mqtt, station, door)
    await press(call, "0#" * 10 + "7#7#")
    told = [await mqtt.event("DTMF_SEQUENCE") for _ in range(12)]
    assert [(each.code, each.locked) for each in told] == [(None, False)] * 10 + [(None, True)] * 2
    warnings = [record.getMessage() for record in caplog.records if record.name == "sip_bridge.calls"]
    assert [text for text in warnings if "codes" in text] == [
        "door: too many wrong codes: a new one is taken only each minute"
    ]


class KeyEar:
    """A sink that hears keys."""

    def __init__(self) -> None:
        self.keys = ""
        self._detector = ToneDetector()

    def write(self, frame: bytes, rate: int) -> None:
        self.keys += self._detector.process(frame, rate)


async def test_keys_are_sounded_over_mqtt(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await talking(mqtt, station, door)
    ear = KeyEar()
    call.media.sinks.append(ear)
    response = await mqtt.request("send_dtmf", as_json(digits="*9", method="inband", duration_ms=80, gap_ms=200))
    assert response.status == "ok"
    assert ear.keys == "*9"
