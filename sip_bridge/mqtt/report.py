"""What the operator is told of the MQTT broker: each thing once, and again when it changed."""

import logging
from typing import Final

from paho.mqtt.enums import MQTTProtocolVersion

from sip_bridge.mqtt.connection import Ended, MQTTSettings
from sip_bridge.mqtt.limits import Limits

MAX_WARNED: Final = 100  # different warnings that are told once each

# The session is whom the operator knows.
_LOG: Final = logging.getLogger("sip_bridge.mqtt.session")
_VERSIONS: Final = {MQTTProtocolVersion.MQTTv5: "5", MQTTProtocolVersion.MQTTv311: "3.1.1"}

# What a person can do about it, after the broker's own words.
_HINTS: Final = {
    "Bad user name or password": "; check username and password",
    "Not authorized": "; check username and password",
    "Client identifier not valid": "; set another client_id",
    "Bad authentication method": "; it wants another way to log in than a user name and a password",
    "Session taken over": "; another client came with the same client id {client_id!r}: give one of them another",
}


class Report:
    """The log lines of one session."""

    def __init__(self, settings: MQTTSettings) -> None:
        self._broker = f"the MQTT broker at {settings.host}:{settings.port}"
        self._client_id = settings.client_id
        self._trouble: str | None = None  # why there was no connection, as it was told last
        self._warned: set[str] = set()

    def connected(self, version: MQTTProtocolVersion) -> None:
        """There is a connection, and it lasts."""
        self._trouble = None
        _LOG.info("connected to %s (MQTT %s)", self._broker, _VERSIONS[version])

    def trouble(self, what: str, ended: Ended) -> None:
        """There is no connection (any more); told when it is for another reason than before."""
        if ended.reason != self._trouble:
            self._trouble = ended.reason
            hint = _HINTS.get(ended.reason, "").format(client_id=self._client_id)
            _LOG.warning("%s %s: %s%s", what, self._broker, ended.reason, hint)

    def limits(self, limits: Limits) -> None:
        """What the broker can't do for us."""
        if not limits.retains:
            self.warn_once("retains nothing", ": who subscribes later knows nothing until something changes")
        if limits.max_qos == 0:
            self.warn_once("acknowledges nothing (QoS 0)", ": what it loses is lost")

    def warn_once(self, what: str, more: str) -> None:
        """Something that is not to be expected to change."""
        if what not in self._warned and len(self._warned) < MAX_WARNED:
            self._warned.add(what)
            _LOG.warning("%s %s%s", self._broker, what, more)
