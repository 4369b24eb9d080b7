"""SIP Phone: the lines of a SIP bridge in Home Assistant, by way of MQTT."""

from __future__ import annotations

from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

from .const import DOMAIN, PLATFORMS
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .services import async_setup_services

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions."""
    async_setup_services(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Set up one bridge; raises `ConfigEntryNotReady`."""
    coordinator = SipPhoneCoordinator(hass, entry)
    await coordinator.async_start()
    entry.runtime_data = coordinator
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)


async def async_unload_entry(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Remove what `async_setup_entry` made."""
    await hass.config_entries.async_unload_platforms_or_raise(entry, PLATFORMS)
