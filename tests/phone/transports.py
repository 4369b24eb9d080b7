"""Transports whose user keeps what it is told."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from sip_bridge.phone.settings import SIPSettings
from sip_bridge.phone.transport import Transports
from sip_bridge.sip.flow import Flow

TIMEOUT = 10.0


class Hearing:
    """A `TransportUser`."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[bytes, Flow]] = asyncio.Queue()
        self.failures: asyncio.Queue[Flow] = asyncio.Queue()
        self.strangers: set[str] = set()
        self.has_call = False
        self.bug: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, data: bytes, flow: Flow) -> None:
        self.messages.put_nowait((data, flow))
        if self.bug is not None:
            raise self.bug

    def transport_failed(self, flow: Flow) -> None:
        self.failures.put_nowait(flow)

    def knows(self, flow: Flow) -> bool:
        return flow.remote[0] not in self.strangers

    def is_busy(self) -> bool:
        return self.has_call

    def start_task(self, work: Coroutine[object, object, None], *, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def message(self) -> tuple[bytes, Flow]:
        async with asyncio.timeout(TIMEOUT):
            return await self.messages.get()

    async def failure(self) -> Flow:
        async with asyncio.timeout(TIMEOUT):
            return await self.failures.get()

    async def finish(self) -> None:
        """Nothing that was started goes on."""
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def opened(settings: SIPSettings, user: Hearing) -> AsyncIterator[Transports]:
    transports = Transports(settings, user)
    transports.open()
    try:
        yield transports
    finally:
        await transports.close()
        await user.finish()


def message(word: str = "OPTIONS", branch: str = "1", body: bytes = b"") -> bytes:
    return f"{word} sip:a SIP/2.0\r\nVia: x;branch={branch}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def response(via: str) -> bytes:
    return f"SIP/2.0 200 OK\r\nVia: {via}\r\nContent-Length: 0\r\n\r\n".encode()
