"""The first bytes of a WAV file that is written while its sound comes, of 16-bit linear PCM."""

import struct
from dataclasses import dataclass
from typing import Final, Self

from sip_bridge.errors import MediaError

HEADER_BYTES: Final = 44
_SAMPLE_BYTES: Final = 2
_LINEAR: Final = 1  # the format tag of PCM
_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_BEFORE_SOUND: Final = HEADER_BYTES - 8  # what the size of the RIFF chunk counts beside the sound
MAX_SOUND_BYTES: Final = (0xFFFFFFFF - _BEFORE_SOUND) // 8 * 8  # the sizes have 32 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class WAVHeader:
    """Samples a second, channels, and how many bytes of sound follow."""

    rate: int
    channels: int
    sound_bytes: int = 0

    @property
    def block_bytes(self) -> int:
        """One sample of every channel."""
        return _SAMPLE_BYTES * self.channels

    @property
    def seconds(self) -> float:
        """How long the sound is."""
        return self.sound_bytes / (self.block_bytes * self.rate)

    def format(self) -> bytes:
        """HEADER_BYTES bytes; MediaError for more sound than a WAV file can have."""
        if self.sound_bytes > MAX_SOUND_BYTES:
            raise MediaError("a WAV file can't be longer than 4 GiB")
        return _HEADER.pack(
            b"RIFF",
            _BEFORE_SOUND + self.sound_bytes,
            b"WAVE",
            b"fmt ",
            16,
            _LINEAR,
            self.channels,
            self.rate,
            self.rate * self.block_bytes,
            self.block_bytes,
            8 * _SAMPLE_BYTES,
            b"data",
            self.sound_bytes,
        )

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """The inverse of `format`; None for the begin of any other file."""
        if len(data) < HEADER_BYTES:
            return None
        fields = _HEADER.unpack_from(data)
        header = cls(rate=fields[7], channels=fields[6], sound_bytes=min(fields[12], MAX_SOUND_BYTES))
        try:
            is_ours = data.startswith(header.format())
        except struct.error:
            is_ours = False  # figures that multiply to more than the fields hold
        return header if is_ours and header.rate and header.channels else None
