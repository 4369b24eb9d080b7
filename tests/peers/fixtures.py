"""The peers as fixtures; tests/conftest.py makes them known to all tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.peers.asterisk import Asterisk
from tests.peers.baresip import Baresip
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder
from tests.peers.process import Process
from tests.peers.sipp import Sipp

if TYPE_CHECKING:
    from tests.peers.chromium import Chromium
    from tests.peers.home_assistant import HomeAssistant


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


@pytest.fixture(scope="module")
def home_assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    """Home Assistant with our component and with a broker of its own (`home_assistant.broker`), for a whole module."""
    # Not at the top: the Python that runs the component's tests has no websockets.
    from tests.peers.home_assistant import HomeAssistant  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("home_assistant")
    broker = Mosquitto(folder)
    home_assistant = HomeAssistant(folder / "config", broker)
    broker.start()
    try:
        asyncio.run(home_assistant.set_up())
        yield home_assistant
    finally:
        if home_assistant.process.is_running:
            home_assistant.process.stop(within=60)
        broker.stop()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser for a whole module."""
    from tests.peers.chromium import Chromium  # noqa: PLC0415  # as above

    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    browser.start()
    yield browser
    browser.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows with a test that failed what its peers printed."""
    report = yield
    if report.failed:
        for name, peer in item.funcargs.items():
            process = getattr(peer, "process", None)
            if isinstance(process, Process):
                report.sections.append((f"Output of {name}", process.output))
    return report
