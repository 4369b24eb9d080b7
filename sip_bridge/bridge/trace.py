"""SIP messages on MQTT, for as long as somebody wants to see them."""

import time
from collections.abc import Callable
from typing import Final

from sip_bridge.mqtt import contract
from sip_bridge.phone.client import WireMessage
from sip_bridge.sip.redaction import redacted
from sip_bridge.sip.uri import format_host_port

MAX_SECONDS: Final = 3600.0
MAX_RATE: Final = 200  # messages a second; a flood is not repeated on MQTT


class Trace:
    """``publish`` gets a payload for each message until the time is over; what a flood has too many of is counted."""

    def __init__(self, publish: Callable[[str], None], *, clock: Callable[[], float]) -> None:
        self._publish = publish
        self._clock = clock
        self._ends = 0.0
        self._second = 0
        self._in_second = 0
        self.dropped = 0

    def run(self, seconds: float) -> None:
        """Show messages for so long from now on; 0 ends it."""
        self._ends = self._clock() + min(seconds, MAX_SECONDS)

    def observe(self, message: WireMessage) -> None:
        """A message was sent or has come."""
        now = self._clock()
        if now >= self._ends:
            return
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        self._in_second += 1
        if self._in_second > MAX_RATE:
            self.dropped += 1
            return
        flow = message.flow
        payload = contract.TracedMessage(
            origin=contract.Origin.LOCAL if message.is_ours else contract.Origin.REMOTE,
            transport=flow.transport,
            local=format_host_port(*flow.local),
            remote=format_host_port(*flow.remote),
            message=redacted(message.data),
        )
        self._publish(contract.encode(payload, time.time()))
