"""Keep-alives (RFC 5626 §3.5, §4.4): what holds a NAT's mapping and a registrar's connection open.

One flow is kept for all the lines that share it. A stream's ping is answered by a registrar that knows it; whether that
answer is late is the transport's to see, since it frames the stream.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sip_bridge.sip.events import Transmit
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.schedule import Alarm
from sip_bridge.sip.stream import PING

if TYPE_CHECKING:
    from sip_bridge.sip.core import Core

UDP_INTERVAL: Final = 25.0  # seconds at the most; a NAT may forget a mapping after 30
STREAM_INTERVAL: Final = 120.0  # seconds at the most
_SHORTEST_PART: Final = 0.8  # of the interval, so that many lines don't speak at once (RFC 5626 §4.4.1)


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A flow, and how often each line wants it to be used."""

    alarm: Alarm
    intervals: dict[str, float] = field(default_factory=dict)


class KeepAlives:
    """Flows that are kept open, by line."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._kept: dict[Flow, _Kept] = {}
        self._flow_of: dict[str, Flow] = {}

    def keep(self, line: str, flow: Flow, interval: float, now: float) -> None:
        """Send something over a flow at least every ``interval`` seconds, until `drop`."""
        if self._flow_of.get(line) != flow:
            self.drop(line)
        kept = self._kept.get(flow)
        if kept is None:
            kept = self._kept[flow] = _Kept(alarm=self._core.alarm(lambda now: self._ping(flow, now)))
        self._flow_of[line] = flow
        kept.intervals[line] = interval
        if not kept.alarm.is_set:
            self._wait(kept, now)

    def drop(self, line: str) -> None:
        """The line needs no flow any more."""
        flow = self._flow_of.pop(line, None)
        if flow is None:
            return
        kept = self._kept[flow]
        del kept.intervals[line]
        if not kept.intervals:
            kept.alarm.clear()
            del self._kept[flow]

    def _ping(self, flow: Flow, now: float) -> None:
        self._core.emit(Transmit(data=PING, flow=flow))
        self._wait(self._kept[flow], now)

    def _wait(self, kept: _Kept, now: float) -> None:
        shortest = min(kept.intervals.values())
        kept.alarm.set(now + shortest * (_SHORTEST_PART + (1 - _SHORTEST_PART) * self._core.chance.fraction()))
