"""`sip-bridge doctor`, as a person runs it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.ports import free_port
from tests.test_cli import outcome, running_bridge


@pytest.fixture
def sip_port() -> int:
    return free_port()


@pytest.fixture
def config_file(tmp_path: Path, sip_port: int) -> Path:
    return written(tmp_path, f"sip: {{bind: 127.0.0.1, port: {sip_port}}}", "  - {id: door, kind: direct}")


@pytest.fixture
def ailing(tmp_path: Path) -> Path:
    """Nothing is right with it."""
    mqtt = f"mqtt: {{host: 127.0.0.1, port: {free_port()}}}"
    return written(
        tmp_path,
        f"sip: {{bind: 127.0.0.1, port: {free_port()}, rtp_ports: 30000-30003}}",
        "  - {id: pbx, kind: registered, server: 255.255.255.255, user: u}",
        mqtt=mqtt,
    )


@pytest.fixture
def taken(sip_port: int) -> Iterator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", sip_port))
        yield


def written(folder: Path, sip: str, account: str, *, mqtt: str | None = None) -> Path:
    path = folder / "config.yaml"
    broker = mqtt or f"mqtt: {{broker: embedded, port: {free_port()}}}"
    path.write_text(f"{broker}\n{sip}\naccounts:\n{account}\n")
    return path


async def findings(path: Path) -> tuple[int | None, dict[str, str]]:
    """The exit code, and the verdict on each subject."""
    code, output, errors = await outcome("doctor", "--json", "-c", str(path))
    assert errors == ""
    found = [each for each in map(json.loads, output.splitlines()) if each["subject"] != "firewall"]  # not ours
    return code, {each["subject"].rstrip("0123456789 ").removesuffix(" to"): each["verdict"] for each in found}


async def test_all_is_well_before_the_bridge_runs(config_file: Path) -> None:
    assert await findings(config_file) == (
        0,
        {
            "clock": "ok",
            "MQTT broker": "ok",
            "SIP port": "ok",
            "RTP ports 10000": "ok",
            "codecs": "ok",
            "state": "ok",
            "recordings": "ok",
            "line door": "ok",
        },
    )


async def test_all_is_well_while_it_runs(config_file: Path, sip_port: int) -> None:
    async with running_bridge(config_file):
        code, output, _ = await outcome("doctor", "-c", str(config_file))
    assert code == 0
    assert f"ok       SIP port {sip_port}: the bridge has it" in output.splitlines()


async def test_a_port_that_is_taken_is_named(config_file: Path, sip_port: int, taken: None) -> None:
    code, output, _ = await outcome("doctor", "-c", str(config_file))
    assert code == 1
    assert f"PROBLEM  SIP port {sip_port}: " in output
    assert "          Stop the other program, or choose another sip.port." in output.splitlines()


async def test_everything_that_is_wrong_is_found_at_once(ailing: Path) -> None:
    assert await findings(ailing) == (
        1,
        {
            "clock": "ok",
            "MQTT broker": "problem",
            "SIP port": "ok",
            "RTP ports 30000": "problem",
            "codecs": "ok",
            "state": "ok",
            "recordings": "ok",
            "line pbx": "problem",
        },
    )
