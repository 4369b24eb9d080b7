"""Our address as servers behind a NAT see it (RFC 3581 §4), learned from the Via of their responses."""

from collections import OrderedDict
from ipaddress import ip_address
from typing import Final

from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import SIPMessage

MAX_LEARNED: Final = 256

Address = tuple[str, int]


class PublicAddresses:
    """What a registrar saw us come from, by the way to it. Nobody else is asked: a peer could send our calls astray."""

    def __init__(self) -> None:
        self._learned: OrderedDict[tuple[str, Address, str], Address] = OrderedDict()
        self.is_fixed = False  # a person said which address others are told

    def learn(self, response: SIPMessage, flow: Flow) -> bool:
        """Take the address from a registrar's response, or forget it when it is our own; True when it changed."""
        if self.is_fixed:
            return False
        key = _key(flow)
        seen = _seen(response, flow)
        former = self._learned.pop(key, flow.local)
        if seen is not None and seen != flow.local:
            self._learned[key] = seen
            if len(self._learned) > MAX_LEARNED:
                self._learned.popitem(last=False)
        return self.of(flow) != former

    def of(self, flow: Flow) -> Address:
        """Our address as the peer of a flow should name it."""
        return self._learned.get(_key(flow), flow.local)

    def is_translated(self, flow: Flow) -> bool:
        """Whether a NAT stands between us and the peer."""
        return _key(flow) in self._learned


def _key(flow: Flow) -> tuple[str, Address, str]:
    return flow.transport, flow.local, flow.remote[0]


def _seen(response: SIPMessage, flow: Flow) -> Address | None:
    """``received`` and ``rport``; on a stream our port is the connection's, which says nothing without the address."""
    via = response.via
    host, port = via.received or flow.local[0], via.rport or flow.local[1]
    if flow.is_reliable and host == flow.local[0]:
        return None
    return (host, port) if _is_unicast(host) and port < 65536 else None


def _is_unicast(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified)
