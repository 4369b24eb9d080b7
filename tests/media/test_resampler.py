"""The resampler: what it keeps, what it leaves out, and that piece by piece is the same as at once."""

import sys
from array import array
from math import pi, sin, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.codecs_av import AVResampler
from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.media.resampler import PolyphaseResampler, Resampler, resampled
from tests.sound import chirp, compare, from_pcm, to_pcm

Kind = type[PolyphaseResampler] | type[AVResampler]


def tone(frequency: float, rate: int, samples: int) -> "array[int]":
    return array("h", [round(10000 * sin(2 * pi * frequency * i / rate)) for i in range(samples)])


def rms(samples: list[int]) -> float:
    return sqrt(sum(sample * sample for sample in samples) / len(samples))


@pytest.mark.parametrize("rate", [6000, 11025, 16000, 22050, 32000, 44100, 48000])
def test_a_tone_of_any_rate_keeps_its_pitch_time_and_loudness(rate: int) -> None:
    heard = resampled(tone(440, rate, rate), rate, 8000)
    expected = tone(440, 8000, len(heard))
    errors = [a - b for a, b in zip(heard, expected, strict=True)][50:-50]
    assert len(heard) == 8000
    assert rms(errors) < 10000 / 1000  # 57 dB below the tone


def test_what_is_above_the_telephones_band_does_not_fold_back() -> None:
    assert rms(list(resampled(tone(6000, 48000, 24000), 48000, 8000))[50:-50]) < 10000 / 500


def test_a_tone_at_full_scale_is_clipped_not_wrapped() -> None:
    square = array("h", ([32767] * 20 + [-32768] * 20) * 50)
    heard = resampled(square, 16000, 8000)
    assert (max(heard), min(heard)) == (32767, -32768)


def test_a_single_sample_becomes_one() -> None:
    assert len(resampled(array("h", [500]), 44100, 8000)) == 1


def test_sound_of_the_same_rate_stays_as_it_is() -> None:
    sound = array("h", [1, -2, 3])
    assert resampled(sound, 16000, 16000) is sound


KINDS = pytest.mark.parametrize("kind", [PolyphaseResampler, AVResampler])
RATES = [(8000, 16000), (16000, 8000), (48000, 16000), (22050, 8000), (8000, 8000)]


@KINDS
@pytest.mark.parametrize(("rate", "to_rate"), RATES)
def test_each_frame_gives_a_frame(kind: Kind, rate: int, to_rate: int) -> None:
    resampler = kind(rate, to_rate)
    lengths = [len(resampler.process(bytes(2 * (rate // 50)))) for _ in range(10)]
    assert [*lengths, len(resampler.process(b""))] == [*[to_rate // 25] * 10, 0]


@KINDS
@pytest.mark.parametrize(("rate", "to_rate"), RATES)
def test_a_chirp_in_frames_stays_as_it_is(kind: Kind, rate: int, to_rate: int) -> None:
    resampler, sound = kind(rate, to_rate), to_pcm(chirp(rate, high=3000, seconds=0.5)) + bytes(rate // 5)
    size = 2 * (rate // 50)
    heard = b"".join(resampler.process(sound[at : at + size]) for at in range(0, len(sound) - size, size))
    compared = compare(chirp(to_rate, high=3000, seconds=0.5), from_pcm(heard), to_rate)
    assert compared.snr_db > 40
    assert compared.delay_ms < 3


def test_ffmpeg_resamples_where_it_is_installed_and_plain_python_where_not(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pcm_of(tone(440, 8000, 160))
    assert Resampler(8000, 16000).process(frame) == AVResampler(8000, 16000).process(frame)
    monkeypatch.setitem(sys.modules, "av", None)
    assert Resampler(8000, 16000).process(frame) == PolyphaseResampler(8000, 16000).process(frame)


@given(
    rates=st.sampled_from([(8000, 16000), (16000, 8000), (44100, 8000), (22050, 16000), (8000, 48000)]),
    lengths=st.lists(st.integers(0, 700), max_size=8),
)
def test_a_stream_in_pieces_is_the_whole_sound_a_little_later(rates: tuple[int, int], lengths: list[int]) -> None:
    rate, to_rate = rates
    sound = tone(440, rate, sum(lengths))
    resampler, at, heard = PolyphaseResampler(rate, to_rate), 0, b""
    for length in lengths:
        heard += resampler.process(pcm_of(sound[at : at + length]))
        at += length
    assert heard == PolyphaseResampler(rate, to_rate).process(pcm_of(sound))
    assert len(heard) == 2 * -(-len(sound) * to_rate // rate)


@KINDS
def test_the_delay_is_under_three_milliseconds(kind: Kind) -> None:
    click = array("h", bytes(2 * 320))
    click[100] = 20000
    heard = samples_of(kind(16000, 8000).process(pcm_of(click)))
    assert 50 < max(range(len(heard)), key=heard.__getitem__) < 50 + 24
