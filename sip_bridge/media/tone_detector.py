"""Hearing key presses as sound, by the rules of ITU-T Q.24: neither speech nor music may press a key.

Each half of a frame is compared with the eight tones. Two halves in a row tell a tone's frequency from how far its
phase moved between them, and its level from both.
"""

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import add, mul
from typing import Final

from sip_bridge.media.codec import NARROWBAND
from sip_bridge.media.dtmf_tones import HIGH, KEYPAD, LOW
from sip_bridge.media.pcm import samples_of
from sip_bridge.media.tones import ZERO_DBM0

_HALF: Final = 80  # samples, 10 ms
_SECONDS: Final = _HALF / NARROWBAND
_QUIET_PEAK: Final = ZERO_DBM0 * 10 ** (-33 / 20)  # -33 dBm0
_QUIETEST: Final = _HALF / 2 * _QUIET_PEAK**2  # energy of such a tone in a half
_LEAST_SHARE: Final = 0.05  # of a half's energy, that each of the two tones has
_PURITY: Final = 0.87  # the least share of the energy that the two tones have together
_STEADY: Final = 4.0  # the most that two halves differ in energy
_OFF: Final = 0.021  # the most that a frequency is off: 1.5 % is a key, 3.5 % is none
_LOW_TWIST: Final = 10.0  # how much stronger in energy the low tone may be (10 dB) ...
_HIGH_TWIST: Final = 4.0  # ... and the high one (6 dB)
_PAUSE_HALVES: Final = 4  # without the key, until the same key is another press: a lost packet is none


@dataclass(frozen=True, slots=True)
class _Tone:
    """A frequency to compare with, in Hz and in radians a sample."""

    frequency: int
    angle: float


def _tones(frequencies: Sequence[int]) -> tuple[_Tone, ...]:
    return tuple(_Tone(each, 2 * math.pi * each / NARROWBAND) for each in frequencies)


_LOW_TONES: Final = _tones(LOW)
_HIGH_TONES: Final = _tones(HIGH)


@dataclass(frozen=True, slots=True)
class _Half:
    """10 ms in which a pair of tones may be: its energy, and its likeness to each of the tones."""

    energy: float
    low: list[complex]
    high: list[complex]


class ToneDetector:
    """Streaming, of PCM at any multiple of 8000 samples a second; a press is told once, 30 to 50 ms after it began."""

    def __init__(self) -> None:
        self._before: _Half | None = None
        self._seen: str | None = None  # in the last two halves
        self._pressed: str | None = None
        self._absent = 0  # halves since the key that is pressed was heard

    def process(self, pcm: bytes, rate: int) -> str:
        """The keys whose press is certain with this frame."""
        samples = _narrowband(pcm, rate)
        halves = range(0, len(samples) - _HALF + 1, _HALF)
        if max(samples, default=0.0) < _QUIET_PEAK:
            return "".join(self._hear(None) for _ in halves)
        return "".join(self._hear(_half(samples[begin : begin + _HALF])) for begin in halves)

    def _hear(self, half: _Half | None) -> str:
        seen = None if half is None or self._before is None else _key(self._before, half)
        is_certain = seen is not None and seen == self._seen
        self._before, self._seen = half, seen
        if seen is not None and seen == self._pressed:
            self._absent = 0
            return ""
        self._absent += 1
        if self._absent >= _PAUSE_HALVES:
            self._pressed = None
        if seen is None or not is_certain:
            return ""
        self._pressed, self._absent = seen, 0
        return seen


def _narrowband(pcm: bytes, rate: int) -> list[float]:
    """At 8000 samples a second, each the mean of those in its place: good enough for tones far below that."""
    samples = samples_of(pcm)
    step = rate // NARROWBAND
    if step == 1:
        return list(map(float, samples))
    total: Sequence[float] = samples[::step]
    for offset in range(1, step):
        total = list(map(add, total, samples[offset::step]))
    return list(map(mul, total, repeat(1 / step)))


def _half(samples: Sequence[float]) -> _Half | None:
    """10 ms; None when they are too quiet, or hold no pair of tones."""
    energy = sum(map(mul, samples, samples))
    if energy < _QUIETEST:
        return None
    least = energy * _LEAST_SHARE * _HALF / 2
    low = _likeness(samples, _LOW_TONES)
    if max(map(_power, low)) < least:
        return None
    high = _likeness(samples, _HIGH_TONES)
    return _Half(energy, low, high) if max(map(_power, high)) >= least else None


def _likeness(samples: Sequence[float], tones: Sequence[_Tone]) -> list[complex]:
    """Goertzel's algorithm for four tones at once: a Fourier transform but for a turn that all halves share."""
    a, b, c, d = (2 * math.cos(tone.angle) for tone in tones)
    a1 = b1 = c1 = d1 = a2 = b2 = c2 = d2 = 0.0
    for sample in samples:
        a1, a2 = sample + a * a1 - a2, a1
        b1, b2 = sample + b * b1 - b2, b1
        c1, c2 = sample + c * c1 - c2, c1
        d1, d2 = sample + d * d1 - d2, d1
    ends = ((a1, a2), (b1, b2), (c1, c2), (d1, d2))
    return [last - before * cmath.exp(-1j * tone.angle) for tone, (last, before) in zip(tones, ends, strict=True)]


def _power(value: complex) -> float:
    return value.real * value.real + value.imag * value.imag


def _key(first: _Half, second: _Half) -> str | None:
    """The key that sounds through both halves."""
    energy = first.energy + second.energy
    if max(first.energy, second.energy) > _STEADY * min(first.energy, second.energy):
        return None
    row = _strongest(first.low, second.low)
    column = _strongest(first.high, second.high)
    low = _energy_of(first.low[row], second.low[row], _LOW_TONES[row])
    high = _energy_of(first.high[column], second.high[column], _HIGH_TONES[column])
    is_pure = _PURITY * energy <= low + high <= energy / _PURITY
    is_balanced = low <= _LOW_TWIST * high and high <= _HIGH_TWIST * low
    return KEYPAD[len(HIGH) * row + column] if low and high and is_pure and is_balanced else None


def _strongest(first: list[complex], second: list[complex]) -> int:
    powers = [_power(one) + _power(other) for one, other in zip(first, second, strict=True)]
    return powers.index(max(powers))


def _energy_of(first: complex, second: complex, tone: _Tone) -> float:
    """The energy of a tone near the one that is compared with in both halves; 0.0 when it is too far from it."""
    turned = second * cmath.exp(-1j * tone.angle * _HALF)
    off = cmath.phase(turned * first.conjugate()) / (2 * math.pi * _SECONDS)  # Hz
    if abs(off) > _OFF * tone.frequency:
        return 0.0
    missed = math.pi * off * 2 * _SECONDS
    response = (math.sin(missed) / missed) ** 2 if missed else 1.0
    return _power(first + turned) / _HALF / response
