"""One subscription to all that a bridge says: retained messages become state, events reach the event entities."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final, TypeAlias

from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryNotReady
from homeassistant.util import dt as dt_util

from .const import CONF_BASE_TOPIC, CONF_BRIDGE, DOMAIN
from .contract import (
    AccountKind,
    AccountRequest,
    AccountTopic,
    BridgeTopic,
    CallEndedEvent,
    ContractError,
    Event,
    Response,
    Topics,
    decode_event,
    stamp_of,
)
from .devices import async_update_devices
from .dial_pad import DialPad
from .issues import async_check_schema
from .requests import Requests
from .state import PhoneState, checked, is_stale, parse_time, payload_class, read, reduce, without_broker

_LOGGER = logging.getLogger(__name__)

FIRST_STATE_TIMEOUT: Final = 10.0  # seconds; the broker sends retained messages as soon as it takes the subscription
REMEMBERED_EVENTS: Final = 256  # ids; QoS 1 repeats a message at once, or after a reconnect
REMEMBERED_FAULTS: Final = 64  # topics whose last payload could not be read
QOS: Final = 1

SipPhoneConfigEntry: TypeAlias = "ConfigEntry[SipPhoneCoordinator]"
EventListener: TypeAlias = Callable[[Event], None]
LinesListener: TypeAlias = Callable[[Iterable[str]], None]
RecordListener: TypeAlias = Callable[[CallEndedEvent, bool], None]  # the bool: the broker kept it, maybe for long
StateListener: TypeAlias = Callable[[PhoneState], None]
AllEventsListener: TypeAlias = Callable[[str, Event], None]


class SipPhoneCoordinator:
    """One bridge, as its MQTT messages tell it."""

    def __init__(self, hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
        self.hass = hass
        self.entry = entry
        self.topics = Topics(base=entry.data[CONF_BASE_TOPIC], bridge=entry.data[CONF_BRIDGE])
        self.state = PhoneState()
        self._requests = Requests(hass, self.topics)
        self._complete = asyncio.Event()
        self._is_set_up = False
        self._reported_online = True
        self._update_listeners: dict[str | None, list[CALLBACK_TYPE]] = {}
        self._event_listeners: dict[str, list[EventListener]] = {}
        self._record_listeners: dict[str, list[RecordListener]] = {}
        self._reset_listeners: dict[str, list[CALLBACK_TYPE]] = {}
        self._lines_listeners: list[LinesListener] = []
        self._state_listeners: list[StateListener] = []
        self._all_events_listeners: list[AllEventsListener] = []
        self._dial_pads: dict[str, DialPad] = {}
        self._lines: dict[str, AccountKind] = {}  # those that the listeners know
        self._event_ids: deque[str] = deque(maxlen=REMEMBERED_EVENTS)
        self._faulty_topics: set[str] = set()

    async def async_start(self) -> None:
        """Subscribe and wait until the bridge has introduced itself; raises `ConfigEntryNotReady`."""
        if not await mqtt.async_wait_for_mqtt_client(self.hass):
            raise ConfigEntryNotReady(translation_domain=DOMAIN, translation_key="mqtt_unavailable")
        self.entry.async_on_unload(mqtt.async_subscribe_connection_status(self.hass, self._async_broker_changed))
        self.entry.async_on_unload(
            await mqtt.async_subscribe(self.hass, self.topics.everything, self._async_receive, QOS, encoding=None)
        )
        try:
            async with asyncio.timeout(FIRST_STATE_TIMEOUT):
                await self._complete.wait()
        except TimeoutError as error:
            raise ConfigEntryNotReady(
                translation_domain=DOMAIN,
                translation_key="bridge_silent",
                translation_placeholders={"topic": self.topics.prefix},
            ) from error
        self._is_set_up = True
        self._async_follow_inventory()

    async def async_request(self, account: str, request: AccountRequest) -> Response:
        """Have the bridge do something with a line; raises a translated `HomeAssistantError`."""
        return await self._requests.async_send(account, request, is_online=self.state.is_online)

    @callback
    def async_listen(self, account: str | None, update: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Call ``update`` when the account's state or the bridge's changes; None listens to the bridge alone."""
        return _add(self._update_listeners.setdefault(account, []), update)

    @callback
    def async_listen_events(self, account: str, receive: EventListener) -> CALLBACK_TYPE:
        """Call ``receive`` once for each event of the account."""
        return _add(self._event_listeners.setdefault(account, []), receive)

    @callback
    def async_listen_records(self, account: str, receive: RecordListener) -> CALLBACK_TYPE:
        """Call ``receive`` with the record of each call that ended, maybe more than once, and with the last one now."""
        last_call = self.state.line(account).last_call
        if last_call is not None:
            receive(last_call, True)  # noqa: FBT003  # it was kept
        return _add(self._record_listeners.setdefault(account, []), receive)

    @callback
    def async_listen_reset(self, account: str, reset: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Call ``reset`` when somebody has looked at the missed calls of the account."""
        return _add(self._reset_listeners.setdefault(account, []), reset)

    @callback
    def async_reset_missed_calls(self, account: str) -> None:
        """Somebody has looked at the missed calls."""
        for reset in tuple(self._reset_listeners.get(account, ())):
            reset()

    @callback
    def async_dial_pad(self, account: str) -> DialPad:
        """Whom the line is going to call."""
        return self._dial_pads.setdefault(account, DialPad())

    @callback
    def async_update_line(self, account: str) -> None:
        """Have the line's entities look again."""
        for update in tuple(self._update_listeners.get(account, ())):
            update()

    @callback
    def async_listen_all(self, changed: StateListener) -> CALLBACK_TYPE:
        """Call ``changed`` with the state that was, after each change of anything."""
        return _add(self._state_listeners, changed)

    @callback
    def async_listen_all_events(self, receive: AllEventsListener) -> CALLBACK_TYPE:
        """Call ``receive`` once for each event of any account."""
        return _add(self._all_events_listeners, receive)

    @callback
    def async_listen_lines(self, add: LinesListener) -> CALLBACK_TYPE:
        """Call ``add`` with every account now, and with each later one when it appears."""
        add(sorted(self._lines))
        return _add(self._lines_listeners, add)

    @callback
    def _async_broker_changed(self, connected: bool) -> None:
        if not connected:
            self._async_set_state(without_broker(self.state))

    @callback
    def _async_receive(self, message: mqtt.ReceiveMessage) -> None:
        topic = self.topics.parse(message.topic)
        if topic is None:
            return
        try:
            self._async_dispatch(topic, message)
        except ContractError as error:
            self._log_fault(message.topic, error)
            async_check_schema(self.hass, self.entry, topic, message)
        else:
            self._faulty_topics.discard(message.topic)

    @callback
    def _async_dispatch(self, topic: AccountTopic | BridgeTopic, message: mqtt.ReceiveMessage) -> None:
        payload = bytes(message.payload)  # type: ignore[arg-type]  # subscribed with encoding=None
        match topic:
            case AccountTopic(kind="event" | "response", name=str()) if message.retain or not payload:
                pass  # neither is ever retained: a replayed event would ring a bell that nobody pressed
            case AccountTopic(kind="event", name=str()):
                self._async_receive_event(topic.account, checked(decode_event(payload)), stamp_of(payload))
            case AccountTopic(kind="response", name=str()):
                self._requests.async_receive(payload)
            case _:
                self._async_receive_state(topic, payload, is_kept=message.retain)

    @callback
    def _async_receive_state(self, topic: AccountTopic | BridgeTopic, data: bytes, *, is_kept: bool) -> None:
        kind = payload_class(topic)
        if kind is None:
            return
        payload = read(kind, data)
        self._async_set_state(reduce(self.state, topic, payload))
        if isinstance(topic, AccountTopic) and isinstance(payload, CallEndedEvent):
            self._async_record(topic.account, payload, is_kept=is_kept)

    @callback
    def _async_record(self, account: str, record: CallEndedEvent, *, is_kept: bool) -> None:
        for receive in tuple(self._record_listeners.get(account, ())):
            receive(record, is_kept)

    @callback
    def _async_receive_event(self, account: str, event: Event, stamp: str | None) -> None:
        if event.event_id in self._event_ids:
            return
        self._event_ids.append(event.event_id)
        made = None if stamp is None else parse_time(stamp)
        age = timedelta(0) if made is None else dt_util.utcnow() - made
        if is_stale(event, age, self.state.line(account)):
            _LOGGER.debug("%s of %s is too old to act on", event.event, account)
            return
        if isinstance(event, CallEndedEvent):
            self._async_record(account, event, is_kept=False)
        for receive in tuple(self._event_listeners.get(account, ())):
            receive(event)
        for receive_any in tuple(self._all_events_listeners):
            receive_any(account, event)

    @callback
    def _async_set_state(self, state: PhoneState) -> None:
        old, self.state = self.state, state
        if state.is_complete:
            self._complete.set()
        if state == old or not self._is_set_up:
            return
        if (state.info, state.accounts) != (old.info, old.accounts):
            self._async_follow_inventory()
        if state.availability != old.availability:
            self._log_availability()
        self._async_notify(old)
        for changed in tuple(self._state_listeners):
            changed(old)

    @callback
    def _async_follow_inventory(self) -> None:
        if self.state.accounts is None:
            return
        async_update_devices(self.hass, self.entry, self.topics.bridge, self.state)
        known, self._lines = self._lines, {account.id: account.kind for account in self.state.accounts.values()}
        if any(known.get(account, kind) is not kind for account, kind in self._lines.items()):
            self.hass.config_entries.async_schedule_reload(self.entry.entry_id)  # it has other entities now
        added = sorted(self._lines.keys() - known)
        self._dial_pads = {account: pad for account, pad in self._dial_pads.items() if account in self._lines}
        if added:
            for add in tuple(self._lines_listeners):
                add(added)

    @callback
    def _async_notify(self, old: PhoneState) -> None:
        is_bridge_changed = (self.state.availability, self.state.info) != (old.availability, old.info)
        for account, updates in tuple(self._update_listeners.items()):
            if is_bridge_changed or (account is not None and self._is_changed(account, old)):
                for update in tuple(updates):
                    update()

    def _is_changed(self, account: str, old: PhoneState) -> bool:
        return (self.state.line(account), self.state.account(account)) != (old.line(account), old.account(account))

    def _log_availability(self) -> None:
        if self.state.is_online is self._reported_online:
            return
        self._reported_online = self.state.is_online
        _LOGGER.info("Bridge %s is %s", self.topics.bridge, "back" if self.state.is_online else "offline")

    def _log_fault(self, topic: str, error: ContractError) -> None:
        if topic in self._faulty_topics or len(self._faulty_topics) >= REMEMBERED_FAULTS:
            return
        self._faulty_topics.add(topic)
        _LOGGER.warning("Ignored what can't be read on %s: %s", topic, error)


def _add(listeners: list[Callable[..., None]], listener: Callable[..., None]) -> CALLBACK_TYPE:
    listeners.append(listener)

    @callback
    def remove() -> None:
        listeners.remove(listener)

    return remove
