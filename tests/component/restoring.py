"""What Home Assistant stored of entities before it was restarted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import restore_state
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sip_phone.const import DOMAIN


def remember(hass: HomeAssistant, entry: MockConfigEntry, stored: Mapping[str, Mapping[str, Any]]) -> None:
    """Store data by ``platform.key`` of the line Door, whose entities the registry knows from the run before."""
    registry = er.async_get(hass)
    states = []
    for name, extra_data in stored.items():
        platform, _, key = name.partition(".")
        known = registry.async_get_or_create(platform, DOMAIN, f"home/door/{key}", config_entry=entry)
        state = State(known.entity_id, "unavailable").as_dict()
        states.append({"state": state, "extra_data": dict(extra_data), "last_seen": dt_util.utcnow()})
    restore_state.async_get(hass)._async_load_stored_states(states)
