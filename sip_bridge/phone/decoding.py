"""Sound files of any kind to PCM, piece by piece, in a thread: WAV by ourselves, the rest by FFmpeg's libraries.

What a decoder is given may be hostile. It gets bytes, never a name or an address, and a list of the formats and codecs
that it may use: none of them opens another file or host, and none of their packets becomes more than a few megabytes.
"""

import os
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from sip_bridge.errors import MediaError
from sip_bridge.media.codecs_av import EXTRA
from sip_bridge.media.wav import MAX_RATE, MIN_RATE, WAVReader
from sip_bridge.phone.fetching import SoundFile

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

Piece = tuple[bytes, int]  # mono PCM, and its samples a second

MAX_LEAD_BYTES: Final = 16 << 20  # of a file before its first sample: tags, a cover, an index
MAX_BAD_PACKETS: Final = 50  # one after the other: a radio stream has a few, what is no sound has nothing else
_PIECE: Final = 16384  # bytes that are read of a WAV file at a time
_HEAD: Final = 64  # bytes that tell most formats
_PROBE: Final = 1 << 20  # bytes that FFmpeg may look at to tell a format
_FORMATS: Final = "aac,aiff,amr,caf,flac,matroska,mov,mp3,ogg"
_CODECS: Final = "aac,aac_latm,alac,amrnb,amrwb,flac,mp2,mp2float,mp3,mp3float,opus,vorbis,pcm_s16be"
_OPTIONS: Final = {
    "format_whitelist": _FORMATS,
    "codec_whitelist": _CODECS,
    "protocol_whitelist": "none",  # nothing may be opened by name
    "enable_drefs": "0",  # nor by a reference in an MP4
    "max_streams": "16",
    "probesize": str(_PROBE),
    "analyzeduration": "2000000",  # µs
}
# By what a server says it sends, where the bytes alone may not tell: radio streams begin in the middle.
_BY_CONTENT_TYPE: Final = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/aac": "aac", "audio/aacp": "aac"}
_BEGINNINGS: Final = (
    ("MP3", 0, b"ID3"),
    ("Ogg", 0, b"OggS"),
    ("FLAC", 0, b"fLaC"),
    ("M4A", 4, b"ftyp"),
    ("WebM", 0, b"\x1aE\xdf\xa3"),
    ("AIFF", 0, b"FORM"),
    ("CAF", 0, b"caff"),
    ("AMR", 0, b"#!AMR"),
)


def decode(file: SoundFile, rate: Callable[[], int]) -> Iterator[Piece]:
    """The sound in a file that is open; ``rate`` says which one would be best. MediaError says what it is instead."""
    source = _Source(file)
    if source.head[:4] == b"RIFF" and source.head[8:12] == b"WAVE":
        return _decode_wav(source)
    name = _format_name(source.head)
    if name is None and _is_text(source.head):
        raise MediaError("text, not a sound")
    if name is None and (file.content_type or "").startswith("text/"):
        raise MediaError("not a sound: the server says that it is text")
    return _decode_with_library(source, name, rate)


def _format_name(head: bytes) -> str | None:
    """What people call a format, by how its files begin."""
    for name, at, begin in _BEGINNINGS:
        if head.startswith(begin, at):
            return name
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "MP3" if head[1] & 0x06 else "AAC"  # ADTS has layer 0
    return None


def _is_text(head: bytes) -> bool:
    try:
        text = getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return all(character >= " " or character in "\t\n\r\f" for character in text)


