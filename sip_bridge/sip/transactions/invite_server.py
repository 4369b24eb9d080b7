"""The INVITE server transaction: RFC 3261 figure 7 with RFC 6026's Accepted state.

Proceeding ──2xx──> Accepted ──L──> Terminated     absorbs INVITEs; the TU retransmits the 2xx, ACKs go up
    │ INVITE: last 1xx again
    └──3xx-6xx──> Completed ──ACK──> Confirmed ──I──> Terminated
                    │ G: retransmit   H: no ACK came
"""

from collections.abc import Callable
from enum import Enum, auto

from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import Timers
from sip_bridge.sip.transactions.machine import Machine


class State(Enum):
    """Figure 7."""

    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class InviteServer(Machine):
    """One INVITE received."""

    __slots__ = ("_build_trying", "_interval", "_last", "state")

    def __init__(
        self, *, build_trying: Callable[[], bytes], send: Callable[[bytes], None], timers: Timers, reliable: bool
    ) -> None:
        super().__init__(send=send, timers=timers, reliable=reliable)
        self._build_trying = build_trying
        self._last = b""
        self._interval = timers.g
        self.state = State.PROCEEDING

    def start(self, now: float) -> None:
        """The INVITE went up to the transaction user; 100 follows by itself if nothing else does."""
        self.wait(trying=now + self.timers.trying)

    def respond(self, status: SIPStatus, response: bytes, now: float) -> None:
        """Send a response of the transaction user."""
        if self.state is not State.PROCEEDING:
            if self.state is State.ACCEPTED and status.is_success:
                self.send(response)  # the TU's own retransmission of its 2xx
            return
        self._last = response
        self.send(response)
        if status.is_provisional:
            self.wait()
        elif status.is_success:
            self.state = State.ACCEPTED
            self.wait(l=now + self.timers.l)
        else:
            self.state = State.COMPLETED
            self.wait(h=now + self.timers.h)
            if not self.reliable:
                self.restart("g", now + self._interval)

    def receive_invite(self) -> None:
        """A retransmission of the INVITE."""
        match self.state:
            case State.PROCEEDING | State.COMPLETED if self._last:
                self.send(self._last)
            case State.PROCEEDING:
                self._send_trying()
            case _:
                pass  # Accepted and later states absorb it

    def receive_ack(self, now: float) -> bool:
        """An ACK; True when it belongs to a 2xx, and so to the transaction user."""
        if self.state is State.COMPLETED:
            self.state = State.CONFIRMED
            self.wait(i=now + self.timers.i(reliable=self.reliable))
        return self.state is State.ACCEPTED

    def tick(self, now: float) -> bool:
        """Fire what is due; True when the ACK to a 3xx-6xx never came."""
        no_ack = self.is_due("h", now)
        if no_ack or self.is_due("i", now) or self.is_due("l", now):
            self.state = State.TERMINATED
            self.wait()
        elif self.is_due("trying", now):
            self._send_trying()
        elif self.is_due("g", now):
            self.send(self._last)
            self._interval = self.timers.doubled(self._interval)
            self.restart("g", now + self._interval)
        return no_ack

    def _send_trying(self) -> None:
        self._last = self._build_trying()
        self.send(self._last)
        self.wait()

    def terminate(self) -> None:
        """The transport failed."""
        self.state = State.TERMINATED
        self.wait()
