"""Selects of a line: whom it calls, and how keys are pressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeassistant.components.select import SelectEntity
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import DTMFChoice, Set
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .dial_pad import DialPad
from .entity import LineEntity, RememberingEntity, async_add_lines
from .state import contacts_of

PARALLEL_UPDATES = 1  # choices go out in the order in which they were made


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the selects of each line."""
    async_add_lines(
        entry,
        async_add_entities,
        lambda coordinator, account: [ContactSelect(coordinator, account), MethodSelect(coordinator, account)],
    )


class ContactSelect(RememberingEntity, SelectEntity):
    """Whom the dial button, the notifier and the media player call; choosing calls nobody."""

    _attr_translation_key = "contact"

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "contact")

    @property
    def available(self) -> bool:
        """Whether the line has contacts."""
        return super().available and bool(self.options)

    @property
    def options(self) -> list[str]:
        """The names in the line's phone book."""
        return list(contacts_of(self.account_info))

    @property
    def current_option(self) -> str | None:
        """Who was chosen, else the first."""
        return self._pad.contact_in(self.account_info)

    async def async_select_option(self, option: str) -> None:
        """Choose."""
        self._pad.choose(option)
        self.coordinator.async_update_line(self.account)

    @property
    def remembered(self) -> Mapping[str, Any]:
        """Who was chosen."""
        return {"contact": self._pad.contact}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Who was chosen before the restart."""
        self._pad.contact = remembered.get("contact")

    @property
    def _pad(self) -> DialPad:
        return self.coordinator.async_dial_pad(self.account)


class MethodSelect(LineEntity, SelectEntity):
    """How the line presses keys where nobody says it."""

    _attr_translation_key = "dtmf_method"
    _attr_entity_category = EntityCategory.CONFIG
    _attr_options = list(DTMFChoice)  # noqa: RUF012  # Home Assistant declares it so

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "dtmf_method")

    @property
    def available(self) -> bool:
        """Whether the bridge has told it."""
        return super().available and self.line.settings is not None

    @property
    def current_option(self) -> str | None:
        """The bridge's setting."""
        return None if self.line.settings is None else self.line.settings.dtmf_method

    async def async_select_option(self, option: str) -> None:
        """Change it."""
        await self.async_request(Set(dtmf_method=DTMFChoice(option)))
