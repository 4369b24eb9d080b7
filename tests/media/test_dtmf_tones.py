"""Key presses as sound."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.dtmf import KEYS
from sip_bridge.media.dtmf_tones import KEYPAD, KeyTones, frequencies_of
from sip_bridge.media.tones import ZERO_DBM0
from sip_bridge.phone.audio import AudioSource


def frames_of(source: AudioSource, rate: int) -> Iterator[bytes]:
    while (frame := source.read(rate)) is not None:
        yield frame


def sound_of(tones: KeyTones, rate: int) -> "np.typing.NDArray[np.float64]":
    return np.frombuffer(b"".join(frames_of(tones, rate)), "<i2").astype(float)


def level(sound: "np.typing.NDArray[np.float64]", frequency: float, rate: int) -> float:
    """Of one tone, in dBm0."""
    turn = np.exp(-2j * np.pi * frequency / rate * np.arange(len(sound)))
    return 20 * math.log10(2 * abs(np.dot(sound, turn)) / len(sound) / ZERO_DBM0)


@pytest.mark.parametrize(
    ("digit", "pair"), [("1", (697, 1209)), ("0", (941, 1336)), ("#", (941, 1477)), ("D", (941, 1633))]
)
def test_a_key_has_the_tones_of_its_row_and_column(digit: str, pair: tuple[int, int]) -> None:
    assert frequencies_of(digit) == pair


def test_every_key_has_tones_of_its_own() -> None:
    assert sorted(KEYPAD) == sorted(KEYS)
    assert len({frequencies_of(digit) for digit in KEYS}) == 16


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("digit", ["1", "9", "*"])
def test_the_low_tone_has_10_dbm0_below_zero_and_the_high_one_8(digit: str, rate: int) -> None:
    sound = sound_of(KeyTones(digit, duration_ms=1000, gap_ms=0), rate)
    assert len(sound) == rate
    assert [level(sound, frequency, rate) for frequency in frequencies_of(digit)] == pytest.approx([-10, -8], abs=0.1)
    assert max(abs(sound)) < 32000


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_tone_comes_and_goes_without_a_click(rate: int) -> None:
    sound = sound_of(KeyTones("5", duration_ms=60, gap_ms=0), rate)
    ramp = rate // 1000
    assert max(abs(sound[:ramp])) < 0.4 * max(abs(sound))
    assert max(abs(sound[-ramp:])) < 0.4 * max(abs(sound))
    assert abs(sound[0]) + abs(sound[-1]) < 2000


def test_presses_have_whole_frames_and_gaps_between_them() -> None:
    sound = sound_of(KeyTones("12", duration_ms=50, gap_ms=30), 8000)
    loud = [bool(np.any(frame)) for frame in sound.reshape(-1, 160)]
    assert loud == [True, True, True, False, False] * 2


def test_a_comma_is_half_a_second_of_nothing() -> None:
    sound = sound_of(KeyTones(",1", duration_ms=20, gap_ms=0), 8000)
    assert [bool(np.any(frame)) for frame in sound.reshape(-1, 160)] == [False] * 25 + [True]


def test_the_rate_may_change_within_a_press() -> None:
    tones = KeyTones("7", duration_ms=40, gap_ms=0)
    assert [len(tones.read(8000) or b""), len(tones.read(16000) or b""), tones.read(8000)] == [320, 640, None]


@given(st.text(KEYS, max_size=8), st.integers(1, 300), st.integers(0, 300))
def test_all_keys_are_sounded_and_then_it_is_over(digits: str, duration_ms: int, gap_ms: int) -> None:
    frames = len(digits) * (-(-duration_ms // 20) + -(-gap_ms // 20))
    assert len(sound_of(KeyTones(digits, duration_ms=duration_ms, gap_ms=gap_ms), 8000)) == 160 * frames
