"""`sip-bridge doctor`, as a person runs it."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

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


class Refusing(asyncio.DatagramProtocol):
    """A registrar that gives everybody the same answer."""

    def __init__(self, status: str) -> None:
        self._status = status

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        copied = [line for line in data.decode().split("\r\n") if line.partition(":")[0] in COPIED]
        lines = [f"SIP/2.0 {self._status}", *copied, "Content-Length: 0", "", ""]
        self._transport.sendto("\r\n".join(lines).encode(), address)


COPIED = ("Via", "From", "To", "Call-ID", "CSeq")


@pytest.mark.parametrize(
    ("status", "text", "advice"),
    [
        ("403 Forbidden", "the server forbids u to register (403 Forbidden)", "A FRITZ!Box and many others"),
        ("404 Not Found", "the server knows no user u (404 Not Found)", "Compare user"),
        ("500 Oh no", "not registered: 500 Server Internal Error", "The server's log"),
        ("401 No", "the server does not take the password of u (401 Unauthorized)", "Compare user, auth_user"),
    ],
)
async def test_what_a_registrar_means_is_explained(tmp_path: Path, status: str, text: str, advice: str) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Refusing(status), ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    account = f"  - {{id: pbx, kind: registered, server: 127.0.0.1, port: {port}, user: u, password: p}}"
    path = written(tmp_path, f"sip: {{bind: 127.0.0.1, port: {free_port()}}}", account)
    code, output, _ = await outcome("doctor", "--json", "-c", str(path))
    transport.close()
    last = json.loads(output.splitlines()[-1])
    assert (code, last["verdict"], last["text"]) == (1, "problem", text)
    assert last["advice"].startswith(advice)


async def test_folders_that_are_of_no_use_are_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    path = written(tmp_path, f"sip: {{bind: 127.0.0.1, port: {free_port()}}}", "  - {id: door, kind: direct}")
    path.write_text(path.read_text() + "recording: {folder: recordings, min_free: 10000000}\n")
    code, output, _ = await outcome("doctor", "-c", str(path))
    assert code == 1
    assert f"PROBLEM  state: {tmp_path / 'state'} is no folder" in output
    assert "PROBLEM  recordings: only " in output
