"""Which line an action is for: by device, entity, area or label, or by the bridge's entry and the account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import probatio
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import ATTR_ENTITY_ID, ENTITY_MATCH_ALL
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import service
from homeassistant.helpers.target import TargetSelection, async_extract_referenced_entity_ids

from .const import DOMAIN
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .devices import account_of
from .door_station import DoorStation, door_stations

ATTR_ACCOUNT: Final = "account"
ATTR_CONFIG_ENTRY_ID: Final = "config_entry_id"
TARGET: Final[Mapping[str | probatio.Marker, Any]] = {
    **cv.ENTITY_SERVICE_FIELDS,
    probatio.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
    probatio.Optional(ATTR_ACCOUNT): cv.string,
}
TARGET_KEYS: Final = frozenset(str(key) for key in TARGET)

Line = tuple[SipPhoneCoordinator, str]
Target = tuple[SipPhoneCoordinator, str, DoorStation | None]


@callback
def async_find_line(call: ServiceCall) -> Line:
    """The one line that an action is for, a door station's among them; raises a translated `ServiceValidationError`."""
    coordinator, account, _ = async_find_target(call)
    return coordinator, account


@callback
def async_find_target(call: ServiceCall) -> Target:
    """The line, and the station if nothing but that one was named; raises a translated `ServiceValidationError`."""
    named = set(_async_named(call))
    lines = {(coordinator, account) for coordinator, account, _ in named}
    if not lines and not TARGET_KEYS & call.data.keys():
        lines = set(_async_every_line(call.hass))
    if not lines:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="not_a_line")
    if len(lines) > 1:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="several_lines")
    stations = {station for _, _, station in named}
    if len(stations) > 1 and None not in stations:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="several_stations")
    return (*lines.pop(), stations.pop() if len(stations) == 1 else None)


def _async_named(call: ServiceCall) -> Iterator[Target]:
    if ATTR_CONFIG_ENTRY_ID in call.data or ATTR_ACCOUNT in call.data:
        yield (*_async_line_of_entry(call), None)
    if call.data.get(ATTR_ENTITY_ID) == ENTITY_MATCH_ALL:
        yield from ((*line, None) for line in _async_every_line(call.hass))
    for device_id in _async_devices(call):
        entry: SipPhoneConfigEntry
        device, entry = service.async_get_device_and_config_entry(
            call.hass, DOMAIN, device_id, include_child_devices=False
        )
        station = next((each for each in door_stations(entry) if each.identifier in device.identifiers), None)
        account = account_of(entry.runtime_data.topics.bridge, device) if station is None else station.account
        if account is not None:
            yield entry.runtime_data, account, station


def _async_line_of_entry(call: ServiceCall) -> Line:
    entry: SipPhoneConfigEntry = service.async_get_config_entry(call.hass, DOMAIN, call.data.get(ATTR_CONFIG_ENTRY_ID))
    accounts = entry.runtime_data.state.accounts or {}
    account: str = call.data.get(ATTR_ACCOUNT) or ",".join(accounts)  # the only one need not be named
    if account not in accounts:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="unknown_line",
            translation_placeholders={"account": account, "bridge": entry.title},
        )
    return entry.runtime_data, account


def _async_devices(call: ServiceCall) -> set[str]:
    """The devices that are named, and those of ours that have an area or label which is, or an entity that has."""
    chosen = TargetSelection(call.data)  # it knows "none", too
    named = chosen.device_ids | {_async_device_of(call.hass, each) for each in chosen.entity_ids - {ENTITY_MATCH_ALL}}
    selected = async_extract_referenced_entity_ids(call.hass, chosen)
    registry, entities = dr.async_get(call.hass), er.async_get(call.hass)
    indirect = [entities.async_get(each) for each in selected.indirectly_referenced]
    labelled = {entity.device_id for entity in indirect if entity is not None and entity.device_id is not None}
    ours = {
        device.id
        for entry in call.hass.config_entries.async_entries(DOMAIN)
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id)
    }
    return named | ((selected.referenced_devices | labelled) & ours)


def _async_device_of(hass: HomeAssistant, entity_id: str) -> str:
    entity = er.async_get(hass).async_get(entity_id)
    if entity is None or entity.platform != DOMAIN or entity.device_id is None:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="not_an_entity_of_a_line",
            translation_placeholders={"entity_id": entity_id},
        )
    return entity.device_id


def _async_every_line(hass: HomeAssistant) -> Iterator[Line]:
    entries: list[SipPhoneConfigEntry] = hass.config_entries.async_entries(DOMAIN)
    for entry in entries:
        if entry.state is ConfigEntryState.LOADED:
            for account in entry.runtime_data.state.accounts or {}:
                yield entry.runtime_data, account
