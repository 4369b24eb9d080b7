"""The INVITE client transaction: RFC 3261 §17.1.1, figure 5, with the Accepted state of RFC 6026 §7.2."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import Timer, Timers
from sip_bridge.sip.transactions.machine import TERMINATED, Action, Machine, Table, Trigger, to


class State(StrEnum):
    """Figure 5."""

    CALLING = "Calling"
    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    TERMINATED = TERMINATED


# A 2xx is acknowledged by the user, every other final response here. In Proceeding the RFC goes on waiting when a
# connection ends; but nothing more will come back over it, and the user may have another way.
TABLE: Final[Table] = {
    (State.CALLING, Timer.A): to(State.CALLING, Action.SEND),
    (State.CALLING, Timer.B): to(State.TERMINATED, Action.INFORM),
    (State.CALLING, Trigger.TRANSPORT_ERROR): to(State.TERMINATED, Action.INFORM),
    (State.CALLING, Trigger.PROVISIONAL): to(State.PROCEEDING, Action.INFORM),
    (State.CALLING, Trigger.SUCCESS): to(State.ACCEPTED, Action.INFORM),
    (State.CALLING, Trigger.REFUSAL): to(State.COMPLETED, Action.ACKNOWLEDGE, Action.INFORM),
    (State.PROCEEDING, Trigger.PROVISIONAL): to(State.PROCEEDING, Action.INFORM),
    (State.PROCEEDING, Trigger.SUCCESS): to(State.ACCEPTED, Action.INFORM),
    (State.PROCEEDING, Trigger.REFUSAL): to(State.COMPLETED, Action.ACKNOWLEDGE, Action.INFORM),
    (State.PROCEEDING, Trigger.TRANSPORT_ERROR): to(State.TERMINATED, Action.INFORM),
    (State.PROCEEDING, Trigger.NO_FINAL): to(State.TERMINATED, Action.INFORM),
    (State.ACCEPTED, Trigger.SUCCESS): to(State.ACCEPTED, Action.INFORM),
    (State.ACCEPTED, Timer.M): to(State.TERMINATED),
    (State.COMPLETED, Trigger.REFUSAL): to(State.COMPLETED, Action.ACKNOWLEDGE),
    (State.COMPLETED, Trigger.TRANSPORT_ERROR): to(State.TERMINATED),  # the user has its final response
    (State.COMPLETED, Timer.D): to(State.TERMINATED),
}


class InviteClient(Machine):
    """One INVITE sent to one hop."""

    __slots__ = ("_ack", "_interval", "_request", "build_ack")

    table = TABLE

    def __init__(
        self,
        request: bytes,
        *,
        build_ack: Callable[[SIPMessage], bytes],
        send: Callable[[bytes], None],
        timers: Timers,
        reliable: bool,
    ) -> None:
        super().__init__(State.CALLING, send=send, timers=timers, reliable=reliable)
        self._request = request
        self._ack = b""
        self._interval = timers.t1
        self.build_ack = build_ack

    def start(self, now: float) -> None:
        """Send the INVITE."""
        self.send(self._request)
        self.enter(State.CALLING, now)

    def receive(self, response: SIPMessage, now: float) -> bool:
        """Take a response; True when the transaction user must see it."""
        actions = self.step(Trigger.of(SIPStatus(response.status)), now)
        if Action.ACKNOWLEDGE in actions:
            self._ack = self._ack or self.build_ack(response)
            self.send(self._ack)
        return Action.INFORM in actions

    def tick(self, now: float) -> bool:
        """Fire the timer that is due; True when the transaction timed out."""
        timer = self.due(now)
        actions = self.step(timer, now) if timer is not None else ()
        if Action.SEND in actions:
            self.send(self._request)
            self._interval *= 2
            self.wait(Timer.A, now + self._interval)
        return Action.INFORM in actions

    def fail(self, now: float) -> bool:
        """The transport failed; True when the transaction user must know."""
        return Action.INFORM in self.step(Trigger.TRANSPORT_ERROR, now)

    def give_up_at(self, deadline: float) -> None:
        """After a CANCEL: if no final response comes by then, time out (RFC 3261 §9.1)."""
        if self.state == State.PROCEEDING:
            self.wait(Trigger.NO_FINAL, deadline)
