"""Requests as they come over MQTT: which of them are carried out, and where their answers go."""

import logging
import time
from typing import Final, Protocol

from sip_bridge.bridge.requests import Requests
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import AccountTopic, BridgeTopic, ErrorCode, Response, Topics
from sip_bridge.mqtt.session import InboundMessage
from sip_bridge.phone.client import SIPClient

_LOG = logging.getLogger(__name__)
MAX_REQUESTS: Final = 64  # being carried out at a time


class Publish(Protocol):
    """See `MQTTSession.publish`."""

    def __call__(self, topic: str, payload: str, *, correlation_data: bytes | None = None) -> None:
        """Publish once, with QoS 1; an MQTT 5 requester gets its correlation data back."""


class Inbox:
    """Has so many requests carried out at a time, and publishes what became of each."""

    def __init__(self, topics: Topics, requests: Requests, client: SIPClient, *, publish: Publish) -> None:
        self._topics = topics
        self._requests = requests
        self._client = client
        self._publish = publish
        self._in_progress = 0
        self._is_flooded = False
        self.dropped = 0

    def receive(self, message: InboundMessage) -> None:
        """A message came on a topic of requests."""
        topic = self._topics.parse(message.topic)
        if topic is None or topic.kind != "request" or topic.name is None:
            return
        if message.retained:
            _LOG.warning("dropped a retained request on %s: a broker would replay it at each start", message.topic)
            self.dropped += 1
        elif self._in_progress >= MAX_REQUESTS:
            self._refuse(topic, topic.name, message)
        else:
            self._in_progress += 1
            verb = topic.name
            failure = Response.failed(
                ErrorCode.INTERNAL_ERROR, "a bug: see the log", contract.transaction_of(message.payload)
            )
            self._client.start_task(
                self._carry_out(topic, verb, message),
                name=f"request {message.topic}",
                on_error=lambda: self._respond(topic, verb, message, failure),
            )

    def _refuse(self, topic: AccountTopic | BridgeTopic, verb: str, message: InboundMessage) -> None:
        """Said once in the log: each line of it would be an MQTT message more in a flood."""
        text = f"{MAX_REQUESTS} requests are in progress"
        if not self._is_flooded:
            _LOG.warning("refused a request on %s: %s", message.topic, text)
        self._is_flooded = True
        self.dropped += 1
        self._respond(
            topic,
            verb,
            message,
            Response.failed(ErrorCode.BUSY, text, contract.transaction_of(message.payload)),
        )

    async def _carry_out(self, topic: AccountTopic | BridgeTopic, verb: str, message: InboundMessage) -> None:
        try:
            match topic:
                case AccountTopic(account=account):
                    response = await self._requests.answer_account(account, verb, message.payload)
                case BridgeTopic():
                    response = await self._requests.answer_bridge(verb, message.payload)
        finally:
            self._in_progress -= 1
            self._is_flooded = self._is_flooded and self._in_progress > 0
        self._respond(topic, verb, message, response)

    def _respond(
        self, topic: AccountTopic | BridgeTopic, verb: str, message: InboundMessage, response: Response
    ) -> None:
        text = contract.encode(response, time.time())
        usual, asked_for = self._answer_topic(topic, verb), message.response_topic
        if contract.verb_is_well_formed(verb) and asked_for != usual:
            self._publish(usual, text)
        if asked_for is not None and self._may_answer_at(asked_for):
            self._publish(asked_for, text, correlation_data=message.correlation_data)

    def _answer_topic(self, topic: AccountTopic | BridgeTopic, verb: str) -> str:
        match topic:
            case AccountTopic(account=account):
                return self._topics.of_account(account, "response", verb)
            case BridgeTopic():
                return self._topics.of_bridge("response", verb)

    def _may_answer_at(self, topic: str) -> bool:
        """A requester may name any topic for its answer, but none of the bridge's own, or answers would be requests."""
        own = self._topics.parse(topic)
        return own is None or own.kind == "response"
