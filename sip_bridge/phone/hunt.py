"""Parallel ringing: several phones ring at once, and the first one that answers (and accepts) has the call."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sip_bridge.errors import InvalidStateError, MediaError, NotAllowedError, SipBridgeError
from sip_bridge.phone.events import CallLimit, DTMFPressed, HuntEnded, PhoneEvent
from sip_bridge.phone.following import News, following
from sip_bridge.phone.settings import ACCEPT_PROMPT, Acceptance
from sip_bridge.phone.sources import shown_source
from sip_bridge.sip.events import EndCause

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ringing:
    """Whom to ring, and how: each of the ``numbers`` for ``timeout`` seconds."""

    numbers: tuple[str, ...]
    timeout: float
    from_name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    acceptance: Acceptance | None = None


class Hunt:
    """One search for somebody who takes a call; each number that rings is a call of its own, a leg."""

    def __init__(self, phone: "VoIPPhone", ringing: Ringing) -> None:
        self._phone = phone
        self._ringing = ringing
        self._legs: list[asyncio.Task[VoIPCall | None]] = []
        self._placed = asyncio.Event()
        self._errors: list[SipBridgeError] = []
        self._accepted: set[str] = set()
        self._given_up: EndCause | None = None
        self.calls: list[VoIPCall] = []
        self.winner: VoIPCall | None = None

    async def placed(self) -> Sequence["VoIPCall"]:
        """The calls, as soon as all are placed that can be; when none can, what the first one failed for is raised."""
        await self._placed.wait()
        if not self.calls and self._errors:
            raise self._errors[0]
        return tuple(self.calls)

    def give_up(self, *, elsewhere: bool = False) -> None:
        """Ring nobody any more; ``elsewhere``: what they were rung for was answered by somebody else."""
        if self.winner is None:
            self._given_up = EndCause.ANSWERED_ELSEWHERE if elsewhere else EndCause.CANCELED
            for leg in self._legs:
                leg.cancel()
            self._hang_up(elsewhere=elsewhere)

    async def run(self) -> "VoIPCall | None":
        """Ring; returns the call of who has taken it, None when nobody does. Cancelled, it gives up."""
        self._phone.hunts.append(self)
        self._phone.followers.append(self._heard)
        try:
            numbers = () if self._given_up else self._ringing.numbers
            self._legs += [asyncio.ensure_future(self._leg(number)) for number in numbers]
            waiting = set(self._legs)
            while waiting and self.winner is None:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                self.winner = None if self._given_up else self._first()
        finally:
            self._end()
        return self.winner

    def _first(self) -> "VoIPCall | None":
        """Who has it, of those that are through; two at the same instant in the order of their numbers."""
        through = (leg.result() for leg in self._legs if leg.done() and not leg.cancelled())
        return next((call for call in through if call is not None and call.is_talking), None)

    def _end(self) -> None:
        for leg in self._legs:
            leg.cancel()
        self._placed.set()
        self._phone.followers.remove(self._heard)
        self._phone.hunts.remove(self)
        self._hang_up(elsewhere=self.winner is not None)
        self._phone.tell(HuntEnded(winner=self.winner, calls=tuple(self.calls), given_up=self._given_up))

    def _hang_up(self, *, elsewhere: bool) -> None:
        for call in self.calls:
            if call is not self.winner and call.finished is None:
                call.hangup(elsewhere=elsewhere)

    # --- one of them ---

    async def _leg(self, number: str) -> "VoIPCall | None":
        with following(self._phone) as news:
            call = await self._place(number)
            if call is None:
                return None
            await news.until(lambda: call.is_talking or call.finished is not None)
            if self._ringing.acceptance is not None and call.is_talking:
                await self._ask(call, news, self._ringing.acceptance)
        return call if call.is_talking else None

    async def _place(self, number: str) -> "VoIPCall | None":
        ringing = self._ringing
        try:
            call = await self._phone.dial(
                number, timeout=ringing.timeout, from_name=ringing.from_name, headers=ringing.headers
            )
        except SipBridgeError as error:
            _LOG.warning("%s: %s is not rung: %s", self._phone.account.id, number, error)
            self._errors.append(error)
            return None
        else:
            self.calls.append(call)
            return call
        finally:
            if len(self.calls) + len(self._errors) == len(ringing.numbers):
                self._placed.set()

    async def _ask(self, call: "VoIPCall", news: News, acceptance: Acceptance) -> None:
        """Until it accepts, or is over; who does not accept in time is hung up, and the others ring on."""
        prompt = self._phone.start_task(_prompt(call, acceptance.prompt), name=f"prompt {call.call_id}")
        try:
            async with asyncio.timeout(acceptance.seconds):
                await news.until(lambda: call.call_id in self._accepted or not call.is_talking)
        except TimeoutError:
            if call.is_talking:
                call.end_for(CallLimit.NO_ANSWER)
        finally:
            prompt.cancel()
            if call.is_talking:
                call.stop_playback()

    def _heard(self, event: PhoneEvent) -> None:
        acceptance = self._ringing.acceptance
        match event:
            case DTMFPressed(call=call, digit=digit) if acceptance is not None and digit == acceptance.key:
                self._accepted.add(call.call_id)
            case _:
                pass


async def _prompt(call: "VoIPCall", source: str) -> None:
    """Say what to press, again and again; a tone where that can't be played."""
    with contextlib.suppress(InvalidStateError):  # it accepted, or hung up, before that began
        try:
            await call.play(source, loop=True)
        except (MediaError, NotAllowedError) as error:
            _LOG.warning("%s can't be played to who is to accept: %s", shown_source(source), error)
            await call.play(ACCEPT_PROMPT, loop=True)
