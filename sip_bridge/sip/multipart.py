"""Multipart bodies (RFC 2046 §5.1, RFC 5621): the part that is wanted, and those that must be understood."""

from collections.abc import Iterator
from dataclasses import dataclass

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import get_param, parse_params
from sip_bridge.sip.limits import LIMITS, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A body, or a part of one; ``content_type`` and ``disposition`` are header values as written."""

    content_type: str
    content: bytes
    disposition: str = ""
    content_id: str = ""
    encoding: str = ""

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters."""
        return _word(self.content_type)

    @property
    def is_identity_encoded(self) -> bool:
        """Whether the content is as it stands (RFC 5621 §6: SIP carries binary)."""
        return self.encoding.lower() in ("", "binary", "8bit", "7bit")

    @property
    def serves_session(self) -> bool:
        """Whether a session description in it is the one of the dialog, and not of early-session (RFC 3959) or so."""
        return _word(self.disposition) in ("", "session", "render")

    @property
    def is_required(self) -> bool:
        """Whether it says itself that it must be understood.

        That is the default (RFC 3261 §20.11), but carriers add parts without saying, which ring everywhere else.
        """
        return _param(self.disposition, "handling").lower() == "required"

    def parts(self, limits: Limits = LIMITS) -> list["Part"]:
        """The parts of a multipart body, at most ``limits.parts``; of any other body none."""
        if not self.media_type.startswith("multipart/"):
            return []
        boundary = _param(self.content_type, "boundary")
        return [_read(part) for part in _split(self.content, boundary, limits.parts)] if boundary else []


def find_part(
    content_type: str, content: bytes, wanted: str, *, disposition: str = "", limits: Limits = LIMITS
) -> bytes:
    """The content if it is of media type ``wanted``, else the first such part of it, else b"".

    Of multipart/alternative it is the last one: the best comes last (RFC 2046 §5.1.4).
    """
    whole = Part(content_type=content_type, content=content, disposition=disposition)
    return next((part.content for part in _leaves(whole, limits, limits.depth) if _is_wanted(part, wanted)), b"")


def must_be_understood(content_type: str, content: bytes, understood: str, limits: Limits = LIMITS) -> bool:
    """Whether a part of a multipart body is required and of another type (RFC 5621 §8.3: 415)."""
    whole = Part(content_type=content_type, content=content)
    leaves = _leaves(whole, limits, limits.depth) if whole.media_type.startswith("multipart/") else ()
    return any(part.is_required and part.media_type != understood for part in leaves)


def _is_wanted(part: Part, wanted: str) -> bool:
    return part.media_type == wanted and part.is_identity_encoded and part.serves_session


def _leaves(part: Part, limits: Limits, depth: int) -> Iterator[Part]:
    """Parts that are not multipart themselves, the preferred ones first."""
    if not part.media_type.startswith("multipart/"):
        yield part
    elif depth:
        inner = part.parts(limits)
        for each in reversed(inner) if part.media_type == "multipart/alternative" else inner:
            yield from _leaves(each, limits, depth - 1)


def _split(content: bytes, boundary: str, at_most: int) -> list[bytes]:
    """What stands between the delimiters, each with the line end of the delimiter before it."""
    delimiter = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
    text = b"\r\n" + content
    parts: list[bytes] = []
    start = -1
    position = text.find(delimiter)
    while position >= 0:
        end_of_line = text.find(b"\r\n", position + len(delimiter))
        rest = text[position + len(delimiter) : end_of_line if end_of_line >= 0 else None].rstrip(b" \t")
        if rest in (b"", b"--"):  # else it is a longer boundary's
            if start >= 0:
                parts.append(text[start:position])
            start = end_of_line
            if rest or start < 0 or len(parts) == at_most:
                return parts
        position = text.find(delimiter, position + len(delimiter))
    return [*parts, text[start:]] if start >= 0 else parts  # the last delimiter is missing


def _read(part: bytes) -> Part:
    head, _, content = part.partition(b"\r\n\r\n")
    lines = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").decode("utf-8", "surrogateescape").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Part(
        content_type=fields.get("content-type") or fields.get("c") or "text/plain",  # RFC 2046 §5.1
        content=content,
        disposition=fields.get("content-disposition", ""),
        content_id=fields.get("content-id", "").removeprefix("<").removesuffix(">"),
        encoding=fields.get("content-transfer-encoding", ""),
    )


def _word(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _param(value: str, name: str) -> str:
    _, semicolon, params = value.partition(";")
    try:
        return get_param(parse_params(semicolon + params), name) or ""
    except RemoteProtocolError:
        return ""
