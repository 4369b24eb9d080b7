"""The dashboard card, as Home Assistant serves it."""

from __future__ import annotations

import hashlib

from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sip_phone.card import CARD
from custom_components.sip_phone.const import DOMAIN
from tests.component.bridge import FakeBridge


async def test_every_page_loads_the_card_whose_address_changes_with_its_content(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    assert await async_setup_component(hass, "frontend", {})
    assert await hass.config_entries.async_setup(entry.entry_id)
    content = CARD.read_bytes()
    (url,) = (url for url in hass.data[DATA_EXTRA_MODULE_URL].urls if DOMAIN in url)
    assert url == f"/sip_phone/sip-phone-card.js?v={hashlib.sha256(content).hexdigest()[:12]}"
    served = await (await hass_client()).get(url)
    assert (served.status, served.content_type, await served.read()) == (200, "text/javascript", content)


async def test_home_assistant_without_pages_needs_no_card(hass: HomeAssistant, phone: FakeBridge) -> None:
    assert hass.services.has_service(DOMAIN, "dial")
    assert DATA_EXTRA_MODULE_URL not in hass.data
