"""The non-INVITE client transaction: RFC 3261 §17.1.2, figure 6."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import Timer, Timers
from sip_bridge.sip.transactions.machine import TERMINATED, Action, Machine, Table, Trigger, to


class State(StrEnum):
    """Figure 6."""

    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    TERMINATED = TERMINATED


TABLE: Final[Table] = {
    (State.TRYING, Timer.E): to(State.TRYING, Action.SEND),
    (State.TRYING, Timer.F): to(State.TERMINATED, Action.INFORM),
    (State.TRYING, Trigger.TRANSPORT_ERROR): to(State.TERMINATED, Action.INFORM),
    (State.TRYING, Trigger.PROVISIONAL): to(State.PROCEEDING, Action.INFORM),
    (State.TRYING, Trigger.SUCCESS): to(State.COMPLETED, Action.INFORM),
    (State.TRYING, Trigger.REFUSAL): to(State.COMPLETED, Action.INFORM),
    (State.PROCEEDING, Timer.E): to(State.PROCEEDING, Action.SEND),
    (State.PROCEEDING, Timer.F): to(State.TERMINATED, Action.INFORM),
    (State.PROCEEDING, Trigger.TRANSPORT_ERROR): to(State.TERMINATED, Action.INFORM),
    (State.PROCEEDING, Trigger.PROVISIONAL): to(State.PROCEEDING, Action.INFORM),
    (State.PROCEEDING, Trigger.SUCCESS): to(State.COMPLETED, Action.INFORM),
    (State.PROCEEDING, Trigger.REFUSAL): to(State.COMPLETED, Action.INFORM),
    (State.COMPLETED, Timer.K): to(State.TERMINATED),
}


class NonInviteClient(Machine):
    """One request other than INVITE and ACK, sent to one hop."""

    __slots__ = ("_interval", "_request")

    table = TABLE

    def __init__(self, request: bytes, *, send: Callable[[bytes], None], timers: Timers, reliable: bool) -> None:
        super().__init__(State.TRYING, send=send, timers=timers, reliable=reliable)
        self._request = request
        self._interval = timers.t1

    def start(self, now: float) -> None:
        """Send the request."""
        self.send(self._request)
        self.enter(State.TRYING, now)

    def receive(self, response: SIPMessage, now: float) -> bool:
        """Take a response; True when the transaction user must see it."""
        return Action.INFORM in self.step(Trigger.of(SIPStatus(response.status)), now)

    def tick(self, now: float) -> bool:
        """Fire the timer that is due; True when the transaction timed out."""
        timer = self.due(now)
        actions = self.step(timer, now) if timer is not None else ()
        if Action.SEND in actions:
            self.send(self._request)
            in_proceeding = self.state == State.PROCEEDING
            self._interval = self.timers.t2 if in_proceeding else self.timers.doubled(self._interval)
            self.wait(Timer.E, now + self._interval)
        return Action.INFORM in actions

    def fail(self, now: float) -> bool:
        """The transport failed; True when the transaction user must know."""
        return Action.INFORM in self.step(Trigger.TRANSPORT_ERROR, now)
