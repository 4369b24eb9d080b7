"""Addresses as flows name them, ``("fe80::1%eth0", 5060)``, and as sockets take and give them."""

import socket
from typing import Any, Final

WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104  # named here, bound when a person wants it so

SocketAddress = tuple[Any, ...]


def family_of(host: str) -> socket.AddressFamily:
    """The address family of an IP address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def socket_address(host: str, port: int) -> SocketAddress:
    """What a socket takes: a link-local address needs its interface as a number; OSError for one that is not there."""
    if ":" not in host:
        return host, port
    address, percent, interface = host.partition("%")
    if not percent:
        return address, port
    return address, port, 0, int(interface) if interface.isdigit() else socket.if_nametoindex(interface)


def link_of(host: str | None) -> tuple[int, ...]:
    """What follows host and port in a socket address to whoever is on the same link as ``host``; () for no link."""
    try:
        return () if host is None else socket_address(host, 0)[2:]
    except OSError:
        return ()  # the interface went away just now


def flow_address(address: SocketAddress) -> tuple[str, int]:
    """What a flow has: the interface of a link-local address stands behind it."""
    host, port = address[0].partition("%")[0], address[1]
    if len(address) == 4 and address[3]:
        return f"{host}%{_interface(address[3])}", port
    return host, port


def without_interface(host: str) -> str:
    """An address as others may see it: the interface means nothing to them (RFC 4007 §11.2)."""
    return host.partition("%")[0]


def local_address_towards(remote: str) -> str:
    """The local address that the kernel would send from; connecting a UDP socket sends nothing. OSError: no route."""
    with socket.socket(family_of(remote), socket.SOCK_DGRAM) as probe:
        probe.connect(socket_address(remote, 9))
        return flow_address(probe.getsockname())[0]


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)  # it went away just now
