"""Settings over MQTT: shown retained, changed by `set`, kept for the next start, and what they do at once."""

import errno
import json
import os
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from sip_bridge.bridge.service import running
from sip_bridge.config import Config
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import DTMFChoice, Settings
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import AutoAnswer, CallFrom, DTMFSettings
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, as_json, client_of, config_of
from tests.phone.peer import until

SHOWN = TOPICS.of_account("door", "settings")


class Loudness:
    """A sink: the loudest sample of the last frame."""

    def __init__(self, call: VoIPCall) -> None:
        self.peak = 0
        call.media.sinks.append(self)

    def write(self, frame: bytes, rate: int) -> None:
        del rate
        self.peak = max(map(abs, array("h", frame)))


def stored(state_dir: Path) -> Path:
    return state_dir / "settings-home.json"


async def shown_by(config: Config) -> Settings:
    """What a bridge that starts with this configuration shows."""
    async with running(config) as bridge, client_of(bridge) as mqtt:
        found: Settings = mqtt.latest(SHOWN)
        return found


async def set_and_stop(config: Config, **values: object) -> contract.Response:
    """Start a bridge, change settings, and stop it."""
    async with running(config) as bridge, client_of(bridge) as mqtt:
        return await mqtt.request("set", as_json(**values))


async def test_the_settings_of_a_line_are_retained(mqtt: Mqtt) -> None:
    assert mqtt.latest(SHOWN) == Settings(
        do_not_disturb=False,
        auto_answer=False,
        output_volume=1.0,
        ring_timeout=180.0,
        dtmf_method=DTMFChoice.AUTO,
    )


async def test_settings_are_as_configured_at_first() -> None:
    door = replace(DOOR, do_not_disturb=True, ring_timeout=30.0, output_volume=0.5, dtmf=DTMFSettings(method="info"))
    assert await shown_by(config_of(door)) == Settings(
        do_not_disturb=True, output_volume=0.5, ring_timeout=30.0, dtmf_method=DTMFChoice.INFO
    )


async def test_what_is_set_is_answered_and_retained_and_the_rest_stays(mqtt: Mqtt) -> None:
    await mqtt.request("set", as_json(output_volume=0.4))
    response = await mqtt.request("set", as_json(dtmf_method="inband", auto_answer=True, ring_timeout="20"))
    now = Settings(auto_answer=True, output_volume=0.4, ring_timeout=20.0, dtmf_method=DTMFChoice.INBAND)
    assert response == contract.Response.ok(**contract.as_data(now))
    assert mqtt.latest(SHOWN) == now


async def test_an_empty_set_only_tells_the_settings(mqtt: Mqtt) -> None:
    assert (await mqtt.request("set")).data == contract.as_data(Settings())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"output_volume": 2.1}, "output_volume: expected 0 to 2"),
        ({"output_volume": -0.1}, "output_volume: expected 0 to 2"),
        ({"output_volume": "loud"}, "output_volume: expected a number"),
        ({"ring_timeout": 0.5}, "ring_timeout: expected 1 to 600"),
        ({"ring_timeout": 601}, "ring_timeout: expected 1 to 600"),
        ({"do_not_disturb": 1}, "do_not_disturb: expected true or false"),
        ({"dtmf_method": "morse"}, "dtmf_method: expected one of auto, rtp, info, inband"),
    ],
)
async def test_a_value_that_is_none_changes_nothing(mqtt: Mqtt, values: dict[str, object], message: str) -> None:
    response = await mqtt.request("set", as_json(**{"auto_answer": True, **values}))
    assert response.error == contract.RequestFailure(code=contract.ErrorCode.INVALID_PAYLOAD, message=message)
    assert (await mqtt.request("set")).data == contract.as_data(Settings())


@pytest.mark.parametrize("payload", ["true", "[]", "{"])
async def test_only_an_object_sets_something(mqtt: Mqtt, payload: str) -> None:
    response = await mqtt.request("set", payload)
    assert response.error is not None
    assert response.error.code == "invalid_payload"


# --- what they do at once ---


