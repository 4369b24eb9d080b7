"""SIP messages (RFC 3261 §7), parsed lazily: the start line and the header lines at once, a typed value when read."""

from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property
from typing import Final, Self

from sip_bridge.errors import RemoteProtocolError, SIPParseError
from sip_bridge.sip.fields import (
    MAX_DIGITS,
    CSeq,
    NameAddr,
    Via,
    find_outside,
    is_token,
    is_uri_text,
    partition_outside,
    split_outside,
)
from sip_bridge.sip.headers import SINGLETONS
from sip_bridge.sip.limits import LIMITS, Limits
from sip_bridge.sip.multipart import find_part, must_be_understood
from sip_bridge.sip.parser import index_fields, salvage_lines, split_lines, split_message
from sip_bridge.sip.routing_keys import RoutingKeys
from sip_bridge.sip.status import SIPStatus

VERSION: Final = "SIP/2.0"
SDP: Final = "application/sdp"
METHODS: Final = frozenset(  # known by name (RFC 3261 and the registry), whether or not they are served
    {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "REGISTER", "MESSAGE", "SUBSCRIBE", "NOTIFY"}
    | {"REFER", "PUBLISH", "PRACK"}
)
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
    _keys: RoutingKeys | None = None

    def __init__(self, data: bytes, *, limits: Limits = LIMITS) -> None:
        if len(data) > limits.message:
            raise SIPParseError(f"longer than {limits.message} bytes", status=513)
        head, content = split_message(data)
        self._read(data, split_lines(head, limits), limits)
        self.content = content or b""
        if content is None and self.get("content-length") != "0":
            raise SIPParseError("no empty line after the headers")  # without a body nothing else can be missing

    def _read(self, data: bytes, lines: list[str], limits: Limits) -> None:
        self.raw = data
        self._limits = limits
        self._read_start_line(lines[0])
        self._first, self._more = index_fields(lines, limits)

    @classmethod
    def salvage(cls, data: bytes, limits: Limits) -> Self | None:
        """What can be answered of a request that can't be parsed: its method and its legible headers."""
        lines = salvage_lines(data, limits)
        if not lines:
            return None
        message = cls.__new__(cls)
        message._read(data, lines, limits)  # noqa: SLF001  # made here
        message.content = b""
        return message

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
        if first in METHODS or is_token(first):
            self.uri, _, self.version = rest.rstrip(" ").rpartition(" ")
            if not self.uri or not self.version.upper().startswith("SIP/"):
                raise SIPParseError(f"not a start line: {line[:80]!r}")
            self.type = SIPMessageType.REQUEST
            self.status = 0
            self.method = first
            self.phrase = ""
            return
        code, _, self.phrase = rest.partition(" ")
        if first.upper() != VERSION:
            raise SIPParseError(f"not a start line: {line[:80]!r}")
        if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "1" <= code[0] <= "6":
            raise SIPParseError(f"not a status code: {code[:20]!r}")
        self.type = SIPMessageType.RESPONSE
        self.status = SIPStatus(int(code))
        self.method = None
        self.uri = self.version = ""

    def __repr__(self) -> str:
        return f"<SIPMessage {self.heading[:120]!r}>"

    # --- raw values ---

    def get(self, name: str) -> str | None:
        """The first value of a header as written, or None; ``name`` is canonical in lower case (``call-id``)."""
        value = self._first.get(name)
        return None if value is None else value.strip()

    def get_all(self, name: str) -> list[str]:
        """Every line of a header as written."""
        first = self._first.get(name)
        return [] if first is None else [line.strip() for line in (first, *self._more.get(name, ()))]

    def items(self, name: str) -> list[str]:
        """The elements of a comma-separated header, over all its lines."""
        return [item for line in self.get_all(name) for item in split_outside(line, ",") if item]

    def tokens(self, name: str) -> frozenset[str]:
        """The elements of a header of option tags or methods, in lower case."""
        items = (item.strip().lower() for line in self.get_all(name) for item in line.split(","))
        return frozenset(item for item in items if item)

    def number(self, name: str) -> int | None:
        """A header of digits (Expires, Max-Forwards, ...), None when absent; trailing parameters are cut."""
        text = self.get(name)
        if text is None:
            return None
        digits = text if text.isdecimal() else text.split(";", 1)[0].split("(", 1)[0].strip()
        if not (digits.isdecimal() and digits.isascii() and len(digits) <= MAX_DIGITS):
            raise RemoteProtocolError(f"{name} is not a number: {text[:40]!r}")
        return int(digits)

    # --- typed values, parsed on first reading ---

    @property
    def keys(self) -> RoutingKeys:
        """What finds the transaction and the dialog, read at once and cheaply."""
        if self._keys is None:  # a cached_property costs four times as much before Python 3.12
            first = self._first
            try:
                self._keys = RoutingKeys.read(first["via"], first["from"], first["to"], first["call-id"], first["cseq"])
            except KeyError as missing:
                raise RemoteProtocolError(f"{missing.args[0]} is missing") from None
        return self._keys

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
        return find_part(
            self.get("content-type") or "",
            self.content,
            SDP,
            disposition=self.get("content-disposition") or "",
            limits=self._limits,
        )

    @property
    def has_foreign_part(self) -> bool:
        """Whether a part of a multipart body is no session description but says that it must be understood."""
        return must_be_understood(self.get("content-type") or "", self.content, SDP, self._limits)

    @property
    def is_request(self) -> bool:
        """Whether this is a request."""
        return self.method is not None

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
        if len(self.uri) > self._limits.uri:
            raise RemoteProtocolError(f"a Request-URI of more than {self._limits.uri} characters", status=414)
        if self._more:
            self._check_repeated()
        self._cut_content(stream=stream)
        if self.keys.method != self.method and self.is_request:
            status = 400 if self.method in METHODS else 501  # RFC 4475 §3.1.2.18
            raise RemoteProtocolError("CSeq method is not the request's", status=status)
        if "via" in self._more or "," in self._first["via"]:
            self._check_vias()
        if self.is_request and (not is_uri_text(self.uri) or self.heading.endswith(" ")):
            raise RemoteProtocolError("malformed Request-URI")

    def _check_repeated(self) -> None:
        for name in self._more.keys() & SINGLETONS:
            if len(set(self.get_all(name))) > 1:
                raise RemoteProtocolError(f"more than one {name}")

    def _check_vias(self) -> None:
        lines = self.get_all("via")
        most = len(lines) + sum([line.count(",") for line in lines])  # a comma may stand in quotes
        if most > self._limits.vias and _is_longer(lines, self._limits.vias):
            raise RemoteProtocolError(f"more than {self._limits.vias} Via")

    def _cut_content(self, *, stream: bool) -> None:
        length = self.number("content-length")
        if length is None:
            if stream:
                raise RemoteProtocolError("Content-Length is missing on a stream")
            return
        if length > len(self.content):
            status = 513 if length > self._limits.message else 400
            raise RemoteProtocolError("the body is shorter than Content-Length", status=status)
        self.content = self.content[:length]

    def summary(self) -> str:
        """A readable form: start line, headers, body."""
        headers = "\n".join(f"  {name}: {value}" for name in self._first for value in self.get_all(name))
        body = self.content.decode("utf-8", "replace")
        return f"{self.heading}\n\nHeaders:\n{headers}\n\nBody:\n{body}"


def _is_longer(lines: list[str], limit: int) -> bool:
    """Whether comma-separated lines have more elements than ``limit``; looks no further than that."""
    count = 0
    for line in lines:
        comma = 0
        while comma >= 0 and count <= limit:
            count += 1
            comma = find_outside(line, ",", comma) + 1 or -1
    return count > limit


def _assemble(start_line: str, headers: Headers, content: bytes) -> bytes:
    lines = [start_line, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + content
