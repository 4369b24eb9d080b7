"""SIP messages (RFC 3261 §7), parsed lazily: the start line and the header lines at once, a typed value when read."""

from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property
from typing import Self

from sip_bridge.errors import RemoteProtocolError, SIPParseError
from sip_bridge.sip.fields import CSeq, NameAddr, Via, is_token, is_uri_text, is_word, partition_outside, split_outside
from sip_bridge.sip.headers import MAX_HEAD, MAX_HEADERS, MAX_MESSAGE, MAX_VIAS, SINGLETONS, key_of
from sip_bridge.sip.multipart import find_part
from sip_bridge.sip.status import SIPStatus

VERSION = "SIP/2.0"
Headers = Iterable[tuple[str, str]]


class SIPMessageType(IntEnum):
    """What `SIPMessage.type` holds."""

    RESPONSE = 0
    REQUEST = 1


class SIPMessage:
    """One SIP message.

    ``SIPMessage(data)`` parses bytes and raises SIPParseError when they are no SIP message; a message that is one but
    breaks a rule is refused by `validate`, so that it can be answered. On a request ``status`` is 0; on a response
    ``method`` is None and ``uri`` is "".
    """

    heading: str
    type: SIPMessageType
    status: SIPStatus | int
    method: str | None
    uri: str
    raw: bytes
    content: bytes

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_MESSAGE:
            raise SIPParseError(f"longer than {MAX_MESSAGE} bytes", status=513)
        start = 0
        while data.startswith(b"\r\n", start):
            start += 2
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            raise SIPParseError("no empty line after the headers")
        if end - start > MAX_HEAD:
            raise SIPParseError(f"more than {MAX_HEAD} bytes of headers")
        lines = data[start:end].decode("utf-8", "surrogateescape").split("\r\n")
        if data.count(b"\n", start, end) >= len(lines) or data.count(b"\r", start, end) >= len(lines):
            raise SIPParseError("CR or LF alone")
        self.raw = data
        self.content = data[end + 4 :]
        self._read_start_line(lines[0])
        self._read_headers(lines)

    @classmethod
    def request(cls, method: str, uri: str, headers: Headers, content: bytes = b"") -> Self:
        """A request built here; the caller has checked the values (`fields.check_value`)."""
        return cls(_assemble(f"{method} {uri} {VERSION}", headers, content))

    @classmethod
    def response(cls, status: SIPStatus, headers: Headers, content: bytes = b"", phrase: str | None = None) -> Self:
        """A response built here."""
        return cls(_assemble(f"{VERSION} {status.value} {phrase or status.phrase}", headers, content))

    def _read_start_line(self, line: str) -> None:
        self.heading = line
        first, _, rest = line.partition(" ")
        if first.upper() == VERSION:
            code, _, self.phrase = rest.partition(" ")
            if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "1" <= code[0] <= "6":
                raise SIPParseError(f"not a status code: {code[:20]!r}")
            self.type = SIPMessageType.RESPONSE
            self.status = SIPStatus(int(code))
            self.method = None
            self.uri = ""
            return
        self.uri, _, self.version = rest.rstrip(" ").rpartition(" ")
        if not is_token(first) or not self.uri or not self.version.upper().startswith("SIP/"):
            raise SIPParseError(f"not a start line: {line[:80]!r}")
        self.type = SIPMessageType.REQUEST
        self.status = 0
        self.method = first
        self.phrase = ""

    def _read_headers(self, lines: list[str]) -> None:
        index: dict[str, list[str]] = {}
        if len(lines) > MAX_HEADERS + 1:
            raise SIPParseError(f"more than {MAX_HEADERS} header lines")
        for line in _unfolded(lines):
            name, colon, value = line.partition(":")
            if not colon:
                raise SIPParseError(f"not a header: {line[:80]!r}")
            key = key_of(name)
            values = index.get(key)
            if values is None:
                index[key] = [value.strip()]
            else:
                values.append(value.strip())
        self._index = index

    def __repr__(self) -> str:
        return f"<SIPMessage {self.heading[:120]!r}>"

    # --- raw values ---

    def get(self, name: str) -> str | None:
        """The first value of a header as written, or None; ``name`` is canonical in lower case (``call-id``)."""
        values = self._index.get(name)
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        """Every line of a header as written."""
        return self._index.get(name, [])

    def items(self, name: str) -> list[str]:
        """The elements of a comma-separated header, over all its lines."""
        return [item for line in self.get_all(name) for item in split_outside(line, ",") if item]

    def tokens(self, name: str) -> frozenset[str]:
        """The elements of a header of option tags or methods, in lower case."""
        return frozenset(item.lower() for item in self.items(name))

    def number(self, name: str) -> int | None:
        """A header of digits (Expires, Max-Forwards, ...), None when absent; trailing parameters are cut."""
        text = self.get(name)
        if text is None:
            return None
        digits = text.split(";", 1)[0].split("(", 1)[0].strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
            raise RemoteProtocolError(f"{name} is not a number: {text[:40]!r}")
        return int(digits)

    # --- typed values, parsed on first reading ---

    @cached_property
    def via(self) -> Via:
        """The topmost Via."""
        return Via.parse(self._first_item("via"))

    @cached_property
    def from_(self) -> NameAddr:
        """From."""
        return NameAddr.parse(self._required("from"))

    @cached_property
    def to(self) -> NameAddr:
        """To."""
        return NameAddr.parse(self._required("to"))

    @cached_property
    def cseq(self) -> CSeq:
        """CSeq."""
        return CSeq.parse(self._required("cseq"))

    @cached_property
    def call_id(self) -> str:
        """Call-ID."""
        return self._required("call-id")

    @cached_property
    def contact(self) -> NameAddr | None:
        """The first Contact; None when there is none, or only ``*``."""
        items = self.items("contact")
        return NameAddr.parse(items[0]) if items and items[0] != "*" else None

    @cached_property
    def contacts(self) -> tuple[NameAddr, ...]:
        """Every Contact but ``*``."""
        return tuple(NameAddr.parse(item) for item in self.items("contact") if item != "*")

    @cached_property
    def content_type(self) -> str:
        """The media type in lower case without parameters, "" when there is none."""
        return (self.get("content-type") or "").split(";", 1)[0].strip().lower()

    @cached_property
    def session_description(self) -> bytes:
        """The SDP that the body is or, as multipart, contains; b"" when there is none."""
        return find_part(self.get("content-type") or "", self.content, "application/sdp")

    @property
    def is_request(self) -> bool:
        """Whether this is a request."""
        return self.type is SIPMessageType.REQUEST

    def _required(self, name: str) -> str:
        value = self.get(name)
        if not value:
            raise RemoteProtocolError(f"{name} is missing")
        return value

    def _first_item(self, name: str) -> str:
        return partition_outside(self._required(name), ",")[0]

    # --- rules ---

    def validate(self, *, stream: bool = False) -> None:
        """What every message must obey before anything acts on it (RFC 3261 §8.1.1, §16.3, §18.3).

        Cuts the body at Content-Length. Raises RemoteProtocolError with the status that the sender deserves.
        """
        if self.is_request and self.version.upper() != VERSION:
            raise RemoteProtocolError(f"version {self.version[:20]!r}", status=505)
        for name in SINGLETONS & self._index.keys():
            if len(self._index[name]) > 1 and len(set(self._index[name])) > 1:
                raise RemoteProtocolError(f"more than one {name}")
        if len(self.get_all("via")) > MAX_VIAS:
            raise RemoteProtocolError(f"more than {MAX_VIAS} Via")
        self._cut_content(stream=stream)
        if not is_word(f"{self.call_id}{self.from_.tag}{self.to.tag}"):
            raise RemoteProtocolError("white space in Call-ID or tag")
        _, cseq = self.via, self.cseq
        if self.is_request:
            if cseq.method != self.method:
                raise RemoteProtocolError("CSeq method is not the request's")
            if not is_uri_text(self.uri) or self.heading.endswith(" "):
                raise RemoteProtocolError("malformed Request-URI")

    def _cut_content(self, *, stream: bool) -> None:
        length = self.number("content-length")
        if length is None:
            if stream:
                raise RemoteProtocolError("Content-Length is missing on a stream")
            return
        if length > len(self.content):
            raise RemoteProtocolError("the body is shorter than Content-Length")
        self.content = self.content[:length]

    def summary(self) -> str:
        """A readable form: start line, headers, body."""
        headers = "\n".join(f"  {name}: {value}" for name, values in self._index.items() for value in values)
        body = self.content.decode("utf-8", "replace")
        return f"{self.heading}\n\nHeaders:\n{headers}\n\nBody:\n{body}"


def _unfolded(lines: list[str]) -> list[str]:
    """Header lines with continuation lines joined (RFC 3261 §7.3.1)."""
    headers = lines[1:]
    if not any(line[:1] in (" ", "\t") for line in headers):
        return headers
    joined: list[str] = []
    for line in headers:
        if line[:1] not in (" ", "\t"):
            joined.append(line)
        elif joined:
            joined[-1] = f"{joined[-1].rstrip()} {line.strip()}"
        else:
            raise SIPParseError("continuation line before the first header")
    return joined


def _assemble(start_line: str, headers: Headers, content: bytes) -> bytes:
    lines = [start_line, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + content
