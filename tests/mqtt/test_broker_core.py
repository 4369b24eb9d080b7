"""The embedded broker's decisions, under a virtual clock."""

import struct
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_bridge.mqtt import broker_codec as codec
from sip_bridge.mqtt.broker_core import BrokerCore, Close, Credentials, Send
from sip_bridge.mqtt.broker_packets import Message, Publish, Reason, Version
from sip_bridge.mqtt.broker_router import Limits
from sip_bridge.mqtt.broker_session import Delivery, Session
from sip_bridge.mqtt.broker_topics import Publication

CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, DISCONNECT = 0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xE0


def text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    assert len(body) < 16384
    length = bytes((len(body),)) if len(body) < 128 else bytes((len(body) & 0x7F | 0x80, len(body) >> 7))
    return bytes((first,)) + length + body


def properties(version: Version, body: bytes) -> bytes:
    return bytes((len(body),)) + body if version == 5 else b""


@dataclass
class Client:
    """The far end of one connection: sends raw packets, keeps what comes."""

    core: BrokerCore
    id: int
    version: Version
    sent: list[bytes] = field(default_factory=list)
    closed: bool = False

    def received(self) -> list[bytes]:
        """The packets since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def messages(self) -> list[Message]:
        """The messages since the last call, acknowledgements and the like left out."""
        frames = codec.PacketStream(limit=10**7).feed(b"".join(self.received()))
        publishes = [codec.decode(first, body, self.version) for first, body in frames if first >> 4 == 3]
        return [publish.message for publish in publishes if isinstance(publish, Publish)]

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages()]


class World:
    """A broker, its clients and the time."""

    def __init__(self, limits: Limits | None = None, credentials: Credentials | None = None) -> None:
        self.core = BrokerCore(limits=limits or Limits(), credentials=credentials, new_client_id=lambda: "made-up")
        self.clients: dict[int, Client] = {}
        self.now = 0.0

    def flush(self) -> None:
        for effect in self.core.drain(self.now):
            match effect:
                case Send(connection_id, data):
                    self.clients[connection_id].sent.append(data)
                case Close(connection_id):
                    self.clients[connection_id].closed = True

    def open(self, version: Version = 5) -> Client:
        client = Client(self.core, len(self.clients) + 1, version)
        self.clients[client.id] = client
        self.core.open(client.id, "192.0.2.7", self.now)
        self.flush()
        return client

    def send(self, client: Client, *packets: bytes) -> None:
        self.core.receive(client.id, b"".join(packets), self.now)
        self.flush()

    def connect(
        self,
        client_id: str,
        version: Version = 5,
        *,
        clean: bool = True,
        keep_alive: int = 0,
        asked: bytes = b"",
        will: bytes = b"",
    ) -> Client:
        """A client that was let in; ``asked`` are CONNECT properties, ``will`` the will's own fields."""
        client = self.open(version)
        flags = (0x02 if clean else 0) | (0x04 if will else 0)
        head = text("MQTT") + bytes((version, flags)) + struct.pack(">H", keep_alive)
        self.send(client, packet(0x10, head, properties(version, asked), text(client_id), will))
        return client

    def subscribe(self, client: Client, topic_filter: str, options: int = 1) -> None:
        self.send(
            client, packet(0x82, b"\x00\x01", properties(client.version, b""), text(topic_filter), bytes((options,)))
        )

    def publish(
        self, client: Client, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, asked: bytes = b""
    ) -> None:
        packet_id = b"\x00\x09" if qos else b""
        first = 0x30 | qos << 1 | retain
        self.send(client, packet(first, text(topic), packet_id, properties(client.version, asked), payload))

    def lose(self, client: Client) -> None:
        self.core.lost(client.id, self.now)
        self.flush()

    def at(self, now: float) -> None:
        self.now = now
        self.core.tick(now)
        self.flush()


def session_present(client: Client) -> bool:
    connack = client.received()[0]
    assert connack[0] == CONNACK
    return bool(connack[2])


