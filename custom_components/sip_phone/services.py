"""The integration's actions: each is a request of the MQTT contract to one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import probatio
from homeassistant.const import ATTR_DEVICE_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import service

from .const import DOMAIN
from .contract import ACCOUNT_VERBS, DTMFMethod
from .coordinator import SipPhoneConfigEntry
from .devices import account_of

_TO_CALL: Final[Mapping[probatio.Marker, Any]] = {probatio.Optional("call_id"): cv.string}

# Action, which is the verb of the request, to its fields, which are the request's.
_FIELDS: Final[Mapping[str, Mapping[probatio.Marker, Any]]] = {
    "dial": {
        probatio.Required("to"): probatio.All(cv.string, probatio.Length(min=1, max=255)),
        probatio.Optional("from_name"): probatio.All(cv.string, probatio.Length(max=255)),
        probatio.Optional("timeout"): probatio.All(probatio.Coerce(float), probatio.Range(min=1, max=600)),
        probatio.Optional("play"): cv.string,
        probatio.Optional("auto_hangup"): cv.boolean,
    },
    "answer": _TO_CALL,
    "reject": {
        probatio.Optional("status"): probatio.All(probatio.Coerce(int), probatio.Range(min=400, max=699)),
        **_TO_CALL,
    },
    "hangup": _TO_CALL,
    "send_dtmf": {
        probatio.Required("digits"): probatio.All(cv.string, cv.matches_regex(r"^[0-9*#A-D,]{1,128}$")),
        probatio.Optional("method"): probatio.All(cv.string, probatio.Coerce(DTMFMethod)),
        probatio.Optional("duration_ms"): probatio.All(probatio.Coerce(int), probatio.Range(min=40, max=5000)),
        probatio.Optional("gap_ms"): probatio.All(probatio.Coerce(int), probatio.Range(min=20, max=5000)),
        **_TO_CALL,
    },
    "play": {
        probatio.Required("url"): cv.string,
        probatio.Optional("loop"): cv.boolean,
        probatio.Optional("volume"): probatio.All(probatio.Coerce(float), probatio.Range(min=0, max=1)),
        **_TO_CALL,
    },
}


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register every action."""
    for verb, fields in _FIELDS.items():
        hass.services.async_register(
            DOMAIN,
            verb,
            _async_call,
            schema=probatio.Schema({probatio.Required(ATTR_DEVICE_ID): cv.string, **fields}),
            supports_response=SupportsResponse.OPTIONAL,
        )


async def _async_call(call: ServiceCall) -> ServiceResponse:
    """Send the request that the action is named after; the response is the bridge's data."""
    entry: SipPhoneConfigEntry
    device, entry = service.async_get_device_and_config_entry(
        call.hass, DOMAIN, call.data[ATTR_DEVICE_ID], include_child_devices=False
    )
    coordinator = entry.runtime_data
    account = account_of(coordinator.topics.bridge, device)
    if account is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="not_a_line")
    kind, _ = ACCOUNT_VERBS[call.service]
    fields = {name: value for name, value in call.data.items() if name != ATTR_DEVICE_ID}
    response = await coordinator.async_request(account, kind(**fields))
    return dict(response.data)
