"""Threads: the one that an event loop runs in, and those that an application's callbacks run in."""

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from sip_bridge.errors import InvalidStateError

_LOG = logging.getLogger(__name__)
JOIN_TIMEOUT: Final = 5.0  # seconds that stopping waits for callbacks that are still at work
T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own, within the context that ``serve`` makes there.

    The thread is no daemon: a phone that was started goes on until it is stopped.
    """

    def __init__(self, name: str, serve: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._serve = serve
        self._thread = threading.Thread(target=self._run, name=name)
        self._ready: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._stopping: asyncio.Event | None = None

    def start(self) -> None:
        """Start, and return when the context was entered; raises what entering it raised."""
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._thread.join()
            raise

    def stop(self) -> None:
        """Leave the context, and end the thread."""
        self.refuse_own_thread()
        loop, stopping = self._ready.result(), self._stopping
        assert stopping is not None  # noqa: S101  # made before the loop was ready
        if not loop.is_closed():
            loop.call_soon_threadsafe(stopping.set)
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result; RuntimeError on the loop's own thread."""
        try:
            self.refuse_own_thread()
            outcome = asyncio.run_coroutine_threadsafe(work, self._ready.result())
        except RuntimeError as error:
            work.close()
            if threading.current_thread() is self._thread:
                raise
            raise InvalidStateError("the phone has stopped") from error
        try:
            return outcome.result()
        except concurrent.futures.CancelledError:
            raise InvalidStateError("the phone has stopped") from None
        except BaseException:
            outcome.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """As `run`, for a function."""

        async def work() -> T:
            return function()

        return self.run(work())

    def refuse_own_thread(self) -> None:
        """RuntimeError on the loop's own thread, where waiting would never end."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a blocking call on the event loop's own thread would never return")

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._stopping = asyncio.Event()
        try:
            async with self._serve():
                self._ready.set_result(asyncio.get_running_loop())
                await self._stopping.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)


class Workers:
    """Runs an application's callbacks, each in a thread of its own, where it may block.

    They are daemons: one that never returns does not keep the program from ending.
    """

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def start(self, work: Callable[[], object], name: str) -> None:
        """Run a callback; what it raises is logged."""

        def run() -> None:
            try:
                work()
            except Exception:  # noqa: BLE001  # the callback runner
                _LOG.exception("%s failed", name)
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def join(self, timeout: float = JOIN_TIMEOUT) -> None:
        """Wait, bounded, for the callbacks that are at work; the one that calls this is not waited for."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = self._threads - {threading.current_thread()}
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
