"""The codecs that we speak, by their name in SDP.

PCM inside is signed 16-bit little-endian mono ``bytes``, in frames of 20 ms, at the rate of the codec in use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sip_bridge.media import g711

NARROWBAND: Final = 8000  # samples a second
WIDEBAND: Final = 16000
FRAME_MS: Final = 20


def frame_samples(rate: int) -> int:
    """How many samples a frame has at ``rate``."""
    return rate * FRAME_MS // 1000


def frame_bytes(rate: int) -> int:
    """How many bytes a frame has at ``rate``."""
    return 2 * frame_samples(rate)


class Encoder(Protocol):
    """Makes the payloads of one outgoing stream; it may remember what went before."""

    def encode(self, pcm: bytes) -> bytes:
        """The payload of one packet."""

    def silence(self, samples: int) -> bytes:
        """The payload of that many samples of silence."""


class Decoder(Protocol):
    """Reads the payloads of one incoming stream; it may remember what went before."""

    def decode(self, payload: bytes) -> bytes:
        """The PCM of one packet; what makes no sense has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """An audio codec. ``clock_rate`` is RTP's (RFC 3551 §4.5.2: not G.722's own), ``rate`` that of its PCM.

    ``payload_type`` is the static one, None where SDP has to give one.
    """

    name: str
    payload_type: int | None
    clock_rate: int
    rate: int
    encoder: Callable[[], Encoder]
    decoder: Callable[[], Decoder]
    channels: int = 1  # as SDP says it; what we send is mono
    fmtp: str | None = None


class _PCMU:
    """Encoder and decoder: nothing is remembered."""

    @staticmethod
    def encode(pcm: bytes) -> bytes:
        return g711.encode_ulaw(pcm)

    @staticmethod
    def decode(payload: bytes) -> bytes:
        return g711.decode_ulaw(payload)

    @staticmethod
    def silence(samples: int) -> bytes:
        return b"\xff" * samples


class _PCMA:
    """Encoder and decoder: nothing is remembered."""

    @staticmethod
    def encode(pcm: bytes) -> bytes:
        return g711.encode_alaw(pcm)

    @staticmethod
    def decode(payload: bytes) -> bytes:
        return g711.decode_alaw(payload)

    @staticmethod
    def silence(samples: int) -> bytes:
        return b"\xd5" * samples


CODECS: Final = {
    codec.name: codec
    for codec in (
        Codec(name="PCMU", payload_type=0, clock_rate=8000, rate=NARROWBAND, encoder=_PCMU, decoder=_PCMU),
        Codec(name="PCMA", payload_type=8, clock_rate=8000, rate=NARROWBAND, encoder=_PCMA, decoder=_PCMA),
    )
}
