"""Tones: which frequencies sound when, how loud, and without clicks."""

from array import array
from itertools import pairwise
from math import cos, log10, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import MediaError
from sip_bridge.media.pcm import samples_of
from sip_bridge.media.tones import COUNTRIES, MAX_SECONDS, TONES, Step, Tone, ToneName, ToneSource, is_tone, tone_of

FULL_SCALE_DBM0 = 3.14  # a sine of full scale


def heard(source: ToneSource, frames: int, rate: int = 8000) -> "array[int]":
    return samples_of(b"".join(source.read(rate) or b"" for _ in range(frames)))


def level(samples: "array[int]", frequency: int, rate: int = 8000) -> float:
    """How loud one frequency is, in dBm0 (Goertzel)."""
    coefficient = 2 * cos(2 * pi * frequency / rate)
    s1 = s2 = 0.0
    for sample in samples:
        s1, s2 = sample + coefficient * s1 - s2, s1
    peak = 2 * sqrt(max(s1 * s1 + s2 * s2 - coefficient * s1 * s2, 1e-9)) / len(samples)
    return 20 * log10(peak / 32768) + FULL_SCALE_DBM0


def loud(samples: "array[int]") -> list[bool]:
    """For each 20 ms whether something sounds."""
    return [max(map(abs, samples[at : at + 160])) > 200 for at in range(0, len(samples), 160)]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_ring_back_of_germany_sounds_for_a_second_and_pauses_for_four(rate: int) -> None:
    samples = heard(tone_of("tone:ringback@de"), 300, rate)
    assert loud(samples[:: rate // 8000]) == ([True] * 50 + [False] * 200 + [True] * 50)
    assert level(samples[800:8000], 425, rate) == pytest.approx(-10, abs=0.3)


def test_two_frequencies_sound_at_once_each_at_its_level() -> None:
    samples = heard(tone_of("tone:ringback@us"), 100)
    assert [level(samples[800:8800], each) for each in (440, 480)] == pytest.approx([-19, -19], abs=0.3)
    assert level(samples[800:8800], 425) < -40


def test_special_information_steps_through_three_frequencies_within_a_frame() -> None:
    samples = heard(tone_of("tone:sit@ch"), 100)
    for number, frequency in enumerate((950, 1400, 1800)):
        middle = samples[number * 2640 + 400 : number * 2640 + 2200]
        assert level(middle, frequency) == pytest.approx(-10, abs=0.3)
    assert not any(samples[7920:15920])


def test_a_dial_tone_goes_on_and_starts_softly() -> None:
    samples = heard(tone_of("tone:dial@fr"), 200)
    assert abs(samples[1]) < 100
    assert loud(samples) == [True] * 200


def test_a_tone_may_have_an_end_within_a_frame() -> None:
    source = tone_of("tone:dial/0.05")
    assert [len(source.read(8000) or b"") for _ in range(4)] == [320, 320, 320, 0]
    samples = heard(tone_of("tone:dial/0.05"), 3)
    assert not any(samples[400:])
    assert abs(samples[399]) < 100


def test_a_tone_with_an_end_ends_in_its_pause_too() -> None:
    source = tone_of("tone:busy/0.75")
    assert sum(source.read(8000) is not None for _ in range(60)) == 38


@pytest.mark.parametrize("country", COUNTRIES)
def test_every_tone_of_every_country_is_free_of_clicks(country: str) -> None:
    for tone in TONES[country].values():
        samples = heard(ToneSource(tone), 60)
        steepest = max(abs(b - a) for a, b in pairwise(samples))
        peak = max(map(abs, samples))
        fastest = max(each for step in tone.steps for each in step.frequencies)
        assert steepest <= peak * 2 * pi * fastest / 8000 * 1.05


@given(st.lists(st.sampled_from([8000, 16000]), max_size=60))
def test_the_rate_may_change_at_any_frame_and_the_cadence_goes_on(rates: list[int]) -> None:
    source = tone_of("tone:congestion@gb")
    steady = tone_of("tone:congestion@gb")
    for rate in rates:
        frame, expected = samples_of(source.read(rate) or b""), samples_of(steady.read(8000) or b"")
        assert max(abs(a - b) for a, b in zip(frame[:: rate // 8000], expected, strict=True)) <= 400  # ramps differ


def test_every_country_has_every_tone_and_names_are_taken_in_any_case() -> None:
    assert {frozenset(each) for each in TONES.values()} == {frozenset(ToneName)}
    assert {"itu", "at", "ch", "de", "es", "fr", "gb", "it", "nl", "pl", "se", "us"} <= set(COUNTRIES)
    assert heard(tone_of("tone:Reorder@DE"), 20) == heard(tone_of("tone:congestion", country="de"), 20)


def test_a_tone_is_told_from_a_file() -> None:
    assert [is_tone(source) for source in ("tone:busy", "tones.wav", "/media/tone:busy")] == [True, False, False]


def test_a_cadence_is_read_from_its_text() -> None:
    assert Tone.parse("400+450/400 0/200", level=-12.0) == Tone(
        steps=(
            Step(frequencies=(400, 450), ms=400),
            Step(frequencies=(), ms=200),
        ),
        level=-12.0,
    )
    assert Tone.parse("425").steps == (Step(frequencies=(425,), ms=None),)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("tone:", "expected a tone like"),
        ("tone:busy/", "expected a tone like"),
        ("tone:busy@de/1e9", "expected a tone like"),
        ("tone:moo", "there is no tone 'moo'; known are dial, ringback"),
        ("tone:busy@xx", "no tones of country 'xx' are known; known are itu"),
        ("tone:busy/0", f"up to {MAX_SECONDS} seconds"),
        ("tone:busy/9999", f"up to {MAX_SECONDS} seconds"),
    ],
)
def test_what_is_no_tone_says_why(source: str, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        tone_of(source)