def session_expiry(seconds: int) -> bytes:
    return b"\x11" + struct.pack(">I", seconds)


def message_expiry(seconds: int) -> bytes:
    return b"\x02" + struct.pack(">I", seconds)


def will_after(delay: int) -> bytes:
    return b"\x05\x18" + struct.pack(">I", delay) + text("will") + text("gone")


# --- time ----------------------------------------------------------------------------------------------------------


def test_silent_client_is_given_up_after_one_and_a_half_keep_alives() -> None:
    world = World()
    client = world.connect("a", keep_alive=10)
    world.at(5)
    world.send(client, b"\xc0\x00")
    client.received()
    world.at(19.9)
    assert (client.received(), client.closed) == ([], False)
    world.at(20)
    assert (client.received(), client.closed) == ([bytes((DISCONNECT, 2, Reason.KEEP_ALIVE_TIMEOUT, 0))], True)


def test_client_without_keep_alive_may_be_silent_for_ever() -> None:
    world = World()
    client = world.connect("a")
    world.at(10**9)
    assert client.closed is False


def test_connection_that_never_says_connect_is_closed_after_ten_seconds() -> None:
    world = World()
    client = world.open()
    world.send(client, b"\x10")
    world.at(9.9)
    assert client.closed is False
    world.at(10)
    assert (client.received(), client.closed) == ([], True)


@pytest.mark.parametrize(("absence", "present"), [(9.9, True), (10, False)])
def test_session_lasts_as_long_as_the_client_asked(absence: float, present: bool) -> None:
    world = World()
    world.lose(world.connect("a", clean=False, asked=session_expiry(10)))
    world.at(absence)
    assert session_present(world.connect("a", clean=False)) is present


def test_disconnect_may_shorten_the_session() -> None:
    world = World()
    client = world.connect("a", clean=False, asked=session_expiry(100))
    world.send(client, packet(DISCONNECT, b"\x00\x05" + session_expiry(1)))
    world.at(2)
    assert session_present(world.connect("a", clean=False)) is False


def test_disconnect_may_not_ask_for_a_session_at_its_end() -> None:
    world = World()
    client = world.connect("a")
    client.received()
    world.send(client, packet(DISCONNECT, b"\x00\x05" + session_expiry(1)))
    assert client.received() == [bytes((DISCONNECT, 2, Reason.PROTOCOL_ERROR, 0))]


def test_session_of_an_mqtt_3_1_1_client_ends_at_the_limit() -> None:
    world = World(Limits(max_session_expiry=100))
    world.lose(world.connect("a", 4, clean=False))
    world.at(99)
    world.lose(world.connect("a", 4, clean=False))
    world.at(199)
    assert session_present(world.connect("a", 4, clean=False)) is False


def test_mqtt_5_client_is_told_that_its_session_is_shortened() -> None:
    world = World(Limits(max_session_expiry=100))
    client = world.connect("a", asked=session_expiry(101))
    assert session_expiry(100) in client.received()[0]


def test_delayed_will_waits_and_is_dropped_when_the_client_returns() -> None:
    world = World()
    watcher = world.connect("watcher")
    world.subscribe(watcher, "will")
    world.lose(world.connect("a", clean=False, asked=session_expiry(100), will=will_after(10)))
    world.at(9)
    assert watcher.payloads() == []
    back = world.connect("a", clean=False, asked=session_expiry(100), will=will_after(10))
    world.at(50)
    assert watcher.payloads() == []
    world.lose(back)
    world.at(60)
    assert watcher.payloads() == [b"gone"]


def test_delayed_will_goes_out_when_its_session_ends_first() -> None:
    world = World()
    watcher = world.connect("watcher")
    world.subscribe(watcher, "will")
    world.lose(world.connect("a", clean=False, asked=session_expiry(5), will=will_after(10)))
    world.at(5)
    assert watcher.payloads() == [b"gone"]


