"""docs/mqtt shows what a bridge says today: each payload has an example, and each example is one that is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sip_bridge.mqtt import contract
from tests.bridge.conversation import capture, differences
from tests.published import SCHEMAS, snake, validator

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = json.loads((SCHEMAS / "examples.json").read_text())
PAGE = (SCHEMAS / "examples.md").read_text()

VERBS = sorted({*contract.ACCOUNT_VERBS, *contract.BRIDGE_VERBS})
TOPICS: dict[str, type] = {
    "sip_bridge/discovery/<bridge>": contract.Discovery,
    "B/state": contract.BridgeState,
    "B/info": contract.BridgeInfo,
    "B/accounts": contract.Accounts,
    "B/health": contract.Health,
    "B/logging": contract.LogRecord,
    "B/trace": contract.TracedMessage,
    "B/account/<id>/registration": contract.Registration,
    "B/account/<id>/call": contract.CallSnapshot,
    "B/account/<id>/last_call": contract.CallEndedEvent,
    "B/account/<id>/settings": contract.Settings,
    "B/account/<id>/messages": contract.WaitingMessages,
    "B/account/<id>/event/<NAME>": contract.Event,
    **{f"B/account/<id>/event/{name}": kind for name, kind in contract.EVENT_CLASSES.items()},
}


@pytest.mark.parametrize("topic", TOPICS)
def test_each_payload_has_an_example_that_its_schema_takes(topic: str) -> None:
    example = EXAMPLES["published"][topic]
    validator(snake(TOPICS[topic])).validate(example)
    assert json.dumps(example, indent=2, ensure_ascii=False) in PAGE


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_an_example_that_its_schema_takes(verb: str) -> None:
    example = EXAMPLES["requests"][verb]
    validator(f"request_{verb}").validate(example["request"])
    validator("response").validate(example["response"])
    assert json.dumps(example["response"], indent=2, ensure_ascii=False) in PAGE


def test_a_refusal_is_shown_too() -> None:
    validator("response").validate(EXAMPLES["error"]["response"])
    assert EXAMPLES["error"]["response"]["error"]["code"] == "no_call"


async def test_the_examples_are_what_a_bridge_says_today(tmp_path: Path) -> None:
    """If it says otherwise, and means it: run script/examples."""
    captured = json.loads((await capture(tmp_path)).as_json())
    assert differences(captured, EXAMPLES) == []


def test_the_examples_name_nobodys_machine() -> None:
    text = json.dumps(EXAMPLES)
    assert [word for word in ("127.0.0.1", "tmp", "/root", "4711", "s3cret", "1234#") if word in text] == []


def test_the_page_is_up_to_date() -> None:
    command = [sys.executable, "script/schemas.py", "--check"]
    subprocess.run(command, cwd=CHECKOUT, check=True, env={"PYTHONPATH": "."})
