"""A house owner's way: the bridge is found and added in a browser, and a blueprint's automation opens the door.

The second test goes on where the first ended: with the line that a person added.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.events import DTMFPressed
from tests.end_to_end.bridge import Bridge
from tests.end_to_end.phone import handset
from tests.peers.chromium import Chromium, Page
from tests.peers.home_assistant import PASSWORD, USER, HomeAssistant

PIN, DOOR_CODE = "2580", "47*"
ACCOUNTS = (
    "  - {id: door, kind: direct, name: Door,"
    f" dtmf: {{terminator: '#', codes: {{family: '{PIN}'}}}}, door: {{code: '{DOOR_CODE}'}}}}\n"
)
PATIENCE = 30  # seconds, on a machine that has more to do


@pytest.fixture(scope="module")
def bridge(home_assistant: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path_factory.mktemp("bridge"), home_assistant.broker, ACCOUNTS)
    bridge.start()
    yield bridge
    bridge.end()


@pytest.fixture
async def page(home_assistant: HomeAssistant, chromium: Chromium) -> AsyncIterator[Page]:
    """Settings > Devices & services, after a person logged in."""
    async with chromium.page(f"{home_assistant.url}/config/integrations/dashboard") as page:
        await page.resize(1024)
        await page.focus("input[name=username]", within=PATIENCE)
        await page.write(USER)
        await page.focus("input[name=password]")
        await page.write(PASSWORD)
        await page.press("Enter")
        yield page


async def test_the_bridge_is_found_and_added_in_the_browser(
    home_assistant: HomeAssistant, bridge: Bridge, page: Page
) -> None:
    await home_assistant.wait_for_flow(within=PATIENCE)
    await page.click("ha-integration-action-card ha-button:last-of-type", within=PATIENCE)  # Add, after Ignore
    await page.wait_for("find('.dialog-title').innerText === 'SIP bridge found'", within=PATIENCE)
    await page.click("ha-dialog-footer ha-button", within=PATIENCE)  # Submit
    await page.wait_for("find('step-flow-create-entry')", within=PATIENCE)
    await page.wait_for("find('ha-dialog-footer ha-button').innerText === 'Skip and finish'", within=PATIENCE)
    await page.click("ha-dialog-footer ha-button", within=PATIENCE)
    await page.wait_for("!find('step-flow-create-entry')", within=PATIENCE)
    await home_assistant.wait_for_state("sensor.door_call_state", "idle", within=PATIENCE)
    (entry,) = await home_assistant.config_entries()
    assert (entry["title"], entry["state"], entry["source"]) == ("Home", "loaded", "mqtt")
    devices = {device["name"]: device for device in await home_assistant.devices()}
    doorbell = next(e for e in await home_assistant.entities() if e["entity_id"] == "event.door_doorbell")
    assert doorbell["device_id"] == devices["Door"]["id"]


async def test_the_pin_of_a_caller_has_the_blueprints_automation_open_the_door(
    home_assistant: HomeAssistant, bridge: Bridge
) -> None:
    (line,) = [device for device in await home_assistant.devices() if device["name"] == "Door"]
    await home_assistant.add_automation(
        "pin_opens_the_door",
        line={"device_id": line["id"]},
        code="family",
        open_door="button.door_open_door",
    )
    async with handset() as station:
        call = await station.dial(f"sip:door@{bridge.address}")
        await home_assistant.wait_for_state("binary_sensor.door_ringing", "on", within=PATIENCE)
        await home_assistant.call_service("button", "press", {"entity_id": "button.door_answer"})
        await station.call_in(CallState.IN_CALL, within=PATIENCE)
        await call.send_dtmf(f"{PIN}#", duration_ms=120, gap_ms=80, method="rtp")
        heard = [await station.event(DTMFPressed, within=PATIENCE) for _ in DOOR_CODE]
        assert [(key.digit, key.method) for key in heard] == [(digit, "rtp") for digit in DOOR_CODE]
        call.hangup()
        await station.finished(within=PATIENCE)
    await home_assistant.wait_for_state("sensor.door_call_state", "idle", within=PATIENCE)
