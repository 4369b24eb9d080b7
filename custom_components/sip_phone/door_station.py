"""Door stations that a person described: whom a line hears from, where their picture is, what opens their door.

Each is a subentry of the bridge's entry. It stands beside what the bridge knows of the line, for a line may have the
front door and the garden gate behind it.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from homeassistant.components.button import SERVICE_PRESS
from homeassistant.components.lock import LockEntityFeature
from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry, ConfigEntryChange
from homeassistant.const import (
    ATTR_ENTITY_ID,
    ATTR_SUPPORTED_FEATURES,
    CONF_NAME,
    SERVICE_OPEN,
    SERVICE_OPEN_COVER,
    SERVICE_TURN_ON,
    SERVICE_UNLOCK,
    Platform,
)
from homeassistant.core import HomeAssistant, callback, split_entity_id
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from .const import DOMAIN
from .contract import Answer, CallInfo, CallState, Direction, DTMFMethod, Event, OpenDoor, Remote, SendDTMF
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .devices import line_identifier
from .state import TALKING

_LOGGER = logging.getLogger(__name__)

SUBENTRY_DOOR_STATION: Final = "door_station"
CONF_ACCOUNT: Final = "account"
CONF_AUTO_ANSWER: Final = "auto_answer"
CONF_CALLER: Final = "caller"
CONF_CAMERA: Final = "camera"
CONF_DOOR_CODE: Final = "door_code"
CONF_DTMF_METHOD: Final = "dtmf_method"
CONF_OPENED_BY: Final = "opened_by"
CONF_OPENER: Final = "opener"

_DOOR_CODE: Final = re.compile(r"[0-9*#A-D,]{1,32}")
ANSWER_TIMEOUT: Final = 10.0  # seconds from our answer until the call carries keys
_UNANSWERED: Final = frozenset({CallState.RINGING, CallState.EARLY_MEDIA})


class OpenedBy(StrEnum):
    """What opens a door."""

    NOTHING = "nothing"
    BRIDGE = "bridge"
    KEYS = "keys"
    ENTITY = "entity"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorStation:
    """One door station; ``caller`` is a pattern with ``*`` for its number, URI or name, empty for whoever calls."""

    id: str
    name: str
    account: str
    caller: str = ""
    camera: str | None = None
    opened_by: OpenedBy = OpenedBy.NOTHING
    door_code: str | None = field(default=None, repr=False)
    dtmf_method: DTMFMethod | None = None
    opener: str | None = None
    auto_answer: bool = False

    @classmethod
    def from_data(cls, subentry_id: str, data: Mapping[str, Any]) -> DoorStation:
        """What the subentry's form gave."""
        method = data.get(CONF_DTMF_METHOD)
        return cls(
            id=subentry_id,
            name=data[CONF_NAME],
            account=data[CONF_ACCOUNT],
            caller=data.get(CONF_CALLER, ""),
            camera=data.get(CONF_CAMERA),
            opened_by=OpenedBy(data[CONF_OPENED_BY]),
            door_code=data.get(CONF_DOOR_CODE),
            dtmf_method=None if method is None else DTMFMethod(method),
            opener=data.get(CONF_OPENER),
            auto_answer=data.get(CONF_AUTO_ANSWER, False),
        )

    @property
    def identifier(self) -> tuple[str, str]:
        """Its device; a colon stands in no id of a bridge, so that no line's device is mistaken for it."""
        return (DOMAIN, f"door_station:{self.id}")

    def is_remote(self, remote: Remote | None) -> bool:
        """Whether the other party of a call is this station."""
        if not self.caller:
            return True
        claims = () if remote is None else (remote.user, remote.uri, _address(remote.uri), remote.name)
        return any(claim is not None and matches(self.caller, claim) for claim in claims)


def is_door_code(text: str) -> bool:
    """Whether keys of a telephone spell it; a comma is a pause."""
    return _DOOR_CODE.fullmatch(text) is not None


def matches(pattern: str, text: str) -> bool:
    """Whether ``text`` is as the pattern says, upper case or lower; only ``*`` and ``?`` are special."""
    return fnmatch.fnmatchcase(text.casefold(), pattern.casefold().replace("[", "[[]"))


def door_stations(entry: ConfigEntry[Any]) -> tuple[DoorStation, ...]:
    """The stations of an entry, in the order of their making."""
    return tuple(
        DoorStation.from_data(subentry.subentry_id, subentry.data)
        for subentry in entry.get_subentries_of_type(SUBENTRY_DOOR_STATION)
    )


def ringing_call(coordinator: SipPhoneCoordinator, station: DoorStation) -> CallInfo | None:
    """The station's call that nobody has answered."""
    calls = _calls(coordinator, station)
    return next((call for call in calls if call.state in _UNANSWERED and _is_incoming(call)), None)


def live_call(coordinator: SipPhoneCoordinator, station: DoorStation) -> CallInfo | None:
    """The call with the station: the one that was answered, else the oldest."""
    calls = _calls(coordinator, station)
    return next((call for call in calls if call.state in TALKING), next(iter(calls), None))


def call_with(coordinator: SipPhoneCoordinator, station: DoorStation, *, is_ringing: bool) -> CallInfo:
    """The call that an action for the station is about; raises a translated `ServiceValidationError`."""
    call = ringing_call(coordinator, station) if is_ringing else live_call(coordinator, station)
    if call is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_call")
    return call


