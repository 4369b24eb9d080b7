"""`mqtt:`: the broker, embedded or somebody else's."""

import ipaddress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.tls import broker_tls
from sip_bridge.config.yaml_file import Value
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.session import ProtocolVersion, Transport
from sip_bridge.phone.settings import Secret, TLSSettings

DEFAULT_DISCOVERY_PREFIX: Final = "homeassistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnyMQTT:
    """What both kinds of broker have; ``discovery`` is Home Assistant's."""

    port: int = 1883
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    base_topic: str = contract.DEFAULT_BASE_TOPIC
    discovery: bool = False
    discovery_prefix: str = DEFAULT_DISCOVERY_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedMQTT(_AnyMQTT):
    """The broker that runs inside the bridge, and where it listens."""

    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalMQTT(_AnyMQTT):
    """A broker that runs elsewhere; ``keepalive`` in seconds, ``path`` of a WebSocket."""

    host: str
    client_id: str | None = None
    keepalive: int = 30
    protocol: ProtocolVersion = "auto"
    transport: Transport = "tcp"
    path: str = "/mqtt"
    tls: TLSSettings | None = None


_ANY_KEYS: Final[valid.Keys] = {
    vol.Optional("port"): valid.port,
    vol.Optional("username"): valid.text,
    vol.Optional("password"): valid.secret,
    vol.Optional("base_topic"): valid.matching(valid.is_base_topic, "a topic without + and #, like sip_bridge"),
    vol.Optional("discovery"): valid.boolean,
    vol.Optional("discovery_prefix"): valid.matching(
        valid.is_base_topic, "a topic without + and #, like homeassistant"
    ),
}


def _embedded(**values: Any) -> EmbeddedMQTT:
    mqtt = EmbeddedMQTT(**{key: value for key, value in values.items() if key != "broker"})
    is_private = mqtt.host == "localhost" or (valid.is_ip(mqtt.host) and ipaddress.ip_address(mqtt.host).is_loopback)
    if mqtt.password is None and not is_private:  # who may publish may place calls
        raise vol.Invalid("missing: a broker that other machines reach needs username and password", path=["password"])
    return _with_username(mqtt)


def _external(**values: Any) -> ExternalMQTT:
    is_websocket = values.get("transport") == "websockets"
    if "path" in values and not is_websocket:
        raise vol.Invalid("missing: websockets; only there a path is asked for", path=["transport"])
    has_tls = values.get("tls") is not None
    usual = {(False, False): 1883, (False, True): 8883, (True, False): 80, (True, True): 443}
    return _with_username(ExternalMQTT(**{"port": usual[is_websocket, has_tls], **values}))


M = TypeVar("M", EmbeddedMQTT, ExternalMQTT)


def _with_username(mqtt: M) -> M:
    if mqtt.password is not None and mqtt.username is None:  # MQTT 3.1.1 §3.1.2.9
        raise vol.Invalid("missing: a password needs it", path=["username"])
    return mqtt


_EMBEDDED: Final = valid.section(
    _embedded,
    {
        valid.required("broker", "embedded"): valid.one_of("embedded"),
        vol.Optional("host"): valid.host_name,
        **_ANY_KEYS,
    },
)
_EXTERNAL: Final = valid.section(
    _external,
    {
        valid.required("host", "the host of your broker, or broker: embedded"): valid.host_name,
        vol.Optional("client_id"): valid.text,
        vol.Optional("keepalive"): valid.integer(5, 3600),
        vol.Optional("protocol"): valid.one_of("auto", "5", "3.1.1"),
        vol.Optional("transport"): valid.one_of("tcp", "websockets"),
        vol.Optional("path"): valid.matching(valid.is_path, "a path like /mqtt"),
        vol.Optional("tls"): broker_tls,
        **_ANY_KEYS,
    },
)


def any_broker(value: Value) -> EmbeddedMQTT | ExternalMQTT:
    """The embedded broker if ``broker:`` is there."""
    is_embedded = isinstance(value, dict) and value.get("broker") is not None
    mqtt: EmbeddedMQTT | ExternalMQTT = (_EMBEDDED if is_embedded else _EXTERNAL)(value)
    return mqtt
