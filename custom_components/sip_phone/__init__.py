"""SIP Phone: the lines of a SIP bridge in Home Assistant, by way of MQTT."""

from __future__ import annotations

from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.typing import ConfigType

from .card import async_setup_card
from .const import DOMAIN, PLATFORMS
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .devices import is_stale_line
from .door_station import async_setup_door_stations
from .happenings import async_setup_happenings
from .issues import async_delete_issues, async_setup_issues
from .services import async_setup_services

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions, and the dashboard card."""
    async_setup_services(hass)
    await async_setup_card(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Set up one bridge; raises `ConfigEntryNotReady`."""
    coordinator = SipPhoneCoordinator(hass, entry)
    await coordinator.async_start()
    entry.runtime_data = coordinator
    async_setup_door_stations(hass, entry)
    async_setup_happenings(hass, entry)
    await async_setup_issues(hass, entry)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)


async def async_unload_entry(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Remove what `async_setup_entry` made."""
    await hass.config_entries.async_unload_platforms_or_raise(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Leave nothing behind."""
    async_delete_issues(hass, entry)


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, device: dr.DeviceEntry
) -> bool:
    """Let a person delete a line that the bridge no longer has."""
    coordinator = entry.runtime_data
    return is_stale_line(coordinator.topics.bridge, device, coordinator.state)
