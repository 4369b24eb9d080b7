"""`sip-bridge run` as a service: signals, restarts and what a wrong configuration does to them."""

import asyncio
import json
import logging
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from click.testing import CliRunner

from sip_bridge import cli
from sip_bridge.cli.exit_codes import ExitCode
from sip_bridge.mqtt.contract import Topics
from tests.bridge.watcher import Watcher, watching
from tests.peers.ports import free_port
from tests.test_cli import TIMEOUT, line_with, sip_bridge

TOPICS = Topics()


@pytest.fixture
def mqtt_port() -> int:
    return free_port()


@pytest.fixture
def config_file(tmp_path: Path, mqtt_port: int) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"mqtt: {{broker: embedded, port: {mqtt_port}}}\n"
        f"sip: {{bind: 127.0.0.1, port: {free_port()}}}\n"
        "accounts:\n  - {id: door, kind: direct}\n"
    )
    return path


GATE = "  - {id: gate, kind: direct}\n"
WRONG = "accounts: []\n"


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def seen(watcher: Watcher, topic: str, containing: str = "") -> str:
    while True:
        message = await watcher.messages.get()
        if message.topic == topic and containing in message.payload:
            return message.payload


async def errors_with(process: Process, text: str) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if text in line.decode():
            return line.decode()
    raise AssertionError(f"{text!r} was not logged")


async def test_sighup_reads_the_configuration_again(config_file: Path) -> None:
    async with sip_bridge("run", "-c", str(config_file)) as process:
        await line_with(process, "mosquitto_sub")
        append(config_file, GATE)
        process.send_signal(signal.SIGHUP)
        assert (await errors_with(process, "again")).endswith("read the configuration again: added gate\n")
        write(config_file, WRONG)
        process.send_signal(signal.SIGHUP)
        assert f"{config_file}:1: accounts: expected" in await errors_with(process, "stays as it is")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_the_log_is_json_from_a_reload_on(config_file: Path) -> None:
    async with sip_bridge("run", "-c", str(config_file)) as process:
        await line_with(process, "mosquitto_sub")
        append(config_file, "log_format: json\n")
        process.send_signal(signal.SIGHUP)
        line = json.loads(await errors_with(process, "read the configuration again"))
    assert (line["level"], line["logger"], line["message"]) == (
        "info",
        "sip_bridge.bridge.service",
        "read the configuration again: applied log_format",
    )


async def test_for_a_program_every_line_is_json(config_file: Path) -> None:
    append(config_file, "log_format: json\n")
    async with sip_bridge("run", "-c", str(config_file)) as process:
        first = json.loads(await errors_with(process, "is running"))
        await errors_with(process, "mosquitto_sub")
        process.send_signal(signal.SIGTERM)
        output, errors = await process.communicate()
    assert (output, first["logger"]) == (b"", "sip_bridge")
    assert [json.loads(line)["message"] for line in errors.splitlines()][-1] == "Stopped."


def test_a_bug_that_ends_the_bridge_is_logged_without_secrets(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(config_file, "log_format: json\n")
    config_file.write_text(config_file.read_text().replace("kind: direct", "kind: direct, password: open sesame"))

    async def broken(*_: object) -> bool:
        raise ValueError("a bug that quotes open sesame")

    monkeypatch.setattr(cli, "serve", broken)
    handlers = logging.getLogger().handlers[:]
    logging.getLogger().handlers.clear()
    try:
        result = CliRunner().invoke(cli.commands, ["run", "-c", str(config_file)], standalone_mode=False)
    finally:
        logging.getLogger().handlers[:] = handlers
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    (line,) = result.stderr.splitlines()
    assert result.return_value == ExitCode.FAILED
    assert json.loads(line)["exception"].endswith("ValueError: a bug that quotes ***")


async def test_a_restart_is_answered_and_then_it_begins_anew_in_the_same_process(
    config_file: Path, mqtt_port: int
) -> None:
    async with sip_bridge("run", "-c", str(config_file)) as process:
        await line_with(process, "mosquitto_sub")
        async with watching("127.0.0.1", mqtt_port, "sip_bridge/#") as watcher:
            first = json.loads(await seen(watcher, TOPICS.of_bridge("info")))
            append(config_file, "bridge: {id: home, name: Ours}\n")
            await seen(watcher, TOPICS.of_bridge("state"), "online")
            watcher.publish(TOPICS.of_bridge("request", "restart"), "")
            assert '"ok"' in await seen(watcher, TOPICS.of_bridge("response", "restart"))
            await seen(watcher, TOPICS.of_bridge("state"), "offline")
        await line_with(process, "Stopped.")
        await line_with(process, "mosquitto_sub")
        async with watching("127.0.0.1", mqtt_port, "sip_bridge/#") as watcher:
            second = json.loads(await seen(watcher, TOPICS.of_bridge("info")))
        assert (first["name"], second["name"]) == ("Home", "Ours")
        assert first["session"] != second["session"]
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_terminal_that_is_closed_stops_it(config_file: Path) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sip_bridge", "run", "-c", str(config_file)),
        stdin=theirs,
        stdout=PIPE,
        stderr=PIPE,
        preexec_fn=_own_terminal,
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(TIMEOUT):
            await line_with(process, "mosquitto_sub")
            os.close(ours)
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, output.decode().splitlines()[-1]) == (0, "Stopped.")


def _own_terminal() -> None:
    """Make stdin the controlling terminal of a session of its own, as a shell's is."""
    import fcntl  # noqa: PLC0415  # in the child only
    import termios  # noqa: PLC0415

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def test_a_wrong_configuration_is_no_reason_to_stop_for_a_restart(config_file: Path, mqtt_port: int) -> None:
    async with sip_bridge("run", "-c", str(config_file)) as process:
        await line_with(process, "mosquitto_sub")
        write(config_file, WRONG)
        async with watching("127.0.0.1", mqtt_port, "sip_bridge/#") as watcher:
            await seen(watcher, TOPICS.of_bridge("state"), "online")
            watcher.publish(TOPICS.of_bridge("request", "restart"), "")
            assert "invalid_payload" in await seen(watcher, TOPICS.of_bridge("response", "restart"))
            watcher.publish(TOPICS.of_bridge("request", "health_check"), "")
            assert '"ok"' in await seen(watcher, TOPICS.of_bridge("response", "health_check"))
