"""What one call plays: on request, and by itself as soon as it is answered."""

from typing import TYPE_CHECKING

from sip_bridge.errors import InvalidStateError, MediaError, NotAllowedError
from sip_bridge.phone.announcement import Announcement
from sip_bridge.phone.events import CallChanged, PlaybackEnded
from sip_bridge.phone.player import PlaybackFinished
from sip_bridge.phone.sources import shown_source

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone


class CallPlayback:
    """The ``announcement`` waits for the answer; its end may be the call's."""

    def __init__(self, phone: "VoIPPhone", call: "VoIPCall", announcement: Announcement | None) -> None:
        self._phone = phone
        self._call = call
        self.announcement = announcement

    async def play(self, source: str, *, loop: bool, volume: float, enqueue: bool) -> None:
        """See `VoIPCall.play`."""
        self._call.require_talking()
        await self._call.media.play(source, loop=loop, volume=volume, enqueue=enqueue)
        self._phone.tell(CallChanged(call=self._call))

    def stop(self) -> None:
        """See `VoIPCall.stop_playback`."""
        if not self._call.is_ringing:
            self._call.require_talking()
        self._call.media.stop_playback()

    def answered(self) -> None:
        """The other party hears us from now on."""
        if self.announcement is not None:
            self.announce(self.announcement)

    def announce(self, announcement: Announcement) -> None:
        """See `VoIPCall.announce`."""
        self.announcement = announcement
        self._phone.start_task(self._announce(announcement), name=f"announce to {self._call.call_id}")

    def ended(self, event: PlaybackFinished) -> None:
        """Something was played, or could not be."""
        self._phone.tell(
            PlaybackEnded(call=self._call, source=event.source, completed=event.completed, error=event.error)
        )
        hangs_up = self.announcement is not None and self.announcement.hangup_after
        if hangs_up and self._call.is_talking and not self._call.media.is_playing:
            self._call.hangup()

    async def _announce(self, announcement: Announcement) -> None:
        try:
            await self._call.media.play(announcement.source, settle=announcement.settle)
            self._phone.tell(CallChanged(call=self._call))
        except (MediaError, NotAllowedError) as error:
            source = shown_source(announcement.source)
            self.ended(PlaybackFinished(source=source, completed=False, error=str(error)))
        except InvalidStateError:
            return  # it was stopped before it began, and that was told
