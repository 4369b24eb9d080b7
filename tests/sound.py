"""Test signals, and measures of what became of them on their way.

A signal is an array of mono samples, 1.0 being full scale, at ``rate`` samples a second.
"""

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float64]

_FULL_SCALE: Final = 32768.0
_LEAST_CORRELATION: Final = 0.3  # of what is taken for the same sound at all
_WINDOW: Final = 0.01  # seconds: gaps are found to about this much
_LOUD: Final = 0.05  # of the loudest window: what is weaker can be left out without a gap
_GONE: Final = 0.15  # of what a window should have
_STEPS: Final = 100  # into which a sample is divided to align two signals


class SoundError(AssertionError):
    """What was heard is not what was sent."""


# --- signals ---


def chirp(rate: int, *, low: float = 300.0, high: float = 3400.0, seconds: float = 1.0, level: float = 0.5) -> Signal:
    """A tone that rises from ``low`` to ``high`` Hz, evenly in time, with soft ends."""
    time = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * (low * time + (high - low) * time**2 / (2 * seconds))
    return level * np.sin(phase) * _soft_ends(len(time), rate)


def tone(rate: int, frequency: float, *, seconds: float = 1.0, level: float = 0.5) -> Signal:
    """A sine."""
    return np.asarray(level * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate))


def silence(rate: int, seconds: float) -> Signal:
    """Nothing."""
    return np.zeros(round(rate * seconds))


def speech(rate: int, *, seconds: float = 3.0, level: float = 0.7) -> Signal:
    """Like a voice: vowels over a wandering pitch, hissed consonants, pauses; the same each time.

    What telephony does to speech, codecs made for it and voice activity, it does to this too; a recording would say no
    more, and would be a file that nobody can read.
    """
    chance = np.random.default_rng(8866)
    parts = [_syllable(rate, number, chance) for number in range(round(seconds / 0.15))]
    spoken = np.concatenate(parts)[: round(rate * seconds)]
    return np.asarray(spoken * (level / np.max(np.abs(spoken))))


# Frequencies of the first three formants (Peterson and Barney, 1952) in a man's voice: a, e, i, o, u.
_VOWELS: Final = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))


def _syllable(rate: int, number: int, chance: np.random.Generator) -> Signal:
    """A hiss, a vowel, and after every fifth one a pause; about 190 ms on average."""
    hiss = chance.standard_normal(round(rate * chance.uniform(0.03, 0.06)))
    hiss = _between(hiss, rate, 2000, 7000) * _soft_ends(len(hiss), rate) * 0.25
    pause = [silence(rate, 0.15)] if number % 5 == 4 else []
    return np.concatenate([hiss, _vowel(rate, _VOWELS[number % len(_VOWELS)], chance), *pause])


def _vowel(rate: int, formants: tuple[int, ...], chance: np.random.Generator) -> Signal:
    """The harmonics of a gliding pitch, each as loud as the formants let it be."""
    length = round(rate * chance.uniform(0.09, 0.14))
    pitch = np.linspace(chance.uniform(105, 150), chance.uniform(95, 140), length)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    vowel = np.zeros(length)
    for harmonic in range(1, int(min(rate / 2, 7000) / np.max(pitch))):
        frequency = harmonic * float(np.mean(pitch))
        loudness = sum(1 / (1 + ((frequency - formant) / 90) ** 2) / (n + 1) for n, formant in enumerate(formants))
        vowel += (loudness + 0.003) * np.sin(harmonic * phase + harmonic**2)
    return vowel * _soft_ends(length, rate, seconds=0.02)


def _soft_ends(length: int, rate: int, seconds: float = 0.005) -> Signal:
    ramp = np.minimum(np.arange(length) / (rate * seconds), 1.0)
    return np.asarray(np.sin(np.pi / 2 * np.minimum(ramp, ramp[::-1])) ** 2)


def _between(signal: Signal, rate: int, low: float, high: float) -> Signal:
    """Only what lies in a band."""
    spectrum = np.fft.rfft(signal)
    frequencies = np.fft.rfftfreq(len(signal), 1 / rate)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    return np.asarray(np.fft.irfft(spectrum, len(signal)))


def from_pcm(pcm: bytes) -> Signal:
    """A signal from signed 16-bit little-endian samples."""
    return np.frombuffer(pcm, "<i2") / _FULL_SCALE


def to_pcm(signal: Signal) -> bytes:
    """The inverse of `from_pcm`; what is too loud is clipped."""
    return np.clip(np.round(signal * _FULL_SCALE), -32768, 32767).astype("<i2").tobytes()