def test_queued_message_loses_the_time_it_waited_and_then_itself() -> None:
    world = World()
    reader, publisher = world.connect("reader", clean=False, asked=session_expiry(100)), world.connect("publisher")
    world.subscribe(reader, "a")
    world.lose(reader)
    world.publish(publisher, "a", b"short", asked=message_expiry(10))
    world.publish(publisher, "a", b"long", asked=message_expiry(60))
    world.at(10)
    back = world.connect("reader", clean=False)
    assert back.messages() == [Message(topic="a", payload=b"long", qos=1, expiry=50)]


def test_expired_retained_message_is_not_delivered() -> None:
    world = World()
    publisher = world.connect("publisher")
    world.publish(publisher, "a", b"short", retain=True, asked=message_expiry(10))
    world.publish(publisher, "b", b"long", retain=True, asked=message_expiry(60))
    world.at(10)
    reader = world.connect("reader")
    world.subscribe(reader, "#")
    assert reader.messages() == [Message(topic="b", payload=b"long", qos=1, retain=True, expiry=50)]


# --- QoS 1 and 2 ---------------------------------------------------------------------------------------------------


def test_client_gets_no_more_unacknowledged_messages_than_it_takes() -> None:
    world = World()
    reader, publisher = world.connect("reader", asked=b"\x21\x00\x02"), world.connect("publisher")
    world.subscribe(reader, "a")
    for payload in (b"1", b"2", b"3"):
        world.publish(publisher, "a", payload)
    assert reader.payloads() == [b"1", b"2"]
    world.send(reader, packet(PUBACK, b"\x00\x01"))
    assert reader.payloads() == [b"3"]


def test_message_larger_than_the_client_takes_is_left_out() -> None:
    world = World()
    reader, publisher = world.connect("reader", asked=b"\x27" + struct.pack(">I", 50)), world.connect("publisher")
    world.subscribe(reader, "a")
    world.publish(publisher, "a", bytes(100))
    world.publish(publisher, "a", b"small")
    assert reader.payloads() == [b"small"]


def test_repeated_qos_2_publish_is_delivered_once() -> None:
    world = World()
    reader, publisher = world.connect("reader"), world.connect("publisher")
    world.subscribe(reader, "a")
    publisher.received()
    world.publish(publisher, "a", b"once", qos=2)
    world.publish(publisher, "a", b"once", qos=2)
    world.send(publisher, packet(PUBREL, b"\x00\x09"))
    world.publish(publisher, "a", b"next", qos=2)
    assert [sent[0] for sent in publisher.received()] == [PUBREC, PUBREC, PUBCOMP, PUBREC]
    assert reader.payloads() == [b"once", b"next"]


def test_qos_2_delivery_goes_on_where_it_stood_when_the_client_returns() -> None:
    world = World()
    reader, publisher = world.connect("reader", clean=False, asked=session_expiry(9)), world.connect("publisher")
    world.subscribe(reader, "a", 2)
    world.publish(publisher, "a", b"half", qos=2)
    world.send(reader, packet(PUBREC, b"\x00\x01"))
    world.lose(reader)
    back = world.connect("reader", clean=False)
    assert back.received()[1:] == [packet(PUBREL, b"\x00\x01")]
    world.send(back, packet(PUBCOMP, b"\x00\x01"))
    assert back.received() == []


def test_unacknowledged_messages_come_again_in_order_under_their_identifiers() -> None:
    world = World()
    reader, publisher = world.connect("reader", clean=False, asked=session_expiry(9)), world.connect("publisher")
    world.subscribe(reader, "a")
    for payload in (b"1", b"2", b"3"):
        world.publish(publisher, "a", payload)
    first = reader.received()[-3:]
    world.send(reader, packet(PUBACK, b"\x00\x02"))
    world.lose(reader)
    world.publish(publisher, "a", b"4")
    again = world.connect("reader", clean=False).received()[1:]
    as_duplicates = [bytes((sent[0] | 0x08,)) + sent[1:] for sent in (first[0], first[2])]
    assert again[:2] == as_duplicates
    assert again[2][0] == 0x32  # what is new is no duplicate


