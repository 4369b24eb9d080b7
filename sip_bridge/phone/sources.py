"""What may be played, by the name that people give it: a tone, a file, or an http or https URL."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from sip_bridge.errors import MediaError, NotAllowedError
from sip_bridge.media.tones import ToneSource, is_tone, tone_of
from sip_bridge.phone.audio import AudioSource
from sip_bridge.phone.fetching import Download, LocalFile, SoundFile
from sip_bridge.phone.settings import MediaSettings
from sip_bridge.phone.streaming import SoundStream


class Sound(AudioSource, Protocol):
    """A source that has to be started, and may be stopped."""

    async def start(self) -> None:
        """Wait until it can be heard; MediaError when it can't be."""

    def stop(self) -> None:
        """Nothing more will be read."""

    @property
    def error(self) -> str | None:
        """Why it ended before its end, None when it did not."""


class LiveSound:
    """A source that is always ready, such as a tone or another call."""

    error = None

    def __init__(self, source: AudioSource) -> None:
        self._source = source

    async def start(self) -> None:
        """See `Sound`."""

    def read(self, rate: int) -> bytes | None:
        """See `AudioSource`."""
        return self._source.read(rate)

    def stop(self) -> None:
        """See `Sound`."""


def shown_source(source: str) -> str:
    """A source as events, errors and logs may show it: what a URL says of users, passwords and tokens is left out."""
    text = source.strip()
    if is_tone(text):
        return text
    url = _split(text)
    if url is None:
        scheme = text.partition(":")[0]
        return f"{scheme}:..." if scheme.isalnum() else "..."
    scheme = f"{url.scheme}:" if url.scheme else ""
    if url.netloc:
        return f"{scheme}//{url.netloc.rpartition('@')[2]}{url.path}"
    return f"{scheme}{url.path if url.scheme in ('', 'file') else '...'}"  # a path, or what may be anything


def check_source(source: str, settings: MediaSettings) -> None:
    """What is wrong with a source whatever a file or server says; MediaError, NotAllowedError."""
    sound_of(source, settings, rate=8000)


def sound_of(source: str, settings: MediaSettings, *, rate: int, loop: bool = False) -> Sound:
    """The sound that a source names, not started yet; errors as in `check_source`."""
    text = source.strip()
    try:
        if is_tone(text):
            return LiveSound(_tone(text, settings, loop=loop))
        return SoundStream(_file_of(text, settings), rate=rate, loop=loop)
    except MediaError as error:
        raise MediaError(f"{shown_source(text)}: {error}") from None


def _tone(source: str, settings: MediaSettings, *, loop: bool) -> ToneSource:
    return tone_of(source.partition("/")[0] if loop else source, country=settings.country)


def _file_of(source: str, settings: MediaSettings) -> Callable[[], SoundFile]:
    url = _split(source)
    if url is not None and url.scheme in ("http", "https"):
        return lambda: Download(source)
    if url is not None and url.scheme == "file" and url.netloc in ("", "localhost"):
        path = _allowed(Path(url2pathname(url.path)), settings)
    elif "://" in source:
        raise MediaError("only files, tones, and http and https URLs can be played")
    else:
        path = _allowed(Path(source), settings)
    return lambda: LocalFile(path)


def _allowed(path: Path, settings: MediaSettings) -> Path:
    """Where the file really is; a relative path is looked for in the folders, if there are any.

    NotAllowedError outside of them, whether there is such a file or not.
    """
    if settings.folders is None:
        return path
    try:
        folders = [folder.resolve() for folder in settings.folders]
        found = [real for folder in folders if (real := (folder / path).resolve()).is_relative_to(folder)]
        return next((real for real in found if real.exists()), found[0])
    except IndexError:
        raise NotAllowedError(f"{shown_source(str(path))}: not in a folder of media.folders") from None
    except (OSError, ValueError, RuntimeError):  # a NUL, a name that is too long, a ring of links
        raise MediaError("not a path") from None


def _split(source: str) -> SplitResult | None:
    """The parts of a URL; None for what can't be one."""
    try:
        return urlsplit(source)
    except ValueError:
        return None
