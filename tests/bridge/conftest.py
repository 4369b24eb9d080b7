"""A whole bridge in this process, on loopback, with the embedded broker; a phone that calls it; an MQTT client."""

import asyncio
import itertools
import json
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sip_bridge.bridge.service import Running, running
from sip_bridge.config import BridgeSettings, Config, EmbeddedMQTT
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import Topics
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, CallFinished, DTMFPressed, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import Account, DirectAccount, PortRange, SIPSettings
from tests.bridge.watcher import Seen, Watcher, watching

TOPICS = Topics()
LOOPBACK = SIPSettings(bind="127.0.0.1", port=0, rtp_ports=PortRange(low=20000, high=29999))
DOOR = DirectAccount(id="door", name="Door", user="door", aliases=("bell",))
TIMEOUT = 10.0


_STATES = tempfile.TemporaryDirectory(prefix="sip-bridge-tests-")  # gone with the process
_numbers = itertools.count(1)


def config_of(*accounts: Account, state_dir: Path | None = None) -> Config:
    """Of a bridge that has no past, unless it is told where."""
    return Config(
        bridge=BridgeSettings(),
        mqtt=EmbeddedMQTT(port=0),
        sip=LOOPBACK,
        accounts=accounts,
        log_level="info",
        state_dir=state_dir or Path(_STATES.name, str(next(_numbers))),
    )


@dataclass(kw_only=True)
class Mqtt:
    """What an MQTT client sees: every payload decoded by the contract, in order."""

    watcher: Watcher
    seen: list[tuple[str, Any]] = field(default_factory=list)
    raw: list[Seen] = field(default_factory=list)

    async def until(self, is_it: Callable[[str, Any], bool]) -> Any:
        """The first message from here on that fits."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                message = await self.watcher.messages.get()
                self.raw.append(message)
                payload = decoded(message)
                self.seen.append((message.topic, payload))
                if is_it(message.topic, payload):
                    return payload

    async def event(self, name: str, account: str = "door") -> Any:
        return await self.until(lambda topic, _: topic == TOPICS.of_account(account, "event", name))

    async def snapshot(self, state: str, account: str = "door") -> contract.CallSnapshot:
        topic = TOPICS.of_account(account, "call")
        found: contract.CallSnapshot = await self.until(lambda t, payload: t == topic and payload.state == state)
        return found

    async def request(self, verb: str, payload: str = "", account: str = "door") -> contract.Response:
        """Publish a request and wait for its response."""
        self.watcher.publish(TOPICS.of_account(account, "request", verb), payload)
        topic = TOPICS.of_account(account, "response", verb)
        response: contract.Response = await self.until(lambda t, _: t == topic)
        return response

    async def ask(self, verb: str, payload: str = "") -> contract.Response:
        """Publish a request to the bridge as a whole and wait for its response."""
        self.watcher.publish(TOPICS.of_bridge("request", verb), payload)
        response: contract.Response = await self.until(lambda t, _: t == TOPICS.of_bridge("response", verb))
        return response

    def latest(self, topic: str) -> Any:
        """The last payload seen on a topic."""
        return next(payload for seen, payload in reversed(self.seen) if seen == topic)

    def events(self) -> list[str]:
        """The names of all events so far."""
        return [payload.event for topic, payload in self.seen if "/event/" in topic]


PAYLOADS: dict[str, type] = {
    "last_call": contract.CallEndedEvent,
    "call": contract.CallSnapshot,
    "registration": contract.Registration,
    "settings": contract.Settings,
    "messages": contract.WaitingMessages,
    "response": contract.Response,
    "state": contract.BridgeState,
    "info": contract.BridgeInfo,
    "accounts": contract.Accounts,
    "health": contract.Health,
    "logging": contract.LogRecord,
}


def decoded(message: Seen) -> Any:
    topic = TOPICS.parse(message.topic)
    if not message.payload:
        return None  # how MQTT removes a retained message
    if topic is not None and topic.kind == "event":
        return contract.decode_event(message.payload)
    if topic is not None and topic.kind in PAYLOADS:
        return contract.decode(PAYLOADS[topic.kind], message.payload)
    return message.payload


@dataclass(kw_only=True)
class Phone:
    """A phone that calls, or is called by, the bridge."""

    phone: VoIPPhone
    events: "asyncio.Queue[PhoneEvent]"

    async def call(self, uri: str) -> VoIPCall:
        return await self.phone.dial(uri, timeout=TIMEOUT)

    async def state(self, state: CallState) -> VoIPCall:
        """Wait until a call is in a state."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                match await self.events.get():
                    case CallChanged(call=call) if call.state is state:
                        return call
                    case _:
                        pass

    async def pressed(self) -> DTMFPressed:
        """The next key that is heard."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                match await self.events.get():
                    case DTMFPressed() as pressed:
                        return pressed
                    case _:
                        pass

    async def finished(self) -> CallFinished:
        async with asyncio.timeout(TIMEOUT):
            while True:
                match await self.events.get():
                    case CallFinished() as finished:
                        return finished
                    case _:
                        pass


@asynccontextmanager
async def phone_on_loopback(user: str, *, accept_transfers: bool = False) -> AsyncIterator[Phone]:
    events: asyncio.Queue[PhoneEvent] = asyncio.Queue()
    async with SIPClient(LOOPBACK) as client:
        account = DirectAccount(id=user, name=user.capitalize(), user=user, accept_transfers=accept_transfers)
        phone = VoIPPhone(client, account, listener=lambda _, event: events.put_nowait(event))
        phone.start()
        yield Phone(phone=phone, events=events)
        phone.stop()


@pytest.fixture
async def bridge() -> AsyncIterator[Running]:
    async with running(config_of(DOOR)) as started:
        yield started


@asynccontextmanager
async def client_of(bridge: Running) -> AsyncIterator[Mqtt]:
    async with watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
        client = Mqtt(watcher=watcher)
        await client.until(lambda topic, payload: topic.endswith("/state") and payload.state == "online")
        yield client


@pytest.fixture
async def mqtt(bridge: Running) -> AsyncIterator[Mqtt]:
    async with client_of(bridge) as client:
        yield client


@pytest.fixture
async def station() -> AsyncIterator[Phone]:
    async with phone_on_loopback("station") as phone:
        yield phone


@pytest.fixture
def door(bridge: Running) -> str:
    """The URI of the line."""
    return f"sip:door@127.0.0.1:{bridge.sip_port}"


def ringing_uri(phone: Phone) -> str:
    return f"sip:{phone.phone.account.user}@127.0.0.1:{phone.phone.client.port}"


def as_json(**values: object) -> str:
    return json.dumps(values)


def send_datagram(data: bytes, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", port))
