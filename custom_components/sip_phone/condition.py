"""Conditions: a line rings, is in a call, is registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, override

from homeassistant.const import STATE_ON, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.condition import Condition
from homeassistant.helpers.condition.entity_condition import EntityStateConditionBase

from .const import DOMAIN
from .contract import RegistrationState

_BINARY_SENSOR: Final[Mapping[str, DomainSpec]] = {Platform.BINARY_SENSOR: DomainSpec()}
_SENSOR: Final[Mapping[str, DomainSpec]] = {Platform.SENSOR: DomainSpec()}
_ON: Final[set[str | bool]] = {STATE_ON}
_REGISTERED: Final[set[str | bool]] = {RegistrationState.REGISTERED.value}


class LineCondition(EntityStateConditionBase):
    """What one entity of each targeted line, or of a door station, says."""

    keys: ClassVar[frozenset[str]]  # of the entities that say it

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        """Only the entities that say it: a target is mostly a whole device."""
        registry = er.async_get(self._hass)
        return {entity for entity in super().entity_filter(entities) if self._says_it(registry.async_get(entity))}

    def _says_it(self, entity: er.RegistryEntry | None) -> bool:
        return entity is not None and entity.platform == DOMAIN and entity.unique_id.rpartition("/")[2] in self.keys


class IsRingingCondition(LineCondition):
    """An incoming call rings."""

    keys = frozenset({"ringing"})
    _domain_specs = _BINARY_SENSOR
    _states = _ON


class IsInCallCondition(LineCondition):
    """A call was answered and lives."""

    keys = frozenset({"in_call"})
    _domain_specs = _BINARY_SENSOR
    _states = _ON


class IsRegisteredCondition(LineCondition):
    """The registrar knows the line."""

    keys = frozenset({"registration"})
    _domain_specs = _SENSOR
    _states = _REGISTERED
    _primary_entities_only = False  # what is registered is a diagnostic


CONDITIONS: Final[dict[str, type[Condition]]] = {
    "is_ringing": IsRingingCondition,
    "is_in_call": IsInCallCondition,
    "is_registered": IsRegisteredCondition,
}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """The conditions of this integration."""
    return CONDITIONS
