"""Buttons of a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .contract import AccountRequest, Answer, CallInfo, CallState, Hangup
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import LineEntity, async_add_lines
from .state import LineState

PARALLEL_UPDATES = 1  # what a person presses goes out in that order


@dataclass(frozen=True, kw_only=True)
class LineButtonDescription(ButtonEntityDescription):
    """A button for a call of the line: which call, and what it asks."""

    call: Callable[[LineState], CallInfo | None]
    request: Callable[[CallInfo], AccountRequest]


# A request names its call and its state: a press that comes late must not hit the next caller.
BUTTONS = (
    LineButtonDescription(
        key="answer",
        translation_key="answer",
        call=lambda line: line.ringing_call,
        request=lambda call: Answer(call_id=call.call_id, if_state=CallState.RINGING),
    ),
    LineButtonDescription(
        key="hang_up",
        translation_key="hang_up",
        call=lambda line: line.live_call,
        request=lambda call: Hangup(call_id=call.call_id),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the buttons of each line."""
    async_add_lines(
        entry,
        async_add_entities,
        lambda coordinator, account: [LineButton(coordinator, account, description) for description in BUTTONS],
    )


class LineButton(LineEntity, ButtonEntity):
    """Something to be done with a call; unavailable while there is none."""

    entity_description: LineButtonDescription

    def __init__(self, coordinator: SipPhoneCoordinator, account: str, description: LineButtonDescription) -> None:
        super().__init__(coordinator, account, description.key)
        self.entity_description = description

    @property
    def available(self) -> bool:
        """Whether there is such a call."""
        return super().available and self.entity_description.call(self.line) is not None

    async def async_press(self) -> None:
        """Ask the bridge."""
        call = self.entity_description.call(self.line)
        if call is None:
            raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_call")
        await self.coordinator.async_request(self.account, self.entity_description.request(call))
