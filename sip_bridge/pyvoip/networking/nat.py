"""NAT: which of our addresses a peer is told."""

import socket
from enum import Enum
from ipaddress import ip_address, ip_network


class NATError(Exception):
    """A name can't be resolved, or a peer lies outside our network and no ``remote_hostname`` is set."""


class AddressType(Enum):
    """Whose an address is."""

    REMOTE = 0
    LOCAL = 1


class NAT:
    """``hostname`` (else ``bind_ip``) is told within ``network``, ``remote_hostname`` to everybody else."""

    def __init__(
        self, bind_ip: str, network: str, hostname: str | None = None, remote_hostname: str | None = None
    ) -> None:
        self.bind_ip = ip_address(bind_ip)
        self.network = ip_network(network)
        self.hostname = bind_ip if hostname is None else hostname
        self.remote_hostname = remote_hostname

    def get_host(self, host: str) -> str:
        """Our address as the peer at ``host`` should use it; NATError when there is none."""
        try:
            address = ip_address(socket.gethostbyname(host))
        except (OSError, UnicodeError) as error:
            raise NATError(f"{host} can't be resolved: {error}") from error
        if address in self.network:
            return self.hostname
        if self.remote_hostname is None:
            raise NATError(f"{host} lies outside of {self.network}, and no remote_hostname is set")
        return self.remote_hostname

    def check_host(self, host: str) -> AddressType:
        """LOCAL for one of our own names and addresses."""
        if host in (self.hostname, self.remote_hostname):
            return AddressType.LOCAL
        try:
            address = ip_address(socket.gethostbyname(host))
        except (OSError, UnicodeError):
            return AddressType.REMOTE
        return AddressType.LOCAL if address == self.bind_ip else AddressType.REMOTE
