"""The sockets that SIP listens on: every address, UDP and TCP on one port number, TLS on its own (RFC 3261 §18)."""

import errno
import logging
import socket
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.errors import TransportError
from sip_bridge.phone.transport.addresses import family_of, socket_address

_LOG = logging.getLogger(__name__)
_RECEIVE_BUFFER: Final = 1 << 20  # bytes: a burst of calls waits here while the loop is busy
_BACKLOG: Final = 512  # a flood fills it later, and callers need not come a second time
_ATTEMPTS: Final = 32  # to find a number that is free everywhere, when the kernel chooses
_PROBE_AFTER: Final = 60  # seconds without a byte
_PROBE_EVERY: Final = 10
_SILENCE: Final = 10  # seconds that sent bytes may stay without acknowledgement
_NO_SUCH_FAMILY: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


@dataclass(slots=True, kw_only=True)
class Sockets:
    """What is open, by bound address."""

    port: int = 0
    tls_port: int | None = None
    udp: dict[str, socket.socket] = field(default_factory=dict)
    tcp: dict[str, socket.socket] = field(default_factory=dict)
    tls: dict[str, socket.socket] = field(default_factory=dict)

    def close(self) -> None:
        """All of them."""
        for group in (self.udp, self.tcp, self.tls):
            for sock in group.values():
                sock.close()
            group.clear()


def open_sockets(hosts: tuple[str, ...], port: int, tls_port: int | None) -> Sockets:
    """Bind; a port of 0 becomes a number that is free everywhere. TransportError says what is in use or not ours.

    ``::`` beside another address may be missing: a machine without IPv6 is none the worse.
    """
    hosts = _without_missing_family(hosts)
    attempts = _ATTEMPTS if 0 in (port, tls_port) else 1
    while True:
        sockets, attempts = Sockets(), attempts - 1
        try:
            _open(sockets, hosts, port, tls_port)
        except OSError as error:
            sockets.close()
            if error.errno != errno.EADDRINUSE or not attempts:
                raise TransportError(f"{error.filename}: {error.strerror}") from error
        else:
            return sockets


def _without_missing_family(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if "::" in hosts and len(hosts) > 1 and not _has_ipv6():
        _LOG.debug("this machine has no IPv6")
        return tuple(host for host in hosts if host != "::")
    return hosts


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError as error:
        return error.errno not in _NO_SUCH_FAMILY  # any other trouble is told by who binds
    return True


def _open(sockets: Sockets, hosts: tuple[str, ...], port: int, tls_port: int | None) -> None:
    sockets.port = port
    for host in hosts:
        sockets.udp[host] = _bound("UDP", host, sockets.port)
        sockets.port = sockets.udp[host].getsockname()[1]
    for host in hosts:
        sockets.tcp[host] = _bound("TCP", host, sockets.port)
    if tls_port is not None:
        sockets.tls_port = tls_port
        for host in hosts:
            sockets.tls[host] = _bound("TLS", host, sockets.tls_port)
            sockets.tls_port = sockets.tls[host].getsockname()[1]


def _bound(transport: str, host: str, port: int) -> socket.socket:
    """A non-blocking socket; an OSError's ``filename`` names transport and address."""
    is_stream = transport != "UDP"
    try:
        sock = socket.socket(family_of(host), socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
            if sock.family is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has sockets of its own
            if is_stream:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart waits for TIME_WAIT
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.bind(socket_address(host, port))
            if is_stream:
                sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        shown = f"[{host}]" if ":" in host else host
        raise OSError(error.errno, error.strerror, f"{transport} {shown}:{port}") from error
    return sock


def prepare_stream(sock: socket.socket) -> None:
    """Send at once, and notice a peer that is gone without a word."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_EVERY)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * _SILENCE)
