"""The measures of sound themselves: what goes in with a known fault comes out with that figure."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.sound import (
    Signal,
    SoundError,
    band_levels,
    chirp,
    compare,
    followed,
    from_pcm,
    intelligibility,
    silence,
    speech,
    to_pcm,
    tone,
)

RATES = (8000, 16000)
Maker = Callable[[int], Signal]


def noise(length: int, *, level: float) -> Signal:
    return np.random.default_rng(1).standard_normal(length) * level


def loudness(signal: Signal) -> float:
    return float(np.sqrt(np.mean(signal**2)))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("make", [chirp, speech])
def test_a_known_delay_and_gain_are_measured(rate: int, make: Maker) -> None:
    sent = make(rate)
    heard = np.concatenate([silence(rate, 0.1), 0.5 * sent, silence(rate, 0.2)])
    found = compare(sent, heard, rate)
    assert found.delay_ms == pytest.approx(100.0)
    assert found.gain == pytest.approx(0.5)
    assert found.snr_db > 90
    assert found.gaps_ms == ()


def test_a_delay_of_half_a_sample_costs_no_quality() -> None:
    fine = chirp(16000, high=3000)
    sent, heard = fine[::2], np.concatenate([silence(8000, 0.02), fine[1::2]])
    found = compare(sent, heard, 8000)
    assert found.delay_ms == pytest.approx(20.0 - 0.0625, abs=0.002)
    assert found.snr_db > 45


@pytest.mark.parametrize("snr", [6, 20, 40])
@pytest.mark.parametrize("make", [chirp, speech])
def test_known_noise_is_measured(snr: int, make: Maker) -> None:
    sent = make(8000)
    heard = sent + noise(len(sent), level=loudness(sent) * 10 ** (-snr / 20))
    assert compare(sent, heard, 8000).snr_db == pytest.approx(snr, abs=0.5)


def test_what_was_cut_off_at_either_end_is_not_compared() -> None:
    sent = speech(8000)
    assert compare(sent, sent[400:-800], 8000).delay_ms == pytest.approx(-50.0)
    assert compare(sent, sent[400:-800], 8000).snr_db > 60


@pytest.mark.parametrize("make", [chirp, speech])
def test_a_polarity_that_was_swapped_is_a_negative_gain(make: Maker) -> None:
    sent = make(8000)
    assert compare(sent, -sent, 8000).gain == pytest.approx(-1.0)


@pytest.mark.parametrize("heard", [silence(8000, 1.0), noise(8000, level=0.1), tone(8000, 440)])
def test_another_sound_is_not_taken_for_the_one_that_was_sent(heard: Signal) -> None:
    with pytest.raises(SoundError, match="not in what was heard"):
        compare(speech(8000), heard, 8000)


def test_gaps_are_found_and_pauses_of_the_speaker_are_none() -> None:
    sent = chirp(8000, seconds=2.0)
    heard = sent.copy()
    heard[1600:1760] = 0
    heard[8000:8480] = 0
    assert compare(sent, heard, 8000).gaps_ms == (20.0, 60.0)
    assert compare(speech(8000), speech(8000), 8000).gaps_ms == ()


def test_a_chirp_lies_in_its_band() -> None:
    narrow = band_levels(chirp(16000), 16000, 0, 250, 3450, 8000)
    assert narrow == pytest.approx((0, 1, 0), abs=0.01)
    assert band_levels(chirp(16000, low=100, high=7000), 16000, 0, 3400, 7100) == pytest.approx((0.48, 0.52), abs=0.02)


def test_speech_is_the_same_each_time_and_fills_the_band_of_a_telephone() -> None:
    sent = speech(16000, seconds=2.0)
    assert len(sent) == 32000
    assert np.array_equal(sent, speech(16000, seconds=2.0))
    assert float(np.max(np.abs(sent))) == pytest.approx(0.7)
    low, high = band_levels(sent, 16000, 80, 3400, 7000)
    assert low > 0.9
    assert high > 0.0005


def test_pcm_there_and_back_is_the_same_to_half_a_step() -> None:
    signal = chirp(8000)
    assert np.max(np.abs(from_pcm(to_pcm(signal)) - signal)) <= 0.5 / 32768
    assert from_pcm(to_pcm(np.array([2.0, -2.0]))) == pytest.approx([32767 / 32768, -1.0])


# --- speech over a bad network ---


def test_sound_that_shifts_on_its_way_is_followed() -> None:
    sent = speech(8000)
    heard = np.concatenate([silence(8000, 0.1), sent[:12000], silence(8000, 0.04), sent[12000:]])
    aligned, delays = followed(sent, heard, 8000)
    assert delays == pytest.approx([100.0] * 5 + [140.0] * 5)
    assert intelligibility(sent, aligned, 8000) == pytest.approx(1.0, abs=0.02)


def test_a_begin_that_was_cut_off_is_followed_too() -> None:
    sent = speech(8000)
    _, delays = followed(sent, sent[800:], 8000)
    assert delays[1:] == pytest.approx([-100.0] * 9)


@pytest.mark.parametrize(("snr", "least", "most"), [(60, 0.99, 1.0), (20, 0.9, 1.0), (0, 0.55, 0.85), (-15, 0.0, 0.55)])
def test_the_more_noise_the_less_is_understood(snr: int, least: float, most: float) -> None:
    sent = speech(8000)
    heard = sent + noise(len(sent), level=loudness(sent) * 10 ** (-snr / 20))
    assert least <= intelligibility(sent, heard, 8000) <= most


def test_speech_of_which_every_other_frame_is_lost_is_understood_badly() -> None:
    sent = speech(8000)
    heard = sent.copy()
    heard.reshape(-1, 160)[::2] = 0
    assert intelligibility(sent, heard, 8000) < 0.75
