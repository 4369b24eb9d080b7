"""The embedded broker delivers: real clients of both protocol versions, asked over TCP."""

import queue
import time
from collections.abc import Callable

import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.mqtt.peer import PATIENCE, V3, V5, Heard, Peer, Peers, as_heard, names, names_and_values, properties
from tests.peers.mqtt import ThreadedClient

each_version = pytest.mark.parametrize("version", [V3, V5], ids=["v3", "v5"])
each_pair = pytest.mark.parametrize(
    ("sender", "receiver"),
    [(V3, V3), (V3, V5), (V5, V3), (V5, V5)],
    ids=["v3-to-v3", "v3-to-v5", "v5-to-v3", "v5-to-v5"],
)


# --- delivery ------------------------------------------------------------------------------------------------------


@each_pair
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_message_crosses_between_the_protocol_versions(
    peers: Peers, topic: str, sender: MQTTProtocolVersion, receiver: MQTTProtocolVersion, qos: int
) -> None:
    subscriber = peers(receiver)
    assert subscriber.subscribe(topic, 2) == [2]
    peers(sender).publish(topic, b"\x00ring", qos=qos)
    assert subscriber.heard() == [Heard(topic, b"\x00ring", qos=qos)]


@each_version
def test_delivery_is_at_the_lower_qos_of_publisher_and_subscriber(
    peers: Peers, topic: str, version: MQTTProtocolVersion
) -> None:
    subscriber = peers(version)
    subscriber.subscribe(topic, 1)
    publisher = peers(V5)
    publisher.publish(topic, b"0", qos=0)
    publisher.publish(topic, b"2", qos=2)
    assert subscriber.heard() == [Heard(topic, b"0", qos=0), Heard(topic, b"2", qos=1)]


@each_version
def test_thousand_messages_arrive_in_order(peers: Peers, topic: str, version: MQTTProtocolVersion) -> None:
    subscriber, publisher = peers(version), peers(version)
    subscriber.subscribe(topic)
    for number in range(1000):
        publisher.client.publish(topic, str(number), 1)
    assert [int(subscriber.hear().payload) for _ in range(1000)] == list(range(1000))


@each_pair
def test_quarter_mebibyte_arrives_whole(
    peers: Peers, topic: str, sender: MQTTProtocolVersion, receiver: MQTTProtocolVersion
) -> None:
    subscriber = peers(receiver)
    subscriber.subscribe(topic)
    payload = bytes(range(256)) * 1024
    peers(sender).publish(topic, payload)
    assert subscriber.hear() == Heard(topic, payload)


@each_version
def test_overlapping_subscriptions_get_one_copy_at_the_highest_qos(
    peers: Peers, topic: str, version: MQTTProtocolVersion
) -> None:
    subscriber = peers(version)
    subscriber.subscribe(f"{topic}/#", 0)
    subscriber.subscribe(f"{topic}/+", 1)
    subscriber.subscribe(f"{topic}/a", 0)
    peers(V3).publish(f"{topic}/a", b"once")
    assert subscriber.heard() == [Heard(f"{topic}/a", b"once", qos=1)]


@each_version
def test_unsubscribed_filter_gets_nothing(peers: Peers, topic: str, version: MQTTProtocolVersion) -> None:
    subscriber = peers(version)
    subscriber.subscribe(topic)
    subscriber.client.unsubscribe(topic)
    assert subscriber.heard() == []
    peers(V3).publish(topic, b"late")
    assert subscriber.heard() == []


@each_version
def test_wildcards_hide_topics_that_begin_with_a_dollar(peers: Peers, topic: str, version: MQTTProtocolVersion) -> None:
    subscriber = peers(version)
    subscriber.subscribe(f"+/{topic}")
    peers(V5).publish(f"$hidden/{topic}", b"1")
    peers(V5).publish(f"shown/{topic}", b"2")
    assert subscriber.heard() == [Heard(f"shown/{topic}", b"2")]


