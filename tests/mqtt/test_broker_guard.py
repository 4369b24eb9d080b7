"""The embedded broker holds: who gets in, what garbage does, and how it stops."""

import asyncio
import gc
import socket
import struct
import time
import warnings

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from sip_bridge.errors import BrokerError
from sip_bridge.mqtt.broker import BrokerSettings, EmbeddedBroker, Limits
from tests.mqtt.peer import PATIENCE, V3, V5, Heard, Peer, Peers, names_and_values, running

each_version = pytest.mark.parametrize("version", [V3, V5], ids=["v3", "v5"])
each_pair = pytest.mark.parametrize(
    ("sender", "receiver"),
    [(V3, V3), (V3, V5), (V5, V3), (V5, V5)],
    ids=["v3-to-v3", "v3-to-v5", "v5-to-v3", "v5-to-v5"],
)


# --- who may connect -----------------------------------------------------------------------------------------------


@each_version
def test_only_the_right_login_gets_in(version: MQTTProtocolVersion, caplog: pytest.LogCaptureFixture) -> None:
    with running(BrokerSettings(port=0, username="door", password="s3cret")) as broker:
        attempts = [None, ("door", "wrong-word"), ("dorr", "s3cret"), ("door", "s3cret")]
        clients = [Peer(broker.port, version, login=login) for login in attempts]
        reasons = [client.reason.value for client in clients]
        for client in clients:
            client.disconnect()
        assert broker.rejected == 3
    assert reasons == [0x86, 0x86, 0x86, 0]
    assert [record.getMessage() for record in caplog.records] == [
        "refused the MQTT client at 127.0.0.1: bad user name or password"
    ]


def test_settings_hide_the_password() -> None:
    assert "s3cret" not in repr(BrokerSettings(username="door", password="s3cret"))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "broker.example"])
async def test_network_wide_broker_without_a_password_is_refused(host: str) -> None:
    with pytest.raises(BrokerError, match=r"open to the network at .*: set a username and a password"):
        await EmbeddedBroker(BrokerSettings(host=host, port=0)).__aenter__()


async def test_half_a_login_is_refused() -> None:
    with pytest.raises(BrokerError, match="a username and a password, or neither"):
        await EmbeddedBroker(BrokerSettings(port=0, username="door")).__aenter__()


async def test_network_wide_broker_with_a_password_starts() -> None:
    async with EmbeddedBroker(BrokerSettings(host="0.0.0.0", port=0, username="a", password="b")) as broker:
        assert broker.port > 0


async def test_taken_port_is_one_clear_error() -> None:
    async with EmbeddedBroker(BrokerSettings(port=0)) as broker:
        with pytest.raises(BrokerError) as caught:
            await EmbeddedBroker(BrokerSettings(port=broker.port)).__aenter__()
        expected = f"the embedded broker can't listen on 127.0.0.1 port {broker.port}: Address already in use"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "settings", [BrokerSettings(port=70000), BrokerSettings(host="192.0.2.1", port=0, username="a", password="b")]
)
async def test_impossible_address_is_a_clear_error(settings: BrokerSettings) -> None:
    with pytest.raises(BrokerError, match="can't listen on"):
        await EmbeddedBroker(settings).__aenter__()


async def test_port_of_a_broker_that_does_not_run_is_an_error() -> None:
    with pytest.raises(BrokerError, match="not running"):
        _ = EmbeddedBroker(BrokerSettings()).port


# --- hostile and broken clients ------------------------------------------------------------------------------------

CONNECT_V3 = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03raw"
CONNECT_V5 = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03raw"
GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: door.example\r\nUser-Agent: a-browser\r\nAccept: text/html\r\n\r\n",
    "all ones": b"\xff" * 5000,
    "endless length": b"\x10\xff\xff\xff\xff\xff",
    "a CONNECT larger than anyone's": b"\x10\xff\xff\xff\x7f" + bytes(5000),
    "publish before connect": b"\x30\x04\x00\x01ab!",
    "connect twice": CONNECT_V3 * 2,
    "connect twice, v5": CONNECT_V5 * 2,
    "wildcard in a topic name": CONNECT_V3 + b"\x30\x06\x00\x03a/#!",
    "wildcard in a topic name, v5": CONNECT_V5 + b"\x30\x07\x00\x03a/#\x00!",
    "topic alias": CONNECT_V5 + b"\x30\x08\x00\x01a\x03\x23\x00\x01!",
    "topic is not UTF-8": CONNECT_V3 + b"\x30\x04\x00\x02\xc3\x28",
    "qos 3": CONNECT_V3 + b"\x36\x06\x00\x01a\x00\x01!",
    "a packet of 200 MiB": CONNECT_V3 + b"\x30\x80\x80\x80\x64" + bytes(5000),
    "a server's packet": CONNECT_V3 + b"\x20\x02\x00\x00",
    "an authentication exchange": CONNECT_V5 + b"\xf0\x00",
}


def read_to_end(sock: socket.socket) -> bytes:
    chunks = iter(lambda: sock.recv(4096), b"")
    return b"".join(chunks)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_ends_its_own_connection_only(peers: Peers, topic: str, garbage: bytes) -> None:
    bystander = peers(V5)
    bystander.subscribe(topic)
    with socket.create_connection(("127.0.0.1", peers.port), timeout=PATIENCE) as sock:
        sock.sendall(garbage)
        assert drained(sock)[:1] in {b"", b"\x20"}  # nothing, or first the CONNACK of what began well
    peers(V3).publish(topic, b"still here")
    assert bystander.heard() == [Heard(topic, b"still here")]


