"""The recording of one call: begun on request or by the answer, ended on request, by a limit or with the call."""

from typing import TYPE_CHECKING

from sip_bridge.errors import InvalidStateError, LocalProtocolError, MediaError, NotAllowedError
from sip_bridge.phone.events import CallChanged, RecordingEnded
from sip_bridge.phone.recorder import Recording, RecordingResult
from sip_bridge.sip.uri import user_of

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone


class CallRecording:
    """One recording of a call at a time."""

    def __init__(self, phone: "VoIPPhone", call: "VoIPCall") -> None:
        self._phone = phone
        self._call = call
        self._running: Recording | None = None

    @property
    def is_running(self) -> bool:
        """Whether the call is being recorded."""
        return self._running is not None

    def answered(self) -> None:
        """The call was answered: record it, if the account wants that."""
        if self._phone.account.record == "answered":
            self._phone.start_task(self._record(), name=f"record {self._call.call_id}")

    async def start(self, name: str | None, max_seconds: float | None, *, now: float) -> str:
        """See `VoIPCall.record`; ``now`` is Unix time."""
        if self._phone.account.record == "never":
            raise NotAllowedError(f"account {self._phone.account.id!r} does not let calls be recorded")
        if max_seconds is not None and not max_seconds > 0:
            raise LocalProtocolError("max_seconds: expected more than 0")
        if self._running is not None:
            raise InvalidStateError(f"call {self._call.call_id} is being recorded already")
        media = self._call.media
        recording = self._running = self._phone.client.recorder.recording(
            name or self._label(),
            started_at=now,
            rate=media.rate,
            max_seconds=max_seconds,
            on_stop=self._stopped,
            on_done=self._done,
        )
        media.tap(recording)
        file = await recording.open()
        self._phone.tell(CallChanged(call=self._call))
        return file

    def stop(self) -> None:
        """See `VoIPCall.stop_recording`."""
        if self._running is None:
            raise InvalidStateError(f"call {self._call.call_id} is not being recorded")
        self._running.stop("stopped")

    def close(self) -> None:
        """The call is over."""
        if self._running is not None:
            self._running.stop("call_ended")

    async def _record(self) -> None:
        call = self._call
        try:
            await self.start(None, None, now=call.answered_at or call.started_at)
        except (MediaError, InvalidStateError) as error:
            self._phone.tell(RecordingEnded(call=call, file=None, reason="error", error=str(error)))

    def _label(self) -> str:
        direction = "incoming" if self._call.is_incoming else "outgoing"
        return f"{self._phone.account.id}_{direction}_{user_of(self._call.remote.uri) or 'unknown'}"

    def _stopped(self) -> None:
        if self._running is not None:
            self._call.media.untap(self._running)
            self._running = None
        if self._call.is_talking:
            self._phone.tell(CallChanged(call=self._call))

    def _done(self, result: RecordingResult) -> None:
        self._phone.tell(
            RecordingEnded(
                call=self._call,
                file=result.name,
                seconds=result.seconds,
                size=result.size,
                reason=result.reason,
                error=result.error,
                missed_seconds=result.missed_seconds,
            )
        )
