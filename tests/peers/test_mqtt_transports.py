"""The MQTT session over TLS and WebSocket, at a real mosquitto."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sip_bridge.phone.settings import TLSSettings
from sip_bridge.phone.transport.tls import TLSContexts
from tests.peers.ports import free_port
from tests.peers.test_mqtt_session import LOCALHOST, Mosquitto, Recorder, eventually
from tests.phone.certificates import Authority, Issued

WEBSOCKETS: dict[str, Any] = {"transport": "websockets"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Broker(Mosquitto):
    """``port`` is as the test wants it; ``plain_port`` is there for mosquitto_pub."""

    async def start(self, *options: str) -> None:
        self.plain_port = free_port()
        await super().start(*options, f"listener {self.plain_port} {LOCALHOST}", "allow_anonymous true")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    made = Broker(tmp_path)
    yield made
    await made.stop()


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue("broker", f"IP:{LOCALHOST}")


def listener(authority: Authority, issued: Issued) -> tuple[str, ...]:
    return f"certfile {issued.certificate}", f"keyfile {issued.key}", f"cafile {authority.certificate}"


def trusting(authority: Authority, **settings: Any) -> dict[str, Any]:
    return {"tls": TLSContexts(TLSSettings(ca=authority.certificate, **settings)).client}


async def check_both_directions(broker: Broker, **settings: Any) -> None:
    """Many small messages and a long one, so that a frame or record ends anywhere in a packet."""
    recorder = Recorder()
    payloads = [f"{number}:{'x' * number}" for number in range(100)] + ["y" * 100_000]
    async with recorder.session(broker.port, filters=("t/echo",), **settings) as session:
        await recorder.connected()
        for payload in payloads:
            session.publish("t/echo", payload)
        heard = [(await recorder.message()).payload.decode() for _ in payloads]
        assert heard == payloads


async def test_tls(broker: Broker, authority: Authority, issued: Issued) -> None:
    await broker.start(*listener(authority, issued))
    await check_both_directions(broker, **trusting(authority))


async def test_a_client_certificate_is_shown(broker: Broker, authority: Authority, issued: Issued) -> None:
    await broker.start(*listener(authority, issued), "require_certificate true")
    ours = authority.issue("bridge")
    shown = {"client_certificate": ours.certificate, "client_key": ours.key}
    await check_both_directions(broker, **trusting(authority, **shown))


async def test_websocket(broker: Broker) -> None:
    await broker.start("protocol websockets")
    await check_both_directions(broker, **WEBSOCKETS)


async def test_websocket_over_tls(broker: Broker, authority: Authority, issued: Issued) -> None:
    await broker.start("protocol websockets", *listener(authority, issued))
    await check_both_directions(broker, **WEBSOCKETS, **trusting(authority))


async def test_websocket_with_mqtt_3(broker: Broker) -> None:
    await broker.start("protocol websockets")
    await check_both_directions(broker, **WEBSOCKETS, protocol="3.1.1")


async def test_a_broker_need_not_be_verified(broker: Broker, authority: Authority, issued: Issued) -> None:
    await broker.start(*listener(authority, issued))
    await check_both_directions(broker, tls=TLSContexts(TLSSettings(verify=False)).client)


async def test_a_broker_that_nobody_vouches_for_is_not_told_the_password(
    broker: Broker, authority: Authority, issued: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.start(*listener(authority, issued))
    async with Recorder().session(broker.port, tls=TLSContexts(TLSSettings()).client) as session:
        await eventually(lambda: bool(caplog.messages))
        assert not session.connected
    assert caplog.messages[0] == (
        f"no connection to the MQTT broker at {LOCALHOST}:{broker.port}: its certificate is not accepted: "
        "self-signed certificate in certificate chain"
    )


async def test_a_port_without_tls_is_named_as_such(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    await broker.start()
    context = ssl.create_default_context()
    async with Recorder().session(broker.plain_port, tls=lambda: context):
        await eventually(lambda: bool(caplog.messages))
    assert caplog.messages[0].startswith(f"no connection to the MQTT broker at {LOCALHOST}:{broker.plain_port}: ")
