"""The nonces of our challenges (RFC 7616 §5.4): nothing is kept of one until it was answered rightly."""

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

LIFE: Final = 300.0  # seconds
MAX_USED: Final = 1024  # nonces whose counts are remembered
WINDOW: Final = 32  # counts below the highest one that may still come: requests overtake each other on UDP
_ONCE: Final = 2**32  # above every nc: an answer without qop has no count and may come once


@dataclass(slots=True, kw_only=True)
class _Use:
    """Which counts came: bit n stands for ``highest`` - n."""

    highest: int = 0
    seen: int = 0


class Nonces:
    """Each carries its time, and a key that only we know says for which source it was made."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._used: OrderedDict[str, _Use] = OrderedDict()
        self._not_before = -1  # milliseconds; an older nonce may be one whose counts were forgotten

    def issue(self, source: str, now: float) -> str:
        """A new one."""
        made_at = int(now * 1000)
        return f"{made_at:x}.{self._mac(made_at, source)}"

    def is_fresh(self, nonce: str, source: str, now: float) -> bool:
        """Whether it is ours, for this source, and of late."""
        made_at = _time_of(nonce)
        expected = f"{made_at:x}.{self._mac(made_at, source)}"
        if not hmac.compare_digest(nonce.encode("utf-8", "surrogateescape"), expected.encode()):
            return False
        return now * 1000 - made_at <= LIFE * 1000 and (nonce in self._used or made_at > self._not_before)

    def use(self, nonce: str, count: int | None) -> bool:
        """Take note of an answer that is right; False when it came before."""
        use = self._used.setdefault(nonce, _Use())
        if len(self._used) > MAX_USED:
            oldest, _ = self._used.popitem(last=False)
            self._not_before = max(self._not_before, _time_of(oldest))
        count = _ONCE if count is None else count
        ahead = count - use.highest
        if ahead > 0:
            use.seen = (use.seen << ahead | 1) & (2**WINDOW - 1) if ahead < WINDOW else 1
            use.highest = count
            return True
        if -ahead >= WINDOW or use.seen >> -ahead & 1:
            return False
        use.seen |= 1 << -ahead
        return True

    def _mac(self, made_at: int, source: str) -> str:
        return hmac.new(self._key, f"{made_at}:{source}".encode(), hashlib.sha256).hexdigest()[:32]


def _time_of(nonce: str) -> int:
    """The milliseconds that it says it was made at; -1 when it says nothing of the kind."""
    digits = nonce.partition(".")[0]
    is_hex = 0 < len(digits) <= 16 and all(digit in "0123456789abcdef" for digit in digits)
    return int(digits, 16) if is_hex else -1
