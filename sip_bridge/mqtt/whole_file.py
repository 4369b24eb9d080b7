"""A file that is replaced as a whole: after a crash it holds what it held before, or what it was to hold. Blocking."""

import os
from pathlib import Path
from typing import Final

_MODE: Final = 0o600  # who called whom is nobody else's business
_FOLDER_MODE: Final = 0o750


def replace_file(path: Path, data: bytes) -> None:
    """Have ``path`` hold ``data`` and nothing else, for good; its folder is made where it is missing."""
    folder = path.parent
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Make the new name last, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
