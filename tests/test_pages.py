"""docs/cli.md and docs/service.md: what they show is what happens."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from sip_bridge import config
from sip_bridge.bridge.reload import Changes
from sip_bridge.cli import commands
from sip_bridge.cli.exit_codes import ExitCode
from tests.peers.ports import free_port
from tests.test_cli import line_with

DOCS = Path(__file__).parents[1] / "docs"
CLI = (DOCS / "cli.md").read_text(encoding="utf-8")
SERVICE = (DOCS / "service.md").read_text(encoding="utf-8")
PATIENCE = 60.0  # seconds for a command on a busy machine
WRONG = "accounts:\n  - id: door\n    kind: directt\n"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def shown_commands() -> list[tuple[str, str]]:
    """Each command of the page with what it prints."""
    text = "".join(blocks(CLI, "console"))
    return re.findall(r"^\$ sip-bridge (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)


def same(text: str) -> list[str]:
    """What does not differ from machine to machine, and from one minute to the next."""
    of_this_machine = ("hint     firewall", "          If the bell is not heard")
    return [re.sub(r"\d+", "0", line) for line in text.splitlines() if not line.startswith(of_this_machine)]


async def printed(folder: Path, arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sip_bridge", *shlex.split(arguments)), cwd=folder, stdout=PIPE, stderr=STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return output.decode()


async def test_every_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    sip, mqtt = str(free_port()), str(free_port())
    (settings,) = blocks(CLI, "yaml")
    (tmp_path / "config.yaml").write_text(settings.replace("5060", sip).replace("1883", mqtt))
    (tmp_path / "wrong.yaml").write_text(WRONG)
    bridge = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "sip_bridge", "run"), cwd=tmp_path, stdout=PIPE, stderr=PIPE
    )
    try:
        started = "".join([await line_with(bridge, each) for each in ("is running", "MQTT broker", "Line", "Try next")])
        assert same(started) == [line for line in same(blocks(CLI, "text")[0]) if line in same(started)]
        outputs = [await printed(tmp_path, arguments.replace("5060", sip)) for arguments, _ in shown_commands()]
    finally:
        bridge.terminate()
        await bridge.communicate()
    assert [same(output) for output in outputs] == [same(expected) for _, expected in shown_commands()]


def test_the_page_has_every_command_and_every_exit_code() -> None:
    assert set(re.findall(r"^## (\w+)$", CLI, re.MULTILINE)) == set(commands.commands)
    for code in ExitCode:
        assert str(int(code)) in CLI


@pytest.mark.parametrize("line", re.findall(r"^\$ sip-bridge (.*)$", CLI, re.MULTILINE))
def test_every_command_line_of_the_page_is_understood(line: str) -> None:
    name, *arguments = shlex.split(line)
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    assert command.make_context(name, arguments).command is command


def test_the_answer_to_a_reload_has_the_keys_that_the_page_shows() -> None:
    answers: list[Any] = [json.loads(text) for text in blocks(SERVICE, "json")]
    assert [each["data"].keys() for each in answers] == [Changes().as_data().keys()]


def unit() -> dict[str, str]:
    (text,) = blocks(SERVICE, "ini")
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def test_the_unit_runs_reloads_and_restarts_the_bridge() -> None:
    assert unit()["ExecStart"].endswith("sip-bridge run -c /etc/sip-bridge/config.yaml")
    assert unit()["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert (unit()["Restart"], unit()["RestartPreventExitStatus"]) == ("on-failure", str(int(ExitCode.USAGE)))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    (text,) = blocks(SERVICE, "ini")
    file = tmp_path / "sip-bridge.service"
    file.write_text(text.replace("/opt/sip-bridge/.venv/bin/sip-bridge", sys.executable))
    found = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
    assert [line for line in found.stderr.splitlines() if "sip-bridge.service" in line] == []


def test_the_composition_is_yaml_that_starts_the_bridge() -> None:
    (text,) = blocks(SERVICE, "yaml")
    service = yaml.safe_load(text)["services"]["sip-bridge"]
    assert service["network_mode"] == "host"
    assert service["command"].endswith('exec sip-bridge run -c /config/config.yaml"')


def test_the_configuration_of_the_page_loads(tmp_path: Path) -> None:
    (text,) = blocks(CLI, "yaml")
    (tmp_path / "config.yaml").write_text(text)
    assert [account.id for account in config.load(tmp_path / "config.yaml").accounts] == ["door"]