def at_rate(signal: Signal, rate: int, to_rate: int) -> Signal:
    """The same sound with another number of samples a second; nothing above either's band is left."""
    length = round(len(signal) * to_rate / rate)
    spectrum = np.fft.rfft(signal)
    wanted = np.zeros(length // 2 + 1, complex)
    shared = min(len(wanted), len(spectrum))
    wanted[:shared] = spectrum[:shared]
    return np.asarray(np.fft.irfft(wanted, length)) * (to_rate / rate)


# --- measures ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What became of a signal: it came ``delay_ms`` after the begin of what was heard, ``gain`` times as loud, and
    what else was heard meanwhile was ``snr_db`` weaker; ``gaps_ms`` are the times in which it was gone.
    """

    delay_ms: float
    gain: float
    snr_db: float
    gaps_ms: tuple[float, ...]


def compare(sent: Signal, heard: Signal, rate: int) -> Comparison:
    """Find ``sent`` in ``heard``, to a part of a sample, and measure the difference; SoundError when it isn't there."""
    return _compared(sent, heard, _find(sent, heard), rate)


def typically(sent: Signal, heard: Signal, rate: int) -> Comparison:
    """As `compare`, but the median over pieces of 0.3 s, and the gaps of all of them: where a jitter buffer shifts the
    sound on a busy machine, that spoils one piece.
    """
    _, delays = followed(sent, heard, rate)
    size = round(rate * _PIECE)
    begins = {n * size: n * size + round(delay * rate / 1000) for n, delay in enumerate(delays)}
    pieces = {
        at: _compared(sent[at : at + size], heard, begin, rate)
        for at, begin in begins.items()
        if 0 <= begin <= len(heard) - size
    }
    return Comparison(
        delay_ms=float(np.median([piece.delay_ms - at / rate * 1000 for at, piece in pieces.items()])),
        gain=float(np.median([piece.gain for piece in pieces.values()])),
        snr_db=float(np.median([piece.snr_db for piece in pieces.values()])),
        gaps_ms=tuple(gap for piece in pieces.values() for gap in piece.gaps_ms),
    )


def _compared(sent: Signal, heard: Signal, start: int, rate: int) -> Comparison:
    part = heard[max(start, 0) : start + len(sent)]
    sent = sent[max(-start, 0) :][: len(part)]  # what was cut off at the begin or at the end is not compared
    fraction = _fraction(sent, part)
    aligned = _delayed(sent, fraction)
    gain = float(np.dot(aligned, part) / np.dot(aligned, aligned))
    noise = float(np.sum((part - gain * aligned) ** 2))
    snr = 10 * np.log10(gain**2 * np.dot(aligned, aligned) / max(noise, 1e-12))
    return Comparison(
        delay_ms=(start + fraction) / rate * 1000,
        gain=gain,
        snr_db=float(snr),
        gaps_ms=_gaps(aligned * gain, part, rate),
    )


def _find(sent: Signal, heard: Signal) -> int:
    """The sample of ``heard`` at which ``sent`` begins; negative when its begin is missing."""
    size = 1 << (len(sent) + len(heard)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sent, size)), size)
    best = int(np.argmax(np.abs(correlation)))
    start = best if best < len(heard) else best - size
    part = heard[max(start, 0) : start + len(sent)]
    alike = abs(float(correlation[best])) / max(float(np.linalg.norm(sent) * np.linalg.norm(part)), 1e-9)
    if alike < _LEAST_CORRELATION:
        raise SoundError(f"what was sent is not in what was heard: their correlation is {alike:.2f} at best")
    return start


def _fraction(sent: Signal, part: Signal) -> float:
    """By what part of a sample, -1 to 1, ``part`` lags behind ``sent``."""
    size = 2 * len(sent)
    cross = np.fft.rfft(part, size) * np.conj(np.fft.rfft(sent, size))
    turn = 2j * np.pi * np.arange(len(cross)) / size
    shifts = np.arange(-_STEPS, _STEPS + 1) / _STEPS
    return float(shifts[np.argmax([abs(np.sum(cross * np.exp(turn * shift)).real) for shift in shifts])])


