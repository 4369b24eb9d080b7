"""SIPMessage: what came from the wire, as dictionaries. Read lazily: a header costs nothing until it is asked for."""

from enum import StrEnum
from functools import cached_property
from typing import Any

from sip_bridge.errors import RemoteProtocolError, SIPParseError
from sip_bridge.pyvoip.SIP.message.body import parse_body
from sip_bridge.pyvoip.SIP.message.parse import Headers, get_uri_header, parse_raw_headers
from sip_bridge.pyvoip.types import URI_HEADER
from sip_bridge.sip.message import VERSION, SIPMessageType
from sip_bridge.sip.message import SIPMessage as CoreMessage
from sip_bridge.sip.status import SIPStatus

__all__ = ["SIPMessage", "SIPMessageType", "SIPMethod", "SIPRequest", "SIPResponse"]


class SIPMethod(StrEnum):
    """Methods; each is equal to its name."""

    INVITE = "INVITE"
    ACK = "ACK"
    BYE = "BYE"
    CANCEL = "CANCEL"
    OPTIONS = "OPTIONS"
    NOTIFY = "NOTIFY"
    REGISTER = "REGISTER"
    MESSAGE = "MESSAGE"
    SUBSCRIBE = "SUBSCRIBE"
    REFER = "REFER"

    def __repr__(self) -> str:
        return self.value


class SIPMessage:
    """One SIP message; SIPParseError when the bytes are none, and nothing else.

    ``heading`` is the first line; ``status`` is 0 on a request, ``method`` None on a response. ``headers`` finds names
    whatever their case and shows them as they came, compact forms expanded.
    """

    def __init__(self, data: bytes) -> None:
        self.raw = data
        self.parse(data)

    @staticmethod
    def from_bytes(data: bytes) -> "SIPRequest | SIPResponse":
        """The message as the class that says what it is."""
        return (SIPResponse if data.lstrip(b"\r\n")[:4].upper() == b"SIP/" else SIPRequest)(data)

    @staticmethod
    def from_string(data: str) -> "SIPRequest | SIPResponse":
        """As `from_bytes`."""
        return SIPMessage.from_bytes(data.encode("utf-8", "surrogateescape"))

    def parse(self, data: bytes) -> None:
        """Read the first line, and make sure that the message is whole."""
        core = CoreMessage(data)
        self.heading = core.heading
        self.type = core.type
        self.status: SIPStatus | int = core.status
        self.method: str | None = core.method
        self.version = core.version or VERSION
        self._core = core
        self._content = _whole_content(core)

    @property
    def start_line(self) -> list[str]:
        """The three parts of the first line."""
        return self.heading.split(" ", 2)

    @cached_property
    def headers(self) -> Headers:
        """Every header, parsed: see docs/pyvoip.md for the shapes."""
        return parse_raw_headers(self.raw)

    @cached_property
    def body(self) -> dict[str, Any]:
        """A session description as a dictionary, anything else as ``{"content": bytes}``, ``{}`` without a body."""
        return parse_body(self._core, self._content)

    @cached_property
    def authentication(self) -> dict[str, Any]:
        """The challenge or the credentials that the message carries, ``{}`` when there are none."""
        for name in ("WWW-Authenticate", "Authorization", "Proxy-Authenticate", "Proxy-Authorization"):
            found = self.headers.get(name)
            if found:
                return dict(found)
        return {}

    @cached_property
    def destination(self) -> URI_HEADER:
        """The Request-URI like the URI of a header, ``{}`` on a response."""
        return get_uri_header(self._core.uri) if self.method is not None else {}

    @property
    def to(self) -> URI_HEADER:
        """The same."""
        return self.destination

    def summary(self) -> str:
        """A readable form: first line, headers, body, raw bytes."""
        headers = "".join(f"\n\t{name}: {value}" for name, value in self.headers.items())
        body = "".join(f"\n\t{name}: {value}" for name, value in self.body.items())
        return f"{self.heading}\nHeaders:{headers}\nBody:{body}\nRaw:\n\t{self.raw!r}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.heading[:120]!r}>"


class SIPRequest(SIPMessage):
    """A request."""


class SIPResponse(SIPMessage):
    """A response."""


def _whole_content(core: CoreMessage) -> bytes:
    """The body, without what follows it on a stream; one that is cut short is not this message's."""
    try:
        length = core.number("content-length")
    except RemoteProtocolError as error:
        raise SIPParseError(str(error)) from None
    if length is None:
        return core.content
    if length > len(core.content):
        raise SIPParseError(f"Content-Length is {length}, but only {len(core.content)} bytes of the body came")
    return core.content[:length]
