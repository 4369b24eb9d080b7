"""A reload with a real registrar: one account gets another password while a call of another one goes on."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.bridge import TOPICS, Bridge, Client
from tests.peers.asterisk import Asterisk
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder


class Accounts:
    """620 talks, 101 is changed."""

    def __init__(self, asterisk: Asterisk) -> None:
        self._asterisk = asterisk
        self._host, self._port = asterisk.address.split(":")

    def text(self, *, password: str) -> str:
        return self._one("pbx", "620", self._asterisk.password("620")) + self._one("kitchen", "101", password)

    def _one(self, name: str, user: str, password: str) -> str:
        where = f"kind: registered, server: {self._host}, port: {self._port}"
        return f"  - {{id: {name}, {where}, user: '{user}', password: {password}}}\n"


@pytest.fixture
def accounts(asterisk: Asterisk) -> Accounts:
    return Accounts(asterisk)


@pytest.fixture
def bridge(tmp_path: Path, mosquitto: Mosquitto, accounts: Accounts) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path, mosquitto, accounts.text(password="wrong"))
    bridge.start()
    yield bridge
    bridge.end()


@pytest.fixture
async def pbx(bridge: Bridge, recorder: MqttRecorder) -> Client:
    client = Client(recorder, account="pbx")
    await client.registration("registered")
    return client


async def test_another_password_registers_and_an_echo_on_another_account_goes_on(
    bridge: Bridge, pbx: Client, accounts: Accounts, asterisk: Asterisk
) -> None:
    kitchen = Client(pbx.recorder, account="kitchen")
    await kitchen.registration("failed")
    await pbx.request("dial", "600")
    await pbx.event("OK")
    await pbx.request("play", "tone:dial")
    mark = pbx.recorder.mark()
    bridge.configure(accounts.text(password=asterisk.password("101")))
    bridge.process.send(signal.SIGHUP)
    await kitchen.registration("registered")
    assert "101" in await asterisk.cli("pjsip show contacts")
    await asyncio.sleep(1)  # of sound, to be counted below
    await pbx.request("hangup")
    ended = await pbx.event("CALL_ENDED")
    assert ended["end_reason"] == "hangup_local"
    assert ended["quality"]["packets"] / 50 > ended["talk_seconds"] / 2  # a busy machine's Asterisk may pause
    assert registrations(kitchen, since=mark)[-1]["registration"] == "registered"
    assert registrations(pbx, since=mark) == []


def registrations(client: Client, *, since: int) -> list[dict[str, str]]:
    topic = TOPICS.of_account(client.account, "event", "REGISTRATION_CHANGED")
    return [message.payload for message in client.recorder.messages[since:] if message.topic == topic]


async def test_a_removed_account_is_gone_from_the_registrar(
    bridge: Bridge, pbx: Client, accounts: Accounts, asterisk: Asterisk
) -> None:
    bridge.configure(accounts.text(password="wrong").replace("id: pbx", "id: other").replace("'620'", "'622'"))
    mark = pbx.recorder.mark()
    await pbx.recorder.publish(TOPICS.of_bridge("request", "reload"), "")
    response = await pbx.recorder.wait_for_topic(TOPICS.of_bridge("response", "reload"), since=mark)
    assert response.payload["data"]["added"] == ["other"]
    assert response.payload["data"]["removed"] == ["pbx"]
    async with asyncio.timeout(5):
        while "/620" in await asterisk.cli("pjsip show contacts"):
            pass  # its 200 and our look at it cross
