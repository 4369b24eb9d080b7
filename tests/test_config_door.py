"""`door:` of an account in the configuration."""

import json
from pathlib import Path

import pytest

from sip_bridge.config import Config, load, redacted
from sip_bridge.errors import ConfigError
from sip_bridge.phone.settings import DoorSettings, Secret


def loaded(folder: Path, text: str) -> Config:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def with_door(door: str) -> str:
    return f"accounts:\n- id: d\n  kind: direct\n  door: {door}\n"


def test_a_code_is_all_that_a_door_needs(tmp_path: Path) -> None:
    (account,) = loaded(tmp_path, with_door("{code: 0815}")).accounts
    assert account.door == DoorSettings(
        code=Secret("0815"),
        method="auto",
        duration_ms=160,
        gap_ms=80,
        number=None,
        answer=True,
        hang_up=None,
    )


def test_every_key_of_a_door_is_read(tmp_path: Path) -> None:
    door = (
        '{code: "*1,2#", method: info, duration_ms: 250, gap_ms: 100, number: "sip:station@192.0.2.5",'
        " answer: false, hang_up: false}"
    )
    (account,) = loaded(tmp_path, with_door(door)).accounts
    assert account.door == DoorSettings(
        code=Secret("*1,2#"),
        method="info",
        duration_ms=250,
        gap_ms=100,
        number="sip:station@192.0.2.5",
        answer=False,
        hang_up=False,
    )


CODE = "door.code: expected up to 64 keys like 1234, in quotes if *, # or a comma is among them"


@pytest.mark.parametrize(
    ("door", "line"),
    [
        ("{}", "door.code: missing: the keys that open the door"),
        ("1234", "door: expected lines of KEY: VALUE; got '1234'"),
        ("{code: 12x4}", CODE),
        ("{code: ','}", CODE),
        (f"{{code: {'1' * 65}}}", CODE),
        ("{code: [1]}", CODE),
        ("{code: 1, method: morse}", "door.method: expected one of auto, rtp, info, inband; got 'morse'"),
        ("{code: 1, duration_ms: 10}", "door.duration_ms: expected a number from 40 to 5000; got '10'"),
        ("{code: 1, hang_up: maybe}", "door.hang_up: expected true or false; got 'maybe'"),
        ("{code: 1, number: 200}", "door.number: expected an address like sip:door@192.168.1.50; got '200'"),
    ],
)
def test_a_mistake_about_a_door_gets_one_line_without_the_code(tmp_path: Path, door: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, with_door(door))
    assert str(caught.value) == f"{tmp_path / 'config.yaml'}:4: accounts[0].{line}"


def test_a_line_at_a_telephone_system_calls_a_number(tmp_path: Path) -> None:
    text = "accounts: [{id: p, kind: registered, server: h, user: u, door: {code: 1, number: 200}}]"
    (account,) = loaded(tmp_path, text).accounts
    assert account.door == DoorSettings(code=Secret("1"), number="200")


def test_the_code_is_in_no_repr_and_not_in_what_mqtt_shows(tmp_path: Path) -> None:
    result = loaded(tmp_path, with_door("{code: 471D}"))
    assert "471D" not in repr(result)
    (account,) = redacted(result)["accounts"]
    assert json.loads(json.dumps(account["door"])) == {
        "code": "***",
        "method": "auto",
        "duration_ms": 160,
        "gap_ms": 80,
        "number": None,
        "answer": True,
        "hang_up": None,
    }
