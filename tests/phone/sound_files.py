"""Sound files of every kind, made when a test wants them."""

import io
import math
import struct
from array import array
from typing import Any

import av

from sip_bridge.media.pcm import pcm_of

# By name: FFmpeg's name of the container, of its codec, the rate, and options.
KINDS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "mp3": ("mp3", "libmp3lame", 44100, {}),
    "ogg vorbis": ("ogg", "vorbis", 44100, {"strict": "-2"}),
    "ogg opus": ("ogg", "libopus", 48000, {}),
    "flac": ("flac", "flac", 44100, {}),
    "aac": ("adts", "aac", 44100, {}),
    "m4a": ("ipod", "aac", 44100, {}),  # its index stands at its end
    "webm": ("webm", "libopus", 48000, {}),
}


def sine(frequency: float, rate: int, seconds: float, *, amplitude: int = 8000) -> "array[int]":
    step = 2 * math.pi * frequency / rate
    return array("h", [round(amplitude * math.sin(step * n)) for n in range(round(rate * seconds))])


def wav(samples: "array[int]", rate: int, *, size: int | None = None) -> bytes:
    """16 bit mono; ``size`` is what the file says of its sound, if not the truth."""
    data = pcm_of(samples)
    said = len(data) if size is None else size
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", min(36 + said, 0xFFFFFFFF), b"WAVE")
        + form
        + struct.pack("<4sI", b"data", said)
        + data
    )


def encoded(kind: str, frequency: float = 440.0, seconds: float = 1.0) -> bytes:
    """A tone in stereo, as a media library has it."""
    form, codec, rate, options = KINDS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=rate, layout="stereo", options=options)
        context = stream.codec_context
        converter = av.AudioResampler(
            format=context.format, layout="stereo", rate=rate, frame_size=context.frame_size or 1024
        )
        mono = av.AudioFrame(format="s16", layout="mono", samples=round(rate * seconds))
        mono.sample_rate = rate
        mono.planes[0].update(pcm_of(sine(frequency, rate, seconds)))
        for frame in (*converter.resample(mono), *converter.resample(None)):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def pictures() -> bytes:
    """A film without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    return file.getvalue()
