"""The folder of the recordings, and one file in it. All of this waits for the disk: none of it runs on the event loop.

A recording has ``.part`` behind its name until it is finished. Its writer holds a lock on it: one without a lock is
left over from a crash. Only files whose names are as we make them are ever touched.
"""

import contextlib
import errno
import fcntl
import logging
import os
import re
import stat
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sip_bridge.errors import DiskFullError, MediaError
from sip_bridge.media.recording import CHANNELS
from sip_bridge.media.wav_header import HEADER_BYTES, WAVHeader
from sip_bridge.phone.settings import RecordingSettings

_LOG = logging.getLogger(__name__)
_PART: Final = ".part"
_OURS: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z_[\w-]{1,100}\.wav(\.part)?")
_NOT_IN_NAMES: Final = re.compile(r"[^\w-]+")
MAX_LABEL: Final = 96  # bytes of the part of a name that says whose call it is
_MAX_SAME: Final = 1000  # recordings that begin in the same second and are called the same
_MODE: Final = 0o640  # what people say on the phone is not for everybody
_FOLDER_MODE: Final = 0o750
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DAY: Final = 86400.0
_TIDY_BYTES: Final = 4 << 20  # of a recording, one or two minutes, after which the folder's size is looked at again


def file_stem(label: str, started_at: float) -> str:
    """``20261123T035313Z_door_incoming_200``: nothing in it leads out of the folder, whatever the label."""
    begin = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(started_at))
    kept = _NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", label)).strip("_-")
    return f"{begin}_{kept.encode()[:MAX_LABEL].decode(errors='ignore') or 'call'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFile:
    """A finished recording: its name in the folder, how long it is, and its bytes."""

    name: str
    seconds: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    path: Path
    size: int
    modified_at: float


