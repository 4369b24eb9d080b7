"""What an MQTT 3.1.1 or MQTT 5 client may send to the embedded broker: packets as frozen values.

MQTT 3.1.1 is MQTT 5 without properties and reason codes, so one set of packets serves both.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

from sip_bridge.errors import ProtocolError

MQTT_3_1_1: Final = 4
MQTT_5: Final = 5
NEVER: Final = 0xFFFFFFFF  # a Session Expiry Interval that does not expire (MQTT 5 §3.1.2.11.2)

Version = Literal[4, 5]
PropertyValue = int | str | bytes | tuple[str, str]
Properties = tuple[tuple[int, PropertyValue], ...]


class PacketType(IntEnum):
    """MQTT 5 §2.1.2."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Reason(IntEnum):
    """The reason codes that this broker sends or acts on (MQTT 5 §2.4)."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    SERVER_UNAVAILABLE = 0x88
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E


class PropertyId(IntEnum):
    """MQTT 5 §2.2.2.2."""

    PAYLOAD_FORMAT_INDICATOR = 1
    MESSAGE_EXPIRY_INTERVAL = 2
    CONTENT_TYPE = 3
    RESPONSE_TOPIC = 8
    CORRELATION_DATA = 9
    SUBSCRIPTION_IDENTIFIER = 11
    SESSION_EXPIRY_INTERVAL = 17
    ASSIGNED_CLIENT_IDENTIFIER = 18
    SERVER_KEEP_ALIVE = 19
    AUTHENTICATION_METHOD = 21
    AUTHENTICATION_DATA = 22
    REQUEST_PROBLEM_INFORMATION = 23
    WILL_DELAY_INTERVAL = 24
    REQUEST_RESPONSE_INFORMATION = 25
    RESPONSE_INFORMATION = 26
    SERVER_REFERENCE = 28
    REASON_STRING = 31
    RECEIVE_MAXIMUM = 33
    TOPIC_ALIAS_MAXIMUM = 34
    TOPIC_ALIAS = 35
    MAXIMUM_QOS = 36
    RETAIN_AVAILABLE = 37
    USER_PROPERTY = 38
    MAXIMUM_PACKET_SIZE = 39
    WILDCARD_SUBSCRIPTION_AVAILABLE = 40
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 41
    SHARED_SUBSCRIPTION_AVAILABLE = 42


class PacketError(ProtocolError):
    """A client broke MQTT; ``reason`` is what a DISCONNECT or CONNACK tells it."""

    def __init__(self, message: str, *, reason: Reason = Reason.MALFORMED_PACKET) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An application message; ``properties`` are those that travel with it, ``expiry`` is in seconds."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    expiry: int | None = None
    properties: Properties = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """CONNECT (MQTT 5 §3.1); ``keep_alive`` and ``session_expiry`` in seconds."""

    version: Version
    client_id: str
    clean_start: bool
    keep_alive: int
    session_expiry: int
    will: Message | None = None
    will_delay: int = 0
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    receive_maximum: int = 65535
    maximum_packet_size: int | None = None
    authentication_method: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """PUBLISH (MQTT 5 §3.3); ``packet_id`` is None at QoS 0."""

    message: Message
    packet_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """PUBACK, PUBREC, PUBREL or PUBCOMP (MQTT 5 §3.4 to §3.7)."""

    kind: PacketType
    packet_id: int
    reason: int = Reason.SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One topic filter of a SUBSCRIBE with its options (MQTT 5 §3.8.3.1)."""

    topic_filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    identifier: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """SUBSCRIBE (MQTT 5 §3.8)."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """UNSUBSCRIBE (MQTT 5 §3.10)."""

    packet_id: int
    topic_filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRequest:
    """PINGREQ (MQTT 5 §3.12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """DISCONNECT (MQTT 5 §3.14); ``session_expiry`` replaces the one of the CONNECT."""

    reason: int = Reason.SUCCESS
    session_expiry: int | None = None


Packet = Connect | Publish | Ack | Subscribe | Unsubscribe | PingRequest | Disconnect
