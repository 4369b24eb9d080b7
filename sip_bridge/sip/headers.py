"""Names of header fields: canonical spelling and compact forms (RFC 3261 §7.3.3 and the registry)."""

from typing import Final

COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

# Fields of which a message may hold one only; two of them are two messages glued together, or an attack.
SINGLETONS: Final = frozenset(
    {"from", "to", "call-id", "cseq", "content-length", "content-type", "max-forwards", "expires"}
    | {"event", "rack", "refer-to", "replaces"}
)

_SPELLINGS: Final = (
    "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Type", "Content-Length", "User-Agent",
    "Allow", "Supported", "Require", "Route", "Record-Route", "Expires", "Authorization", "Proxy-Authorization",
    "WWW-Authenticate", "Proxy-Authenticate", "Session-Expires", "Min-SE", "Accept", "Server", "Date", "Subject",
    "P-Asserted-Identity", "Reason", "Event", "Min-Expires", "Retry-After", "Unsupported", "Warning",
)  # fmt: skip
KEYS: Final = {
    **{spelling: name.lower() for name in _SPELLINGS for spelling in (name, name.title(), name.lower(), name.upper())},
    **COMPACT,
}


def key_of(name: str) -> str:
    """The look-up key of a header name as written: lower case, compact form expanded."""
    found = KEYS.get(name)
    if found is not None:
        return found
    lower = name.strip().lower()
    return COMPACT.get(lower, lower)
