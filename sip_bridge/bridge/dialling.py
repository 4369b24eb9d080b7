"""`dial` and `hangup` where several phones ring at once, and contacts where numbers may stand."""

from collections.abc import Iterable, Sequence
from typing import Final

from sip_bridge.errors import InvalidStateError, LocalProtocolError
from sip_bridge.media.dtmf import KEYS
from sip_bridge.mqtt import contract
from sip_bridge.phone.announcement import Announcement
from sip_bridge.phone.call import VoIPCall
from sip_bridge.phone.contacts import contact_named, numbers_of
from sip_bridge.phone.hunt import Hunt, Ringing
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import ACCEPT_PROMPT, ACCEPT_TIME, Acceptance
from sip_bridge.phone.sources import check_source

MAX_RINGING: Final = 600.0  # seconds
MAX_ACCEPTING: Final = 120.0  # seconds


def ringing_of(phone: VoIPPhone, request: contract.Dial) -> Ringing:
    """Whom a request wants to be rung, and how; LocalProtocolError where it makes no sense."""
    if not 1 <= request.timeout <= MAX_RINGING:
        raise LocalProtocolError(f"timeout: expected 1 to {MAX_RINGING:.0f} seconds")
    numbers, acceptance = numbers_of(phone.account.contacts, (request.to, *(request.also or ())))
    return Ringing(
        numbers=numbers,
        timeout=request.timeout,
        from_name=request.from_name,
        headers=request.headers,
        acceptance=_acceptance_of(phone, request) or acceptance,
    )


def _acceptance_of(phone: VoIPPhone, request: contract.Dial) -> Acceptance | None:
    if request.accept is None:
        return None
    if request.accept.upper() not in tuple(KEYS):
        raise LocalProtocolError(f"accept: expected one of {KEYS}")
    seconds = ACCEPT_TIME if request.accept_timeout is None else request.accept_timeout
    if not 1 <= seconds <= MAX_ACCEPTING:
        raise LocalProtocolError(f"accept_timeout: expected 1 to {MAX_ACCEPTING:.0f} seconds")
    prompt = request.accept_prompt or ACCEPT_PROMPT
    check_source(prompt, phone.client.media)
    return Acceptance(key=request.accept.upper(), seconds=seconds, prompt=prompt)


def announcement_of(phone: VoIPPhone, request: contract.Dial) -> Announcement | None:
    """What is to be played to who has taken the call."""
    if request.play is None:
        return None
    check_source(request.play, phone.client.media)
    return Announcement(source=request.play, settle=request.hold_ms / 1000, hangup_after=request.auto_hangup)


def is_hunt(ringing: Ringing) -> bool:
    """Whether more is to be done than to call a number."""
    return len(ringing.numbers) > 1 or ringing.acceptance is not None


async def dial(phone: VoIPPhone, ringing: Ringing, announcement: Announcement | None) -> Sequence[VoIPCall]:
    """The calls that were placed, at least one."""
    if not is_hunt(ringing):
        (number,) = ringing.numbers
        call = await phone.dial(
            number,
            timeout=ringing.timeout,
            from_name=ringing.from_name,
            headers=ringing.headers,
            announcement=announcement,
        )
        return (call,)
    phone.require_lines(len(ringing.numbers))
    hunt = Hunt(phone, ringing)
    phone.start_task(_search(hunt, announcement), name=f"hunt of {phone.account.id}")
    calls = await hunt.placed()
    if not calls:
        raise InvalidStateError("given up before anybody rang")
    return calls


async def _search(hunt: Hunt, announcement: Announcement | None) -> None:
    winner = await hunt.run()
    if winner is not None and announcement is not None:
        winner.announce(announcement)


def hunt_of(phone: VoIPPhone, call: VoIPCall) -> Hunt | None:
    """The search that a call is a part of, while it goes on."""
    return next((hunt for hunt in phone.hunts if call in hunt.calls), None)


def one_of_each_hunt(phone: VoIPPhone, calls: Iterable[VoIPCall]) -> list[VoIPCall]:
    """What rings at once is one call to who placed it."""
    chosen: list[VoIPCall] = []
    hunts: set[Hunt] = set()
    for call in calls:
        hunt = hunt_of(phone, call)
        if hunt is None or hunt not in hunts:
            chosen.append(call)
        if hunt is not None:
            hunts.add(hunt)
    return chosen


def number_of(phone: VoIPPhone, target: str) -> str:
    """A target itself, or the number of the contact of that name; LocalProtocolError for a group."""
    contact = contact_named(phone.account.contacts, target)
    if contact is None:
        return target
    if contact.also:
        raise LocalProtocolError(f"to: {contact.name!r} has several numbers: only dial rings them")
    return contact.number
