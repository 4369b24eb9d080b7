"""Who may ring, what may be dialled and who is answered without a person, in the configuration."""

import json
from pathlib import Path

import pytest

from sip_bridge.config import Config, load, redacted
from sip_bridge.errors import ConfigError
from sip_bridge.phone.settings import AutoAnswer, CallFrom, LineSettings, RejectWith, Secret


def loaded(folder: Path, account: str) -> Config:
    file = folder / "config.yaml"
    file.write_text(f"accounts:\n- {account}\n", encoding="utf-8")
    return load(file)


def direct(keys: str) -> str:
    return f"id: d\n  kind: direct\n  {keys}"


def registered(keys: str) -> str:
    return f"id: r\n  kind: registered\n  server: s.example\n  user: u\n  {keys}"


def test_every_key_is_read(tmp_path: Path) -> None:
    keys = """
  do_not_disturb: true
  call_from: {allow: ["1??", 192.168.1.0/24], block: [anonymous, "sip:*@evil.example", "fd00::1"]}
  block_dial: ["0900*", "+49 900*"]
  ring_timeout: 45.5
  reject_with: {reject: 603, do_not_disturb: 486, blocked: 607}
  auto_answer:
    {enabled: false, from: ["101"], after: 2.5, on_request: true, play: hello.wav, settle_ms: 800, auto_hangup: true}
  output_volume: 0.8
  dtmf: {method: info}
"""
    (account,) = loaded(tmp_path, direct(keys)).accounts
    assert account.call_from == CallFrom(
        allow=("1??", "192.168.1.0/24"), block=("anonymous", "sip:*@evil.example", "fd00::1")
    )
    assert account.block_dial == ("0900*", "+49 900*")
    assert account.reject_with == RejectWith(reject=603, do_not_disturb=486, blocked=607)
    assert account.auto_answer == AutoAnswer(
        enabled=False,
        callers=("101",),
        after=2.5,
        on_request=True,
        play=Secret("hello.wav"),
        settle_ms=800,
        auto_hangup=True,
    )
    assert LineSettings.of(account) == LineSettings(
        do_not_disturb=True, auto_answer=False, output_volume=0.8, ring_timeout=45.5, dtmf_method="info"
    )


def test_a_line_rings_for_everybody_who_may_call_it_unless_told_otherwise(tmp_path: Path) -> None:
    (account,) = loaded(tmp_path, direct("name: D")).accounts
    assert (account.call_from, account.block_dial) == (CallFrom(allow=("*",)), ())
    assert account.auto_answer == AutoAnswer(enabled=False)
    assert LineSettings.of(account) == LineSettings()


def test_who_writes_of_auto_answer_wants_it(tmp_path: Path) -> None:
    (account,) = loaded(tmp_path, direct("auto_answer: true")).accounts
    assert account.auto_answer == AutoAnswer(enabled=True)
    (account,) = loaded(tmp_path, direct("auto_answer: {after: 2}")).accounts
    assert account.auto_answer == AutoAnswer(enabled=True, after=2.0)
    (account,) = loaded(tmp_path, direct("auto_answer: false")).accounts
    assert account.auto_answer == AutoAnswer(enabled=False)


def test_one_status_is_what_reject_sends(tmp_path: Path) -> None:
    (account,) = loaded(tmp_path, direct("reject_with: 603")).accounts
    assert account.reject_with == RejectWith(reject=603, do_not_disturb=480, blocked=603)


@pytest.mark.parametrize(
    "keys",
    [
        "auto_answer: {from: ['1??']}",
        "auto_answer: true\n  contacts: [{name: Kitchen, number: '101'}]",
        "auto_answer: {enabled: false}",
        "auto_answer: false",
    ],
)
def test_a_registered_line_answers_by_itself_if_it_knows_whom(tmp_path: Path, keys: str) -> None:
    assert len(loaded(tmp_path, registered(keys)).accounts) == 1


@pytest.mark.parametrize(
    ("account", "line"),
    [
        (direct("do_not_disturb: perhaps"), "do_not_disturb: expected true or false; got 'perhaps'"),
        (direct("call_from: [101]"), "call_from: expected lines of KEY: VALUE; got a list"),
        (direct("call_from: {allow: []}"), "call_from.allow: expected at least one, got an empty list"),
        (
            direct("call_from: {block: [192.168.1.300/24]}"),
            "call_from.block[0]: expected a network like 192.168.1.0/24; got '192.168.1.300/24'",
        ),
        (
            direct("call_from: {block: [192.168.1.*]}"),
            "call_from.block[0]: expected a network like 192.168.1.0/24; got '192.168.1.*'",
        ),
        (direct("call_from: {deny: [a]}"), "call_from: unknown key 'deny'; known are allow, block"),
        (direct("block_dial: 0900"), "block_dial: expected a list; got '0900'"),
        (direct("block_dial: ['']"), "block_dial[0]: expected text; got nothing"),
        (direct("ring_timeout: 0"), "ring_timeout: expected a number of seconds from 1 to 600; got '0'"),
        (direct("ring_timeout: 601"), "ring_timeout: expected a number of seconds from 1 to 600; got '601'"),
        (direct("output_volume: 3"), "output_volume: expected a number from 0 to 2; got '3'"),
        (direct("reject_with: 399"), "reject_with: expected a number from 400 to 699; got '399'"),
        (
            direct("reject_with: {blocked: 200}"),
            "reject_with.blocked: expected a number from 400 to 699; got '200'",
        ),
        (direct("auto_answer: maybe"), "auto_answer: expected true or false; got 'maybe'"),
        (direct("auto_answer: {after: -1}"), "auto_answer.after: expected a number of seconds from 0 to 600; got '-1'"),
        (
            direct("auto_answer: {after: 180}"),
            "auto_answer.after: expected less than ring_timeout, 180 seconds",
        ),
        (direct("auto_answer: {settle_ms: 5}"), "auto_answer.play: missing: what settle_ms belongs to"),
        (
            direct("auto_answer: {play: 'ftp://host/SECRET'}"),
            "auto_answer.play: expected a file, an http or https URL, or a tone like tone:ringback/5",
        ),
        (
            registered("auto_answer: true"),
            "auto_answer.from: missing: whom to answer, from: or contacts: over a telephone system anybody may call",
        ),
        (direct("dtmf: {method: morse}"), "dtmf.method: expected one of auto, rtp, info, inband; got 'morse'"),
    ],
    ids=range(20),
)
def test_a_mistake_gets_one_line(tmp_path: Path, account: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, account)
    assert str(caught.value).partition(": accounts[0].")[2] == line


def test_a_list_has_so_many_patterns_at_most(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="block_dial: expected at most 1000 patterns, got 1001"):
        loaded(tmp_path, direct(f"block_dial: [{', '.join(map(str, range(1001)))}]"))


def test_what_is_played_stands_in_no_repr_and_not_in_what_mqtt_shows(tmp_path: Path) -> None:
    config = loaded(tmp_path, direct("auto_answer: {play: 'https://ha.example/tts.mp3?token=T0KEN'}"))
    assert "T0KEN" not in repr(config) + json.dumps(redacted(config))