def test_packet_identifier_that_is_in_flight_is_not_given_twice() -> None:
    session = Session(client_id="a", max_queued_messages=10, max_held_bytes=10_000)
    session.attach(1, 4, receive_maximum=10, maximum_packet_size=None)
    message = Publication.of(Message(topic="t", payload=b"", qos=1), 0)
    session.enqueue(Delivery(publication=message, qos=1, retain=False))
    session.enqueue(Delivery(publication=message, qos=1, retain=False))
    assert session.next_packet(0) == packet(0x32, text("t"), b"\x00\x01")
    session._last_packet_id = 65535  # as after 65534 more messages
    assert session.next_packet(0) == packet(0x32, text("t"), b"\x00\x02")


def test_expired_messages_make_room_in_the_queue() -> None:
    world = World(Limits(max_queued_bytes=1000))  # two small messages
    publisher = world.connect("publisher")
    for payload, expiry in ((b"old", 10), (b"new", 100)):
        reader = world.connect("reader", clean=False, asked=session_expiry(100))
        world.subscribe(reader, "a")
        world.lose(reader)
        world.publish(publisher, "a", payload, asked=message_expiry(expiry))
        world.publish(publisher, "a", payload, asked=message_expiry(expiry))
        world.at(10)
    assert world.connect("reader", clean=False).payloads() == [b"new", b"new"]


def test_publisher_learns_that_nobody_listens() -> None:
    world = World()
    publisher = world.connect("publisher")
    publisher.received()
    world.publish(publisher, "a", b"x")
    assert publisher.received() == [packet(PUBACK, b"\x00\x09", bytes((Reason.NO_MATCHING_SUBSCRIBERS,)))]


# --- bounds --------------------------------------------------------------------------------------------------------


def test_full_queue_of_an_absent_client_loses_its_oldest_messages(caplog: pytest.LogCaptureFixture) -> None:
    world = World(Limits(max_queued_messages=2))
    reader, publisher = world.connect("reader", clean=False, asked=session_expiry(9)), world.connect("publisher")
    world.subscribe(reader, "a")
    world.lose(reader)
    for payload in (b"1", b"2", b"3", b"4"):
        world.publish(publisher, "a", payload)
    assert world.connect("reader", clean=False).payloads() == [b"3", b"4"]
    assert [record.getMessage() for record in caplog.records] == [
        "MQTT client 'reader' does not keep up: its oldest messages are dropped"
    ]


def test_unacknowledged_bytes_are_bounded_too() -> None:
    world = World(Limits(max_queued_bytes=5000))
    reader, publisher = world.connect("reader"), world.connect("publisher")
    world.subscribe(reader, "a")
    for number in range(100):
        world.publish(publisher, "a", bytes((number,)) * 1000)
    assert [payload[0] for payload in reader.payloads()] == [0, 1, 2]


def test_client_that_can_not_be_written_to_waits() -> None:
    world = World()
    reader, publisher = world.connect("reader"), world.connect("publisher")
    world.subscribe(reader, "a", 0)
    world.core.set_writable(reader.id, writable=False)
    world.publish(publisher, "a", b"1")
    world.publish(publisher, "a", b"2")
    assert reader.payloads() == []
    world.core.set_writable(reader.id, writable=True)
    world.flush()
    assert reader.payloads() == [b"1", b"2"]


