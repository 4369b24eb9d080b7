"""Messages to publish, and those that the broker brought."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to publish."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation_data: bytes | None = None  # MQTT 5 alone carries it
    keep: bool = False  # until the broker has it, also if this process ends before


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """A message that the broker brought; ``retained``: it was published to be kept, perhaps before we subscribed."""

    topic: str
    payload: bytes
    retained: bool = False
    response_topic: str | None = None
    correlation_data: bytes | None = None


def is_valid_topic(topic: str) -> bool:
    """Whether one may publish to this (MQTT 5 §4.7.1, §4.7.3)."""
    try:
        return 0 < len(topic.encode()) <= 65535 and not set(topic) & set("+#\0")
    except UnicodeEncodeError:  # a lone surrogate
        return False
