"""Who watches the lines' calls: lamps on other phones, by the ``dialog`` package (RFC 4235)."""

from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.call_states import CallStates
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.dialog_info import CONTENT_TYPE, PACKAGE
from sip_bridge.sip.event_package import EventType
from sip_bridge.sip.line import Line
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.policy import Policy
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.watcher import Watcher

MAX_WATCHERS: Final = 32  # of one endpoint
MAX_WATCHERS_PER_SOURCE: Final = 8
BACK_LATER: Final = 30  # seconds after which a watcher may ask again when we go away


class Notifier:
    """The watchers of an endpoint."""

    def __init__(self, core: Core, policy: Policy) -> None:
        self._core = core
        self._policy = policy
        self._watchers: list[Watcher] = []
        self._states = CallStates(token=core.chance.token, on_change=self._changed)
        core.observers.append(self._states.observe)

    def __len__(self) -> int:
        return len(self._watchers)

    def receive_subscribe(self, transaction: ServerTransaction, now: float) -> None:
        """A SUBSCRIBE outside any dialog."""
        request, flow = transaction.request, transaction.flow
        line = self._policy.line_for(request, flow)
        event = EventType.of(request)
        if line is None:
            transaction.respond(SIPStatus.NOT_FOUND, now)
        elif event.package != PACKAGE:
            raise RemoteProtocolError("no such event package here", status=489)
        elif not _accepts_dialog_info(request):
            transaction.respond(SIPStatus.NOT_ACCEPTABLE, now)
        elif self._is_crowded(flow.remote[0]):
            self._core.counters["crowded"] += 1
            transaction.respond(SIPStatus.TEMPORARILY_UNAVAILABLE, now, headers=[("Retry-After", str(BACK_LATER))])
        else:
            self._admit(transaction, line, event).start(transaction, now)

    def _admit(self, transaction: ServerTransaction, line: Line, event: EventType) -> Watcher:
        seq = int.from_bytes(self._core.chance.entropy(2))
        watcher = Watcher(
            self._core,
            line,
            lambda: self._states.of(line.id),
            dialog=Dialog.of_server(transaction.request, local_tag=transaction.to_tag, local_seq=seq),
            flow=transaction.flow,
            event=event,
            on_end=self._ended,
        )
        self._watchers.append(watcher)
        return watcher

    def leave(self, line: str) -> None:
        """Tell who watches a line that there is nothing to see for a while."""
        for watcher in [each for each in self._watchers if each.line == line]:
            watcher.end(reason="probation", retry_after=BACK_LATER)

    def _is_crowded(self, source: str) -> bool:
        of_source = sum(watcher.source == source for watcher in self._watchers)
        return len(self._watchers) >= MAX_WATCHERS or of_source >= MAX_WATCHERS_PER_SOURCE

    def _changed(self, line: str) -> None:
        for watcher in self._watchers:
            if watcher.line == line:
                watcher.changed()

    def _ended(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)


def _accepts_dialog_info(request: SIPMessage) -> bool:
    """Accept, where there is one, must let our documents in (RFC 4235 §3.5)."""
    ranges = [item.partition(";")[0].strip().lower() for item in request.items("accept")]
    return not ranges or not {CONTENT_TYPE, "application/*", "*/*"}.isdisjoint(ranges)
