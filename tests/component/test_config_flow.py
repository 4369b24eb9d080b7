"""Set-up of a bridge: discovered, named by hand, moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from homeassistant.config_entries import SOURCE_HASSIO, SOURCE_MQTT, SOURCE_USER, ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
from homeassistant.helpers.service_info.mqtt import MqttServiceInfo
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_mqtt_message

from custom_components.sip_phone import config_flow
from custom_components.sip_phone.const import DOMAIN
from custom_components.sip_phone.contract import Discovery, Topics, encode
from tests.component.bridge import INFO, TS, FakeBridge

HOME = {"base_topic": "sip_bridge", "bridge": "home"}
FOUND: dict[str, Any] = {"schema": 1, "bridge": "home", "name": "Home", "base_topic": "sip_bridge"}


@contextmanager
def impatient() -> Iterator[None]:
    """Nobody will answer: don't wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_flow, "PROBE_TIMEOUT", 0.2)
        yield


def found(payload: str | bytes, topic: str = "sip_bridge/discovery/home") -> MqttServiceInfo:
    return MqttServiceInfo(
        topic=topic, payload=payload, qos=1, retain=True, subscribed_topic="sip_bridge/discovery/+", timestamp=0
    )


async def discover(hass: HomeAssistant, info: MqttServiceInfo) -> ConfigFlowResult:
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_MQTT}, data=info)


async def by_hand(hass: HomeAssistant, values: dict[str, str] | None = None) -> ConfigFlowResult:
    form = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    return form if values is None else await hass.config_entries.flow.async_configure(form["flow_id"], values)


async def test_a_bridge_is_found_and_added_after_a_confirmation(hass: HomeAssistant, bridge: FakeBridge) -> None:
    form = await discover(hass, found(json.dumps(FOUND)))
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "confirm")
    assert form["description_placeholders"] == {"name": "Home"}
    added = await hass.config_entries.flow.async_configure(form["flow_id"], {})
    assert (added["type"], added["title"], added["data"]) == (FlowResultType.CREATE_ENTRY, "Home", HOME)
    assert added["result"].unique_id == "home"
    await hass.async_block_till_done()
    assert added["result"].state is ConfigEntryState.LOADED


async def test_what_the_bridge_announces_over_mqtt_starts_the_flow(hass: HomeAssistant, bridge: FakeBridge) -> None:
    announcement = encode(Discovery(bridge="home", name="Home", base_topic="sip_bridge"), TS)
    async_fire_mqtt_message(hass, Topics().discovery, announcement, retain=True)
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert (flow["step_id"], flow["context"]["unique_id"]) == ("confirm", "home")
    assert flow["context"]["title_placeholders"] == {"name": "Home"}


@pytest.mark.parametrize(
    "info",
    [
        found("rubbish"),
        found(b"\xff\xfe"),
        found("[]"),
        found(json.dumps(FOUND | {"schema": 2})),
        found(json.dumps(FOUND | {"bridge": "No Id"}), "sip_bridge/discovery/No Id"),
        found(json.dumps(FOUND | {"base_topic": "sip/#"})),
        found(json.dumps(FOUND | {"base_topic": ""})),
        found(json.dumps(FOUND), "sip_bridge/discovery/other"),
    ],
)
async def test_an_announcement_that_cannot_be_right_is_dropped(
    hass: HomeAssistant, bridge: FakeBridge, info: MqttServiceInfo
) -> None:
    result = await discover(hass, info)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "invalid_discovery_info")


async def test_a_bridge_that_is_set_up_is_not_offered_again(hass: HomeAssistant, phone: FakeBridge) -> None:
    result = await discover(hass, found(json.dumps(FOUND)))
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")


async def test_a_bridge_is_offered_once_at_a_time(hass: HomeAssistant, bridge: FakeBridge) -> None:
    await discover(hass, found(json.dumps(FOUND)))
    result = await discover(hass, found(json.dumps(FOUND | {"name": "House"})))
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_in_progress")


async def test_a_bridge_that_moved_is_followed(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    phone.topics = Topics(base="phones/sip")
    phone.start()
    result = await discover(hass, found(json.dumps(FOUND | {"base_topic": "phones/sip"})))
    await hass.async_block_till_done()
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert entry.data == {"base_topic": "phones/sip", "bridge": "home"}
    assert entry.state is ConfigEntryState.LOADED


async def test_a_bridge_is_added_by_hand(hass: HomeAssistant, bridge: FakeBridge) -> None:
    added = await by_hand(hass, {"base_topic": " sip_bridge/ ", "bridge": "home"})
    assert (added["type"], added["title"], added["data"]) == (FlowResultType.CREATE_ENTRY, "Home", HOME)
    assert added["result"].unique_id == "home"


async def test_a_bridge_that_introduces_itself_twice_is_added_once(
    hass: HomeAssistant, silent_bridge: FakeBridge
) -> None:
    silent_bridge.has_subscriber.clear()
    adding = hass.async_create_task(by_hand(hass, HOME))
    await silent_bridge.has_subscriber.wait()
    silent_bridge.tell("info", INFO)
    silent_bridge.tell("info", INFO)
    assert (await adding)["type"] is FlowResultType.CREATE_ENTRY


async def test_the_form_suggests_the_defaults(hass: HomeAssistant, bridge: FakeBridge) -> None:
    form = await by_hand(hass)
    assert form["data_schema"] is not None
    suggested = {str(key): key.description["suggested_value"] for key in form["data_schema"].schema}
    assert (form["step_id"], suggested) == ("user", HOME)


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        (HOME | {"bridge": "No Id"}, {"bridge": "invalid_bridge"}),
        (HOME | {"bridge": "discovery"}, {"bridge": "invalid_bridge"}),
        (HOME | {"base_topic": "sip/#"}, {"base_topic": "invalid_base_topic"}),
        (HOME | {"base_topic": "/"}, {"base_topic": "invalid_base_topic"}),
        (HOME | {"bridge": "office"}, {"base": "no_bridge"}),
    ],
)
async def test_a_mistake_is_named_and_can_be_put_right(
    hass: HomeAssistant, bridge: FakeBridge, values: dict[str, str], errors: dict[str, str]
) -> None:
    with impatient():
        form = await by_hand(hass, values)
    assert (form["type"], form["step_id"], form["errors"]) == (FlowResultType.FORM, "user", errors)
    added = await hass.config_entries.flow.async_configure(form["flow_id"], HOME)
    assert added["type"] is FlowResultType.CREATE_ENTRY


