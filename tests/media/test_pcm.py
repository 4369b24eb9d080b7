"""Samples and bytes on both kinds of machine."""

import sys
from array import array

import pytest

from sip_bridge.media.pcm import pcm_of, peak, samples_of, scaled


def test_pcm_is_little_endian_and_half_a_sample_is_left_out() -> None:
    assert samples_of(b"\x01\x00\xff\xff\x07") == array("h", [1, -1])
    assert pcm_of(array("h", [1, -2])) == b"\x01\x00\xfe\xff"


def test_a_big_endian_machine_swaps_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = array("h", [1, -2])
    swapped = array("h", [0x0100, -257])
    monkeypatch.setattr(sys, "byteorder", {"little": "big", "big": "little"}[sys.byteorder])
    assert samples_of(samples.tobytes()) == swapped
    assert pcm_of(samples) == swapped.tobytes()
    assert samples == array("h", [1, -2])


def test_the_peak_is_the_greatest_magnitude() -> None:
    assert [peak(pcm_of(array("h", samples))) for samples in ([], [3, -4], [5, 2], [-32768])] == [0, 4, 5, 32768]


def test_scaling_makes_softer() -> None:
    assert scaled(pcm_of(array("h", [1000, -1000])), 0.5) == pcm_of(array("h", [500, -500]))


def test_what_would_be_louder_than_full_scale_is_clipped() -> None:
    assert samples_of(scaled(pcm_of(array("h", [100, -100, 30000, -30000])), 2.0)) == array(
        "h", [200, -200, 32767, -32768]
    )
