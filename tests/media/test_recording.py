"""Two directions of a call become one stereo track."""

import random
from array import array
from itertools import compress

import pytest

from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.media.recording import MAX_STALL, StereoTrack
from tests.sound import chirp, compare, from_pcm, to_pcm


def frame(value: int, rate: int = 8000) -> bytes:
    return pcm_of(array("h", [value] * (rate // 50)))


def sides(stereo: bytes) -> tuple[bytes, bytes]:
    samples = samples_of(stereo)
    return pcm_of(samples[0::2]), pcm_of(samples[1::2])


def test_left_is_what_was_heard_and_right_what_was_said() -> None:
    track = StereoTrack(8000)
    track.heard.write(frame(1), 8000)
    track.said.write(frame(2), 8000)
    assert sides(track.tick()) == (frame(1), frame(2))


def test_a_side_that_is_missing_is_silence() -> None:
    track = StereoTrack(16000)
    track.said.write(frame(2, 16000), 16000)
    assert sides(track.tick()) == (bytes(640), frame(2, 16000))
    assert sides(track.tick()) == (bytes(640), bytes(640))


def test_what_a_stall_missed_is_silence_up_to_a_bound() -> None:
    track = StereoTrack(8000)
    track.heard.write(frame(1), 8000)
    assert sides(track.tick(3)) == (bytes(640) + frame(1), bytes(960))
    assert len(track.tick(10**9)) == (MAX_STALL + 1) * 640


def test_both_sides_stay_together_however_many_frames_are_missing() -> None:
    track, chance = StereoTrack(8000), random.Random(3550)
    came = [(chance.random() < 0.9, chance.random() < 0.9) for _ in range(10000)]
    recorded = []
    for number, both in enumerate(came, start=1):
        for side in compress((track.heard, track.said), both):
            side.write(frame(number), 8000)
        recorded.append(track.tick())
    assert {len(stereo) for stereo in recorded} == {640}
    first_samples = [tuple(samples_of(stereo)[:2]) for stereo in recorded]
    assert first_samples == [(number * left, number * right) for number, (left, right) in enumerate(came, start=1)]


@pytest.mark.parametrize(("rate", "came_at"), [(8000, 16000), (16000, 8000)])
def test_another_rate_is_converted_without_a_gap(rate: int, came_at: int) -> None:
    track, sound = StereoTrack(rate), chirp(came_at, high=3000, seconds=0.5)
    pcm, size = to_pcm(sound), came_at // 25
    recorded = b""
    for at in range(0, len(pcm), size):
        track.heard.write(pcm[at : at + size], came_at)
        track.said.write(bytes(rate // 25), rate)
        recorded += track.tick()
    left, right = sides(recorded)
    heard = compare(chirp(rate, high=3000, seconds=0.5), from_pcm(left), rate)
    assert len(left) == len(right) == rate
    assert heard.snr_db > 30
    assert heard.gaps_ms == ()
    assert 0 <= heard.delay_ms < 3
    assert not any(right)


def test_the_rate_may_change_and_a_pause_starts_anew() -> None:
    track = StereoTrack(8000)
    lengths = []
    for rates in ((16000,), (8000,), (16000,), (), (16000,), (48000,)):
        for rate in rates:
            track.heard.write(frame(1000, rate), rate)
        lengths.append(len(track.tick()))
    assert lengths == [640] * 6
