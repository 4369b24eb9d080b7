"""VoIPCall: one call, its signalling in the core and its sound in a media session."""

import asyncio
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

from sip_bridge.errors import InvalidStateError
from sip_bridge.phone.announcement import Announcement
from sip_bridge.phone.auto_answer import SelfAnswer
from sip_bridge.phone.call_offers import CallOffers
from sip_bridge.phone.call_playback import CallPlayback
from sip_bridge.phone.call_recording import CallRecording
from sip_bridge.phone.connections import CallConnections
from sip_bridge.phone.events import (
    CallChanged,
    CallFinished,
    CallLimit,
    MediaFound,
    MediaLost,
    Refusal,
    SendMethod,
)
from sip_bridge.phone.keys import CallKeys
from sip_bridge.phone.media import DTMFReceived, MediaEvent, MediaResumed, MediaSession, MediaStopped
from sip_bridge.phone.outcomes import Outcomes
from sip_bridge.phone.player import PlaybackFinished
from sip_bridge.phone.transfer import CallTransfer
from sip_bridge.sip.events import (
    AnswerReceived,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallEvent,
    CallPlaced,
    CallProgressed,
    CallReceived,
    CallSignaled,
    InfoAnswered,
    InfoReceived,
    OfferNeeded,
    OfferReceived,
    OfferRefused,
    TransferEnded,
    TransferProgressed,
    TransferRequested,
)
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.phone.phone import VoIPPhone


class CallState(Enum):
    """Where a call stands."""

    DIALING = auto()
    RINGING = auto()
    EARLY_MEDIA = auto()
    IN_CALL = auto()
    ON_HOLD = auto()
    ENDED = auto()


