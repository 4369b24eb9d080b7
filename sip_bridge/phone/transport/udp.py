"""SIP over UDP (RFC 3261 §18): one socket an address of ours, for every line."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Final

from sip_bridge.phone.transport.addresses import WILDCARDS, flow_address, socket_address, without_interface
from sip_bridge.phone.transport.routes import Routes
from sip_bridge.sip.flow import Flow

_LOG = logging.getLogger(__name__)
_RECEIVE_SIZE: Final = 65535
_BURST: Final = 64  # datagrams read before other tasks of the loop get their turn

Receiver = Callable[[bytes, Flow], None]


class Datagrams:
    """Reads every socket and calls ``receive(data, flow)``. Nothing that a socket reports ends the reading."""

    def __init__(self, routes: Routes, *, receive: Receiver) -> None:
        self._routes = routes
        self._receive = receive
        self._sockets: Mapping[str, socket.socket] = {}
        self._port = 0

    def open(self, sockets: Mapping[str, socket.socket], port: int) -> None:
        """Read sockets that are bound to one port, known by the address that they are bound to."""
        self._sockets = sockets
        self._port = port
        for host, sock in sockets.items():
            asyncio.get_running_loop().add_reader(sock, self._readable, host, sock)

    def close(self) -> None:
        """Read no more."""
        for sock in self._sockets.values():
            asyncio.get_running_loop().remove_reader(sock)
        self._sockets = {}

    def send(self, data: bytes, flow: Flow) -> None:
        """Send a datagram; OSError when the network is gone. A full buffer is a loss like any other on UDP."""
        sock = self._sockets.get(flow.local[0]) or self._sockets[self._routes.binding(flow.remote[0])]
        with contextlib.suppress(BlockingIOError):
            sock.sendto(data, socket_address(*flow.remote))

    def _readable(self, host: str, sock: socket.socket) -> None:
        for _ in range(_BURST):
            try:
                data, address = sock.recvfrom(_RECEIVE_SIZE)
            except BlockingIOError:
                return
            except OSError as error:  # the network went away, or a datagram of ours was refused
                _LOG.debug("UDP %s: %s", host, error.strerror)
                continue
            self._received(data, flow_address(address), host)
            if self._sockets.get(host) is not sock:
                return  # what came last closed us

    def _received(self, data: bytes, remote: tuple[str, int], host: str) -> None:
        if remote[1] == 0:
            return  # nothing could be sent back there
        self._routes.learn(remote[0])
        try:
            source = self._routes.source(remote[0]) if host in WILDCARDS else without_interface(host)
        except OSError as error:
            _LOG.debug("no route back to %s: %s", remote[0], error.strerror)
            return
        local = self._routes.told(source, remote[0])
        self._receive(data, Flow(transport="UDP", local=(local, self._port), remote=remote))
