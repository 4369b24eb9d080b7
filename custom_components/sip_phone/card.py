"""The dashboard card: served and loaded by the integration, so that nobody has to add a resource."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from homeassistant.components.frontend import add_extra_js_url
from homeassistant.components.http import StaticPathConfig
from homeassistant.core import HomeAssistant

from .const import DOMAIN

CARD: Final = Path(__file__).parent / "frontend" / "sip-phone-card.js"
CARD_URL: Final = f"/{DOMAIN}/{CARD.name}"


async def async_setup_card(hass: HomeAssistant) -> None:
    """Have every page of Home Assistant load the card, if there are pages."""
    if "frontend" not in hass.config.components:
        return
    await hass.http.async_register_static_paths([StaticPathConfig(CARD_URL, str(CARD), cache_headers=True)])
    content = await hass.async_add_executor_job(CARD.read_bytes)
    # Browsers keep it for a month: another content needs another address.
    add_extra_js_url(hass, f"{CARD_URL}?v={hashlib.sha256(content).hexdigest()[:12]}")
