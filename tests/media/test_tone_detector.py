"""Hearing keys as sound, by ITU-T Q.24: what is a press, and what is none."""

import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from sip_bridge.media.codec import CODECS, FRAME_MS
from sip_bridge.media.dtmf_tones import KEYPAD, KeyTones, frequencies_of
from sip_bridge.media.tone_detector import ToneDetector
from sip_bridge.media.tones import ZERO_DBM0, tone_of
from tests import sound
from tests.media.test_dtmf_tones import frames_of

Signal = npt.NDArray[np.float64]
ALL = "0123456789*#ABCD"


def heard(signal: Signal, rate: int = 8000) -> str:
    detector = ToneDetector()
    pcm = np.clip(signal, -32768, 32767).astype("<i2").tobytes()
    size = rate // 50 * 2
    return "".join(detector.process(pcm[at : at + size], rate) for at in range(0, len(pcm) - size + 1, size))


def silence(ms: float) -> Signal:
    return np.zeros(int(8 * ms))


def press(
    digit: str,
    ms: float = 50,
    *,
    low_dbm0: float = -10,
    high_dbm0: float = -10,
    low_off: float = 0.0,
    high_off: float = 0.0,
    phase: float = 0.0,
) -> Signal:
    """A pair of tones, each off its frequency by a share of it."""
    low, high = frequencies_of(digit)
    time = np.arange(int(8 * ms)) / 8000
    return np.asarray(
        ZERO_DBM0 * 10 ** (low_dbm0 / 20) * np.sin(2 * np.pi * low * (1 + low_off) * time + phase)
        + ZERO_DBM0 * 10 ** (high_dbm0 / 20) * np.sin(2 * np.pi * high * (1 + high_off) * time + 2 * phase)
    )


def heard_of_each(made: Callable[[str, float], Signal]) -> list[str]:
    """For every key at six places in a frame and as many phases: what is heard."""
    return [
        heard(np.concatenate([silence(40 + shift), made(digit, shift), silence(80)]))
        for digit in ALL
        for shift in (0.0, 3.5, 8.0, 12.3, 17.0, 19.9)
    ]


EACH_ONCE = [digit for digit in ALL for _ in range(6)]
NONE = [""] * 96


# --- what is a press ---


@pytest.mark.parametrize("rate", [8000, 16000])
def test_what_is_sounded_is_heard(rate: int) -> None:
    digits = "".join(random.Random(24).choices(KEYPAD, k=60)) + "1122"
    tones = KeyTones(digits, duration_ms=40, gap_ms=40)
    detector = ToneDetector()
    assert "".join(detector.process(frame, rate) for frame in frames_of(tones, rate)) == digits


@pytest.mark.parametrize("name", ["PCMU", "PCMA", "G722", "opus"])
def test_what_is_sounded_is_heard_through_every_codec(name: str) -> None:
    codec = CODECS[name]
    digits = ALL + "5566"
    tones = KeyTones(digits, duration_ms=60, gap_ms=60)
    encoder, decoder, detector = codec.encoder(FRAME_MS, codec.fmtp or ""), codec.decoder(), ToneDetector()
    frames = list(frames_of(tones, codec.rate))
    passed = [decoder.decode(encoder.encode(frame)) for frame in [*frames, frames[-1]]]
    assert "".join(detector.process(frame, codec.rate) for frame in passed) == digits


def test_a_press_of_40_ms_is_heard_wherever_it_begins() -> None:
    assert heard_of_each(lambda digit, at: press(digit, 40, phase=at)) == EACH_ONCE


@pytest.mark.parametrize(("low_off", "high_off"), [(0.015, 0.015), (-0.015, -0.015), (0.015, -0.015), (-0.015, 0.015)])
def test_tones_may_be_off_by_1_5_percent(low_off: float, high_off: float) -> None:
    pair = heard_of_each(lambda digit, at: press(digit, phase=at, low_off=low_off, high_off=high_off))
    assert pair == EACH_ONCE


@pytest.mark.parametrize(("low_dbm0", "high_dbm0"), [(-6, -14), (-14, -10), (0, -4), (-28, -25), (-3, -3)])
def test_levels_may_differ_as_lines_make_them(low_dbm0: float, high_dbm0: float) -> None:
    made = heard_of_each(lambda digit, at: press(digit, phase=at, low_dbm0=low_dbm0, high_dbm0=high_dbm0))
    assert made == EACH_ONCE


