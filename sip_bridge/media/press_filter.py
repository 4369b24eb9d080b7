"""One press that is told of in several ways: a device may send it as RTP event, by INFO and as a tone."""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

PressMethod = Literal["rtp", "info", "inband"]

ECHO_WINDOW: Final = 1.0  # seconds within which another way tells of the same press, an INFO that got lost once, too
MAX_PRESSES: Final = 1024  # at once: no person has so many, a flood is cut
PRESSES_PER_SECOND: Final = 100.0  # on average
_REMEMBERED: Final = 128  # presses whose echo is recognised
_LONGEST: Final = 5.0  # seconds that a key is held: a device may send INFO when it is let go


@dataclass(slots=True)
class _Counted:
    """A press that was counted, and the ways in which it has been told."""

    digit: str
    at: float
    methods: set[PressMethod]


class PressFilter:
    """Counts a press once: the same key told in another way a moment later is its echo. Told in the same way it is
    another press.

    A tone counts no more once the peer has shown that it tells keys in a better way: its speech can't be a key then.
    """

    def __init__(self) -> None:
        self._counted: deque[_Counted] = deque(maxlen=_REMEMBERED)
        self._permits = float(MAX_PRESSES)
        self._as_of: float | None = None
        self._hears_tones = True

    def counts(self, digit: str, method: PressMethod, now: float, *, duration: float = 0.0) -> bool:
        """Whether this is a press of its own; ``duration`` in seconds, as far as it is known."""
        if method != "inband":
            self._hears_tones = False
        since = now - ECHO_WINDOW - min(duration, _LONGEST)
        for press in self._counted:
            if press.at >= since and press.digit == digit and method not in press.methods:
                press.methods.add(method)
                return False
        if (method == "inband" and not self._hears_tones) or not self._takes_permit(now):
            return False
        self._counted.append(_Counted(digit=digit, at=now, methods={method}))
        return True

    def _takes_permit(self, now: float) -> bool:
        elapsed = 0.0 if self._as_of is None else now - self._as_of
        self._permits = min(self._permits + elapsed * PRESSES_PER_SECOND, MAX_PRESSES)
        self._as_of = now
        if self._permits < 1:
            return False
        self._permits -= 1
        return True
