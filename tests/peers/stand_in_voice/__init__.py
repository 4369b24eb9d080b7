"""A text-to-speech engine for tests: whatever it is to say, it plays ``voice.wav`` of the configuration folder."""

from pathlib import Path
from typing import Any

from homeassistant.components.tts import TextToSpeechEntity
from homeassistant.components.tts.const import DATA_COMPONENT
from homeassistant.core import HomeAssistant
from homeassistant.helpers.typing import ConfigType


class Voice(TextToSpeechEntity):
    """The engine ``tts.stand_in_voice``."""

    _attr_name = "Stand-in voice"
    _attr_supported_languages = ["en"]  # noqa: RUF012  # Home Assistant declares it so
    _attr_default_language = "en"

    async def async_get_tts_audio(
        self,
        message: str,
        language: str,
        options: dict[str, Any],
    ) -> tuple[str, bytes]:
        """The same sound for every text."""
        path = Path(self.hass.config.path("voice.wav"))
        return "wav", await self.hass.async_add_executor_job(path.read_bytes)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Add the engine."""
    await hass.data[DATA_COMPONENT].async_add_entities([Voice()])
    return True
