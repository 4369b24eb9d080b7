"""WAV files to mono PCM, piece by piece: linear, floating point, µ-law and A-law, any rate, up to eight channels."""

import struct
import sys
from array import array
from collections.abc import Callable
from typing import Final

from sip_bridge.errors import MediaError
from sip_bridge.media import g711
from sip_bridge.media.pcm import pcm_of, samples_of

MIN_RATE: Final = 1000
MAX_RATE: Final = 384000
MAX_CHANNELS: Final = 8
_MAX_CHUNKS: Final = 1000
_MAX_FORMAT: Final = 4096  # bytes of the chunk that describes the samples
_EXTENSIBLE: Final = 0xFFFE  # the real format tag stands further on
_UNKNOWN_SIZE: Final = 0xFFFFFFFF  # of a stream, whose length nobody knew when it began
_FORMAT: Final = struct.Struct("<HHIIHH")


class WAVReader:
    """Takes a file as it comes; MediaError says what it is instead."""

    def __init__(self) -> None:
        self.rate = 0  # samples a second of what `feed` gives, once it has given some
        self.is_over = False  # what follows is no sound
        self._waiting = bytearray()
        self._is_wav = False
        self._is_endless = False
        self._chunks = 0
        self._skip = 0  # bytes of a chunk that says nothing to us
        self._decode: _Decode | None = None
        self._channels = 0
        self._block = 0  # bytes of a sample of every channel
        self._left: int | None = None  # bytes of sound to come, once it has begun

    def feed(self, data: bytes) -> bytes:
        """The next bytes of the file: signed 16-bit little-endian mono PCM at ``rate``, if there is any."""
        if self.is_over:
            return b""
        self._waiting += data
        while self._left is None:
            if not self._read_chunk():
                return b""
        size = min(len(self._waiting), self._left) // self._block * self._block
        sound = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._left -= size
        self.is_over = self._left < self._block
        return self._mono(sound)

    def finish(self) -> None:
        """The file has ended; MediaError when its sound had not begun."""
        if self._left is None:
            raise MediaError("a WAV file without format or sound" if self._is_wav else "not a WAV file")

    def _read_chunk(self) -> bool:
        """Whether more than was known could be read."""
        if not self._is_wav:
            return self._read_head()
        if self._skip:
            skipped = min(self._skip, len(self._waiting))
            del self._waiting[:skipped]
            self._skip -= skipped
            return skipped > 0
        if len(self._waiting) < 8:
            return False
        name, size = bytes(self._waiting[:4]), int.from_bytes(self._waiting[4:8], "little")
        if name == b"fmt " and self._decode is None:
            return self._read_format(size)
        del self._waiting[:8]
        if name == b"data":
            self._begin_sound(size)
            return True
        self._chunks += 1
        if self._chunks > _MAX_CHUNKS:
            raise MediaError("a WAV file without format or sound")
        self._skip = size + size % 2
        return True

    def _read_head(self) -> bool:
        head = bytes(self._waiting[:12])
        if head[:4] != b"RIFF" or (len(head) >= 12 and head[8:] != b"WAVE"):
            if len(head) < 4 and b"RIFF".startswith(head):
                return False
            raise MediaError("not a WAV file")
        if len(head) < 12:
            return False
        self._is_wav = True
        self._is_endless = head[4:8] in (b"\0\0\0\0", b"\xff\xff\xff\xff")
        del self._waiting[:12]
        return True

    def _read_format(self, size: int) -> bool:
        if not _FORMAT.size <= size <= _MAX_FORMAT:
            raise MediaError("a WAV file without format or sound")
        if len(self._waiting) < 8 + size:
            return False
        form = bytes(self._waiting[8 : 8 + size])
        del self._waiting[: 8 + size]
        self._skip = size % 2
        tag, channels, rate, _, _, bits = _FORMAT.unpack_from(form)
        if tag == _EXTENSIBLE and len(form) >= 26:
            tag = int.from_bytes(form[24:26], "little")
        if not 1 <= channels <= MAX_CHANNELS or not MIN_RATE <= rate <= MAX_RATE:
            raise MediaError(f"a WAV file with {channels} channels at {rate} Hz")
        self._decode = _DECODERS.get((tag, bits))
        if self._decode is None:
            raise MediaError(
                f"a WAV file of format {tag} with {bits} bits; PCM, floating point and G.711 can be played"
            )
        self.rate, self._channels, self._block = rate, channels, channels * bits // 8
        return True

    def _begin_sound(self, size: int) -> None:
        if self._decode is None:
            raise MediaError("a WAV file without format or sound")
        is_unknown = size == _UNKNOWN_SIZE or (size == 0 and self._is_endless)
        self._left = sys.maxsize if is_unknown else size

    def _mono(self, sound: bytes) -> bytes:
        assert self._decode is not None  # noqa: S101  # the sound begins after its format
        samples, channels = self._decode(sound), self._channels
        if channels == 1:
            return pcm_of(samples)
        parts = [samples[channel::channels] for channel in range(channels)]
        return pcm_of(array("h", [sum(frame) // channels for frame in zip(*parts, strict=True)]))


_Decode = Callable[[bytes], "array[int]"]


def _of_8_bits(data: bytes) -> "array[int]":
    """Samples of 8 bits are unsigned."""
    pcm = bytearray(2 * len(data))
    pcm[1::2] = data.translate(bytes(byte ^ 0x80 for byte in range(256)))
    return samples_of(bytes(pcm))


def _upper_16_of(size: int) -> _Decode:
    """The most significant bits of samples of ``size`` bytes."""

    def decode(data: bytes) -> "array[int]":
        pcm = bytearray(2 * (len(data) // size))
        pcm[0::2] = data[size - 2 :: size]
        pcm[1::2] = data[size - 1 :: size]
        return samples_of(bytes(pcm))

    return decode


def _of_floats(code: str) -> _Decode:
    """1.0 is full scale; what is no number is full scale too, for ``min`` keeps its first argument."""

    def decode(data: bytes) -> "array[int]":
        floats = struct.iter_unpack(f"<{code}", data)
        return array("h", [int(32767 * max(-1.0, min(1.0, each))) for (each,) in floats])

    return decode


_DECODERS: Final[dict[tuple[int, int], _Decode]] = {
    (1, 8): _of_8_bits,
    (1, 16): samples_of,
    (1, 24): _upper_16_of(3),
    (1, 32): _upper_16_of(4),
    (3, 32): _of_floats("f"),
    (3, 64): _of_floats("d"),
    (6, 8): lambda data: samples_of(g711.decode_alaw(data)),
    (7, 8): lambda data: samples_of(g711.decode_ulaw(data)),
}
