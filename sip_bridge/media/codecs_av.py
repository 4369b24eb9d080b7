"""G.722 (ITU-T G.722, RFC 3551 §4.5.2) and Opus (RFC 6716, RFC 7587) by FFmpeg's libraries: PyAV, the extra ``audio``.
Resampling, too.

PyAV is imported when it is needed for the first time, because the plain install does without it. An encoder or decoder
opens with its first packet, which takes a millisecond: a peer that changes codec all the time opens only what is heard.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Final

from sip_bridge.errors import MediaError

if TYPE_CHECKING:
    from types import ModuleType

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

EXTRA: Final = "sip-bridge[audio]"
RATE: Final = 16000  # samples a second of the PCM on this side of both codecs
OPUS_PTIMES: Final = (10, 20, 40, 60)  # milliseconds
OPUS_FMTP: Final = "maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0"
_OPUS_RATE: Final = 48000  # of what FFmpeg decodes to, whatever was sent
_BIT_RATE: Final = 48000  # of Opus, unless the peer wants less: for 8 kHz of bandwidth more is not heard
_CELT_BIT_RATE: Final = 32000  # from which on CELT alone does speech justice
_MIN_BIT_RATE: Final = 16000  # at which speech stays clear
_EXPECTED_LOSS: Final = "10"  # per cent, for a peer that can make use of redundancy


def is_installed() -> bool:
    """Whether PyAV is there, loads, and has both codecs: one that was built by hand may lack libopus."""
    try:
        known: set[str] = _av().codecs_available
    except MediaError:
        return False
    return {"g722", "libopus"} <= known


def _av() -> "ModuleType":
    """PyAV; MediaError names the extra that brings it."""
    try:
        import av  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise MediaError(f"G.722 and Opus need {EXTRA}: {error}") from error
    return av


class G722Decoder:
    """One incoming stream."""

    @cached_property
    def _context(self) -> "AudioCodecContext":
        return _decoder("g722", RATE)

    def decode(self, payload: bytes) -> bytes:
        """Two samples for each byte."""
        return b"".join(map(_pcm, _decode(self._context, payload)))


class OpusDecoder:
    """One incoming stream: every mode, bandwidth and frame size; stereo is mixed.

    libopus, because FFmpeg's own decoder overshoots badly with some of SILK's packets.
    """

    @cached_property
    def _context(self) -> "AudioCodecContext":
        return _decoder("libopus", _OPUS_RATE)

    @cached_property
    def _resampler(self) -> "AudioResampler":
        return _primed_resampler(_OPUS_RATE, RATE)

    def decode(self, payload: bytes) -> bytes:
        """As many samples as the packet says, at most 120 ms; none when it is damaged."""
        frames = _decode(self._context, payload)
        return b"".join(_pcm(part) for frame in frames for part in self._resampler.resample(frame))


class AVResampler:
    """What `resampler.Resampler` does, in a fiftieth of the time that plain Python takes."""

    def __init__(self, rate: int, to_rate: int) -> None:
        self._rate = rate
        self._to_rate = to_rate

    @cached_property
    def _resampler(self) -> "AudioResampler":
        return _primed_resampler(self._rate, self._to_rate)

    def process(self, pcm: bytes) -> bytes:
        """The next piece at the other rate."""
        if not pcm:
            return b""
        frame = _frame(pcm, len(pcm) // 2, self._rate)
        return b"".join(map(_pcm, self._resampler.resample(frame)))


class G722Encoder:
    """One outgoing stream at 64 kbit/s in packets of ``ptime`` milliseconds."""

    def __init__(self, ptime: int) -> None:
        self._samples = RATE * ptime // 1000

    @cached_property
    def _context(self) -> "AudioCodecContext":
        return _encoder("g722", {"frame_size": str(self._samples)})

    def encode(self, pcm: bytes) -> bytes:
        """One packet; what is missing in it is silence."""
        return _encode(self._context, pcm, self._samples)

    def silence(self, samples: int) -> bytes:
        """Encoded like sound, because the decoder remembers what went before."""
        return self.encode(bytes(2 * samples))


class OpusEncoder:
    """One outgoing stream in packets of ``ptime`` milliseconds, 10, 20, 40 or 60, as the peer's ``fmtp`` wants it."""

    def __init__(self, ptime: int, fmtp: str) -> None:
        self._ptime = ptime
        self._samples = RATE * ptime // 1000
        self._fmtp = fmtp

    @cached_property
    def _context(self) -> "AudioCodecContext":
        wishes = _parameters(self._fmtp)
        bit_rate = min(max(wishes.get("maxaveragebitrate", _BIT_RATE), _MIN_BIT_RATE), _BIT_RATE)
        has_fec = wishes.get("useinbandfec") == 1
        options = {
            "frame_duration": str(self._ptime),
            "compression_level": "5",  # of 10: above, twice the time for what nobody hears
            "b": str(bit_rate),
            "vbr": "off" if wishes.get("cbr") == 1 else "on",
            "fec": "1" if has_fec else "0",
            "packet_loss": _EXPECTED_LOSS if has_fec else "0",
            # CELT alone is 4 ms sooner and truer to the waveform; few bits and redundancy are SILK's.
            "application": "voip" if has_fec or bit_rate < _CELT_BIT_RATE else "lowdelay",
        }
        return _encoder("libopus", options)

    def encode(self, pcm: bytes) -> bytes:
        """One packet; what is missing in it is silence."""
        return _encode(self._context, pcm, self._samples)

    def silence(self, samples: int) -> bytes:
        """Encoded like sound, because the decoder remembers what went before."""
        return self.encode(bytes(2 * samples))


