"""Set-up of a bridge: found through MQTT discovery, or named by hand; its base topic can be changed later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, override

import probatio
from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntry, ConfigFlow, ConfigFlowResult, ConfigSubentryFlow
from homeassistant.core import callback
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
from homeassistant.helpers.service_info.mqtt import MqttServiceInfo

from .const import CONF_BASE_TOPIC, CONF_BRIDGE, DOMAIN
from .contract import (
    DEFAULT_BASE_TOPIC,
    BridgeInfo,
    ContractError,
    Discovery,
    Topics,
    decode,
    is_valid_id,
)
from .door_station import SUBENTRY_DOOR_STATION
from .door_station_flow import DoorStationFlow
from .options_flow import SipPhoneOptionsFlow

PROBE_TIMEOUT: Final = 10.0  # seconds; a retained message follows the subscription, which Home Assistant may queue


class ProbeError(Exception):
    """The bridge did not show itself; ``reason`` is a key of the flow's errors."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SipPhoneConfigFlow(ConfigFlow, domain=DOMAIN):
    """One entry is one bridge; its id is the unique id, for its base topic and name may change."""

    VERSION = 1

    _discovery: Discovery

    @staticmethod
    @override
    @callback
    def async_get_options_flow(config_entry: ConfigEntry) -> SipPhoneOptionsFlow:
        """The form of the options."""
        return SipPhoneOptionsFlow()

    @classmethod
    @override
    @callback
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        """What can be added below a bridge."""
        return {SUBENTRY_DOOR_STATION: DoorStationFlow}

    async def async_step_mqtt(self, discovery_info: MqttServiceInfo) -> ConfigFlowResult:
        """A bridge announced itself; if it is known, it may have moved to another base topic."""
        return await self._async_offer(_read_discovery(discovery_info))

    async def _async_offer(self, discovery: Discovery | None) -> ConfigFlowResult:
        if discovery is None:
            return self.async_abort(reason="invalid_discovery_info")
        await self.async_set_unique_id(discovery.bridge)
        self._abort_if_unique_id_configured(updates={CONF_BASE_TOPIC: discovery.base_topic})
        self._discovery = discovery
        self.context["title_placeholders"] = {"name": discovery.name}
        return await self.async_step_confirm()

    async def async_step_hassio(self, discovery_info: HassioServiceInfo) -> ConfigFlowResult:
        """A bridge that runs as an app told the Supervisor what it announces over MQTT."""
        return await self._async_offer(_read_announcement(json.dumps(discovery_info.config)))

    async def async_step_confirm(self, user_input: Mapping[str, Any] | None = None) -> ConfigFlowResult:
        """Ask before adding what was found."""
        found = self._discovery
        if user_input is None:
            self._set_confirm_only()
            return self.async_show_form(step_id="confirm", description_placeholders={"name": found.name})
        return self.async_create_entry(
            title=found.name, data={CONF_BASE_TOPIC: found.base_topic, CONF_BRIDGE: found.bridge}
        )

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """A person names the bridge."""
        errors: dict[str, str] = {}
        if user_input is not None:
            topics = _topics(user_input[CONF_BASE_TOPIC], user_input[CONF_BRIDGE])
            errors = _check(topics)
            if not errors:
                await self.async_set_unique_id(topics.bridge, raise_on_progress=False)
                self._abort_if_unique_id_configured()
                if not await mqtt.async_wait_for_mqtt_client(self.hass):
                    return self.async_abort(reason="mqtt_unavailable")
                try:
                    info = await self._async_probe(topics)
                except ProbeError as error:
                    errors = {"base": error.reason}
                else:
                    return self.async_create_entry(
                        title=info.name, data={CONF_BASE_TOPIC: topics.base, CONF_BRIDGE: topics.bridge}
                    )
        schema = probatio.Schema({probatio.Required(CONF_BASE_TOPIC): str, probatio.Required(CONF_BRIDGE): str})
        suggested = user_input or {CONF_BASE_TOPIC: DEFAULT_BASE_TOPIC, CONF_BRIDGE: Topics().bridge}
        return self.async_show_form(
            step_id="user", data_schema=self.add_suggested_values_to_schema(schema, suggested), errors=errors
        )

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """The bridge moved to another base topic."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            topics = _topics(user_input[CONF_BASE_TOPIC], entry.data[CONF_BRIDGE])
            errors = _check(topics)
            if not errors:
                if not await mqtt.async_wait_for_mqtt_client(self.hass):
                    return self.async_abort(reason="mqtt_unavailable")
                try:
                    await self._async_probe(topics)
                except ProbeError as error:
                    errors = {"base": error.reason}
                else:
                    return self.async_update_reload_and_abort(entry, data_updates={CONF_BASE_TOPIC: topics.base})
        return self.async_show_form(
            step_id="reconfigure",
            data_schema=self.add_suggested_values_to_schema(
                probatio.Schema({probatio.Required(CONF_BASE_TOPIC): str}), user_input or entry.data
            ),
            description_placeholders={"name": entry.title},
            errors=errors,
        )

    async def _async_probe(self, topics: Topics) -> BridgeInfo:
        """The bridge's retained description; raises `ProbeError`."""
        payload: asyncio.Future[bytes] = self.hass.loop.create_future()

        @callback
        def receive(message: mqtt.ReceiveMessage) -> None:
            if not payload.done():
                payload.set_result(bytes(message.payload))  # type: ignore[arg-type]  # encoding=None gives bytes

        unsubscribe = await mqtt.async_subscribe(self.hass, topics.of_bridge("info"), receive, 1, encoding=None)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                return decode(BridgeInfo, await payload)
        except TimeoutError as error:
            raise ProbeError("no_bridge") from error
        except ContractError as error:
            raise ProbeError("not_supported") from error
        finally:
            unsubscribe()


def _read_discovery(info: MqttServiceInfo) -> Discovery | None:
    """What a bridge announced of itself, or None when that can't be."""
    discovery = _read_announcement(info.payload if isinstance(info.payload, str) else bytes(info.payload))
    is_own_topic = discovery is not None and info.topic == Topics(bridge=discovery.bridge).discovery
    return discovery if is_own_topic else None


def _read_announcement(payload: str | bytes) -> Discovery | None:
    try:
        discovery = decode(Discovery, payload)
    except ContractError:
        return None
    return None if _check(Topics(base=discovery.base_topic, bridge=discovery.bridge)) else discovery


def _topics(base: str, bridge: str) -> Topics:
    return Topics(base=base.strip().strip("/"), bridge=bridge.strip())


def _check(topics: Topics) -> dict[str, str]:
    """Errors by field."""
    if not is_valid_id(topics.bridge):
        return {CONF_BRIDGE: "invalid_bridge"}
    try:
        mqtt.valid_publish_topic(topics.base)
    except probatio.Invalid:
        return {CONF_BASE_TOPIC: "invalid_base_topic"}
    return {}
