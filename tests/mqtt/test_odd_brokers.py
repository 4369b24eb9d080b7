"""The MQTT session at brokers that refuse, limit, fall silent or break the rules: the right state, told once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sip_bridge.mqtt.broker_packets import Message, PropertyId
from sip_bridge.mqtt.session import MQTTSession, MQTTSettings, RetryDelays
from tests.mqtt.odd_broker import LOCALHOST, OddBroker, connack, connack_3, disconnect, odd_broker

STATE = "t/state"
QUICK = RetryDelays(first=0.02, most=0.1, refused=0.05)
NOT_AUTHORIZED = 0x87
SESSION_TAKEN_OVER = 0x8E
PACKET_TOO_LARGE = 0x95
RETAIN_NOT_SUPPORTED = 0x9A
QOS_NOT_SUPPORTED = 0x9B

TAKEN = "; another client came with the same client id 'bridge': give one of them another"

Said = Callable[[], list[str]]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    """What the session logged for the operator; ``BROKER`` is where the broker is."""
    caplog.set_level(logging.INFO, logger="sip_bridge.mqtt.session")

    def lines() -> list[str]:
        records = [record for record in caplog.records if record.name == "sip_bridge.mqtt.session"]
        return [
            record.getMessage().partition(" 127.0.0.1:")[0] + _after_port(record.getMessage()) for record in records
        ]

    return lines


def _after_port(line: str) -> str:
    return line.partition(" 127.0.0.1:")[2].lstrip("0123456789")


@asynccontextmanager
async def session_at(broker: OddBroker, **options: Any) -> AsyncIterator[MQTTSession]:
    """A session of settings like the bridge's, except that it is in a hurry."""
    settings = {name: options.pop(name) for name in ("protocol", "keepalive") if name in options}
    async with odd_broker(broker):
        session = MQTTSession(
            MQTTSettings(host=LOCALHOST, port=broker.port, client_id="bridge", **settings),
            will=(STATE, "offline"),
            filters=("t/request/+",),
            retry=options.pop("retry", QUICK),
            stop_timeout=0.2,
            on_message=lambda _: None,
            **options,
        )
        async with session:
            session.retain(STATE, "online")
            yield session


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


async def connected(session: MQTTSession, broker: OddBroker, turn: int) -> None:
    await eventually(lambda: len(broker.connects) == turn and session.connected)


def properties(**values: int) -> tuple[tuple[int, int], ...]:
    return tuple((PropertyId[name.upper()], value) for name, value in values.items())


def event(payload: str, *, qos: int = 1, topic: str = "t/event/E") -> Message:
    return Message(topic=topic, payload=payload.encode(), qos=qos)


def events(broker: OddBroker) -> list[Message]:
    return [message for message in broker.published if message.topic.startswith("t/event/")]


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "answer", "reason"),
    [
        ("5", connack(0x86), "Bad user name or password; check username and password"),
        ("5", connack(NOT_AUTHORIZED), "Not authorized; check username and password"),
        ("5", connack(0x85), "Client identifier not valid; set another client_id"),
        ("5", connack(0x8A), "Banned"),
        (
            "5",
            connack(0x8C),
            "Bad authentication method; it wants another way to log in than a user name and a password",
        ),
        ("3.1.1", connack_3(2), "Client identifier not valid; set another client_id"),
        ("3.1.1", connack_3(4), "Bad user name or password; check username and password"),
        ("3.1.1", connack_3(5), "Not authorized; check username and password"),
    ],
)
async def test_a_refusal_is_told_once_and_tried_slowly_until_it_ends(
    protocol: str, answer: bytes, reason: str, said: Said
) -> None:
    broker = OddBroker(connacks=[answer])
    retry = RetryDelays(first=30, most=30, refused=0.05)  # only a refusal is tried again within this test
    async with session_at(broker, protocol=protocol, retry=retry) as session:
        await eventually(lambda: len(broker.connects) >= 3)
        assert not session.connected
        broker.connacks = [connack() if protocol == "5" else connack_3()]
        await eventually(lambda: session.connected)
    assert said() == [
        f"no connection to the MQTT broker at: {reason}",
        f"connected to the MQTT broker at (MQTT {protocol})",
    ]


