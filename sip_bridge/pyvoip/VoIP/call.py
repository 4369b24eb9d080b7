"""VoIPCall: one call, for threads."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from sip_bridge.errors import InvalidStateError, NegotiationError, RequestRefusedError
from sip_bridge.pyvoip._link import CallLink, CallState
from sip_bridge.pyvoip.networking.sock import VoIPConnection
from sip_bridge.pyvoip.RTP import PayloadType
from sip_bridge.pyvoip.SIP.message import SIPMessage
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.pyvoip.VoIP.phone import VoIPPhone

__all__ = ["CallState", "VoIPCall"]


class VoIPCall:
    """A call; made by its phone. Override the hooks (`ringing`, `progress`, `answered`, `busy`, `bye`, ...) in a class
    of your own and give that to the phone: each runs in a thread of its own, and may block.
    """

    def __init__(
        self,
        phone: "VoIPPhone",
        callstate: CallState,  # noqa: ARG002  # the link knows better: the call may be over by now
        request: SIPMessage,
        session_id: int,
        bind_ip: str,
        conn: VoIPConnection,
        ms: dict[int, PayloadType] | None = None,
        sendmode: str = "sendonly",
    ) -> None:
        if conn.link is None:
            raise InvalidStateError("a VoIPCall is made by its VoIPPhone")
        self.phone = phone
        self.sip = phone.sip
        self.request = request
        self.session_id = session_id
        self.bind_ip = bind_ip
        self.conn = conn
        self.ms = ms or {}
        self.sendmode = sendmode
        self.call_id = conn.call_id
        self._link: CallLink = conn.link

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return self._link.state

    @property
    def port(self) -> int:
        """Our RTP port."""
        return self._link.engine_call.media.port

    @property
    def status(self) -> SIPStatus | None:
        """The SIP status that the call ended with; None before, and after a BYE."""
        return self._link.finished.status if self._link.finished else None

    # --- orders ---

    def answer(self) -> None:
        """Answer; InvalidStateError unless the call is RINGING."""
        self._require(CallState.RINGING)
        try:
            self.sip.loop.run(self._link.engine_call.answer())
        except NegotiationError as error:
            raise InvalidStateError(str(error)) from error

    def deny(self) -> None:
        """Refuse with 486 Busy Here; InvalidStateError unless the call is RINGING."""
        self._require(CallState.RINGING)
        self.sip.loop.call(lambda: self._link.engine_call.reject(SIPStatus.BUSY_HERE))

    def hangup(self) -> None:
        """End the call; InvalidStateError unless it is ANSWERED."""
        self._require(CallState.ANSWERED)
        self.sip.loop.call(self._link.engine_call.hangup)

    def cancel(self) -> None:
        """Give up a call of ours; InvalidStateError unless it is DIALING or in PROGRESS."""
        self._require(CallState.DIALING, CallState.PROGRESS)
        self.sip.loop.call(self._cancel)

    def _cancel(self) -> None:
        self._link.engine_call.hangup()
        if self._link.state is not CallState.ENDED:
            self._link.state = CallState.CANCELING

    def transfer(self, user: str | None = None, uri: str | None = None, blind: bool = True) -> bool:
        """Have the other party call a user of the PBX, or a URI; False when that failed: the call goes on.

        ``blind`` ends the call as soon as the other party agrees; otherwise it ends when the new call is answered.
        """
        target = user if user is not None else uri
        if target is None:
            raise RuntimeError("a transfer needs a user or a uri")
        self._require(CallState.ANSWERED)
        return self.sip.loop.run(self._transfer(target.strip().removeprefix("<").removesuffix(">"), blind=blind))

    async def _transfer(self, target: str, *, blind: bool) -> bool:
        agreed = self._link.expect_accepted_refer() if blind else asyncio.Event()
        outcome = asyncio.ensure_future(self._link.engine_call.transfer(target))
        waiting = asyncio.ensure_future(agreed.wait())
        await asyncio.wait((outcome, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not outcome.done():
            outcome.cancel()
            if self.state is CallState.ANSWERED:
                self._link.engine_call.hangup()
            return True
        with contextlib.suppress(RequestRefusedError):
            await outcome
            return True
        return False

    def get_dtmf(self, length: int | None = 1) -> str:
        """The next keys that the other party pressed, "" when there are none; all of them if ``length`` is negative."""
        return self._link.take_keys(length)

    def send_dtmf(self, digits: str) -> None:
        """Press keys; returns when the last one was sent."""
        self._require(CallState.ANSWERED)
        self.sip.loop.run(self._link.engine_call.send_dtmf(digits, duration_ms=160, gap_ms=80))

    def write_audio(self, data: bytes) -> None:
        """Say this after what waits already: unsigned 8-bit PCM, 8000 Hz, mono."""
        self._link.audio.put(data)

    def read_audio(self, length: int = 160, blocking: bool = True) -> bytes:
        """What the other party said next, in the same format.

        Blocking waits for that many samples, all of them heard; fewer when the call ends. Otherwise what is missing is
        silence.
        """
        return self._link.audio.take(length, blocking=blocking)

    def flush_audio(self) -> None:
        """Forget what the other party said and nobody read."""
        self._link.audio.flush()

    # --- hooks ---

    def ringing(self, request: SIPMessage | None = None) -> None:
        """A call came: answer or deny it here. For a call of ours: the other party's phone rings."""
        del request
        if self.state is CallState.RINGING:
            self.deny()

    def progress(self, request: SIPMessage | None = None) -> None:
        """The other side told that the call makes progress (183), often with sound."""

    def answered(self, request: SIPMessage | None = None) -> None:
        """The other party took our call."""

    def busy(self, request: SIPMessage | None = None) -> None:
        """The other party is busy, or declined."""

    def not_found(self, request: SIPMessage | None = None) -> None:
        """Nobody has that number."""

    def unavailable(self, request: SIPMessage | None = None) -> None:
        """Our call failed in another way; `status` says how."""

    def bye(self, request: SIPMessage | None = None) -> None:
        """The other party hung up, or gave up before we answered."""

    def dtmf_callback(self, code: str) -> None:
        """The other party pressed a key; `get_dtmf` gives it unless this is overridden."""
        self._link.put_key(code)

    def _require(self, *states: CallState) -> None:
        if self.state not in states:
            wanted = " or ".join(state.name for state in states)
            raise InvalidStateError(f"the call is {self.state.name}, not {wanted}")
