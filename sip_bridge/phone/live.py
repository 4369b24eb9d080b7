"""A call's sound to and from a program: a browser, a voice assistant, another call.

All of this belongs to the event loop: another thread writes by ``loop.call_soon_threadsafe(source.write, pcm, rate)``.
"""

import asyncio
from typing import Final

from sip_bridge.media.codec import frame_bytes
from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.media.resampler import Resampler, resampled

DEFAULT_BUFFER: Final = 1.0  # seconds of sound
_SAMPLE_BYTES: Final = 2


class _Converter:
    """A stream at whatever rate to another one."""

    def __init__(self) -> None:
        self._resampler: Resampler | None = None
        self._rates = (0, 0)

    def convert(self, pcm: bytes, rate: int, to_rate: int) -> bytes:
        if rate == to_rate:
            self._resampler = None
            return pcm
        if self._resampler is None or self._rates != (rate, to_rate):
            self._resampler, self._rates = Resampler(rate, to_rate), (rate, to_rate)
        return self._resampler.process(pcm)


class PCMSource:
    """Sound that a program gives piece by piece, to be said by a call: an `AudioSource` and an `AudioSink`.

    It keeps ``buffer`` seconds at most. While it has none, the call says silence.
    """

    def __init__(self, *, buffer: float = DEFAULT_BUFFER) -> None:
        self._buffer_seconds = buffer
        self._converter = _Converter()
        self._pcm = bytearray()
        self._rate = 0  # of what waits: the call's, once it has asked
        self._has_room = asyncio.Event()
        self._is_closed = False
        self.dropped = 0  # samples that were too many
        self.underruns = 0  # frames of silence for want of sound

    def write(self, pcm: bytes, rate: int) -> None:
        """Have PCM of any length said next; where there is too much, the oldest is dropped and counted."""
        if self._is_closed:
            return
        self._rate = self._rate or rate
        self._pcm += self._converter.convert(pcm, rate, self._rate)
        excess = len(self._pcm) - self._capacity
        if excess > 0:
            del self._pcm[:excess]
            self.dropped += excess // _SAMPLE_BYTES

    async def send(self, pcm: bytes, rate: int) -> None:
        """As `write`, but wait until there is room for it: nothing is dropped. Closed, it takes nothing."""
        step = frame_bytes(rate)
        for at in range(0, len(pcm), step):
            piece = pcm[at : at + step]
            while not self._is_closed and self._rate and self._waiting_seconds + 0.02 > self._buffer_seconds:
                self._has_room.clear()
                await self._has_room.wait()
            self.write(piece, rate)

    def close(self) -> None:
        """No more will come; what waits is still said."""
        self._is_closed = True
        self._has_room.set()

    def read(self, rate: int) -> bytes | None:
        """See `AudioSource`; the last frame is filled up with silence."""
        if rate != self._rate:
            waiting = resampled(samples_of(bytes(self._pcm)), self._rate or rate, rate)
            self._pcm, self._rate = bytearray(pcm_of(waiting)), rate
        size = frame_bytes(rate)
        if len(self._pcm) < size and not self._is_closed:
            self.underruns += 1
            return bytes(size)
        frame = bytes(self._pcm[:size])
        del self._pcm[:size]
        self._has_room.set()
        return frame.ljust(size, b"\0") if frame else None

    @property
    def _waiting_seconds(self) -> float:
        return len(self._pcm) / (_SAMPLE_BYTES * self._rate)

    @property
    def _capacity(self) -> int:
        return round(self._buffer_seconds * self._rate) * _SAMPLE_BYTES


class PCMSink:
    """What a call hears, for a program that reads it at ``rate``: an `AudioSink` that keeps ``buffer`` seconds."""

    def __init__(self, *, rate: int, buffer: float = DEFAULT_BUFFER) -> None:
        self._rate = rate
        self._capacity = round(buffer * rate) * _SAMPLE_BYTES
        self._converter = _Converter()
        self._pcm = bytearray()
        self._came = asyncio.Event()
        self._is_closed = False
        self.dropped = 0  # samples that nobody read in time

    def write(self, frame: bytes, rate: int) -> None:
        """See `AudioSink`; where there is too much, the oldest is dropped and counted."""
        if self._is_closed:
            return
        self._pcm += self._converter.convert(frame, rate, self._rate)
        excess = len(self._pcm) - self._capacity
        if excess > 0:
            del self._pcm[:excess]
            self.dropped += excess // _SAMPLE_BYTES
        self._came.set()

    async def read(self) -> bytes:
        """The next 20 ms, as soon as they have come; after `close` what is left, then ``b""``."""
        size = frame_bytes(self._rate)
        while len(self._pcm) < size and not self._is_closed:
            self._came.clear()
            await self._came.wait()
        frame = bytes(self._pcm[:size])
        del self._pcm[:size]
        return frame

    def close(self) -> None:
        """Nothing more is heard."""
        self._is_closed = True
        self._came.set()
