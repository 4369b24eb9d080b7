"""PCM: signed 16-bit little-endian samples as ``bytes``, and as arrays to count with."""

import sys
from array import array


def samples_of(pcm: bytes) -> "array[int]":
    """The samples; half a sample at the end is left out."""
    return _swapped(array("h", pcm[: len(pcm) // 2 * 2]))


def pcm_of(samples: "array[int]") -> bytes:
    """The inverse of `samples_of`."""
    return _swapped(samples[:]).tobytes()


def scaled(pcm: bytes, gain: float) -> bytes:
    """Softer or louder by ``gain``; what would be louder than full scale is clipped."""
    samples = samples_of(pcm)
    if gain <= 1.0:
        return pcm_of(array("h", [int(sample * gain) for sample in samples]))
    return pcm_of(array("h", [max(-32768, min(32767, int(sample * gain))) for sample in samples]))


def peak(pcm: bytes) -> int:
    """The magnitude of the loudest sample; 0 when there is none."""
    samples = samples_of(pcm)
    return max(max(samples, default=0), -min(samples, default=0))


def _swapped(samples: "array[int]") -> "array[int]":
    """In place, on a machine that has the other byte order."""
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
