"""Opening the door: the account's code, pressed in a call that is there, or in one that is made for it."""

import asyncio
from typing import TYPE_CHECKING, Final

from sip_bridge.errors import BusyError, InvalidStateError, NotAllowedError, RequestRefusedError
from sip_bridge.phone.events import DoorOpened, DoorOpening
from sip_bridge.phone.following import News, following
from sip_bridge.phone.settings import DoorSettings
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone

RING_TIME: Final = 30.0  # seconds until the station, which answers by itself, must have done so
SOUND_WAIT: Final = 2.0  # seconds after the answer for the station's first sound; some send none
SETTLE: Final = 0.3  # seconds from then on: who has just answered misses keys
LAST_KEY: Final = 0.5  # seconds from the last key to our hang-up: the station still has to hear it


class DoorOpener:
    """Opens the door of one account, once at a time."""

    def __init__(self, phone: "VoIPPhone") -> None:
        self._phone = phone
        self._is_opening = False

    async def open(self, call: "VoIPCall | None", *, by: DoorOpening) -> "VoIPCall":
        """Press the code in ``call``, answered for that if it rings, or in a call to the station; returns that call.

        It returns when the last key was sent. NotAllowedError without a code, BusyError while the door is being opened,
        InvalidStateError when the call ended before, RequestRefusedError when the station did not answer or refused a
        key.
        """
        door = self.require_ready()
        self._is_opening = True
        try:
            return await self._open(call, door, by)
        finally:
            self._is_opening = False

    def require_ready(self) -> DoorSettings:
        """How to open it; NotAllowedError without a code, BusyError while it is being opened."""
        door = self._phone.account.door
        if door is None:
            raise NotAllowedError(f"account {self._phone.account.id!r} has no door code")
        if self._is_opening:
            raise BusyError("the door is being opened already")
        return door

    async def _open(self, call: "VoIPCall | None", door: DoorSettings, by: DoorOpening) -> "VoIPCall":
        hangs_up = door.hang_up is True
        if call is None:
            call, hangs_up = await self._called(door), True
            await self._settle(call)
        elif call.is_ringing:
            if not door.answer:
                raise InvalidStateError("the call rings, and the door's settings say not to answer it")
            await call.answer()
            hangs_up = door.hang_up is not False
            await self._settle(call)
        try:
            await self._press(call, door)
            self._phone.tell(DoorOpened(call=call, by=by))
            if hangs_up and call.is_talking:
                await asyncio.sleep(LAST_KEY)
        finally:
            if hangs_up and call.is_talking:
                call.hangup()
        return call

    async def _press(self, call: "VoIPCall", door: DoorSettings) -> None:
        call.require_talking()
        method = self._phone.settings.dtmf_method if door.method == "auto" else door.method
        await call.keys.send(door.code, duration_ms=door.duration_ms, gap_ms=door.gap_ms, method=method, may_wait=False)

    async def _called(self, door: DoorSettings) -> "VoIPCall":
        """A call to the station, answered."""
        if door.number is None:
            raise InvalidStateError("there is no call, and no number of the door station")
        with following(self._phone) as news:
            call = await self._phone.dial(door.number, timeout=RING_TIME)
            await news.until(lambda: call.is_talking or call.finished is not None)
        if call.finished is not None:
            status = call.finished.status or SIPStatus.REQUEST_TIMEOUT
            raise RequestRefusedError(f"the door station did not answer: {int(status)}", status=status)
        return call

    async def _settle(self, call: "VoIPCall") -> None:
        """Until the station listens, as far as can be known; at once when the call is over."""
        with following(self._phone) as news:
            heard = _FirstSound(news)
            call.media.sinks.append(heard)
            try:
                async with asyncio.timeout(SOUND_WAIT):
                    await news.until(lambda: heard.has_come or not call.is_talking)
            except TimeoutError:
                pass  # it says nothing
            finally:
                call.media.sinks.remove(heard)
        if call.is_talking:
            await asyncio.sleep(SETTLE)


class _FirstSound:
    """A sink that hears whether there is sound."""

    def __init__(self, news: News) -> None:
        self._news = news
        self.has_come = False

    def write(self, frame: bytes, rate: int) -> None:
        """See `AudioSink`."""
        del frame, rate
        self.has_come = True
        self._news.wake()
