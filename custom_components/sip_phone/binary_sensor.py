"""Binary sensors of a line, and whether the bridge is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import DescribedLineEntity, LineEntityDescription, SipPhoneEntity, async_add_described
from .state import LineState
from .station_entities import StationRinging, async_add_stations

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class LineBinarySensorDescription(LineEntityDescription, BinarySensorEntityDescription):
    """A binary sensor that is a function of the line's state."""

    is_on: Callable[[LineState], bool | None]


BINARY_SENSORS = (
    LineBinarySensorDescription(key="ringing", translation_key="ringing", is_on=lambda line: line.is_ringing),
    LineBinarySensorDescription(key="in_call", translation_key="in_call", is_on=lambda line: line.is_in_call),
    LineBinarySensorDescription(
        key="registered",
        translation_key="registered",
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        entity_category=EntityCategory.DIAGNOSTIC,
        needs_registrar=True,
        is_on=lambda line: line.is_registered,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the bridge's connectivity and the binary sensors of each line."""
    async_add_entities([BridgeConnectivity(entry.runtime_data)])
    async_add_described(entry, async_add_entities, LineBinarySensor, BINARY_SENSORS)
    async_add_stations(entry, async_add_entities, StationRinging)


class BridgeConnectivity(SipPhoneEntity, BinarySensorEntity):
    """Whether the bridge can be reached; it is there to say no."""

    _attr_device_class = BinarySensorDeviceClass.CONNECTIVITY
    _attr_entity_category = EntityCategory.DIAGNOSTIC

    def __init__(self, coordinator: SipPhoneCoordinator) -> None:
        super().__init__(coordinator, None, "connectivity")

    @property
    def available(self) -> bool:
        """Known even while the bridge is away."""
        return True

    @property
    def is_on(self) -> bool:
        """Whether the bridge is online, by way of the broker."""
        return self.coordinator.state.is_online


class LineBinarySensor(DescribedLineEntity, BinarySensorEntity):
    """One fact of a line."""

    entity_description: LineBinarySensorDescription

    @property
    def is_on(self) -> bool | None:
        """Whether it is so; None when the bridge has not told it."""
        return self.entity_description.is_on(self.line)
