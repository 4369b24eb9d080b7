"""A peer's process and what it prints."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

_KEPT_LINES = 20_000


class PeerError(AssertionError):
    """A peer did not do what the test needs of it."""


class Process:
    """Runs a command, keeps the lines that it prints, and can wait for one of them."""

    def __init__(
        self, *command: str | Path, environment: Mapping[str, str] | None = None, has_children: bool = False
    ) -> None:
        """With ``has_children`` those that outlive it are ended with it."""
        self.command: Sequence[str] = [str(word) for word in command]
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._environment = environment or {}
        self._has_children = has_children
        self._printed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ended = False

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def number(self) -> int:
        """The process id."""
        return self._started().pid

    @property
    def output(self) -> str:
        """All that it printed since it was first started."""
        return "\n".join(tuple(self.lines))

    def start_until(self, pattern: str, *, within: float = 15) -> None:
        """Starts the command and waits for a line that it prints; what doesn't print it is ended."""
        self.forget_lines()
        self.start()
        try:
            self.wait_for_line(pattern, within=within)
        except PeerError:
            self.stop()
            raise

    def start(self) -> None:
        """Starts the command; its standard input is empty."""
        if self.is_running:
            raise PeerError(f"{self.command[0]} runs already")
        self._ended = False
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **self._environment},
            process_group=0 if self._has_children else None,
        )
        name = f"reads {self.command[0]}"
        self._reader = threading.Thread(target=self._read, args=(self._process,), name=name, daemon=True)
        self._reader.start()

    def wait_for_line(self, pattern: str, *, within: float = 15) -> str:
        """The first kept line that matches; PeerError when the process ends or the seconds pass before."""
        deadline = time.monotonic() + within
        with self._printed:
            while True:
                for line in self.lines:
                    if re.search(pattern, line):
                        return line
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise PeerError(f"{self.command[0]} never printed {pattern!r}; it printed:\n{self.output}")
                self._printed.wait(left)

    async def printed(self, pattern: str, *, within: float = 15) -> str:
        """As `wait_for_line`, for a running event loop."""
        return await asyncio.to_thread(self.wait_for_line, pattern, within=within)

    def wait(self, *, within: float) -> int:
        """The exit code, once it has ended by itself."""
        process = self._started()
        try:
            code = process.wait(within)
        except subprocess.TimeoutExpired:
            raise PeerError(f"{self.command[0]} still runs after {within} s; it printed:\n{self.output}") from None
        self._join()
        return code

    def stop(self, *, within: float = 15) -> int:
        """Ends it with SIGTERM, with SIGKILL if it does not obey in time; the exit code."""
        process = self._started()
        process.terminate()
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._join()
        return process.returncode

    def send(self, number: int) -> None:
        """Sends it a signal."""
        self._started().send_signal(number)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        process = self._started()
        process.kill()
        process.wait()
        self._join()

    def check_alive(self) -> None:
        """Raises PeerError with all that it printed if it has ended."""
        if not self.is_running:
            raise PeerError(f"{self.command[0]} ended early; it printed:\n{self.output}")

    def forget_lines(self) -> None:
        """Lines so far are history; `wait_for_line` looks at what comes next."""
        with self._printed:
            self.lines.clear()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise PeerError(f"{self.command[0]} was never started")
        return self._process

    def _join(self) -> None:
        if self._has_children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.number, signal.SIGKILL)
        if self._reader is not None:
            self._reader.join()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._printed:
                    self.lines.append(line.rstrip("\n"))
                    self._printed.notify_all()
        with self._printed:
            self._ended = True
            self._printed.notify_all()
