"""Hears of changes of this machine's addresses and routes at once, where the kernel tells of them: Linux does."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

SETTLE_TIME: Final = 0.2  # seconds: one change is several messages, and a new address is followed by its routes
_ADDRESSES_AND_ROUTES: Final = 0x10 | 0x40 | 0x100 | 0x400  # RTMGRP_IPV4_IFADDR, _IPV4_ROUTE and those of IPv6
_SIZE: Final = 65536


class NetworkWatch:
    """``on_change`` is called soon after a change, once for all that happens in SETTLE_TIME."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen from now on; nothing is ever heard where the kernel has no such socket."""
        self._socket = listening_to_kernel()
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def stop(self) -> None:
        """Listen no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        """What changed does not matter: the routes towards the registrars are looked up anew."""
        assert self._socket is not None  # noqa: S101  # it is read
        try:
            self._socket.recv(_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more happened than the kernel kept for us
                raise
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLE_TIME, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._on_change()


def listening_to_kernel() -> socket.socket | None:
    """A socket that gets a message for each change; None on other systems than Linux, and where it is forbidden."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    except OSError:
        return None
    try:
        sock.bind((0, _ADDRESSES_AND_ROUTES))
    except OSError:
        sock.close()
        return None
    return sock
