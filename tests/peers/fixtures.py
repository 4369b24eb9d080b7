"""The peers as fixtures; tests/conftest.py makes them known to all tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.peers import ports
from tests.peers.asterisk import Asterisk
from tests.peers.baresip import Baresip
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder
from tests.peers.sipp import Sipp


@pytest.fixture
def free_udp_port() -> int:
    return ports.free_udp_port()


@pytest.fixture
def free_tcp_port() -> int:
    return ports.free_tcp_port()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of the test's own."""
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def recorder(mosquitto: Mosquitto) -> AsyncIterator[MqttRecorder]:
    """A subscriber to everything at the test's broker."""
    async with MqttRecorder(mosquitto.port) as recorder:
        yield recorder


@pytest.fixture
def sipp(tmp_path: Path) -> Iterator[Sipp]:
    """Starts SIPp runs; ends those that still run."""
    sipp = Sipp(tmp_path)
    yield sipp
    sipp.stop()


@pytest.fixture
async def baresip(tmp_path: Path) -> AsyncIterator[Baresip]:
    """A softphone that registers nowhere."""
    async with Baresip(tmp_path / "baresip") as phone:
        yield phone


@pytest.fixture
def asterisk(tmp_path: Path) -> Iterator[Asterisk]:
    """A telephone system of the test's own."""
    folder = tmp_path / "asterisk"
    folder.mkdir()
    asterisk = Asterisk(folder)
    asterisk.start()
    yield asterisk
    asterisk.stop()
    print(asterisk.process.output)  # pytest shows it when the test failed
