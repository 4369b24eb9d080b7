"""Repairs: what a person has to put right, each shown while it lasts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from homeassistant.components import mqtt
from homeassistant.components.mqtt.const import CONF_DISCOVERY_PREFIX, DEFAULT_PREFIX
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.service_info.mqtt import ReceivePayloadType

from .const import CONF_OFFLINE_MINUTES, DEFAULT_OFFLINE_MINUTES, DOMAIN
from .contract import SCHEMA, AccountTopic, BridgeTopic, Registration, RegistrationState

if TYPE_CHECKING:
    from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
    from .state import PhoneState

_ORIGIN: Final = "sip-bridge"  # how the bridge signs what it announces for plain MQTT entities
_WRONG_PASSWORD: Final = frozenset({401, 403, 407})  # a registrar's last word to an account that it does not let in
_LEARN_MORE: Final = "https://github.com/sip-bridge/sip-bridge/blob/main/docs/home-assistant.md#repairs"


@callback
def async_check_schema(
    hass: HomeAssistant,
    entry: ConfigEntry[Any],
    topic: AccountTopic | BridgeTopic,
    message: mqtt.ReceiveMessage,
) -> None:
    """Ask for an update if the bridge introduces itself in a later schema than ours."""
    schema = _number(message.payload, "schema")
    if topic == BridgeTopic(kind="info") and schema is not None and schema != SCHEMA:
        _async_create(hass, entry, "schema_not_supported", schema=str(schema), supported=str(SCHEMA))


async def async_setup_issues(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Look for what needs repair until the entry is unloaded."""
    watch = _Watch(hass, entry)
    entry.async_on_unload(watch.stop)
    entry.async_on_unload(entry.runtime_data.async_listen_all(watch.changed))
    watch.look()
    await async_watch_doubles(hass, entry)


@callback
def async_delete_issues(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Forget all issues of an entry."""
    issues = [issue_id for domain, issue_id in ir.async_get(hass).issues if domain == DOMAIN]
    for issue_id in issues:
        if issue_id.startswith(f"{entry.entry_id}/"):
            ir.async_delete_issue(hass, DOMAIN, issue_id)


class _Watch:
    """What one bridge's state says of issues."""

    def __init__(self, hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
        self._hass = hass
        self._entry = entry
        self._coordinator: SipPhoneCoordinator = entry.runtime_data
        self._refused: set[str] = set()  # accounts with an issue
        self._stop_waiting: CALLBACK_TYPE | None = None

    @callback
    def changed(self, _old: PhoneState) -> None:
        """The bridge's state changed."""
        self.look()

    @callback
    def look(self) -> None:
        """Raise and clear issues."""
        state = self._coordinator.state
        if state.info is not None:
            _async_delete(self._hass, self._entry, "schema_not_supported")
        if state.is_online:
            self.stop()
            _async_delete(self._hass, self._entry, "bridge_offline")
        elif self._stop_waiting is None:
            minutes = self._entry.options.get(CONF_OFFLINE_MINUTES, DEFAULT_OFFLINE_MINUTES)
            self._stop_waiting = async_call_later(self._hass, minutes * 60, self._async_offline)
        self._look_for_refusals(state)

    @callback
    def stop(self) -> None:
        """Wait no more for the bridge."""
        if self._stop_waiting is not None:
            self._stop_waiting()
            self._stop_waiting = None

    @callback
    def _async_offline(self, _now: object) -> None:
        minutes = self._entry.options.get(CONF_OFFLINE_MINUTES, DEFAULT_OFFLINE_MINUTES)
        _async_create(self._hass, self._entry, "bridge_offline", minutes=str(int(minutes)))

    @callback
    def _look_for_refusals(self, state: PhoneState) -> None:
        accounts = {} if state.accounts is None else state.accounts
        refused = {
            account: registration
            for account in accounts
            if (registration := state.line(account).registration) is not None and _is_refused(registration)
        }
        for account in self._refused - refused.keys():
            _async_delete(self._hass, self._entry, f"registration_refused/{account}")
        for account, registration in refused.items():
            _async_create(
                self._hass,
                self._entry,
                "registration_refused",
                account,
                line=accounts[account].name,
                answer=f"{registration.status} {registration.phrase or ''}".strip(),
            )
        self._refused = set(refused)


async def async_watch_doubles(hass: HomeAssistant, entry: SipPhoneConfigEntry) -> None:
    """Tell when the bridge announces plain MQTT entities too, which double those of this integration."""
    prefix = _discovery_prefix(hass)
    topics: set[str] = set()

    @callback
    def receive(message: mqtt.ReceiveMessage) -> None:
        if _is_double(message.payload, entry.runtime_data.topics.prefix):
            topics.add(message.topic)
            _async_create(hass, entry, "doubled_by_mqtt", topic=message.topic)
        elif message.topic in topics:
            topics.discard(message.topic)
            if not topics:
                _async_delete(hass, entry, "doubled_by_mqtt")

    entry.async_on_unload(await mqtt.async_subscribe(hass, f"{prefix}/device/+/config", receive, 1))


def _discovery_prefix(hass: HomeAssistant) -> str:
    # Ours depends on it, and there is only one; it may not be said to be loaded yet.
    (entry,) = hass.config_entries.async_entries(mqtt.DOMAIN, include_ignore=False, include_disabled=False)
    prefix: str = {**entry.data, **entry.options}.get(CONF_DISCOVERY_PREFIX, DEFAULT_PREFIX)
    return prefix


def _is_double(payload: ReceivePayloadType, topic_prefix: str) -> bool:
    """Whether it is the bridge's own announcement of plain MQTT entities."""
    announced = _object(payload)
    origin = announced.get("origin", announced.get("o"))
    if not isinstance(origin, dict) or origin.get("name") != _ORIGIN:
        return False
    return any(_is_below(text, topic_prefix) for text in _texts(announced))


def _is_below(topic: str, prefix: str) -> bool:
    return topic == prefix or topic.startswith(f"{prefix}/")


def _texts(value: object) -> list[str]:
    """Every string in a JSON value."""
    found: list[str] = []
    rest = [value]
    while rest:
        match rest.pop():
            case str() as text:
                found.append(text)
            case dict() as mapping:
                rest.extend(mapping.values())
            case list() as items:
                rest.extend(items)
            case _:
                pass
    return found


def _is_refused(registration: Registration) -> bool:
    return registration.state is RegistrationState.FAILED and registration.status in _WRONG_PASSWORD


def _object(payload: ReceivePayloadType) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(payload: ReceivePayloadType, key: str) -> int | None:
    value = _object(payload).get(key)
    return value if isinstance(value, int) else None


@callback
def _async_create(
    hass: HomeAssistant, entry: ConfigEntry[Any], key: str, part: str | None = None, **placeholders: str
) -> None:
    ir.async_create_issue(
        hass,
        DOMAIN,
        "/".join(filter(None, (entry.entry_id, key, part))),
        config_entry_id=entry.entry_id,
        is_fixable=False,
        learn_more_url=_LEARN_MORE,
        severity=ir.IssueSeverity.WARNING if key == "doubled_by_mqtt" else ir.IssueSeverity.ERROR,
        translation_key=key,
        translation_placeholders={"name": entry.title, **placeholders},
    )


@callback
def _async_delete(hass: HomeAssistant, entry: ConfigEntry[Any], key: str) -> None:
    ir.async_delete_issue(hass, DOMAIN, f"{entry.entry_id}/{key}")
