"""A configuration that is read again while the bridge runs: what changes, what stays, and what is said of it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sip_bridge.bridge.service import Running, running
from sip_bridge.config import Config, load
from sip_bridge.mqtt import contract
from sip_bridge.phone.call import CallState
from sip_bridge.sip.events import EndCause
from tests.bridge.conftest import TOPICS, Mqtt, Phone, as_json, client_of, config_of, phone_on_loopback, ringing_uri
from tests.peers.ports import free_port

NOTHING: dict[str, object] = {"added": [], "removed": [], "changed": {}, "applied": [], "restart_needed": []}
DOOR = "{id: door, kind: direct%s}"
GATE = "{id: gate, kind: direct}"


class File:
    """The configuration, to be written anew."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config.yaml"
        self.sip_port = free_port()
        self._mqtt_port = free_port()
        self.write(DOOR % "")

    def write(self, *accounts: str, more: str = "", sip: str = "") -> None:
        self.path.write_text(
            f"mqtt: {{broker: embedded, port: {self._mqtt_port}}}\n"
            f"sip: {{bind: 127.0.0.1, port: {self.sip_port}, rtp_ports: 20000-29999{sip}}}\n"
            "accounts:\n" + "".join(f"  - {account}\n" for account in accounts) + more
        )


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


@pytest.fixture
async def bridge(file: File) -> AsyncIterator[Running]:
    async with running(load(file.path), read=lambda: load(file.path)) as bridge:
        yield bridge


def news(**differing: object) -> dict[str, object]:
    return NOTHING | differing


async def reload(mqtt: Mqtt) -> object:
    response = await mqtt.ask("reload")
    assert response.error is None
    return response.data


async def test_a_file_that_says_the_same_changes_nothing(mqtt: Mqtt, file: File) -> None:
    file.path.write_text("# only a comment is new\n" + file.path.read_text())
    assert await reload(mqtt) == NOTHING


async def test_an_added_account_is_shown_and_can_be_called(mqtt: Mqtt, file: File, station: Phone) -> None:
    file.write(DOOR % "", GATE)
    assert await reload(mqtt) == news(added=["gate"])
    assert [each.id for each in mqtt.latest(TOPICS.of_bridge("accounts")).accounts] == ["door", "gate"]
    assert mqtt.latest(TOPICS.of_account("gate", "call")).state == "idle"
    assert mqtt.latest(TOPICS.of_account("gate", "registration")).state == "disabled"
    await station.call(f"sip:gate@127.0.0.1:{file.sip_port}")
    await mqtt.event("RINGING", "gate")


async def test_a_removed_account_hangs_up_and_leaves_no_topic(mqtt: Mqtt, file: File, station: Phone) -> None:
    file.write(DOOR % "", GATE)
    await reload(mqtt)
    await station.call(f"sip:gate@127.0.0.1:{file.sip_port}")
    await mqtt.event("RINGING", "gate")
    await mqtt.request("answer", account="gate")
    await station.state(CallState.IN_CALL)
    file.write(DOOR % "")
    assert await reload(mqtt) == news(removed=["gate"])
    assert (await station.finished()).status is None
    ended = next(payload for topic, payload in mqtt.seen if topic == TOPICS.of_account("gate", "event", "CALL_ENDED"))
    assert ended.end_reason == "hangup_local"
    cleared = {kind: mqtt.latest(TOPICS.of_account("gate", kind)) for kind in contract.RETAINED_OF_ACCOUNT}
    assert cleared == dict.fromkeys(contract.RETAINED_OF_ACCOUNT)
    assert [each.id for each in mqtt.latest(TOPICS.of_bridge("accounts")).accounts] == ["door"]
    refused = await mqtt.request("hangup", account="gate")
    assert refused.error is not None
    assert refused.error.code == "unknown_account"


async def test_a_ringing_call_of_a_removed_account_is_refused_so_that_other_phones_ring_on(
    mqtt: Mqtt, file: File, station: Phone
) -> None:
    await station.call(f"sip:door@127.0.0.1:{file.sip_port}")
    await mqtt.event("RINGING")
    file.write(GATE)
    assert await reload(mqtt) == news(added=["gate"], removed=["door"])
    assert (await station.finished()).status == 480
    assert (await mqtt.ask("health_check")).data["accounts"] == 1


async def test_phones_that_ring_for_a_removed_account_ring_no_more(mqtt: Mqtt, file: File, station: Phone) -> None:
    async with phone_on_loopback("kitchen") as kitchen:
        both = as_json(to=ringing_uri(station), also=[ringing_uri(kitchen)])
        mqtt.watcher.publish(TOPICS.of_account("door", "request", "dial"), both)
        for phone in (station, kitchen):
            await phone.state(CallState.RINGING)
        file.write(GATE)
        assert await reload(mqtt) == news(added=["gate"], removed=["door"])
        for phone in (station, kitchen):
            assert (await phone.finished()).cause is EndCause.CANCELED
        last_call = TOPICS.of_account("door", "last_call")
        assert await mqtt.until(lambda topic, payload: topic == last_call and payload is None) is None


