"""Lets pytest-homeassistant-custom-component 0.13.375, made for 2026.10.4, test on Home Assistant 2026.11."""

from homeassistant.components import logger
from homeassistant.components.logger.helpers import _clear_logger_overwrites

logger._clear_logger_overwrites = _clear_logger_overwrites  # type: ignore[attr-defined]  # moved in 2026.11
