"""What the entities of a line have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from homeassistant.components.event import EventEntity, EventExtraStoredData
from homeassistant.const import MAX_LENGTH_STATE_STATE
from homeassistant.core import State, callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.restore_state import RestoredExtraData, RestoreEntity

from .contract import AccountInfo, AccountKind, AccountRequest, Response
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .devices import bridge_identifier, line_identifier
from .state import LineState


def shortened(text: str | None) -> str | None:
    """What a peer says of itself may be of any length; a state holds 255 characters."""
    return None if text is None else text[:MAX_LENGTH_STATE_STATE]


class SipPhoneEntity(Entity):
    """An entity fed by the coordinator, and by nothing else."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, coordinator: SipPhoneCoordinator, account: str | None, key: str) -> None:
        self.coordinator = coordinator
        self.account = account
        bridge = coordinator.topics.bridge
        identifier = bridge_identifier(bridge) if account is None else line_identifier(bridge, account)
        # "/" stands in no id: home_1/door and home/1_door must not meet.
        self._attr_unique_id = "/".join(filter(None, (bridge, account, key)))
        self._attr_device_info = DeviceInfo(identifiers={identifier})

    @property
    def available(self) -> bool:
        """Only the living bridge's word counts."""
        return self.coordinator.state.is_online

    async def async_added_to_hass(self) -> None:
        """Listen."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_listen(self.account, self.async_write_ha_state))

    @callback
    def async_entity_id_changed(self, old_entity_id: str) -> None:
        """Nothing here hangs on the entity's id; saying so spares the entity being added again."""
        super().async_entity_id_changed(old_entity_id)


class LineEntity(SipPhoneEntity):
    """An entity of one line."""

    account: str

    def __init__(self, coordinator: SipPhoneCoordinator, account: str, key: str) -> None:
        super().__init__(coordinator, account, key)

    @property
    def line(self) -> LineState:
        """What the bridge says of the line."""
        return self.coordinator.state.line(self.account)

    @property
    def account_info(self) -> AccountInfo | None:
        """The line's entry in the bridge's inventory."""
        return self.coordinator.state.account(self.account)

    async def async_request(self, request: AccountRequest) -> Response:
        """Have the bridge do something with the line; raises a translated `HomeAssistantError`."""
        return await self.coordinator.async_request(self.account, request)


class RememberingEntity(LineEntity, RestoreEntity):
    """An entity of a line that knows something which the bridge does not."""

    async def async_added_to_hass(self) -> None:
        """Recall it."""
        data = await self.async_get_last_extra_data()
        self.recall({} if data is None else data.as_dict())
        await super().async_added_to_hass()

    @property
    def extra_restore_state_data(self) -> RestoredExtraData:
        """What is stored."""
        return RestoredExtraData(dict(self.remembered))

    @property
    @abstractmethod
    def remembered(self) -> Mapping[str, Any]:
        """What to store, as JSON has it."""

    @abstractmethod
    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take what was stored, or an empty mapping."""


@dataclass
class StoredEvent(EventExtraStoredData):
    """What Home Assistant stores of an event entity, and when it fired."""

    fired_at: str | None


class RememberingEventEntity(EventEntity):
    """An event entity that knows when it fired last, be it unavailable when Home Assistant stops.

    Home Assistant takes that time from the state it stored, which then is `unavailable`.
    """

    @property
    def extra_restore_state_data(self) -> StoredEvent:
        """What is stored."""
        event = super().extra_restore_state_data
        return StoredEvent(event.last_event_type, event.last_event_attributes, self.state)

    async def async_get_last_state(self) -> State | None:
        """The stored state, as it would be of an entity that is available."""
        state, data = await super().async_get_last_state(), await self.async_get_last_extra_data()
        fired_at = None if data is None else data.as_dict().get("fired_at")
        return state if state is None or fired_at is None else State(state.entity_id, fired_at, state.attributes)


@dataclass(frozen=True, kw_only=True)
class LineEntityDescription(EntityDescription):
    """What every kind of entity of a line says of itself."""

    needs_registrar: bool = False


DescriptionT = TypeVar("DescriptionT", bound=LineEntityDescription)


class DescribedLineEntity(LineEntity):
    """An entity of a line of which its description tells everything."""

    def __init__(self, coordinator: SipPhoneCoordinator, account: str, description: LineEntityDescription) -> None:
        super().__init__(coordinator, account, description.key)
        self.entity_description = description


@callback
def async_add_described(
    entry: SipPhoneConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    make: Callable[[SipPhoneCoordinator, str, DescriptionT], LineEntity],
    descriptions: Iterable[DescriptionT],
) -> None:
    """Add an entity for each description that suits a line, to each line."""

    def suiting(coordinator: SipPhoneCoordinator, account: str) -> Iterable[LineEntity]:
        info = coordinator.state.account(account)
        has_registrar = info is not None and info.kind is AccountKind.REGISTERED
        return [
            make(coordinator, account, description)
            for description in descriptions
            if has_registrar or not description.needs_registrar
        ]

    async_add_lines(entry, async_add_entities, suiting)


@callback
def async_add_lines(
    entry: SipPhoneConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    make: Callable[[SipPhoneCoordinator, str], Iterable[LineEntity]],
) -> None:
    """Add what ``make`` gives for every line, and for each later one when it appears."""
    coordinator = entry.runtime_data

    @callback
    def add(accounts: Iterable[str]) -> None:
        async_add_entities([entity for account in accounts for entity in make(coordinator, account)])

    entry.async_on_unload(coordinator.async_listen_lines(add))
