"""What happened on a line, in a person's words: for triggers, the logbook and the event bus.

SIP tells of messages, the bridge of states; here an incoming call is one happening, whatever it took. Nothing happens
because Home Assistant, the broker or the bridge was restarted: only a change from a known state counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.util.signal_type import SignalType

from .contract import (
    CallEndedEvent,
    CallInfo,
    Direction,
    DTMFEvent,
    DTMFSequenceEvent,
    Event,
    MessageEvent,
    RegistrationState,
    Remote,
)
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .devices import bridge_identifier, line_identifier
from .door_station import DoorStation, door_stations, station_of
from .state import MAX_TEXT, TALKING, PhoneState, is_missed

EVENT_HAPPENED: Final = "sip_phone_event"
ATTR_DIGITS: Final = "digits"
ATTR_TEXT: Final = "text"

_LOST: Final = frozenset({RegistrationState.FAILED, RegistrationState.UNREGISTERED})


class Kind(StrEnum):
    """What can happen."""

    INCOMING_CALL = "incoming_call"
    CALL_ANSWERED = "call_answered"
    CALL_ENDED = "call_ended"
    CALL_MISSED = "call_missed"
    KEY_PRESSED = "key_pressed"
    DTMF_RECEIVED = "dtmf_received"
    DOOR_OPENED = "door_opened"
    MESSAGE_RECEIVED = "message_received"
    REGISTRATION_LOST = "registration_lost"
    REGISTRATION_RESTORED = "registration_restored"


_NOT_ON_THE_BUS: Final = frozenset({Kind.KEY_PRESSED})  # one after the other they spell a code, which is stored there
_PRIVATE: Final = frozenset({ATTR_DIGITS, ATTR_TEXT})  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One happening; ``devices`` are the line's, the door station's and the bridge's, ``data`` what a trigger tells."""

    kind: Kind
    devices: tuple[str, ...]
    data: Mapping[str, Any] = field(repr=False)  # it may hold digits


SIGNAL_HAPPENED: SignalType[Happening] = SignalType(EVENT_HAPPENED)


@callback
def async_setup_happenings(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Tell what happens on the lines of a bridge until its entry is unloaded."""
    teller = _Teller(hass, entry)
    entry.async_on_unload(entry.runtime_data.async_listen_all_events(teller.receive))
    entry.async_on_unload(entry.runtime_data.async_listen_all(teller.changed))
    teller.changed(entry.runtime_data.state)


class _Teller:
    """Happenings of one bridge."""

    def __init__(self, hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
        self._hass = hass
        self._entry = entry
        self._coordinator: SipPhoneCoordinator = entry.runtime_data
        self._stations = door_stations(entry)
        self._registered: dict[str, bool] = {}  # accounts whose registrar said yes, or no

    @callback
    def receive(self, account: str, event: Event) -> None:
        """An event of the contract."""
        match event:
            case Event(direction=Direction.INCOMING) if self._coordinator.state.line(account).is_begun_by(event):
                self._tell(Kind.INCOMING_CALL, account, event)
            case CallEndedEvent():
                told = {
                    "result": event.end_reason.value,
                    "status": event.status,
                    "ring_seconds": event.ring_seconds,
                    "talk_seconds": event.talk_seconds,
                }
                self._tell(Kind.CALL_ENDED, account, event, **told)
                if is_missed(event):
                    self._tell(Kind.CALL_MISSED, account, event, **told)
            case DTMFEvent():
                self._tell(Kind.KEY_PRESSED, account, event, digits=event.digits)
            case DTMFSequenceEvent():
                self._tell(Kind.DTMF_RECEIVED, account, event, digits=event.digits, code=event.code)
            case Event(event="DOOR_OPENED"):
                self._tell(Kind.DOOR_OPENED, account, event)
            case MessageEvent():
                self._tell(Kind.MESSAGE_RECEIVED, account, event, text=event.text[:MAX_TEXT])
            case _:
                pass

    @callback
    def changed(self, old: PhoneState) -> None:
        """The bridge's state changed."""
        state = self._coordinator.state
        accounts = state.accounts or {}
        self._registered = {account: known for account, known in self._registered.items() if account in accounts}
        for account in accounts:
            self._look_for_answers(account, old, state)
            self._look_at_registration(account, state)

    def _look_for_answers(self, account: str, old: PhoneState, state: PhoneState) -> None:
        before, now = old.line(account).call, state.line(account).call
        if before is None or now is None or before == now:
            return
        answered = {call.call_id for call in before.calls if call.state in TALKING}
        for call in now.calls:
            if call.state in TALKING and call.call_id not in answered:
                self._tell(Kind.CALL_ANSWERED, account, call)

    def _look_at_registration(self, account: str, state: PhoneState) -> None:
        registration = state.line(account).registration
        if registration is None or not state.is_online:
            return
        before = self._registered.get(account)
        if registration.state is RegistrationState.REGISTERED:
            self._registered[account] = True
            if before is False:
                self._tell(Kind.REGISTRATION_RESTORED, account)
        elif registration.state in _LOST:
            self._registered[account] = False
            if before is True:
                self._tell(Kind.REGISTRATION_LOST, account, status=registration.status, phrase=registration.phrase)

    def _tell(self, kind: Kind, account: str, about: Event | CallInfo | None = None, **told: Any) -> None:
        remote = None if about is None else about.remote
        station = None if about is None else station_of(self._stations, account, remote)
        devices = self._devices(account, station)
        if not devices:  # the inventory has no such account
            return
        data: dict[str, Any] = {"account": account, "line": self._line_name(account)}
        if about is not None:
            direction = about.direction
            data |= {"call_id": about.call_id, "direction": None if direction is None else direction.value}
            data |= _of_remote(remote)
            data |= {
                "door_station": None if station is None else station.name,
                "camera": None if station is None else station.camera,
            }
        data |= told
        async_dispatcher_send(
            self._hass, SIGNAL_HAPPENED, Happening(kind=kind, devices=devices, data={"device_id": devices[0], **data})
        )
        if kind not in _NOT_ON_THE_BUS:
            public = {key: value for key, value in data.items() if key not in _PRIVATE}
            self._hass.bus.async_fire(EVENT_HAPPENED, {"type": kind.value, "device_id": devices[0], **public})

    def _devices(self, account: str, station: DoorStation | None) -> tuple[str, ...]:
        registry = dr.async_get(self._hass)
        bridge = self._coordinator.topics.bridge
        line = registry.async_get_device_by_identifier(line_identifier(bridge, account), self._entry.entry_id)
        if line is None:
            return ()
        others = [bridge_identifier(bridge)] if station is None else [station.identifier, bridge_identifier(bridge)]
        devices = (registry.async_get_device_by_identifier(each, self._entry.entry_id) for each in others)
        return (line.id, *(device.id for device in devices if device is not None))

    def _line_name(self, account: str) -> str:
        info = self._coordinator.state.account(account)
        return account if info is None else info.name


def _of_remote(remote: Remote | None) -> dict[str, str | None]:
    if remote is None:  # withheld
        return {"remote_name": None, "remote_number": None, "remote_uri": None}
    return {"remote_name": remote.name, "remote_number": remote.user, "remote_uri": remote.uri}
