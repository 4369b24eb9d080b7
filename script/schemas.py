"""Writes docs/mqtt/ from sip_bridge/mqtt/contract.py: run it by script/schemas."""

import dataclasses
import functools
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from sip_bridge.bridge.counters import COUNTERS
from sip_bridge.mqtt import contract

FOLDER: Final = Path(__file__).parents[1] / "docs" / "mqtt"
EXAMPLES: Final = FOLDER / "examples.json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

# What the bridge publishes, by topic; `B` is <base>/<bridge>.
PUBLISHED: Final[Mapping[str, type]] = {
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
    "B/account/<id>/response/<verb>, B/response/<verb>": contract.Response,
}
_WITHOUT_TIME: Final = (contract.Discovery,)  # its content is stable
_SCALARS: Final[Mapping[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Any: {},
}


def schema_of(kind: type, *, title: str, is_request: bool = False) -> dict[str, Any]:
    """The JSON Schema of a payload; a reader ignores keys that it does not know."""
    parts = _Parts()
    properties = {"schema": {"const": contract.SCHEMA}, "ts": {"type": "string", "format": "date-time"}}
    body = parts.object_of(kind)
    stamps = [] if is_request else ["schema"] if kind in _WITHOUT_TIME else ["schema", "ts"]
    schema = {
        "$schema": DIALECT,
        "title": title,
        "description": _description(kind),
        **body,
        "properties": properties | body["properties"],
        "required": [*stamps, *body["required"]],
    }
    return schema | ({"$defs": parts.definitions} if parts.definitions else {})


class _Parts:
    """The objects inside of a payload, each described once."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def object_of(self, kind: type) -> dict[str, Any]:
        hints = typing.get_type_hints(kind)
        fields = dataclasses.fields(kind)
        required = [each.name for each in fields if not _has_default(each)]
        properties = {each.name: self.value_of(hints[each.name]) | _default_of(each) for each in fields}
        return {"type": "object", "properties": properties, "required": required}

    def value_of(self, hint: Any) -> dict[str, Any]:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            (inner,) = (each for each in arguments if each is not type(None))
            return {"anyOf": [self.value_of(inner), {"type": "null"}]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is tuple:
            return {"type": "array", "items": self.value_of(arguments[0])}
        if origin is Mapping:
            return {"type": "object", "additionalProperties": self.value_of(arguments[1])}
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            if hint.__name__ not in self.definitions:
                self.definitions[hint.__name__] = {}  # its place, should it contain itself
                self.definitions[hint.__name__] = {"description": _description(hint), **self.object_of(hint)}
            return {"$ref": f"#/$defs/{hint.__name__}"}
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return {"enum": [str(member) for member in hint]}
        return dict(_SCALARS[hint])


def _has_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _default_of(field: "dataclasses.Field[Any]") -> dict[str, Any]:
    if field.default is dataclasses.MISSING or field.default is None:
        return {}
    return {"default": field.default}


def _description(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split()).replace("``", "`")


def files() -> dict[str, str]:
    """What belongs into the folder, by name."""
    written: dict[str, str] = {}
    rows: list[str] = []
    for topic, kind in PUBLISHED.items():
        name = f"{_snake(kind)}.json"
        written[name] = _json(schema_of(kind, title=_title(kind)))
        rows.append(f"| `{topic}` | [{_title(kind)}]({name}){_example(topic)} | {_description(kind)} |")
    requests: list[str] = []
    for prefix, verb, kind, bare in _verbs():
        name = f"request_{verb}.json"
        written[name] = _json(schema_of(kind, title=f"Request {verb}", is_request=True))
        value = "" if bare is None else f"`{bare}`"
        link = f"[{verb}]({name}){_example(verb)}"
        requests.append(f"| `{prefix}/request/{verb}` | {link} | {value} | {_description(kind)} |")
    written["README.md"] = _page(rows, requests)
    written[EXAMPLES.name] = EXAMPLES.read_text(encoding="utf-8")
    written["examples.md"] = _examples_page()
    written["health.md"] = _counters_page()
    return written


@functools.cache
def examples() -> dict[str, Any]:
    """What script/examples has captured."""
    captured: dict[str, Any] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    return captured


def _example(of: str) -> str:
    """A link to the example of a topic or verb, if there is one."""
    captured = examples()
    if of not in captured["published"] and of not in captured["requests"]:
        return ""
    return f", [example](examples.md#{re.sub(r'[^a-z0-9_ -]', '', of.lower())})"


def _examples_page() -> str:
    captured = examples()
    lines = [
        "# The MQTT payloads, by example",
        "",
        "What a bridge said when `script/examples` talked with it. What is another each time has a placeholder: times,",
        "ids, addresses and ports.",
        "",
        "## What the bridge publishes",
        "",
    ]
    for topic, payload in captured["published"].items():
        lines += [f"### {topic.replace('<', '&lt;').replace('>', '&gt;')}", "", *_block(payload)]
    lines += ["## Requests, and their answers", ""]
    for verb, both in captured["requests"].items():
        lines += [f"### {verb}", "", *_block(both["request"]), *_block(both["response"])]
    refused = captured["error"]
    lines += ["### What can't be done is refused", "", "`hangup` without a call:", ""]
    return "\n".join([*lines, *_block(refused["request"]), *_block(refused["response"])])


def _block(payload: object) -> list[str]:
    return ["```json", json.dumps(payload, indent=2, ensure_ascii=False), "```", ""]


def _counters_page() -> str:
    rows = [f"| `{name}` | {meaning} |" for name, meaning in sorted(COUNTERS.items())]
    return "\n".join(
        [
            "# The counters of B/health",
            "",
            "`B/health` comes each 60 seconds, and as the answer to `B/request/health_check`. Its `counters` begin at",
            "0 when the bridge starts and only rise; all are there from then on. Written by `script/schemas` from",
            "`sip_bridge/bridge/counters.py`.",
            "",
            "| counter | what it counts |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _verbs() -> Iterator[tuple[str, str, type, str | None]]:
    for verb, (account_kind, bare) in contract.ACCOUNT_VERBS.items():
        yield "B/account/<id>", verb, account_kind, bare
    for verb, (bridge_kind, bare) in contract.BRIDGE_VERBS.items():
        yield "B", verb, bridge_kind, bare


def _page(rows: list[str], requests: list[str]) -> str:
    return "\n".join(
        [
            "# The MQTT payloads",
            "",
            "Every payload is a JSON object in UTF-8. `B` is `<base>/<bridge>`: `sip_bridge/home` unless the",
            "configuration says otherwise. Ignore keys that you don't know: additions don't raise `schema`.",
            "These pages and files are written by `script/schemas` from `sip_bridge/mqtt/contract.py`.",
            "",
            "## What the bridge publishes",
            "",
            "| topic | JSON Schema | what it is |",
            "|---|---|---|",
            *rows,
            "",
            "## What it does when asked",
            "",
            "Publish a JSON object, or just the value of one key as it stands; never retained.",
            "",
            "| topic | JSON Schema | just the value of | what it does |",
            "|---|---|---|---|",
            *requests,
            "",
        ]
    )


def _snake(kind: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


def _title(kind: type) -> str:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", kind.__name__)
    return " ".join(word if index == 0 or word.isupper() else word.lower() for index, word in enumerate(words))


def _json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(*, check: bool) -> None:
    """Write the folder, or fail when it is not as it should be."""
    wanted = files()
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} if FOLDER.is_dir() else {}
    if check:
        stale = sorted(name for name in wanted.keys() | found if wanted.get(name) != found.get(name))
        if stale:
            sys.exit(f"docs/mqtt is out of date ({', '.join(stale)}): run script/schemas")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in found.keys() - wanted:
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(check="--check" in sys.argv)
