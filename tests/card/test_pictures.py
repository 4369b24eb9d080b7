"""The pictures in docs/card.md; `SIP_BRIDGE_PICTURES=docs/images script/test tests/card` makes them anew."""

import os
from pathlib import Path

import pytest

from tests.card.test_card import ANSWERED, show
from tests.peers.chromium import Page

LAST = (
    "past = [['2026-11-20T18:20:00Z', {result: 'hangup_remote', direction: 'incoming', talk_seconds: 65,"
    " remote_name: 'Garden gate', remote_number: '201'}],"
    " ['2026-11-21T11:30:00Z', {result: 'hangup_local', direction: 'outgoing', talk_seconds: 312,"
    " remote_name: 'Anna', remote_number: '210'}],"
    " ['2026-11-22T08:05:00Z', {result: 'canceled', direction: 'incoming', talk_seconds: 0,"
    " remote_name: 'Front door', remote_number: '200'}]]"
)
IDLE = "home('idle', {missed_calls: '1', last_call: '2026-11-22T08:05:00Z'}, {last_call: past[2][1]})"
RINGING = "home('ringing')"
TALKING = f"home('talking', {{answered_at: {ANSWERED}}})"
CAMERA = "{camera: 'camera.door'}"
MAX_BYTES = 100_000  # they are in the repository


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where they go."""
    return Path(os.environ.get("SIP_BRIDGE_PICTURES", tmp_path))


@pytest.mark.parametrize(
    ("name", "width", "theme", "home", "config"),
    [
        ("card-idle-light", 412, "light", IDLE, "{}"),
        ("card-ringing-light", 412, "light", RINGING, CAMERA),
        ("card-ringing-dark", 412, "dark", RINGING, CAMERA),
        ("card-in-call-dark", 412, "dark", TALKING, "{}"),
        ("card-idle-wall-dark", 900, "dark", IDLE, "{}"),
        ("card-ringing-wall-light", 900, "light", RINGING, CAMERA),
    ],
)
async def test_the_pictures_of_the_documentation_can_be_made(
    page: Page, pictures: Path, name: str, width: int, theme: str, home: str, config: str
) -> None:
    await page.resize(width, 1000)
    await page.emulate_media(prefers_reduced_motion="reduce")
    await page.evaluate(f"document.documentElement.className = '{theme}'")
    await page.evaluate("document.querySelector('#elsewhere').remove()")
    await page.evaluate(LAST)
    await show(page, home, config)
    await page.wait_for(
        "[...find('sip-phone-card').shadowRoot.querySelectorAll('img')].every(({naturalWidth}) => naturalWidth)"
    )
    picture = await page.screenshot("sip-phone-card")
    assert 4_000 < len(picture) < MAX_BYTES
    (pictures / f"{name}.png").write_bytes(picture)
