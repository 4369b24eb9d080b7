"""Sensors of a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import CallState, RegistrationState
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import LineEntity, async_add_lines, shortened
from .state import LineState

PARALLEL_UPDATES = 0


def _last_call(line: LineState) -> Mapping[str, Any] | None:
    call = line.last_call
    if call is None:
        return None
    return {
        "result": call.end_reason,
        "direction": call.direction,
        "ring_seconds": call.ring_seconds,
        "talk_seconds": call.talk_seconds,
        "remote_name": None if call.remote is None else shortened(call.remote.name),
        "remote_number": None if call.remote is None else shortened(call.remote.user),
    }


def _no_attributes(_line: LineState) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class LineSensorDescription(SensorEntityDescription):
    """A sensor whose value is a function of the line's state."""

    value: Callable[[LineState], str | datetime | None]
    attributes: Callable[[LineState], Mapping[str, Any] | None] = _no_attributes


SENSORS = (
    LineSensorDescription(
        key="call_state",
        translation_key="call_state",
        device_class=SensorDeviceClass.ENUM,
        options=list(CallState),
        value=lambda line: None if line.call is None else line.call.state,
    ),
    LineSensorDescription(
        key="remote_party", translation_key="remote_party", value=lambda line: shortened(line.remote_party)
    ),
    LineSensorDescription(
        key="last_call",
        translation_key="last_call",
        device_class=SensorDeviceClass.TIMESTAMP,
        value=lambda line: line.last_call_started,
        attributes=_last_call,
    ),
    LineSensorDescription(
        key="registration",
        translation_key="registration",
        device_class=SensorDeviceClass.ENUM,
        entity_category=EntityCategory.DIAGNOSTIC,
        options=list(RegistrationState),
        value=lambda line: None if line.registration is None else line.registration.state,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the sensors of each line."""
    async_add_lines(
        entry,
        async_add_entities,
        lambda coordinator, account: [LineSensor(coordinator, account, description) for description in SENSORS],
    )


class LineSensor(LineEntity, SensorEntity):
    """One value of a line."""

    entity_description: LineSensorDescription

    def __init__(self, coordinator: SipPhoneCoordinator, account: str, description: LineSensorDescription) -> None:
        super().__init__(coordinator, account, description.key)
        self.entity_description = description

    @property
    def native_value(self) -> str | datetime | None:
        """The value; None when the bridge has not told it."""
        return self.entity_description.value(self.line)

    @property
    def extra_state_attributes(self) -> Mapping[str, Any] | None:
        """What belongs to the value."""
        return self.entity_description.attributes(self.line)
