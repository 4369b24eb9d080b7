"""The entities of a door station: its bell, whether it rings, and what opens it."""

from __future__ import annotations

from collections.abc import Callable

from homeassistant.components.binary_sensor import BinarySensorEntity
from homeassistant.components.button import ButtonEntity
from homeassistant.components.event import DoorbellEventType, EventDeviceClass
from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import Direction, Event
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .door_station import DoorStation, OpenedBy, async_open, door_stations, ringing_call
from .entity import LineEntity, RememberingEventEntity, shortened


class StationEntity(LineEntity):
    """An entity of a door station."""

    def __init__(self, coordinator: SipPhoneCoordinator, station: DoorStation, key: str) -> None:
        super().__init__(coordinator, station.account, key)
        self.station = station
        self._attr_unique_id = f"{station.id}/{key}"
        self._attr_device_info = DeviceInfo(identifiers={station.identifier})


class StationDoorbell(StationEntity, RememberingEventEntity):
    """Rings when this station calls."""

    _attr_translation_key = "doorbell"
    _attr_device_class = EventDeviceClass.DOORBELL
    _attr_event_types = [DoorbellEventType.RING]  # noqa: RUF012  # Home Assistant declares it so

    def __init__(self, coordinator: SipPhoneCoordinator, station: DoorStation) -> None:
        super().__init__(coordinator, station, "doorbell")

    async def async_added_to_hass(self) -> None:
        """Listen to events too."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_listen_events(self.account, self._async_receive))

    @callback
    def _async_receive(self, event: Event) -> None:
        if event.direction is not Direction.INCOMING or not self.line.is_begun_by(event):
            return
        if not self.station.is_remote(event.remote):
            return
        remote = event.remote
        self._trigger_event(
            DoorbellEventType.RING,
            {
                "call_id": event.call_id,
                "camera": self.station.camera,
                "caller_name": None if remote is None else shortened(remote.name),
                "caller_number": None if remote is None else shortened(remote.user),
                "caller_uri": None if remote is None else shortened(remote.uri),
            },
        )
        self.async_write_ha_state()


class StationRinging(StationEntity, BinarySensorEntity):
    """Whether this station rings."""

    _attr_translation_key = "ringing"

    def __init__(self, coordinator: SipPhoneCoordinator, station: DoorStation) -> None:
        super().__init__(coordinator, station, "ringing")

    @property
    def is_on(self) -> bool | None:
        """Whether it calls and nobody has answered; None when the bridge has not told."""
        return None if self.line.call is None else ringing_call(self.coordinator, self.station) is not None


class StationOpenDoor(StationEntity, ButtonEntity):
    """Opens this station's door."""

    _attr_translation_key = "open_door"

    def __init__(self, coordinator: SipPhoneCoordinator, station: DoorStation) -> None:
        super().__init__(coordinator, station, "open_door")

    async def async_press(self) -> None:
        """Open it."""
        await async_open(self.hass, self.coordinator, self.station)


@callback
def async_add_stations(
    entry: SipPhoneConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    make: Callable[[SipPhoneCoordinator, DoorStation], StationEntity],
    is_wanted: Callable[[DoorStation], bool] = lambda _station: True,
) -> None:
    """Add an entity to every station of the entry that wants it."""
    for station in filter(is_wanted, door_stations(entry)):
        async_add_entities([make(entry.runtime_data, station)], config_subentry_id=station.id)


def can_be_opened(station: DoorStation) -> bool:
    """Whether there is anything to press the button for."""
    return station.opened_by is not OpenedBy.NOTHING
