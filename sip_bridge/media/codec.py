"""The codecs that we speak, by their name in SDP.

PCM inside is signed 16-bit little-endian mono ``bytes``, in frames of 20 ms, at the rate of the codec in use.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from sip_bridge.errors import MediaError
from sip_bridge.media import codecs_av, g711

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

    ``payload_type`` is the static one, None where SDP has to give one. ``encoder`` takes milliseconds a packet (one of
    ``ptimes``) and the peer's fmtp. Where ``needs_extra`` and it is not installed, coding raises MediaError.
    """

    name: str
    payload_type: int | None
    clock_rate: int
    rate: int
    encoder: Callable[[int, str], Encoder]
    decoder: Callable[[], Decoder]
    channels: int = 1  # as SDP says it; what we send is mono
    fmtp: str | None = None
    ptimes: tuple[int, ...] = (10, 20, 30, 40, 50, 60)  # milliseconds a packet that it can do
    needs_extra: bool = False

    @property
    def is_available(self) -> bool:
        """Whether what it needs is installed."""
        return not self.needs_extra or codecs_av.is_installed()

    @property
    def rtpmap(self) -> str:
        """How SDP names it (RFC 8866 §6.6)."""
        return f"{self.name}/{self.clock_rate}" + (f"/{self.channels}" if self.channels != 1 else "")

    def ptime(self, wanted: int) -> int:
        """How many milliseconds of sound a packet gets when the peer wants ``wanted``: no more than that."""
        return max((each for each in self.ptimes if each <= wanted), default=self.ptimes[0])


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
        Codec(
            name="PCMU",
            payload_type=0,
            clock_rate=8000,
            rate=NARROWBAND,
            encoder=lambda _ptime, _fmtp: _PCMU(),
            decoder=_PCMU,
        ),
        Codec(
            name="PCMA",
            payload_type=8,
            clock_rate=8000,
            rate=NARROWBAND,
            encoder=lambda _ptime, _fmtp: _PCMA(),
            decoder=_PCMA,
        ),
        Codec(
            name="G722",
            payload_type=9,
            clock_rate=8000,
            rate=WIDEBAND,
            encoder=lambda ptime, _fmtp: codecs_av.G722Encoder(ptime),
            decoder=codecs_av.G722Decoder,
            needs_extra=True,
        ),
        Codec(
            name="opus",
            payload_type=None,
            clock_rate=48000,
            rate=WIDEBAND,
            encoder=codecs_av.OpusEncoder,
            decoder=codecs_av.OpusDecoder,
            channels=2,  # RFC 7587 §7: always
            fmtp=codecs_av.OPUS_FMTP,
            ptimes=codecs_av.OPUS_PTIMES,
            needs_extra=True,
        ),
    )
}
_BY_NAME: Final = {name.upper(): codec for name, codec in CODECS.items()}
_PREFERRED: Final = ("G722", "opus", "PCMU", "PCMA")  # why: docs/adr/0007-audio-libraries.md


def codec_named(name: str) -> Codec | None:
    """A codec by its name in SDP, in capitals or not (RFC 8866 §6.6)."""
    return _BY_NAME.get(name.upper())


def check_codecs(names: Iterable[str]) -> None:
    """MediaError for a name that is no codec's, or whose codec needs what is not installed."""
    for name in names:
        codec = CODECS.get(name)
        if codec is None:
            raise MediaError(f"{name}: expected one of {', '.join(CODECS)}")
        if not codec.is_available:
            raise MediaError(f"{name} is not in the plain installation: it needs {codecs_av.EXTRA}")


def default_codecs() -> tuple[str, ...]:
    """The names of what is installed, best first."""
    return tuple(name for name in _PREFERRED if CODECS[name].is_available)
