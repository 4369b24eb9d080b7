"""What the tests of the embedded broker share."""

from collections.abc import Iterator

import pytest

from sip_bridge.mqtt.broker import BrokerSettings
from tests.mqtt.peer import Peers, names, running


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(BrokerSettings(port=0)) as broker:
        yield broker.port


@pytest.fixture
def peers(port: int) -> Iterator[Peers]:
    made = Peers(port)
    yield made
    made.end()


@pytest.fixture
def topic() -> str:
    return f"test/{next(names)}"
