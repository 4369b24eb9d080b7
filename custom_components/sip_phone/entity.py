"""What the entities of a line have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from homeassistant.const import MAX_LENGTH_STATE_STATE
from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

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
