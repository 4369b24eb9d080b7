"""When the door rings, phones ring: who calls one line is offered to numbers that another line calls."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sip_bridge.errors import InvalidStateError, NegotiationError, SipBridgeError
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.contacts import numbers_of
from sip_bridge.phone.door import LAST_KEY
from sip_bridge.phone.events import CallChanged, CallFinished, DTMFPressed, PhoneEvent
from sip_bridge.phone.following import following
from sip_bridge.phone.hunt import Hunt, Ringing
from sip_bridge.phone.settings import RingSettings
from sip_bridge.sip.events import EndCause

if TYPE_CHECKING:
    from sip_bridge.phone.phone import VoIPPhone

_LOG = logging.getLogger(__name__)
MAX_KEYS: Final = 32  # of an inside phone that wait for the door station; more are not heard
LAST_KEYS: Final = 10.0  # seconds that the door's call outlives the inside phone's, to press what it pressed last
MAX_NAME: Final = 64  # characters of a caller's that phones are shown
KEY_MS: Final = 120
GAP_MS: Final = 80


class Doorbell:
    """Rings for the calls of every phone whose account says whom; ``phones`` may change at any time."""

    def __init__(self, phones: Mapping[str, "VoIPPhone"]) -> None:
        self._phones = phones
        self._rung: set[VoIPCall] = set()

    def tell(self, phone: "VoIPPhone", event: PhoneEvent) -> None:
        """Something happened on a phone."""
        ring = phone.account.ring
        match event:
            case CallChanged(call=call) if ring is not None and call.is_incoming and call.state is CallState.RINGING:
                if call not in self._rung:
                    self._rung.add(call)
                    phone.start_task(self._ring(phone, call, ring), name=f"ring phones for {call.call_id}")
            case CallFinished(call=call):
                self._rung.discard(call)
            case _:
                pass

    async def _ring(self, phone: "VoIPPhone", call: VoIPCall, ring: RingSettings) -> None:
        inside = self._phones.get(ring.account or phone.account.id)
        if inside is None or not inside.is_registered:
            _LOG.warning("%s: no phone is rung: %s is not registered", phone.account.id, ring.account)
        elif call.is_ringing:
            winner = await _answerer(phone, call, Hunt(inside, _ringing(phone, call, inside, ring)))
            if winner is not None:
                await _Visit(phone, call, inside, winner, ring).run()


def _ringing(phone: "VoIPPhone", call: VoIPCall, inside: "VoIPPhone", ring: RingSettings) -> Ringing:
    numbers, acceptance = numbers_of(inside.account.contacts, ring.numbers)
    return Ringing(
        numbers=numbers,
        timeout=ring.timeout,
        from_name=_display_name(call) or phone.account.name,
        acceptance=ring.acceptance or acceptance,
    )


def _display_name(call: VoIPCall) -> str:
    """The caller's, as far as it may go into a call of ours."""
    name = (call.remote.display_name or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character for character in name if character.isprintable())[:MAX_NAME].strip()


async def _answerer(phone: "VoIPPhone", call: VoIPCall, hunt: Hunt) -> VoIPCall | None:
    """Who has taken it, if anybody did before it was over, or answered in another way."""
    with following(phone) as news:
        search = asyncio.ensure_future(hunt.run())
        over = asyncio.ensure_future(news.until(lambda: not call.is_ringing))
        try:
            await asyncio.wait({search, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            hunt.give_up(elsewhere=_was_taken(call))
        return await search


def _was_taken(call: VoIPCall) -> bool:
    """Whether somebody answered: over MQTT, or another phone of the PBX that rings us."""
    return call.is_talking or (call.finished is not None and call.finished.cause is EndCause.ANSWERED_ELSEWHERE)


class _Visit:
    """A door's call and the inside phone that has taken it, from the answer to the end of both."""

    def __init__(
        self, phone: "VoIPPhone", call: VoIPCall, inside: "VoIPPhone", winner: VoIPCall, ring: RingSettings
    ) -> None:
        self._phone = phone
        self._call = call
        self._inside = inside
        self._winner = winner
        self._ring = ring
        self._keys: asyncio.Queue[str] = asyncio.Queue(MAX_KEYS)
        self._pressing = 0  # keys that are not passed on yet

    async def run(self) -> None:
        """Answer the door, join both, and pass on the keys of the inside phone until either hangs up."""
        self._winner.hides_keys = True
        try:
            await self._call.answer()
        except (InvalidStateError, NegotiationError) as error:
            _LOG.warning("%s: the call can't be answered: %s", self._phone.account.id, error)
            if self._winner.finished is None:
                self._winner.hangup(elsewhere=self._call.is_talking)
            return
        self._inside.followers.append(self._heard)
        relay = self._phone.start_task(self._relay(), name=f"keys for {self._call.call_id}")
        try:
            await self._talk()
            await self._press_last_keys()
        finally:
            self._inside.followers.remove(self._heard)
            relay.cancel()
            for each in (self._call, self._winner):
                if each.finished is None:
                    each.hangup()

    async def _talk(self) -> None:
        call, winner = self._call, self._winner
        with following(self._phone, self._inside) as news, contextlib.suppress(InvalidStateError):  # either is over
            call.join(winner)
            await news.until(lambda: not (call.is_talking and winner.is_talking))

    async def _press_last_keys(self) -> None:
        """Who opens the door may hang up before its code is through."""
        if self._pressing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_KEYS):
                    await self._keys.join()
                    await asyncio.sleep(LAST_KEY)

    def _heard(self, event: PhoneEvent) -> None:
        match event:
            case DTMFPressed(call=call, digit=digit) if call is self._winner and not self._keys.full():
                self._pressing += 1
                self._keys.put_nowait(digit)
            case _:
                pass

    async def _relay(self) -> None:
        """One key after the other; what the station does not take is lost, and the talk goes on."""
        while True:
            key = await self._keys.get()
            try:
                await self._press(key)
            except SipBridgeError as error:
                _LOG.warning("%s: a key of the inside phone was not passed on: %s", self._phone.account.id, error)
            finally:
                self._pressing -= 1
                self._keys.task_done()

    async def _press(self, key: str) -> None:
        if key == self._ring.door_key:
            await self._phone.door.open(self._call, by="key")
        else:
            await self._call.send_dtmf(key, duration_ms=KEY_MS, gap_ms=GAP_MS)
