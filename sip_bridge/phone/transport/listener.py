"""Takes the connections of peers (RFC 3261 §18.2.1)."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from sip_bridge.phone.transport.addresses import SocketAddress

_LOG = logging.getLogger(__name__)
_PAUSE: Final = 1.0  # seconds, when the process has no file descriptors left
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """One listening socket; ``accept(sock, address)`` is called for each connection."""

    def __init__(self, sock: socket.socket, accept: Callable[[socket.socket, SocketAddress], None]) -> None:
        self._sock = sock
        self._accept = accept
        self._pause: asyncio.TimerHandle | None = None
        self._is_exhausted = False

    def open(self) -> None:
        """Take connections from now on."""
        self._pause = None
        asyncio.get_running_loop().add_reader(self._sock, self._readable)

    def close(self) -> None:
        """Take no more."""
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self._sock)

    def _readable(self) -> None:
        """One at a time: what those before have sent is read first, which tells callers from those who only connect."""
        try:
            sock, address = self._sock.accept()
        except OSError as error:  # the peer went away before we came, or
            if error.errno in _EXHAUSTED:
                self._rest(error)
            return
        self._is_exhausted = False
        self._accept(sock, address)

    def _rest(self, error: OSError) -> None:
        """The socket stays readable: without a pause the loop would do nothing else."""
        if not self._is_exhausted:
            _LOG.warning("can't take connections: %s", error.strerror)
        self._is_exhausted = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock)
        self._pause = loop.call_later(_PAUSE, self.open)
