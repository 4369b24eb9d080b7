"""The key presses of one call: those that we send, and those of the other party, however they come."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from sip_bridge.errors import InvalidStateError, RequestRefusedError
from sip_bridge.media.dtmf import PAUSE, PAUSE_SECONDS, check_digits
from sip_bridge.media.dtmf_info import RELAY, InfoPress, parse_info
from sip_bridge.media.key_sequence import KeyCollector, KeySequence
from sip_bridge.media.press_filter import PressFilter
from sip_bridge.media.tone_detector import ToneDetector
from sip_bridge.phone.events import DTMFEntered, DTMFMethod, DTMFPressed, SendMethod
from sip_bridge.phone.outcomes import Outcomes
from sip_bridge.phone.outgoing import LONGEST_MS
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone

PRESS_WAIT: Final = 30.0  # seconds
# Who answers so to a key by INFO doesn't take any.
_NO_KEYS: Final = (SIPStatus.METHOD_NOT_ALLOWED, SIPStatus.UNSUPPORTED_MEDIA_TYPE, SIPStatus.NOT_IMPLEMENTED)


class CallKeys:
    """Presses are told as they come, each once, and again as a sequence when one ends.

    As a sink of the call's sound it hears tones, if the account wants that.
    """

    def __init__(self, phone: "VoIPPhone", call: "VoIPCall", outcomes: Outcomes) -> None:
        settings = phone.account.dtmf
        self._phone = phone
        self._client = phone.client
        self._call = call
        self._outcomes = outcomes
        self._info = asyncio.Lock()  # one sequence at a time
        self._filter = PressFilter()
        self._detector = ToneDetector()
        self._collector = KeyCollector(
            terminator=settings.terminator, max_digits=settings.max_digits, pause=settings.pause
        )
        self._method: DTMFMethod = "rtp"  # of the key that came last
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        if settings.inband:
            call.media.sinks.append(self)

    # --- ours ---

    async def send(
        self, digits: str, *, duration_ms: int, gap_ms: int, method: SendMethod, may_wait: bool = True
    ) -> None:
        """See `VoIPCall.send_dtmf`; unless they ``may_wait``, keys that can't be sent in time are never sent, and
        InvalidStateError says so.
        """
        digits = check_digits(digits)
        if method == "auto" and not self._call.media.takes_events and self._allows_info:
            await self._try_info(digits, duration_ms, gap_ms, may_wait=may_wait)
        elif method == "info":
            async with self._info:
                await self._send_info(digits, duration_ms, gap_ms)
        else:
            is_inband = method == "inband" or (method == "auto" and not self._call.media.takes_events)
            await self._send_media(digits, duration_ms, gap_ms, inband=is_inband, may_wait=may_wait)

    @property
    def _allows_info(self) -> bool:
        return self._client.endpoint.allows(self._call.call_id, "INFO")

    async def _try_info(self, digits: str, duration_ms: int, gap_ms: int, *, may_wait: bool) -> None:
        async with self._info:
            try:
                await self._send_info(digits[:1], duration_ms, gap_ms, more=len(digits) > 1)
            except RequestRefusedError as refusal:
                if refusal.status not in _NO_KEYS:
                    raise
                await self._send_media(digits, duration_ms, gap_ms, inband=True, may_wait=may_wait)
            else:
                await self._send_info(digits[1:], duration_ms, gap_ms)

    async def _send_media(self, digits: str, duration_ms: int, gap_ms: int, *, inband: bool, may_wait: bool) -> None:
        media = self._call.media
        presses = media.send_dtmf(digits, duration_ms=duration_ms, gap_ms=gap_ms, inband=inband)
        try:
            async with asyncio.timeout(PRESS_WAIT):
                await presses.wait()
        except TimeoutError:
            if may_wait:
                return
        finally:
            if not may_wait:
                media.withdraw_dtmf(presses)
        if not presses.were_heard:
            raise InvalidStateError("the call was over, or on hold, before every key was sent")

    async def _send_info(self, digits: str, duration_ms: int, gap_ms: int, *, more: bool = False) -> None:
        """``more`` keys follow these."""
        duration_ms, gap_ms = (min(max(ms, 0), LONGEST_MS) for ms in (duration_ms, gap_ms))
        for index, digit in enumerate(digits, 1):
            if digit == PAUSE:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._call.require_talking()
            press = InfoPress(digit=digit, duration_ms=duration_ms)
            try:
                await self._outcomes.ask("key", partial(self._send_info_key, press))
            except RequestRefusedError:
                if more or index < len(digits) or self._call.is_talking:
                    raise
                return  # a station that opens its door at the last key may hang up before it answers
            await asyncio.sleep((duration_ms + gap_ms) / 1000)  # as long as the other side takes to play the key

    def _send_info_key(self, press: InfoPress) -> None:
        self._client.endpoint.send_info(self._call.call_id, RELAY, press.body, self._client.now)

    # --- the other party's ---

    def write(self, frame: bytes, rate: int) -> None:
        """See `AudioSink`: what is heard may be the tones of keys."""
        for digit in self._detector.process(frame, rate):
            self.receive(digit, "inband", None)

    def receive_info(self, content_type: str, content: bytes) -> None:
        """The body of an INFO; what is no key is ignored."""
        press = parse_info(content_type, content)
        if press is not None:
            self.receive(press.digit, "info", press.duration_ms)

    def receive(self, digit: str, method: DTMFMethod, duration_ms: int | None) -> None:
        """A key, as one way tells it."""
        now = self._client.now
        if self._is_closed or not self._filter.counts(digit, method, now, duration=(duration_ms or 0) / 1000):
            return
        self._method = method
        sequence = self._collector.press(digit, now)
        self._phone.tell(DTMFPressed(call=self._call, digit=digit, method=method, duration_ms=duration_ms))
        self._collected(sequence)

    def close(self) -> None:
        """The call is over: what was pressed last is told, and nothing after that."""
        self._collected(self._collector.close())
        self._is_closed = True

    def _collected(self, sequence: KeySequence | None) -> None:
        if sequence is not None:
            verdict = self._phone.codes.check(sequence.digits, self._client.now)
            self._phone.tell(
                DTMFEntered(
                    call=self._call,
                    digits=sequence.digits,
                    method=self._method,
                    ended_by=sequence.ended_by,
                    code=verdict.code,
                    locked=verdict.locked,
                )
            )
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._collector.deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._collector.deadline - self._client.now, self._paused)

    def _paused(self) -> None:
        self._timer = None
        self._collected(self._collector.tick(self._client.now))
