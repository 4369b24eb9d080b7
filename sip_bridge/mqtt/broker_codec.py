"""The bytes of MQTT 3.1.1 and MQTT 5, as an embedded broker reads and writes them.

Pure: bytes in, values out, and back. Whatever a client sent, decoding raises `PacketError` and nothing else.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.mqtt.broker_packets import (
    MQTT_3_1_1,
    MQTT_5,
    NEVER,
    Ack,
    Connect,
    Disconnect,
    Message,
    Packet,
    PacketError,
    PacketType,
    PingRequest,
    Properties,
    PropertyId,
    PropertyValue,
    Publish,
    Reason,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
)

_P = PropertyId
_UTF8: Final = frozenset(
    {
        _P.CONTENT_TYPE,
        _P.RESPONSE_TOPIC,
        _P.ASSIGNED_CLIENT_IDENTIFIER,
        _P.AUTHENTICATION_METHOD,
        _P.RESPONSE_INFORMATION,
        _P.SERVER_REFERENCE,
        _P.REASON_STRING,
    }
)
_BINARY: Final = frozenset({_P.CORRELATION_DATA, _P.AUTHENTICATION_DATA})
_FOUR_BYTES: Final = frozenset(
    {_P.MESSAGE_EXPIRY_INTERVAL, _P.SESSION_EXPIRY_INTERVAL, _P.WILL_DELAY_INTERVAL, _P.MAXIMUM_PACKET_SIZE}
)
_TWO_BYTES: Final = frozenset({_P.SERVER_KEEP_ALIVE, _P.RECEIVE_MAXIMUM, _P.TOPIC_ALIAS_MAXIMUM, _P.TOPIC_ALIAS})

_OF_MESSAGE: Final = frozenset(
    {
        _P.PAYLOAD_FORMAT_INDICATOR,
        _P.MESSAGE_EXPIRY_INTERVAL,
        _P.CONTENT_TYPE,
        _P.RESPONSE_TOPIC,
        _P.CORRELATION_DATA,
        _P.USER_PROPERTY,
    }
)
_OF_PUBLISH: Final = _OF_MESSAGE | {_P.TOPIC_ALIAS}
_OF_WILL: Final = _OF_MESSAGE | {_P.WILL_DELAY_INTERVAL}
_OF_CONNECT: Final = frozenset(
    {
        _P.SESSION_EXPIRY_INTERVAL,
        _P.RECEIVE_MAXIMUM,
        _P.MAXIMUM_PACKET_SIZE,
        _P.TOPIC_ALIAS_MAXIMUM,
        _P.REQUEST_RESPONSE_INFORMATION,
        _P.REQUEST_PROBLEM_INFORMATION,
        _P.USER_PROPERTY,
        _P.AUTHENTICATION_METHOD,
        _P.AUTHENTICATION_DATA,
    }
)
_OF_ACK: Final = frozenset({_P.REASON_STRING, _P.USER_PROPERTY})
_OF_SUBSCRIBE: Final = frozenset({_P.SUBSCRIPTION_IDENTIFIER, _P.USER_PROPERTY})
_OF_UNSUBSCRIBE: Final = frozenset({_P.USER_PROPERTY})
_OF_DISCONNECT: Final = frozenset({_P.SESSION_EXPIRY_INTERVAL, _P.REASON_STRING, _P.USER_PROPERTY})


# --- bytes ---------------------------------------------------------------------------------------------------------


class _Reader:
    """A cursor over one packet's bytes."""

    __slots__ = ("_data", "_offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def __bool__(self) -> bool:
        return self._offset < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._offset + count
        if end > len(self._data):
            raise PacketError("the packet ends early")
        taken = self._data[self._offset : end]
        self._offset = end
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._offset)

    def integer(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def variable(self) -> int:
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.integer(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise PacketError("a variable byte integer has more than 4 bytes")

    def binary(self) -> bytes:
        return self.take(self.integer(2))

    def text(self) -> str:
        try:
            text = self.binary().decode("utf-8")
        except UnicodeDecodeError:
            raise PacketError("a string is not UTF-8") from None
        if "\0" in text:
            raise PacketError("a string has U+0000")
        return text

    def packet_id(self) -> int:
        packet_id = self.integer(2)
        if packet_id == 0:
            raise PacketError("packet identifier 0", reason=Reason.PROTOCOL_ERROR)
        return packet_id

    def property_value(self, identifier: PropertyId) -> PropertyValue:
        if identifier == PropertyId.USER_PROPERTY:
            return self.text(), self.text()
        if identifier in _UTF8:
            return self.text()
        if identifier in _BINARY:
            return self.binary()
        if identifier == PropertyId.SUBSCRIPTION_IDENTIFIER:
            return self.variable()
        return self.integer(4 if identifier in _FOUR_BYTES else 2 if identifier in _TWO_BYTES else 1)


def _encode_variable(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _encode_binary(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _encode_property(identifier: int, value: PropertyValue) -> bytes:
    match value:
        case str():
            body = _encode_binary(value.encode())
        case bytes():
            body = _encode_binary(value)
        case (name, text):
            body = _encode_binary(name.encode()) + _encode_binary(text.encode())
        case int() if identifier == PropertyId.SUBSCRIPTION_IDENTIFIER:
            body = _encode_variable(value)
        case int():
            body = value.to_bytes(4 if identifier in _FOUR_BYTES else 2 if identifier in _TWO_BYTES else 1, "big")
    return bytes((identifier,)) + body


def encode_properties(properties: Iterable[tuple[int, PropertyValue]]) -> bytes:
    """The property length and the properties (MQTT 5 §2.2.2)."""
    body = b"".join(_encode_property(identifier, value) for identifier, value in properties)
    return _encode_variable(len(body)) + body


def decode_properties(data: bytes, allowed: frozenset[PropertyId]) -> Properties:
    """The inverse of `encode_properties`, of a packet that may have the ``allowed`` ones."""
    reader = _Reader(data)
    properties = _read_properties(reader, allowed)
    if reader:
        raise PacketError("bytes after the properties")
    return properties


def _read_properties(reader: _Reader, allowed: frozenset[PropertyId]) -> Properties:
    body = _Reader(reader.take(reader.variable()))
    properties: list[tuple[int, PropertyValue]] = []
    seen: set[int] = set()
    while body:
        number = body.variable()
        if number not in allowed:
            raise PacketError(f"property {number} does not belong in this packet")
        if number in seen and number != PropertyId.USER_PROPERTY:
            raise PacketError(f"property {number} twice", reason=Reason.PROTOCOL_ERROR)
        seen.add(number)
        properties.append((number, body.property_value(PropertyId(number))))
    return tuple(properties)


def _integer(properties: Properties, identifier: PropertyId) -> int | None:
    """The value of a property whose type is an integer."""
    return next((value for number, value in properties if number == identifier and isinstance(value, int)), None)


def _text(properties: Properties, identifier: PropertyId) -> str | None:
    return next((value for number, value in properties if number == identifier and isinstance(value, str)), None)


# --- from the client -----------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class PacketStream:
    """Cuts a TCP stream into packets; holds at most one packet of ``limit`` bytes, and what came with it."""

    limit: int
    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Each whole packet as its first byte and its body; raises `PacketError` on one that is too large."""
        self._buffer += data
        while (header := self._header()) is not None:
            start, length = header
            if start + length > self.limit:
                raise PacketError("the packet is too large", reason=Reason.PACKET_TOO_LARGE)
            if len(self._buffer) < start + length:
                return
            first, body = self._buffer[0], bytes(self._buffer[start : start + length])
            del self._buffer[: start + length]
            yield first, body

    def _header(self) -> tuple[int, int] | None:
        """Length of the fixed header and of the body, or None while the header is not complete."""
        length = 0
        for index, byte in enumerate(self._buffer[1:5]):
            length |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return index + 2, length
        if len(self._buffer) >= 5:
            raise PacketError("the remaining length has more than 4 bytes")
        return None


def decode(first: int, body: bytes, version: Version) -> Packet:
    """A packet from its first byte and its body; ``version`` is the connection's and no matter for CONNECT."""
    kind, flags = first >> 4, first & 0x0F
    reader = _Reader(body)
    if kind == PacketType.PUBLISH:
        return _decode_publish(flags, reader, version)
    expected = 0b0010 if kind in (PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE) else 0
    if flags != expected:
        raise PacketError(f"packet type {kind} with flags {flags}")
    packet: Packet
    match kind:
        case PacketType.CONNECT:
            packet = _decode_connect(reader)
        case PacketType.PUBACK | PacketType.PUBREC | PacketType.PUBREL | PacketType.PUBCOMP:
            packet = _decode_ack(PacketType(kind), reader, version)
        case PacketType.SUBSCRIBE:
            packet = _decode_subscribe(reader, version)
        case PacketType.UNSUBSCRIBE:
            packet = _decode_unsubscribe(reader, version)
        case PacketType.PINGREQ:
            packet = PingRequest()
        case PacketType.DISCONNECT:
            packet = _decode_disconnect(reader, version)
        case _:
            raise PacketError(f"packet type {kind} from a client", reason=Reason.PROTOCOL_ERROR)
    if reader:
        raise PacketError("bytes after the packet's end")
    return packet


def _decode_connect(reader: _Reader) -> Connect:
    name, level = reader.binary(), reader.integer(1)
    if name != b"MQTT" or level not in (MQTT_3_1_1, MQTT_5):
        raise PacketError(f"protocol {name!r} level {level}", reason=Reason.UNSUPPORTED_PROTOCOL_VERSION)
    version: Version = 5 if level == MQTT_5 else 4
    flags, keep_alive = reader.integer(1), reader.integer(2)
    if flags & 0x01 or (not flags & 0x04 and flags & 0x38) or (flags & 0xC0 == 0x40 and version == MQTT_3_1_1):
        raise PacketError("impossible CONNECT flags")
    properties = _read_properties(reader, _OF_CONNECT) if version == MQTT_5 else ()
    clean = bool(flags & 0x02)
    # MQTT 3.1.1's clean_session=0 is MQTT 5's clean_start=0 and a session that does not expire.
    expiry = (_integer(properties, _P.SESSION_EXPIRY_INTERVAL) or 0) if version == MQTT_5 else 0 if clean else NEVER
    receive_maximum = _integer(properties, _P.RECEIVE_MAXIMUM)
    maximum_packet_size = _integer(properties, _P.MAXIMUM_PACKET_SIZE)
    if receive_maximum == 0 or maximum_packet_size == 0:
        raise PacketError("a maximum of 0", reason=Reason.PROTOCOL_ERROR)
    client_id = reader.text()
    will, will_delay = _decode_will(flags, reader, version) if flags & 0x04 else (None, 0)
    return Connect(
        version=version,
        client_id=client_id,
        clean_start=clean,
        keep_alive=keep_alive,
        session_expiry=expiry,
        will=will,
        will_delay=will_delay,
        username=reader.text() if flags & 0x80 else None,
        password=reader.binary() if flags & 0x40 else None,
        receive_maximum=65535 if receive_maximum is None else receive_maximum,
        maximum_packet_size=maximum_packet_size,
        authentication_method=_text(properties, _P.AUTHENTICATION_METHOD),
    )


def _decode_will(flags: int, reader: _Reader, version: Version) -> tuple[Message, int]:
    """The will and its delay in seconds."""
    properties = _read_properties(reader, _OF_WILL) if version == MQTT_5 else ()
    will = _message(reader.text(), reader.binary(), flags >> 3 & 0x03, bool(flags & 0x20), properties)
    return will, _integer(properties, _P.WILL_DELAY_INTERVAL) or 0


def _decode_publish(flags: int, reader: _Reader, version: Version) -> Publish:
    qos = flags >> 1 & 0x03
    topic = reader.text()
    packet_id = reader.packet_id() if qos else None
    properties = _read_properties(reader, _OF_PUBLISH) if version == MQTT_5 else ()
    if _integer(properties, _P.TOPIC_ALIAS) is not None:
        raise PacketError("a topic alias, but none is allowed here", reason=Reason.TOPIC_ALIAS_INVALID)
    return Publish(message=_message(topic, reader.rest(), qos, bool(flags & 1), properties), packet_id=packet_id)


def _message(topic: str, payload: bytes, qos: int, retain: bool, properties: Properties) -> Message:
    if qos > 2:
        raise PacketError("QoS 3")
    travelling = _OF_MESSAGE - {_P.MESSAGE_EXPIRY_INTERVAL}
    return Message(
        topic=topic,
        payload=payload,
        qos=qos,
        retain=retain,
        expiry=_integer(properties, _P.MESSAGE_EXPIRY_INTERVAL),
        properties=tuple(item for item in properties if item[0] in travelling),
    )


def _decode_ack(kind: PacketType, reader: _Reader, version: Version) -> Ack:
    packet_id, reason = reader.packet_id(), 0
    if version == MQTT_5 and reader:
        reason = reader.integer(1)
        if reader:
            _read_properties(reader, _OF_ACK)
    return Ack(kind=kind, packet_id=packet_id, reason=reason)


def _decode_subscribe(reader: _Reader, version: Version) -> Subscribe:
    packet_id = reader.packet_id()
    properties = _read_properties(reader, _OF_SUBSCRIBE) if version == MQTT_5 else ()
    identifier = _integer(properties, _P.SUBSCRIPTION_IDENTIFIER)
    if identifier == 0:
        raise PacketError("subscription identifier 0", reason=Reason.PROTOCOL_ERROR)
    subscriptions = []
    while reader:
        topic_filter, options = reader.text(), reader.integer(1)
        qos, retain_handling = options & 0x03, options >> 4 & 0x03
        if qos > 2 or retain_handling > 2 or options & (0xC0 if version == MQTT_5 else 0xFC):
            raise PacketError("impossible subscription options")
        subscriptions.append(
            Subscription(
                topic_filter=topic_filter,
                qos=qos,
                no_local=bool(options & 0x04),
                retain_as_published=bool(options & 0x08),
                retain_handling=retain_handling,
                identifier=identifier,
            )
        )
    if not subscriptions:
        raise PacketError("a SUBSCRIBE without a topic filter", reason=Reason.PROTOCOL_ERROR)
    return Subscribe(packet_id=packet_id, subscriptions=tuple(subscriptions))


def _decode_unsubscribe(reader: _Reader, version: Version) -> Unsubscribe:
    packet_id = reader.packet_id()
    if version == MQTT_5:
        _read_properties(reader, _OF_UNSUBSCRIBE)
    topic_filters = []
    while reader:
        topic_filters.append(reader.text())
    if not topic_filters:
        raise PacketError("an UNSUBSCRIBE without a topic filter", reason=Reason.PROTOCOL_ERROR)
    return Unsubscribe(packet_id=packet_id, topic_filters=tuple(topic_filters))


def _decode_disconnect(reader: _Reader, version: Version) -> Disconnect:
    if version == MQTT_3_1_1 or not reader:
        return Disconnect()
    reason = reader.integer(1)
    properties = _read_properties(reader, _OF_DISCONNECT) if reader else ()
    return Disconnect(reason=reason, session_expiry=_integer(properties, _P.SESSION_EXPIRY_INTERVAL))


# --- to the client -------------------------------------------------------------------------------------------------


def _frame(first: int, body: bytes) -> bytes:
    return bytes((first,)) + _encode_variable(len(body)) + body


# CONNACK return codes of MQTT 3.1.1 §3.2.2.3, by the reason code of MQTT 5
_RETURN_CODES: Final = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
}


def encode_connack(
    version: Version, reason: Reason, *, session_present: bool = False, properties: Properties = ()
) -> bytes:
    """CONNACK (MQTT 5 §3.2); for MQTT 3.1.1 the reason as one of its return codes, without properties."""
    flags = int(session_present)
    if version == MQTT_3_1_1:
        return _frame(PacketType.CONNACK << 4, bytes((flags, _RETURN_CODES.get(reason, 5))))
    return _frame(PacketType.CONNACK << 4, bytes((flags, reason)) + encode_properties(properties))


def encode_publish(
    version: Version, message: Message, *, packet_id: int | None, dup: bool = False, identifiers: Iterable[int] = ()
) -> bytes:
    """PUBLISH (MQTT 5 §3.3); ``identifiers`` are those of the subscriptions that matched."""
    first = PacketType.PUBLISH << 4 | dup << 3 | message.qos << 1 | message.retain
    body = [_encode_binary(message.topic.encode())]
    if packet_id is not None:
        body.append(struct.pack(">H", packet_id))
    if version == MQTT_5:
        expiry = () if message.expiry is None else ((int(_P.MESSAGE_EXPIRY_INTERVAL), message.expiry),)
        matched = tuple((int(_P.SUBSCRIPTION_IDENTIFIER), identifier) for identifier in identifiers)
        body.append(encode_properties((*expiry, *message.properties, *matched)))
    body.append(message.payload)
    return _frame(first, b"".join(body))


def encode_ack(version: Version, kind: PacketType, packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP (MQTT 5 §3.4 to §3.7)."""
    flags = 0b0010 if kind == PacketType.PUBREL else 0
    tail = bytes((reason,)) if version == MQTT_5 and reason else b""
    return _frame(kind << 4 | flags, struct.pack(">H", packet_id) + tail)


def encode_suback(version: Version, packet_id: int, reasons: Iterable[int]) -> bytes:
    """SUBACK (MQTT 5 §3.9); MQTT 3.1.1 knows one failure only."""
    codes = bytes(reason if version == MQTT_5 else min(reason, Reason.UNSPECIFIED_ERROR) for reason in reasons)
    properties = b"\0" if version == MQTT_5 else b""
    return _frame(PacketType.SUBACK << 4, struct.pack(">H", packet_id) + properties + codes)


def encode_unsuback(version: Version, packet_id: int, reasons: Iterable[int]) -> bytes:
    """UNSUBACK (MQTT 5 §3.11)."""
    tail = b"\0" + bytes(reasons) if version == MQTT_5 else b""
    return _frame(PacketType.UNSUBACK << 4, struct.pack(">H", packet_id) + tail)


def encode_pingresp() -> bytes:
    """PINGRESP (MQTT 5 §3.13)."""
    return _frame(PacketType.PINGRESP << 4, b"")


def encode_disconnect(reason: Reason) -> bytes:
    """DISCONNECT from the server, which MQTT 5 alone has (§3.14)."""
    return _frame(PacketType.DISCONNECT << 4, bytes((reason, 0)))
