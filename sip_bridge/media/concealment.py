"""What is heard in place of sound that did not come, in the spirit of ITU-T G.711 Appendix I.

The last pitch period is said again and again, softer all the time, and silence follows after 60 ms. Where sound comes
back the two are cross-faded. The same search for the pitch lets a stretch of speech be shortened by a period.
"""

from array import array
from collections.abc import Sequence
from operator import mul
from typing import Final

from sip_bridge.media.pcm import pcm_of, samples_of

HISTORY_MS: Final = 35  # of sound that a period is found in
FADE_BEGINS_MS: Final = 10
FADE_ENDS_MS: Final = 60
_SHORTEST_MS: Final = 5  # a voice of 200 Hz; of a higher one, two periods
_LONGEST_MS: Final = 15  # 66 Hz
_WINDOW_MS: Final = 20  # that are compared with what was said a period before
_CROSS_FADE_MS: Final = 5
_SEARCH_RATE: Final = 4000  # samples a second are enough to tell about where the period is


class Concealment:
    """Goes on with the sound of one stream where it broke off."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._fade_begins = FADE_BEGINS_MS * rate // 1000
        self._fade_ends = FADE_ENDS_MS * rate // 1000
        self._overlap = _CROSS_FADE_MS * rate // 1000
        self._cycle = array("h")
        self._step = 0  # by which the first sample would miss the one before
        self._made = 0  # samples since the sound broke off
        self.is_active = False

    def begin(self, history: bytes) -> None:
        """The sound breaks off after ``history``; nothing of it is longer ago than 100 ms."""
        self.is_active = True
        self._made = 0
        samples = samples_of(history)
        if not any(samples):
            self._cycle = array("h")
            return
        period = pitch_period(samples, self._rate)
        lead = array("h", bytes(4 * period)) + samples
        cycle, before = lead[-period:], lead[-2 * period : -period]
        self._step = lead[-1] - before[-1]
        # The end of the period fades to what came before its beginning, so that it can follow itself.
        joint = period // 4
        self._cycle = cycle[:-joint] + cross_faded(cycle[-joint:], before[-joint:])

    @property
    def is_silent(self) -> bool:
        """Whether nothing is left to be heard."""
        return self.is_active and (not self._cycle or self._made >= self._fade_ends)

    def fill(self, count: int) -> bytes:
        """The next samples of what is not there."""
        made = pcm_of(self._synthesized(count))
        self._made += count
        return made

    def join(self, pcm: bytes) -> bytes:
        """The sound is back: its beginning, grown out of what would have been filled in."""
        self.is_active = False
        if not self._cycle:
            return pcm
        samples = samples_of(pcm)
        overlap = min(self._overlap, len(samples))
        return pcm_of(cross_faded(self._synthesized(overlap), samples[:overlap])) + pcm[2 * overlap :]

    def _synthesized(self, count: int) -> "array[int]":
        period, begin = len(self._cycle), self._made
        end = min(begin + count, self._fade_ends)
        if not period or begin >= end:
            return array("h", bytes(2 * count))
        phase = begin % period
        made = (self._cycle * ((end - begin) // period + 2))[phase : phase + end - begin]
        for n in range(begin, min(self._overlap, end)):
            sample = made[n - begin] + self._step * (self._overlap - n - 1) // self._overlap
            made[n - begin] = max(-32768, min(32767, sample))
        fades = max(self._fade_begins - begin, 0)
        left, fade = self._fade_ends - begin - fades, self._fade_ends - self._fade_begins
        made[fades:] = array("h", [sample * (left - n) // fade for n, sample in enumerate(made[fades:])])
        return made + array("h", bytes(2 * (count - len(made))))


def cross_faded(going: "array[int]", coming: "array[int]") -> "array[int]":
    """From one sound to another of the same length."""
    count = len(going) + 1
    return array(
        "h", [(a * (count - n) + b * n) // count for n, (a, b) in enumerate(zip(going, coming, strict=True), start=1)]
    )


def shortened(pcm: bytes, rate: int) -> bytes:
    """The same sound without one of its pitch periods, 5 to 15 ms; it is at least 40 ms long."""
    samples = samples_of(pcm)
    end = HISTORY_MS * rate // 1000
    period = pitch_period(samples[:end], rate)
    overlap = _CROSS_FADE_MS * rate // 1000
    resumes = end - _WINDOW_MS * rate // 1000
    leaves = resumes - period
    joint = cross_faded(samples[leaves : leaves + overlap], samples[resumes : resumes + overlap])
    return pcm[: 2 * leaves] + pcm_of(joint) + pcm[2 * (resumes + overlap) :]


def pitch_period(samples: Sequence[int], rate: int) -> int:
    """After how many samples the sound repeats itself at its end: where it is most like what went before.

    What never does gives the longest period: a long piece of noise said again is heard least.
    """
    shortest, longest = _SHORTEST_MS * rate // 1000, _LONGEST_MS * rate // 1000
    need = HISTORY_MS * rate // 1000
    heard = [0] * (need - len(samples)) + list(samples[-need:])
    stride = rate // _SEARCH_RATE
    coarse = stride * _best_lag(heard[stride - 1 :: stride], shortest // stride, longest // stride)
    return _best_lag(heard, max(coarse - stride + 1, shortest), min(coarse + stride - 1, longest))


def _best_lag(samples: Sequence[int], shortest: int, longest: int) -> int:
    """The lag whose correlation is best, normalised by the energy of what lies that far back."""
    begin = len(samples) * _LONGEST_MS // HISTORY_MS
    size = len(samples) - begin
    window = samples[begin:]
    first = samples[begin - shortest : begin - shortest + size]
    energy = sum(map(mul, first, first))
    best, best_score = longest, 0.0
    for lag in range(shortest, longest + 1):
        at = begin - lag
        product = sum(map(mul, window, samples[at : at + size]))
        if product > 0 and product * product > best_score * energy:
            best, best_score = lag, product * product / energy
        energy += samples[at - 1] ** 2 - samples[at + size - 1] ** 2
    return best
