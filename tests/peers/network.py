"""Two machines with a cable between them, each in a network namespace of its own: they vanish with their processes."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.peers.process import Process


class Machine:
    """A namespace; it lives as long as the process that holds it."""

    def __init__(self) -> None:
        self.process = Process("unshare", "--net", "sh", "-c", "echo It is there; exec sleep infinity")

    def inside(self, *command: str) -> list[str]:
        """The words that run a command there."""
        return ["nsenter", "--net", "--target", str(self.process.number), *command]

    def ip(self, words: str) -> None:
        """What `ip` does there."""
        subprocess.run(self.inside("ip", *words.split()), check=True, capture_output=True)


@contextmanager
def on(machine: Machine) -> Iterator[None]:
    """This thread, and every thread and process that it starts, are on that machine."""
    with (
        Path("/proc/thread-self/ns/net").open() as home,
        Path(f"/proc/{machine.process.number}/ns/net").open() as there,
    ):
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on
    if libc.setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Cable:
    """`with Cable() as cable`: machines `a` (192.0.2.1) and `b` (192.0.2.2), both by the name of eth0."""

    def __init__(self) -> None:
        self.a = Machine()
        self.b = Machine()

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        self.a.process.start_until("It is there")
        self.b.process.start_until("It is there")
        self.a.ip(f"link add eth0 type veth peer name eth0 netns {self.b.process.number}")
        for number, machine in ((1, self.a), (2, self.b)):
            machine.ip("link set lo up")
            machine.ip(f"address add 192.0.2.{number}/24 dev eth0")
            machine.ip("link set eth0 up")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for machine in (self.a, self.b):
            if machine.process.is_running:
                machine.process.stop()