async def test_credentials_that_are_revoked_are_told_once(said: Said) -> None:
    broker = OddBroker(connacks=[connack()])
    async with session_at(broker) as session:
        await eventually(lambda: session.connected)
        broker.connacks = [connack(NOT_AUTHORIZED)]
        broker.send(disconnect(NOT_AUTHORIZED))
        await eventually(lambda: len(broker.connects) >= 4)
        assert not session.connected
        broker.connacks = [connack()]
        await eventually(lambda: session.connected)
    assert said() == [
        "connected to the MQTT broker at (MQTT 5)",
        "lost the MQTT broker at: Not authorized; check username and password",
        "connected to the MQTT broker at (MQTT 5)",
    ]


async def test_a_refused_subscription_is_told_once_and_names_its_filter(said: Said) -> None:
    broker = OddBroker(connacks=[connack()], suback=NOT_AUTHORIZED)
    async with session_at(broker) as session:
        await eventually(lambda: len(broker.published) == 1)
        broker.hang_up()
        await eventually(lambda: len(broker.published) == 2)
        assert session.connected
    lost = "; what is published there does not arrive"
    assert [line for line in said() if "subscription" in line] == [
        f"the MQTT broker at refused the subscription to t/request/+: Not authorized{lost}",
        f"the MQTT broker at refused the subscription to homeassistant/status: Not authorized{lost}",
    ]


async def test_refused_messages_are_told_once_counted_and_not_sent_again(said: Said) -> None:
    broker = OddBroker(connacks=[connack()], puback=NOT_AUTHORIZED)
    async with session_at(broker) as session:
        for number in range(3):
            session.publish("t/event/E", str(number), keep=True)
        await eventually(lambda: session.refused == 4)
        assert session.queued == 0
        broker.puback = 0
        session.publish("t/event/E", "3")
        await eventually(lambda: len(events(broker)) == 4)
    assert [message.payload for message in events(broker)] == [b"0", b"1", b"2", b"3"]
    assert said()[1:] == ["the MQTT broker at does not take all messages: Not authorized; t/state is the first"]


# --- another client with our id ------------------------------------------------------------------------------------


async def test_a_client_id_that_is_taken_over_again_and_again_is_told_once_and_fought_for_less_and_less(
    said: Said,
) -> None:
    broker = OddBroker(connacks=[connack()])
    retry = RetryDelays(first=0.02, most=0.3)
    async with session_at(broker, retry=retry) as session:
        times = []
        for turn in range(1, 8):
            await connected(session, broker, turn)
            times.append(asyncio.get_running_loop().time())
            broker.send(disconnect(SESSION_TAKEN_OVER))
            await eventually(lambda: not session.connected)
        assert times[-1] - times[-2] > 0.2  # the delays vary by a quarter
    assert said() == [
        "connected to the MQTT broker at (MQTT 5)",
        f"lost the MQTT broker at: Session taken over{TAKEN}",
    ]


async def test_a_client_id_that_is_given_back_is_told_once_the_connection_lasts(said: Said) -> None:
    broker = OddBroker(connacks=[connack()])
    async with session_at(broker, retry=RetryDelays(first=0.02, stable=0.2)) as session:
        await eventually(lambda: session.connected)
        broker.send(disconnect(SESSION_TAKEN_OVER))
        await eventually(lambda: len(said()) == 3)
    assert said()[2] == "connected to the MQTT broker at (MQTT 5)"


async def test_mqtt_3_has_no_word_for_it_so_connections_that_break_soon_are_explained(said: Said) -> None:
    broker = OddBroker(connacks=[connack_3()])
    async with session_at(broker, protocol="3.1.1") as session:
        for turn in range(1, 6):
            await connected(session, broker, turn)
            broker.hang_up()
            await eventually(lambda: not session.connected)
    assert said() == [
        "connected to the MQTT broker at (MQTT 3.1.1)",
        "lost the MQTT broker at: the connection broke",
        "connected to the MQTT broker at (MQTT 3.1.1)",
        "lost the MQTT broker at: the connection broke",
        "lost the MQTT broker at: the connection broke soon, again; perhaps another client has the id 'bridge' too",
    ]


