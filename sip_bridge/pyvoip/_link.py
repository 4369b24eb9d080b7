"""What a call of the event loop and its counterpart in an application's threads have in common."""

import asyncio
import inspect
import threading
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final

from sip_bridge.phone import call as engine
from sip_bridge.phone.events import CallChanged, CallFinished, DTMFPressed, PhoneEvent
from sip_bridge.pyvoip._audio import CallAudio
from sip_bridge.pyvoip._loop import Workers
from sip_bridge.pyvoip.SIP.message import SIPMessage
from sip_bridge.sip.events import CallSignaled, EndCause
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.pyvoip.VoIP.call import VoIPCall

MAX_KEYS: Final = 256  # that nobody reads; the oldest give way
MAX_UNTOLD: Final = 16  # hooks that wait for their call to be made
_PROGRESS_HOOKS: Final = {SIPStatus.RINGING: "ringing", SIPStatus.SESSION_PROGRESS: "progress"}
_REFUSAL_HOOKS: Final = {
    SIPStatus.BUSY_HERE: "busy",
    SIPStatus.BUSY_EVERYWHERE: "busy",
    SIPStatus.DECLINE: "busy",
    SIPStatus.NOT_FOUND: "not_found",
    SIPStatus.DOES_NOT_EXIST_ANYWHERE: "not_found",
}


class CallState(Enum):
    """Where a call stands, and what may be done: DIALING and PROGRESS are ours until `cancel`, RINGING is to be
    answered or denied, ANSWERED to be hung up.
    """

    DIALING = "DIALING"
    RINGING = "RINGING"
    PROGRESS = "PROGRESS"
    ANSWERED = "ANSWERED"
    CANCELING = "CANCELING"
    ENDED = "ENDED"


class CallLink:
    """The state, sound and keys of a call; the loop writes them, any thread reads them."""

    def __init__(self, workers: Workers, engine_call: "engine.VoIPCall", request: SIPMessage | None) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._keys = ""
        self._pressed: deque[str] = deque(maxlen=MAX_KEYS)  # that the application was not told yet
        self._tells_keys = False
        self._at_work: set[str] = set()  # hooks
        self._untold: list[tuple[str, SIPMessage | None]] = []  # hooks of before there was a call to have them
        self._refer_accepted: asyncio.Event | None = None
        self.engine_call = engine_call
        self.call: VoIPCall | None = None
        self.latest = request  # the message that came last
        self.state = CallState.RINGING if engine_call.is_incoming else CallState.DIALING
        self.finished: CallFinished | None = None
        self.audio = CallAudio()
        engine_call.media.sinks.append(self.audio)
        engine_call.media.join(self.audio)

    def attach(self, call: "VoIPCall") -> None:
        """The application has made its call of this, and hears now what happened meanwhile."""
        with self._lock:
            self.call = call
            untold, self._untold = self._untold, []

        def run() -> None:
            for hook, message in untold:
                run_hook(call, hook, message)

        if untold:
            self._workers.start(run, f"first hooks of call {self.engine_call.call_id}")

    def take_keys(self, length: int | None) -> str:
        """The next keys; all of them without a length."""
        with self._lock:
            count = len(self._keys) if length is None or length < 0 else length
            keys, self._keys = self._keys[:count], self._keys[count:]
        return keys

    def put_key(self, key: str) -> None:
        """A key came."""
        with self._lock:
            self._keys = (self._keys + key)[-MAX_KEYS:]

    # --- on the loop ---

    def received(self, data: bytes) -> None:
        """A message of the call came; what follows from it is told after this."""
        self.latest = message = SIPMessage(data)
        is_accepted = isinstance(message.status, SIPStatus) and message.status.is_success
        if self._refer_accepted is not None and is_accepted and message.headers["CSeq"]["method"] == "REFER":
            self._refer_accepted.set()

    def expect_accepted_refer(self) -> asyncio.Event:
        """Set when the other party agrees to be transferred."""
        self._refer_accepted = asyncio.Event()
        return self._refer_accepted

    def handle(self, event: PhoneEvent) -> None:
        """A fact of the call."""
        match event:
            case CallChanged(call=call):
                self._changed(call.state)
            case CallSignaled(origin="remote", method="INVITE", status=SIPStatus() as status):
                self._signaled(status)
            case DTMFPressed(digit=digit):
                self._key_pressed(digit)
            case CallFinished():
                self._finished(event)
            case _:
                pass  # nothing that this API tells

    def _changed(self, state: "engine.CallState") -> None:
        if state in (engine.CallState.IN_CALL, engine.CallState.ON_HOLD):
            was_answered, self.state = self.state is CallState.ANSWERED, CallState.ANSWERED
            if not was_answered and not self.engine_call.is_incoming:
                self._tell("answered")
        elif state is engine.CallState.EARLY_MEDIA:
            self._move_to_progress()

    def _move_to_progress(self) -> None:
        if self.state is CallState.DIALING:
            self.state = CallState.PROGRESS

    def _signaled(self, status: SIPStatus) -> None:
        hook = _PROGRESS_HOOKS.get(status)
        if hook is None:
            return
        if status == SIPStatus.SESSION_PROGRESS:
            self._move_to_progress()
        self._tell(hook)

    def _key_pressed(self, key: str) -> None:
        """Keys are told one after the other, and in a thread, where the application may block."""
        call = self.call
        if call is None:
            self.put_key(key)
            return
        with self._lock:
            self._pressed.append(key)
            if self._tells_keys:
                return
            self._tells_keys = True
        self._workers.start(lambda: self._tell_keys(call), f"dtmf_callback of call {self.engine_call.call_id}")

    def _tell_keys(self, call: "VoIPCall") -> None:
        while True:
            with self._lock:
                self._tells_keys = bool(self._pressed)
                if not self._pressed:
                    return
                key = self._pressed.popleft()
            try:
                call.dtmf_callback(key)
            except BaseException:
                with self._lock:
                    self._tells_keys = False
                raise

    def _finished(self, event: CallFinished) -> None:
        self.state = CallState.ENDED
        self.finished = event
        self.audio.close()
        match event.cause:
            case EndCause.HANGUP_REMOTE | EndCause.CANCELED | EndCause.ANSWERED_ELSEWHERE:
                self._tell("bye")
            case EndCause.REJECTED if not self.engine_call.is_incoming:
                self._tell(_REFUSAL_HOOKS.get(event.status or SIPStatus.OK, "unavailable"))
            case EndCause.TIMEOUT | EndCause.UNREACHABLE if not self.engine_call.is_incoming:
                self._tell("unavailable")
            case _:
                pass  # our own doing

    def _tell(self, hook: str) -> None:
        """Run a hook of the application, unless the same one is still at work: a peer may repeat itself."""
        message = self.latest
        with self._lock:
            call = self.call
            if call is None:
                if len(self._untold) < MAX_UNTOLD:
                    self._untold.append((hook, message))
                return
            if hook in self._at_work:
                return
            self._at_work.add(hook)

        def run() -> None:
            try:
                run_hook(call, hook, message)
            finally:
                with self._lock:
                    self._at_work.discard(hook)

        self._workers.start(run, f"{hook} of call {self.engine_call.call_id}")


def run_hook(call: "VoIPCall", hook: str, message: SIPMessage | None) -> None:
    """Call a hook with the message that caused it, or without, as it is written: both are documented."""
    method = getattr(call, hook)
    if inspect.signature(method).parameters:
        method(message)
    else:
        method()