def drained(sock: socket.socket) -> bytes:
    """What comes before the end, be it a reset: the broker does not read what follows a violation."""
    try:
        return read_to_end(sock)
    except ConnectionResetError:
        return b""


def test_old_mqtt_3_1_is_told_that_its_version_is_not_spoken(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(b"\x10\x11\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x03raw")
        assert read_to_end(sock) == b"\x20\x02\x00\x01"


def test_violation_is_explained_to_an_mqtt_5_client(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(GARBAGE["wildcard in a topic name, v5"])
        assert read_to_end(sock)[-4:] == b"\xe0\x02\x90\x00"


def test_packet_over_the_limit_ends_the_connection() -> None:
    with running(BrokerSettings(port=0, limits=Limits(max_packet_size=1000))) as broker:
        peer = Peer(broker.port, V5)
        assert names_and_values(peer.granted_properties)["MaximumPacketSize"] == 1000
        peer.client.publish("a", bytes(2000), 1)
        assert peer.ends.get(timeout=PATIENCE).value == 0x95
        peer.disconnect()


def test_connections_over_the_limit_are_closed(caplog: pytest.LogCaptureFixture) -> None:
    with running(BrokerSettings(port=0, limits=Limits(max_connections=2))) as broker:
        inside = [Peer(broker.port, V3), Peer(broker.port, V5)]
        with socket.create_connection(("127.0.0.1", broker.port), timeout=PATIENCE) as sock:
            assert read_to_end(sock) == b""
        inside[0].disconnect()
        inside[1].heard()
        newcomer = Peer(broker.port, V3)
        reason = newcomer.reason.value
        for peer in (inside[1], newcomer):
            peer.disconnect()
    assert reason == 0
    assert [record.getMessage() for record in caplog.records] == [
        "refused the MQTT client at 127.0.0.1: too many connections"
    ]


def deaf_subscriber(port: int, topic: str) -> socket.socket:
    """A client that subscribed at QoS 0 and reads nothing more; its own sending waits a second at most."""
    name = topic.encode()
    subscribe = b"\x00\x01" + struct.pack(">H", len(name)) + name + b"\x00"
    sock = socket.create_connection(("127.0.0.1", port), timeout=1)
    sock.sendall(CONNECT_V3 + b"\x82" + bytes((len(subscribe),)) + subscribe)
    assert [sock.recv(4), sock.recv(5)] == [b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00"]
    return sock


def test_subscriber_that_does_not_read_holds_up_nobody(topic: str, caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(max_queued_bytes=1024 * 1024)
    with running(BrokerSettings(port=0, limits=limits)) as broker, deaf_subscriber(broker.port, topic):
        reader, publisher = Peer(broker.port, V5), Peer(broker.port, V3)
        reader.subscribe(topic)
        for _ in range(100):
            publisher.publish(topic, bytes(200_000))
            assert reader.hear() == Heard(topic, bytes(200_000))
        for peer in (reader, publisher):
            peer.disconnect()
    assert [record.getMessage() for record in caplog.records] == [
        "MQTT client 'raw' does not keep up: its oldest messages are dropped"
    ]


def test_client_that_does_not_read_is_not_read_from(peers: Peers, topic: str) -> None:
    with deaf_subscriber(peers.port, topic) as deaf:
        publisher = peers(V3)
        for _ in range(50):
            publisher.publish(topic, bytes(200_000))
        with pytest.raises(TimeoutError):
            ping(deaf, 3 * 2**20)


def ping(sock: socket.socket, count: int) -> None:
    """Send PINGREQ packets; raises TimeoutError once the peer takes none for a second."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    left = 2 * count
    while left > 0:
        left -= sock.send(b"\xc0\x00" * 1024)


# --- stopping ------------------------------------------------------------------------------------------------------


def test_stop_tells_the_clients_frees_the_port_and_is_quick() -> None:
    with running(BrokerSettings(port=0)) as broker:
        port = broker.port
        peers = [Peer(port, V3), Peer(port, V5)]
        hung = socket.create_connection(("127.0.0.1", port))
        peers[0].stop_answering()
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 3
    assert peers[1].ends.get(timeout=PATIENCE).value == 0x8B
    hung.close()
    for peer in peers:
        peer.disconnect()
    with running(BrokerSettings(port=port)) as broker:
        assert broker.port == port


def test_a_connection_that_is_accepted_as_it_stops_is_closed() -> None:
    async def stop_as_somebody_connects() -> None:
        async with EmbeddedBroker(BrokerSettings(port=0)) as broker:
            with socket.create_connection(("127.0.0.1", broker.port)):
                for _ in range(2):  # turns of the loop: accepted, but not served yet
                    await asyncio.sleep(0)

    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        asyncio.run(stop_as_somebody_connects())
        gc.collect()
    assert [str(each.message) for each in left if each.category is ResourceWarning] == []


def test_stop_does_not_wait_for_a_client_that_does_not_read(topic: str) -> None:
    with running(BrokerSettings(port=0)) as broker:
        deaf = Peer(broker.port, V5)
        deaf.subscribe(topic)
        deaf.stop_answering()
        publisher = Peer(broker.port, V3)
        for _ in range(50):
            publisher.publish(topic, bytes(200_000))
        publisher.disconnect()
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 3
    deaf.disconnect()
