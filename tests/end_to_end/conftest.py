"""A bridge at a real mosquitto, and a subscriber that checks every payload against the contract."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.bridge import Bridge, Client, check_contract
from tests.peers.asterisk import Asterisk
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder
from tests.phone.certificates import Authority, Issued


@pytest.fixture
def bridge(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path, mosquitto)
    bridge.start()
    yield bridge
    bridge.end()


@pytest.fixture
async def client(bridge: Bridge, recorder: MqttRecorder) -> AsyncIterator[Client]:
    client = Client(recorder)
    await client.online()
    yield client
    await recorder.settled()
    check_contract(recorder.messages)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of peers that speak TLS."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Issued:
    """Of whoever is on loopback."""
    return authority.issue("loopback", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def module_asterisk(tmp_path_factory: pytest.TempPathFactory, certificate: Issued) -> Iterator[Asterisk]:
    asterisk = Asterisk(tmp_path_factory.mktemp("asterisk"), certificate=certificate)
    asterisk.start()
    yield asterisk
    asterisk.stop()


@pytest.fixture
def shared_asterisk(module_asterisk: Asterisk) -> Asterisk:
    """One for all tests of a module; each sees only what is printed from its begin on."""
    module_asterisk.process.forget_lines()
    return module_asterisk


@pytest.fixture
def pbx_bridge(tmp_path: Path, mosquitto: Mosquitto, asterisk: Asterisk) -> Iterator[Bridge]:
    """A bridge that registers at Asterisk as 620."""
    host, port = asterisk.address.split(":")
    account = f"{{id: pbx, kind: registered, server: {host}, port: {port}, user: '620', password: %s}}"
    bridge = Bridge(tmp_path, mosquitto, f"  - {account % asterisk.password('620')}\n")
    bridge.start()
    yield bridge
    bridge.end()


@pytest.fixture
async def pbx(pbx_bridge: Bridge, recorder: MqttRecorder) -> AsyncIterator[Client]:
    client = Client(recorder, account="pbx")
    await client.registration("registered")
    yield client
    await recorder.settled()
    check_contract(recorder.messages)
