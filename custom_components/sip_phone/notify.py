"""A line as a messenger: it calls the contact and speaks."""

from __future__ import annotations

from homeassistant.components.notify import NotifyEntity, NotifyEntityFeature
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import LineEntity, async_add_lines
from .sound import async_speech_url
from .speaking import async_call_and_play

PARALLEL_UPDATES = 1  # messages are spoken in the order in which they come


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add a messenger to each line."""
    async_add_lines(entry, async_add_entities, lambda coordinator, account: [LineMessenger(coordinator, account)])


class LineMessenger(LineEntity, NotifyEntity):
    """Calls whoever the contact select names; unavailable while the line has no contact."""

    _attr_name = None
    _attr_supported_features = NotifyEntityFeature.TITLE

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "messenger")

    @property
    def available(self) -> bool:
        """Whether there is somebody to call."""
        pad = self.coordinator.async_dial_pad(self.account)
        return super().available and pad.contact_in(self.account_info) is not None

    async def async_send_message(self, message: str, title: str | None = None) -> None:
        """Place the call; who hears the message, and whether, the call event tells."""
        text = f"{title}. {message}" if title else message
        source = await async_speech_url(self.hass, text)
        await async_call_and_play(self.coordinator, self.account, source)
