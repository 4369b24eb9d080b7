"""What a language model may do: call a contact of the phone book, hang up, and open a door where a person allowed it.

It never dials a number of its own making: whoever talks to an assistant, or writes what it reads, could run up a bill.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, override

import probatio
from homeassistant.components.llm import LLMTools
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.llm import LLM_API_ASSIST, LLMContext, Tool, ToolAnnotations, ToolInput, ToolResult

from .const import CONF_LLM_CALLS, CONF_LLM_DOORS, DOMAIN
from .contract import Dial, Hangup, OpenDoor
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .door_station import DoorStation, OpenedBy, async_open, door_stations
from .state import contacts_of

_MAX_CHOICES: Final = 100  # contacts that a model is told of


@dataclass(frozen=True, slots=True)
class _Contact:
    coordinator: SipPhoneCoordinator
    account: str
    number: str

    async def async_call(self) -> None:
        await self.coordinator.async_request(self.account, Dial(to=self.number))


@dataclass(frozen=True, slots=True)
class _Door:
    coordinator: SipPhoneCoordinator
    account: str
    station: DoorStation | None  # None is the line's own door, which the bridge opens

    async def async_open(self, hass: HomeAssistant) -> None:
        if self.station is None:
            await self.coordinator.async_request(self.account, OpenDoor())
        else:
            await async_open(hass, self.coordinator, self.station)


@callback
def async_get_tools(hass: HomeAssistant, llm_context: LLMContext, api_id: str) -> LLMTools | None:
    """The tools that fit what is set up and allowed."""
    if api_id != LLM_API_ASSIST:
        return None
    entries: list[SipPhoneConfigEntry] = hass.config_entries.async_loaded_entries(DOMAIN)
    callers = [entry for entry in entries if entry.options.get(CONF_LLM_CALLS, True)]
    openers = [entry for entry in entries if entry.options.get(CONF_LLM_DOORS, False)]
    tools: list[Tool] = []
    if contacts := _contacts(callers):
        tools.append(CallContactTool(contacts))
    if callers:
        tools.append(HangUpTool(callers))
    if doors := _doors(openers):
        tools.append(OpenDoorTool(doors))
    return LLMTools(tools=tools) if tools else None


class _PhoneTool(Tool):
    integration = DOMAIN

    @override
    async def async_call(self, hass: HomeAssistant, tool_input: ToolInput, llm_context: LLMContext) -> ToolResult:
        """Do it; what hinders is told to the model."""
        try:
            data = self.parameters(tool_input.tool_args)
            await self._async_do(hass, data)
        except (HomeAssistantError, probatio.Invalid) as error:
            return ToolResult(data={"error": str(error)}, error=True)
        return ToolResult(data={"success": True})

    @abstractmethod
    async def _async_do(self, hass: HomeAssistant, data: Mapping[str, Any]) -> None:
        """Do what the model asks; raises a `HomeAssistantError` whose text it may read."""


class CallContactTool(_PhoneTool):
    """Calls somebody of the phone book."""

    name = f"{DOMAIN}__call_contact"
    title = "Call a contact"
    description = "Call somebody on the telephone. Only the contacts listed can be called."
    annotations = ToolAnnotations(destructive=False)

    def __init__(self, contacts: Mapping[str, _Contact]) -> None:
        self._contacts = contacts
        self.parameters = probatio.Schema({probatio.Required("contact"): probatio.In(list(contacts))})

    @override
    async def _async_do(self, hass: HomeAssistant, data: Mapping[str, Any]) -> None:
        await self._contacts[data["contact"]].async_call()


class HangUpTool(_PhoneTool):
    """Ends the calls of every line."""

    name = f"{DOMAIN}__hang_up"
    title = "Hang up"
    description = "End the telephone calls in progress, ringing ones included."
    annotations = ToolAnnotations(idempotent=True)

    def __init__(self, entries: list[SipPhoneConfigEntry]) -> None:
        self._entries = entries

    @override
    async def _async_do(self, hass: HomeAssistant, data: Mapping[str, Any]) -> None:
        for coordinator in (entry.runtime_data for entry in self._entries):
            for account, line in tuple(coordinator.state.lines.items()):
                for call in line.calls:
                    await coordinator.async_request(account, Hangup(call_id=call.call_id))


class OpenDoorTool(_PhoneTool):
    """Opens a door."""

    name = f"{DOMAIN}__open_door"
    title = "Open a door"
    description = "Open one of the doors listed. Only do so when the user asks for exactly that."

    def __init__(self, doors: Mapping[str, _Door]) -> None:
        self._doors = doors
        self.parameters = probatio.Schema({probatio.Required("door"): probatio.In(list(doors))})

    @override
    async def _async_do(self, hass: HomeAssistant, data: Mapping[str, Any]) -> None:
        await self._doors[data["door"]].async_open(hass)


def _contacts(entries: list[SipPhoneConfigEntry]) -> dict[str, _Contact]:
    """Who may be called, by name; of two lines' contacts of one name the second is told apart by its line."""
    contacts: dict[str, _Contact] = {}
    for coordinator in (entry.runtime_data for entry in entries):
        for account in (coordinator.state.accounts or {}).values():
            for label, number in contacts_of(account).items():
                name = label if label not in contacts else f"{label} ({account.name})"
                contacts.setdefault(name, _Contact(coordinator, account.id, number))
    return dict(list(contacts.items())[:_MAX_CHOICES])


def _doors(entries: list[SipPhoneConfigEntry]) -> dict[str, _Door]:
    """What can be opened, by name."""
    doors: dict[str, _Door] = {}
    for entry in entries:
        coordinator = entry.runtime_data
        for station in door_stations(entry):
            if station.opened_by is not OpenedBy.NOTHING:
                doors.setdefault(station.name, _Door(coordinator, station.account, station))
        for account in (coordinator.state.accounts or {}).values():
            if account.door_code:
                doors.setdefault(account.name, _Door(coordinator, account.id, None))
    return doors
