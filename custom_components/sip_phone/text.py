"""The number that the dial button calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.components.text import TextEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .dial_pad import DialPad
from .entity import RememberingEntity, async_add_lines

PARALLEL_UPDATES = 0

MAX_NUMBER: Final = 255


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add a number to dial to each line."""
    async_add_lines(entry, async_add_entities, lambda coordinator, account: [NumberToDial(coordinator, account)])


class NumberToDial(RememberingEntity, TextEntity):
    """A number or a SIP URI; empty when a contact was chosen after it."""

    _attr_translation_key = "number"
    _attr_native_max = MAX_NUMBER

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "number")

    @property
    def native_value(self) -> str:
        """What was typed."""
        return self._pad.number

    async def async_set_value(self, value: str) -> None:
        """Take what was typed."""
        self._pad.number = value.strip()
        self.coordinator.async_update_line(self.account)

    @property
    def remembered(self) -> Mapping[str, Any]:
        """What was typed."""
        return {"number": self._pad.number}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """What was typed before the restart."""
        self._pad.number = str(remembered.get("number", ""))[:MAX_NUMBER]

    @property
    def _pad(self) -> DialPad:
        return self.coordinator.async_dial_pad(self.account)
