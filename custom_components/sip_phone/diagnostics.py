"""What a person may attach to a bug report: the state, without who called whom and without what opens a door."""

from __future__ import annotations

from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.redact import async_redact_data

from .contract import as_data
from .coordinator import SipPhoneConfigEntry
from .devices import account_of
from .door_station import CONF_CALLER, CONF_DOOR_CODE, DoorStation, door_stations

# Names, numbers and URIs of people; a Call-ID often holds an address; the bridge's configuration names its peers.
_PERSONAL: Final = frozenset(
    {"call_id", "config", "contacts", "description", "name", "number", "phrase", "remote", "uri"}
)
_OF_A_DOOR: Final = frozenset({CONF_CALLER, CONF_DOOR_CODE, "name"})


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> dict[str, Any]:
    """The entry's data and all that is known of the bridge, redacted."""
    return {
        "entry": dict(entry.data),
        "options": dict(entry.options),
        "door_stations": [_of_station(station) for station in door_stations(entry)],
        "state": _redacted(entry.runtime_data.state),
    }


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, device: dr.DeviceEntry
) -> dict[str, Any]:
    """What is known of one line or door station; of the bridge's device all, redacted."""
    state = entry.runtime_data.state
    station = next((each for each in door_stations(entry) if each.identifier in device.identifiers), None)
    account = account_of(entry.runtime_data.topics.bridge, device) if station is None else station.account
    if account is None:
        return await async_get_config_entry_diagnostics(hass, entry)
    info = state.account(account)
    return {
        "account": None if info is None else _redacted(info),
        "line": _redacted(state.line(account)),
        "door_station": None if station is None else _of_station(station),
    }


def _redacted(payload: object) -> dict[str, Any]:
    redacted: dict[str, Any] = async_redact_data(as_data(payload), _PERSONAL)  # as_data: lists for tuples, to look into
    return redacted


def _of_station(station: DoorStation) -> dict[str, Any]:
    redacted: dict[str, Any] = async_redact_data(as_data(station), _OF_A_DOOR)
    return redacted
