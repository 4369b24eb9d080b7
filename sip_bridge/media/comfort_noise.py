"""Comfort noise (RFC 3389): what is heard while a peer says nothing and sends only how loud its room is.

We send none ourselves: sound without pauses keeps NATs open, costs a house network nothing, and cuts no first syllable.
"""

from array import array
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Final

from sip_bridge.media.codec import frame_samples
from sip_bridge.media.pcm import pcm_of, scaled

PAYLOAD_TYPE: Final = 13  # the static one, at 8000 Hz (RFC 3551 §6)
LOUDEST: Final = 30  # -dBov: a peer that says more has no room that anybody wants to hear
SILENT: Final = 127  # -dBov
_OFFSETS: Final = 4096  # at which a piece of noise may begin
_PIECE: Final = 320  # samples at most
_OVERLOAD: Final = 32768


def _random_numbers() -> Iterator[int]:
    """From 0 to 65535. A linear congruential generator is random enough for noise."""
    number = 0
    while True:
        number = (number * 1664525 + 1013904223) % 2**32
        yield number >> 16


def _noise(samples: int) -> bytes:
    """Neighbours have something of each other: white noise hisses."""
    numbers = islice(_random_numbers(), samples + 1)
    return pcm_of(array("h", [(one + other - 65535) // 2 for one, other in pairwise(numbers)]))


_NOISE: Final = _noise(_OFFSETS + _PIECE)
_LEVEL: Final = _OVERLOAD / 6**0.5  # of it, root mean square: that of a sum of two uniform numbers


class ComfortNoise:
    """A `Decoder` whose sound goes on: noise of the level that came last. What is said of its spectrum is not used."""

    def __init__(self, rate: int) -> None:
        self._frame = frame_samples(rate)
        self._gain = 0.0
        self._random = _random_numbers()

    def decode(self, payload: bytes) -> bytes:
        """The first frame at the level that a packet says (§3)."""
        level = max(payload[0] & 0x7F, LOUDEST) if payload else SILENT
        self._gain = 0.0 if level == SILENT else _OVERLOAD * 10 ** (-level / 20) / _LEVEL
        return self.fill(self._frame)

    def fill(self, count: int) -> bytes:
        """The next samples."""
        if not self._gain:
            return bytes(2 * count)
        pieces = (self._piece(min(count - at, _PIECE)) for at in range(0, count, _PIECE))
        return b"".join(pieces)

    def _piece(self, count: int) -> bytes:
        at = 2 * (next(self._random) % _OFFSETS)
        return scaled(_NOISE[at : at + 2 * count], self._gain)
