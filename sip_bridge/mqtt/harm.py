"""Messages that a broker ends the connection for: sent again on each connect, they would never let it live."""

from typing import Final

from sip_bridge.mqtt.connection import ODD, Ended
from sip_bridge.mqtt.message import Message

# Ends that the oldest message without an acknowledgement may have brought about, and would again.
_COMPLAINTS: Final = frozenset(
    {
        "Malformed packet",
        "Protocol error",  # also where paho can't read the reason of an acknowledgement
        "Implementation specific error",
        "Packet too large",
        "Topic name invalid",
        "Payload format invalid",
        "Quota exceeded",
        ODD,
    }
)


class HarmWatch:
    """Remembers what a connection ended for."""

    def __init__(self) -> None:
        self._suspect: Message | None = None
        self._retained: dict[str, bytes] = {}  # harmful payloads by topic

    def ended(self, ended: Ended, oldest: Message | None) -> bool:
        """A connection ended; whether it was the second one in a row for its ``oldest`` unacknowledged message."""
        former, self._suspect = self._suspect, oldest if ended.reason in _COMPLAINTS else None
        if self._suspect is None or self._suspect != former:
            return False
        if self._suspect.retain:
            self._retained[self._suspect.topic] = self._suspect.payload
        return True

    def is_harmful(self, message: Message) -> bool:
        """Whether a retained message, which is published on each connect, ended connections."""
        return message.retain and self._retained.get(message.topic) == message.payload