class _Source:
    """A file as a decoder sees it: its first bytes can be looked at, and it ends when no sound comes of many."""

    def __init__(self, file: SoundFile) -> None:
        self._file = file
        self.content_type = file.content_type
        self._read = 0
        self._limit: int | None = MAX_LEAD_BYTES
        self._failure: MediaError | None = None
        self.head = self._first()
        self._waiting = self.head

    def _first(self) -> bytes:
        head = b""
        while len(head) < _HEAD:
            data = self._file.read(_HEAD - len(head))
            if not data:
                break
            head += data
        if not head:
            raise MediaError("empty")
        return head

    def found_sound(self) -> None:
        """From here on the file may be as long as it is."""
        self._limit = None

    def check(self) -> None:
        """At the end: MediaError when that was not the file's."""
        if self._failure is not None:
            raise self._failure

    def read(self, size: int) -> bytes:
        """Where the file fails it ends, so that what came before is heard; `check` tells."""
        if self._waiting:
            data, self._waiting = self._waiting[:size], self._waiting[size:]
            return data
        if self._failure is not None:
            return b""
        try:
            data = self._file.read(size)
        except MediaError as error:
            self._failure = error
            return b""
        self._read += len(data)
        if self._limit is not None and self._read > self._limit:
            self._failure = MediaError(f"no sound in its first {MAX_LEAD_BYTES >> 20} MiB")
            return b""
        return data

    def seekable(self) -> bool:
        """Only MP4, whose index may stand at its end: FFmpeg seeks wherever it can, and a server has to serve that."""
        return self._file.is_seekable and _format_name(self.head) == "M4A"

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._waiting = b""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell() - len(self._waiting)


def _decode_wav(source: _Source) -> Iterator[Piece]:
    reader = WAVReader()
    while not reader.is_over and (data := source.read(_PIECE)):
        pcm = reader.feed(data)
        if pcm:
            source.found_sound()
            yield pcm, reader.rate
    source.check()
    reader.finish()


def _decode_with_library(source: _Source, name: str | None, rate: Callable[[], int]) -> Iterator[Piece]:
    av = _library(name)
    hint = None if name is not None else _BY_CONTENT_TYPE.get(source.content_type or "")
    try:
        with av.open(source, "r", format=hint, options=_OPTIONS, metadata_errors="ignore") as container:
            yield from _decode_container(av, container, source, rate)
    except (av.FFmpegError, ValueError) as error:
        source.check()
        raise MediaError(_what_is_wrong(name)) from error
    source.check()


def _library(name: str | None) -> Any:
    """PyAV, which is optional and takes a moment to load."""
    try:
        import av  # noqa: PLC0415  # an extra
    except ImportError as error:
        what = f"{name} needs" if name is not None else "not a WAV file; another kind of sound would need"
        raise MediaError(f"{what} {EXTRA}") from error
    return av


def _what_is_wrong(name: str | None) -> str:
    return "not a sound that can be played" if name is None else f"{name} that can't be decoded"


def _decode_container(
    av: Any, container: "InputContainer", source: _Source, rate: Callable[[], int]
) -> Iterator[Piece]:
    if not container.streams.audio:
        raise MediaError("no sound in it")
    stream = container.streams.audio[0]
    if stream.codec_context.codec.name not in _CODECS.split(","):
        raise MediaError(f"sound of kind {stream.codec_context.codec.name}, which is not played")
    resampling = _Resampling(av)
    bad = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            bad += 1
            if bad > MAX_BAD_PACKETS:
                raise
            continue
        for frame in frames:
            bad = 0
            source.found_sound()
            yield from resampling.process(frame, rate())
    yield from resampling.finish()


class _Resampling:
    """Frames of any kind, and of kinds that change in the middle, to mono PCM."""

    def __init__(self, av: Any) -> None:
        self._av = av
        self._resampler: Any = None
        self._kind: object = None
        self._rate = 0

    def process(self, frame: "AudioFrame", rate: int) -> Iterator[Piece]:
        if not MIN_RATE <= frame.sample_rate <= MAX_RATE:
            raise MediaError(f"sound of {frame.sample_rate} Hz")
        kind = (frame.format.name, frame.layout.name, frame.sample_rate, rate)
        if kind != self._kind:
            yield from self.finish()
            self._resampler = self._av.AudioResampler(format="s16", layout="mono", rate=rate)
            self._kind, self._rate = kind, rate
        frame.pts = None  # gaps in a stream's time are not for us to fill: they may be hours
        yield from self._pieces(self._resampler.resample(frame))

    def finish(self) -> Iterator[Piece]:
        """What the resampler still holds."""
        if self._resampler is not None:
            yield from self._pieces(self._resampler.resample(None))
            self._resampler = None

    def _pieces(self, frames: "list[AudioFrame]") -> Iterator[Piece]:
        for frame in frames:
            yield bytes(frame.planes[0])[: 2 * frame.samples], self._rate
