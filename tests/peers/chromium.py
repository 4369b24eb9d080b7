"""A real browser, Chromium without a window, driven by the Chrome DevTools Protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.peers import missing
from tests.peers.process import PeerError, Process

# Of an element anywhere on the page, shadow trees included, that can be seen.
_FIND = """
(() => {
  const find = (root, selector) => {
    const visible = [...root.querySelectorAll(selector)].find((each) => each.checkVisibility());
    if (visible) return visible;
    for (const each of root.querySelectorAll("*")) {
      const found = each.shadowRoot && find(each.shadowRoot, selector);
      if (found) return found;
    }
    return null;
  };
  window.find = (selector) => find(document, selector);
  // Where the mouse hits an element, once it stands still and nothing is over it.
  let last = "";
  window.target = (selector) => {
    const sought = window.find(selector);
    sought.scrollIntoView({block: "nearest"});
    const box = sought.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    let hit = document.elementFromPoint(x, y);
    for (let inner; (inner = hit?.shadowRoot?.elementFromPoint(x, y)) && inner !== hit; ) hit = inner;
    const [before, now] = [last, `${selector} ${x} ${y}`];
    last = now;
    while (hit && hit !== sought) hit = hit.parentNode ?? hit.host; // a button's shadow tree belongs to it
    return !sought.disabled && hit === sought && before === now && [x, y];
  };
  window.attempt = (look) => {
    try {
      const found = look();
      return found instanceof Node || found;
    } catch {
      return null; // not yet
    }
  };
})()
"""
_PAGE_LEFT = -32000
_TEXT = {"RootWebArea", "StaticText", "InlineTextBox"}
_KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, "")}


class PageLeftError(PeerError):
    """The page was left for another one while it was asked."""


class Page:
    """One page; expressions are JavaScript, in which `find(selector)` looks into shadow trees too."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.errors: list[str] = []  # exceptions that nobody caught

    async def open(self, url: str) -> None:
        """Goes to a page and waits for all that it loads at once."""
        await self.ask("Page.navigate", url=url)
        await self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited; PeerError when it throws."""
        answer = await self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PeerError(f"{expression}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    async def wait_for(self, expression: str, *, within: float = 10) -> Any:
        """The first true value of an expression; PeerError when there is none in time."""
        try:
            async with asyncio.timeout(within):
                while True:
                    with contextlib.suppress(PageLeftError):
                        found = await self.evaluate(f"attempt(() => {expression})")
                        if found:
                            return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            shown = await self.evaluate("document.body.innerText")
            raise PeerError(f"never true in {within} s: {expression}; errors: {self.errors}; page: {shown}") from None

    async def click(self, selector: str, *, within: float = 10) -> None:
        """Presses and releases the mouse over an element, once it is there."""
        x, y = await self.wait_for(f"target({json.dumps(selector)})", within=within)
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def focus(self, selector: str, *, within: float = 10) -> None:
        """Gives an element the focus, once it is there."""
        await self.wait_for(f"find({json.dumps(selector)})", within=within)
        await self.evaluate(f"find({json.dumps(selector)}).focus()")

    async def write(self, text: str) -> None:
        """Types a text into what has the focus."""
        await self.ask("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Presses a key."""
        code, number, text = _KEYS.get(key, ("", ord(key[0].upper()), key))
        pressed = {"key": key, "code": code, "windowsVirtualKeyCode": number, "text": text}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", **pressed)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def resize(self, width: int, height: int = 800) -> None:
        """Makes the window another size."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def emulate_media(self, **features: str) -> None:
        """Sets media features, as ``prefers_reduced_motion="reduce"``."""
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.ask("Emulation.setEmulatedMedia", features=told)

    async def accessible(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader meets, in order, without plain text."""
        nodes = (await self.ask("Accessibility.getFullAXTree"))["nodes"]
        by_id = {node["nodeId"]: node for node in nodes}
        told = []
        left = [nodes[0]["nodeId"]]
        while left:
            node = by_id[left.pop()]
            left += reversed(node["childIds"])
            if not node["ignored"] and node["role"]["value"] not in _TEXT:
                told.append((node["role"]["value"], node.get("name", {}).get("value", "")))
        return told

    async def screenshot(self, selector: str, margin: int = 8) -> bytes:
        """A PNG of an element and a little around it."""
        x, y, width, height = await self.evaluate(
            f"(() => {{ const r = find({json.dumps(selector)}).getBoundingClientRect();"
            f"return [r.x - {margin}, r.y - {margin}, r.width + 2 * {margin}, r.height + 2 * {margin}] }})()"
        )
        clip = {"x": max(0, x), "y": max(0, y), "width": width, "height": height, "scale": 1}
        return base64.b64decode(
            (await self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True))["data"]
        )

    async def ask(self, method: str, **parameters: Any) -> Any:
        """The answer to a command of the protocol."""
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async for text in self._socket:
            message = json.loads(text)
            self._note(message)
            if message.get("id") == number:
                if message.get("error", {}).get("code") == _PAGE_LEFT:
                    raise PageLeftError(f"{method}: {message['error']['message']}")
                if "error" in message:
                    raise PeerError(f"{method}: {message['error']}")
                return message["result"]
        raise PeerError(f"Chromium closed the page at {method}")

    def _note(self, message: Mapping[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))


class Chromium:
    """A browser with a profile of its own."""

    def __init__(self, folder: Path) -> None:
        self.process = Process(
            missing.command("chromium-headless-shell", "chromium"),
            "--headless",
            "--no-sandbox",  # tests run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder / 'chromium'}",
            environment={"HOME": str(folder), "LANG": "en_US.UTF-8"},
            has_children=True,
        )
        self._address = ""

    def start(self) -> None:
        """Starts it; pages can be opened when this returns."""
        self.process.start_until("DevTools listening on", within=60)
        line = self.process.wait_for_line("DevTools listening on")
        found = re.search(r"ws://([^/]+)/", line)
        assert found is not None
        self._address = found[1]

    def stop(self) -> None:
        """Ends it."""
        self.process.stop()

    @asynccontextmanager
    async def page(self, url: str) -> AsyncIterator[Page]:
        """A page in a tab of its own, closed at the end."""
        target = await asyncio.to_thread(self._new_tab)
        async with connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
            page = Page(socket)
            await page.ask("Page.enable")
            await page.ask("Runtime.enable")
            await page.ask("Page.addScriptToEvaluateOnNewDocument", source=_FIND)
            await page.open(url)
            yield page
            await page.ask("Page.close")

    def _new_tab(self) -> Any:
        request = urllib.request.Request(f"http://{self._address}/json/new", method="PUT")  # our own
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())
