"""`door:` of an account: how its door is opened."""

from collections.abc import Mapping
from typing import Any, Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.yaml_file import Value
from sip_bridge.media.dtmf import KEYS, PAUSE
from sip_bridge.phone.settings import DoorSettings, Secret

MAX_KEYS: Final = 64  # of a door code


def _code(value: Value) -> Secret:
    is_code = isinstance(value, str) and set(value) <= {*KEYS, PAUSE} and set(value) - {PAUSE}
    if not is_code or len(value or "") > MAX_KEYS:
        raise valid.Unexpected(f"expected up to {MAX_KEYS} keys like 1234, in quotes if *, # or a comma is among them")
    return Secret(value)


DOOR: Final = valid.section(
    DoorSettings,
    {
        valid.required("code", "the keys that open the door"): _code,
        vol.Optional("method"): valid.one_of("auto", "rtp", "info", "inband"),
        vol.Optional("duration_ms"): valid.integer(40, 5000),
        vol.Optional("gap_ms"): valid.integer(40, 5000),
        vol.Optional("number"): valid.text,
        vol.Optional("answer"): valid.boolean,
        vol.Optional("hang_up"): valid.boolean,
    },
)


def check_direct(account: Mapping[str, Any]) -> None:
    """A direct line calls by address."""
    door = account.get("door")
    if door is not None and door.number is not None and not is_address(door.number):
        raise valid.Unexpected("expected an address like sip:door@192.168.1.50", path=["door", "number"])


def is_address(target: str) -> bool:
    """Whether this is called without a telephone system that knows it."""
    return target.lower().startswith(("sip:", "sips:"))
