"""WAV files to PCM at 8 kHz mono: 8 and 16 bit linear, µ-law and A-law, any rate, any number of channels."""

import struct
import sys
from array import array
from typing import Final

from sip_bridge.errors import MediaError
from sip_bridge.media import g711
from sip_bridge.media.codec import PCM_RATE

MAX_BYTES: Final = 64 << 20  # of a file: an hour of speech at 8 kHz
_EXTENSIBLE: Final = 0xFFFE  # the real format tag stands further on
_FORMAT: Final = struct.Struct("<HHIIHH")


def decode_wav(data: bytes) -> bytes:
    """Signed 16-bit little-endian PCM at 8 kHz mono; MediaError says what the file is instead."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise MediaError("not a WAV file")
    chunks = _chunks(data)
    if len(chunks.get(b"fmt ", b"")) < _FORMAT.size or b"data" not in chunks:
        raise MediaError("a WAV file without format or sound")
    tag, channels, rate, _, _, bits = _FORMAT.unpack_from(chunks[b"fmt "])
    if tag == _EXTENSIBLE and len(chunks[b"fmt "]) >= 26:
        tag = int.from_bytes(chunks[b"fmt "][24:26], "little")
    if not 1 <= channels <= 8 or not 1000 <= rate <= 384000:
        raise MediaError(f"a WAV file with {channels} channels at {rate} Hz")
    samples = _samples(chunks[b"data"], tag, bits)
    return _bytes(_resampled(_mono(samples, channels), rate))


def _chunks(data: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        found.setdefault(name, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def _samples(data: bytes, tag: int, bits: int) -> "array[int]":
    match tag, bits:
        case (1, 16):
            linear = data[: len(data) // 2 * 2]
        case (1, 8):
            return array("h", [(byte - 128) << 8 for byte in data])
        case (7, 8):
            linear = g711.decode_ulaw(data)
        case (6, 8):
            linear = g711.decode_alaw(data)
        case _:
            raise MediaError(f"a WAV file of format {tag} with {bits} bits; 8 or 16 bit PCM and G.711 can be played")
    samples = array("h", linear)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _mono(samples: "array[int]", channels: int) -> "array[int]":
    if channels == 1:
        return samples
    length = len(samples) // channels
    parts = [samples[channel : length * channels : channels] for channel in range(channels)]
    return array("h", [sum(frame) // channels for frame in zip(*parts, strict=True)])


def _resampled(samples: "array[int]", rate: int) -> "array[int]":
    """Linear interpolation; going down, the mean of what one output sample covers, against aliasing."""
    if rate == PCM_RATE or not samples:
        return samples
    step = rate / PCM_RATE
    length = int(len(samples) / step)
    last = len(samples) - 1
    if step >= 2:
        return array("h", [_mean(samples, int(i * step), int((i + 1) * step)) for i in range(length)])
    out = array("h", bytes(2 * length))
    for i in range(length):
        position = i * step
        at = int(position)
        here, there = samples[at], samples[min(at + 1, last)]
        out[i] = int(here + (there - here) * (position - at))
    return out


def _mean(samples: "array[int]", start: int, end: int) -> int:
    part = samples[start:end]
    return sum(part) // len(part)


def _bytes(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