async def test_a_call_is_as_loud_as_is_set_while_it_goes_on(mqtt: Mqtt, station: Phone, door: str) -> None:
    call = await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await station.state(CallState.IN_CALL)
    heard = Loudness(call)
    await mqtt.request("play", as_json(url="tone:dial", loop=True))
    await until(lambda: heard.peak > 1000)
    await mqtt.request("set", as_json(output_volume=0))
    await until(lambda: heard.peak < 100)
    await mqtt.request("set", as_json(output_volume=2))
    await until(lambda: heard.peak > 1000)


async def test_a_new_call_has_the_volume_that_was_set(mqtt: Mqtt, station: Phone, door: str) -> None:
    await mqtt.request("set", as_json(output_volume=0.1))
    call = await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await station.state(CallState.IN_CALL)
    heard = Loudness(call)
    await mqtt.request("play", as_json(url="tone:dial", loop=True))
    await until(lambda: heard.peak > 0)
    assert heard.peak < 1500


async def test_a_call_that_rings_does_so_for_as_long_as_is_set_meanwhile(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("set", as_json(ring_timeout=1))
    ended = await mqtt.event("CALL_ENDED")
    assert (ended.end_reason, ended.status, ended.refusal) == ("no_answer", 480, None)
    assert 0.9 <= ended.ring_seconds < 5


async def test_an_answered_call_does_not_mind_how_long_it_might_have_rung(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")
    await mqtt.request("set", as_json(ring_timeout=1, do_not_disturb=True))
    assert (await mqtt.request("mute", as_json(if_state="in_call"))).status == "ok"


async def test_keys_are_pressed_as_is_set_unless_a_request_says_otherwise(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")
    await mqtt.request("set", as_json(dtmf_method="info"))
    await mqtt.request("send_dtmf", "1")
    await mqtt.request("send_dtmf", as_json(digits="2", method="rtp"))
    pressed = [await station.pressed(), await station.pressed()]
    assert [(each.digit, each.method) for each in pressed] == [("1", "info"), ("2", "rtp")]


# --- the next start ---


async def test_what_was_set_holds_after_a_restart(tmp_path: Path) -> None:
    config = config_of(DOOR, state_dir=tmp_path)
    await set_and_stop(config, do_not_disturb=True, output_volume=1.5)
    assert await shown_by(config) == Settings(do_not_disturb=True, output_volume=1.5)


async def test_it_is_kept_before_it_is_answered(tmp_path: Path) -> None:
    async with running(config_of(DOOR, state_dir=tmp_path)) as bridge, client_of(bridge) as mqtt:
        await mqtt.request("set", as_json(ring_timeout=25))
        kept = json.loads(stored(tmp_path).read_text())
    assert kept == {"accounts": {"door": {"ring_timeout": {"value": 25.0, "configured": 180.0}}}}
    assert stored(tmp_path).stat().st_mode & 0o777 == 0o600


async def test_a_value_that_is_configured_later_wins_over_the_one_that_was_set_before(tmp_path: Path) -> None:
    config = config_of(DOOR, state_dir=tmp_path)
    await set_and_stop(config, output_volume=1.5, ring_timeout=20)
    louder = config_of(replace(DOOR, output_volume=0.5), state_dir=tmp_path)
    assert await shown_by(louder) == Settings(output_volume=0.5, ring_timeout=20.0)
    assert await shown_by(config) == Settings(ring_timeout=20.0)


async def test_of_an_account_that_is_configured_no_more_nothing_is_kept(tmp_path: Path) -> None:
    config = config_of(DOOR, state_dir=tmp_path)
    await set_and_stop(config, output_volume=1.5)
    other = replace(DOOR, id="gate", user="gate", aliases=())
    await set_and_stop(config_of(other, state_dir=tmp_path))
    assert await shown_by(config) == Settings()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff",
        b"{",
        b"[]",
        b'{"accounts": []}',
        b'{"accounts": {"door": 1}}',
        b'{"accounts": {"door": {"color": {"value": 1, "configured": 2}}}}',
        b'{"accounts": {"door": {"output_volume": 1}}}',
        b'{"accounts": {"door": {"output_volume": {"value": 9, "configured": 1}}}}',
        b'{"accounts": {"door": {"output_volume": {"value": NaN, "configured": 1}}}}',
        b'{"accounts": {"door": {"do_not_disturb": {"value": 1, "configured": false}}}}',
        b'{"accounts": {"door": {"dtmf_method": {"value": [], "configured": "auto"}}}}',
        b"[" * 100_000,
        b" " * (1 << 20) + b'{"accounts": {}}',
    ],
    ids=range(14),
)
async def test_a_damaged_file_is_set_aside_and_told_of_once(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored(tmp_path).write_bytes(damage)
    assert await shown_by(config_of(DOOR, state_dir=tmp_path)) == Settings()
    assert [record.levelname for record in caplog.records if "damaged" in record.message] == ["WARNING"]
    assert stored(tmp_path).with_name("settings-home.json.damaged").read_bytes() == damage


async def test_a_disk_that_takes_nothing_is_told_of_once_and_settings_hold_until_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    state.write_text("a file where a folder should be")
    config = config_of(DOOR, state_dir=state)
    async with running(config) as bridge, client_of(bridge) as mqtt:
        assert (await mqtt.request("set", as_json(output_volume=0.2))).status == "ok"
        assert (await mqtt.request("set", as_json(ring_timeout=5))).data == contract.as_data(
            Settings(output_volume=0.2, ring_timeout=5.0)
        )
    told = [record.message for record in caplog.records if "settings-home.json" in record.message]
    assert [text for text in told if "can't write" in text] == [
        f"can't write {stored(state)}: {os.strerror(errno.EEXIST)}; settings hold until the next start"
    ]


async def test_many_settings_at_once_end_as_the_last_one(tmp_path: Path) -> None:
    config = config_of(DOOR, state_dir=tmp_path)
    async with running(config) as bridge, client_of(bridge) as mqtt:
        for step in range(1, 40):
            mqtt.watcher.publish(TOPICS.of_account("door", "request", "set"), as_json(ring_timeout=step))
        await mqtt.until(lambda topic, payload: topic == SHOWN and payload.ring_timeout == 39)
    assert (await shown_by(config)).ring_timeout == 39


# --- a reload ---


async def test_after_a_reload_a_value_that_was_configured_anew_holds_and_what_was_set_besides(tmp_path: Path) -> None:
    configured = [config_of(DOOR, state_dir=tmp_path)]
    async with running(configured[0], read=lambda: configured[0]) as bridge, client_of(bridge) as mqtt:
        await mqtt.request("set", as_json(output_volume=1.5, ring_timeout=20))
        louder = replace(DOOR, output_volume=0.5, auto_answer=AutoAnswer(enabled=True))
        configured[0] = replace(configured[0], accounts=(louder,))
        await mqtt.ask("reload")
        now = Settings(output_volume=0.5, ring_timeout=20.0, auto_answer=True)
        assert mqtt.latest(SHOWN) == now
        assert (await mqtt.request("set")).data == contract.as_data(now)


async def test_after_a_reload_who_may_ring_is_as_configured(tmp_path: Path, station: Phone) -> None:
    configured = [config_of(DOOR, state_dir=tmp_path)]
    async with running(configured[0], read=lambda: configured[0]) as bridge, client_of(bridge) as mqtt:
        blocking = replace(DOOR, call_from=CallFrom(block=("station",)))
        configured[0] = replace(configured[0], accounts=(blocking,))
        await mqtt.ask("reload")
        await station.call(f"sip:door@127.0.0.1:{bridge.sip_port}")
        assert (await mqtt.event("CALL_ENDED")).refusal == "blocked"


async def test_an_account_that_was_removed_and_comes_back_has_its_configured_settings(tmp_path: Path) -> None:
    gate = replace(DOOR, id="gate", user="gate", aliases=())
    configured = [config_of(DOOR, gate, state_dir=tmp_path)]
    async with running(configured[0], read=lambda: configured[0]) as bridge, client_of(bridge) as mqtt:
        await mqtt.request("set", as_json(output_volume=1.5))
        for accounts in ((gate,), (gate, DOOR)):
            configured[0] = replace(configured[0], accounts=accounts)
            await mqtt.ask("reload")
        assert (await mqtt.request("set")).data == contract.as_data(Settings())
