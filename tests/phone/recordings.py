"""Recordings as a test reads them."""

import resource
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.sound import Signal, from_pcm


def read_recording(path: Path) -> tuple[int, Signal, Signal]:
    """The rate, the left side and the right side."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        signal = from_pcm(file.readframes(file.getnframes()))
        return file.getframerate(), np.asarray(signal[0::2]), np.asarray(signal[1::2])


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """As on a full disk, no file of this process grows over ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names_in(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())
