"""`dtmf:` of an account: what becomes of the keys that the other party presses."""

from typing import Any, Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.yaml_file import Value
from sip_bridge.media.dtmf import KEYS
from sip_bridge.mqtt import contract
from sip_bridge.phone.settings import DTMFCode, DTMFSettings, Secret

MAX_CODES: Final = 64
MAX_DIGITS: Final = 64  # of a sequence


def _terminator(value: Value) -> str | None:
    key: str = valid.one_of(*KEYS, "none")(value)
    return None if key == "none" else key


def _code(value: Value) -> Secret:
    if not isinstance(value, str) or not value or set(value) - set(KEYS):
        raise valid.Unexpected("expected keys like 1234, in quotes if * or # is among them")
    return Secret(value)


def _dtmf(**values: Any) -> DTMFSettings:
    codes = tuple(DTMFCode(name=name, digits=digits) for name, digits in values.pop("codes", ()))
    settings = DTMFSettings(codes=codes, **values)
    errors: list[vol.Invalid] = []
    for code in codes:
        if settings.terminator is not None and settings.terminator in code.digits:
            text = f"expected a code without {settings.terminator!r}, which ends what is entered"
            errors.append(vol.Invalid(text, path=["codes", code.name]))
        elif len(code.digits) > settings.max_digits:
            text = f"expected at most {settings.max_digits} keys (max_digits)"
            errors.append(vol.Invalid(text, path=["codes", code.name]))
    if errors:
        raise vol.MultipleInvalid(errors)
    return settings


DTMF: Final = valid.section(
    _dtmf,
    {
        vol.Optional("terminator"): _terminator,
        vol.Optional("max_digits"): valid.integer(1, MAX_DIGITS),
        vol.Optional("pause"): valid.seconds(0.5, 60),
        vol.Optional("mask"): valid.boolean,
        vol.Optional("inband"): valid.boolean,
        vol.Optional("method"): valid.one_of("auto", "rtp", "info", "inband"),
        vol.Optional("codes"): valid.mapping_of(
            valid.matching(contract.is_valid_id, "a name of a-z, 0-9, _ and -"), _code, at_most=MAX_CODES
        ),
    },
)
