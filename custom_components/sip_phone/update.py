"""Whether the bridge is older than this integration, which is released together with it."""

from __future__ import annotations

from awesomeversion import AwesomeVersionCompareException
from homeassistant.components.update import UpdateEntity
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.loader import async_get_integration

from .const import DOMAIN
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import SipPhoneEntity

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the bridge's version."""
    integration = await async_get_integration(hass, DOMAIN)
    async_add_entities([BridgeVersion(entry.runtime_data, str(integration.version))])


class BridgeVersion(SipPhoneEntity, UpdateEntity):
    """The bridge's version, beside the one that belongs to this integration; the bridge is not updated from here."""

    _attr_entity_category = EntityCategory.DIAGNOSTIC
    _attr_translation_key = "version"
    _attr_title = "SIP Bridge"

    def __init__(self, coordinator: SipPhoneCoordinator, ours: str) -> None:
        super().__init__(coordinator, None, "version")
        self._ours = ours

    @property
    def installed_version(self) -> str | None:
        """What runs."""
        info = self.coordinator.state.info
        return None if info is None else info.version

    @property
    def latest_version(self) -> str | None:
        """The newest that is known here: the integration's, or what runs if that is newer still."""
        installed = self.installed_version
        return self._ours if installed is not None and self._is_older(installed) else installed

    def _is_older(self, installed: str) -> bool:
        try:
            return self.version_is_newer(self._ours, installed)
        except AwesomeVersionCompareException:  # a bridge that was built from a branch calls itself what it wants
            return False
