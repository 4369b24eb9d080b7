"""`sip-bridge doctor` at a real registrar."""

import json
from pathlib import Path

import pytest

from tests.peers.asterisk import Asterisk
from tests.peers.ports import free_port
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
