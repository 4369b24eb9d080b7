"""WAV files to PCM at 8 kHz mono: 8 and 16 bit linear, µ-law and A-law, any rate, up to eight channels."""

import struct
from array import array
from collections.abc import Callable, Sequence
from math import cos, gcd, pi, sin
from operator import mul
from typing import Final

from sip_bridge.errors import MediaError
from sip_bridge.media import g711
from sip_bridge.media.codec import PCM_RATE
from sip_bridge.media.pcm import pcm_of, samples_of

MAX_BYTES: Final = 64 << 20  # of a file
MAX_SECONDS: Final = 600  # of sound: decoding takes a processor's time
_MAX_CHUNKS: Final = 1000
_EXTENSIBLE: Final = 0xFFFE  # the real format tag stands further on
_FORMAT: Final = struct.Struct("<HHIIHH")
_ZERO_CROSSINGS: Final = 8  # of the low-pass filter, on each side
_PASSED: Final = 0.92  # of the band: what lies above would fold back

_Decode = Callable[[bytes], bytes]


def decode_wav(data: bytes) -> bytes:
    """Signed 16-bit little-endian PCM at 8 kHz mono; MediaError says what the file is instead."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise MediaError("not a WAV file")
    chunks = _chunks(data)
    form = chunks.get(b"fmt ", b"")
    if len(form) < _FORMAT.size or b"data" not in chunks:
        raise MediaError("a WAV file without format or sound")
    tag, channels, rate, _, _, bits = _FORMAT.unpack_from(form)
    if tag == _EXTENSIBLE and len(form) >= 26:
        tag = int.from_bytes(form[24:26], "little")
    if not 1 <= channels <= 8 or not 1000 <= rate <= 384000:
        raise MediaError(f"a WAV file with {channels} channels at {rate} Hz")
    decode = _DECODERS.get((tag, bits))
    if decode is None:
        raise MediaError(f"a WAV file of format {tag} with {bits} bits; 8 or 16 bit PCM and G.711 can be played")
    sound = chunks[b"data"]
    if len(sound) > MAX_SECONDS * rate * channels * bits // 8:
        raise MediaError(f"a WAV file longer than {MAX_SECONDS // 60} minutes")
    return pcm_of(resampled(_mono(samples_of(decode(sound)), channels), rate))


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The first chunk of each name. One that claims more than there is, as a stream's does, has the rest."""
    found: dict[bytes, bytes] = {}
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            break
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name in (b"fmt ", b"data"):
            found.setdefault(name, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def _widened(data: bytes) -> bytes:
    """8 bit samples are unsigned."""
    pcm = bytearray(2 * len(data))
    pcm[1::2] = data.translate(bytes(byte ^ 0x80 for byte in range(256)))
    return bytes(pcm)


_DECODERS: Final[dict[tuple[int, int], _Decode]] = {
    (1, 16): bytes,
    (1, 8): _widened,
    (6, 8): g711.decode_alaw,
    (7, 8): g711.decode_ulaw,
}


def _mono(samples: "array[int]", channels: int) -> "array[int]":
    if channels == 1:
        return samples
    length = len(samples) // channels
    parts = [samples[channel : length * channels : channels] for channel in range(channels)]
    return array("h", [sum(frame) // channels for frame in zip(*parts, strict=True)])


def resampled(samples: "array[int]", rate: int) -> "array[int]":
    """The samples at 8 kHz: a windowed sinc, so that nothing above 4 kHz folds back into the speech."""
    if rate == PCM_RATE or not samples:
        return samples
    divisor = gcd(rate, PCM_RATE)
    up, down = PCM_RATE // divisor, rate // divisor
    # Output sample n lies at n * down / up; its fraction takes only `up` values, and each has its own filter.
    width = int(_ZERO_CROSSINGS * max(down / up, 1.0)) + 1
    filters = [_filter(phase / up, min(up / down, 1.0) * _PASSED, width) for phase in range(min(up, len(samples)))]
    padded = array("h", bytes(2 * width)) + samples + array("h", bytes(2 * width))
    out = array("h", bytes(2 * max(len(samples) * up // down, 1)))
    for n in range(len(out)):
        at, phase = divmod(n * down, up)
        taps = filters[phase]
        value = round(sum(map(mul, taps, padded[at + 1 : at + 1 + len(taps)])))
        out[n] = max(-32768, min(32767, value))
    return out


def _filter(offset: float, cutoff: float, width: int) -> Sequence[float]:
    """Taps for a point ``offset`` after a sample, ``width`` of them on each side; they add up to 1."""
    taps = [_tap(position - offset, cutoff, width) for position in range(1 - width, width + 1)]
    total = sum(taps)
    return [tap / total for tap in taps]


def _tap(distance: float, cutoff: float, width: int) -> float:
    window = 0.5 + 0.5 * cos(pi * distance / width) if abs(distance) < width else 0.0
    return window * (sin(pi * cutoff * distance) / (pi * distance) if distance else cutoff)
