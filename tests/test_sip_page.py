"""docs/sip.md says of every module, machine, timer and bound of the engine what the code says."""

import subprocess
from pathlib import Path

from sip_bridge.sip.capabilities import ALLOW, ALLOW_EVENTS, SUPPORTED

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "sip.md").read_text()


def test_the_page_is_up_to_date() -> None:
    """A new module wants a place among the GROUPS of script/diagrams.py, a newly named RFC a line in its RFCS."""
    subprocess.run([ROOT / "script" / "diagrams", "--check"], check=True)


def test_the_page_names_what_is_allowed_and_supported() -> None:
    named = [*ALLOW.split(", "), *(f"`{word}`" for word in (*SUPPORTED.split(", "), *ALLOW_EVENTS.split(", ")))]
    assert [word for word in named if word not in PAGE] == []


def test_the_architecture_leads_to_the_page() -> None:
    assert "(docs/sip.md)" in (ROOT / "ARCHITECTURE.md").read_text()
