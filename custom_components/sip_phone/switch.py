"""Switches of a line: what holds for every call, and what holds for the call that is talked in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .contract import (
    AccountRequest,
    CallInfo,
    CallState,
    Hold,
    Mute,
    Record,
    Resume,
    Set,
    Settings,
    StopRecording,
    Unmute,
)
from .coordinator import SipPhoneConfigEntry
from .entity import DescribedLineEntity, LineEntityDescription, async_add_described

PARALLEL_UPDATES = 1  # on and off go out in the order in which they were asked


@dataclass(frozen=True, kw_only=True)
class SettingSwitchDescription(LineEntityDescription, SwitchEntityDescription):
    """A setting of the line, and how to change it."""

    is_on: Callable[[Settings], bool]
    change: Callable[[bool], Set]


@dataclass(frozen=True, kw_only=True)
class CallSwitchDescription(LineEntityDescription, SwitchEntityDescription):
    """Something of the call that is talked in; what turns it on and off takes the call's id."""

    is_on: Callable[[CallInfo], bool]
    turn_on: Callable[[str], AccountRequest]
    turn_off: Callable[[str], AccountRequest]


SETTINGS = (
    SettingSwitchDescription(
        key="do_not_disturb",
        translation_key="do_not_disturb",
        entity_category=EntityCategory.CONFIG,
        is_on=lambda settings: settings.do_not_disturb,
        change=lambda on: Set(do_not_disturb=on),
    ),
    SettingSwitchDescription(
        key="auto_answer",
        translation_key="auto_answer",
        entity_category=EntityCategory.CONFIG,
        is_on=lambda settings: settings.auto_answer,
        change=lambda on: Set(auto_answer=on),
    ),
)
OF_THE_CALL = (
    CallSwitchDescription(
        key="mute",
        translation_key="mute",
        is_on=lambda call: call.muted,
        turn_on=lambda call_id: Mute(call_id=call_id),
        turn_off=lambda call_id: Unmute(call_id=call_id),
    ),
    CallSwitchDescription(
        key="hold",
        translation_key="hold",
        is_on=lambda call: call.state is CallState.ON_HOLD,
        turn_on=lambda call_id: Hold(call_id=call_id),
        turn_off=lambda call_id: Resume(call_id=call_id),
    ),
    CallSwitchDescription(
        key="record",
        translation_key="record",
        is_on=lambda call: call.recording,
        turn_on=lambda call_id: Record(call_id=call_id),
        turn_off=lambda call_id: StopRecording(call_id=call_id),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the switches of each line."""
    async_add_described(entry, async_add_entities, SettingSwitch, SETTINGS)
    async_add_described(entry, async_add_entities, CallSwitch, OF_THE_CALL)


class SettingSwitch(DescribedLineEntity, SwitchEntity):
    """A setting that the bridge keeps."""

    entity_description: SettingSwitchDescription

    @property
    def available(self) -> bool:
        """Whether the bridge has told it."""
        return super().available and self.line.settings is not None

    @property
    def is_on(self) -> bool | None:
        """Whether it is set."""
        return None if self.line.settings is None else self.entity_description.is_on(self.line.settings)

    async def async_turn_on(self, **kwargs: Any) -> None:  # noqa: ARG002  # Home Assistant fixes the signature
        """Set it."""
        await self.async_request(self.entity_description.change(True))  # noqa: FBT003  # the value of the setting

    async def async_turn_off(self, **kwargs: Any) -> None:  # noqa: ARG002  # Home Assistant fixes the signature
        """Unset it."""
        await self.async_request(self.entity_description.change(False))  # noqa: FBT003  # the value of the setting


class CallSwitch(DescribedLineEntity, SwitchEntity):
    """A switch of the call that is talked in; unavailable while there is none."""

    entity_description: CallSwitchDescription

    @property
    def available(self) -> bool:
        """Whether there is such a call."""
        return super().available and self.line.talking_call is not None

    @property
    def is_on(self) -> bool | None:
        """Whether it is so."""
        call = self.line.talking_call
        return None if call is None else self.entity_description.is_on(call)

    async def async_turn_on(self, **kwargs: Any) -> None:  # noqa: ARG002  # Home Assistant fixes the signature
        """Ask the bridge."""
        await self.async_request(self.entity_description.turn_on(self._call_id()))

    async def async_turn_off(self, **kwargs: Any) -> None:  # noqa: ARG002  # Home Assistant fixes the signature
        """Ask the bridge."""
        await self.async_request(self.entity_description.turn_off(self._call_id()))

    def _call_id(self) -> str:
        call = self.line.talking_call
        if call is None:
            raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_call")
        return call.call_id
