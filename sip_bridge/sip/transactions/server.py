"""The non-INVITE server transaction: RFC 3261 §17.2.2, figure 8."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import Timer, Timers
from sip_bridge.sip.transactions.machine import TERMINATED, Action, Machine, Table, Trigger, to


class State(StrEnum):
    """Figure 8."""

    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    TERMINATED = TERMINATED


# A response that could not be sent changes nothing, as RFC 6026 §7.1 has it for INVITE: the request may come again.
TABLE: Final[Table] = {
    (State.TRYING, Trigger.PROVISIONAL): to(State.PROCEEDING, Action.RESPOND),
    (State.TRYING, Trigger.SUCCESS): to(State.COMPLETED, Action.RESPOND),
    (State.TRYING, Trigger.REFUSAL): to(State.COMPLETED, Action.RESPOND),
    (State.PROCEEDING, Trigger.REQUEST): to(State.PROCEEDING, Action.REPEAT),
    (State.PROCEEDING, Trigger.PROVISIONAL): to(State.PROCEEDING, Action.RESPOND),
    (State.PROCEEDING, Trigger.SUCCESS): to(State.COMPLETED, Action.RESPOND),
    (State.PROCEEDING, Trigger.REFUSAL): to(State.COMPLETED, Action.RESPOND),
    (State.COMPLETED, Trigger.REQUEST): to(State.COMPLETED, Action.REPEAT),
    (State.COMPLETED, Timer.J): to(State.TERMINATED),
}


class NonInviteServer(Machine):
    """One request other than INVITE and ACK, received."""

    __slots__ = ("_last",)

    table = TABLE

    def __init__(self, *, send: Callable[[bytes], None], timers: Timers, reliable: bool) -> None:
        super().__init__(State.TRYING, send=send, timers=timers, reliable=reliable)
        self._last = b""

    def respond(self, status: SIPStatus, response: bytes, now: float) -> None:
        """Send a response of the transaction user."""
        if Action.RESPOND in self.step(Trigger.of(status), now):
            self._last = response
            self.send(response)

    def receive(self, now: float) -> None:
        """A retransmission of the request."""
        if Action.REPEAT in self.step(Trigger.REQUEST, now):
            self.send(self._last)

    def tick(self, now: float) -> bool:
        """Fire the timer that is due; a server transaction never times out on its user."""
        timer = self.due(now)
        return timer is not None and Action.INFORM in self.step(timer, now)
