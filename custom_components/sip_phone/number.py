"""Numbers of a line: settings that the bridge keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeassistant.components.number import NumberDeviceClass, NumberEntity, NumberEntityDescription, NumberMode
from homeassistant.const import PERCENTAGE, EntityCategory, UnitOfTime
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import Set, Settings
from .coordinator import SipPhoneConfigEntry
from .entity import DescribedLineEntity, LineEntityDescription, async_add_described

PARALLEL_UPDATES = 1  # values go out in the order in which they were asked


@dataclass(frozen=True, kw_only=True)
class LineNumberDescription(LineEntityDescription, NumberEntityDescription):
    """A setting of the line, and how to change it."""

    value: Callable[[Settings], float]
    change: Callable[[float], Set]


NUMBERS = (
    LineNumberDescription(
        key="volume",
        translation_key="volume",
        entity_category=EntityCategory.CONFIG,
        native_min_value=0,
        native_max_value=200,
        native_step=5,
        native_unit_of_measurement=PERCENTAGE,
        mode=NumberMode.SLIDER,
        value=lambda settings: round(settings.output_volume * 100, 1),
        change=lambda percent: Set(output_volume=percent / 100),
    ),
    LineNumberDescription(
        key="ring_timeout",
        translation_key="ring_timeout",
        device_class=NumberDeviceClass.DURATION,
        entity_category=EntityCategory.CONFIG,
        native_min_value=1,
        native_max_value=600,
        native_step=1,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        mode=NumberMode.BOX,
        value=lambda settings: settings.ring_timeout,
        change=lambda seconds: Set(ring_timeout=seconds),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the numbers of each line."""
    async_add_described(entry, async_add_entities, LineNumber, NUMBERS)


class LineNumber(DescribedLineEntity, NumberEntity):
    """A setting that the bridge keeps."""

    entity_description: LineNumberDescription

    @property
    def available(self) -> bool:
        """Whether the bridge has told it."""
        return super().available and self.line.settings is not None

    @property
    def native_value(self) -> float | None:
        """The setting."""
        return None if self.line.settings is None else self.entity_description.value(self.line.settings)

    async def async_set_native_value(self, value: float) -> None:
        """Change it."""
        await self.async_request(self.entity_description.change(value))
