"""The audio port of a call: sources give PCM frames to send, sinks take what was received.

A frame is 20 ms of signed 16-bit little-endian mono PCM. Its rate is that of the call's codec, and another one may be
agreed on at any time.
"""

import asyncio
import os
import stat
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sip_bridge.errors import MediaError
from sip_bridge.media.codec import NARROWBAND, frame_bytes
from sip_bridge.media.pcm import scaled
from sip_bridge.media.resampler import Resampler
from sip_bridge.media.wav import MAX_BYTES, decode_wav


class AudioSource(Protocol):
    """Where a call's outgoing sound comes from."""

    def read(self, rate: int) -> bytes | None:
        """The next frame at that many samples a second, None when there is no more."""


class AudioSink(Protocol):
    """Where a call's incoming sound goes."""

    def write(self, frame: bytes, rate: int) -> None:
        """The next frame, in the order of arrival, at that many samples a second."""


class Clip:
    """A sound in memory at ``rate``, read frame by frame: ``settle`` frames of silence, then once or in a ``loop``."""

    def __init__(self, pcm: bytes, *, rate: int = NARROWBAND, settle: int = 0, loop: bool = False) -> None:
        self._pcm = pcm
        self._rate = rate
        self._resampler = Resampler(rate, rate)
        self._resampled_to = rate
        self._settle = settle
        self._loop = loop
        self._at = 0

    def read(self, rate: int) -> bytes | None:
        """See `AudioSource`; the last frame is filled up with silence."""
        if self._settle > 0:
            self._settle -= 1
            return bytes(frame_bytes(rate))
        if self._at >= len(self._pcm) and self._loop:
            self._at = 0
        size = frame_bytes(self._rate)
        frame = self._pcm[self._at : self._at + size]
        self._at += size
        return self._converted(frame.ljust(size, b"\0"), rate) if frame else None

    def _converted(self, frame: bytes, rate: int) -> bytes:
        if rate == self._rate:
            return frame
        if rate != self._resampled_to:
            self._resampler, self._resampled_to = Resampler(self._rate, rate), rate
        return self._resampler.process(frame)


async def load(source: str, *, volume: float = 1.0) -> bytes:
    """PCM at 8 kHz of a WAV file, named by path or file: URL, read off the loop; MediaError names the file."""
    if not 0.0 <= volume <= 1.0:
        raise MediaError("volume: expected 0.0 to 1.0")
    return await asyncio.to_thread(_load, source, volume)


def _load(source: str, volume: float) -> bytes:
    path = _path(source)
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:  # Path.open takes no opener
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise MediaError(f"{source}: not a file")
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MediaError(f"{source}: {reason}") from error
    if len(data) > MAX_BYTES:
        raise MediaError(f"{source}: longer than {MAX_BYTES >> 20} MiB")
    try:
        pcm = decode_wav(data)
    except MediaError as error:
        raise MediaError(f"{source}: {error}") from error
    if not pcm:
        raise MediaError(f"{source}: no sound in it")
    return pcm if volume == 1.0 else scaled(pcm, volume)


def _open_without_waiting(path: str, flags: int) -> int:
    """Opening a pipe that nobody writes to would hold the thread for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _path(source: str) -> Path:
    url = urlsplit(source)
    if url.scheme == "file":
        return Path(url2pathname(url.path))
    if "://" in source:
        raise MediaError(f"{source}: only files can be played")
    return Path(source)
