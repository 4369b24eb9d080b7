"""The packets of the embedded broker, byte by byte."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_bridge.mqtt import broker_codec as codec
from sip_bridge.mqtt.broker_packets import (
    NEVER,
    Ack,
    Connect,
    Disconnect,
    Message,
    Packet,
    PacketError,
    PacketType,
    PingRequest,
    PropertyId,
    Publish,
    Reason,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
)

# What is on the wire, and what it says.
PACKETS: dict[str, tuple[Version, bytes, Packet]] = {
    "the smallest CONNECT of MQTT 3.1.1": (
        4,
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
        Connect(version=4, client_id="", clean_start=True, keep_alive=60, session_expiry=0),
    ),
    "a CONNECT of MQTT 3.1.1 that keeps its session": (
        4,
        b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01a",
        Connect(version=4, client_id="a", clean_start=False, keep_alive=0, session_expiry=NEVER),
    ),
    "a CONNECT of MQTT 5 with a will and a login": (
        5,
        bytes.fromhex(
            "1032 00044d515454 05 ee 000a 0d 1100000005 210002 2700001000"
            "000161 07 1800000009 0101 000177 00036f6666 000175 00027077"
        ),
        Connect(
            version=5,
            client_id="a",
            clean_start=True,
            keep_alive=10,
            session_expiry=5,
            will=Message(
                topic="w", payload=b"off", qos=1, retain=True, properties=((PropertyId.PAYLOAD_FORMAT_INDICATOR, 1),)
            ),
            will_delay=9,
            username="u",
            password=b"pw",
            receive_maximum=2,
            maximum_packet_size=4096,
        ),
    ),
    "a PUBLISH at QoS 0": (
        4,
        b"\x30\x06\x00\x01ahey",
        Publish(message=Message(topic="a", payload=b"hey"), packet_id=None),
    ),
    "a retained PUBLISH at QoS 2 with properties": (
        5,
        b"\x35\x12\x00\x01a\x00\x07\x0a\x02\x00\x00\x00\x3c\x08\x00\x02re!!",
        Publish(
            message=Message(
                topic="a",
                payload=b"!!",
                qos=2,
                retain=True,
                expiry=60,
                properties=((PropertyId.RESPONSE_TOPIC, "re"),),
            ),
            packet_id=7,
        ),
    ),
    "a PUBACK": (4, b"\x40\x02\x00\x07", Ack(kind=PacketType.PUBACK, packet_id=7)),
    "a PUBREC with a reason": (
        5,
        b"\x50\x04\x00\x07\x97\x00",
        Ack(kind=PacketType.PUBREC, packet_id=7, reason=Reason.QUOTA_EXCEEDED),
    ),
    "a PUBREL": (5, b"\x62\x02\x00\x07", Ack(kind=PacketType.PUBREL, packet_id=7)),
    "a SUBSCRIBE of MQTT 3.1.1": (
        4,
        b"\x82\x0a\x00\x01\x00\x01a\x01\x00\x01#\x02",
        Subscribe(
            packet_id=1,
            subscriptions=(Subscription(topic_filter="a", qos=1), Subscription(topic_filter="#", qos=2)),
        ),
    ),
    "a SUBSCRIBE of MQTT 5 with every option": (
        5,
        b"\x82\x09\x00\x01\x02\x0b\x07\x00\x01a\x2d",
        Subscribe(
            packet_id=1,
            subscriptions=(
                Subscription(
                    topic_filter="a", qos=1, no_local=True, retain_as_published=True, retain_handling=2, identifier=7
                ),
            ),
        ),
    ),
    "an UNSUBSCRIBE": (5, b"\xa2\x06\x00\x01\x00\x00\x01a", Unsubscribe(packet_id=1, topic_filters=("a",))),
    "a PINGREQ": (4, b"\xc0\x00", PingRequest()),
    "a DISCONNECT": (4, b"\xe0\x00", Disconnect()),
    "a DISCONNECT with a new session expiry": (
        5,
        b"\xe0\x07\x04\x05\x11\x00\x00\x00\x0a",
        Disconnect(reason=Reason.DISCONNECT_WITH_WILL, session_expiry=10),
    ),
}

MALFORMED: dict[str, tuple[Version, bytes, Reason]] = {
    "a CONNECT with the reserved flag": (4, b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00", Reason.MALFORMED_PACKET),
    "a CONNECT with a will QoS but no will": (
        4,
        b"\x10\x0c\x00\x04MQTT\x04\x0a\x00\x3c\x00\x00",
        Reason.MALFORMED_PACKET,
    ),
    "a CONNECT of a later version": (
        4,
        b"\x10\x0c\x00\x04MQTT\x06\x02\x00\x3c\x00\x00",
        Reason.UNSUPPORTED_PROTOCOL_VERSION,
    ),
    "a CONNECT that may be sent nothing": (
        5,
        b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x00\x00\x00",
        Reason.PROTOCOL_ERROR,
    ),
    "a property twice": (5, b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00", Reason.PROTOCOL_ERROR),
    "a property of another packet": (5, b"\x30\x07\x00\x01a\x03\x21\x00\x01", Reason.MALFORMED_PACKET),
    "a topic with U+0000": (4, b"\x30\x03\x00\x01\x00", Reason.MALFORMED_PACKET),
    "packet identifier 0": (4, b"\x32\x05\x00\x01a\x00\x00", Reason.PROTOCOL_ERROR),
    "a SUBSCRIBE with QoS 3": (4, b"\x82\x06\x00\x01\x00\x01a\x03", Reason.MALFORMED_PACKET),
    "a SUBSCRIBE of MQTT 3.1.1 with an option": (4, b"\x82\x06\x00\x01\x00\x01a\x05", Reason.MALFORMED_PACKET),
    "a SUBSCRIBE to nothing": (4, b"\x82\x02\x00\x01", Reason.PROTOCOL_ERROR),
    "a SUBSCRIBE with wrong flags": (4, b"\x80\x06\x00\x01\x00\x01a\x01", Reason.MALFORMED_PACKET),
    "an UNSUBSCRIBE from nothing": (4, b"\xa2\x02\x00\x01", Reason.PROTOCOL_ERROR),
    "bytes after a PINGREQ": (4, b"\xc0\x01x", Reason.MALFORMED_PACKET),
    "a PUBACK that ends early": (4, b"\x40\x01\x00", Reason.MALFORMED_PACKET),
}


def decode_all(data: bytes, version: Version, *, limit: int = 1000) -> list[Packet]:
    stream = codec.PacketStream(limit=limit)
    return [codec.decode(first, body, version) for first, body in stream.feed(data)]


@pytest.mark.parametrize(("version", "data", "packet"), PACKETS.values(), ids=PACKETS.keys())
def test_packet_is_read(version: Version, data: bytes, packet: Packet) -> None:
    assert decode_all(data, version) == [packet]


@pytest.mark.parametrize(("version", "data", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_packet_is_refused_with_its_reason(version: Version, data: bytes, reason: Reason) -> None:
    with pytest.raises(PacketError) as caught:
        decode_all(data, version)
    assert caught.value.reason == reason


def test_stream_may_arrive_in_any_pieces() -> None:
    data = b"".join(data for version, data, _ in PACKETS.values() if version == 4)
    stream = codec.PacketStream(limit=100)
    pieces = [list(stream.feed(bytes((byte,)))) for byte in data]
    assert list(itertools.chain.from_iterable(pieces)) == list(codec.PacketStream(limit=100).feed(data))


def test_stream_refuses_a_packet_over_its_limit_before_it_has_arrived() -> None:
    with pytest.raises(PacketError) as caught:
        decode_all(b"\x30\x80\x01", 4, limit=100)
    assert caught.value.reason == Reason.PACKET_TOO_LARGE


def test_password_is_not_shown() -> None:
    assert "pw" not in repr(PACKETS["a CONNECT of MQTT 5 with a will and a login"][2])


topics = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=50)
numbers = st.integers(0, 0xFFFF)
message_properties = st.tuples(
    st.tuples(st.just(PropertyId.PAYLOAD_FORMAT_INDICATOR), st.integers(0, 1)),
    st.tuples(st.just(PropertyId.CONTENT_TYPE), topics),
    st.tuples(st.just(PropertyId.RESPONSE_TOPIC), topics),
    st.tuples(st.just(PropertyId.CORRELATION_DATA), st.binary(max_size=300)),
    st.tuples(st.just(PropertyId.USER_PROPERTY), st.tuples(topics, topics)),
    st.tuples(st.just(PropertyId.USER_PROPERTY), st.tuples(topics, topics)),
)


messages = st.builds(
    Message,
    topic=topics,
    payload=st.binary(max_size=300),
    qos=st.integers(0, 2),
    retain=st.booleans(),
    expiry=st.none() | st.integers(0, 0xFFFFFFFF),
    properties=message_properties,
)


@settings(deadline=None)
@given(message=messages, number=st.integers(1, 0xFFFF))
def test_publish_is_read_as_it_was_written(message: Message, number: int) -> None:
    packet_id = number if message.qos else None
    data = codec.encode_publish(5, message, packet_id=packet_id)
    assert decode_all(data, 5, limit=10_000) == [Publish(message=message, packet_id=packet_id)]


@settings(deadline=None)
@given(
    properties=st.tuples(
        st.tuples(st.just(PropertyId.SUBSCRIPTION_IDENTIFIER), st.integers(1, 0xFFFFFFF)),
        st.tuples(st.just(PropertyId.SESSION_EXPIRY_INTERVAL), st.integers(0, 0xFFFFFFFF)),
        st.tuples(st.just(PropertyId.RECEIVE_MAXIMUM), numbers),
        st.tuples(st.just(PropertyId.AUTHENTICATION_DATA), st.binary(max_size=10)),
    )
)
def test_properties_are_read_as_they_were_written(
    properties: tuple[tuple[int, int | str | bytes | tuple[str, str]], ...],
) -> None:
    assert codec.decode_properties(codec.encode_properties(properties), frozenset(PropertyId)) == properties


@settings(deadline=None)
@given(number=st.integers(0, 0xFFFFFFF))
def test_variable_byte_integer_is_read_as_it_was_written(number: int) -> None:
    properties = ((PropertyId.SUBSCRIPTION_IDENTIFIER, number),)
    assert codec.decode_properties(codec.encode_properties(properties), frozenset(PropertyId)) == properties


@settings(deadline=None)
@given(data=st.binary(max_size=200), version=st.sampled_from([4, 5]))
def test_any_bytes_are_packets_or_a_packet_error(data: bytes, version: Version) -> None:
    assert_packets_or_packet_error(data, version)


@settings(deadline=None)
@given(
    example=st.sampled_from(sorted(PACKETS)),
    position=st.integers(0, 60),
    byte=st.integers(0, 255),
    cut=st.integers(0, 60),
)
def test_damaged_packets_are_packets_or_a_packet_error(example: str, position: int, byte: int, cut: int) -> None:
    version, data, _ = PACKETS[example]
    damaged = bytearray(data)
    damaged[position % len(data)] = byte
    assert_packets_or_packet_error(bytes(damaged), version)
    assert_packets_or_packet_error(bytes((data[0], cut)) + data[2 : 2 + cut].ljust(cut, b"\xff"), version)


def assert_packets_or_packet_error(data: bytes, version: Version) -> None:
    try:
        decoded: object = decode_all(data, version)
    except PacketError as error:
        decoded = error.reason
    assert isinstance(decoded, list | Reason)
