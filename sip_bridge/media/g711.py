"""G.711: PCMU and PCMA (ITU-T G.711). PCM is signed 16-bit little-endian mono ``bytes``; a code is one byte.

Both directions are table look-ups. ``audioop`` did this until Python 3.12; it is gone.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Final

from sip_bridge.media.pcm import samples_of

_BIAS: Final = 132  # µ-law, on the 16-bit scale
_CLIP: Final = 32635
_FLIP_SIGN: Final = bytes(code ^ 0x80 for code in range(256))


def _ulaw_code(magnitude: int) -> int:
    biased = min(magnitude, _CLIP) + _BIAS
    exponent = biased.bit_length() - 8
    return 0xFF ^ (exponent << 4 | (biased >> (exponent + 3) & 0x0F))


def _alaw_code(magnitude: int) -> int:
    exponent = max(min(magnitude, 32767).bit_length() - 8, 0)
    shift = max(exponent, 1) + 3
    return 0xD5 ^ (exponent << 4 | (min(magnitude, 32767) >> shift & 0x0F))


def _ulaw_sample(code: int) -> int:
    inverted = code ^ 0xFF
    magnitude = ((16 + (inverted & 0x0F)) << (inverted >> 4 & 7) + 3) + (4 << (inverted >> 4 & 7)) - _BIAS
    return -magnitude if inverted & 0x80 else magnitude


def _alaw_sample(code: int) -> int:
    inverted = code ^ 0x55
    exponent, mantissa = inverted >> 4 & 7, inverted & 0x0F
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((16 + mantissa) << exponent + 3) + (8 << exponent - 1)
    return magnitude if inverted & 0x80 else -magnitude


def _encoder(code: Callable[[int], int], *, mirror: int) -> bytes:
    """Codes by sample; a negative one counts from the end. ``mirror`` 1 is A-law's: -1 has the magnitude of 0.

    No decision value lies inside four neighbouring magnitudes, so every fourth is computed.
    """
    by_magnitude = b"".join(bytes([code(magnitude)]) * 4 for magnitude in range(0, 32772, 4))
    negative = by_magnitude[1 - mirror : 32769 - mirror][::-1].translate(_FLIP_SIGN)
    return by_magnitude[:32768] + negative


def _decoder(sample: Callable[[int], int]) -> tuple[bytes, bytes]:
    """The low and the high byte of the sample of each code."""
    samples = [sample(code) for code in range(256)]
    return bytes(s & 0xFF for s in samples), bytes(s >> 8 & 0xFF for s in samples)


_ULAW_CODES: Final = _encoder(_ulaw_code, mirror=0)
_ALAW_CODES: Final = _encoder(_alaw_code, mirror=1)
_ULAW_SAMPLES: Final = _decoder(_ulaw_sample)
_ALAW_SAMPLES: Final = _decoder(_alaw_sample)


def encode_ulaw(pcm: bytes) -> bytes:
    """PCM to PCMU."""
    return _encode(pcm, _ULAW_CODES)


def decode_ulaw(codes: bytes) -> bytes:
    """PCMU to PCM."""
    return _decode(codes, _ULAW_SAMPLES)


def encode_alaw(pcm: bytes) -> bytes:
    """PCM to PCMA."""
    return _encode(pcm, _ALAW_CODES)


def decode_alaw(codes: bytes) -> bytes:
    """PCMA to PCM."""
    return _decode(codes, _ALAW_SAMPLES)


def _encode(pcm: bytes, table: bytes) -> bytes:
    samples = samples_of(pcm)
    if len(samples) < 2:  # itemgetter of one index gives no tuple
        return bytes(map(table.__getitem__, samples))
    return bytes(itemgetter(*samples)(table))  # half the time of map(table.__getitem__, samples)


def _decode(codes: bytes, tables: tuple[bytes, bytes]) -> bytes:
    pcm = bytearray(2 * len(codes))
    pcm[0::2] = codes.translate(tables[0])
    pcm[1::2] = codes.translate(tables[1])
    return bytes(pcm)
