"""WAV files to mono PCM: 8 and 16 bit linear, µ-law and A-law, any rate, up to eight channels."""

import struct
from array import array
from collections.abc import Callable
from typing import Final

from sip_bridge.errors import MediaError
from sip_bridge.media import g711
from sip_bridge.media.codec import NARROWBAND
from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.media.resampler import resampled

MAX_BYTES: Final = 64 << 20  # of a file
MAX_SECONDS: Final = 600  # of sound: decoding takes a processor's time
_MAX_CHUNKS: Final = 1000
_EXTENSIBLE: Final = 0xFFFE  # the real format tag stands further on
_FORMAT: Final = struct.Struct("<HHIIHH")

_Decode = Callable[[bytes], bytes]


def decode_wav(data: bytes, to_rate: int = NARROWBAND) -> bytes:
    """Signed 16-bit little-endian mono PCM at ``to_rate``; MediaError says what the file is instead."""
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
    return pcm_of(resampled(_mono(samples_of(decode(sound)), channels), rate, to_rate))


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
