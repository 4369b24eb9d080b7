"""The non-INVITE server transaction: RFC 3261 figure 8.

Trying ──1xx──> Proceeding ──200-699──> Completed ──J──> Terminated
  │ request: nothing   request: last 1xx      request: the final response again
  └──200-699───────────────────────────>
"""

from collections.abc import Callable
from enum import Enum, auto

from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import Timers
from sip_bridge.sip.transactions.machine import Machine


class State(Enum):
    """Figure 8."""

    TRYING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    TERMINATED = auto()


class NonInviteServer(Machine):
    """One request other than INVITE and ACK, received."""

    __slots__ = ("_last", "state")

    def __init__(self, *, send: Callable[[bytes], None], timers: Timers, reliable: bool) -> None:
        super().__init__(send=send, timers=timers, reliable=reliable)
        self._last = b""
        self.state = State.TRYING

    def respond(self, status: SIPStatus, response: bytes, now: float) -> None:
        """Send a response of the transaction user."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            return
        self._last = response
        self.send(response)
        if status.is_provisional:
            self.state = State.PROCEEDING
        else:
            self.state = State.COMPLETED
            self.wait(j=now + self.timers.j(reliable=self.reliable))

    def receive(self) -> None:
        """A retransmission of the request."""
        if self._last and self.state is not State.TERMINATED:
            self.send(self._last)

    def tick(self, now: float) -> bool:
        """Fire what is due; a server transaction never times out on its user."""
        if self.is_due("j", now):
            self.state = State.TERMINATED
            self.wait()
        return False

    def terminate(self) -> None:
        """The transport failed."""
        self.state = State.TERMINATED
        self.wait()
