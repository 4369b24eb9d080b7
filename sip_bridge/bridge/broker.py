"""How the embedded broker is to listen, and how the bridge reaches whichever it is."""

import logging
import ssl
from collections.abc import Callable

from sip_bridge.config import Config, EmbeddedMQTT, ExternalMQTT
from sip_bridge.mqtt.broker import BrokerSettings
from sip_bridge.mqtt.session import MQTTSettings
from sip_bridge.phone.transport.tls import TLSContexts

_LOG = logging.getLogger(__name__)


def broker_settings(mqtt: EmbeddedMQTT) -> BrokerSettings:
    """How the embedded broker is to listen."""
    password = str(mqtt.password) if mqtt.password is not None else None
    return BrokerSettings(host=mqtt.host, port=mqtt.port, username=mqtt.username, password=password)


def mqtt_settings(config: Config, *, port: int, client_id: str | None = None) -> MQTTSettings:
    """How the bridge reaches its broker, the embedded one on loopback; anybody else with a ``client_id`` of its own."""
    mqtt = config.mqtt
    password = str(mqtt.password) if mqtt.password is not None else None
    bridge_id = f"sip_bridge_{config.bridge.id}"
    if isinstance(mqtt, EmbeddedMQTT):
        host = "127.0.0.1" if mqtt.host == "0.0.0.0" else mqtt.host  # noqa: S104  # compared, not bound
        return MQTTSettings(
            host=host, port=port, username=mqtt.username, password=password, client_id=client_id or bridge_id
        )
    return MQTTSettings(
        host=mqtt.host,
        port=port,
        username=mqtt.username,
        password=password,
        client_id=client_id or mqtt.client_id or bridge_id,
        keepalive=mqtt.keepalive,
        protocol=mqtt.protocol,
        transport=mqtt.transport,
        path=mqtt.path,
        tls=_broker_tls(mqtt),
    )


def _broker_tls(mqtt: ExternalMQTT) -> Callable[[], ssl.SSLContext] | None:
    if mqtt.tls is None:
        return None
    contexts = TLSContexts(mqtt.tls)
    if not contexts.verifies:
        _LOG.warning("mqtt.tls.verify is false: whoever is on the way can pose as the broker")
    return contexts.client
