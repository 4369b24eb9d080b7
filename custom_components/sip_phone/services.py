"""The integration's actions: most are a request of the MQTT contract to one line, some a sequence of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import probatio
from homeassistant.components import media_source
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv

from .const import DOMAIN
from .contract import ACCOUNT_VERBS, Dial, DTMFMethod, Play, as_data
from .coordinator import SipPhoneCoordinator
from .door_station import DoorStation, async_open, call_with
from .outcome import MARGIN, follow
from .sound import async_sound_url, async_speech_url
from .speaking import async_speak
from .state import number_of
from .targets import TARGET, TARGET_KEYS, async_find_line, async_find_target

Fields = Mapping[str | probatio.Marker, Any]

_NUMBER: Final = probatio.All(cv.string, probatio.Length(min=1, max=255))
_NAME: Final = probatio.All(cv.string, probatio.Length(max=255))
_TO_CALL: Final[Fields] = {probatio.Optional("call_id"): cv.string}


def _within(kind: type[int | float], low: float, high: float) -> Any:
    return probatio.All(probatio.Coerce(kind), probatio.Range(min=low, max=high))


# Action, which is the verb of a request, to its fields, which are the request's.
_REQUESTS: Final[Mapping[str, Fields]] = {
    "answer": _TO_CALL,
    "reject": {probatio.Optional("status"): _within(int, 400, 699), **_TO_CALL},
    "hangup": _TO_CALL,
    "send_dtmf": {
        probatio.Required("digits"): probatio.All(cv.string, cv.matches_regex(r"^[0-9*#A-D,]{1,128}$")),
        probatio.Optional("method"): probatio.All(cv.string, probatio.Coerce(DTMFMethod)),
        probatio.Optional("duration_ms"): _within(int, 40, 5000),
        probatio.Optional("gap_ms"): _within(int, 20, 5000),
        **_TO_CALL,
    },
    "open_door": _TO_CALL,
    "stop_playback": _TO_CALL,
    "record": {
        probatio.Optional("name"): probatio.All(cv.string, probatio.Length(min=1, max=64)),
        probatio.Optional("max_seconds"): _within(float, 1, 86400),
        **_TO_CALL,
    },
    "stop_recording": _TO_CALL,
    "transfer": {
        probatio.Exclusive("to", "target"): _NUMBER,
        probatio.Exclusive("attended_call_id", "target"): cv.string,
        **_TO_CALL,
    },
    "hold": _TO_CALL,
    "resume": _TO_CALL,
    "mute": _TO_CALL,
    "unmute": _TO_CALL,
    "join": {probatio.Required("other_call_id"): cv.string, **_TO_CALL},
    "separate": _TO_CALL,
    "send_message": {probatio.Required("to"): _NUMBER, probatio.Required("text"): cv.string},
}
_OF_A_RINGING_CALL: Final = frozenset({"answer", "reject"})
_DIAL: Final[Fields] = {
    probatio.Required("to"): _NUMBER,
    probatio.Optional("from_name"): _NAME,
    probatio.Optional("timeout"): _within(float, 1, 600),
    probatio.Optional("play"): cv.string,
    probatio.Optional("hold_ms"): _within(int, 0, 60000),
    probatio.Optional("auto_hangup"): cv.boolean,
    probatio.Optional("wait", default=False): cv.boolean,
}
_PLAY: Final[Fields] = {
    probatio.Required("url"): cv.string,
    probatio.Optional("loop"): cv.boolean,
    probatio.Optional("volume"): _within(float, 0, 2),
    probatio.Optional("enqueue"): cv.boolean,
    probatio.Optional("early"): cv.boolean,
    **_TO_CALL,
}
_SPEAK: Final[Fields] = {
    probatio.Required("message"): probatio.All(cv.string, probatio.Length(min=1)),
    probatio.Optional("to"): _NUMBER,
    probatio.Optional("engine"): cv.entity_domain("tts"),
    probatio.Optional("language"): cv.string,
    probatio.Optional("options"): dict,
    probatio.Optional("from_name"): _NAME,
    probatio.Optional("timeout"): _within(float, 1, 240),  # the text is kept for five minutes
    probatio.Optional("hold_ms"): _within(int, 0, 60000),
    **_TO_CALL,
}


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register every action."""
    optional = SupportsResponse.OPTIONAL
    actions = {
        **{verb: (_async_send, fields, optional) for verb, fields in _REQUESTS.items()},
        "dial": (_async_dial, _DIAL, optional),
        "play": (_async_play, _PLAY, optional),
        "speak": (_async_speak, _SPEAK, optional),
        "get_calls": (_async_get_calls, {}, SupportsResponse.ONLY),
        "reset_missed_calls": (_async_reset_missed_calls, {}, SupportsResponse.NONE),
    }
    for name, (act, fields, response) in actions.items():
        schema = probatio.Schema({**TARGET, **fields})
        hass.services.async_register(DOMAIN, name, act, schema=schema, supports_response=response)


