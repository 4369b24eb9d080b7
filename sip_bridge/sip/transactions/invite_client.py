"""The INVITE client transaction: RFC 3261 figure 5 with RFC 6026's Accepted state.

Calling ──1xx──> Proceeding ──2xx──> Accepted ──M──> Terminated
   │ A: retransmit   │                  every 2xx goes up, the TU acknowledges it
   │ B: time-out     └──3xx-6xx──> Completed ──D──> Terminated
   └─────────────────────────────>   every 3xx-6xx is acknowledged here
"""

from collections.abc import Callable
from enum import Enum, auto

from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import Timers
from sip_bridge.sip.transactions.machine import Machine


class State(Enum):
    """Figure 5."""

    CALLING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    TERMINATED = auto()


class InviteClient(Machine):
    """One INVITE sent to one hop."""

    __slots__ = ("_ack", "_interval", "_request", "build_ack", "state")

    def __init__(
        self,
        request: bytes,
        *,
        build_ack: Callable[[SIPMessage], bytes],
        send: Callable[[bytes], None],
        timers: Timers,
        reliable: bool,
    ) -> None:
        super().__init__(send=send, timers=timers, reliable=reliable)
        self._request = request
        self._ack = b""
        self._interval = timers.a
        self.build_ack = build_ack
        self.state = State.CALLING

    def start(self, now: float) -> None:
        """Send the INVITE."""
        self.send(self._request)
        self.wait(b=now + self.timers.b)
        if not self.reliable:
            self.restart("a", now + self._interval)

    def receive(self, response: SIPMessage, now: float) -> bool:
        """Take a response; True when the transaction user must see it."""
        status = SIPStatus(response.status)
        match self.state:
            case State.CALLING | State.PROCEEDING if status.is_provisional:
                self.state = State.PROCEEDING
                self.wait()
                return True
            case State.CALLING | State.PROCEEDING if status.is_success:
                self.state = State.ACCEPTED
                self.wait(m=now + self.timers.m)
                return True
            case State.CALLING | State.PROCEEDING:
                self.state = State.COMPLETED
                self._ack = self.build_ack(response)
                self.send(self._ack)
                self.wait(d=now + self.timers.d(reliable=self.reliable))
                return True
            case State.ACCEPTED:
                return status.is_success
            case State.COMPLETED:
                if not status.is_provisional and not status.is_success:
                    self.send(self._ack)
                return False
            case _:  # Terminated
                return False

    def tick(self, now: float) -> bool:
        """Fire what is due; True when the transaction timed out."""
        timed_out = self.is_due("b", now)
        if timed_out or self.is_due("d", now) or self.is_due("m", now):
            self.state = State.TERMINATED
            self.wait()
        elif self.is_due("a", now):
            self.send(self._request)
            self._interval *= 2
            self.restart("a", now + self._interval)
        return timed_out

    def give_up_at(self, deadline: float) -> None:
        """After a CANCEL: if no final response comes by then, time out (RFC 3261 §9.1)."""
        if self.state is State.PROCEEDING:
            self.wait(b=deadline)

    def terminate(self) -> None:
        """The transport failed."""
        self.state = State.TERMINATED
        self.wait()
