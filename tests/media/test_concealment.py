"""What is made up for lost sound: it goes on where the sound broke off, fades, and gives way without a click."""

from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.concealment import FADE_ENDS_MS, Concealment, cross_faded, pitch_period, shortened
from sip_bridge.media.pcm import pcm_of, peak, samples_of
from tests import sound

RATES = (8000, 16000)
PCM = st.lists(st.integers(-32768, 32767), max_size=1000).map(lambda samples: pcm_of(array("h", samples)))


def tone(rate: int, frequency: float = 140.0, *, seconds: float = 0.1) -> bytes:
    return sound.to_pcm(sound.tone(rate, frequency, seconds=seconds))


def steepest(pcm: bytes) -> int:
    """The largest step from a sample to the next one."""
    return max(abs(b - a) for a, b in pairwise(samples_of(pcm)))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency", [70, 110, 140, 199, 320])
def test_the_pitch_of_a_voice_is_found_or_a_multiple_of_it(rate: int, frequency: int) -> None:
    period = pitch_period(samples_of(tone(rate, frequency)), rate)
    assert min(abs(period - n * rate / frequency) for n in (1, 2, 3, 4)) <= 1


def test_silence_and_too_little_sound_have_the_longest_period() -> None:
    assert [pitch_period(samples, 8000) for samples in ([0] * 400, [], [9] * 3)] == [120, 120, 120]


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_goes_on_and_comes_back_without_a_click(rate: int) -> None:
    whole = tone(rate, seconds=0.2)
    concealment = Concealment(rate)
    begin, size = len(whole) // 2, 2 * rate // 50
    concealment.begin(whole[:begin])
    gap = concealment.fill(rate // 50)
    joined = concealment.join(whole[begin + size :])
    assert (len(gap), len(joined)) == (size, len(whole) - begin - size)
    assert steepest(whole[:begin] + gap + joined) <= steepest(whole) + 60
    assert concealment.is_active is False
    original = samples_of(whole[begin : begin + size])
    error = sum((a - b) ** 2 for a, b in zip(original, samples_of(gap), strict=True))
    assert error < 0.1 * sum(a * a for a in original)


def test_what_is_made_up_is_softer_all_the_time_and_silent_after_sixty_milliseconds() -> None:
    concealment = Concealment(8000)
    concealment.begin(tone(8000))
    tens = [concealment.fill(80) for _ in range(8)]
    peaks = [peak(ten) for ten in tens]
    assert peaks[0] > 16000
    assert all(b < a for a, b in pairwise(peaks[:6]))
    assert (peaks[6:], concealment.is_silent) == ([0, 0], True)
    assert FADE_ENDS_MS == 60


def test_after_a_long_gap_the_sound_fades_in() -> None:
    concealment = Concealment(8000)
    concealment.begin(tone(8000))
    concealment.fill(1000)
    joined = samples_of(concealment.join(pcm_of(array("h", [8000] * 160))))
    assert list(joined[:40]) == sorted(joined[:40])
    assert (joined[0] < 200, joined[40]) == (True, 8000)


def test_after_silence_there_is_nothing_to_go_on_with_and_nothing_to_fade() -> None:
    concealment = Concealment(8000)
    concealment.begin(bytes(960))
    assert concealment.is_silent is True
    assert concealment.fill(160) == bytes(320)
    assert concealment.join(b"\x10\x20" * 160) == b"\x10\x20" * 160


def test_a_hard_edge_is_bridged_from_where_the_sound_was() -> None:
    concealment = Concealment(8000)
    concealment.begin(pcm_of(array("h", [0] * 479 + [32767])))
    assert samples_of(concealment.fill(160))[0] > 30000


@given(history=PCM, gaps=st.lists(st.integers(0, 200), max_size=5), after=PCM)
def test_any_sound_is_continued_with_as_many_samples_as_are_missing(
    history: bytes, gaps: list[int], after: bytes
) -> None:
    concealment = Concealment(8000)
    concealment.begin(history)
    assert [len(concealment.fill(gap)) for gap in gaps] == [2 * gap for gap in gaps]
    assert len(concealment.join(after)) == len(after)


@pytest.mark.parametrize("rate", RATES)
def test_shortened_speech_misses_a_period_and_has_no_click(rate: int) -> None:
    spoken = sound.to_pcm(sound.speech(rate, seconds=1.0))
    pieces = [spoken[at : at + rate * 40 // 1000 * 2] for at in range(0, len(spoken) - rate // 10, 480)]
    for piece in pieces:
        less = shortened(piece, rate)
        missing = (len(piece) - len(less)) // 2
        assert 5 * rate // 1000 <= missing <= 15 * rate // 1000
        assert steepest(less) <= 1.5 * steepest(piece) + 50


def test_a_shortened_tone_is_the_same_tone() -> None:
    whole = tone(8000, 125, seconds=0.04)
    assert shortened(whole, 8000) == whole[: len(whole) - 128]


def test_a_cross_fade_goes_from_one_to_the_other() -> None:
    assert list(cross_faded(array("h", [300] * 3), array("h", [-100] * 3))) == [200, 100, 0]