def _fields(call: ServiceCall, coordinator: SipPhoneCoordinator, account: str) -> dict[str, Any]:
    fields = {name: value for name, value in call.data.items() if name not in TARGET_KEYS}
    if "to" in fields:
        fields["to"] = number_of(coordinator.state.account(account), fields["to"])
    return fields


def _in_its_call(
    fields: dict[str, Any], coordinator: SipPhoneCoordinator, station: DoorStation | None, *, is_ringing: bool = False
) -> dict[str, Any]:
    """An action for a door station is about the call with it, and about no other call of its line."""
    if station is None or "call_id" in fields:
        return fields
    return fields | {"call_id": call_with(coordinator, station, is_ringing=is_ringing).call_id}


async def _async_source(hass: HomeAssistant, source: str) -> str:
    """What the bridge can play: a file or tone of its own, or a URL, be it of a media source here."""
    return await async_sound_url(hass, source, None) if media_source.is_media_source_id(source) else source


async def _async_send(call: ServiceCall) -> ServiceResponse:
    """Send the request that the action is named after; the response is the bridge's data."""
    coordinator, account, station = async_find_target(call)
    fields = _fields(call, coordinator, account)
    if call.service == "open_door" and station is not None and "call_id" not in fields:
        await async_open(call.hass, coordinator, station)
        return {}
    if "call_id" in _REQUESTS[call.service]:
        fields = _in_its_call(fields, coordinator, station, is_ringing=call.service in _OF_A_RINGING_CALL)
    kind, _ = ACCOUNT_VERBS[call.service]
    response = await coordinator.async_request(account, kind(**fields))
    return dict(response.data)


async def _async_dial(call: ServiceCall) -> ServiceResponse:
    """Place a call; with ``wait``, the response tells whether it was answered, else how it ended."""
    coordinator, account = async_find_line(call)
    fields = _fields(call, coordinator, account)
    waits = fields.pop("wait")
    if "play" in fields:
        fields["play"] = await _async_source(call.hass, fields["play"])
    request = Dial(**fields)
    with follow(coordinator, account) as follower:
        response = await coordinator.async_request(account, request)
        if not waits:
            return dict(response.data)
        return await follower.async_outcome(str(response.data.get("call_id")), request.timeout + MARGIN)


async def _async_play(call: ServiceCall) -> ServiceResponse:
    """Play a sound into a call."""
    coordinator, account, station = async_find_target(call)
    fields = _in_its_call(_fields(call, coordinator, account), coordinator, station)
    fields["url"] = await _async_source(call.hass, fields["url"])
    response = await coordinator.async_request(account, Play(**fields))
    return dict(response.data)


async def _async_speak(call: ServiceCall) -> ServiceResponse:
    """Speak in the call that there is, or call, speak and hang up; done when that is."""
    coordinator, account, station = async_find_target(call)
    fields = _fields(call, coordinator, account)
    if "to" not in fields:
        fields = _in_its_call(fields, coordinator, station)
    speech = {name: fields.pop(name) for name in ("engine", "language", "options") if name in fields}
    source = await async_speech_url(call.hass, fields.pop("message"), **speech)
    call_id, to = fields.pop("call_id", None), fields.pop("to", None)
    return await async_speak(coordinator, account, source, call_id=call_id, to=to, **fields)


async def _async_get_calls(call: ServiceCall) -> ServiceResponse:
    """The live calls of a line, and the last one that ended."""
    coordinator, account = async_find_line(call)
    line = coordinator.state.line(account)
    return {
        "state": None if line.call is None else line.call.state.value,
        "calls": [as_data(live) for live in line.calls],
        "last_call": None if line.last_call is None else as_data(line.last_call),
    }


async def _async_reset_missed_calls(call: ServiceCall) -> None:
    """Somebody has looked at them."""
    coordinator, account = async_find_line(call)
    coordinator.async_reset_missed_calls(account)
