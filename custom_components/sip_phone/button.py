"""Buttons of a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .contract import AccountKind, AccountRequest, Answer, Dial, Hangup, OpenDoor, Register, Reject, Remote
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import (
    DescribedLineEntity,
    LineEntity,
    LineEntityDescription,
    RememberingEntity,
    async_add_described,
    async_add_lines,
)
from .state import LineState
from .station_entities import StationOpenDoor, async_add_stations, can_be_opened

PARALLEL_UPDATES = 1  # what a person presses goes out in that order


@dataclass(frozen=True, kw_only=True)
class LineButtonDescription(LineEntityDescription, ButtonEntityDescription):
    """A button for a call of the line: what it asks, None while there is no such call."""

    request: Callable[[LineState], AccountRequest | None]


def _answer(line: LineState) -> AccountRequest | None:
    call = line.ringing_call
    return None if call is None else Answer(call_id=call.call_id, if_state=call.state)


def _reject(line: LineState) -> AccountRequest | None:
    call = line.ringing_call
    return None if call is None else Reject(call_id=call.call_id, if_state=call.state)


def _hang_up(line: LineState) -> AccountRequest | None:
    call = line.live_call
    return None if call is None else Hangup(call_id=call.call_id)


# A request names its call and its state: a press that comes late must not hit the next caller.
BUTTONS = (
    LineButtonDescription(key="answer", translation_key="answer", request=_answer),
    LineButtonDescription(key="reject", translation_key="reject", request=_reject),
    LineButtonDescription(key="hang_up", translation_key="hang_up", request=_hang_up),
    LineButtonDescription(
        key="register",
        translation_key="register",
        entity_category=EntityCategory.DIAGNOSTIC,
        needs_registrar=True,
        request=lambda _line: Register(),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the buttons of each line."""
    async_add_described(entry, async_add_entities, LineButton, BUTTONS)
    async_add_stations(entry, async_add_entities, StationOpenDoor, can_be_opened)
    async_add_lines(
        entry,
        async_add_entities,
        lambda coordinator, account: [
            kind(coordinator, account) for kind in (OpenDoorButton, DialButton, RedialButton, ResetMissedCallsButton)
        ],
    )


def _call_to(target: str | None) -> Dial:
    if target is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_number")
    return Dial(to=target)


class LineButton(DescribedLineEntity, ButtonEntity):
    """Something to be done with a call; unavailable while there is none."""

    entity_description: LineButtonDescription

    @property
    def available(self) -> bool:
        """Whether there is such a call."""
        return super().available and self.entity_description.request(self.line) is not None

    async def async_press(self) -> None:
        """Ask the bridge."""
        request = self.entity_description.request(self.line)
        if request is None:
            raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_call")
        await self.async_request(request)


class OpenDoorButton(LineEntity, ButtonEntity):
    """Opens the door with the code that the bridge keeps."""

    _attr_translation_key = "open_door"

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "open_door")

    @property
    def available(self) -> bool:
        """Whether the bridge has a code for the line."""
        return super().available and self.account_info is not None and self.account_info.door_code

    async def async_press(self) -> None:
        """Open it, in the call that a person means if there is one."""
        call = self.line.talking_call or self.line.ringing_call
        await self.async_request(OpenDoor(call_id=None if call is None else call.call_id))


class DialButton(LineEntity, ButtonEntity):
    """Calls the number that was typed, or the contact that was chosen: what was entered last."""

    _attr_translation_key = "dial"

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "dial")

    @property
    def available(self) -> bool:
        """Whether there is somebody to call."""
        return super().available and self._target is not None

    async def async_press(self) -> None:
        """Call."""
        await self.async_request(_call_to(self._target))

    @property
    def _target(self) -> str | None:
        return self.coordinator.async_dial_pad(self.account).target(self.account_info)


class RedialButton(RememberingEntity, ButtonEntity):
    """Calls again whom the line called last."""

    _attr_translation_key = "redial"

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "redial")
        self._last: str | None = None

    async def async_added_to_hass(self) -> None:
        """Watch whom the line calls."""
        await super().async_added_to_hass()
        self._async_look()
        self.async_on_remove(self.coordinator.async_listen(self.account, self._async_look))

    @property
    def available(self) -> bool:
        """Whether the line has called anybody."""
        return super().available and self._target is not None

    async def async_press(self) -> None:
        """Call."""
        await self.async_request(_call_to(self._target))

    @property
    def remembered(self) -> Mapping[str, Any]:
        """Whom, since an incoming call takes the place of the bridge's last call."""
        return {"target": self._last}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Whom the line called before the restart."""
        self._last = remembered.get("target")

    @callback
    def _async_look(self) -> None:
        self._last = self._target

    @property
    def _target(self) -> str | None:
        dialed = self.line.dialed
        return self._last if dialed is None else self._number_of(dialed)

    def _number_of(self, remote: Remote) -> str:
        """As it may be dialled: a registrar knows its numbers, a direct line needs the whole address."""
        info = self.account_info
        host = info.uri.rpartition("@")[2] if info is not None and info.kind is AccountKind.REGISTERED else None
        is_ours = host is not None and remote.uri.rpartition("@")[2].partition(";")[0] == host
        return remote.user if is_ours and remote.user is not None else remote.uri


class ResetMissedCallsButton(LineEntity, ButtonEntity):
    """Begins to count missed calls anew."""

    _attr_translation_key = "reset_missed_calls"

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "reset_missed_calls")

    async def async_press(self) -> None:
        """Somebody has looked at them."""
        self.coordinator.async_reset_missed_calls(self.account)