def test_no_local_subscriber_does_not_hear_itself(peers: Peers, topic: str) -> None:
    peer = peers(V5)
    peer.subscribe(topic, noLocal=True)
    peer.publish(topic, b"mine")
    peers(V3).publish(topic, b"yours")
    assert peer.heard() == [Heard(topic, b"yours")]


def test_mqtt_5_properties_travel_with_the_message(peers: Peers, topic: str) -> None:
    subscriber = peers(V5)
    subscriber.subscribe(topic)
    sent = properties(
        PacketTypes.PUBLISH,
        PayloadFormatIndicator=1,
        ContentType="application/json",
        ResponseTopic="answers/1",
        CorrelationData=b"\x00\xff",
        UserProperty=[("a", "1"), ("a", "2")],
        MessageExpiryInterval=600,
    )
    peers(V5).publish(topic, b"{}", properties=sent)
    assert names_and_values(subscriber.message().properties) == names_and_values(sent)


def test_subscription_identifiers_name_the_subscriptions_that_matched(peers: Peers, topic: str) -> None:
    subscriber = peers(V5)
    for number, topic_filter in ((7, topic), (300, f"{topic}/#"), (8, f"{topic}/other")):
        identifier = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=number)
        subscriber.client.subscribe(topic_filter, options=SubscribeOptions(qos=1), properties=identifier)
        subscriber.granted.get(timeout=PATIENCE)
    peers(V3).publish(topic, b"x")
    assert sorted(names_and_values(subscriber.message().properties)["SubscriptionIdentifier"]) == [7, 300]


def test_message_with_properties_reaches_a_client_without_them(peers: Peers, topic: str) -> None:
    subscriber = peers(V3)
    subscriber.subscribe(topic)
    sent = properties(PacketTypes.PUBLISH, ResponseTopic="answers/1")
    peers(V5).publish(topic, b"{}", properties=sent)
    assert subscriber.heard() == [Heard(topic, b"{}")]


@each_version
def test_shared_subscription_is_refused_and_the_rest_is_granted(
    peers: Peers, topic: str, version: MQTTProtocolVersion
) -> None:
    peer = peers(version)
    peer.client.subscribe([(f"$share/group/{topic}", 1), (topic, 1)])
    refused = {V3: 0x80, V5: 0x9E}[version]
    assert [reason.value for reason in peer.granted.get(timeout=PATIENCE)] == [refused, 1]


# --- retained messages ---------------------------------------------------------------------------------------------


@each_pair
def test_retained_message_is_replaced_and_cleared(
    peers: Peers, topic: str, sender: MQTTProtocolVersion, receiver: MQTTProtocolVersion
) -> None:
    publisher = peers(sender)
    publisher.publish(f"{topic}/a", b"old", retain=True)
    publisher.publish(f"{topic}/a", b"new", retain=True)
    publisher.publish(f"{topic}/b/c", b"deep", retain=True, qos=0)
    first, second, third = peers(receiver), peers(receiver), peers(receiver)
    first.subscribe(f"{topic}/+")
    second.subscribe(f"{topic}/#")
    assert first.heard() == [Heard(f"{topic}/a", b"new", retain=True)]
    assert second.heard() == [
        Heard(f"{topic}/a", b"new", retain=True),
        Heard(f"{topic}/b/c", b"deep", qos=0, retain=True),
    ]
    publisher.publish(f"{topic}/a", b"", retain=True)
    assert second.heard() == [Heard(f"{topic}/a", b"")]
    third.subscribe(f"{topic}/#")
    assert third.heard() == [Heard(f"{topic}/b/c", b"deep", qos=0, retain=True)]


@each_pair
def test_live_message_is_not_marked_retained(
    peers: Peers, topic: str, sender: MQTTProtocolVersion, receiver: MQTTProtocolVersion
) -> None:
    subscriber = peers(receiver)
    subscriber.subscribe(topic)
    peers(sender).publish(topic, b"live", retain=True)
    assert subscriber.heard() == [Heard(topic, b"live", retain=False)]