def _delayed(signal: Signal, samples: float) -> Signal:
    """Later by a part of a sample."""
    size = 2 * len(signal)
    turn = -2j * np.pi * np.arange(size // 2 + 1) / size
    return np.asarray(np.fft.irfft(np.fft.rfft(signal, size) * np.exp(turn * samples), size)[: len(signal)])


def _gaps(expected: Signal, heard: Signal, rate: int) -> tuple[float, ...]:
    """How many milliseconds each time in which a loud sound is all but gone lasts."""
    loudness, left = _levels(expected, rate), _levels(heard, rate)
    is_gone = (loudness > _LOUD * np.max(loudness)) & (left < _GONE * loudness)
    runs = (len(list(run)) for gone, run in groupby(is_gone) if gone)
    return tuple(round(run * _WINDOW * 1000, 1) for run in runs)


def _levels(signal: Signal, rate: int) -> Signal:
    """The root mean square of each window."""
    size = round(rate * _WINDOW)
    windows = signal[: len(signal) // size * size].reshape(-1, size)
    return np.asarray(np.sqrt(np.mean(windows**2, axis=1)))


def band_levels(signal: Signal, rate: int, *edges: float) -> tuple[float, ...]:
    """What part of the energy lies between each two ``edges`` in Hz."""
    power = np.abs(np.fft.rfft(signal)) ** 2
    frequencies = np.fft.rfftfreq(len(signal), 1 / rate)
    return tuple(
        float(np.sum(power[(frequencies >= low) & (frequencies < high)]) / np.sum(power))
        for low, high in pairwise(edges)
    )


# --- speech over a bad network ---

_PIECE: Final = 0.3  # seconds of speech that one delay is taken for
_BANDS: Final = 15  # of a third of an octave, from 150 Hz on
_SEGMENT: Final = 30  # frames that are compared at a time: 384 ms
_CLIP: Final = 1 + 10 ** (15 / 20)  # times the clean envelope: worse than -15 dB counts as that
_RANGE: Final = 10 ** (-40 / 20)  # of the loudest frame: what is weaker is a pause
_STOI_RATE: Final = 10000


def followed(sent: Signal, heard: Signal, rate: int, *, within: float = 0.3) -> tuple[Signal, tuple[float, ...]]:
    """What was heard, piece by piece put back where it was sent, and each piece's delay in ms.

    A jitter buffer shifts the sound; a listener's ear follows it, and so does this, ``within`` so many seconds of where
    the whole fits best.
    """
    start = _find(sent, heard)
    size, reach = round(rate * _PIECE), round(rate * within)
    padded = np.concatenate([np.zeros(reach + max(-start, 0)), heard, np.zeros(len(sent) + 2 * reach)])
    pieces, delays = [], []
    for at in range(0, len(sent) - size + 1, size):
        piece = sent[at : at + size]
        around = padded[max(start, 0) + at :][: size + 2 * reach]
        shift = int(np.argmax(np.correlate(around, piece, "valid")))
        pieces.append(around[shift : shift + size])
        delays.append((start + shift - reach) / rate * 1000)
    return np.concatenate(pieces), tuple(delays)


def intelligibility(sent: Signal, heard: Signal, rate: int) -> float:
    """How much of the speech can be understood, 0.0 to 1.0: the short-time objective intelligibility.

    Taal, Hendriks, Heusdens and Jensen, 2011: the correlation of envelopes in bands of a third of an octave. Above 0.75
    or so nearly every word is understood. ``heard`` is aligned, as `followed` makes it.
    """
    clean, noisy = (_frames(at_rate(signal[: len(heard)], rate, _STOI_RATE)) for signal in (sent, heard))
    loudness = np.linalg.norm(clean, axis=1)
    is_speech = loudness > _RANGE * np.max(loudness)
    clean, noisy = _envelopes(clean[is_speech]), _envelopes(noisy[is_speech])
    scores = [
        _likeness(clean[:, end - _SEGMENT : end], noisy[:, end - _SEGMENT : end])
        for end in range(_SEGMENT, clean.shape[1] + 1)
    ]
    return float(np.mean(scores))


def _likeness(clean: Signal, noisy: Signal) -> float:
    """The mean correlation of the bands' envelopes in one segment."""
    scale = np.linalg.norm(clean, axis=1) / np.maximum(np.linalg.norm(noisy, axis=1), 1e-12)
    clipped = np.minimum(noisy * scale[:, None], clean * _CLIP)
    one, other = (each - np.mean(each, axis=1, keepdims=True) for each in (clean, clipped))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.mean(np.sum(one * other, axis=1) / np.maximum(norms, 1e-12)))


def _frames(signal: Signal) -> Signal:
    """Windowed frames of 256 samples, each half over the one before."""
    starts = range(0, len(signal) - 256 + 1, 128)
    window = np.hanning(258)[1:-1]
    return np.array([signal[start : start + 256] * window for start in starts])


def _envelopes(frames: Signal) -> Signal:
    """A row for each band, a column for each frame."""
    power = np.abs(np.fft.rfft(frames, 512, axis=1)) ** 2
    frequencies = np.fft.rfftfreq(512, 1 / _STOI_RATE)
    centers = 150 * 2 ** (np.arange(_BANDS) / 3)
    rows = [
        np.sqrt(np.sum(power[:, (frequencies >= c / 2 ** (1 / 6)) & (frequencies < c * 2 ** (1 / 6))], axis=1))
        for c in centers
    ]
    return np.array(rows)
