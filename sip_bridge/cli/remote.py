"""A visitor at the bridge's broker: it sees what the bridge publishes, and sends requests."""

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from paho.mqtt.enums import MQTTProtocolVersion

from sip_bridge.bridge.broker import mqtt_settings
from sip_bridge.config import Config
from sip_bridge.errors import SipBridgeError
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.connection import Connection, Ended, Failure, MQTTSettings
from sip_bridge.mqtt.contract import Topics
from sip_bridge.mqtt.message import InboundMessage, Message

ANSWER_TIMEOUT: Final = 15.0  # seconds for the response to a request
STATE_TIMEOUT: Final = 3.0  # seconds for a retained topic to come


class RemoteError(SipBridgeError):
    """The bridge can't be reached, or did not do what it was asked."""


class NoBrokerError(RemoteError):
    """No MQTT broker answers there."""


class RefusedError(RemoteError):
    """The broker does not let us in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One message of the bridge's topics."""

    topic: str
    payload: str
    retained: bool

    @property
    def gist(self) -> str:
        """The keys that tell most, for a table."""
        try:
            values = json.loads(self.payload)
        except json.JSONDecodeError:
            return self.payload
        if not isinstance(values, dict):
            return self.payload
        picked = {key: values[key] for key in _TELLING if values.get(key) not in (None, [], {})}
        return "  ".join(f"{key}={_short(value)}" for key, value in picked.items())


_TELLING: Final = (
    *("state", "event", "direction", "origin", "status", "phrase", "error"),
    *("digit", "remote", "end_reason", "talk_seconds", "name"),
)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("name") or value.get("uri") or value.get("message") or value)
    return str(value)


class Remote:
    """``async with Remote(...) as remote``: connected, and subscribed to all topics of the bridge.

    RemoteError when the broker can't be reached. ``messages`` has what was seen, None after the connection broke.
    """

    def __init__(self, settings: MQTTSettings, topics: Topics) -> None:
        self._settings = settings
        self._connection: Connection | None = None
        self._responses: dict[str, asyncio.Future[contract.Response]] = {}
        self._watch: asyncio.Task[None] | None = None
        self.topics = topics
        self.messages: asyncio.Queue[Seen | None] = asyncio.Queue()

    @classmethod
    def of(cls, config: Config, *, port: int | None = None) -> Self:
        """To the broker of a configuration; ``port`` where an embedded one listens elsewhere."""
        settings = mqtt_settings(
            config, port=config.mqtt.port if port is None else port, client_id=f"sip_bridge_cli_{secrets.token_hex(4)}"
        )
        return cls(settings, Topics(base=config.mqtt.base_topic, bridge=config.bridge.id))

    async def __aenter__(self) -> Self:
        ended = await self._connect(MQTTProtocolVersion.MQTTv5)
        if ended is not None and ended.failure is Failure.UNSUPPORTED_VERSION:
            ended = await self._connect(MQTTProtocolVersion.MQTTv311)
        if ended is not None or self._connection is None:
            reason = ended.reason if ended is not None else "it hung up"
            is_refused = ended is not None and ended.failure is Failure.REFUSED
            kind = RefusedError if is_refused else NoBrokerError
            raise kind(f"no connection to the MQTT broker at {self._where}: {reason}")
        self._connection.subscribe((self.topics.everything,))
        self._watch = asyncio.create_task(self._watch_end(self._connection), name="watch the connection")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._connection is not None:
            await self._connection.close()
            self._connection.abort()

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    async def _connect(self, version: MQTTProtocolVersion) -> Ended | None:
        connection = Connection(
            self._settings,
            version,
            will=None,
            on_message=self._received,
            on_acknowledged=self._acknowledged,
            on_unsubscribed=lambda _, why: self._refused(f"refused a subscription: {why}"),
        )
        ended = await connection.open()
        if ended is None:
            self._connection = connection
        return ended

    async def _watch_end(self, connection: Connection) -> None:
        await connection.ended()
        self._refused("closed the connection")

    def _acknowledged(self, _number: int, refusal: str | None) -> None:
        if refusal is not None:
            self._refused(f"refused a message: {refusal}")

    def _refused(self, text: str) -> None:
        """Nobody waits any longer for what won't come."""
        for response in self._responses.values():
            if not response.done():
                response.set_exception(RemoteError(f"the MQTT broker at {self._where} {text}"))
        self.messages.put_nowait(None)

    def _received(self, message: InboundMessage) -> None:
        payload = message.payload.decode("utf-8", "replace")
        self.messages.put_nowait(Seen(topic=message.topic, payload=payload, retained=message.retained))
        topic = self.topics.parse(message.topic)
        if topic is not None and topic.kind == "response":
            self._settle(payload)

    def _settle(self, payload: str) -> None:
        try:
            response = contract.decode(contract.Response, payload)
        except contract.ContractError:
            return  # somebody else's
        waiting = self._responses.get(response.transaction or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(response)

    async def request(self, account: str | None, verb: str, request: contract.Request) -> contract.Response:
        """Ask a line, or without ``account`` the bridge, to do something; RemoteError when there is no answer."""
        transaction = secrets.token_hex(8)
        self._responses[transaction] = asyncio.get_running_loop().create_future()
        values = json.loads(contract.encode_request(request, time.time())) | {"transaction": transaction}
        topics = self.topics
        topic = topics.of_bridge("request", verb) if account is None else topics.of_account(account, "request", verb)
        self.publish(topic, json.dumps(values))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await self._responses[transaction]
        except TimeoutError:
            raise RemoteError(f"the bridge does not answer at {self._where}") from None
        finally:
            del self._responses[transaction]

    def publish(self, topic: str, payload: str) -> None:
        """Publish as it is."""
        if self._connection is not None:
            self._connection.send(Message(topic=topic, payload=payload.encode()))

    async def is_online(self) -> bool:
        """Whether the bridge is there; what was seen meanwhile is gone."""
        seen = await self._until(self.topics.of_bridge("state"))
        return seen is not None and '"online"' in seen.payload

    async def hears_itself(self) -> bool:
        """Whether the broker lets us publish among the bridge's topics, and gives us what is published there."""
        topic = self.topics.of_bridge("doctor")
        self.publish(topic, secrets.token_hex(8))
        return await self._until(topic) is not None

    async def _until(self, topic: str) -> Seen | None:
        try:
            async with asyncio.timeout(STATE_TIMEOUT):
                while (seen := await self.messages.get()) is not None:
                    if seen.topic == topic:
                        return seen
        except TimeoutError:
            pass
        return None

    async def check_online(self) -> None:
        """RemoteError unless the bridge is there; what was seen meanwhile is gone."""
        state = self.topics.of_bridge("state")
        try:
            async with asyncio.timeout(STATE_TIMEOUT):
                while (seen := await self.messages.get()) is not None:
                    if seen.topic == state:
                        break
        except TimeoutError:
            raise RemoteError(f"no bridge says anything on {self.topics.everything} at {self._where}") from None
        if seen is None or '"online"' not in seen.payload:
            raise RemoteError(f"the bridge {self.topics.bridge} is not running")