async def test_an_account_that_comes_back_is_as_new(mqtt: Mqtt, file: File, station: Phone) -> None:
    file.write(GATE)
    await reload(mqtt)
    file.write(GATE, DOOR % "")
    assert await reload(mqtt) == news(added=["door"])
    assert mqtt.latest(TOPICS.of_account("door", "call")).state == "idle"
    await station.call(f"sip:door@127.0.0.1:{file.sip_port}")
    await mqtt.event("RINGING")


async def test_policy_changes_at_once_and_a_call_goes_on(mqtt: Mqtt, file: File, station: Phone) -> None:
    await station.call(f"sip:door@127.0.0.1:{file.sip_port}")
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    file.write(DOOR % ", name: Front door, allow_dial: [], contacts: [{name: Ann, number: sip:ann@192.0.2.9}]")
    assert await reload(mqtt) == news(changed={"door": ["name", "allow_dial", "contacts"]})
    (door,) = mqtt.latest(TOPICS.of_bridge("accounts")).accounts
    assert (door.name, door.contacts) == ("Front door", (contract.Contact(name="Ann", number="sip:ann@192.0.2.9"),))
    refused = await mqtt.request("dial", ringing_uri(station))
    assert refused.error is not None
    assert refused.error.code == "not_allowed"
    assert (await mqtt.request("mute")).status == "ok"
    assert (await mqtt.request("hangup")).status == "ok"


async def test_a_call_that_rings_meanwhile_can_be_answered(mqtt: Mqtt, file: File, station: Phone) -> None:
    await station.call(f"sip:door@127.0.0.1:{file.sip_port}")
    await mqtt.event("RINGING")
    file.write(DOOR % ", user: front, record: never")
    assert await reload(mqtt) == news(changed={"door": ["user", "record"]})
    assert (await mqtt.request("answer")).status == "ok"
    await station.state(CallState.IN_CALL)
    refused = await mqtt.request("record")
    assert refused.error is not None
    assert refused.error.code == "not_allowed"


async def test_a_secret_that_changed_is_named_and_not_told(mqtt: Mqtt, file: File, station: Phone) -> None:
    (file.path.parent / "secrets.yaml").write_text("word: first-secret\n")
    file.write(DOOR % ", password: !secret word")
    assert await reload(mqtt) == news(changed={"door": ["password"]})
    (file.path.parent / "secrets.yaml").write_text("word: second-secret\n")
    assert await reload(mqtt) == news(changed={"door": ["password"]})
    await station.call(f"sip:door@127.0.0.1:{file.sip_port}")
    assert (await station.finished()).status == 401
    assert [each.payload for each in mqtt.raw if "-secret" in each.payload] == []


async def test_what_needs_a_restart_is_named_until_there_was_one(mqtt: Mqtt, file: File) -> None:
    file.write(DOOR % "", more="state_dir: elsewhere\nbridge: {id: home, name: Ours}\n", sip=", tls_port: 5099")
    needed = ["sip.tls_port", "state_dir"]
    first = await reload(mqtt)
    assert first == news(applied=["bridge.name", "recording.folder"], restart_needed=needed)
    assert mqtt.latest(TOPICS.of_bridge("info")).name == "Ours"
    assert await reload(mqtt) == news(restart_needed=needed)
    assert mqtt.latest(TOPICS.of_bridge("info")).config["sip"]["tls_port"] == 5061


async def test_another_kind_of_broker_needs_a_restart(mqtt: Mqtt, file: File) -> None:
    file.path.write_text(file.path.read_text().replace("broker: embedded", "host: 192.0.2.1"))
    assert await reload(mqtt) == news(restart_needed=["mqtt"])


async def test_an_account_may_become_one_of_another_kind(mqtt: Mqtt, file: File) -> None:
    file.write("{id: door, kind: registered, server: 127.0.0.1, port: 9, user: '620'}")
    assert await reload(mqtt) == news(changed={"door": ["kind"]})
    assert mqtt.latest(TOPICS.of_account("door", "event", "REGISTRATION_CHANGED")).registration == "registering"
    file.write(DOOR % "")
    assert await reload(mqtt) == news(changed={"door": ["kind"]})
    assert mqtt.latest(TOPICS.of_account("door", "registration")).state == "disabled"


