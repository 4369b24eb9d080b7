"""`sip-bridge doctor` at a real registrar."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import missing
from tests.peers.asterisk import Asterisk
from tests.peers.ports import LOOPBACK, free_port
from tests.peers.process import Process
from tests.test_cli import outcome


@pytest.fixture
def config_file(tmp_path: Path, shared_asterisk: Asterisk) -> Path:
    host, port = shared_asterisk.address.split(":")
    account = f"{{id: pbx, kind: registered, server: {host}, port: {port}, user: '620', password: !secret password}}"
    path = tmp_path / "config.yaml"
    path.write_text(
        f"mqtt: {{broker: embedded, port: {free_port()}}}\n"
        f"sip: {{bind: 127.0.0.1, port: {free_port()}}}\n"
        f"accounts:\n  - {account}\n"
    )
    return path


@pytest.fixture
def right(config_file: Path, shared_asterisk: Asterisk) -> Path:
    (config_file.parent / "secrets.yaml").write_text(f"password: {shared_asterisk.password('620')}\n")
    return config_file


@pytest.fixture
def wrong(config_file: Path) -> Path:
    (config_file.parent / "secrets.yaml").write_text("password: wrong\n")
    return config_file


async def of_the_line(path: Path) -> tuple[int | None, list[tuple[str, str]]]:
    code, output, _ = await outcome("doctor", "--json", "-c", str(path))
    found = [json.loads(line) for line in output.splitlines()]
    return code, [(each["verdict"], each["text"]) for each in found if each["subject"] == "line pbx"]


async def test_it_registers_and_leaves_nothing_behind(right: Path, shared_asterisk: Asterisk) -> None:
    code, told = await of_the_line(right)
    host, port = shared_asterisk.address.split(":")
    assert told[0] == ("ok", f"{host} is {host} port {port} (UDP)")
    assert told[1][0] == "ok"
    assert told[1][1].startswith("the server answers: Asterisk PBX")
    assert told[2:] == [("ok", "registers as 620")]
    assert code == 0
    assert "620" not in await shared_asterisk.cli("pjsip show contacts")


async def test_a_wrong_password_is_named_as_such(wrong: Path, shared_asterisk: Asterisk) -> None:
    code, told = await of_the_line(wrong)
    assert (code, told[-1]) == (1, ("problem", "the server does not take the password of 620 (401 Unauthorized)"))


# --- a broker that does not let everybody in ---


@pytest.fixture
def broker_port(tmp_path: Path) -> Iterator[int]:
    """It knows the users reader, who may publish nothing, and bridge."""
    port, passwords, rights = free_port(), tmp_path / "passwords", tmp_path / "rights"
    create = [missing.command("mosquitto_passwd"), "-b"]
    subprocess.run([*create, "-c", passwords, "bridge", "right"], check=True, capture_output=True)
    subprocess.run([*create, passwords, "reader", "right"], check=True, capture_output=True)
    rights.write_text("user bridge\ntopic readwrite #\nuser reader\ntopic read #\n")
    (tmp_path / "mosquitto.conf").write_text(
        f"listener {port} {LOOPBACK}\nallow_anonymous false\npassword_file {passwords}\nacl_file {rights}\nuser root\n"
    )
    process = Process(missing.command("mosquitto"), "-c", tmp_path / "mosquitto.conf")
    process.start_until(r"mosquitto version \S+ running")
    yield port
    process.stop()


async def of_the_broker(folder: Path, port: int, username: str, password: str) -> list[tuple[str, str]]:
    path = folder / "config.yaml"
    path.write_text(
        f"mqtt: {{host: {LOOPBACK}, port: {port}, username: {username}, password: {password}}}\n"
        f"sip: {{bind: 127.0.0.1, port: {free_port()}}}\naccounts:\n  - {{id: door, kind: direct}}\n"
    )
    _, output, _ = await outcome("doctor", "--json", "-c", str(path))
    found = [json.loads(line) for line in output.splitlines()]
    return [(each["verdict"], each["text"]) for each in found if each["subject"] == "MQTT broker"]


async def test_a_broker_that_takes_the_password_is_well(tmp_path: Path, broker_port: int) -> None:
    is_well = ("ok", f"{LOOPBACK}:{broker_port} is there, the bridge does not run now")
    assert await of_the_broker(tmp_path, broker_port, "bridge", "right") == [is_well]


async def test_a_wrong_password_of_the_broker_is_named_as_such(tmp_path: Path, broker_port: int) -> None:
    problem = f"no connection to the MQTT broker at {LOOPBACK}:{broker_port}: Not authorized"
    assert await of_the_broker(tmp_path, broker_port, "bridge", "wrong") == [("problem", problem)]


async def test_a_user_who_may_not_publish_is_named_as_such(tmp_path: Path, broker_port: int) -> None:
    found = await of_the_broker(tmp_path, broker_port, "reader", "right")
    assert found[1:] == [("problem", "what is published below sip_bridge/home does not come back")]