def station_of(stations: Iterable[DoorStation], account: str, remote: Remote | None) -> DoorStation | None:
    """The station that the other party is; one that is named precisely goes before one that takes whoever calls."""
    fitting = [each for each in stations if each.account == account and each.is_remote(remote)]
    return max(fitting, key=lambda station: bool(station.caller), default=None)


@callback
def async_setup_door_stations(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Make the stations' devices, answer for those that want it, and reload the entry when one changes."""
    stations = door_stations(entry)
    coordinator = entry.runtime_data
    for station in stations:
        _async_make_device(hass, entry, station)

    @callback
    def changed(change: ConfigEntryChange, changed_entry: ConfigEntry[Any]) -> None:
        if change is ConfigEntryChange.UPDATED and changed_entry is entry and door_stations(entry) != stations:
            hass.config_entries.async_schedule_reload(entry.entry_id)

    @callback
    def receive(account: str, event: Event) -> None:
        if event.direction is not Direction.INCOMING or not coordinator.state.line(account).is_begun_by(event):
            return
        if any(each.auto_answer and each.account == account and each.is_remote(event.remote) for each in stations):
            entry.async_create_background_task(
                hass, _async_answer_by_itself(coordinator, account, event.call_id), "sip_phone auto-answer"
            )

    entry.async_on_unload(async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, changed))
    entry.async_on_unload(coordinator.async_listen_all_events(receive))


async def async_open(hass: HomeAssistant, coordinator: SipPhoneCoordinator, station: DoorStation) -> None:
    """Open the station's door; raises a translated `HomeAssistantError`."""
    match station.opened_by:
        case OpenedBy.BRIDGE:
            call = live_call(coordinator, station)
            await coordinator.async_request(station.account, OpenDoor(call_id=None if call is None else call.call_id))
        case OpenedBy.KEYS:
            await _async_press_keys(coordinator, station)
        case OpenedBy.ENTITY:
            await _async_use(hass, station.opener or "")
        case _:
            raise ServiceValidationError(
                translation_domain=DOMAIN, translation_key="no_opener", translation_placeholders={"door": station.name}
            )


def _calls(coordinator: SipPhoneCoordinator, station: DoorStation) -> tuple[CallInfo, ...]:
    calls = coordinator.state.line(station.account).calls
    return tuple(call for call in calls if station.is_remote(call.remote))


def _is_incoming(call: CallInfo) -> bool:
    return call.direction is Direction.INCOMING


def _address(uri: str) -> str:
    """``user@host`` of a SIP URI."""
    return uri.partition(":")[2].partition(";")[0]


@callback
def _async_make_device(hass: HomeAssistant, entry: SipPhoneConfigEntry, station: DoorStation) -> None:
    registry = dr.async_get(hass)
    line = registry.async_get_device_by_identifier(
        line_identifier(entry.runtime_data.topics.bridge, station.account), entry.entry_id
    )
    registry.async_get_or_create(
        config_entry_id=entry.entry_id,
        config_subentry_id=station.id,
        identifiers={station.identifier},
        manufacturer="SIP Bridge",
        model="Door station",
        name=station.name,
        via_device_id=None if line is None else line.id,
    )


async def _async_answer_by_itself(coordinator: SipPhoneCoordinator, account: str, call_id: str | None) -> None:
    try:
        await coordinator.async_request(account, Answer(call_id=call_id, if_state=CallState.RINGING))
    except HomeAssistantError as error:
        _LOGGER.warning("Did not answer the door station on %s: %s", account, error)


async def _async_press_keys(coordinator: SipPhoneCoordinator, station: DoorStation) -> None:
    call = call_with(coordinator, station, is_ringing=False)
    if call.state not in TALKING and _is_incoming(call):
        await coordinator.async_request(station.account, Answer(call_id=call.call_id))
        await _async_wait_until_answered(coordinator, station, call.call_id)
    await coordinator.async_request(
        station.account,
        SendDTMF(digits=station.door_code or "", method=station.dtmf_method, call_id=call.call_id),
    )


async def _async_wait_until_answered(coordinator: SipPhoneCoordinator, station: DoorStation, call_id: str) -> None:
    answered = asyncio.Event()

    @callback
    def look() -> None:
        if any(call.call_id == call_id and call.state in TALKING for call in _calls(coordinator, station)):
            answered.set()

    stop = coordinator.async_listen(station.account, look)
    look()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await answered.wait()
    except TimeoutError as error:
        raise HomeAssistantError(translation_domain=DOMAIN, translation_key="not_answered") from error
    finally:
        stop()


async def _async_use(hass: HomeAssistant, opener: str) -> None:
    """Have an entity open the door, in the way of its kind."""
    domain = split_entity_id(opener)[0]
    state = hass.states.get(opener)
    features = 0 if state is None else state.attributes.get(ATTR_SUPPORTED_FEATURES, 0)
    match domain:
        case Platform.LOCK:
            action = SERVICE_OPEN if features & LockEntityFeature.OPEN else SERVICE_UNLOCK
        case Platform.BUTTON | "input_button":
            action = SERVICE_PRESS
        case Platform.COVER:
            action = SERVICE_OPEN_COVER
        case _:
            action = SERVICE_TURN_ON
    await hass.services.async_call(domain, action, {ATTR_ENTITY_ID: opener}, blocking=True)
