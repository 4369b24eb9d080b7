"""The bridge's device, and one for each of its lines."""

from __future__ import annotations

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from .const import DOMAIN
from .contract import AccountKind
from .state import PhoneState

_MODELS = {AccountKind.REGISTERED: "Registered line", AccountKind.DIRECT: "Direct line"}


def bridge_identifier(bridge: str) -> tuple[str, str]:
    """The bridge's device."""
    return (DOMAIN, bridge)


def line_identifier(bridge: str, account: str) -> tuple[str, str]:
    """A line's device; an id has no slash, so that no two lines share an identifier."""
    return (DOMAIN, f"{bridge}/{account}")


def account_of(bridge: str, device: dr.DeviceEntry) -> str | None:
    """The account whose line a device is; None for the bridge."""
    for domain, name in device.identifiers:
        if domain == DOMAIN and name.startswith(f"{bridge}/"):
            return name.removeprefix(f"{bridge}/")
    return None


@callback
def async_update_devices(hass: HomeAssistant, entry: ConfigEntry, bridge: str, state: PhoneState) -> None:
    """Create, rename and remove devices so that they are the bridge's inventory."""
    if state.info is None or state.accounts is None:
        return
    registry = dr.async_get(hass)
    hub = registry.async_get_or_create(
        config_entry_id=entry.entry_id,
        identifiers={bridge_identifier(bridge)},
        entry_type=dr.DeviceEntryType.SERVICE,
        manufacturer="SIP Bridge",
        model="Bridge",
        name=state.info.name,
        sw_version=state.info.version,
    )
    for account in state.accounts.values():
        registry.async_get_or_create(
            config_entry_id=entry.entry_id,
            identifiers={line_identifier(bridge, account.id)},
            manufacturer="SIP Bridge",
            model=_MODELS[account.kind],
            name=account.name,
            via_device_id=hub.id,
        )
    for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
        account_id = account_of(bridge, device)
        if account_id is not None and account_id not in state.accounts:
            registry.async_remove_device(device.id)


def is_stale_line(bridge: str, device: dr.DeviceEntry, state: PhoneState) -> bool:
    """Whether a device is a line that the bridge does not have; an inventory that is not there has none."""
    account = account_of(bridge, device)
    return account is not None and (state.accounts is None or account not in state.accounts)
