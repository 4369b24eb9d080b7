"""The component's words and pictures: nothing missing, nothing left over."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

from sip_bridge.mqtt.contract import (
    ACCOUNT_VERBS,
    CallState,
    DTMFChoice,
    DTMFMethod,
    EndReason,
    ErrorCode,
    RegistrationState,
    SequenceEnd,
)

COMPONENT = Path(__file__).parents[1] / "custom_components" / "sip_phone"
ENGLISH: Any = json.loads((COMPONENT / "translations" / "en.json").read_text())
ICONS: Any = json.loads((COMPONENT / "icons.json").read_text())
ACTIONS: Any = yaml.safe_load((COMPONENT / "services.yaml").read_text())
SOURCE = "\n".join(path.read_text() for path in COMPONENT.glob("*.py"))


def test_every_error_of_the_contract_has_its_message() -> None:
    refusals = {key.removeprefix("request_") for key in ENGLISH["exceptions"] if key.startswith("request_")}
    assert refusals == set(ErrorCode)


def test_every_translation_key_is_translated_and_no_other() -> None:
    used = set(re.findall(r'translation_key ?= ?"(\w+)"', SOURCE)) | set(re.findall(r'_error\("(\w+)"', SOURCE))
    entities = {key for keys in ENGLISH["entity"].values() for key in keys}
    errors = {key for key in ENGLISH["exceptions"] if not key.startswith("request_")}
    assert used | set(ENGLISH["selector"]) == entities | errors | set(ENGLISH["selector"])


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_action_and_field_is_described_and_has_an_icon(action: str) -> None:
    described = ENGLISH["services"][action]
    assert set(described["fields"]) == set(ACTIONS[action]["fields"])
    assert all(field["name"] and field["description"] for field in described["fields"].values())
    is_known = action in ACCOUNT_VERBS or action in {"get_calls", "reset_missed_calls", "speak"}
    assert (described["name"] != "", action in ICONS["services"], is_known) == (True, True, True)


def test_no_action_is_described_that_is_not_there() -> None:
    assert set(ENGLISH["services"]) == set(ICONS["services"]) == set(ACTIONS)


def test_every_entity_with_an_icon_has_a_name_and_the_other_way_round() -> None:
    names = {(platform, key) for platform, keys in ENGLISH["entity"].items() for key in keys}
    assert names == {(platform, key) for platform, keys in ICONS["entity"].items() for key in keys}


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (ENGLISH["entity"]["sensor"]["call_state"]["state"], CallState),
        (ENGLISH["entity"]["sensor"]["registration"]["state"], RegistrationState),
        (ENGLISH["entity"]["sensor"]["last_call"]["state_attributes"]["result"]["state"], EndReason),
        (ENGLISH["entity"]["sensor"]["last_call_result"]["state"], EndReason),
        (ENGLISH["entity"]["event"]["call"]["state_attributes"]["result"]["state"], EndReason),
        (ENGLISH["entity"]["select"]["dtmf_method"]["state"], DTMFChoice),
        (ENGLISH["entity"]["event"]["keys"]["state_attributes"]["ended_by"]["state"], SequenceEnd),
        (ENGLISH["selector"]["dtmf_method"]["options"], DTMFMethod),
    ],
)
def test_every_word_of_the_contract_that_is_shown_is_translated(states: dict[str, str], words: Any) -> None:
    assert set(states) == set(words)


@pytest.mark.parametrize(("name", "size"), [("icon.png", 256), ("icon@2x.png", 512)])
def test_the_icon_has_the_size_that_home_assistant_asks(name: str, size: int) -> None:
    header = (COMPONENT / "brand" / name).read_bytes()[:24]
    assert (header[:8], struct.unpack(">II", header[16:24])) == (b"\x89PNG\r\n\x1a\n", (size, size))


def test_every_rule_of_the_quality_scale_is_done_or_accounted_for() -> None:
    rules: dict[str, Any] = yaml.safe_load((COMPONENT / "quality_scale.yaml").read_text())["rules"]
    plain = {rule: entry if isinstance(entry, str) else entry["status"] for rule, entry in rules.items()}
    assert len(rules) == 54
    assert set(plain.values()) <= {"done", "todo", "exempt"}
    assert [rule for rule, status in plain.items() if status != "done" and not rules[rule]["comment"]] == []


def leaves(texts: Any, path: str = "") -> dict[str, str]:
    """Every text by its place."""
    if isinstance(texts, str):
        return {path: texts}
    return {place: text for key, inner in texts.items() for place, text in leaves(inner, f"{path}/{key}").items()}


@pytest.mark.parametrize("language", ["de", "es", "fr", "nl", "pl"])
def test_every_text_is_translated_with_the_placeholders_and_code_of_the_english_one(language: str) -> None:
    def fixed(texts: Any) -> dict[str, list[str]]:
        return {place: sorted(re.findall(r"\{\w+\}|`[^`]+`", text)) for place, text in leaves(texts).items()}

    translated = json.loads((COMPONENT / "translations" / f"{language}.json").read_text())
    assert fixed(translated) == fixed(ENGLISH)
    assert [place for place, text in leaves(translated).items() if not text.strip()] == []
    long = {place for place, text in leaves(ENGLISH).items() if len(text) > 40}
    assert [place for place in long if leaves(translated)[place] == leaves(ENGLISH)[place]] == []
