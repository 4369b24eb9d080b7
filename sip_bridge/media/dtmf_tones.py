"""DTMF as sound (ITU-T Q.23): two tones at once for each key. `ToneDetector` hears them."""

import math
from array import array
from collections.abc import Iterator
from typing import Final

from sip_bridge.media.codec import FRAME_MS, frame_bytes, frame_samples
from sip_bridge.media.dtmf import PAUSE, PAUSE_SECONDS
from sip_bridge.media.pcm import pcm_of
from sip_bridge.media.tones import ZERO_DBM0

LOW: Final = (697, 770, 852, 941)  # Hz, the rows of the keypad
HIGH: Final = (1209, 1336, 1477, 1633)  # Hz, its columns
KEYPAD: Final = "123A456B789C*0#D"  # row by row
_LOW_PEAK: Final = ZERO_DBM0 * 10 ** (-10 / 20)  # -10 dBm0
_HIGH_PEAK: Final = ZERO_DBM0 * 10 ** (-8 / 20)  # -8 dBm0: lines damp high tones more
_RAMP: Final = 0.003  # seconds to full level and back: a tone that is cut clicks on all frequencies


def frequencies_of(digit: str) -> tuple[int, int]:
    """The two tones of a key in Hz, the low one first."""
    row, column = divmod(KEYPAD.index(digit), len(HIGH))
    return LOW[row], HIGH[column]


class KeyTones:
    """The sound of key presses, a frame at a time; the times are rounded up to whole frames."""

    def __init__(self, digits: str, *, duration_ms: int, gap_ms: int) -> None:
        self._frames = _frames(digits, _frames_of(duration_ms), _frames_of(gap_ms))
        self.begun = 0  # keys of which something was read

    def read(self, rate: int) -> bytes | None:
        """The next frame at that many samples a second; None when all has been pressed."""
        frame = next(self._frames, None)
        if frame is None:
            return None
        digit, index, count = frame
        self.begun += index == 0 and digit != PAUSE
        return _tone(digit, index, count, rate) if digit != PAUSE else bytes(frame_bytes(rate))


def _frames_of(milliseconds: int) -> int:
    return -(-milliseconds // FRAME_MS)


def _frames(digits: str, count: int, gap: int) -> Iterator[tuple[str, int, int]]:
    """For each frame its key, which frame of the press it is, and of how many; a gap is a PAUSE."""
    for digit in digits:
        if digit == PAUSE:
            yield from ((PAUSE, 0, 0) for _ in range(_frames_of(round(1000 * PAUSE_SECONDS))))
        else:
            yield from ((digit, index, count) for index in range(count))
            yield from ((PAUSE, 0, 0) for _ in range(gap))


def _tone(digit: str, index: int, count: int, rate: int) -> bytes:
    low, high = (2 * math.pi * frequency / rate for frequency in frequencies_of(digit))
    size = frame_samples(rate)
    first = index * size
    samples = [_LOW_PEAK * math.sin(low * at) + _HIGH_PEAK * math.sin(high * at) for at in range(first, first + size)]
    ramp = round(_RAMP * rate)
    if index == 0:
        samples[:ramp] = (sample * at / ramp for at, sample in enumerate(samples[:ramp]))
    if index == count - 1:
        samples[-ramp:] = (sample * (ramp - at) / ramp for at, sample in enumerate(samples[-ramp:]))
    return pcm_of(array("h", map(int, samples)))
