"""Fragments of SIP messages (RFC 3420): how NOTIFY tells what became of a REFER (RFC 3515 §2.4.5)."""

import re
from typing import Final

from sip_bridge.sip.fields import check_value
from sip_bridge.sip.message import VERSION
from sip_bridge.sip.status import SIPStatus

SIPFRAG: Final = "message/sipfrag"
CONTENT_TYPE: Final = f"{SIPFRAG};version=2.0"
MAX_STATUS_LINE: Final = 512  # bytes of a fragment that are looked at

_STATUS_LINE: Final = re.compile(rb"\s{0,16}SIP/2\.0[ \t]{1,16}([1-6][0-9]{2})(?![0-9])", re.IGNORECASE)


def format_fragment(status: SIPStatus, phrase: str | None = None) -> bytes:
    """A fragment of nothing but a status line; LocalProtocolError for a phrase with CR, LF or NUL."""
    line = f"{VERSION} {status.value} {check_value(phrase or status.phrase, 'phrase')}"
    return f"{line}\r\n".encode("utf-8", "surrogateescape")


def parse_fragment(content: bytes) -> SIPStatus | None:
    """The status of a fragment that begins with a status line; None for anything else, such as headers only."""
    found = _STATUS_LINE.match(content[:MAX_STATUS_LINE])
    return None if found is None else SIPStatus(int(found[1]))
