"""Codes that callers enter by keys, and the lock that keeps anybody from trying all of them."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sip_bridge.phone.settings import DTMFCode

MAX_WRONG: Final = 10  # codes that may be tried at once, by all callers of an account together
SECONDS_PER_TRY: Final = 60.0  # until one more may be tried: all of 4 digits take a week


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which code it was, if any. ``locked``: too many wrong ones came, so nobody looked."""

    code: str | None = None
    locked: bool = False


class CodeLock:
    """The codes of one account. What can't be one by its length, such as the choice of a menu, is no wrong try."""

    def __init__(self, codes: Sequence[DTMFCode]) -> None:
        self._codes = codes
        self._tries = float(MAX_WRONG)
        self._as_of: float | None = None

    def check(self, digits: str, now: float) -> Verdict:
        """Compare with every code, in a time that doesn't tell how much of one is right."""
        if not any(len(code.digits) == len(digits) for code in self._codes):
            return Verdict()
        elapsed = 0.0 if self._as_of is None else now - self._as_of
        self._tries, self._as_of = min(self._tries + elapsed / SECONDS_PER_TRY, MAX_WRONG), now
        if self._tries < 1:
            return Verdict(locked=True)
        names = [code.name for code in self._codes if hmac.compare_digest(code.digits.encode(), digits.encode())]
        if not names:
            self._tries -= 1
        return Verdict(code=names[0] if names else None)
