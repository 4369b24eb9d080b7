"""The bridge as it is run: another process, a configuration file, an MQTT broker that is not its own."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import AccountTopic, Topics
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder, Recorded
from tests.peers.ports import LOOPBACK, free_port, free_ports
from tests.peers.process import Process

TOPICS = Topics()
_RTP_PORTS = 40
DOOR = "  - {id: door, kind: direct, name: Door}\n"


class Bridge:
    """One bridge; the same configuration, and so the same ports, over its restarts."""

    def __init__(self, folder: Path, broker: Mosquitto, accounts: str = DOOR, *, mqtt: str | None = None) -> None:
        self.port = free_port()
        self._rtp = free_ports(_RTP_PORTS)
        self._config = folder / "config.yaml"
        self._accounts = accounts
        self.mqtt = mqtt or f"{{host: {broker.host}, port: {broker.port}}}"
        self.process = Process(sys.executable, "-u", "-m", "sip_bridge", "run", "-c", self._config)

    @property
    def address(self) -> str:
        """``host:port`` of SIP."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it; it listens when this returns."""
        self.configure(self._accounts)
        self.process.start_until("mosquitto_sub")

    def configure(self, accounts: str) -> None:
        """Write the configuration with these accounts; one that runs has to be told."""
        self._accounts = accounts
        self._config.write_text(
            f"mqtt: {self.mqtt}\n"
            f"sip: {{bind: {LOOPBACK}, port: {self.port}, rtp_ports: {self._rtp}-{self._rtp + _RTP_PORTS - 1}}}\n"
            f"accounts:\n{accounts}"
        )

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop, as Ctrl-C does; the exit code."""
        self.process.send(number)
        return self.process.wait(within=10)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()

    def end(self) -> None:
        """Whatever the test left."""
        if self.process.is_running:
            self.process.kill()
        print(self.process.output)  # pytest shows it when the test failed


class Client:
    """What a program on the other side of MQTT does with the bridge."""

    def __init__(self, recorder: MqttRecorder, account: str = "door") -> None:
        self.recorder = recorder
        self.account = account
        self._since = 0

    async def online(self) -> None:
        """Wait until the bridge says so."""
        await self.recorder.wait_for(
            lambda m: m.topic == TOPICS.of_bridge("state") and m.payload["state"] == "online", within=15
        )

    async def event(self, name: str, *, within: float = 10) -> Any:
        """The next event of that name."""
        topic = TOPICS.of_account(self.account, "event", name)
        found = await self.recorder.wait_for_topic(topic, within=within, since=self._since)
        self._since = self.recorder.messages.index(found) + 1
        return found.payload

    async def call_state(self, state: str) -> Any:
        """The retained call snapshot, once it shows a state."""
        topic = TOPICS.of_account(self.account, "call")
        found = await self.recorder.wait_for(lambda m: m.topic == topic and m.payload["state"] == state, within=10)
        return found.payload

    async def registration(self, state: str) -> Any:
        """The retained registration, once it shows a state."""
        topic = TOPICS.of_account(self.account, "registration")
        found = await self.recorder.wait_for(lambda m: m.topic == topic and m.payload["state"] == state, within=10)
        return found.payload

    async def request(self, verb: str, payload: Any = "") -> Any:
        """Publish a request; its response."""
        mark = self.recorder.mark()
        await self.recorder.publish(TOPICS.of_account(self.account, "request", verb), payload)
        topic = TOPICS.of_account(self.account, "response", verb)
        return (await self.recorder.wait_for_topic(topic, since=mark)).payload

    async def event_names(self) -> list[str]:
        """Every event of the account so far."""
        return await self.recorder.event_names(self.account)

    def call_states(self) -> list[str]:
        """The states that the retained snapshot went through."""
        topic = TOPICS.of_account(self.account, "call")
        return [message.payload["state"] for message in self.recorder.messages if message.topic == topic]


PAYLOADS: dict[str, type] = {
    "call": contract.CallSnapshot,
    "last_call": contract.CallEndedEvent,
    "registration": contract.Registration,
    "settings": contract.Settings,
    "response": contract.Response,
    "state": contract.BridgeState,
    "info": contract.BridgeInfo,
    "accounts": contract.Accounts,
    "health": contract.Health,
    "logging": contract.LogRecord,
}


def check_contract(messages: list[Recorded]) -> None:
    """Every message that the bridge sent is one that the contract reads, on a topic that it names."""
    for message in messages:
        topic = TOPICS.parse(message.topic)
        if topic is None or topic.kind == "request":
            continue
        text = json.dumps(message.payload)
        if isinstance(topic, AccountTopic) and topic.kind == "event":
            assert contract.decode_event(text).event == topic.name
        else:
            assert contract.decode(PAYLOADS[topic.kind], text) is not None
