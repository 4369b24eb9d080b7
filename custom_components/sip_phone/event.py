"""The doorbell of a line, which rings for each incoming call, and the keys that the other party presses."""

from __future__ import annotations

from abc import abstractmethod

from homeassistant.components.event import DoorbellEventType, EventDeviceClass, EventEntity
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import CallState, Direction, DTMFEvent, DTMFSequenceEvent, Event, Remote
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import LineEntity, async_add_lines, shortened

PARALLEL_UPDATES = 0

_TALKING = frozenset({CallState.IN_CALL, CallState.ON_HOLD})


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add a doorbell and the keys for each line."""
    async_add_lines(
        entry,
        async_add_entities,
        lambda coordinator, account: [Doorbell(coordinator, account), Keys(coordinator, account)],
    )


class LineEventEntity(LineEntity, EventEntity):
    """An event entity of one line."""

    async def async_added_to_hass(self) -> None:
        """Listen to events too."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_listen_events(self.account, self._async_receive))

    @abstractmethod
    def _async_receive(self, event: Event) -> None:
        """Something happened on the line."""


class Doorbell(LineEventEntity):
    """Rings once for each incoming call."""

    _attr_translation_key = "doorbell"
    _attr_device_class = EventDeviceClass.DOORBELL
    _attr_event_types = [DoorbellEventType.RING]  # noqa: RUF012  # Home Assistant declares it so

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "doorbell")

    @callback
    def _async_receive(self, event: Event) -> None:
        if event.event != "INVITE" or event.direction is not Direction.INCOMING:
            return
        if event.state in _TALKING:  # an INVITE within a call (RFC 3261 §14) changes its media and rings nobody
            return
        self._trigger_event(DoorbellEventType.RING, {"call_id": event.call_id, **_caller(event.remote)})
        self.async_write_ha_state()


class Keys(LineEventEntity):
    """Fires for each key that the other party presses, and for each sequence of them."""

    _attr_translation_key = "keys"
    _attr_event_types = ["pressed", "entered"]  # noqa: RUF012  # Home Assistant declares it so
    _unrecorded_attributes = frozenset({"digits"})  # they may be a code

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "keys")

    @callback
    def _async_receive(self, event: Event) -> None:
        match event:
            case DTMFEvent(digits=digits):
                told: dict[str, str | bool | None] = {"digits": shortened(digits)}
                self._trigger_event("pressed", {"call_id": event.call_id, **told})
            case DTMFSequenceEvent(digits=digits, code=code, ended_by=ended_by, locked=locked):
                told = {"digits": shortened(digits), "code": code, "ended_by": ended_by.value, "locked": locked}
                self._trigger_event("entered", {"call_id": event.call_id, **told})
            case _:
                return
        self.async_write_ha_state()


def _caller(remote: Remote | None) -> dict[str, str | None]:
    if remote is None:  # withheld
        return {"caller_name": None, "caller_number": None, "caller_uri": None}
    return {
        "caller_name": shortened(remote.name),
        "caller_number": shortened(remote.user),
        "caller_uri": shortened(remote.uri),
    }
