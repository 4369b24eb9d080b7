"""Telephone tones by country: what a caller hears of the network instead of a person.

Frequencies and cadences are those of ITU-T E.180 (1998) and its list of national tones, levels those of E.180 §2 and,
for North America, of the precise tone plan.
"""

import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import accumulate
from math import cos, gcd, pi, sin
from typing import Final

from sip_bridge.errors import MediaError
from sip_bridge.media.codec import frame_samples
from sip_bridge.media.pcm import pcm_of

PREFIX: Final = "tone:"
DEFAULT_COUNTRY: Final = "itu"
MAX_SECONDS: Final = 3600  # that a tone with an end may last
ZERO_DBM0: Final = 32768 * 10 ** (-3.14 / 20)  # the peak of a sine of 0 dBm0 (G.711 §7)
_RAMP_MS: Final = 5  # in which a tone comes and goes, so that it does not click
_SOURCE: Final = re.compile(r"tone:(?P<name>\w+)(?:@(?P<country>\w+))?(?:/(?P<seconds>\d{1,4}(?:\.\d{1,3})?))?")


class ToneName(StrEnum):
    """What a tone tells (ITU-T E.182)."""

    DIAL = "dial"
    RINGBACK = "ringback"
    BUSY = "busy"
    CONGESTION = "congestion"
    CALL_WAITING = "call_waiting"
    INFORMATION = "information"


