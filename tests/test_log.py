"""The log: for a person or a program, without secrets, and not without end."""

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from sip_bridge.bridge.flood import BURST, MAX_KINDS, SECONDS_PER_LINE, FloodFilter
from sip_bridge.bridge.log import MQTTLogHandler
from sip_bridge.cli.log import formatter, secrets_in
from sip_bridge.mqtt import contract
from sip_bridge.phone.settings import DirectAccount, DTMFCode, DTMFSettings, Secret
from tests.bridge.conftest import config_of


def record(text: str, *args: object, at: float = 0.0, level: int = logging.WARNING, **about: str) -> logging.LogRecord:
    made = logging.LogRecord("sip_bridge.calls", level, "file.py", 1, text, args, None)
    made.created = at
    for name, value in about.items():
        setattr(made, name, value)
    return made


def failed(secret: str) -> logging.LogRecord:
    made = record("request failed")
    try:
        int(secret)
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_json_is_one_object_a_line() -> None:
    line = formatter("json", frozenset()).format(
        record("%s: call from %s", "door", "Zoë\nx", at=1764000000.5, account="door", call_id="a@b")
    )
    assert "\n" not in line
    assert json.loads(line) == {
        "ts": "2025-11-24T16:00:00.500Z",
        "level": "warning",
        "logger": "sip_bridge.calls",
        "message": "door: call from Zoë\nx",
        "account": "door",
        "call_id": "a@b",
    }


def test_json_has_what_no_utf8_was_as_replacement_characters() -> None:
    line = formatter("json", frozenset()).format(record("from %s", b"\xff".decode("utf-8", "surrogateescape")))
    assert json.loads(line.encode())["message"] == "from \ufffd"


def test_a_traceback_is_one_string_and_shows_no_secret() -> None:
    line = formatter("json", frozenset({"4711x", "4711x0"})).format(failed("4711x0"))
    exception = json.loads(line)["exception"]
    assert exception.startswith("Traceback")
    assert exception.endswith("ValueError: invalid literal for int() with base 10: '***'")


def test_text_is_for_a_person_and_hides_secrets_too() -> None:
    text = formatter("text", frozenset({"4711x0"})).format(failed("4711x0"))
    assert re.match(r"[-\d]{10} [:\d]{8},\d{3} WARNING sip_bridge\.calls: request failed\nTraceback", text)
    assert text.endswith("ValueError: invalid literal for int() with base 10: '***'")


def test_what_a_peer_says_makes_no_line_of_its_own_and_no_colours() -> None:
    text = formatter("text", frozenset()).format(record("from %s", "a\nERROR b\x1b[31m\r\x9b"))
    assert text.partition("sip_bridge.calls: ")[2] == "from a\n    ERROR b\\x1b[31m\\x0d\\x9b"


def test_every_secret_of_a_configuration_is_known() -> None:
    codes = (DTMFCode(name="family", digits=Secret("1234")), DTMFCode(name="short", digits=Secret("12")))
    account = DirectAccount(
        id="door", name="Door", user="door", password=Secret("open sesame"), dtmf=DTMFSettings(codes=codes)
    )
    assert secrets_in(config_of(account)) == {"open sesame", "1234"}


def seen(flood: FloodFilter, records: Iterator[logging.LogRecord]) -> list[str]:
    text = formatter("text", frozenset())
    return [text.format(each).partition("calls: ")[2] for each in records if flood.filter(each)]


def test_a_flood_of_lines_is_bounded_and_counted() -> None:
    flood = FloodFilter()
    assert len(seen(flood, (record("call from %s", number) for number in range(1000)))) == BURST
    later = [record("call from %s", "me", at=SECONDS_PER_LINE), record("call from %s", "you", at=1000)]
    assert seen(flood, iter(later)) == [
        f"call from me ({1000 - BURST} more like this were left out)",
        "call from you",
    ]


def test_other_lines_and_other_accounts_are_not_held_up() -> None:
    flood = FloodFilter()
    seen(flood, (record("call from %s", number, account="door") for number in range(100)))
    others = [record("call from %s", 1, account="gate"), record("call ended", account="door")]
    assert seen(flood, iter(others)) == ["call from 1", "call ended"]


def test_a_clock_that_is_set_back_stops_no_line() -> None:
    flood = FloodFilter()
    assert len(seen(flood, (record("x", at=1000 - number) for number in range(BURST)))) == BURST


def test_who_debugs_sees_all() -> None:
    assert len(seen(FloodFilter(), (record("x", level=logging.DEBUG) for _ in range(1000)))) == 1000


def test_the_kinds_of_lines_that_are_counted_are_bounded() -> None:
    flood = FloodFilter()
    assert len(seen(flood, (record(f"kind {number}") for number in range(MAX_KINDS + 10)))) == MAX_KINDS + 10
    assert len(flood._kinds) == 10


class Outlet:
    def __init__(self) -> None:
        self.published: list[str] = []

    def publish(self, topic: str, payload: str, *, qos: int = 1, retain: bool = False, keep: bool = False) -> None:
        self.published.append(payload)

    def retain(self, topic: str, payload: str, *, keep: bool = False) -> None:
        raise NotImplementedError

    def former(self, topic: str) -> bytes | None:
        raise NotImplementedError


@pytest.fixture
def outlet() -> Outlet:
    return Outlet()


def test_a_flood_does_not_go_to_mqtt_either(outlet: Outlet) -> None:
    handler = MQTTLogHandler(outlet, "sip_bridge/home/logging")
    for number in range(100):
        handler.handle(record("call from %s", number))
    handler.handle(record("call from %s", "me", at=SECONDS_PER_LINE))
    assert len(outlet.published) == BURST + 1
    last = contract.decode(contract.LogRecord, outlet.published[-1])
    assert last.message == "call from me (70 more like this were left out)"
