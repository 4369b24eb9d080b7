"""docs/sip.md says of every module, machine, timer and bound of the engine what the code says."""

import os
import subprocess
import sys
from pathlib import Path

from sip_bridge.sip.capabilities import ALLOW, ALLOW_EVENTS, SUPPORTED

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "sip.md").read_text()


def test_the_page_is_up_to_date() -> None:
    """A new module wants a place among the GROUPS of script/diagrams.py, a newly named RFC a line in its RFCS."""
    command = [sys.executable, str(ROOT / "script" / "diagrams.py"), "--check"]  # whatever Python the tests run on
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


def test_the_page_names_what_is_allowed_and_supported() -> None:
    named = [*ALLOW.split(", "), *(f"`{word}`" for word in (*SUPPORTED.split(", "), *ALLOW_EVENTS.split(", ")))]
    assert [word for word in named if word not in PAGE] == []


def test_the_architecture_leads_to_the_page() -> None:
    assert "(docs/sip.md)" in (ROOT / "ARCHITECTURE.md").read_text()
