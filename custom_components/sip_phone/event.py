"""The doorbell of a line, which rings for each incoming call, how its calls go, the other party's keys, and texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

from homeassistant.components.event import DoorbellEventType, EventDeviceClass
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import (
    CallEndedEvent,
    CallInfo,
    CallState,
    Direction,
    DoorOpenedEvent,
    DTMFEvent,
    DTMFSequenceEvent,
    Event,
    MessageEvent,
    RecordingDoneEvent,
    Remote,
)
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import LineEntity, RememberingEventEntity, async_add_lines, shortened
from .state import MAX_TEXT, TALKING, is_missed
from .station_entities import StationDoorbell, async_add_stations

PARALLEL_UPDATES = 0

CALL_EVENTS: Final = (
    "incoming",
    "outgoing",
    "ringing",
    "answered",
    "held",
    "resumed",
    "ended",
    "missed",
    "recorded",
    "media_lost",
    "door_opened",
)


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the event entities of each line."""
    async_add_stations(entry, async_add_entities, StationDoorbell)
    async_add_lines(
        entry,
        async_add_entities,
        lambda coordinator, account: [
            Doorbell(coordinator, account),
            Calls(coordinator, account),
            Keys(coordinator, account),
            Messages(coordinator, account),
        ],
    )


class LineEventEntity(LineEntity, RememberingEventEntity):
    """An event entity of one line."""

    async def async_added_to_hass(self) -> None:
        """Listen to events too."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_listen_events(self.account, self._async_receive))

    @callback
    def _async_fire(self, event_type: str, attributes: Mapping[str, Any]) -> None:
        self._trigger_event(event_type, dict(attributes))
        self.async_write_ha_state()

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
        settings = self.line.settings
        is_disturbing = settings is None or not settings.do_not_disturb
        if event.direction is Direction.INCOMING and is_disturbing and self.line.is_begun_by(event):
            self._async_fire(DoorbellEventType.RING, {"call_id": event.call_id, **_caller(event.remote)})


class Calls(LineEventEntity):
    """Fires for each step of each call of the line."""

    _attr_translation_key = "call"
    _attr_event_types = list(CALL_EVENTS)  # noqa: RUF012  # Home Assistant declares it so

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "call")
        self._known: Mapping[str, CallInfo] | None = None

    async def async_added_to_hass(self) -> None:
        """Begin with the calls that there are."""
        await super().async_added_to_hass()
        self._known = self._calls()
        self.async_on_remove(self.coordinator.async_listen(self.account, self._async_compare))

    def _calls(self) -> Mapping[str, CallInfo] | None:
        return None if self.line.call is None else {call.call_id: call for call in self.line.call.calls}

    @callback
    def _async_compare(self) -> None:
        """Find who was answered, held or resumed; of what happened in an outage nothing is told."""
        before, now = self._known, self._calls()
        self._known = now
        if before is None or now is None:
            return
        for call_id, call in now.items():
            old = before.get(call_id)
            step = None if old is None else _step(old.state, call.state)
            if step is not None:
                self._async_fire(step, _of_call(call_id, call.direction, call.remote))

    @callback
    def _async_receive(self, event: Event) -> None:
        told: dict[str, Any] = _of_call(event.call_id, event.direction, event.remote)
        match event:
            case CallEndedEvent():
                told |= {
                    "result": event.end_reason.value,
                    "ring_seconds": event.ring_seconds,
                    "talk_seconds": event.talk_seconds,
                    "status": event.status,
                }
                self._async_fire("missed" if is_missed(event) else "ended", told)
            case RecordingDoneEvent(file=str()):
                self._async_fire("recorded", told | {"file": shortened(event.file), "seconds": event.seconds})
            case DoorOpenedEvent():
                self._async_fire("door_opened", told | {"by": event.by.value})
            case Event(event="MEDIA_LOST"):
                self._async_fire("media_lost", told)
            case Event(event="RINGING", direction=Direction.OUTGOING):
                self._async_fire("ringing", told)
            case Event(direction=Direction() as direction) if self.line.is_begun_by(event):
                self._async_fire(direction.value, told)
            case _:
                return


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
                self._async_fire("pressed", {"call_id": event.call_id, "digits": shortened(digits)})
            case DTMFSequenceEvent(digits=digits, code=code, ended_by=ended_by, locked=locked):
                told = {"digits": shortened(digits), "code": code, "ended_by": ended_by.value, "locked": locked}
                self._async_fire("entered", {"call_id": event.call_id, **told})
            case _:
                return


class Messages(LineEventEntity):
    """Fires for each text that somebody sends the line."""

    _attr_translation_key = "message"
    _attr_event_types = ["received"]  # noqa: RUF012  # Home Assistant declares it so
    _unrecorded_attributes = frozenset({"text"})  # it is between two people

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "message")

    @callback
    def _async_receive(self, event: Event) -> None:
        if isinstance(event, MessageEvent):
            told = {"text": event.text[:MAX_TEXT], "content_type": shortened(event.content_type)}
            self._async_fire("received", told | _of_remote(event.remote))


def _step(before: CallState, now: CallState) -> str | None:
    if before is now or now not in TALKING:
        return None
    if before not in TALKING:
        return "answered"
    return "held" if now is CallState.ON_HOLD else "resumed"


def _of_call(call_id: str | None, direction: Direction | None, remote: Remote | None) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "direction": None if direction is None else direction.value,
        **_of_remote(remote),
    }


def _of_remote(remote: Remote | None) -> dict[str, str | None]:
    return {
        "remote_name": None if remote is None else shortened(remote.name),
        "remote_number": None if remote is None else shortened(remote.user),
        "remote_uri": None if remote is None else shortened(remote.uri),
    }


def _caller(remote: Remote | None) -> dict[str, str | None]:
    if remote is None:  # withheld
        return {"caller_name": None, "caller_number": None, "caller_uri": None}
    return {
        "caller_name": shortened(remote.name),
        "caller_number": shortened(remote.user),
        "caller_uri": shortened(remote.uri),
    }
