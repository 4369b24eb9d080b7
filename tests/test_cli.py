"""The command as a person uses it: another process, its output, its exit code."""

import asyncio
import json
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, SIPSettings
from sip_bridge.sip.status import SIPStatus
from tests.peers.ports import free_port

TIMEOUT = 20.0


@asynccontextmanager
async def sip_bridge(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "sip_bridge", *arguments, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def outcome(*arguments: str) -> tuple[int | None, str, str]:
    async with sip_bridge(*arguments) as process:
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()


async def line_with(process: Process, text: str) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    async for line in process.stdout:
        if text in line.decode():
            return line.decode()
    raise AssertionError(f"{text!r} was not printed; errors: {(await process.stderr.read()).decode()}")


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"mqtt: {{broker: embedded, port: {free_port()}}}\n"
        f"sip: {{bind: 127.0.0.1, port: {free_port()}}}\n"
        "accounts:\n  - {id: door, kind: direct}\n"
    )
    return path


@pytest.mark.parametrize("command", ["check", "run"])
async def test_a_wrong_configuration_is_one_line_and_exit_code_2(command: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("accounts:\n  - id: door\n    kind: directt\n")
    code, output, errors = await outcome(command, "-c", str(path))
    assert (code, output) == (2, "")
    assert errors.startswith(f"{path}:3: accounts[0].kind: expected")
    assert errors.count("\n") == 1


async def test_a_configuration_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    code, _, errors = await outcome("check", "-c", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "none.yaml" in errors
    assert errors.count("\n") == 1


async def test_a_right_configuration_is_said_to_be_right(config_file: Path) -> None:
    code, output, errors = await outcome("check", "-c", str(config_file))
    assert (code, errors) == (0, "")
    assert output == f"{config_file} is right: bridge home, accounts door\n"


async def test_a_port_in_use_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        path = tmp_path / "config.yaml"
        path.write_text(
            f"mqtt: {{broker: embedded, port: {free_port()}}}\n"
            f"sip: {{bind: 127.0.0.1, port: {taken.getsockname()[1]}}}\n"
            "accounts:\n  - {id: door, kind: direct}\n"
        )
        code, _, errors = await outcome("run", "-c", str(path))
    assert code == 1
    assert errors.splitlines()[-1].startswith("sip-bridge: UDP 127.0.0.1:")


async def test_a_broker_that_is_there_already_is_named_as_the_way_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = tmp_path / "config.yaml"
        path.write_text(
            f"mqtt: {{broker: embedded, port: {taken.getsockname()[1]}}}\naccounts:\n  - {{id: door, kind: direct}}\n"
        )
        code, _, errors = await outcome("run", "-c", str(path))
    assert code == 1
    assert "the embedded broker can't listen on 127.0.0.1" in errors.splitlines()[0]
    assert errors.splitlines()[1:] == ["If a broker runs here already, use that one, with `mqtt: {host: 127.0.0.1}`."]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_listens_and_stops_cleanly(config_file: Path, number: signal.Signals) -> None:
    async with sip_bridge("run", "-c", str(config_file)) as process:
        assert "call sip:door@127.0.0.1:" in await line_with(process, "Line")
        await line_with(process, "mosquitto_sub")
        process.send_signal(number)
        output, errors = await process.communicate()
        assert process.returncode == 0
        assert output.decode().endswith("Stopped.\n")
        assert "ERROR" not in errors.decode()


async def test_the_door_station_rings_the_bridge_and_is_cancelled_when_nobody_answers(config_file: Path) -> None:
    async with sip_bridge("run", "-c", str(config_file)) as process:
        uri = (await line_with(process, "Line")).split("call ")[1].strip()
        code, output, _ = await outcome("ring", uri, "--seconds", "1")
    assert code == 1
    assert output.splitlines() == [f"Calling {uri} from Front door.", "It rings.", "The call is over: canceled."]


async def test_the_demo_shows_a_whole_call() -> None:
    code, output, errors = await outcome("demo", "--once")
    assert (code, errors) == (0, "")
    for word in ("event/INVITE", "event/RINGING", "event/OK", "event/ACK", "event/BYE", "event/CALL_ENDED"):
        assert word in output
    assert "Answered (" in output


@asynccontextmanager
async def running_bridge(config_file: Path) -> AsyncIterator[None]:
    async with sip_bridge("run", "-c", str(config_file)) as process:
        await line_with(process, "SIP ")
        yield


@asynccontextmanager
async def station() -> AsyncIterator[tuple[VoIPPhone, asyncio.Queue[PhoneEvent]]]:
    """A phone that the bridge may call."""
    events: asyncio.Queue[PhoneEvent] = asyncio.Queue()
    account = DirectAccount(id="station", name="Station", user="station")
    async with SIPClient(SIPSettings(bind="127.0.0.1", port=0)) as client:
        phone = VoIPPhone(client, account, listener=lambda _, event: events.put_nowait(event))
        phone.start()
        yield phone, events
        phone.stop()


async def rung(events: asyncio.Queue[PhoneEvent]) -> VoIPCall:
    while True:
        match await events.get():
            case CallChanged(call=call) if call.state is CallState.RINGING:
                return call
            case _:
                pass


async def test_a_call_is_placed_by_the_running_bridge_and_followed_to_its_end(config_file: Path) -> None:
    async with running_bridge(config_file), station() as (phone, events):
        uri = f"sip:station@127.0.0.1:{phone.client.port}"
        async with sip_bridge("call", uri, "-c", str(config_file)) as caller:
            call = await rung(events)
            await call.answer()
            await line_with(caller, "OK (200 OK)")
            call.hangup()
            output, errors = await caller.communicate()
    assert (caller.returncode, errors.decode()) == (0, "")
    assert output.decode().splitlines()[-1] == "Over: hangup remote, 0 s talked."


async def test_a_call_that_is_refused_is_exit_code_1_and_json_when_asked_for(config_file: Path) -> None:
    async with running_bridge(config_file), station() as (phone, events):
        uri = f"sip:station@127.0.0.1:{phone.client.port}"
        async with sip_bridge("call", uri, "--json", "-c", str(config_file)) as caller:
            (await rung(events)).reject(SIPStatus.BUSY_HERE)
            output, _ = await caller.communicate()
    last = json.loads(output.decode().splitlines()[-1])
    assert (caller.returncode, last["event"], last["end_reason"]) == (1, "CALL_ENDED", "busy")


async def test_ctrl_c_hangs_a_call_up(config_file: Path) -> None:
    async with running_bridge(config_file), station() as (phone, events):
        uri = f"sip:station@127.0.0.1:{phone.client.port}"
        async with sip_bridge("call", uri, "-c", str(config_file)) as caller:
            await rung(events)
            await line_with(caller, "RINGING")
            caller.send_signal(signal.SIGINT)
            output, _ = await caller.communicate()
    assert caller.returncode == 130
    assert output.decode().splitlines()[-1] == "Over: canceled, 0 s talked."


async def test_a_call_without_a_bridge_is_one_line(config_file: Path) -> None:
    code, output, errors = await outcome("call", "100", "-c", str(config_file))
    assert (code, output) == (1, "")
    assert re.fullmatch(
        r"sip-bridge: no connection to the MQTT broker at 127\.0\.0\.1:\d+: Connection refused\n", errors
    )


async def test_a_call_that_the_bridge_refuses_is_one_line(config_file: Path) -> None:
    async with running_bridge(config_file):
        assert await outcome("call", "sip:x@0.0.0.0", "-c", str(config_file)) == (
            1,
            "",
            "sip-bridge: that address is nobody's\n",
        )


@pytest.fixture
def two_lines(config_file: Path) -> Path:
    config_file.write_text(config_file.read_text() + "  - {id: gate, kind: direct}\n")
    return config_file


async def test_of_several_lines_one_is_chosen(two_lines: Path) -> None:
    assert await outcome("call", "100", "-c", str(two_lines)) == (
        2,
        "",
        "several lines: choose with --account one of door, gate\n",
    )
    assert await outcome("call", "100", "--account", "x", "-c", str(two_lines)) == (
        2,
        "",
        "no line x: choose with --account one of door, gate\n",
    )


async def test_what_the_bridge_publishes_can_be_watched(config_file: Path) -> None:
    async with running_bridge(config_file):
        async with sip_bridge("watch", "--json", "-c", str(config_file)) as watcher:
            state = json.loads(await line_with(watcher, "home/state"))
            assert (state["retained"], state["payload"]["state"]) == (True, "online")
            watcher.send_signal(signal.SIGTERM)
            await watcher.communicate()
            assert watcher.returncode == 0
        async with sip_bridge("watch", "-c", str(config_file)) as watcher:
            assert "state=idle" in await line_with(watcher, "account/door/call")
