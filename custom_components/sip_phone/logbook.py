"""The lines' happenings in the logbook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from homeassistant.components.logbook import LOGBOOK_ENTRY_MESSAGE, LOGBOOK_ENTRY_NAME
from homeassistant.core import Event, HomeAssistant, callback

from .const import DOMAIN
from .happenings import EVENT_HAPPENED, Kind

# English, as everything that integrations write into the logbook; {who} is the other party.
_INCOMING: Final[Mapping[Kind, str]] = {
    Kind.INCOMING_CALL: "was called by {who}",
    Kind.CALL_ANSWERED: "answered {who}",
    Kind.CALL_MISSED: "missed a call by {who}",
    Kind.CALL_ENDED: "ended its call with {who}: {result}",
    Kind.DTMF_RECEIVED: "heard {keys} from {who}",
    Kind.DOOR_OPENED: "opened the door for {who}",
    Kind.MESSAGE_RECEIVED: "got a message from {who}",
    Kind.REGISTRATION_LOST: "lost its registration",
    Kind.REGISTRATION_RESTORED: "is registered again",
}
_OUTGOING: Final[Mapping[Kind, str]] = {
    Kind.CALL_ANSWERED: "was answered by {who}",
    Kind.DOOR_OPENED: "opened the door of {who}",
}


@callback
def async_describe_events(
    hass: HomeAssistant, async_describe_event: Callable[[str, str, Callable[[Event], dict[str, Any]]], None]
) -> None:
    """Describe our event."""
    async_describe_event(DOMAIN, EVENT_HAPPENED, _describe)


@callback
def _describe(event: Event) -> dict[str, Any]:
    told = event.data
    try:
        kind = Kind(told["type"])
    except (KeyError, ValueError):  # an older or newer version wrote it
        return {LOGBOOK_ENTRY_NAME: told.get("line"), LOGBOOK_ENTRY_MESSAGE: "was used"}
    sentences = {**_INCOMING, **(_OUTGOING if told.get("direction") == "outgoing" else {})}
    who = told.get("door_station") or told.get("remote_name") or told.get("remote_number") or "somebody"
    code = told.get("code")
    message = sentences.get(kind, "was used").format(
        who=who,
        result=str(told.get("result", "")).replace("_", " "),
        keys="keys" if code is None else f"the code “{code}”",
    )
    return {LOGBOOK_ENTRY_NAME: told.get("line"), LOGBOOK_ENTRY_MESSAGE: message}
