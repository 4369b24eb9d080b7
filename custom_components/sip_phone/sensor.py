"""Sensors of a line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import PERCENTAGE, EntityCategory, UnitOfTime
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import CallEndedEvent, CallState, EndReason, RegistrationState, RTPQuality
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .door_station import door_stations, station_of
from .entity import (
    DescribedLineEntity,
    LineEntity,
    LineEntityDescription,
    RememberingEntity,
    async_add_described,
    async_add_lines,
    shortened,
)
from .state import LineState, is_missed, parse_time

PARALLEL_UPDATES = 0

REMEMBERED_CALLS: Final = 64  # records that are never counted again

Value = str | float | datetime | None


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
        "remote_uri": None if call.remote is None else shortened(call.remote.uri),
    }


def _of_record(value: Callable[[CallEndedEvent], Value]) -> Callable[[LineState], Value]:
    return lambda line: None if line.last_call is None else value(line.last_call)


def _of_quality(value: Callable[[RTPQuality], float | None]) -> Callable[[LineState], float | None]:
    def of_line(line: LineState) -> float | None:
        quality = None if line.last_call is None else line.last_call.quality
        return None if quality is None else value(quality)

    return of_line


def _lost_percent(quality: RTPQuality) -> float | None:
    expected = quality.packets + quality.lost
    return None if expected <= 0 else max(0.0, 100 * quality.lost / expected)


def _call_start(line: LineState) -> datetime | None:
    call = line.live_call
    return None if call is None else parse_time(call.started_at)


def _answered_at(line: LineState) -> datetime | None:
    call = line.live_call
    return None if call is None or call.answered_at is None else parse_time(call.answered_at)


@dataclass(frozen=True, kw_only=True)
class LineSensorDescription(LineEntityDescription, SensorEntityDescription):
    """A sensor whose value is a function of the line's state."""

    value: Callable[[LineState], Value]
    attributes: Callable[[LineState], Mapping[str, Any] | None] = lambda _line: None


SENSORS = (
    LineSensorDescription(
        key="call_state",
        translation_key="call_state",
        device_class=SensorDeviceClass.ENUM,
        options=list(CallState),
        value=lambda line: None if line.call is None else line.call.state,
    ),
    LineSensorDescription(
        key="call_start", translation_key="call_start", device_class=SensorDeviceClass.TIMESTAMP, value=_call_start
    ),
    LineSensorDescription(
        key="answered_at", translation_key="answered_at", device_class=SensorDeviceClass.TIMESTAMP, value=_answered_at
    ),
    LineSensorDescription(
        key="last_call",
        translation_key="last_call",
        device_class=SensorDeviceClass.TIMESTAMP,
        value=lambda line: line.last_call_started,
        attributes=_last_call,
    ),
    LineSensorDescription(
        key="last_call_result",
        translation_key="last_call_result",
        device_class=SensorDeviceClass.ENUM,
        options=list(EndReason),
        value=_of_record(lambda record: record.end_reason),
    ),
    LineSensorDescription(
        key="last_call_duration",
        translation_key="last_call_duration",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        suggested_display_precision=0,
        value=_of_record(lambda record: record.talk_seconds),
    ),
    LineSensorDescription(
        key="voicemail",
        translation_key="voicemail",
        state_class=SensorStateClass.MEASUREMENT,
        needs_registrar=True,
        value=lambda line: None if line.messages is None else line.messages.new,
        attributes=lambda line: None if line.messages is None else {"old": line.messages.old},
    ),
    LineSensorDescription(
        key="registration",
        translation_key="registration",
        device_class=SensorDeviceClass.ENUM,
        entity_category=EntityCategory.DIAGNOSTIC,
        options=list(RegistrationState),
        value=lambda line: None if line.registration is None else line.registration.state,
    ),
    LineSensorDescription(
        key="codec",
        translation_key="codec",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=lambda line: None if line.live_call is None else shortened(line.live_call.codec),
    ),
    LineSensorDescription(
        key="quality",
        translation_key="quality",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=1,
        value=_of_quality(lambda quality: quality.mos),
    ),
    LineSensorDescription(
        key="packet_loss",
        translation_key="packet_loss",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        native_unit_of_measurement=PERCENTAGE,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=1,
        value=_of_quality(_lost_percent),
    ),
    LineSensorDescription(
        key="jitter",
        translation_key="jitter",
        device_class=SensorDeviceClass.DURATION,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        native_unit_of_measurement=UnitOfTime.MILLISECONDS,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=1,
        value=_of_quality(lambda quality: quality.jitter_ms),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the sensors of each line."""
    async_add_described(entry, async_add_entities, LineSensor, SENSORS)
    async_add_lines(
        entry,
        async_add_entities,
        lambda coordinator, account: [RemoteParty(coordinator, account), MissedCalls(coordinator, account)],
    )


class LineSensor(DescribedLineEntity, SensorEntity):
    """One value of a line."""

    entity_description: LineSensorDescription

    @property
    def native_value(self) -> Value:
        """The value; None when the bridge has not told it."""
        return self.entity_description.value(self.line)

    @property
    def extra_state_attributes(self) -> Mapping[str, Any] | None:
        """What belongs to the value."""
        return self.entity_description.attributes(self.line)


class RemoteParty(LineEntity, SensorEntity):
    """Who the live call is with, and which door station that is."""

    _attr_translation_key = "remote_party"

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "remote_party")

    @property
    def native_value(self) -> str | None:
        """The name they give, else their number, else their URI; None without a call."""
        return shortened(self.line.remote_party)

    @property
    def extra_state_attributes(self) -> Mapping[str, Any]:
        """The card shows this camera."""
        call = self.line.live_call
        stations = door_stations(self.coordinator.entry)
        station = None if call is None else station_of(stations, self.account, call.remote)
        return {
            "door_station": None if station is None else station.name,
            "camera": None if station is None else station.camera,
        }


class MissedCalls(RememberingEntity, SensorEntity):
    """How many called and were not answered, until somebody looks and resets it."""

    _attr_translation_key = "missed_calls"
    _attr_state_class = SensorStateClass.TOTAL

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "missed_calls")
        self._count = 0
        self._seen: deque[str] = deque(maxlen=REMEMBERED_CALLS)
        self._is_new = True

    async def async_added_to_hass(self) -> None:
        """Recall the count, then count."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_listen_records(self.account, self._async_count))
        self.async_on_remove(self.coordinator.async_listen_reset(self.account, self._async_reset))

    @property
    def native_value(self) -> int:
        """How many."""
        return self._count

    @property
    def remembered(self) -> Mapping[str, Any]:
        """The count, and which calls it has seen."""
        return {"count": self._count, "seen": list(self._seen)}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Go on where Home Assistant stopped."""
        self._count = remembered.get("count", 0)
        self._seen.extend(remembered.get("seen", ()))
        self._is_new = not remembered

    @callback
    def _async_count(self, record: CallEndedEvent, is_kept: bool) -> None:
        """Count a call once. What the broker has kept since before this entity was made is not news."""
        if record.event_id in self._seen:
            return
        self._seen.append(record.event_id)
        is_news, self._is_new = not (is_kept and self._is_new), False
        if is_news and is_missed(record):
            self._count += 1
        self.async_write_ha_state()

    @callback
    def _async_reset(self) -> None:
        self._count = 0
        self.async_write_ha_state()
