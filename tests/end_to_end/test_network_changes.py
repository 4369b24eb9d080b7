"""What becomes of a registration when the network changes: a bridge and a registrar on machines of their own."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.kamailio import Kamailio
from tests.peers.network import Cable
from tests.peers.ports import LOOPBACK, free_port
from tests.peers.process import Process


@pytest.fixture
def cable() -> Iterator[Cable]:
    with Cable() as cable:
        yield cable


@pytest.fixture
def kamailio(tmp_path: Path, cable: Cable) -> Iterator[Kamailio]:
    folder = tmp_path / "kamailio"
    folder.mkdir()
    kamailio = Kamailio(folder, expires=600, machine=cable.a, host="192.0.2.1")
    kamailio.start()
    yield kamailio
    kamailio.stop()


@pytest.fixture(params=["udp", "tcp"])
def bridge(request: pytest.FixtureRequest, tmp_path: Path, cable: Cable, kamailio: Kamailio) -> Iterator[Process]:
    """It registers at Kamailio, from the other machine."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"mqtt: {{broker: embedded, host: {LOOPBACK}, port: {free_port()}}}\n"
        "sip: {port: 5060}\n"
        "accounts:\n"
        f"  - {{id: pbx, kind: registered, server: {kamailio.host}, port: {kamailio.port}, user: '620',"
        f" password: {kamailio.password('620')}, transport: {request.param}}}\n"
    )
    process = Process(*cable.b.inside(sys.executable, "-u", "-m", "sip_bridge", "run", "-c", str(config)))
    process.start_until("mosquitto_sub")
    yield process
    process.stop()


@pytest.mark.usefixtures("bridge")
async def test_another_address_is_registered_at_once(kamailio: Kamailio, cable: Cable) -> None:
    assert "620@192.0.2.2:" in await kamailio.registered("620")
    cable.b.ip("address add 192.0.2.3/24 dev eth0")
    cable.b.ip("address delete 192.0.2.2/24 dev eth0")  # the first address of a network takes its others with it
    cable.b.ip("address add 192.0.2.3/24 dev eth0")
    await kamailio.process.printed("620 is registered at <sip:620@192.0.2.3:", within=5)
