"""`call_from:`, `auto_answer:`, `reject_with:`, `block_dial:` of an account: who may ring, and what becomes of it."""

import re
from collections.abc import Mapping
from typing import Any, Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.yaml_file import Value
from sip_bridge.errors import MediaError, NotAllowedError
from sip_bridge.phone.screening import network_of
from sip_bridge.phone.settings import MEDIA, AutoAnswer, CallFrom, RejectWith, Secret
from sip_bridge.phone.sources import check_source

MAX_PATTERNS: Final = 1000  # of one list; each call is compared with all of them
MAX_RING_TIMEOUT: Final = 600  # seconds
_LIKE_A_NETWORK: Final = re.compile(r"[0-9.*?]+/[0-9]*|[0-9*?]+\.[0-9*?]+\.[0-9*?]+(\.[0-9*?]+)?")


def pattern(value: Value) -> str:
    """A pattern of `screening`."""
    text = valid.text(value).strip()
    if network_of(text) is None and _LIKE_A_NETWORK.fullmatch(text):
        raise valid.Unexpected("expected a network like 192.168.1.0/24")
    return text


def _patterns(value: Value, *, at_least: int = 0) -> tuple[str, ...]:
    patterns: tuple[str, ...] = valid.list_of(pattern, at_least=at_least)(value)
    if len(patterns) > MAX_PATTERNS:
        raise vol.Invalid(f"expected at most {MAX_PATTERNS} patterns, got {len(patterns)}")
    return patterns


def patterns(value: Value) -> tuple[str, ...]:
    """A list of patterns."""
    return _patterns(value)


def _some_patterns(value: Value) -> tuple[str, ...]:
    return _patterns(value, at_least=1)


def number(low: float, high: float) -> valid.Validator:
    """A number, with a fraction if need be; both ends included."""
    decimal = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)

    def validate(value: Value) -> float:
        if isinstance(value, str) and decimal.fullmatch(value) and low <= float(value) <= high:
            return float(value)
        raise valid.Unexpected(f"expected a number from {low:g} to {high:g}")

    return validate


def _source(value: Value) -> Secret:
    """What may be played; whether a file may, and is there, the phone says when it has to be."""
    text = valid.secret(value)
    try:
        check_source(text, MEDIA)
    except (MediaError, NotAllowedError):
        raise vol.Invalid("expected a file, an http or https URL, or a tone like tone:ringback/5") from None
    return text


def _auto_answer(**values: Any) -> AutoAnswer:
    if "from" in values:
        values["callers"] = values.pop("from")
    if "play" not in values:
        for key in ("settle_ms", "auto_hangup"):
            if key in values:
                raise vol.Invalid(f"missing: what {key} belongs to", path=["play"])
    return AutoAnswer(**{"enabled": True, **values})


_AUTO_ANSWER: Final = valid.section(
    _auto_answer,
    {
        vol.Optional("enabled"): valid.boolean,
        vol.Optional("from"): _some_patterns,
        vol.Optional("after"): valid.seconds(0, MAX_RING_TIMEOUT),
        vol.Optional("on_request"): valid.boolean,
        vol.Optional("play"): _source,
        vol.Optional("settle_ms"): valid.integer(0, 10000),
        vol.Optional("auto_hangup"): valid.boolean,
    },
)


def auto_answer(value: Value) -> AutoAnswer:
    """``true`` for the callers that are trusted anyway, or a mapping."""
    if isinstance(value, dict):
        answering: AutoAnswer = _AUTO_ANSWER(value)
        return answering
    return AutoAnswer(enabled=valid.boolean(value))


def check_auto_answer(account: Mapping[str, Any], *, is_registered: bool, ring_timeout: float) -> None:
    """Somebody has to be answered, and before the ringing ends."""
    answering = account.get("auto_answer")
    if answering is None or not answering.enabled:
        return
    if is_registered and answering.callers is None and not account.get("contacts"):
        text = "missing: whom to answer, from: or contacts: over a telephone system anybody may call"
        raise vol.Invalid(text, path=["auto_answer", "from"])
    if answering.after >= ring_timeout:
        text = f"expected less than ring_timeout, {ring_timeout:g} seconds"
        raise vol.Invalid(text, path=["auto_answer", "after"])


CALL_FROM: Final = valid.section(CallFrom, {vol.Optional("allow"): _some_patterns, vol.Optional("block"): patterns})

_STATUS: Final = valid.integer(400, 699)
_REJECT_WITH: Final = valid.section(
    RejectWith,
    {vol.Optional("reject"): _STATUS, vol.Optional("do_not_disturb"): _STATUS, vol.Optional("blocked"): _STATUS},
)


def reject_with(value: Value) -> RejectWith:
    """One status for what `reject` sends, or a mapping."""
    if isinstance(value, dict):
        statuses: RejectWith = _REJECT_WITH(value)
        return statuses
    return RejectWith(reject=_STATUS(value))
