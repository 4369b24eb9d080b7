"""What the system information page tells of the bridges."""

from __future__ import annotations

from typing import Any

from homeassistant.components import system_health
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .contract import SCHEMA
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Register the page's part."""
    register.async_register_info(_async_info)


async def _async_info(hass: HomeAssistant) -> dict[str, Any]:
    entries: list[SipPhoneConfigEntry] = hass.config_entries.async_loaded_entries(DOMAIN)
    bridges = [entry.runtime_data for entry in entries]
    return {
        "bridges": ", ".join(map(_name, bridges)),
        "online": f"{sum(each.state.is_online for each in bridges)}/{len(bridges)}",
        "lines": sum(len(each.state.accounts or ()) for each in bridges),
        "registered": sum(_registered(each) for each in bridges),
        "live_calls": sum(_live_calls(each) for each in bridges),
        "schema": SCHEMA,
    }


def _name(bridge: SipPhoneCoordinator) -> str:
    version = "?" if bridge.state.info is None else bridge.state.info.version
    return f"{bridge.topics.bridge} {version}"


def _registered(bridge: SipPhoneCoordinator) -> int:
    return sum(line.is_registered is True for line in bridge.state.lines.values())


def _live_calls(bridge: SipPhoneCoordinator) -> int:
    return sum(len(line.calls) for line in bridge.state.lines.values())
