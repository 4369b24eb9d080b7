"""What a call plays: one sound after the other, each from its own source at its own volume."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import InvalidStateError, MediaError
from sip_bridge.media.codec import FRAME_MS, WIDEBAND, frame_bytes
from sip_bridge.media.pcm import scaled
from sip_bridge.phone.audio import AudioSource
from sip_bridge.phone.settings import MediaSettings
from sip_bridge.phone.sources import LiveSound, Sound, shown_source, sound_of

MAX_SOUNDS: Final = 16  # of one call: the one that plays, and those that wait
MAX_VOLUME: Final = 2.0
MAX_SETTLE: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackFinished:
    """The last sample of ``source`` was sent (``completed``), or playing it was stopped, or ended by an ``error``."""

    source: str
    completed: bool
    error: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    """A sound of the queue. Until it ``is_ready`` it is being opened; then it may take the place of those before it."""

    name: str
    sound: Sound
    replaces: bool
    volume: float = 1.0
    settle: int = 0  # frames of silence before it
    is_ready: bool = False


class Player:
    """An audio source that never ends: sounds are put into it. ``rate`` is the one that sounds are prepared for."""

    def __init__(self, settings: MediaSettings, *, on_finished: Callable[[PlaybackFinished], None]) -> None:
        self._settings = settings
        self._on_finished = on_finished
        self._queue: deque[_Entry] = deque()
        self._read: deque[_Entry] = deque()  # to their end, but maybe not sent
        self._is_closed = False
        self.rate = WIDEBAND
        self.volume = 1.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing plays, and nothing is about to."""
        return not self._queue and not self._read

    async def play(
        self, source: str, *, loop: bool = False, volume: float = 1.0, settle: float = 0.0, enqueue: bool = False
    ) -> None:
        """Play a source once it can be heard, instead of what plays or (``enqueue``) after all that waits.

        ``settle`` is seconds of silence before it. MediaError when it can't be heard: what plays goes on.
        NotAllowedError for a file that may not be played, InvalidStateError when it was stopped before it began.
        """
        check_volume(volume)
        if not 0.0 <= settle <= MAX_SETTLE:
            raise MediaError(f"settle time: expected 0 to {MAX_SETTLE:.0f} seconds")
        if len(self._queue) >= MAX_SOUNDS:
            raise InvalidStateError(f"{MAX_SOUNDS} sounds wait already")
        entry = _Entry(
            name=shown_source(source),
            sound=sound_of(source, self._settings, rate=self.rate, loop=loop),
            replaces=not enqueue,
            volume=volume,
            settle=round(settle * 1000 / FRAME_MS),
        )
        await self._start(entry)

    async def _start(self, entry: _Entry) -> None:
        if self._is_closed:
            raise _stopped(entry)
        self._queue.append(entry)
        try:
            await entry.sound.start()
        except MediaError as error:
            if self._forget(entry):
                raise MediaError(f"{entry.name}: {error}") from error
            raise _stopped(entry) from None
        except asyncio.CancelledError:
            self._forget(entry)
            raise
        if entry not in self._queue:
            raise _stopped(entry)
        entry.is_ready = True
        if entry.replaces:
            self._stop_before(entry)

    def join(self, source: AudioSource) -> None:
        """Play what is always ready, instead of what plays."""
        if not self._is_closed:
            entry = _Entry(name="", sound=LiveSound(source), replaces=True, is_ready=True)
            self._queue.append(entry)
            self._stop_before(entry)

    def stop(self) -> None:
        """Stop what plays, what waits, and what is being opened."""
        stopped, self._queue = self._queue, deque()
        self._tell_stopped(stopped)

    def close(self) -> None:
        """The call is over: nothing that was read from now on is sent."""
        self._is_closed = True
        stopped = (*self._read, *self._queue)
        self._read.clear()
        self._queue.clear()
        self._tell_stopped(stopped)

    def read(self, rate: int) -> bytes | None:
        """See `AudioSource`; None for nothing to play just now."""
        self.rate = rate
        while self._queue and self._queue[0].is_ready:
            entry = self._queue[0]
            if entry.settle > 0:
                entry.settle -= 1
                return bytes(frame_bytes(rate))
            frame = entry.sound.read(rate)
            if frame is not None:
                return self.as_loud(frame, entry.volume)
            self._read.append(self._queue.popleft())
        return None

    def as_loud(self, frame: bytes, volume: float = 1.0) -> bytes:
        """A frame at the volume of all that is sent."""
        gain = volume * self.volume
        return frame if gain == 1.0 else scaled(frame, gain)

    def sent(self) -> None:
        """All that was read has left."""
        while self._read:
            entry = self._read.popleft()
            error = entry.sound.error
            self._on_finished(PlaybackFinished(source=entry.name, completed=error is None, error=error))

    def _stop_before(self, entry: _Entry) -> None:
        stopped = []
        while self._queue[0] is not entry:
            stopped.append(self._queue.popleft())
        self._tell_stopped(stopped)

    def _tell_stopped(self, entries: Collection[_Entry]) -> None:
        for entry in entries:
            entry.sound.stop()
        for entry in entries:
            self._on_finished(PlaybackFinished(source=entry.name, completed=False))

    def _forget(self, entry: _Entry) -> bool:
        """Whether it was still waited for."""
        entry.sound.stop()
        if entry not in self._queue:
            return False
        self._queue.remove(entry)
        return True


def check_volume(volume: float) -> None:
    """MediaError for a volume that is none."""
    if not 0.0 <= volume <= MAX_VOLUME:
        raise MediaError(f"volume: expected 0.0 to {MAX_VOLUME}")


def _stopped(entry: _Entry) -> InvalidStateError:
    return InvalidStateError(f"{entry.name}: stopped before it began")
