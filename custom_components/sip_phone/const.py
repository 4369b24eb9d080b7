"""Names that more than one module of the integration uses."""

from typing import Final

from homeassistant.const import Platform

DOMAIN: Final = "sip_phone"
PLATFORMS: Final = (
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.MEDIA_PLAYER,
    Platform.NOTIFY,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.TEXT,
    Platform.UPDATE,
)

CONF_BASE_TOPIC: Final = "base_topic"
CONF_BRIDGE: Final = "bridge"

CONF_LLM_CALLS: Final = "llm_calls"
CONF_LLM_DOORS: Final = "llm_doors"
CONF_OFFLINE_MINUTES: Final = "offline_minutes"
DEFAULT_OFFLINE_MINUTES: Final = 15
