"""Commands of the Debian folder that script/peers makes, where this machine has no such command itself."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.peers import missing

CHECKOUT = Path(__file__).parents[2]
_ENTER = CHECKOUT / "script" / "forky"


def forky_command(name: str) -> list[str]:
    """The words that start `name`: this machine's own, else the folder's."""
    own = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if own is not None:
        return [own]
    if os.geteuid() != 0:
        missing.peer_is_missing(f"no {name} on this machine, and a folder with Debian forky needs root")
    found = subprocess.run([_ENTER, "sh", "-c", f"command -v {name}"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        missing.peer_is_missing(f"no {name} on this machine, nor in a folder with Debian forky")
    return [str(_ENTER), name]
