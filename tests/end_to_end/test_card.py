"""The dashboard card in a real browser, with the real Home Assistant, the real bridge and a phone that rings."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.end_to_end.bridge import Bridge
from tests.peers.baresip import Baresip
from tests.peers.chromium import Chromium, Page
from tests.peers.home_assistant import PASSWORD, USER, HomeAssistant

ACCOUNTS = "  - {id: door, kind: direct, name: Door, contacts: [{name: Kitchen, number: '%s'}]}\n"


@pytest.fixture(scope="module")
def bridge(home_assistant: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path_factory.mktemp("bridge"), home_assistant.broker, ACCOUNTS % "sip:kitchen@127.0.0.1:9")
    bridge.start()
    yield bridge
    bridge.end()


@pytest.fixture(scope="module")
def line(home_assistant: HomeAssistant, bridge: Bridge) -> str:
    """The line's device, set up and on two dashboards, of which one has nothing but a text."""

    async def set_up() -> str:
        flow = await home_assistant.wait_for_flow()
        await home_assistant.step_flow(flow["flow_id"])
        await home_assistant.wait_for_state("sensor.door_call_state", "idle")
        (device,) = [device for device in await home_assistant.devices() if device["name"] == "Door"]
        card = {"type": "custom:sip-phone-card", "device_id": device["id"], "popup": True}
        await home_assistant.add_dashboard("wall-panel", card)
        await home_assistant.add_dashboard("other-page", {"type": "markdown", "content": "Nothing here rings"})
        return str(device["id"])

    return asyncio.run(set_up())


@pytest.fixture
async def page(home_assistant: HomeAssistant, chromium: Chromium, line: str) -> AsyncIterator[Page]:
    """The dashboard with the card, after a person logged in."""
    async with chromium.page(f"{home_assistant.url}/wall-panel/0") as page:
        await page.resize(1024)
        await page.focus("input[name=username]", within=30)
        await page.write(USER)
        await page.focus("input[name=password]")
        await page.write(PASSWORD)
        await page.press("Enter")
        await page.wait_for("find('sip-phone-card')", within=30)
        yield page
        await page.evaluate("localStorage.clear()")


def heard(baresip: Baresip) -> list[Any]:
    """The keys that arrived at the phone."""
    return [event["param"] for event in baresip.events if event["type"] == "CALL_DTMF_START"]


async def test_a_ring_is_answered_keys_are_pressed_and_the_call_is_ended_on_the_card(
    page: Page, bridge: Bridge, baresip: Baresip
) -> None:
    await page.wait_for("find('h2').innerText === 'Door' && find('[aria-label=\"Call Kitchen\"]')")
    await baresip.dial(f"sip:door@{bridge.address}")
    await page.wait_for("find('.ringing h2').innerText === 'baresip'")
    await page.click(".ringing .good")
    await baresip.wait_for("CALL_ESTABLISHED")
    await page.wait_for("/^0:0[1-9]$/.test(find('.timer').innerText)")
    await page.click("[aria-controls=keys]")
    await page.click("[aria-label='Key 4']")
    await page.press("#")
    await page.wait_for("find('.sent').value === '4#'")
    await page.wait_for("find('sip-phone-card').isSendingKeys === false")
    await page.click(".call .bad")
    await baresip.wait_for("CALL_CLOSED")
    assert heard(baresip) == ["4", "#"]
    await page.wait_for("find('.idle .recent li').innerText.includes('baresip')")
    assert [error for error in page.errors if "sip-phone-card" in error] == []  # Home Assistant has some of its own


async def test_a_ring_pops_up_on_another_page_and_is_rejected_there(
    page: Page, home_assistant: HomeAssistant, bridge: Bridge, baresip: Baresip
) -> None:
    await page.wait_for("localStorage.getItem('sip-phone-card-popups')")
    await page.open(f"{home_assistant.url}/other-page/0")
    await page.wait_for("find('ha-markdown')", within=30)
    await baresip.dial(f"sip:door@{bridge.address}")
    await page.wait_for("find('.popup[role=dialog]')")
    await page.click(".ringing .bad")
    await baresip.wait_for("CALL_CLOSED")
    await page.wait_for("!find('.popup[role=dialog]')")