def test_retain_as_published_keeps_the_mark(peers: Peers, topic: str) -> None:
    subscriber = peers(V5)
    subscriber.subscribe(topic, retainAsPublished=True)
    publisher = peers(V3)
    publisher.publish(topic, b"state", retain=True)
    publisher.publish(topic, b"event")
    assert subscriber.heard() == [Heard(topic, b"state", retain=True), Heard(topic, b"event", retain=False)]


@each_version
def test_subscribing_again_sends_the_retained_message_again(
    peers: Peers, topic: str, version: MQTTProtocolVersion
) -> None:
    peers(V5).publish(topic, b"state", retain=True)
    subscriber = peers(version)
    subscriber.subscribe(topic)
    subscriber.subscribe(topic)
    assert subscriber.heard() == [Heard(topic, b"state", retain=True)] * 2


def test_retain_handling_decides_about_the_retained_message(peers: Peers, topic: str) -> None:
    peers(V3).publish(topic, b"state", retain=True)
    subscriber = peers(V5)
    subscriber.subscribe(topic, retainHandling=2)
    assert subscriber.heard() == []
    subscriber.subscribe(topic, retainHandling=1)
    assert subscriber.heard() == []
    subscriber.subscribe(f"{topic}/#", retainHandling=1)
    assert subscriber.heard() == [Heard(topic, b"state", retain=True)]


def test_retained_message_keeps_its_properties(peers: Peers, topic: str) -> None:
    sent = properties(PacketTypes.PUBLISH, UserProperty=("origin", "door"))
    peers(V5).publish(topic, b"state", retain=True, properties=sent)
    subscriber = peers(V5)
    subscriber.subscribe(topic)
    assert names_and_values(subscriber.message().properties) == names_and_values(sent)


@each_version
def test_thousands_of_retained_messages_all_arrive(peers: Peers, topic: str, version: MQTTProtocolVersion) -> None:
    publisher = peers(V5)
    for number in range(2000):
        publisher.client.publish(f"{topic}/{number}", bytes(500), 0, retain=True)
    publisher.heard()
    subscriber = peers(version)
    subscriber.subscribe(f"{topic}/#", 0)
    assert {subscriber.hear().topic for _ in range(2000)} == {f"{topic}/{number}" for number in range(2000)}
    for number in range(2000):
        publisher.client.publish(f"{topic}/{number}", b"", 0, retain=True)
    publisher.heard()


# --- wills ---------------------------------------------------------------------------------------------------------


@each_pair
def test_will_of_a_client_that_died_is_sent_and_retained(
    peers: Peers, topic: str, sender: MQTTProtocolVersion, receiver: MQTTProtocolVersion
) -> None:
    watcher, late = peers(receiver), peers(receiver)
    watcher.subscribe(topic)
    peers(sender, will=Heard(topic, b"offline", qos=1, retain=True)).die()
    assert watcher.hear() == Heard(topic, b"offline", retain=False)
    late.subscribe(topic)
    assert late.heard() == [Heard(topic, b"offline", retain=True)]


@each_pair
def test_client_that_disconnects_leaves_no_will(
    peers: Peers, topic: str, sender: MQTTProtocolVersion, receiver: MQTTProtocolVersion
) -> None:
    watcher = peers(receiver)
    watcher.subscribe(topic)
    peers(sender, will=Heard(topic, b"offline")).disconnect()
    assert watcher.heard() == []


