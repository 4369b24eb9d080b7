"""What an MQTT 5 broker says that it takes."""

from dataclasses import dataclass
from typing import Final, Self

from paho.mqtt.properties import Properties

WINDOW: Final = 20  # messages on their way at once; a broker may ask for fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a CONNACK (MQTT 5 §3.2.2.3): messages on their way at once, bytes of a packet, QoS, retaining."""

    window: int = WINDOW
    max_packet: int | None = None
    max_qos: int = 1
    retains: bool = True

    @classmethod
    def of(cls, given: Properties | None) -> Self:
        """The limits in a CONNACK; in one without properties there are none."""
        return cls(
            window=min(WINDOW, getattr(given, "ReceiveMaximum", WINDOW)),
            max_packet=getattr(given, "MaximumPacketSize", None),
            max_qos=min(1, getattr(given, "MaximumQoS", 1)),
            retains=bool(getattr(given, "RetainAvailable", 1)),
        )

    def fits(self, length: int, correlation: int = 0) -> bool:
        """Whether a PUBLISH (§3.3) may have ``length`` bytes of topic and payload, and of correlation data."""
        properties = 3 + correlation if correlation else 0
        body = 4 + _length_size(properties) + properties + length
        return self.max_packet is None or 1 + _length_size(body) + body <= self.max_packet


def _length_size(length: int) -> int:
    """Bytes of a Variable Byte Integer (MQTT 5 §1.5.5)."""
    return max(1, -(-length.bit_length() // 7))
