"""A 2xx to INVITE until its ACK: the user agent retransmits it itself, over any transport (RFC 3261 §13.3.1.4)."""

from collections.abc import Callable

from sip_bridge.sip.core import Core
from sip_bridge.sip.transactions.layer import ServerTransaction


class UnacknowledgedSuccess:
    """Retransmits a 2xx at T1, doubling to T2, for 64*T1; ``on_no_ack`` is told the time when no ACK came."""

    def __init__(
        self, core: Core, transaction: ServerTransaction, response: bytes, on_no_ack: Callable[[float], None]
    ) -> None:
        self._core = core
        self._transaction = transaction
        self._response = response
        self._on_no_ack = on_no_ack
        self._interval = core.timers.t1
        self._end = 0.0
        self._alarm = core.alarm(self._repeat)
        self.seq = transaction.request.keys.seq

    def start(self, now: float) -> None:
        """The 2xx was sent just now."""
        self._end = now + self._core.timers.b
        self._alarm.set(now + self._interval)

    def stop(self) -> None:
        """The ACK came, or the call is over."""
        self._alarm.clear()

    def _repeat(self, now: float) -> None:
        if now >= self._end:
            self._on_no_ack(now)
            return
        self._transaction.repeat(self._response)
        self._interval = self._core.timers.doubled(self._interval)
        self._alarm.set(min(now + self._interval, self._end))
