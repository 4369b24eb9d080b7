"""What happens when a peer is not installed: its tests skip and say so; in CI they fail."""

import os
import shutil
from typing import NoReturn

import pytest


def peer_is_missing(reason: str) -> NoReturn:
    """Skips the test, or with `CI=true` fails it."""
    message = f"{reason} (script/peers installs it)"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def command(*names: str) -> str:
    """The path of an installed command; of several names, the first that there is."""
    folders = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for name in names:
        path = shutil.which(name, path=folders)
        if path is not None:
            return path
    peer_is_missing(f"no {' or '.join(names)} on this machine")
