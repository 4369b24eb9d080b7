"""Validators of single values, lists and mappings for voluptuous; they take text as `yaml_file` reads it.

A message says what was expected, never what it got: whoever formats it knows which values are secret.
"""

import difflib
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import voluptuous as vol

from sip_bridge.config.yaml_file import Value, shown
from sip_bridge.mqtt import contract
from sip_bridge.phone.settings import Network, Secret

MAX_TEXT: Final = 256  # characters of one value

Validator = Callable[[Any], Any]
Keys = Mapping[vol.Marker, Validator]

_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_USER: Final = re.compile(r"[A-Za-z0-9_.!~*'()&=+$,;?/%-]+")  # RFC 3261 §25.1 user
_NUMBER: Final = re.compile(r"-?\d{1,9}")
_DECIMAL: Final = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


class Unexpected(vol.Invalid):
    """A value that is not what was expected: the message goes on with what it is instead."""


class UnknownKey(vol.Invalid):
    """A key that the schema does not have; its path ends in the key."""


def text(value: Value) -> str:
    """A non-empty line."""
    if not isinstance(value, str) or not value:
        raise Unexpected("expected text")
    if len(value) > MAX_TEXT:
        raise Unexpected(f"expected at most {MAX_TEXT} characters")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise Unexpected("expected text on one line, without control characters")
    return value


def secret(value: Value) -> Secret:
    """A non-empty line that no repr shows."""
    return Secret(text(value))


def matching(is_right: Callable[[str], object], expected: str) -> Validator:
    """A non-empty line that ``is_right`` accepts."""

    def validate(value: Value) -> str:
        if not isinstance(value, str) or not value or not is_right(text(value)):
            raise Unexpected(f"expected {expected}")
        return value

    return validate


def one_of(*allowed: str) -> Validator:
    """One of these words."""
    return matching(frozenset(allowed).__contains__, f"one of {', '.join(allowed)}")


def integer(low: int, high: int) -> Validator:
    """A whole number, both ends included."""

    def validate(value: Value) -> int:
        if isinstance(value, str) and _NUMBER.fullmatch(value) and low <= int(value) <= high:
            return int(value)
        raise Unexpected(f"expected a number from {low} to {high}")

    return validate


def seconds(low: float, high: float) -> Validator:
    """A time, with a fraction if need be; both ends included."""

    def validate(value: Value) -> float:
        if isinstance(value, str) and _DECIMAL.fullmatch(value) and low <= float(value) <= high:
            return float(value)
        raise Unexpected(f"expected a number of seconds from {low:g} to {high:g}")

    return validate


def boolean(value: Value) -> bool:
    """``true`` or ``false``."""
    if value in ("true", "false"):
        return value == "true"
    raise Unexpected("expected true or false")


def is_ip(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """Whether this is an IP address or could be a host name (RFC 1123 §2.1, and ``_`` as people have it)."""
    return is_ip(text) or (_HOST.fullmatch(text) is not None and len(text) <= 253)


def is_proxy(text: str) -> bool:
    """Whether this is ``host`` or ``host:port``; an IPv6 address with a port stands in brackets."""
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]") and is_ip(host[1:-1])
    has_port = bool(colon) and port.isdecimal() and 0 < int(port) < 65536
    return is_host(text) or (has_port and (is_bracketed or (":" not in host and is_host(host))))


def is_user(text: str) -> bool:
    """Whether this may stand before the @ of a SIP URI."""
    return _USER.fullmatch(text) is not None


def is_base_topic(text: str) -> bool:
    """Whether topics may begin with this: no wildcard, no empty level, not the broker's own ``$``."""
    return all(level and not set(level) & set("+#") for level in text.split("/")) and not text.startswith("$")


def is_path(text: str) -> bool:
    """Whether this may stand in the first line of an HTTP request."""
    return text.startswith("/") and text.isascii() and " " not in text


def network(value: Value) -> Network:
    """An IP network; one address is a network too."""
    try:
        return ipaddress.ip_network(text(value))
    except ValueError as error:
        raise Unexpected("expected a network like 192.168.1.0/24") from error


def _path(what: str) -> Validator:
    def validate(value: Value) -> Path:
        try:
            return Path(text(value)).expanduser()
        except RuntimeError as error:  # ~nobody
            raise Unexpected(f"expected {what}") from error

    return validate


file: Final = _path("a file")
folder: Final = _path("a folder")

port: Final = integer(1, 65535)
host_name: Final = matching(is_host, "a host name or an IP address")
identifier: Final = matching(contract.is_valid_id, "an id of a-z, 0-9, _ and - (not 'discovery')")


def list_of(item: Validator, *, at_least: int = 0) -> Validator:
    """Like voluptuous's own list, except that it reports the problems of every item, not of the first bad one."""

    def validate(value: Value) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Unexpected("expected a list")
        if len(value) < at_least:
            raise vol.Invalid("expected at least one, got an empty list")
        results = []
        errors = []
        for index, each in enumerate(value):
            try:
                results.append(item(each))
            except vol.MultipleInvalid as error:
                error.prepend([index])
                errors += error.errors
            except vol.Invalid as error:
                error.prepend([index])
                errors.append(error)
        if errors:
            raise vol.MultipleInvalid(errors)
        return tuple(results)

    return validate


def mapping_of(key: Validator, item: Validator, *, at_most: int) -> Validator:
    """Lines of KEY: VALUE whose keys a person chooses, as pairs; the problems of every item are told."""

    def validate(value: Value) -> tuple[tuple[Any, Any], ...]:
        if not isinstance(value, dict):
            raise Unexpected("expected lines of KEY: VALUE")
        if len(value) > at_most:
            raise vol.Invalid(f"expected at most {at_most} lines, got {len(value)}")
        pairs = []
        errors: list[vol.Invalid] = []
        for name, each in value.items():
            try:
                pairs.append((key(name), item(each)))
            except vol.Invalid as error:
                error.prepend([name])
                errors.append(error)
        if errors:
            raise vol.MultipleInvalid(errors)
        return tuple(pairs)

    return validate


def required(key: str, what: str) -> vol.Required:
    """A key that must be there; ``what`` it is stands in the error."""
    return vol.Required(key, msg=f"missing: {what}")


def section(build: Callable[..., Any], keys: Keys) -> Validator:
    """A mapping that ``build`` makes a value of; an empty value counts as a key that was left out."""
    known = {str(key) for key in keys}
    schema = vol.Schema(dict(keys), extra=vol.REMOVE_EXTRA)

    def validate(value: Value) -> Any:
        if not isinstance(value, dict):
            raise Unexpected("expected lines of KEY: VALUE")
        errors: list[vol.Invalid] = [_unknown_key(key, known) for key in value if key not in known]
        try:
            values = schema({key: each for key, each in value.items() if each is not None})
        except vol.MultipleInvalid as error:
            errors += error.errors
        if errors:
            raise vol.MultipleInvalid(errors)
        return build(**values)

    return validate


def _unknown_key(key: str, known: Iterable[str]) -> UnknownKey:
    names = sorted(known)
    nearest = difflib.get_close_matches(key, names, n=1)
    hint = f", did you mean {nearest[0]!r}?" if nearest else f"; known are {', '.join(names)}"
    return UnknownKey(f"unknown key {shown(key)}{hint}", path=[key])