# --- silence -------------------------------------------------------------------------------------------------------


async def test_a_broker_that_never_accepts_is_told_once(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    monkeypatch.setattr("sip_bridge.mqtt.connection.CONNACK_TIMEOUT", 0.1)
    broker = OddBroker()
    async with session_at(broker) as session:
        session.publish("t/event/E", "1")
        await eventually(lambda: len(broker.connects) >= 3)
        assert not session.connected
        assert session.queued == 1
        broker.connacks = [connack()]
        await eventually(lambda: events(broker) == [event("1")])
    assert said()[0] == "no connection to the MQTT broker at: it does not answer"
    assert said()[1] == "connected to the MQTT broker at (MQTT 5)"


async def test_a_broker_that_acknowledges_nothing_is_given_up_and_gets_the_events_again(said: Said) -> None:
    broker = OddBroker(connacks=[connack()], puback=None)
    async with session_at(broker, acknowledge_timeout=0.1) as session:
        session.publish("t/event/E", "1")
        session.publish("t/event/E", "2")
        await eventually(lambda: len(broker.connects) >= 2)
        broker.puback = 0
        await eventually(lambda: session.queued == 0)
        assert session.connected
    assert [message.payload for message in events(broker)][-2:] == [b"1", b"2"]
    assert said()[1] == "lost the MQTT broker at: it acknowledges nothing that it is sent"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x00",  # no packet type
        b"\xff\xff\xff\xff\xff",  # a length without end
        b"\x40\x01\x00",  # a PUBACK without an id
        b"\x40\x03\x00\x01\xee",  # with a reason that there is not
        b"\x30\x02\x00\x09",  # a topic that is longer than its packet
        b"\x30\x05\x00\x01t\x02\x7f",  # a property that there is not
        b"\x90\x03\x00\x01\x00",  # a SUBACK of nothing
        b"\xe0\x02\xee\x00",  # a DISCONNECT for no reason
        b"\x20\x03\x00\xee\x00",  # another CONNACK
    ],
)
async def test_what_is_no_mqtt_ends_the_connection_at_most(garbage: bytes, said: Said) -> None:
    broker = OddBroker(connacks=[connack()])
    caught: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: caught.append(context))
    async with session_at(broker) as session:
        await eventually(lambda: len(broker.published) == 1)
        broker.send(garbage)
        await asyncio.sleep(0.05)  # for paho to make of it what it can
        broker.hang_up()
        session.publish("t/event/E", "after")
        await eventually(lambda: event("after") in events(broker) and session.queued == 0)
    assert caught == []
    assert len(said()) <= 4


# --- what a broker can't do ----------------------------------------------------------------------------------------


async def test_a_receive_maximum_of_1_is_kept(said: Said) -> None:
    broker = OddBroker(connacks=[connack(properties=properties(receive_maximum=1))])
    async with session_at(broker) as session:
        for number in range(30):
            session.publish("t/event/E", str(number))
        await eventually(lambda: session.queued == 0)
    assert [message.payload for message in events(broker)] == [str(number).encode() for number in range(30)]
    assert broker.most_unacknowledged == 1
    assert said() == ["connected to the MQTT broker at (MQTT 5)"]


async def test_what_is_too_long_for_the_broker_is_left_out_told_once_and_counted(said: Said) -> None:
    broker = OddBroker(connacks=[connack(properties=properties(maximum_packet_size=100))])
    async with session_at(broker) as session:
        session.publish("t/event/E", "x" * 100)
        session.publish("t/event/E", "y" * 100, keep=True)
        session.publish("t/event/E", "z" * 84)  # with 2 + 2 + 9 + 2 + 1 bytes around it, exactly as long as may be
        session.publish("t/event/E", "z" * 85)
        await eventually(lambda: session.queued == 0 and len(events(broker)) == 1)
        assert session.refused == 3
    assert events(broker) == [event("z" * 84)]
    assert said()[1:] == [
        "the MQTT broker at does not take all messages: it takes packets of 100 bytes at most; t/event/E is the first"
    ]