def _parameters(fmtp: str) -> dict[str, int]:
    """The numbers among the parameters (RFC 7587 §6.1); the first of a name counts, what makes no sense is left out."""
    found: dict[str, int] = {}
    for parameter in fmtp.split(";"):
        name, _, value = (text.strip().lower() for text in parameter.partition("="))
        if value.isascii() and value.isdigit() and len(value) <= 6:
            found.setdefault(name, int(value))
    return found


# --- FFmpeg ---


def _encoder(name: str, options: dict[str, str]) -> "AudioCodecContext":
    context: AudioCodecContext = _av().CodecContext.create(name, "w")
    context.sample_rate, context.layout, context.format = RATE, "mono", "s16"
    context.options = options
    return _opened(context)


def _decoder(name: str, rate: int) -> "AudioCodecContext":
    context: AudioCodecContext = _av().CodecContext.create(name, "r")
    context.sample_rate, context.layout = rate, "mono"
    return _opened(context)


def _opened(context: "AudioCodecContext") -> "AudioCodecContext":
    context.thread_count = 1
    context.open()
    return context


def _primed_resampler(rate: int, to_rate: int) -> "AudioResampler":
    """A frame in gives a frame out: the first would lack what the filter holds back."""
    resampler: AudioResampler = _av().AudioResampler(format="s16", layout="mono", rate=to_rate)
    samples = rate // 50
    resampler.resample(_frame(bytes(2 * samples), samples, rate))
    return resampler


def _frame(pcm: bytes, samples: int, rate: int) -> "AudioFrame":
    frame: AudioFrame = _av().AudioFrame(format="s16", layout="mono", samples=samples)
    frame.sample_rate = rate
    frame.planes[0].update(pcm)
    return frame


def _encode(context: "AudioCodecContext", pcm: bytes, samples: int) -> bytes:
    frame = _frame(pcm[: 2 * samples].ljust(2 * samples, b"\0"), samples, RATE)
    return b"".join(map(bytes, context.encode(frame)))


def _decode(context: "AudioCodecContext", payload: bytes) -> "list[AudioFrame]":
    if not payload:  # would be the end of the stream to FFmpeg
        return []
    av = _av()
    try:
        return context.decode(av.Packet(payload))
    except av.FFmpegError:
        return []


def _pcm(frame: "AudioFrame") -> bytes:
    return bytes(frame.planes[0])[: 2 * frame.samples]  # the plane may be longer
