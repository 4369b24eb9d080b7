"""The doorbell of a line: it rings for each incoming call."""

from __future__ import annotations

from homeassistant.components.event import DoorbellEventType, EventDeviceClass, EventEntity
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import CallState, Direction, Event, Remote
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import LineEntity, async_add_lines, shortened

PARALLEL_UPDATES = 0

_TALKING = frozenset({CallState.IN_CALL, CallState.ON_HOLD})


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add a doorbell for each line."""
    async_add_lines(entry, async_add_entities, lambda coordinator, account: [Doorbell(coordinator, account)])


class Doorbell(LineEntity, EventEntity):
    """Rings once for each incoming call."""

    _attr_translation_key = "doorbell"
    _attr_device_class = EventDeviceClass.DOORBELL
    _attr_event_types = [DoorbellEventType.RING]  # noqa: RUF012  # Home Assistant declares it so

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "doorbell")

    async def async_added_to_hass(self) -> None:
        """Listen to events too."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_listen_events(self.account, self._async_receive))

    @callback
    def _async_receive(self, event: Event) -> None:
        if event.event != "INVITE" or event.direction is not Direction.INCOMING:
            return
        if event.state in _TALKING:  # an INVITE within a call (RFC 3261 §14) changes its media and rings nobody
            return
        self._trigger_event(DoorbellEventType.RING, {"call_id": event.call_id, **_caller(event.remote)})
        self.async_write_ha_state()


def _caller(remote: Remote | None) -> dict[str, str | None]:
    if remote is None:  # withheld
        return {"caller_name": None, "caller_number": None, "caller_uri": None}
    return {
        "caller_name": shortened(remote.name),
        "caller_number": shortened(remote.user),
        "caller_uri": shortened(remote.uri),
    }