class RecordingFolder:
    """Keeps what it holds within its bounds."""

    def __init__(self, settings: RecordingSettings) -> None:
        self.settings = settings

    def check_room(self) -> None:
        """DiskFullError when the disk has too little left."""
        disk = os.statvfs(self.settings.folder)
        if disk.f_bavail * disk.f_frsize < self.settings.min_free:
            raise DiskFullError(f"less than {self.settings.min_free >> 20} MiB of the disk are free")

    def tidy(self) -> None:
        """Delete what is too old, and the oldest until the rest is small enough; DiskFullError when it never is."""
        found = sorted(self._found(), key=lambda each: each.path.name)
        too_old = None if self.settings.keep_days is None else time.time() - self.settings.keep_days * _DAY
        total = sum(each.size for each in found)
        for each in found:
            is_old = too_old is not None and each.modified_at < too_old
            if each.path.suffix != _PART and (is_old or total > self.settings.max_size) and _delete(each.path):
                total -= each.size
        if total > self.settings.max_size:
            raise DiskFullError(f"the recordings that go on need more than {self.settings.max_size >> 20} MiB")

    def recover(self) -> None:
        """Finish what a crash left unfinished."""
        for each in self._found():
            if each.path.suffix == _PART:
                try:
                    self._recover(each.path)
                except OSError as error:
                    _LOG.warning("the recording %s can't be recovered: %s", each.path.name, error.strerror)

    def unused_path(self, stem: str, *, but: Path | None = None) -> Path:
        """A path whose name nothing in the folder has, unfinished or not, ``but`` what is to get it."""
        for number in range(1, _MAX_SAME):
            path = self.settings.folder / f"{stem if number == 1 else f'{stem}-{number}'}.wav"
            part = path.with_name(path.name + _PART)
            if not os.path.lexists(path) and (part == but or not os.path.lexists(part)):
                return path
        raise MediaError(f"{stem}: too many recordings of that name")

    def _found(self) -> list[_Found]:
        """Our files, and nobody else's: no folder, no link, no other name."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.settings.folder) as entries:
            for entry in entries:
                if _OURS.fullmatch(entry.name) is None:
                    continue
                with contextlib.suppress(FileNotFoundError):  # deleted by somebody else meanwhile
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found.append(_Found(path=Path(entry.path), size=status.st_size, modified_at=status.st_mtime))
        return found

    def _recover(self, part: Path) -> None:
        descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not _locked(descriptor):
                return  # somebody writes to it
            begin = WAVHeader.parse(os.pread(descriptor, HEADER_BYTES, 0))
            header = None if begin is None else _completed(descriptor, begin)
            if header is None or not header.sound_bytes:
                _delete(part)
                return
            path = self.unused_path(part.name.removesuffix(f".wav{_PART}"), but=part)
            part.rename(path)
            _LOG.info("recovered the recording %s, %.0f s", path.name, header.seconds)
        finally:
            os.close(descriptor)


class RecordingFile:
    """A recording that is being written: `open`, then `write`, then `finish` or `discard`, one after the other."""

    def __init__(self, folder: RecordingFolder, stem: str, *, rate: int) -> None:
        self._folder = folder
        self._stem = stem
        self._begin = WAVHeader(rate=rate, channels=CHANNELS)
        self._descriptor: int | None = None
        self._part = Path()
        self._tidied_at = 0  # bytes of sound
        self._has_failed = False

    def open(self) -> str:
        """Make the file, and return the name that it will have; MediaError when it can't be."""
        try:
            self._folder.settings.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            self._folder.tidy()
            self._folder.check_room()
            path = self._folder.unused_path(self._stem)
            self._part = path.with_name(path.name + _PART)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            self._descriptor = os.open(self._part, flags, _MODE)
            _locked(self._descriptor)
            _write_all(self._descriptor, self._begin.format(), 0)
        except OSError as error:
            self.discard()
            raise _told(error) from error
        return path.name

    def write(self, at: int, sound: bytes) -> None:
        """Put sound ``at`` so many bytes after its begin; what was left out before is silence.

        DiskFullError when there is no room for more, MediaError when the disk fails: what was written stays.
        """
        if self._descriptor is None or self._has_failed:
            return  # which was said
        try:
            if at - self._tidied_at > _TIDY_BYTES:
                self._tidied_at = at
                self._folder.tidy()
            self._folder.check_room()
            _write_all(self._descriptor, sound, HEADER_BYTES + at)
            _write_all(self._descriptor, _of_length(self._begin, HEADER_BYTES + at + len(sound)).format(), 0)
        except MediaError:
            self._has_failed = True
            raise
        except OSError as error:
            self._has_failed = True
            raise _told(error) from error

    def finish(self, length: int = 0) -> RecordedFile | None:
        """Give it its name, once it is on the disk; None when it could not be opened. MediaError when that fails.

        Of its ``length`` in bytes of sound, what was left out at the end is silence, unless the disk failed.
        """
        if self._descriptor is None:
            return None
        try:
            if not self._has_failed and os.fstat(self._descriptor).st_size < HEADER_BYTES + length:
                os.ftruncate(self._descriptor, HEADER_BYTES + length)
            header = _completed(self._descriptor, self._begin)
            with contextlib.suppress(OSError):  # the disk is full: what it holds has its name all the same
                os.fsync(self._descriptor)
            path = self._folder.unused_path(self._part.name.removesuffix(f".wav{_PART}"), but=self._part)
            self._part.rename(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise _told(error) from error
        finally:
            self._close()
        return RecordedFile(name=path.name, seconds=header.seconds, size=HEADER_BYTES + header.sound_bytes)

    def discard(self) -> None:
        """Nobody wants it any longer."""
        if self._descriptor is not None:
            _delete(self._part)
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _of_length(begin: WAVHeader, size: int) -> WAVHeader:
    """The header of a file of so many bytes."""
    blocks = max(size - HEADER_BYTES, 0) // begin.block_bytes
    return WAVHeader(rate=begin.rate, channels=begin.channels, sound_bytes=blocks * begin.block_bytes)


def _completed(descriptor: int, begin: WAVHeader) -> WAVHeader:
    """Have the header say what is there, which ends with a whole sample."""
    header = _of_length(begin, os.fstat(descriptor).st_size)
    _write_all(descriptor, header.format(), 0)
    os.ftruncate(descriptor, HEADER_BYTES + header.sound_bytes)
    return header


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _locked(descriptor: int) -> bool:
    """Whether nobody else has the file's lock; on a file system without locks, nobody has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # not every file system can
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(path: Path) -> bool:
    try:
        path.unlink()
    except OSError as error:
        _LOG.warning("the recording %s can't be deleted: %s", path.name, error.strerror)
        return False
    _LOG.info("deleted the recording %s", path.name)
    return True


def _told(error: OSError) -> MediaError:
    kind = DiskFullError if error.errno in _FULL else MediaError
    return kind(f"the recording can't be written: {error.strerror}")
