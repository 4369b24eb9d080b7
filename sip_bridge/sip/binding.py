"""What a registrar says of our binding in a 2xx to REGISTER (RFC 3261 §10.2.4)."""

from collections.abc import Iterator
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import NameAddr, split_outside
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.uri import SIPURI

MAX_EXPIRES: Final = 86400  # seconds, whatever a registrar says
MAX_BINDINGS: Final = 64  # of an address of record that are looked at


def seconds(response: SIPMessage, name: str) -> int | None:
    """A header of seconds, bounded; None when it is absent or makes no sense: a registrar's slip must not end us."""
    try:
        value = response.number(name)
    except RemoteProtocolError:
        return None
    return None if value is None else min(value, MAX_EXPIRES)


def granted(response: SIPMessage, contact: str) -> int | None:
    """The seconds that our own binding lasts; None when the response does not list it."""
    ours = SIPURI.parse(contact)
    bindings = list(_bindings(response))
    found = [item for item in bindings if item.sip_uri.is_equivalent(ours)]
    found += [item for item in bindings if _is_nearly(item.sip_uri, ours)]
    for binding in found:
        expires = binding.param("expires") or ""
        if expires.isascii() and expires.isdigit():
            return min(int(expires[:10]), MAX_EXPIRES)
    return None


def _is_nearly(listed: SIPURI, ours: SIPURI) -> bool:
    """Registrars leave the default port out, or put it and parameters in, which §19.1.4 calls another URI."""
    return (listed.user, listed.host, listed.port or 5060) == (ours.user, ours.host, ours.port)


def _bindings(response: SIPMessage) -> Iterator[NameAddr]:
    """The SIP addresses listed; other phones' bindings in a form that we can't read are passed over."""
    for line in response.get_all("contact")[:MAX_BINDINGS]:
        try:
            contacts = [NameAddr.parse(item) for item in split_outside(line, ",")[:MAX_BINDINGS] if item]
            yield from [contact for contact in contacts if contact.sip_uri.host]
        except RemoteProtocolError:
            continue
