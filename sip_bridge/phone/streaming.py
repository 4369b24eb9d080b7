"""A sound that a thread fetches and decodes a little ahead of the call that plays it.

However long the sound is, and however slow its server, the event loop never waits: what is not there yet is silence.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, cycle, islice
from typing import Final

from sip_bridge.errors import MediaError
from sip_bridge.media.codec import FRAME_MS, frame_bytes
from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.media.resampler import Resampler, resampled
from sip_bridge.phone.decoding import Piece, decode
from sip_bridge.phone.fetching import SoundFile

BUFFER_SECONDS: Final = 2.0  # of sound that wait decoded
FIRST_SECONDS: Final = 0.5  # of sound that must be there before it plays
START_LIMIT: Final = 10.0  # seconds until they must be
MAX_SECONDS: Final = 12 * 3600  # of sound
LOOP_BYTES: Final = 4 << 20  # of PCM: a shorter sound is kept for its loop, a longer one is read again
_BUFFER_FRAMES: Final = round(BUFFER_SECONDS * 1000 / FRAME_MS)
_FIRST_FRAMES: Final = round(FIRST_SECONDS * 1000 / FRAME_MS)
_STEP_FRAMES: Final = 5  # of room that wake the thread
_MAX_FRAMES: Final = MAX_SECONDS * 1000 // FRAME_MS


class SoundStream:
    """An audio source; ``make_file`` makes the file, anew each time that a long loop begins again.

    ``rate`` is the rate that will probably be asked for. When `read` has come to the end, ``error`` says whether it is
    that of the sound.
    """

    def __init__(self, make_file: Callable[[], SoundFile], *, rate: int, loop: bool = False) -> None:
        self._make_file = make_file
        self._rate = rate
        self._loop = loop
        self._lock = threading.Condition()
        self._frames: deque[Piece] = deque()
        self._file: SoundFile | None = None
        self._is_stopped = False
        self._is_over = False
        self._error: str | None = "a bug: see the log"  # until the thread has come to its end
        self._resampler: tuple[int, int, Resampler] | None = None
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._started = asyncio.Event()
        self.underruns = 0  # frames that came too late

    async def start(self) -> None:
        """Wait until it can be heard; MediaError when it can't be, or not within START_LIMIT."""
        self._event_loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="sound", daemon=True).start()
        try:
            async with asyncio.timeout(START_LIMIT):
                await self._started.wait()
        except TimeoutError:
            raise MediaError(f"nothing to hear within {START_LIMIT:.0f} seconds") from None
        finally:
            if not self._started.is_set():
                self.stop()
        if self._is_stopped:
            raise MediaError("stopped")
        if not self._frames and self._error is not None:
            raise MediaError(self._error)

    def read(self, rate: int) -> bytes | None:
        """See `AudioSource`; silence while the next frame is not there yet."""
        with self._lock:
            self._rate = rate
            is_over = self._is_over
            piece = self._frames.popleft() if self._frames else None
            if len(self._frames) % _STEP_FRAMES == 0:
                self._lock.notify()
        if piece is None:
            self.underruns += not is_over
            return None if is_over else bytes(frame_bytes(rate))
        frame, its_rate = piece
        return frame if its_rate == rate else self._converted(frame, its_rate, rate)

    @property
    def error(self) -> str | None:
        """Why it ended before its end, None when it did not."""
        return self._error if self._is_over else None

    def stop(self) -> None:
        """Nothing more will be read: end the thread, and what it waits for."""
        with self._lock:
            self._is_stopped = True
            self._frames.clear()
            self._lock.notify()
            if self._file is not None:
                self._file.interrupt()
        self._started.set()

    def _converted(self, frame: bytes, rate: int, to_rate: int) -> bytes:
        """The few frames that were made before the call went over to another codec."""
        if self._resampler is None or self._resampler[:2] != (rate, to_rate):
            self._resampler = (rate, to_rate, Resampler(rate, to_rate))
        return self._resampler[2].process(frame)

    # --- in the thread ---

    def _run(self) -> None:
        try:
            for frame in _limited(frames_of(self._pieces(), self._wanted_rate)):
                if not self._put(frame):
                    break
            self._error = None
        except MediaError as error:
            self._error = str(error)
        finally:
            with self._lock:
                self._is_over = True
            self._tell_start()

    def _wanted_rate(self) -> int:
        return self._rate

    def _put(self, piece: Piece) -> bool:
        """Wait for room; False when nobody reads any longer."""
        with self._lock:
            self._lock.wait_for(lambda: self._is_stopped or len(self._frames) < _BUFFER_FRAMES)
            if self._is_stopped:
                return False
            self._frames.append(piece)
            is_first = len(self._frames) == _FIRST_FRAMES
        if is_first:
            self._tell_start()
        return True

    def _tell_start(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            if self._event_loop is not None:
                self._event_loop.call_soon_threadsafe(self._started.set)

    def _pieces(self) -> Iterator[Piece]:
        """The sound, once or again and again."""
        while True:
            kept: list[Piece] = []
            size = 0
            for piece in self._decoded():
                size += len(piece[0])
                if self._loop and size <= LOOP_BYTES:
                    kept.append(piece)
                yield piece
            if not size:
                raise MediaError("no sound in it")
            if not self._loop:
                return
            if size <= LOOP_BYTES:
                yield from cycle(kept)

    def _decoded(self) -> Iterator[Piece]:
        file = self._make_file()
        with self._lock:
            self._file = file
            if self._is_stopped:
                return
        try:
            file.open()
            yield from decode(file, self._wanted_rate)
        finally:
            with self._lock:
                self._file = None
            file.close()


def frames_of(pieces: Iterator[Piece], wanted_rate: Callable[[], int]) -> Iterator[Piece]:
    """Pieces of any length and rate as frames of the wanted rate, the last one filled up with silence."""
    rate = wanted_rate()
    waiting = bytearray()
    resampler: tuple[int, int, Resampler] | None = None
    end = (b"", 0)
    for pcm, its_rate in chain(pieces, (end,)):
        wanted = wanted_rate()
        if resampler is not None and resampler[:2] != (its_rate, wanted):
            waiting += resampler[2].process(bytes(2 * (resampler[0] // 100)))  # what it still holds
            resampler = None
        if rate != wanted:
            waiting = bytearray(pcm_of(resampled(samples_of(bytes(waiting)), rate, wanted)))
            rate = wanted
        if its_rate not in (0, rate):
            resampler = resampler or (its_rate, rate, Resampler(its_rate, rate))
        waiting += pcm if resampler is None else resampler[2].process(pcm)
        size = frame_bytes(rate)
        while len(waiting) >= size:
            yield bytes(waiting[:size]), rate
            del waiting[:size]
    if waiting:
        yield bytes(waiting).ljust(frame_bytes(rate), b"\0"), rate


def _limited(frames: Iterator[Piece]) -> Iterator[Piece]:
    yield from islice(frames, _MAX_FRAMES)
    if next(frames, None) is not None:
        raise MediaError(f"longer than {MAX_SECONDS // 3600} hours")