_OTHER_NAMES: Final = {"ringing": ToneName.RINGBACK, "reorder": ToneName.CONGESTION, "sit": ToneName.INFORMATION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of a cadence: frequencies in Hz that sound together, none for silence; without ``ms`` alone, for ever."""

    frequencies: tuple[int, ...]
    ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """Steps that repeat; ``level`` in dBm0 is that of each frequency."""

    steps: tuple[Step, ...]
    level: float

    @classmethod
    def parse(cls, text: str, *, level: float = -10.0) -> "Tone":
        """``440+480/2000 0/4000``: frequencies and milliseconds of each step; ``425`` goes on for ever."""
        return cls(steps=tuple(_step(part) for part in text.split()), level=level)


def _step(text: str) -> Step:
    frequencies, _, ms = text.partition("/")
    return Step(
        frequencies=tuple(int(each) for each in frequencies.split("+") if each != "0"), ms=int(ms) if ms else None
    )


def _country(
    dial: str, ringback: str, busy: str, congestion: str, call_waiting: str, information: str
) -> "dict[ToneName, Tone]":
    cadences = (dial, ringback, busy, congestion, call_waiting, information)
    return {name: Tone.parse(cadence) for name, cadence in zip(ToneName, cadences, strict=True)}


_SIT: Final = "950/330 1400/330 1800/330 0/1000"

# By ISO 3166 code: dial, ring-back, busy, congestion, call waiting, special information.
TONES: Final[dict[str, dict[ToneName, Tone]]] = {
    "itu": _country("425", "425/1000 0/4000", "425/500 0/500", "425/250 0/250", "425/200 0/600 425/200 0/3000", _SIT),
    "at": _country(
        "420", "420/1000 0/5000", "420/400 0/400", "420/200 0/200", "420/40 0/1960", "950/330 1450/330 1850/330 0/1000"
    ),
    "be": _country(
        "425", "425/1000 0/3000", "425/500 0/500", "425/167 0/167", "1400/175 0/175 1400/175 0/3500",
        "900/330 1400/330 1800/330 0/1000",
    ),
    "ch": _country(
        "425", "425/1000 0/4000", "425/500 0/500", "425/200 0/200", "425/200 0/200 425/200 0/4000", _SIT
    ),
    "de": _country(
        "425", "425/1000 0/4000", "425/480 0/480", "425/240 0/240", "425/200 0/200 425/200 0/5000", _SIT
    ),
    "es": _country(
        "425", "425/1500 0/3000", "425/200 0/200", "425/200 0/200 425/200 0/200 425/200 0/600",
        "425/175 0/175 425/175 0/3500", _SIT,
    ),
    "fr": _country("440", "440/1500 0/3500", "440/500 0/500", "440/250 0/250", "440/300 0/10000", _SIT),
    "gb": _country(
        "350+440", "400+450/400 0/200 400+450/400 0/2000", "400/375 0/375", "400/400 0/350 400/225 0/525",
        "400/100 0/4000", "950/330 0/15 1400/330 0/15 1800/330 0/1000",
    ),
    "it": _country(
        "425/200 0/200 425/600 0/1000", "425/1000 0/4000", "425/500 0/500", "425/200 0/200",
        "425/400 0/100 425/250 0/100 425/150 0/14000", _SIT,
    ),
    "nl": _country("425", "425/1000 0/4000", "425/500 0/500", "425/250 0/250", "425/500 0/9500", _SIT),
    "pl": _country(
        "425", "425/1000 0/4000", "425/500 0/500", "425/500 0/500", "425/150 0/150 425/150 0/4000", _SIT
    ),
    "se": _country(
        "425", "425/1000 0/5000", "425/250 0/250", "425/250 0/750", "425/200 0/500 425/200 0/9100",
        "950/332 0/24 1400/332 0/24 1800/332 0/2024",
    ),
    "us": {
        ToneName.DIAL: Tone.parse("350+440", level=-13.0),
        ToneName.RINGBACK: Tone.parse("440+480/2000 0/4000", level=-19.0),
        ToneName.BUSY: Tone.parse("480+620/500 0/500", level=-24.0),
        ToneName.CONGESTION: Tone.parse("480+620/250 0/250", level=-24.0),
        ToneName.CALL_WAITING: Tone.parse("440/300 0/10000", level=-13.0),
        ToneName.INFORMATION: Tone.parse(_SIT, level=-13.0),
    },
}  # fmt: skip
COUNTRIES: Final = tuple(TONES)


def is_tone(source: str) -> bool:
    """Whether a source names a tone."""
    return source.startswith(PREFIX)


def tone_of(source: str, *, country: str = DEFAULT_COUNTRY) -> "ToneSource":
    """What ``tone:NAME[@COUNTRY][/SECONDS]`` sounds like; without seconds it has no end. MediaError for what is none.

    NAME is one of `ToneName`; COUNTRY is one of `COUNTRIES`, ``country`` unless it is named.
    """
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise MediaError("expected a tone like tone:busy, tone:busy@de or tone:busy@de/5")
    text, land = match["name"].lower(), (match["country"] or country).lower()
    name = _OTHER_NAMES.get(text) or next((each for each in ToneName if each == text), None)
    if name is None:
        raise MediaError(f"there is no tone {text!r}; known are {', '.join(ToneName)}")
    if land not in TONES:
        raise MediaError(f"no tones of country {land!r} are known; known are {', '.join(COUNTRIES)}")
    seconds = float(match["seconds"]) if match["seconds"] else None
    if seconds is not None and not 0 < seconds <= MAX_SECONDS:
        raise MediaError(f"expected a tone of up to {MAX_SECONDS} seconds")
    return ToneSource(TONES[land][name], seconds=seconds)


class ToneSource:
    """A tone as an audio source, for ``seconds`` or without end; rates are whole kHz and may change at any frame."""

    def __init__(self, tone: Tone, *, seconds: float | None = None) -> None:
        self._tone = tone
        self._frames = 0  # that were read
        self._end_ms = None if seconds is None else max(round(seconds * 1000), 1)

    def read(self, rate: int) -> bytes | None:
        """The next 20 ms at ``rate`` samples a second, None when there is no more."""
        count = frame_samples(rate)
        begin = self._frames * count
        end = None if self._end_ms is None else self._end_ms * rate // 1000
        if end is not None and begin >= end:
            return None
        self._frames += 1
        frame = array("h")
        while len(frame) < count:
            at = begin + len(frame)
            frame += self._part(at, count - len(frame), end, rate)
        return pcm_of(frame)

    def _part(self, at: int, count: int, end: int | None, rate: int) -> "array[int]":
        """Up to ``count`` samples from sample ``at`` on, within one step."""
        if end is not None and at >= end:
            return array("h", bytes(2 * count))
        step, since, length = self._step_at(at, rate)
        left = None if length is None else length - since
        if end is not None:
            left = end - at if left is None else min(left, end - at)
        count = count if left is None else min(count, left)
        if not step.frequencies:
            return array("h", bytes(2 * count))
        wave = _wave(step.frequencies, self._tone.level, rate)
        begin = at % len(wave)
        sound = (wave * ((begin + count) // len(wave) + 1))[begin : begin + count]
        return _ramped(sound, since, left, rate * _RAMP_MS // 1000)

    def _step_at(self, at: int, rate: int) -> tuple[Step, int, int | None]:
        """The step at sample ``at``, how many samples of it are over, and how many it has: None for no end."""
        if self._tone.steps[-1].ms is None:
            return self._tone.steps[-1], at, None
        lengths = [(step.ms or 0) * rate // 1000 for step in self._tone.steps]
        ends = list(accumulate(lengths))
        since = at % ends[-1]
        index = bisect_right(ends, since)
        return self._tone.steps[index], since - ends[index] + lengths[index], lengths[index]


@cache  # a frequency set, level and rate of the tables: a few hundred bytes each
def _wave(frequencies: tuple[int, ...], level: float, rate: int) -> "array[int]":
    """One period, after which every one of the frequencies has come back to where it began."""
    peak = ZERO_DBM0 * 10 ** (level / 20)
    length = rate // gcd(rate, *frequencies)
    return array(
        "h",
        [round(peak * sum(sin(2 * pi * (each * n % rate) / rate) for each in frequencies)) for n in range(length)],
    )


def _ramped(sound: "array[int]", since: int, left: int | None, ramp: int) -> "array[int]":
    """A part of a step, softer within ``ramp`` samples of the step's beginning and end."""
    for n in range(len(sound)):
        distance = since + n if left is None else min(since + n, left - 1 - n)
        if distance < ramp:
            sound[n] = round(sound[n] * (0.5 - 0.5 * cos(pi * (distance + 0.5) / ramp)))
    return sound