def test_noise_12_db_below_the_tones_is_no_hindrance() -> None:
    noise = np.random.default_rng(24).normal(0, ZERO_DBM0 * 10 ** (-22 / 20), 400)
    assert heard_of_each(lambda digit, at: press(digit, phase=at) + noise) == EACH_ONCE


def test_the_same_key_after_40_ms_is_another_press() -> None:
    twice = heard_of_each(lambda digit, at: np.concatenate([press(digit, phase=at), silence(40), press(digit)]))
    assert twice == [2 * digit for digit in EACH_ONCE]


def test_another_key_without_a_pause_is_another_press() -> None:
    assert heard(np.concatenate([press("1", 60), press("2", 60), press("1", 60), silence(60)])) == "121"


@pytest.mark.parametrize("missing", [10, 20])
def test_a_press_with_a_lost_packet_in_it_is_one(missing: int) -> None:
    tone = press("8", 200)
    tone[640 : 640 + 8 * missing] = 0
    assert heard(np.concatenate([silence(40), tone, silence(60)])) == "8"


def test_a_long_press_is_one() -> None:
    assert heard(press("0", 5000)) == "0"


# --- what is none ---


def test_a_tone_of_20_ms_is_no_press() -> None:
    assert heard_of_each(lambda digit, at: press(digit, 20, phase=at)) == NONE


@pytest.mark.parametrize(
    ("low_off", "high_off"), [(0.035, 0.0), (0.0, 0.035), (-0.035, 0.0), (0.0, -0.035), (0.035, 0.035), (-0.05, 0.05)]
)
def test_tones_off_by_3_5_percent_are_no_press(low_off: float, high_off: float) -> None:
    assert heard_of_each(lambda digit, at: press(digit, phase=at, low_off=low_off, high_off=high_off)) == NONE


@pytest.mark.parametrize(("low_dbm0", "high_dbm0"), [(-6, -18), (-18, -6), (-40, -40), (-10, -99), (-99, -10)])
def test_one_tone_alone_and_quiet_ones_are_no_press(low_dbm0: float, high_dbm0: float) -> None:
    assert heard_of_each(lambda digit, at: press(digit, phase=at, low_dbm0=low_dbm0, high_dbm0=high_dbm0)) == NONE


def test_tones_that_swell_are_no_press_until_they_are_steady() -> None:
    swell = press("3", 60) * np.repeat([0.01, 0.05, 0.3, 0.01, 0.05, 0.3], 80)
    assert heard(np.concatenate([swell, silence(60)])) == ""


@pytest.mark.parametrize("level", [0.05, 0.2, 0.7])
def test_speech_presses_no_key(level: float) -> None:
    assert heard(32768 * sound.speech(8000, seconds=60, level=level)) == ""


def test_noise_and_a_chirp_press_no_key() -> None:
    noise = np.random.default_rng(4733).normal(0, 4000, 8000 * 20)
    assert heard(noise) == ""
    assert heard(32768 * sound.chirp(8000, low=500, high=1800, seconds=10)) == ""


@pytest.mark.parametrize("voices", [1, 2, 3])
def test_music_presses_no_key(voices: int) -> None:
    """Chords of a bowed instrument, all notes of the piano that a telephone lets through."""
    chance = random.Random(440)
    assert heard(np.concatenate([_chord(chance, voices) for _ in range(150)])) == ""


def _chord(chance: random.Random, voices: int) -> Signal:
    time = np.arange(chance.randrange(800, 4000)) / 8000
    chord = np.zeros(len(time))
    for _ in range(voices):
        pitch = 440 * 2 ** (chance.randrange(-24, 24) / 12)
        chord += sum(
            np.sin(2 * np.pi * pitch * overtone * time + chance.uniform(0, 6)) / overtone
            for overtone in range(1, 1 + int(3800 / pitch))
        )
    return np.asarray(chord * 12000 / np.max(np.abs(chord)))


@pytest.mark.parametrize("name", ["dial@us", "busy@us", "ringback@gb", "information", "call_waiting@fr"])
def test_tones_of_the_network_press_no_key(name: str) -> None:
    tone, detector = tone_of(f"tone:{name}/5"), ToneDetector()
    assert "".join(detector.process(frame, 8000) for frame in frames_of(tone, 8000)) == ""


def test_a_stump_of_a_frame_is_nothing() -> None:
    assert [ToneDetector().process(stump, 8000) for stump in (b"", b"\x01", bytes(100))] == [""] * 3
