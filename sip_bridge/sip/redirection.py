"""Where a redirected INVITE goes next (RFC 3261 §8.1.3.4, §13.2.2.2)."""

from collections.abc import Callable
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import NameAddr, split_leniently
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI

MAX_REDIRECTIONS: Final = 5  # targets tried after the first one
MAX_TARGETS: Final = 64  # of one response that are looked at


class Redirection:
    """The targets that 3xx responses named, the most wanted first; none is tried twice."""

    def __init__(self, first: SIPURI, *, allows: Callable[[SIPURI], bool]) -> None:
        self._allows = allows
        self._seen = {first.format()}
        self._targets: list[SIPURI] = []
        self._tried = 0

    def next_after(self, status: SIPStatus, response: SIPMessage | None) -> SIPURI | None:
        """The target to try after a refusal; None when the call has failed. A 6xx ends the search."""
        if response is not None and 300 <= status < 400:
            self._targets = [*_targets(response), *self._targets]
        elif status >= 600:
            return None
        while self._targets and self._tried < MAX_REDIRECTIONS:
            target = self._targets.pop(0)
            text = target.format()
            if text not in self._seen and self._allows(target):
                self._seen.add(text)
                self._tried += 1
                return target
        return None


def _targets(response: SIPMessage) -> list[SIPURI]:
    """The SIP URIs of Contact by falling q; headers in them are not ours to send."""
    weighted: list[tuple[float, SIPURI]] = []
    for item in split_leniently(response.get_all("contact"), limit=MAX_TARGETS):
        try:
            contact = NameAddr.parse(item)
            uri = contact.sip_uri
        except RemoteProtocolError:
            continue  # a phone number or a web page: nothing that an INVITE goes to
        bare = SIPURI(
            scheme=uri.scheme, user=uri.user, host=uri.host, port=uri.port,
            params=tuple(pair for pair in uri.params if pair[0].lower() != "method"),
        )  # fmt: skip
        weighted.append((_quality(contact.param("q")), bare))
    return [uri for _, uri in sorted(weighted, key=lambda pair: -pair[0])]


def _quality(text: str | None) -> float:
    """A q value (§20.10); 1 without a legible one."""
    if text is None or not text.replace(".", "", 1).isdigit() or not text.isascii() or len(text) > 8:
        return 1.0
    return min(float(text), 1.0)
