"""Both sides of a call on one clock: stereo, left what was heard, right what was said."""

from array import array
from typing import Final

from sip_bridge.media.codec import frame_bytes
from sip_bridge.media.resampler import Resampler

CHANNELS: Final = 2
MAX_STALL: Final = 3000  # frames, a minute: longer than that the machine slept, and nobody wants to hear it


class Side:
    """One direction, an audio sink; a frame that does not come is silence."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._frame: bytes | None = None
        self._resampler: Resampler | None = None
        self._resampled_from = 0

    def write(self, frame: bytes, rate: int) -> None:
        """The frame of this tick, at any rate."""
        if rate == self._rate:
            self._frame = frame
            return
        if self._resampler is None or rate != self._resampled_from:
            self._resampler, self._resampled_from = Resampler(rate, self._rate), rate
        self._frame = self._resampler.process(frame)

    def take(self) -> bytes:
        """20 ms at the recording's rate, whatever came."""
        size = frame_bytes(self._rate)
        frame, self._frame = self._frame, None
        if frame is None:
            self._resampler = None  # what it remembers is over
            return bytes(size)
        return frame[:size].ljust(size, b"\0")


class StereoTrack:
    """Writes of either side between two ticks belong to the same 20 ms, so that both stay together for hours."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.heard = Side(rate)
        self.said = Side(rate)

    def tick(self, frames: int = 1) -> bytes:
        """Interleaved PCM of what went by: ``frames`` times 20 ms, those that a stall missed being silence."""
        missed = min(frames - 1, MAX_STALL) * CHANNELS * frame_bytes(self.rate)
        return bytes(missed) + _interleaved(self.heard.take(), self.said.take())


def _interleaved(left: bytes, right: bytes) -> bytes:
    stereo = array("h", bytes(len(left) + len(right)))
    stereo[0::2] = array("h", left)
    stereo[1::2] = array("h", right)
    return stereo.tobytes()
