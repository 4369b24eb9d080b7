"""Which of our addresses a peer is told, and from which one we send to it (RFC 3261 §18.1.1)."""

import asyncio
import errno
import os
import socket
from collections import OrderedDict
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from sip_bridge.phone.transport.addresses import WILDCARDS, family_of, local_address_towards, without_interface

_KEPT: Final = 256
_AGE: Final = 10.0  # seconds after which the local address towards a peer is looked up again


class Routes:
    """``bound`` are our sockets' addresses; ``advertised_host`` is what peers outside private networks are told.

    ``everywhere`` tells it to those inside, too.
    """

    def __init__(self, advertised_host: str | None = None) -> None:
        self._advertised_host = advertised_host
        self.everywhere = False
        self._towards: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._links: OrderedDict[str, str] = OrderedDict()
        self.bound: Sequence[str] = ()

    def learn(self, remote: str) -> None:
        """A link-local peer was heard on the interface that stands behind its address."""
        address, percent, _ = remote.partition("%")
        if percent:
            self._links[address] = remote
            self._links.move_to_end(address)
            if len(self._links) > _KEPT:
                self._links.popitem(last=False)

    def forget(self) -> None:
        """Look up anew from which address each peer is reached."""
        self._towards.clear()

    def on_link(self, remote: str) -> str:
        """A link-local address with its interface: where it was heard, or the only one that there is."""
        if "%" in remote or not _is_link_local(remote):
            return remote
        if remote not in self._links:
            interfaces = [name for _, name in socket.if_nameindex() if name != "lo"]
            return f"{remote}%{interfaces[0]}" if len(interfaces) == 1 else remote
        return self._links[remote]

    def reaches(self, remote: str) -> bool:
        """Whether we have a socket of the address's family, and a route."""
        try:
            self.source(self.on_link(remote))
        except OSError:
            return False
        return True

    def binding(self, remote: str) -> str:
        """The bound address, a wildcard perhaps, that packets to a peer leave through; OSError when there is none."""
        bound = [host for host in self.bound if family_of(host) is family_of(remote)]
        if not bound:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        if len(bound) == 1 or any(host in WILDCARDS for host in bound):
            return next((host for host in bound if host in WILDCARDS), bound[0])
        chosen = self._kernels_choice(remote)
        return next((host for host in bound if without_interface(host) == chosen), bound[0])

    def source(self, remote: str) -> str:
        """Our address in packets to a peer; OSError when there is no way to it."""
        binding = self.binding(remote)
        return self._kernels_choice(remote) if binding in WILDCARDS else without_interface(binding)

    def told(self, source: str, remote: str) -> str:
        """What a peer is told instead of ``source``: the advertised host outside private networks."""
        advertised = self._advertised_host
        is_private = not self.everywhere and ip_address(without_interface(remote)).is_private
        if advertised is None or is_private:
            return source
        return advertised if not _is_ip(advertised) or family_of(advertised) is family_of(remote) else source

    def _kernels_choice(self, remote: str) -> str:
        now = asyncio.get_running_loop().time()
        known = self._towards.get(remote)
        if known is not None and now - known[0] < _AGE:
            return known[1]
        local = without_interface(local_address_towards(remote))
        self._towards[remote] = (now, local)
        self._towards.move_to_end(remote)
        if len(self._towards) > _KEPT:
            self._towards.popitem(last=False)
        return local


def _is_link_local(host: str) -> bool:
    return ":" in host and ip_address(host).is_link_local


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
