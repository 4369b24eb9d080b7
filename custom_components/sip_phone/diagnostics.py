"""What a person may attach to a bug report: the state, without who called whom."""

from __future__ import annotations

from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers.redact import async_redact_data

from .contract import as_data
from .coordinator import SipPhoneConfigEntry

# Names, numbers and URIs of people; a Call-ID often holds an address; the bridge's configuration names its peers.
_PERSONAL: Final = frozenset(
    {"call_id", "config", "contacts", "description", "name", "number", "phrase", "remote", "uri"}
)


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> dict[str, Any]:
    """The entry's data and all that is known of the bridge, redacted."""
    state = as_data(entry.runtime_data.state)  # lists for tuples, into which the redaction would not look
    return {"entry": dict(entry.data), "state": async_redact_data(state, _PERSONAL)}