async def test_a_bridge_of_another_schema_is_not_added(hass: HomeAssistant, bridge: FakeBridge) -> None:
    bridge.retain(bridge.topics.of_bridge("info"), json.dumps({"schema": 2}))
    form = await by_hand(hass, HOME)
    assert (form["type"], form["errors"]) == (FlowResultType.FORM, {"base": "not_supported"})
    bridge.tell("info", INFO)
    added = await hass.config_entries.flow.async_configure(form["flow_id"], HOME)
    assert added["type"] is FlowResultType.CREATE_ENTRY


async def test_a_bridge_that_is_set_up_is_not_added_twice(hass: HomeAssistant, phone: FakeBridge) -> None:
    result = await by_hand(hass, HOME)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")


async def test_without_mqtt_nothing_can_be_added(hass: HomeAssistant) -> None:
    result = await by_hand(hass, HOME)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "mqtt_unavailable")


async def test_the_base_topic_can_be_changed(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    phone.topics = Topics(base="phones/sip")
    phone.start()
    form = await entry.start_reconfigure_flow(hass)
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "reconfigure")
    result = await hass.config_entries.flow.async_configure(form["flow_id"], {"base_topic": "phones/sip"})
    await hass.async_block_till_done()
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert entry.data == {"base_topic": "phones/sip", "bridge": "home"}
    assert entry.state is ConfigEntryState.LOADED


@pytest.mark.parametrize(
    ("base_topic", "errors"),
    [("sip/+", {"base_topic": "invalid_base_topic"}), ("elsewhere", {"base": "no_bridge"})],
)
async def test_a_wrong_new_base_topic_changes_nothing_and_can_be_put_right(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry, base_topic: str, errors: dict[str, str]
) -> None:
    form = await entry.start_reconfigure_flow(hass)
    with impatient():
        again = await hass.config_entries.flow.async_configure(form["flow_id"], {"base_topic": base_topic})
    assert (again["type"], again["errors"]) == (FlowResultType.FORM, errors)
    assert entry.data == HOME
    result = await hass.config_entries.flow.async_configure(form["flow_id"], {"base_topic": "sip_bridge"})
    await hass.async_block_till_done()
    assert result["reason"] == "reconfigure_successful"


async def test_without_mqtt_nothing_can_be_moved(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    form = await entry.start_reconfigure_flow(hass)
    result = await hass.config_entries.flow.async_configure(form["flow_id"], {"base_topic": "phones/sip"})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "mqtt_unavailable")


async def test_a_bridge_that_runs_as_an_app_is_found_through_the_supervisor(
    hass: HomeAssistant, bridge: FakeBridge
) -> None:
    info = HassioServiceInfo(config=FOUND, name="SIP Bridge", slug="local_sip_bridge", uuid="1234")
    form = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_HASSIO}, data=info)
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "confirm")
    added = await hass.config_entries.flow.async_configure(form["flow_id"], {})
    assert (added["type"], added["data"]) == (FlowResultType.CREATE_ENTRY, HOME)


async def test_an_app_that_tells_the_supervisor_nothing_useful_is_dropped(hass: HomeAssistant) -> None:
    info = HassioServiceInfo(config={"host": "core-mosquitto"}, name="SIP Bridge", slug="x", uuid="1234")
    result = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_HASSIO}, data=info)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "invalid_discovery_info")


async def test_several_bridges_stand_side_by_side(hass: HomeAssistant, phone: FakeBridge) -> None:
    office = Topics(bridge="office")
    for topic, payload in tuple(phone.retained.items()):
        phone.retain(topic.replace(Topics().prefix, office.prefix), payload)
    added = await by_hand(hass, {"base_topic": "sip_bridge", "bridge": "office"})
    await hass.async_block_till_done()
    assert (added["type"], added["result"].unique_id) == (FlowResultType.CREATE_ENTRY, "office")
    assert added["result"].state is ConfigEntryState.LOADED
    assert len(hass.config_entries.async_loaded_entries(DOMAIN)) == 2


async def test_a_change_of_the_options_reloads_the_bridge(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    before = entry.runtime_data
    form = await hass.config_entries.options.async_init(entry.entry_id)
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "init")
    options = {"offline_minutes": 30, "llm_calls": False, "llm_doors": True}
    result = await hass.config_entries.options.async_configure(form["flow_id"], options)
    await hass.async_block_till_done()
    assert (result["type"], entry.options) == (FlowResultType.CREATE_ENTRY, options)
    assert entry.runtime_data is not before


async def test_the_options_suggest_what_is_set(hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry) -> None:
    hass.config_entries.async_update_entry(entry, options={"offline_minutes": 30})
    form = await hass.config_entries.options.async_init(entry.entry_id)
    assert form["data_schema"] is not None
    suggested = {str(key): (key.description or {}).get("suggested_value") for key in form["data_schema"].schema}
    assert suggested == {"offline_minutes": 30, "llm_calls": None, "llm_doors": None}
