"""Servers that failed lately (RFC 3263 §4.3): tried last, so that a dead one delays one request and not each."""

from collections import OrderedDict
from typing import Final

from sip_bridge.sip.flow import Flow

AVOID_FOR: Final = 600.0  # seconds; then the server that DNS names first gets another chance
MAX_AVOIDED: Final = 64

_Server = tuple[str, tuple[str, int]]


class Failover:
    """Remembers who did not answer, could not be reached, or said 503."""

    def __init__(self) -> None:
        self._until: OrderedDict[_Server, float] = OrderedDict()

    def avoid(self, flow: Flow, now: float) -> None:
        """The server at the end of a flow failed."""
        self._until[flow.transport, flow.remote] = now + AVOID_FOR
        self._until.move_to_end((flow.transport, flow.remote))
        if len(self._until) > MAX_AVOIDED:
            self._until.popitem(last=False)

    def avoids(self, flow: Flow, now: float) -> bool:
        """Whether the server at the end of a flow failed lately."""
        return self._until.get((flow.transport, flow.remote), now) > now

    def in_order(self, flows: tuple[Flow, ...], now: float) -> tuple[Flow, ...]:
        """Flows with those to avoid at the end, otherwise as they were."""
        return tuple(sorted(flows, key=lambda flow: self.avoids(flow, now)))