def test_client_may_disconnect_with_its_will(peers: Peers, topic: str) -> None:
    watcher = peers(V3)
    watcher.subscribe(topic)
    leaving = peers(V5, will=Heard(topic, b"offline"))
    leaving.disconnect(reasoncode=ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
    assert watcher.hear() == Heard(topic, b"offline")


def test_silent_clients_are_given_up_after_one_and_a_half_keep_alives(peers: Peers, topic: str) -> None:
    watcher = peers(V5)
    watcher.subscribe(f"{topic}/#")
    started = time.monotonic()
    for version in (V3, V5):
        peers(version, keepalive=1, will=Heard(f"{topic}/{version.name}", b"offline")).stop_answering()
    assert {watcher.hear().topic, watcher.hear().topic} == {f"{topic}/MQTTv311", f"{topic}/MQTTv5"}
    assert 1.4 < time.monotonic() - started < 4


# --- sessions ------------------------------------------------------------------------------------------------------


@each_pair
def test_second_client_of_the_same_name_takes_over(
    peers: Peers, topic: str, sender: MQTTProtocolVersion, receiver: MQTTProtocolVersion
) -> None:
    watcher = peers(V3)
    watcher.subscribe(f"{topic}/will")
    first = peers(sender, f"twin-{next(names)}", will=Heard(f"{topic}/will", b"offline"))
    first.subscribe(topic)
    second = peers(receiver, first.client_id)
    assert second.flags.session_present is False
    assert first.ends.get(timeout=PATIENCE).value == {V3: 128, V5: 0x8E}[sender]
    assert watcher.hear() == Heard(f"{topic}/will", b"offline")
    second.subscribe(topic)
    watcher.publish(topic, b"for the second")
    assert second.heard() == [Heard(topic, b"for the second")]
    assert first.messages.empty()


@each_pair
@pytest.mark.parametrize("end", [Peer.disconnect, Peer.die], ids=["disconnected", "died"])
def test_absent_client_finds_its_messages_when_it_returns(
    peers: Peers,
    topic: str,
    sender: MQTTProtocolVersion,
    receiver: MQTTProtocolVersion,
    end: Callable[[Peer], None],
) -> None:
    away = peers(receiver, clean=False, expiry=600)
    assert away.flags.session_present is False
    away.subscribe(topic)
    end(away)
    publisher = peers(sender)
    publisher.heard()
    publisher.publish(topic, b"lost at QoS 0", qos=0)
    for payload in (b"1", b"2", b"3"):
        publisher.publish(topic, payload)
    back = peers(receiver, away.client_id, clean=False, expiry=600)
    assert back.flags.session_present is True
    publisher.publish(topic, b"live")
    assert back.heard() == [Heard(topic, payload) for payload in (b"1", b"2", b"3", b"live")]
    back.disconnect()
    assert peers(receiver, away.client_id, clean=True).flags.session_present is False


@each_version
def test_unacknowledged_message_comes_again_as_a_duplicate(
    peers: Peers, topic: str, version: MQTTProtocolVersion
) -> None:
    first = peers(version, clean=False, expiry=600, manual_ack=True)
    first.subscribe(topic)
    peers(V5).publish(topic, b"once more")
    assert first.message().dup is False
    first.die()
    second = peers(version, first.client_id, clean=False, expiry=600)
    again = second.message()
    assert (as_heard(again), again.dup) == (Heard(topic, b"once more"), True)


@each_version
def test_subscribing_in_a_resumed_session_sends_the_retained_message(
    peers: Peers, topic: str, version: MQTTProtocolVersion
) -> None:
    first = peers(version, clean=False, expiry=600)
    first.subscribe(topic)
    first.disconnect()
    second = peers(version, first.client_id, clean=False, expiry=600)
    peers(V3).publish(topic, b"state", retain=True)
    assert second.hear() == Heard(topic, b"state")
    second.subscribe(topic)
    assert second.heard() == [Heard(topic, b"state", retain=True)]


def test_client_without_a_name_is_given_one(port: int) -> None:
    answers: queue.Queue[Properties | None] = queue.Queue()
    client = ThreadedClient(CallbackAPIVersion.VERSION2, client_id="", protocol=V5)
    client.on_connect = lambda _c, _d, _flags, _reason, granted: answers.put(granted)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert names_and_values(answers.get(timeout=PATIENCE))["AssignedClientIdentifier"].startswith("auto-")
    client.end()
