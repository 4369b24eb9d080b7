"""What an application may dial: the Request-URI that a text means, and headers that go along (RFC 3261 §8.1.1.1)."""

from collections.abc import Mapping
from typing import Final

from sip_bridge.errors import LocalProtocolError, RemoteProtocolError
from sip_bridge.sip.fields import check_value, is_token
from sip_bridge.sip.headers import key_of
from sip_bridge.sip.line import DirectLine, Line
from sip_bridge.sip.uri import SIPURI

# Headers that the engine writes itself; an application may not set them.
_OWN_HEADERS: Final = frozenset(
    {"via", "from", "to", "call-id", "cseq", "contact", "content-length", "content-type", "max-forwards", "route"}
    | {"record-route", "authorization", "proxy-authorization", "allow", "user-agent"}
)


def target_uri(line: Line, target: str) -> SIPURI:
    """The URI that a dialled text means: a SIP URI as it is, a number at the line's registrar."""
    text = check_value(target, "to").strip()
    if text.lower().startswith(("sip:", "sips:")):
        try:
            uri = SIPURI.parse(text)
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"not a SIP URI: {error}") from error
        if uri.headers:
            raise LocalProtocolError("a SIP URI with headers can't be called")
        return uri
    if isinstance(line, DirectLine):
        raise LocalProtocolError(f"line {line.id} has no PBX, so it can only call SIP URIs such as sip:name@192.0.2.1")
    number = text.removeprefix("tel:")
    if not number or not all(c.isalnum() or c in "+*#-._~!$&'()=,;?/ " for c in number):
        raise LocalProtocolError("not a number or SIP URI")
    return SIPURI(user=number.replace(" ", ""), host=line.domain, port=line.registrar.port)


def checked_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Extra headers of an application; LocalProtocolError for one that would forge the message."""
    for name, value in headers.items():
        check_value(value, name)
        if not is_token(name) or key_of(name) in _OWN_HEADERS:
            raise LocalProtocolError(f"header {name!r} can't be set")
    return tuple(headers.items())
