"""An adaptive jitter buffer: packets go in as they come, frames come out in order, on time, and with gaps concealed.

It watches how early each packet comes before it is due. A packet that is late moves the rest back by as much, so that
its followers are in time; when for a few seconds every packet was early, a quiet frame is left out.
"""

from bisect import insort
from typing import Final

from sip_bridge.media.codec import NARROWBAND, frame_samples
from sip_bridge.media.pcm import peak, scaled

START_DELAY: Final = 3  # frames by which the first packet waits
MAX_DELAY: Final = 12  # frames that a packet may come early, or late, and still be heard
MAX_PACKETS: Final = 64
_LATE_RUN: Final = 3  # packets in a row that are far too late; one more, and the sender's clock jumped back
_WINDOW: Final = 150  # packets over which the delay is judged: 3 s of them
_SPARE: Final = 2  # frames that every packet must be early by before a frame is left out
_QUIET: Final = 500  # the loudest sample of a frame that nobody misses
_FADE: Final = (0.8, 0.5, 0.2)  # of each concealed frame in turn; then silence


class JitterBuffer:
    """The sound of one stream; timestamps are in samples at ``rate``."""

    def __init__(self, rate: int = NARROWBAND) -> None:
        self.rate = rate
        self._frame = frame_samples(rate)
        self._start_delay = START_DELAY * self._frame
        self._max_delay = MAX_DELAY * self._frame
        self._waiting: list[tuple[int, bytes]] = []  # by extended timestamp
        self._at: int | None = None  # the extended timestamp that is due next
        self._played = 0  # where what was heard ends: nothing before it is heard any more
        self._late_run = 0
        self._least_early = self._max_delay
        self._judged = 0
        self._last = bytes(2 * self._frame)
        self._gap = 0  # samples concealed in a row
        self.late = 0  # packets that came too late to be heard
        self.skipped = 0  # packets left out to catch up with a burst
        self.concealed = 0  # samples

    def put(self, timestamp: int, pcm: bytes) -> None:
        """A packet that came just now, and never before."""
        at = self._start(timestamp) if self._at is None else self._at
        early = (timestamp - at + 0x80000000) % 0x100000000 - 0x80000000
        if early < -self._max_delay and self._late_run < _LATE_RUN:
            self.late += 1
            self._late_run += 1
            return
        if not -self._max_delay <= early <= 2 * self._max_delay:
            at, early = self._start(timestamp), self._start_delay
        elif early > self._max_delay:  # a burst after a stall: what waited longest is left out
            self._at = at = at + early - self._max_delay
            early = self._max_delay
        self._late_run = 0
        self._judged += 1
        self._least_early = min(self._least_early, early)
        begin = at + early
        if begin < self._played:  # a later one was heard already: the next ones may wait a little longer
            self.late += 1
            self._at = at - self._frame
            return
        if early < 0:
            self._at = begin  # what was concealed meanwhile is heard in addition
        if len(self._waiting) < MAX_PACKETS:
            insort(self._waiting, (begin, pcm))

    def get(self) -> bytes | None:
        """The next 20 ms, None before anything came."""
        if self._at is None:
            return None
        frame = self._take()
        if self._judged >= _WINDOW:
            if self._least_early >= _SPARE * self._frame and peak(frame) <= _QUIET:
                frame = self._take()
            self._judged, self._least_early = 0, self._max_delay
        return frame

    def _start(self, timestamp: int) -> int:
        self._waiting.clear()
        self._at = self._played = timestamp - self._start_delay
        return self._at

    def _take(self) -> bytes:
        """A frame from what waits; what is missing is concealed."""
        at = self._at or 0
        end = at + self._frame
        parts = []
        while at < end:
            heard = self._next(at, end)
            if heard is None:
                due = self._waiting[0][0] if self._waiting else end
                missing = min(due, end) - at
                parts.append(self._conceal(missing))
                at += missing
            else:
                parts.append(heard)
                at += len(heard) // 2
                self._played = at
                self._gap = 0
        self._at = end
        frame = b"".join(parts)
        if self._gap == 0:
            self._last = frame
        return frame

    def _next(self, at: int, end: int) -> bytes | None:
        """What waits for just that moment, up to ``end``; what it overtakes is dropped."""
        while self._waiting and self._waiting[0][0] <= at:
            begin, pcm = self._waiting.pop(0)
            rest = pcm[2 * (at - begin) :]
            if rest:
                if len(rest) > 2 * (end - at):
                    self._waiting.insert(0, (end, rest[2 * (end - at) :]))
                return rest[: 2 * (end - at)]
            self.skipped += 1
        return None

    def _conceal(self, samples: int) -> bytes:
        step = self._gap // self._frame
        self._gap += samples
        self.concealed += samples
        if step >= len(_FADE):
            return bytes(2 * samples)
        return scaled(self._last[-2 * samples :], _FADE[step])
