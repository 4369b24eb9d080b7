"""What the four machines share: where they send, and the timers that they wait for."""

from collections.abc import Callable

from sip_bridge.sip.timers import NEVER, Timers


class Machine:
    """A transaction's timers and its way to the transport.

    ``send`` hands bytes to the transport; ``deadline`` is when `tick` wants to be called (Unix-like seconds of the
    caller's clock), NEVER when there is nothing to wait for.
    """

    __slots__ = ("deadline", "reliable", "send", "timers", "waits")

    def __init__(self, *, send: Callable[[bytes], None], timers: Timers, reliable: bool) -> None:
        self.send = send
        self.timers = timers
        self.reliable = reliable
        self.waits: dict[str, float] = {}
        self.deadline = NEVER

    def wait(self, **deadlines: float) -> None:
        """Replace all timers that run: ``wait(a=now + 0.5, b=now + 32)``."""
        self.waits = deadlines
        self.deadline = min(deadlines.values(), default=NEVER)

    def restart(self, letter: str, deadline: float) -> None:
        """Set one timer and leave the others."""
        self.waits[letter] = deadline
        self.deadline = min(self.waits.values())

    def is_due(self, letter: str, now: float) -> bool:
        """Whether a timer runs and has fired."""
        return self.waits.get(letter, NEVER) <= now