@pytest.mark.parametrize("limits", [Limits(max_retained_messages=2), Limits(max_retained_bytes=1000)])
def test_retained_message_without_room_is_delivered_but_not_kept(
    limits: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(limits)
    publisher, live, late = world.connect("publisher"), world.connect("live"), world.connect("late")
    world.subscribe(live, "#", 0)
    for topic in ("a", "b", "c", "d"):
        world.publish(publisher, topic, b"x", retain=True)
    assert [message.topic for message in live.messages()] == ["a", "b", "c", "d"]
    world.publish(publisher, "a", b"", retain=True)
    world.publish(publisher, "e", b"x", retain=True)
    world.subscribe(late, "#", 0)
    assert [message.topic for message in late.messages()] == ["b", "e"]
    assert [record.getMessage() for record in caplog.records] == ["no room for more retained messages: c is not kept"]


def test_room_for_retained_messages_comes_back_when_they_expire() -> None:
    world = World(Limits(max_retained_messages=1))
    publisher, reader = world.connect("publisher"), world.connect("reader")
    world.publish(publisher, "a", b"x", retain=True, asked=message_expiry(10))
    world.at(10)
    world.publish(publisher, "b", b"x", retain=True)
    world.subscribe(reader, "#", 0)
    assert [message.topic for message in reader.messages()] == ["b"]


def test_too_many_sessions_cost_the_absent_one_that_would_end_first() -> None:
    world = World(Limits(max_sessions=2))
    world.lose(world.connect("long", clean=False, asked=session_expiry(100)))
    world.lose(world.connect("short", clean=False, asked=session_expiry(50)))
    world.lose(world.connect("new"))
    assert session_present(world.connect("long", clean=False)) is True
    assert session_present(world.connect("short", clean=False)) is False


def test_subscription_over_the_limit_is_refused() -> None:
    world = World(Limits(max_subscriptions=1))
    client = world.connect("a")
    client.received()
    world.subscribe(client, "a")
    world.subscribe(client, "b")
    world.subscribe(client, "a", 0)
    assert [sent[-1] for sent in client.received()] == [1, Reason.QUOTA_EXCEEDED, 0]


def test_ended_sessions_make_room_for_subscriptions() -> None:
    world = World(Limits(max_subscriptions=1))
    first = world.connect("a")
    world.subscribe(first, "a")
    world.lose(first)
    second = world.connect("b")
    world.subscribe(second, "b")
    assert second.received()[-1][-1] == 1


@pytest.mark.parametrize("topic_filter", ["", "a/#/b", "a#", "+a", "a/b+", "x" * 1025, "/" * 128])
def test_impossible_topic_filter_is_refused(topic_filter: str) -> None:
    world = World()
    client = world.connect("a")
    world.subscribe(client, topic_filter)
    assert client.received()[-1][-1] == Reason.TOPIC_FILTER_INVALID


@pytest.mark.parametrize("topic", ["", "a/+", "#", "x" * 1025, "/" * 128])
def test_impossible_topic_name_ends_the_connection(topic: str) -> None:
    world = World()
    client = world.connect("a")
    world.publish(client, topic, b"x")
    assert client.received()[-1] == bytes((DISCONNECT, 2, Reason.TOPIC_NAME_INVALID, 0))
    assert (client.closed, world.core.rejected) == (True, 1)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("a/+/c", "a//c", True),
        ("+", "/a", False),
        ("+/+", "/a", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
    ],
)
def test_wildcards_match_as_mqtt_says(topic_filter: str, topic: str, matches: bool) -> None:
    world = World()
    client = world.connect("a")
    world.publish(client, topic, b"kept", retain=True)
    world.subscribe(client, topic_filter)
    world.publish(client, topic, b"live")
    assert client.payloads() == [b"kept", b"live"] * matches


# --- who may connect -----------------------------------------------------------------------------------------------


def test_authentication_method_is_refused() -> None:
    world = World()
    client = world.connect("a", asked=b"\x15" + text("SCRAM"))
    assert client.received()[0][3] == Reason.BAD_AUTHENTICATION_METHOD
    assert client.closed is True


def test_mqtt_3_1_1_client_without_a_name_may_not_keep_a_session() -> None:
    world = World()
    assert world.connect("", 4, clean=True).received() == [b"\x20\x02\x00\x00"]
    assert world.connect("", 4, clean=False).received() == [b"\x20\x02\x00\x02"]