class VoIPCall:
    """A call of one phone; made by the phone, never by its user."""

    def __init__(
        self,
        phone: "VoIPPhone",
        *,
        call_id: str,
        is_incoming: bool,
        remote: NameAddr,
        media: MediaSession,
        offer: bytes = b"",
        announcement: Announcement | None = None,
        referrer: "VoIPCall | None" = None,
        refusal: Refusal | None = None,
    ) -> None:
        self._phone = phone
        self._referrer = referrer
        self._client = phone.client
        self._refusal = refusal
        self._limit: CallLimit | None = None
        self._outcomes = Outcomes(phone.client.flush)
        self.transfers = CallTransfer(phone, self, self._outcomes)
        self._timer: asyncio.TimerHandle | None = None  # until it is answered for ringing, then for talking
        self.media = media
        media.on_event = self.handle_media
        self.offers = CallOffers(phone, self, self._outcomes, offer)
        self.keys = CallKeys(phone, self, self._outcomes)
        self.playback = CallPlayback(phone, self, announcement)
        self.recording = CallRecording(phone, self)
        self.connections = CallConnections(phone, self)
        self.self_answer = SelfAnswer(phone, self)
        self.call_id = call_id
        self.is_incoming = is_incoming
        self.remote = remote
        self.state = CallState.RINGING if is_incoming else CallState.DIALING
        self.started_at = time.time()
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.finished: CallFinished | None = None  # how it ended
        self.hides_keys = False  # what its other party presses is for a door: nobody is to see it

    # --- orders ---

    async def answer(self, *, announcement: Announcement | None = None) -> None:
        """Answer a ringing call; NegotiationError when its offer has nothing that we can do: it gets 488."""
        body = await self.offers.describe()
        self.playback.announcement = announcement
        self._client.endpoint.answer(self.call_id, body, self._client.now)
        self._answered()
        self._client.flush()

    async def play_early(self, source: str, *, loop: bool = False, volume: float = 1.0, enqueue: bool = False) -> None:
        """Play to the caller of a ringing call, before it is answered (183 Session Progress); errors as in `play`.

        InvalidStateError when the caller made no offer and can't take ours before the answer.
        """
        body = await self.offers.describe()
        await self.media.play(source, loop=loop, volume=volume, enqueue=enqueue)
        if self.state is not CallState.RINGING:  # it is early media already, or was answered meanwhile
            self._phone.tell(CallChanged(call=self))
            return
        try:
            self._client.endpoint.ring(self.call_id, SIPStatus.SESSION_PROGRESS, self._client.now, body)
        except InvalidStateError:
            self.media.stop_playback()
            raise
        self.media.start_sending()
        self._move(CallState.EARLY_MEDIA)
        self._client.flush()

    def reject(self, status: SIPStatus) -> None:
        """Refuse a ringing call."""
        self.require_ringing()
        self._client.endpoint.reject(self.call_id, status, self._client.now)
        self._client.flush()

    def hangup(self, *, elsewhere: bool = False) -> None:
        """End the call, whatever state it is in; one of ours maybe because it was answered ``elsewhere``."""
        if self.state is CallState.ENDED:
            raise InvalidStateError(f"call {self.call_id} is over")
        endpoint = self._client.endpoint
        end = endpoint.leave_to_other if elsewhere else endpoint.hangup
        end(self.call_id, self._client.now)
        self._client.flush()

    async def play(self, source: str, *, loop: bool = False, volume: float = 1.0, enqueue: bool = False) -> None:
        """Play a file, a URL or a tone into the call; see `Player.play`."""
        await self.playback.play(source, loop=loop, volume=volume, enqueue=enqueue)

    def stop_playback(self) -> None:
        """Stop what plays, and what waits to be played."""
        self.playback.stop()

    def announce(self, announcement: Announcement) -> None:
        """Play something to who has just answered; its end is told, and may be the call's."""
        self.playback.announce(announcement)

    async def record(self, *, name: str | None = None, max_seconds: float | None = None) -> str:
        """Record both sides, stereo, and return the file's name in the folder; the listener hears `RecordingEnded`.

        MediaError when that can't be written, NotAllowedError when the account forbids it, InvalidStateError when it is
        being done already.
        """
        self.require_talking()
        return await self.recording.start(name, max_seconds, now=time.time())

    def stop_recording(self) -> None:
        """Finish the recording, which goes on to be told."""
        self.recording.stop()

    def join(self, other: "VoIPCall") -> None:
        """Have the other parties of both calls hear each other, until `separate` or the end of either.

        What plays comes first, and both stay muted, recorded and so on as they are. InvalidStateError when either is
        not answered, or joined or connected already.
        """
        self.connections.join(other)

    def separate(self) -> None:
        """Undo `join`."""
        self.connections.separate()

    def mute(self, muted: bool) -> None:  # the name is the argument
        """Send silence, or sound again."""
        self.require_talking()
        self.media.muted = muted
        self._phone.tell(CallChanged(call=self))

    async def send_dtmf(self, digits: str, *, duration_ms: int, gap_ms: int, method: SendMethod | None = None) -> None:
        """Press keys, and return when the last one was sent, so that a hang-up may follow.

        ``rtp`` is RFC 4733, InvalidStateError when the other party doesn't take that; ``inband`` sounds tones. While it
        holds the call those wait, but nobody waits with them for longer than PRESS_WAIT. ``info`` sends each key in an
        INFO; RequestRefusedError when the other party doesn't take that. ``auto`` is the first of them that it takes.
        None is what the line's settings say.
        """
        self.require_talking()
        method = method or self._phone.settings.dtmf_method
        await self.keys.send(digits, duration_ms=duration_ms, gap_ms=gap_ms, method=method)

    async def hold(self) -> None:
        """Put the other party on hold; RequestRefusedError when it does not take that."""
        await self.offers.redirect("sendonly")

    async def resume(self) -> None:
        """Talk again after `hold`."""
        await self.offers.redirect("sendrecv")

    async def transfer(self, target: "str | VoIPCall") -> None:
        """Have the other party call a number or URI instead (blind), or the other party of another call (attended).

        This call, and the other one, end when they talk; RequestRefusedError when that fails: the call goes on.
        """
        self.require_talking()
        if isinstance(target, str):
            await self.transfers.to(target)
        else:
            await self.transfers.to_call(target)
            if target.is_talking:
                target.hangup()
        if self.is_talking:
            self.hangup()

    def give_up_after(self, seconds: float) -> None:
        """End the call with "no answer" unless it is answered in time."""
        self._end_after(seconds, CallLimit.NO_ANSWER)

    def ring_for(self, seconds: float) -> None:
        """Give up ringing when it has lasted so long; nothing once it was answered."""
        if self.is_ringing:
            self.give_up_after(max(0.0, seconds - self.ring_seconds))

    def end_for(self, limit: CallLimit) -> None:
        """End the call because a limit of ours is reached."""
        self._limit = limit
        if limit is CallLimit.NO_ANSWER and self.is_incoming:
            self.reject(SIPStatus.TEMPORARILY_UNAVAILABLE)
        else:
            self.hangup()

    def _end_after(self, seconds: float, limit: CallLimit) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.end_for, limit)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- facts ---

    @property
    def is_ringing(self) -> bool:
        """Whether it came in and waits to be answered, maybe with early media."""
        return self.is_incoming and self.state in (CallState.RINGING, CallState.EARLY_MEDIA)

    @property
    def reject_status(self) -> int:
        """What the account refuses it with, where nobody says."""
        return self._phone.account.reject_with.reject

    @property
    def is_talking(self) -> bool:
        """Whether it was answered and goes on."""
        return self.state in (CallState.IN_CALL, CallState.ON_HOLD)

    @property
    def ring_seconds(self) -> float:
        """How long it rang, up to now."""
        return (self.answered_at or self.ended_at or time.time()) - self.started_at

    @property
    def talk_seconds(self) -> float:
        """How long it was talked, up to now."""
        return 0.0 if self.answered_at is None else (self.ended_at or time.time()) - self.answered_at

    def require_ringing(self) -> None:
        """InvalidStateError unless it came in and waits to be answered."""
        if not self.is_ringing:
            raise InvalidStateError(f"call {self.call_id} is {self.state.name.lower()}, not a ringing incoming call")

    def require_talking(self) -> None:
        """InvalidStateError unless it was answered and goes on."""
        if not self.is_talking:
            raise InvalidStateError(f"call {self.call_id} is {self.state.name.lower()}, not answered")

    # --- what the core tells ---

    def handle(self, event: CallEvent) -> None:
        """A fact of the core about this call."""
        match event:
            case CallSignaled():
                if self._refusal is None:
                    self._phone.tell(event)
            case CallProgressed(status=status, answer=answer):
                self._progressed(status, answer)
            case CallAnswered(answer=answer):
                self._remote_answered(answer)
            case CallConfirmed(answer=answer):
                self._confirmed(answer)
            case AnswerReceived() | OfferReceived() | OfferNeeded() | OfferRefused():
                self.offers.handle(event)
            case TransferRequested() | TransferProgressed() | TransferEnded():
                self.transfers.handle(event)
            case InfoAnswered(status=status):
                self._outcomes.settle("key", status, status.phrase)
            case InfoReceived(content_type=content_type, content=content):
                self.keys.receive_info(content_type, content)
            case CallEnded():
                self._ended(event)
            case CallReceived() | CallPlaced():
                raise AssertionError(f"{event} is the phone's to handle")

    def _progressed(self, status: SIPStatus, answer: bytes) -> None:
        if self._referrer is not None:
            self._referrer.transfers.report(status)
        if answer and self.offers.take_answer(answer):
            self._move(CallState.EARLY_MEDIA)
        elif status == SIPStatus.RINGING and self.state is CallState.DIALING:
            self._move(CallState.RINGING)

    def agreed(self) -> None:
        """Both sides have agreed, maybe anew, on what flows."""
        if self.is_talking:
            self._move(CallState.ON_HOLD if self.offers.is_on_hold else CallState.IN_CALL)

    def _remote_answered(self, answer: bytes) -> None:
        if answer and not self.offers.take_answer(answer):
            self.hangup()
            return
        self._answered()
        self._start_sending()

    def _start_sending(self) -> None:
        self.media.start_sending()
        self.playback.answered()

    def _confirmed(self, answer: bytes) -> None:
        if answer and not self.offers.take_answer(answer):
            self.hangup()
            return
        self._start_sending()

    def _answered(self) -> None:
        self.self_answer.stop()
        self._end_after(self._phone.account.max_duration, CallLimit.MAX_DURATION)
        self.media.watch_silence(self._phone.account.media_timeout)
        self.answered_at = time.time()
        self._move(CallState.IN_CALL)
        self.recording.answered()
        self._report_outcome(SIPStatus.OK)

    def _report_outcome(self, status: SIPStatus) -> None:
        if self._referrer is not None:
            self._referrer.transfers.report(status)
            self._referrer = None

    def _ended(self, event: CallEnded) -> None:
        self._stop_timer()
        self.self_answer.stop()
        self.state = CallState.ENDED
        self.ended_at = time.time()
        self._outcomes.abandon()
        self.recording.close()
        self.connections.close()
        self.media.close()
        self.keys.close()
        self._report_outcome(event.status or SIPStatus.TEMPORARILY_UNAVAILABLE)
        self.finished = CallFinished(
            call=self,
            cause=event.cause,
            status=event.status,
            phrase=event.phrase,
            q850=event.q850,
            limit=self._limit,
            refusal=self._refusal,
        )
        self._phone.finished(self.finished)

    def _move(self, state: CallState) -> None:
        self.state = state
        self._phone.tell(CallChanged(call=self))

    # --- what the media session tells ---

    def handle_media(self, event: MediaEvent) -> None:
        """A fact of the media session."""
        match event:
            case DTMFReceived(digit=digit, duration_ms=ms):
                self.keys.receive(digit, "rtp", ms)
            case PlaybackFinished():
                self.playback.ended(event)
            case MediaStopped(seconds=seconds):
                self._media_lost(seconds)
            case MediaResumed():
                self._phone.tell(MediaFound(call=self))

    def _media_lost(self, seconds: float) -> None:
        """Who was heard before is gone. Who never was may have a network that lets no sound through, or none to send:
        it may hear us all the same.
        """
        self._phone.tell(MediaLost(call=self, seconds=seconds))
        was_heard = self.media.statistics.packets_received > 0
        if was_heard and self._phone.account.media_lost == "hangup" and self.is_talking:
            self.end_for(CallLimit.MEDIA_LOST)
