"""Keys collected to a sequence, such as a code or the choice of a menu."""

from dataclasses import dataclass, field
from enum import StrEnum


class SequenceEnd(StrEnum):
    """What ended a sequence."""

    TERMINATOR = "terminator"
    LENGTH = "length"
    PAUSE = "pause"
    CALL_END = "call_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySequence:
    """What was pressed, without the terminator; it may be a PIN, so no repr shows it."""

    digits: str = field(repr=False)
    ended_by: SequenceEnd


class KeyCollector:
    """Collects keys until the ``terminator``, until there are ``max_digits`` or until ``pause`` seconds without one.

    A terminator without digits before it ends nothing.
    """

    def __init__(self, *, terminator: str | None, max_digits: int, pause: float) -> None:
        self._terminator = terminator
        self._max_digits = max_digits
        self._pause = pause
        self._digits = ""
        self.deadline: float | None = None  # call `tick` then

    def press(self, digit: str, now: float) -> KeySequence | None:
        """A key; the sequence that it ends, if it ends one."""
        if digit == self._terminator:
            return self._end(SequenceEnd.TERMINATOR)
        self._digits += digit
        self.deadline = now + self._pause
        return self._end(SequenceEnd.LENGTH) if len(self._digits) >= self._max_digits else None

    def tick(self, now: float) -> KeySequence | None:
        """The sequence that the pause since the last key has ended."""
        is_due = self.deadline is not None and now >= self.deadline
        return self._end(SequenceEnd.PAUSE) if is_due else None

    def close(self) -> KeySequence | None:
        """The call is over, and with it the sequence."""
        return self._end(SequenceEnd.CALL_END)

    def _end(self, reason: SequenceEnd) -> KeySequence | None:
        digits, self._digits, self.deadline = self._digits, "", None
        return KeySequence(digits=digits, ended_by=reason) if digits else None
