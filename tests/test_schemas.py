"""The published JSON Schemas say what the bridge says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from sip_bridge.mqtt import contract
from tests.mqtt.test_contract import PAYLOADS
from tests.published import snake, validator

CHECKOUT = Path(__file__).parents[1]
FOLDER = CHECKOUT / "docs" / "mqtt"
EXAMPLES = FOLDER / "examples.json"


def test_the_files_are_up_to_date() -> None:
    subprocess.run([sys.executable, "script/schemas.py", "--check"], cwd=CHECKOUT, check=True, env={"PYTHONPATH": "."})


@pytest.mark.parametrize("file", sorted({*FOLDER.glob("*.json")} - {EXAMPLES}), ids=lambda file: str(file.stem))
def test_each_file_is_a_schema(file: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(file.read_text()))


@given(payload=PAYLOADS)
def test_any_payload_is_valid(payload: object) -> None:
    validator(snake(type(payload))).validate(json.loads(contract.encode(payload, 0.0)))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("bridge_state", {"schema": 2, "ts": "2026-11-23T12:00:00.000Z", "state": "online"}),
        ("bridge_state", {"schema": 1, "ts": "2026-11-23T12:00:00.000Z", "state": "gone"}),
        ("bridge_state", {"schema": 1, "state": "online"}),
        ("request_dial", {"timeout": 5}),
        ("request_dial", {"to": 100}),
    ],
)
def test_what_is_no_payload_is_not_valid(name: str, payload: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator(name).validate(payload)


def test_a_request_needs_neither_schema_nor_time() -> None:
    validator("request_dial").validate({"to": "100", "play": "/ding.wav"})
