"""Recordings on the event loop's side: a call's sound goes to a thread that writes it, and never waits for that."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeVar

from sip_bridge.errors import DiskFullError, InvalidStateError, MediaError
from sip_bridge.media.recording import CHANNELS, StereoTrack
from sip_bridge.media.wav_header import MAX_SOUND_BYTES
from sip_bridge.phone.recording_folder import RecordedFile, RecordingFile, RecordingFolder, file_stem
from sip_bridge.phone.settings import RecordingSettings

_LOG = logging.getLogger(__name__)
MAX_RECORDINGS: Final = 256  # at a time
MAX_WAITING: Final = 10  # blocks of one recording that the disk has not taken yet
BLOCK_SECONDS: Final = 1.0  # of sound that is written at a time, and that a crash costs
OPEN_TIMEOUT: Final = 5.0  # seconds that a disk may take to make a file
STOP_TIMEOUT: Final = 5.0  # seconds that stopping waits for the disk
TIDY_INTERVAL: Final = 3600.0  # seconds
_SAMPLE_BYTES: Final = 2 * CHANNELS

RecordingEnd = Literal["stopped", "call_ended", "limit", "disk_full", "error"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingResult:
    """What became of a recording. ``missed_seconds`` of it are silence, since the disk was too slow for them."""

    name: str
    seconds: float
    size: int
    reason: RecordingEnd
    error: str | None
    missed_seconds: float


class Recorder:
    """The thread that writes the recordings of all calls, in order; without ``settings`` there are none."""

    def __init__(self, settings: RecordingSettings | None) -> None:
        self._folder = None if settings is None else RecordingFolder(settings)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recordings")
        self._running: set[Recording] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._is_closed = False

    def start(self) -> None:
        """Finish what a crash left, and keep the folder within its bounds from now on."""
        if self._folder is not None:
            self._thread.submit(_tend, self._folder)
            self._timer = asyncio.get_running_loop().call_later(TIDY_INTERVAL, self.start)

    def change(self, settings: RecordingSettings | None) -> None:
        """Record to another folder or with other bounds from now on; what is being recorded stays where it is."""
        self._folder = None if settings is None else RecordingFolder(settings)
        if self._timer is not None:
            self._timer.cancel()
        self.start()

    async def close(self) -> None:
        """End every recording, and wait, bounded, until the disk has them."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for recording in list(self._running):
            recording.stop("call_ended")
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                while self._running:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            _LOG.warning("the disk has not taken %d recordings yet", len(self._running))
        self._thread.shutdown(wait=False)

    def recording(
        self,
        label: str,
        *,
        started_at: float,
        rate: int,
        max_seconds: float | None,
        on_stop: Callable[[], None],
        on_done: Callable[[RecordingResult], None],
    ) -> "Recording":
        """A new recording, which takes sound at once; `Recording.open` it then.

        InvalidStateError when there is no folder, or no more than so many can be made at a time.
        """
        if self._folder is None or self._is_closed:
            raise InvalidStateError("nothing is recorded here")
        if len(self._running) >= MAX_RECORDINGS:
            raise InvalidStateError(f"{MAX_RECORDINGS} calls are being recorded already")
        longest = self._folder.settings.max_seconds
        recording = Recording(
            self,
            RecordingFile(self._folder, file_stem(label, started_at), rate=rate),
            rate=rate,
            max_seconds=longest if max_seconds is None else min(max_seconds, longest),
            on_stop=on_stop,
            on_done=on_done,
        )
        self._running.add(recording)
        return recording

    # --- for its recordings ---

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Do something in the thread, after what it was given before."""
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    def forget(self, recording: "Recording") -> None:
        """It is on the disk, or nowhere."""
        self._running.discard(recording)
        self._news.set()


class Recording:
    """One file of one call: an `AudioTap`.

    ``on_stop`` is called when it takes no more sound, ``on_done`` when the file is complete.
    """

    def __init__(
        self,
        recorder: Recorder,
        file: RecordingFile,
        *,
        rate: int,
        max_seconds: float,
        on_stop: Callable[[], None],
        on_done: Callable[[RecordingResult], None],
    ) -> None:
        self._recorder = recorder
        self._file = file
        self._track = StereoTrack(rate)
        self._bytes_per_second = rate * _SAMPLE_BYTES
        self._room = min(int(max_seconds * rate) * _SAMPLE_BYTES, MAX_SOUND_BYTES)
        self._on_stop = on_stop
        self._on_done = on_done
        self._block = bytearray()
        self._position = 0  # of the block in the sound
        self._waiting = 0  # blocks that are handed over and not written
        self._missed = 0  # bytes that were not handed over
        self._reason: RecordingEnd | None = None  # once it has stopped
        self._error: str | None = None
        self.heard = self._track.heard
        self.said = self._track.said
        self.name = ""

    async def open(self) -> str:
        """Make the file, and return its name in the folder; MediaError when that can't be."""
        opening = self._recorder.run(self._file.open)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                self.name = await asyncio.shield(opening)
        except TimeoutError as error:
            opening.add_done_callback(_heed)
            raise MediaError("the recording can't be written: the disk does not answer") from error
        finally:
            if not self.name:
                self._abandon()
        return self.name

    def tick(self, frames: int) -> None:
        """See `AudioTap`."""
        if self._reason is not None:
            return
        self._block += self._track.tick(frames)
        left = self._room - self._position - len(self._block)
        if left <= 0:
            del self._block[len(self._block) + left :]
            self.stop("limit")
        elif len(self._block) >= BLOCK_SECONDS * self._bytes_per_second:
            self._hand_over()

    def stop(self, reason: RecordingEnd, error: str | None = None) -> None:
        """Take no more sound, and finish the file. A second time it does nothing."""
        if self._reason is not None:
            return
        self._reason, self._error = reason, error
        if self._block:
            self._hand_over()
        self._recorder.run(partial(self._file.finish, self._position)).add_done_callback(self._finished)
        self._on_stop()

    def _hand_over(self) -> None:
        at, sound = self._position, bytes(self._block)
        self._position += len(sound)
        self._block.clear()
        if self._waiting >= MAX_WAITING:
            self._missed += len(sound)
            return
        self._waiting += 1
        self._recorder.run(partial(self._file.write, at, sound)).add_done_callback(self._written)

    def _written(self, writing: "asyncio.Future[None]") -> None:
        self._waiting -= 1
        error = writing.exception()
        if error is not None:
            self.stop("disk_full" if isinstance(error, DiskFullError) else "error", str(error))
            _raise_bug(error)

    def _finished(self, finishing: "asyncio.Future[RecordedFile | None]") -> None:
        self._recorder.forget(self)
        error = finishing.exception()
        file = None if error is not None else finishing.result()
        if error is None and file is None:
            return  # it never began, which was said to whoever opened it
        assert self._reason is not None  # noqa: S101  # it was stopped
        self._on_done(
            RecordingResult(
                name=self.name if file is None else file.name,
                seconds=0.0 if file is None else file.seconds,
                size=0 if file is None else file.size,
                reason=self._reason if error is None else "error",
                error=self._error if error is None else str(error),
                missed_seconds=self._missed / self._bytes_per_second,
            )
        )
        _raise_bug(error)

    def _abandon(self) -> None:
        """There is no file."""
        if self._reason is None:
            self._reason = "error"
            self._recorder.run(self._file.discard).add_done_callback(self._discarded)
            self._on_stop()

    def _discarded(self, discarding: "asyncio.Future[None]") -> None:
        self._recorder.forget(self)
        _raise_bug(discarding.exception())


def _tend(folder: RecordingFolder) -> None:
    try:
        folder.recover()
        folder.tidy()
    except (OSError, MediaError) as error:
        _LOG.warning("the recordings in %s can't be kept in order: %s", folder.settings.folder, error)


def _heed(late: "asyncio.Future[str]") -> None:
    """Nobody waits any longer for what a disk did too late; that it failed is no news."""
    late.exception()


def _raise_bug(error: BaseException | None) -> None:
    """For the loop to log: all that a disk may do is a MediaError."""
    if error is not None and not isinstance(error, MediaError):
        raise error