def test_client_without_a_password_is_refused() -> None:
    world = World(credentials=Credentials(username="u", password="p"))
    assert world.connect("a", 4).received() == [b"\x20\x02\x00\x04"]


def test_shut_down_says_goodbye_to_everyone_and_closes() -> None:
    world = World()
    old, new, stranger = world.connect("old", 4), world.connect("new", 5), world.open()
    for client in (old, new):
        client.received()
    world.core.shut_down()
    world.flush()
    assert [old.received(), new.received(), stranger.received()] == [
        [],
        [bytes((DISCONNECT, 2, Reason.SERVER_SHUTTING_DOWN, 0))],
        [],
    ]
    assert [old.closed, new.closed, stranger.closed] == [True, True, True]


# --- anything, in any order ----------------------------------------------------------------------------------------

CLIENT_IDS = ("a", "b", "c")
TOPICS = ("t", "t/u", "will")
FILTERS = ("t", "t/+", "#", "will", "$share/x/t")

steps = st.one_of(
    st.tuples(st.just("connect"), st.sampled_from(CLIENT_IDS), st.sampled_from([4, 5]), st.booleans()),
    st.tuples(st.just("subscribe"), st.sampled_from(FILTERS), st.integers(0, 2)),
    st.tuples(st.just("publish"), st.sampled_from(TOPICS), st.integers(0, 2), st.booleans(), st.booleans()),
    st.tuples(st.just("acknowledge"), st.sampled_from([PUBACK, PUBREC, PUBREL, PUBCOMP]), st.integers(1, 4)),
    st.tuples(st.just("writable"), st.booleans()),
    st.tuples(st.just("disconnect")),
    st.tuples(st.just("lose")),
    st.tuples(st.just("wait"), st.integers(1, 8)),
    st.tuples(st.just("send"), st.binary(max_size=20)),
)


def take(world: World, client: Client, step: tuple[Any, ...]) -> Client:
    """Do one step on the newest connection; the newest connection after it."""
    match step:
        case ("connect", client_id, version, clean):
            asked = session_expiry(10) if version == 5 else b""
            will = (b"\x05\x18" + struct.pack(">I", 3) if version == 5 else b"") + text("will") + text("gone")
            return world.connect(client_id, version, clean=clean, keep_alive=4, asked=asked, will=will)
        case ("subscribe", topic_filter, qos):
            world.subscribe(client, topic_filter, qos)
        case ("publish", topic, qos, retain, empty):
            world.publish(client, topic, b"" if empty else b"x", qos=qos, retain=retain)
        case ("acknowledge", kind, packet_id):
            world.send(client, packet(kind, struct.pack(">H", packet_id)))
        case ("writable", writable):
            world.core.set_writable(client.id, writable=writable)
            world.flush()
        case ("disconnect",):
            world.send(client, b"\xe0\x00")
        case ("lose",):
            world.lose(client)
        case ("wait", seconds):
            world.at(world.now + seconds)
        case _:
            world.send(client, step[1])
    return client


@settings(deadline=None, max_examples=300)
@given(script=st.lists(steps, max_size=40))
def test_whatever_clients_do_nothing_is_left_when_they_are_gone(script: list[tuple[Any, ...]]) -> None:
    world = World(Limits(max_session_expiry=20, max_queued_messages=3, max_sessions=2, max_retained_messages=2))
    client = world.connect("a")
    for step in script:
        client = take(world, client, step)
    for each in world.clients.values():
        world.lose(each)
    world.at(world.now + 21)
    witness = world.connect("witness")
    router = world.core._router
    assert (list(router._sessions), len(router._index), witness.closed) == (["witness"], 0, False)
    world.subscribe(witness, "fresh")
    world.publish(witness, "fresh", b"still works")
    assert witness.payloads() == [b"still works"]
