"""Multipart bodies (RFC 2046 §5.1, RFC 5621 §4): finding the part that is wanted."""

from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import get_param, parse_params

MAX_PARTS: Final = 16
MAX_DEPTH: Final = 3  # multipart within multipart


def find_part(content_type: str, content: bytes, wanted: str, *, depth: int = MAX_DEPTH) -> bytes:
    """The content if it is of media type ``wanted``, else the first such part of it, else b""."""
    media_type, semicolon, params = content_type.partition(";")
    media_type = media_type.strip().lower()
    if media_type == wanted:
        return content
    boundary = _boundary(semicolon + params) if media_type.startswith("multipart/") and depth else ""
    if not boundary:
        return b""
    delimiter = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
    for part in (b"\r\n" + content).split(delimiter, MAX_PARTS + 1)[1 : MAX_PARTS + 1]:
        head, _, body = part.partition(b"\r\n\r\n")
        found = find_part(_content_type(head), body, wanted, depth=depth - 1)
        if found:
            return found
    return b""


def _boundary(params: str) -> str:
    try:
        return get_param(parse_params(params), "boundary") or ""
    except RemoteProtocolError:
        return ""


def _content_type(head: bytes) -> str:
    for line in head.decode("utf-8", "surrogateescape").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() in ("content-type", "c"):
            return value
    return ""
