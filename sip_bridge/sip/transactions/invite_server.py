"""The INVITE server transaction: RFC 3261 §17.2.1, figure 7, with the Accepted state of RFC 6026 §7.1."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import Timer, Timers
from sip_bridge.sip.transactions.machine import TERMINATED, Action, Machine, Table, Trigger, to


class State(StrEnum):
    """Figure 7."""

    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    TERMINATED = TERMINATED


# A response that could not be sent changes nothing (RFC 6026 §7.1): the INVITE may come again and must not be new.
TABLE: Final[Table] = {
    (State.PROCEEDING, Timer.TRYING): to(State.PROCEEDING, Action.TRYING),
    (State.PROCEEDING, Trigger.REQUEST): to(State.PROCEEDING, Action.REPEAT),
    (State.PROCEEDING, Trigger.PROVISIONAL): to(State.PROCEEDING, Action.RESPOND),
    (State.PROCEEDING, Trigger.SUCCESS): to(State.ACCEPTED, Action.RESPOND),
    (State.PROCEEDING, Trigger.REFUSAL): to(State.COMPLETED, Action.RESPOND),
    (State.ACCEPTED, Trigger.SUCCESS): to(State.ACCEPTED, Action.RESPOND),  # the user's own retransmission
    (State.ACCEPTED, Trigger.ACK): to(State.ACCEPTED, Action.INFORM),
    (State.ACCEPTED, Timer.L): to(State.TERMINATED),
    (State.COMPLETED, Timer.G): to(State.COMPLETED, Action.REPEAT),
    (State.COMPLETED, Trigger.REQUEST): to(State.COMPLETED, Action.REPEAT),
    (State.COMPLETED, Trigger.ACK): to(State.CONFIRMED),
    (State.COMPLETED, Timer.H): to(State.TERMINATED, Action.INFORM),
    (State.CONFIRMED, Timer.I): to(State.TERMINATED),
}


class InviteServer(Machine):
    """One INVITE received."""

    __slots__ = ("_build_trying", "_interval", "_last")

    table = TABLE

    def __init__(
        self, *, build_trying: Callable[[], bytes], send: Callable[[bytes], None], timers: Timers, reliable: bool
    ) -> None:
        super().__init__(State.PROCEEDING, send=send, timers=timers, reliable=reliable)
        self._build_trying = build_trying
        self._last = b""
        self._interval = timers.t1

    def start(self, now: float) -> None:
        """The INVITE went up to the transaction user; 100 follows by itself if nothing else does."""
        self.enter(State.PROCEEDING, now)

    def respond(self, status: SIPStatus, response: bytes, now: float) -> None:
        """Send a response of the transaction user."""
        if Action.RESPOND in self.step(Trigger.of(status), now):
            self._say(response)

    def receive_invite(self, now: float) -> None:
        """A retransmission of the INVITE."""
        if Action.REPEAT in self.step(Trigger.REQUEST, now):
            self._say(self._last or self._build_trying())

    def receive_ack(self, now: float) -> bool:
        """An ACK; True when it belongs to a 2xx, and so to the transaction user."""
        return Action.INFORM in self.step(Trigger.ACK, now)

    def tick(self, now: float) -> bool:
        """Fire the timer that is due; True when the ACK to a 3xx-6xx never came."""
        timer = self.due(now)
        actions = self.step(timer, now) if timer is not None else ()
        if Action.TRYING in actions:
            self._say(self._build_trying())
        elif Action.REPEAT in actions:
            self._say(self._last)
            self._interval = self.timers.doubled(self._interval)
            self.wait(Timer.G, now + self._interval)
        return Action.INFORM in actions

    def _say(self, response: bytes) -> None:
        self.stop(Timer.TRYING)
        self._last = response
        self.send(response)
