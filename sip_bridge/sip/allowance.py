"""How often a host may do something: a bucket of permits that fills up again with time."""

from collections import OrderedDict
from typing import Final

MAX_HOSTS: Final = 1024  # that are remembered; the one that was silent longest is forgotten first


class Allowance:
    """``burst`` permits for each host, and ``per_second`` new ones up to that many."""

    def __init__(self, *, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # host: (permits, as of)

    def takes(self, host: str, now: float) -> bool:
        """Use up a permit of the host; False when it has none left."""
        left, at = self._left.pop(host, (float(self._burst), now))
        left = min(left + (now - at) * self._per_second, self._burst)
        takes = left >= 1
        self._left[host] = (left - 1 if takes else left, now)
        if len(self._left) > MAX_HOSTS:
            self._left.popitem(last=False)
        return takes
