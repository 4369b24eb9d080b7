"""Home Assistant with MQTT and a bridge; run with `pytest -c tests/component/component.ini tests/component`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest

collect_ignore_glob: list[str] = []
if importlib.util.find_spec("pytest_homeassistant_custom_component") is None:
    collect_ignore_glob = ["*.py"]  # another Python runs these, with Home Assistant in it
else:
    from homeassistant.components.mqtt import client
    from homeassistant.core import HomeAssistant
    from homeassistant.helpers.entity import Entity
    from pytest_homeassistant_custom_component.common import MockConfigEntry

    from custom_components.sip_phone.const import CONF_BASE_TOPIC, CONF_BRIDGE, DOMAIN
    from tests.component.bridge import DOOR, PBX, FakeBridge

    @pytest.fixture(autouse=True)
    def custom_integrations(enable_custom_integrations: None) -> None:
        """Home Assistant may load the component."""

    @pytest.fixture
    def eager_mqtt(monkeypatch: pytest.MonkeyPatch) -> None:
        """MQTT subscribes at once; else it gathers subscriptions for half a second."""
        monkeypatch.setattr(client, "INITIAL_SUBSCRIBE_COOLDOWN", 0.0)
        monkeypatch.setattr(client, "SUBSCRIBE_COOLDOWN", 0.0)

    @pytest.fixture
    def silent_bridge(
        hass: HomeAssistant, eager_mqtt: None, mqtt_client_mock: Any, mqtt_mock: Any
    ) -> Iterator[FakeBridge]:
        """A bridge that has said nothing yet, behind a broker that retains."""
        bridge = FakeBridge(hass)
        subscribe = mqtt_client_mock.subscribe.side_effect
        publish = mqtt_client_mock.publish.side_effect

        def on_subscribe(filters: list[tuple[str, Any]] | str, *args: Any, **kwargs: Any) -> Any:
            topics = [filters] if isinstance(filters, str) else [topic for topic, _ in filters]
            hass.loop.call_soon(bridge.subscribed, topics)
            return subscribe(filters, *args, **kwargs)

        def on_publish(topic: str, payload: str, qos: int, retain: bool, properties: Any = None) -> Any:
            hass.loop.call_soon(bridge.published, topic, payload, qos, retain)
            return publish(topic, payload, qos, retain, properties)

        mqtt_client_mock.subscribe.side_effect = on_subscribe
        mqtt_client_mock.publish.side_effect = on_publish
        yield bridge
        mqtt_client_mock.on_socket_close(mqtt_client_mock, None, Mock(fileno=lambda: -1))  # ends the client's timer

    @pytest.fixture
    def bridge(silent_bridge: FakeBridge) -> FakeBridge:
        """A bridge with the lines Door and PBX."""
        silent_bridge.start(DOOR, PBX)
        return silent_bridge

    @pytest.fixture
    def entry(hass: HomeAssistant) -> MockConfigEntry:
        """The bridge's entry, not set up."""
        entry = MockConfigEntry(
            domain=DOMAIN,
            title="Home",
            unique_id="home",
            data={CONF_BASE_TOPIC: "sip_bridge", CONF_BRIDGE: "home"},
        )
        entry.add_to_hass(hass)
        return entry

    @pytest.fixture
    def entity_registry_enabled_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
        """Entities that are disabled at first are not."""
        monkeypatch.setattr(Entity, "entity_registry_enabled_default", True)

    @pytest.fixture
    async def phone(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> FakeBridge:
        """The bridge, set up in Home Assistant."""
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
        return bridge
