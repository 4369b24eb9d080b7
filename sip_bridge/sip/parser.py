"""The head of a message (RFC 3261 §7.3.1): where it ends, its lines, and its fields by name."""

from typing import Final

from sip_bridge.errors import SIPParseError
from sip_bridge.sip.fields import is_token
from sip_bridge.sip.headers import KEYS, key_of
from sip_bridge.sip.limits import Limits

_FOLD: Final = (" ", "\t")


def split_message(data: bytes) -> tuple[bytes, bytes | None]:
    """The head and what follows its empty line; None when only that line is missing at the end.

    Empty lines before a message are skipped (§7.5). A message without any CR has lines that end in LF.
    """
    if data.startswith((b"\r", b"\n")):
        data = data.lstrip(b"\r\n")
    end = data.find(b"\r\n\r\n")
    if end >= 0:
        return data[:end], data[end + 4 :]
    return _split_unusual(data)


def _split_unusual(data: bytes) -> tuple[bytes, bytes | None]:
    head, empty_line, content = data.partition(b"\n\n")
    if b"\r" not in head and (empty_line or head.endswith(b"\n")):
        return head.removesuffix(b"\n").replace(b"\n", b"\r\n"), content if empty_line else None
    if not data.endswith(b"\r\n"):
        raise SIPParseError("no empty line after the headers")
    return data.removesuffix(b"\r\n"), None


def split_lines(head: bytes, limits: Limits) -> list[str]:
    """The start line and the header lines, folded as they are."""
    if len(head) > limits.head:
        raise SIPParseError(f"more than {limits.head} bytes of headers", status=513)
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    if head.count(b"\n") >= len(lines) or head.count(b"\r") >= len(lines):
        raise SIPParseError("CR or LF alone")
    if len(lines) > limits.headers + 1:
        raise SIPParseError(f"more than {limits.headers} header lines")
    if len(head) > limits.line:
        _check_length(lines, limits)
    return lines


def _check_length(lines: list[str], limits: Limits) -> None:
    if any(len(line) > limits.line for line in lines[1:]):
        raise SIPParseError(f"a header of more than {limits.line} characters")


def index_fields(lines: list[str], limits: Limits) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The first value of each header by its key, and the further ones of those that come more than once.

    Values keep the white space around them: most are never read.
    """
    first: dict[str, str] = {}
    more: dict[str, list[str]] = {}
    usual = KEYS.get
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = usual(name)
        if key is None:
            if name.startswith(_FOLD):
                return index_fields(_unfolded(lines, limits), limits)
            if not colon:
                raise SIPParseError(f"not a header: {line[:80]!r}")
            key = key_of(name)
        if key in first:
            more.setdefault(key, []).append(value)
        else:
            first[key] = value
    return first, more


def _unfolded(lines: list[str], limits: Limits) -> list[str]:
    """Continuation lines joined to the header that they continue."""
    joined: list[list[str]] = [[lines[0]]]
    for line in lines[1:]:
        if not line.startswith(_FOLD):
            joined.append([line])
        elif len(joined) > 1:
            joined[-1].append(line.strip())
        else:
            raise SIPParseError("continuation line before the first header")
    unfolded = [" ".join(pieces) for pieces in joined]
    _check_length(unfolded, limits)
    return unfolded


def salvage_lines(data: bytes, limits: Limits) -> list[str]:
    """What is legible of a request that is refused: a start line with its method, and header lines; else nothing."""
    head = data[: limits.head].lstrip(b"\r\n")
    head = (head if b"\r" in head else head.replace(b"\n", b"\r\n")).partition(b"\r\n\r\n")[0]
    head = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    start_line, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")[: limits.headers]
    method = start_line[: limits.line].split(None, 1)[:1]
    if not method or not is_token(method[0]):  # a response begins with SIP/2.0, which is no token
        return []
    return [f"{method[0]} sip:illegible.invalid SIP/2.0", *filter(_is_legible, lines)]


def _is_legible(line: str) -> bool:
    name, colon, value = line.partition(":")
    return bool(colon) and is_token(name.rstrip()) and all(c not in value for c in "\r\n\0")
