"""Warnings and worse on ``B/logging``."""

import logging
import time
from typing import Literal

from sip_bridge.bridge.flood import FloodFilter, counted
from sip_bridge.bridge.publisher import Outlet
from sip_bridge.mqtt import contract

_MAX_TEXT = 2000  # characters


class MQTTLogHandler(logging.Handler):
    """Publishes log records, QoS 0: a log line is not worth waiting for."""

    def __init__(self, outlet: Outlet, topic: str) -> None:
        super().__init__(logging.WARNING)
        self._outlet = outlet
        self._topic = topic
        self.addFilter(FloodFilter())

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        payload = contract.LogRecord(
            level=_level(record.levelno), message=counted(record)[:_MAX_TEXT], logger=record.name
        )
        self._outlet.publish(self._topic, contract.encode(payload, time.time()), qos=0)


def _level(number: int) -> Literal["warning", "error", "critical"]:
    if number >= logging.CRITICAL:
        return "critical"
    return "error" if number >= logging.ERROR else "warning"
