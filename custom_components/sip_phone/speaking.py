"""Sounds for a line: into its call, or else in a call of their own to the contact that was chosen."""

from __future__ import annotations

from typing import Any, Final

from homeassistant.exceptions import ServiceValidationError

from .const import DOMAIN
from .contract import Dial, Play, Response
from .coordinator import SipPhoneCoordinator
from .outcome import MARGIN, follow

MAX_SPEECH: Final = 600.0  # seconds


async def async_play(coordinator: SipPhoneCoordinator, account: str, source: str, *, enqueue: bool = False) -> Response:
    """Play to whom the line talks to or who rings it, else call the contact and play; the bridge's answer."""
    line = coordinator.state.line(account)
    if line.talking_call is not None:
        return await coordinator.async_request(
            account, Play(url=source, enqueue=enqueue, call_id=line.talking_call.call_id)
        )
    if line.ringing_call is not None:
        early = Play(url=source, enqueue=enqueue, early=True, call_id=line.ringing_call.call_id)
        return await coordinator.async_request(account, early)
    if line.calls:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="not_answered_yet")
    return await async_call_and_play(coordinator, account, source)


async def async_call_and_play(
    coordinator: SipPhoneCoordinator, account: str, source: str, *, to: str | None = None, **fields: Any
) -> Response:
    """Call ``to`` or the contact, play when they answer, and hang up; answered when the call was placed."""
    target = to or coordinator.async_dial_pad(account).contact_number(coordinator.state.account(account))
    if target is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_contact")
    return await coordinator.async_request(account, Dial(to=target, play=source, auto_hangup=True, **fields))


async def async_speak(
    coordinator: SipPhoneCoordinator, account: str, source: str, *, call_id: str | None, to: str | None, **fields: Any
) -> dict[str, Any]:
    """Speak in a call that there is, or in one of its own, and tell how that went once it is over.

    ``result`` is that of the call; ``completed`` says whether all was spoken.
    """
    talking = coordinator.state.line(account).talking_call
    if to is None and call_id is None and talking is not None:
        call_id = talking.call_id
    with follow(coordinator, account) as follower:
        if to is None and call_id is not None:
            await coordinator.async_request(account, Play(url=source, call_id=call_id))
            completed = await follower.async_playback(call_id, source, MAX_SPEECH)
            return {"call_id": call_id, "result": "answered", "completed": completed}
        answer = await async_call_and_play(coordinator, account, source, to=to, **fields)
        placed = str(answer.data.get("call_id"))
        longest = fields.get("timeout", Dial(to="").timeout) + MAX_SPEECH + MARGIN
        end = await follower.async_end(placed, longest)
        return {**end, "completed": follower.was_played(placed, source) is True}
