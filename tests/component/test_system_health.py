"""The system information page."""

from __future__ import annotations

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import get_system_health_info

from custom_components.sip_phone.contract import Registration, RegistrationState
from tests.component.bridge import FakeBridge, call, snapshot


async def test_the_page_tells_of_bridges_lines_and_calls(hass: HomeAssistant, phone: FakeBridge) -> None:
    assert await async_setup_component(hass, "system_health", {})
    phone.tell("registration", Registration(state=RegistrationState.REGISTERED), "pbx")
    phone.tell("call", snapshot(call()), "door")
    await hass.async_block_till_done()
    assert await get_system_health_info(hass, "sip_phone") == {
        "bridges": "home 0.1.0",
        "online": "1/1",
        "lines": 2,
        "registered": 1,
        "live_calls": 1,
        "schema": 1,
    }


async def test_a_bridge_that_is_gone_counts_as_offline(hass: HomeAssistant, phone: FakeBridge) -> None:
    assert await async_setup_component(hass, "system_health", {})
    for kind in ("state", "info", "accounts"):
        phone.retain(phone.topics.of_bridge(kind), "")
    await hass.async_block_till_done()
    info = await get_system_health_info(hass, "sip_phone")
    assert (info["bridges"], info["online"], info["lines"]) == ("home ?", "0/1", 0)
