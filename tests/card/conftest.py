"""The card in a browser, on a page that stands in for Home Assistant's."""

import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.peers.chromium import Chromium, Page
from tests.peers.forky import CHECKOUT
from tests.peers.ports import LOOPBACK

CARD = CHECKOUT / "custom_components" / "sip_phone" / "frontend" / "sip-phone-card.js"


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves the page beside this file, and the card."""

    def translate_path(self, path: str) -> str:
        name = Path(path.partition("?")[0]).name
        return str(CARD if name == CARD.name else Path(__file__).parent / name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Nothing of interest."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the page."""
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{LOOPBACK}:{server.server_port}/home.html"
        server.shutdown()
        thread.join()


@pytest.fixture
async def page(chromium: Chromium, address: str) -> AsyncIterator[Page]:
    """A phone's window with nothing on the page yet; no script may fail on it."""
    async with chromium.page(address) as page:
        await page.resize(412)
        yield page
        assert page.errors == []
        await page.evaluate("localStorage.clear()")