async def test_a_message_that_ends_the_connection_twice_is_not_sent_a_third_time(said: Said) -> None:
    broker = OddBroker(connacks=[connack()], hates=b"poison", hatred=disconnect(PACKET_TOO_LARGE))
    async with session_at(broker) as session:
        for payload in ("before", "poison", "after"):
            session.publish("t/event/E", payload, keep=True)
        await eventually(lambda: session.queued == 0)
        assert session.connected
        assert session.refused == 1
    payloads = [message.payload for message in events(broker)]
    assert (payloads.count(b"poison"), payloads[-1]) == (2, b"after")
    assert "the MQTT broker at does not take all messages: Packet too large; t/event/E is the first" in said()


async def test_the_brokers_keep_alive_counts() -> None:
    broker = OddBroker(connacks=[connack(properties=properties(server_keep_alive=1))])
    async with session_at(broker, keepalive=3600):
        await eventually(lambda: broker.pings == 2)


async def test_no_topic_aliases_are_used_where_there_are_none() -> None:
    broker = OddBroker(connacks=[connack(properties=properties(topic_alias_maximum=0))])
    async with session_at(broker) as session:
        session.publish("t/event/E", "1")
        session.publish("t/event/E", "2")
        await eventually(lambda: session.queued == 0 and len(events(broker)) == 2)
    assert events(broker) == [event("1"), event("2")]


async def test_a_broker_that_retains_nothing_gets_the_same_unretained(said: Said) -> None:
    broker = OddBroker(connacks=[connack(RETAIN_NOT_SUPPORTED), connack(properties=properties(retain_available=0))])
    async with session_at(broker) as session:
        await eventually(lambda: event("online", topic=STATE) in broker.published)
        broker.connacks = [connack(properties=properties(retain_available=0))]
        broker.hang_up()
        await eventually(lambda: broker.published.count(event("online", topic=STATE)) == 2)
        assert session.connected
    wills = [connect.will for connect in broker.connects[:2]]
    assert [will.retain for will in wills if will is not None] == [True, False]
    assert [line for line in said() if "retain" in line] == [
        "the MQTT broker at retains nothing: who subscribes later knows nothing until something changes"
    ]


async def test_a_broker_of_qos_0_gets_qos_0(said: Said) -> None:
    limited = connack(properties=properties(maximum_qos=0))
    broker = OddBroker(connacks=[connack(QOS_NOT_SUPPORTED), limited], suback=0)
    async with session_at(broker) as session:
        session.publish("t/event/E", "1", keep=True)
        await eventually(lambda: session.queued == 0 and event("1", qos=0) in broker.published)
        assert session.connected
    assert [connect.will.qos for connect in broker.connects if connect.will is not None] == [1, 0]
    assert {message.qos for message in broker.published} == {0}
    assert said()[1] == "the MQTT broker at acknowledges nothing (QoS 0): what it loses is lost"


async def test_a_broker_that_can_neither_retain_nor_acknowledge_is_spoken_to_all_the_same() -> None:
    answers = [connack(RETAIN_NOT_SUPPORTED), connack(QOS_NOT_SUPPORTED), connack()]
    broker = OddBroker(connacks=answers)
    async with session_at(broker) as session:
        await eventually(lambda: session.connected)
    wills = [connect.will for connect in broker.connects]
    assert [(will.retain, will.qos) for will in wills if will is not None] == [(True, 1), (False, 1), (False, 0)]


# --- a session of our own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_each_connection_begins_a_session_that_ends_with_it(protocol: str) -> None:
    """What was asked of us while we were away is not done later."""
    broker = OddBroker(connacks=[connack() if protocol == "5" else connack_3()])
    async with session_at(broker, protocol=protocol):
        await eventually(lambda: len(broker.published) == 1)
        broker.hang_up()
        await eventually(lambda: len(broker.connects) == 2)
    assert [(connect.clean_start, connect.session_expiry) for connect in broker.connects] == [(True, 0), (True, 0)]
