"""PCM from one rate to another: a polyphase windowed sinc, so that nothing folds back into the speech."""

from array import array
from collections.abc import Sequence
from math import ceil, cos, gcd, pi, sin
from operator import mul
from typing import Final

from sip_bridge.media.codecs_av import AVResampler, is_installed
from sip_bridge.media.pcm import pcm_of, samples_of

_ZERO_CROSSINGS: Final = 8  # of the low-pass filter, on each side
_PASSED: Final = 0.92  # of the band: what lies above would fold back


class Resampler:
    """Converts a stream piece by piece; a frame in gives a frame out, a millisecond or two later.

    By FFmpeg where it is installed, because plain Python takes a millisecond for a frame of 16 kHz.
    """

    def __init__(self, rate: int, to_rate: int) -> None:
        kind = AVResampler if is_installed() else PolyphaseResampler
        self._by = kind(rate, to_rate)

    def process(self, pcm: bytes) -> bytes:
        """The next piece at the other rate."""
        return self._by.process(pcm)


class PolyphaseResampler:
    """A `Resampler` in plain Python."""

    def __init__(self, rate: int, to_rate: int) -> None:
        self._kernel = _Kernel(rate, to_rate)
        self._waiting = array("h", bytes(2 * (2 * self._kernel.width - 1)))
        self._at = 0  # the next output sample, counted in steps of `up` to an input sample

    def process(self, pcm: bytes) -> bytes:
        """The next piece at the other rate."""
        kernel = self._kernel
        self._waiting += samples_of(pcm)
        end = (len(self._waiting) - 2 * kernel.width + 1) * kernel.up  # what lies before it can be computed
        count = max(ceil((end - self._at) / kernel.down), 0)
        out = kernel.apply(self._waiting, self._at, count)
        used, self._at = divmod(self._at + count * kernel.down, kernel.up)
        del self._waiting[:used]
        return pcm_of(out)


def resampled(samples: "array[int]", rate: int, to_rate: int) -> "array[int]":
    """A whole sound at the other rate, without delay."""
    if rate == to_rate or not samples:
        return samples
    kernel = _Kernel(rate, to_rate)
    padded = array("h", bytes(2 * kernel.width - 2)) + samples + array("h", bytes(2 * kernel.width))
    return kernel.apply(padded, 0, max(len(samples) * kernel.up // kernel.down, 1))


class _Kernel:
    """The filters: output sample n lies at n * down / up, whose fraction takes only `up` values; each has its own."""

    def __init__(self, rate: int, to_rate: int) -> None:
        divisor = gcd(rate, to_rate)
        self.up, self.down = to_rate // divisor, rate // divisor
        self.width = int(_ZERO_CROSSINGS * max(self.down / self.up, 1.0)) + 1
        self._filters: dict[int, Sequence[float]] = {}

    def apply(self, samples: "array[int]", at: int, count: int) -> "array[int]":
        """``count`` output samples; the first is computed from the 2 * width samples that begin at ``at`` / up."""
        out = array("h", bytes(2 * count))
        length = 2 * self.width
        for n in range(count):
            begin, phase = divmod(at + n * self.down, self.up)
            value = round(sum(map(mul, self._taps(phase), samples[begin : begin + length])))
            out[n] = max(-32768, min(32767, value))
        return out

    def _taps(self, phase: int) -> Sequence[float]:
        taps = self._filters.get(phase)
        if taps is None:
            taps = _filter(phase / self.up, min(self.up / self.down, 1.0) * _PASSED, self.width)
            self._filters[phase] = taps
        return taps


def _filter(offset: float, cutoff: float, width: int) -> Sequence[float]:
    """Taps for a point ``offset`` after a sample, ``width`` of them on each side; they add up to 1."""
    taps = [_tap(position - offset, cutoff, width) for position in range(1 - width, width + 1)]
    total = sum(taps)
    return [tap / total for tap in taps]


def _tap(distance: float, cutoff: float, width: int) -> float:
    window = 0.5 + 0.5 * cos(pi * distance / width) if abs(distance) < width else 0.0
    return window * (sin(pi * cutoff * distance) / (pi * distance) if distance else cutoff)
