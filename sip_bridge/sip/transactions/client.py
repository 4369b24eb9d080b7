"""The non-INVITE client transaction: RFC 3261 figure 6.

Trying ──1xx──> Proceeding ──200-699──> Completed ──K──> Terminated
  │ E: retransmit (doubling to T2; T2 in Proceeding)   F: time-out
  └──200-699───────────────────────────>
"""

from collections.abc import Callable
from enum import Enum, auto

from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import Timers
from sip_bridge.sip.transactions.machine import Machine


class State(Enum):
    """Figure 6."""

    TRYING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    TERMINATED = auto()


class NonInviteClient(Machine):
    """One request other than INVITE and ACK, sent to one hop."""

    __slots__ = ("_interval", "_request", "state")

    def __init__(self, request: bytes, *, send: Callable[[bytes], None], timers: Timers, reliable: bool) -> None:
        super().__init__(send=send, timers=timers, reliable=reliable)
        self._request = request
        self._interval = timers.e
        self.state = State.TRYING

    def start(self, now: float) -> None:
        """Send the request."""
        self.send(self._request)
        self.wait(f=now + self.timers.f)
        if not self.reliable:
            self.restart("e", now + self._interval)

    def receive(self, response: SIPMessage, now: float) -> bool:
        """Take a response; True when the transaction user must see it."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            return False
        if SIPStatus(response.status).is_provisional:
            self.state = State.PROCEEDING
        else:
            self.state = State.COMPLETED
            self.wait(k=now + self.timers.k(reliable=self.reliable))
        return True

    def tick(self, now: float) -> bool:
        """Fire what is due; True when the transaction timed out."""
        timed_out = self.is_due("f", now)
        if timed_out or self.is_due("k", now):
            self.state = State.TERMINATED
            self.wait()
        elif self.is_due("e", now):
            self.send(self._request)
            in_proceeding = self.state is State.PROCEEDING
            self._interval = self.timers.t2 if in_proceeding else self.timers.doubled(self._interval)
            self.restart("e", now + self._interval)
        return timed_out

    def terminate(self) -> None:
        """The transport failed."""
        self.state = State.TERMINATED
        self.wait()
