"""The kernel's word that an address or a route changed."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from sip_bridge.phone.transport import network
from sip_bridge.phone.transport.network import NetworkWatch, listening_to_kernel


class Kernel:
    """The other end of a watch's socket."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.theirs.settimeout(0)
        monkeypatch.setattr(network, "listening_to_kernel", lambda: self.theirs)
        monkeypatch.setattr(network, "SETTLE_TIME", 0.02)

    def tell(self) -> None:
        self._ours.send(b"an address came")

    def close(self) -> None:
        self._ours.close()
        self.theirs.close()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    kernel = Kernel(monkeypatch)
    yield kernel
    kernel.close()


async def test_several_messages_are_one_change_and_later_ones_another(kernel: Kernel) -> None:
    changes: asyncio.Queue[None] = asyncio.Queue()
    watch = NetworkWatch(lambda: changes.put_nowait(None))
    watch.start()
    for _ in range(2):
        for _ in range(5):
            kernel.tell()
        async with asyncio.timeout(10):
            await changes.get()
    await asyncio.sleep(0.05)
    watch.stop()
    assert changes.empty()


async def test_a_change_just_before_the_stop_is_not_told(kernel: Kernel) -> None:
    changes: list[None] = []
    watch = NetworkWatch(lambda: changes.append(None))
    watch.start()
    kernel.tell()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    watch.stop()
    await asyncio.sleep(0.05)
    assert changes == []


async def test_more_changes_than_the_kernel_keeps_are_a_change_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Overrun(socket.socket):
        def recv(self, *_: object) -> bytes:
            super().recv(100)
            raise OSError(errno.ENOBUFS, "No buffer space available")

    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    overrun = Overrun(fileno=other.detach())
    overrun.settimeout(0)
    monkeypatch.setattr(network, "listening_to_kernel", lambda: overrun)
    changed = asyncio.Event()
    watch = NetworkWatch(changed.set)
    watch.start()
    one.send(b"x")
    async with asyncio.timeout(10):
        await changed.wait()
    watch.stop()
    one.close()


async def test_without_such_a_socket_nothing_is_ever_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", refuse)
    watch = NetworkWatch(lambda: None)
    watch.start()
    watch.stop()
    assert listening_to_kernel() is None
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    assert listening_to_kernel() is None
