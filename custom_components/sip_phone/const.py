"""Names that more than one module of the integration uses."""

from typing import Final

from homeassistant.const import Platform

DOMAIN: Final = "sip_phone"
PLATFORMS: Final = (
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.TEXT,
    Platform.UPDATE,
)

CONF_BASE_TOPIC: Final = "base_topic"
CONF_BRIDGE: Final = "bridge"
