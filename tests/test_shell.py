"""The command among others: completion in a real shell, exit codes, colours, pipes."""

import asyncio
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.peers.mqtt import MqttRecorder
from tests.peers.ports import free_port
from tests.test_cli import line_with, outcome, running_bridge, sip_bridge

COMPLETE = """
PATH={folder}:$PATH
eval "$(sip-bridge completion bash)"
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_sip_bridge_completion sip-bridge
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with the command in it, and a configuration."""
    command = tmp_path / "sip-bridge"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -W error -m sip_bridge "$@"\n')
    command.chmod(0o755)
    (tmp_path / "config.yaml").write_text(
        f"mqtt: {{broker: embedded, port: {free_port()}}}\n"
        f"sip: {{bind: 127.0.0.1, port: {free_port()}}}\n"
        "accounts:\n  - {id: door, kind: direct}\n  - {id: gate, kind: direct}\n"
    )
    return tmp_path


async def run(*words: str, cwd: Path) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(*words, cwd=cwd, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(20):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sip-bridge d", "doctor demo"),
        ("sip-bridge run --c", "--config"),
        ("sip-bridge call 100 --account ''", "door gate"),
        ("sip-bridge call 100 -c nowhere.yaml --account ''", ""),
        ("sip-bridge completion ''", "bash zsh fish"),
    ],
)
async def test_bash_completes_commands_options_and_lines(folder: Path, words: str, expected: str) -> None:
    script = COMPLETE.format(folder=folder, words=words)
    code, output, errors = await run("bash", "-c", script, cwd=folder)
    assert (code, sorted(output.split()), errors) == (0, sorted(expected.split()), "")


@pytest.mark.parametrize(("shell", "word"), [("zsh", "#compdef sip-bridge"), ("fish", "complete --no-files")])
async def test_other_shells_get_their_script(shell: str, word: str) -> None:
    code, output, _ = await outcome("completion", shell)
    assert (code, word in output) == (0, True)


@pytest.mark.parametrize("arguments", [["no-such-command"], ["run", "--no-such-option"], ["completion", "tcsh"]])
async def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    code, output, errors = await outcome(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("Usage: sip-bridge")


async def test_the_help_names_the_exit_codes() -> None:
    code, output, _ = await outcome("--help")
    assert code == 0
    assert " ".join(output.split()).endswith(
        "Exit codes: 0 done; 1 it could not be done (an address in use, nobody answered, something is wrong); "
        "2 the configuration or the command line is wrong; 130 interrupted."
    )


async def test_a_check_speaks_to_programs_too(folder: Path) -> None:
    path = folder / "config.yaml"
    code, output, errors = await outcome("check", "--json", "-c", str(path))
    assert (code, json.loads(output), errors) == (0, {"ok": True, "bridge": "home", "accounts": ["door", "gate"]}, "")
    code, output, errors = await outcome("check", "--json", "-c", str(folder / "none.yaml"))
    problem = f"{folder / 'none.yaml'}: can't be read: No such file or directory"
    assert (code, json.loads(output), errors) == (2, {"ok": False, "problems": [problem]}, "")


async def test_a_ring_speaks_to_programs_too(folder: Path) -> None:
    async with sip_bridge("run", "-c", str(folder / "config.yaml")) as process:
        uri = (await line_with(process, "Line")).split("call ")[1].strip()
        code, output, _ = await outcome("ring", uri, "--seconds", "1", "--json")
    assert (code, [json.loads(line) for line in output.splitlines()]) == (
        1,
        [
            {"event": "calling", "uri": uri},
            {"event": "ringing"},
            {"event": "ended", "reason": "canceled"},
        ],
    )


async def test_ctrl_c_is_exit_code_130(folder: Path) -> None:
    async with running_bridge(folder / "config.yaml"):
        uri = "sip:door@127.0.0.1:" + (folder / "config.yaml").read_text().split("port: ")[2].split("}")[0]
        async with sip_bridge("ring", uri) as ringing:
            await line_with(ringing, "It rings.")
            ringing.send_signal(signal.SIGINT)
            await ringing.communicate()
    assert ringing.returncode == 130


async def test_a_pipe_that_is_closed_ends_a_watch_without_a_traceback(folder: Path) -> None:
    path = folder / "config.yaml"
    port = int(path.read_text().split("port: ")[1].split("}")[0])
    script = f"{sys.executable} -m sip_bridge watch -c {path} | head -n 1; exit 0"
    async with running_bridge(path), MqttRecorder(port) as client:
        watching = asyncio.create_task(run("timeout", "20", "bash", "-c", script, cwd=folder))
        while not watching.done():  # it is the next message that finds nobody at the other end
            await client.publish("sip_bridge/home/request/health_check", "")
            await asyncio.wait([watching], timeout=0.2)
    code, output, errors = await watching
    assert (code, len(output.splitlines()), errors) == (0, 1, "")


@pytest.mark.parametrize(("environment", "has_colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
async def test_a_terminal_has_colours_unless_nobody_wants_them(
    folder: Path, environment: dict[str, str], has_colours: bool
) -> None:
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sip_bridge", "doctor", "-c", str(folder / "config.yaml")),
        stdout=theirs,
        env={**kept, **environment, "TERM": "xterm"},
    )
    os.close(theirs)
    async with asyncio.timeout(20):
        await process.wait()
    output = os.read(ours, 65536).decode()
    os.close(ours)
    assert ("\x1b[32mok" in output, "ok" in output) == (has_colours, True)


async def test_without_a_terminal_each_message_is_one_line(folder: Path) -> None:
    path = folder / "config.yaml"
    async with running_bridge(path), sip_bridge("watch", "-c", str(path)) as watcher:
        line = await line_with(watcher, "account/door/call")
    assert line.split()[1:] == ["account/door/call", "state=idle"]
