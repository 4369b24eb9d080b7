"""What the four machines of RFC 3261 §17 share: the table that the code runs on and the figures are drawn from."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple

from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import NEVER, Timer, Timers

TERMINATED: Final = "Terminated"  # the last state of every machine


class Trigger(StrEnum):
    """What moves a machine besides a timer; a status is a response received, or one that the user wants sent."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    REFUSAL = "300-699"
    REQUEST = "request again"
    ACK = "ACK"
    TRANSPORT_ERROR = "transport error"
    NO_FINAL = "64*T1 after CANCEL"

    @classmethod
    def of(cls, status: SIPStatus) -> "Trigger":
        """The class of a status."""
        if status.is_provisional:
            return cls.PROVISIONAL
        return cls.SUCCESS if status.is_success else cls.REFUSAL


class Action(StrEnum):
    """What a machine does on a transition."""

    SEND = "send request"
    ACKNOWLEDGE = "send ACK"
    RESPOND = "send response"
    REPEAT = "repeat last response"
    TRYING = "send 100"
    INFORM = "tell user"


class Step(NamedTuple):
    """Where a transition leads and what is done on the way."""

    state: str
    actions: tuple[Action, ...]


def to(state: str, *actions: Action) -> Step:
    """A cell of a table."""
    return Step(state, actions)


Table = Mapping[tuple[str, Trigger | Timer], Step]
IGNORED: Final = Step("", ())


class Machine:
    """A transaction's state, the timers that run in it, and its way to the transport.

    ``send`` hands bytes to the transport; ``deadline`` is when `tick` wants to be called (seconds of the caller's
    clock), NEVER when there is nothing to wait for. A timer runs in the states whose row in the table names it.
    """

    __slots__ = ("_waits", "deadline", "reliable", "send", "state", "timers")

    table: ClassVar[Table]
    timers_of: ClassVar[Mapping[str, Sequence[Timer]]]  # by state, from the table

    def __init_subclass__(cls) -> None:
        cls.timers_of = {state: _timers_of(cls.table, state) for state, _ in cls.table} | {TERMINATED: ()}

    def __init__(self, state: str, *, send: Callable[[bytes], None], timers: Timers, reliable: bool) -> None:
        self.send = send
        self.timers = timers
        self.reliable = reliable
        self.state = state
        self.deadline = NEVER
        self._waits: dict[Trigger | Timer, float] = {}

    def enter(self, state: str, now: float) -> None:
        """Be in a state: its timers go on if they run already, or start; one of no length fires at once."""
        self.state = state
        running = self._waits
        self._waits = {}
        for timer in self.timers_of[state]:
            deadline = running.get(timer)
            if deadline is None:
                length = self.timers.length(timer, reliable=self.reliable)
                if length == 0:
                    self.step(timer, now)
                    return
                deadline = now + length
            self._waits[timer] = deadline
        self.deadline = min(self._waits.values(), default=NEVER)

    def step(self, event: Trigger | Timer, now: float) -> tuple[Action, ...]:
        """Take the transition that the table has for an event; the caller does what is returned."""
        state, actions = self.table.get((self.state, event), IGNORED)
        if state and state != self.state:
            self.enter(state, now)
        return actions

    def wait(self, timer: Trigger | Timer, deadline: float) -> None:
        """Set one timer and leave the others."""
        self._waits[timer] = deadline
        self.deadline = min(self._waits.values())

    def stop(self, timer: Timer) -> None:
        """Stop one timer, if it runs."""
        if self._waits.pop(timer, None) is not None:
            self.deadline = min(self._waits.values(), default=NEVER)

    def due(self, now: float) -> Trigger | Timer | None:
        """The timer that has fired, which runs no more."""
        for timer, deadline in self._waits.items():
            if deadline <= now:
                self._waits.pop(timer)
                self.deadline = min(self._waits.values(), default=NEVER)
                return timer
        return None

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen any more."""
        return self.state == TERMINATED

    def terminate(self) -> None:
        """End without a word: nobody needs it any more, or others need the place."""
        self.state = TERMINATED
        self._waits = {}
        self.deadline = NEVER


def _timers_of(table: Table, state: str) -> list[Timer]:
    """Those that a state's row names; the ones that end the state come first: when two are due, only they count."""
    named = [event for start, event in table if start == state and isinstance(event, Timer)]
    return sorted(named, key=lambda timer: table[state, timer].state == state)
