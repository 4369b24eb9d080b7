"""Comfort noise: as loud as the peer says within bounds, and in the jitter buffer until sound comes again."""

import math
from array import array
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.codec import CODECS, frame_bytes
from sip_bridge.media.comfort_noise import LOUDEST, ComfortNoise
from sip_bridge.media.jitter import START_DELAY_MS, JitterBuffer
from sip_bridge.media.pcm import pcm_of, peak, samples_of

FRAME = 160
START = START_DELAY_MS // 20  # frames
SPEECH = pcm_of(array("h", [8000] * FRAME))
PCMU = CODECS["PCMU"]


def level_of(pcm: bytes) -> float:
    """In dBov: 0 is the root mean square of the loudest square wave."""
    samples = samples_of(pcm)
    return 20 * math.log10(math.sqrt(sum(sample * sample for sample in samples) / len(samples)) / 32768)


@pytest.mark.parametrize(("said", "heard"), [(60, 60), (45, 45), (30, 30), (0, LOUDEST), (0x80 | 50, 50)])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_noise_is_as_loud_as_the_packet_says_but_never_loud(said: int, heard: int, rate: int) -> None:
    noise = ComfortNoise(rate)
    first = noise.decode(bytes([said]))
    assert len(first) == frame_bytes(rate)
    assert level_of(first + noise.fill(rate)) == pytest.approx(-heard, abs=0.5)


@pytest.mark.parametrize("payload", [b"", bytes([127]), bytes([127, 1, 2, 3])])
def test_a_silent_room_is_silent(payload: bytes) -> None:
    noise = ComfortNoise(8000)
    noise.decode(b"\x32")
    assert noise.decode(payload) + noise.fill(100) == bytes(2 * (FRAME + 100))


def test_the_noise_goes_on_and_is_not_the_same_again() -> None:
    noise = ComfortNoise(8000)
    frames = [noise.decode(b"\x32"), *(noise.fill(FRAME) for _ in range(50))]
    assert all(one != other for one, other in pairwise(frames))
    assert len(set(frames)) > 45


@given(st.binary(max_size=200))
def test_any_payload_makes_a_frame_within_the_bound(payload: bytes) -> None:
    assert peak(ComfortNoise(8000).decode(payload)) < 32768 * 10 ** (-LOUDEST / 20) * math.sqrt(6)


# --- in the jitter buffer ---


def speech_then_noise(jitter: JitterBuffer) -> list[bytes]:
    """Two packets of speech, one of noise, and what is heard until 20 frames after them."""
    for number in range(2):
        jitter.put(FRAME * number, PCMU.encoder(20, "").encode(SPEECH), PCMU.decoder())
    jitter.put_noise(2 * FRAME, b"\x32")
    return [jitter.get() or b"" for _ in range(START + 23)][START:]


def test_after_comfort_noise_nothing_is_missing() -> None:
    jitter = JitterBuffer()
    speech, noise = (heard := speech_then_noise(jitter))[:2], heard[2:]
    assert [peak(frame) > 7000 for frame in speech] == [True, True]
    assert level_of(b"".join(noise)) == pytest.approx(-50, abs=1)
    assert min(map(peak, noise)) > 50
    assert (jitter.concealed, jitter.skipped, jitter.late) == (0, 0, 0)


def test_another_level_is_followed_and_speech_ends_the_noise() -> None:
    jitter = JitterBuffer()
    speech_then_noise(jitter)
    jitter.put_noise(30 * FRAME, b"\x46")
    jitter.put(33 * FRAME, PCMU.encoder(20, "").encode(SPEECH), PCMU.decoder())
    heard = [jitter.get() or b"" for _ in range(14)]
    levels = [round(level_of(frame), -1) for frame in heard[:-1]]
    assert [level for level, _ in groupby(levels)] == [-50, -70, -10, -20]
    assert jitter.concealed > 0  # what follows the speech is lost, and no pause: its end is drawn out