async def test_a_wrong_file_changes_nothing_and_is_told_once(
    mqtt: Mqtt, file: File, station: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(GATE, "{id: x, kind: odd}")
    response = await mqtt.ask("reload")
    assert response.error is not None
    assert response.error.code == "invalid_payload"
    assert response.error.message == f"{file.path}:5: accounts[1].kind: expected one of direct, registered; got 'odd'"
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert told == [f"the configuration is wrong, so all stays as it is: {response.error.message}"]
    await station.call(f"sip:door@127.0.0.1:{file.sip_port}")
    await mqtt.event("RINGING")


async def test_of_very_many_problems_the_first_are_told(mqtt: Mqtt, file: File) -> None:
    file.write(*["{id: x, kind: odd}"] * 25)
    response = await mqtt.ask("reload")
    assert response.error is not None
    assert response.error.message.splitlines()[20:] == ["and 5 more"]


async def test_a_file_that_is_gone_changes_nothing(mqtt: Mqtt, file: File) -> None:
    file.path.unlink()
    response = await mqtt.ask("reload")
    assert response.error is not None
    assert response.error.message == f"{file.path}: can't be read: No such file or directory"
    assert (await mqtt.ask("health_check")).data["accounts"] == 1


async def test_two_reloads_at_once_are_done_one_after_the_other(mqtt: Mqtt, file: File) -> None:
    file.write(DOOR % "", GATE)
    for transaction in ("one", "two"):
        mqtt.watcher.publish(TOPICS.of_bridge("request", "reload"), as_json(transaction=transaction))
    topic = TOPICS.of_bridge("response", "reload")
    answers = [await mqtt.until(lambda t, _: t == topic) for _ in range(2)]
    assert [(each.transaction, each.data) for each in answers] == [("one", news(added=["gate"])), ("two", NOTHING)]


async def test_a_repeated_transaction_does_not_reload_again(mqtt: Mqtt, file: File) -> None:
    first = await mqtt.ask("reload", as_json(transaction="once"))
    file.write(GATE)
    assert await mqtt.ask("reload", as_json(transaction="once")) == first
    assert (await mqtt.ask("health_check")).data["accounts"] == 1


async def test_signals_that_come_together_are_one_reload(
    mqtt: Mqtt, bridge: Running, file: File, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sip_bridge")
    file.write(DOOR % "", GATE)
    for _ in range(5):
        bridge.reload()
    await mqtt.until(lambda topic, _: topic == TOPICS.of_account("gate", "call"))
    said = [each.getMessage() for each in caplog.records if each.getMessage().startswith("read the")]
    assert said == ["read the configuration again: added gate"]


async def test_a_signal_with_a_wrong_file_leaves_all_as_it_is(mqtt: Mqtt, bridge: Running, file: File) -> None:
    file.path.write_text("accounts: []\n")
    bridge.reload()
    told = await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("logging"))
    assert (told.level, "accounts: expected" in told.message) == ("error", True)
    assert (await mqtt.ask("health_check")).data["accounts"] == 1


async def test_without_a_file_there_is_nothing_to_reload() -> None:
    async with running(config_of()) as bridge, client_of(bridge) as mqtt:
        for verb in ("reload", "restart"):
            response = await mqtt.ask(verb)
            assert response.error is not None
            assert response.error.code == "wrong_state"


async def test_a_reload_whose_file_is_read_when_the_bridge_stops_is_not_done(
    file: File, station: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sip_bridge")
    stops = threading.Event()

    def read() -> Config:
        assert stops.wait(5)
        return load(file.path)

    async with running(load(file.path), read=read) as bridge, client_of(bridge) as mqtt:
        await station.call(f"sip:door@127.0.0.1:{file.sip_port}")
        await mqtt.event("RINGING")
        file.write(GATE)
        bridge.reload()
        hung_up = asyncio.create_task(station.finished())
        hung_up.add_done_callback(lambda _: stops.set())
    assert hung_up.done()
    assert [each for each in caplog.records if "again" in each.getMessage()] == []


async def test_the_log_level_is_changed_by_a_word_and_by_a_reload(mqtt: Mqtt, file: File) -> None:
    package = logging.getLogger("sip_bridge")
    assert (await mqtt.ask("log_level", "debug")).data == {"level": "debug"}
    assert package.level == logging.DEBUG
    assert await reload(mqtt) == NOTHING
    assert package.level == logging.DEBUG
    file.write(DOOR % "", more="log_level: error\n")
    assert await reload(mqtt) == news(applied=["log_level"])
    assert package.level == logging.ERROR
    refused = await mqtt.ask("log_level", "loud")
    assert refused.error is not None
    assert refused.error.message == "level: expected one of debug, info, warning, error"


async def test_a_restart_is_asked_for_only_with_a_file_that_can_be_started_from(
    mqtt: Mqtt, bridge: Running, file: File
) -> None:
    right = file.path.read_text()
    file.path.write_text("accounts: []\n")
    refused = await mqtt.ask("restart")
    assert refused.error is not None
    assert (refused.error.code, bridge.restart_wanted.is_set()) == ("invalid_payload", False)
    file.path.write_text(right)
    assert (await mqtt.ask("restart")).status == "ok"
    async with asyncio.timeout(5):
        await bridge.restart_wanted.wait()


async def test_recordings_go_to_the_new_folder(mqtt: Mqtt, file: File, station: Phone, tmp_path: Path) -> None:
    file.write(DOOR % "", more="recording: {folder: kept}\n")
    assert await reload(mqtt) == news(applied=["recording.folder"])
    await station.call(f"sip:door@127.0.0.1:{file.sip_port}")
    await mqtt.event("RINGING")
    await mqtt.request("answer")
    await mqtt.event("ACK")
    name = (await mqtt.request("record", "parcel")).data["file"]
    await mqtt.request("stop_recording")
    await mqtt.event("RECORDING_DONE")
    assert (tmp_path / "kept" / name).exists()
