"""The notifier's side of one subscription (RFC 6665 §4.2): a peer that watches a line's calls (RFC 4235)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from math import ceil
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.client_request import ClientRequest, HeaderList
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.dialog_info import CONTENT_TYPE, DialogEntry, DialogInfo, DialogState
from sip_bridge.sip.event_dialog import is_refused
from sip_bridge.sip.event_package import EventType, SubscriptionStatus, seconds_of
from sip_bridge.sip.events import EndCause
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.line import Line, RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.plans import plan_within
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI

LONGEST: Final = 3600  # seconds that are granted, and meant by a SUBSCRIBE without Expires (RFC 4235 §3.4)
MAX_LISTED: Final = 32  # calls in one document, which must fit a datagram
INTERVAL: Final = 1.0  # seconds from one notification to the next (RFC 4235 §3.10)


class Watcher:
    """Notifies at once, then of each change: one NOTIFY at a time, the state of all the line's calls in each.

    A NOTIFY that is refused or not answered ends the subscription. ``on_end`` is called when it is over.
    """

    def __init__(
        self,
        core: Core,
        line: Line,
        states: Callable[[], Mapping[str, DialogEntry]],
        *,
        dialog: Dialog,
        flow: Flow,
        event: EventType,
        on_end: Callable[["Watcher"], None],
    ) -> None:
        self._core = core
        self._line = line
        self._states = states
        self._event = event
        self._on_end = on_end
        self._dialog = dialog
        host = line.domain if isinstance(line, RegisteredLine) else flow.local[0]
        self._entity = SIPURI(user=line.user, host=host).format()
        self._told: Mapping[str, DialogEntry] = {}
        self._version = 0
        self._ends_at = 0.0
        self._next_at = 0.0
        self._has_news = False
        self._current: ClientRequest | None = None
        self._due = core.alarm(self._notify)
        self._expiry = core.alarm(self._expire)
        self.source = flow.remote[0]

    @property
    def line(self) -> str:
        """The id of the line that is watched."""
        return self._line.id

    def start(self, transaction: ServerTransaction, now: float) -> None:
        """Accept the SUBSCRIBE that made the dialog."""
        self._core.dialogs[self._dialog.key] = self
        self._accept(transaction, now)

    def changed(self) -> None:
        """The line's calls are not what they were."""
        self._has_news = True
        if self._current is None:
            self._due.set(self._next_at)

    def end(self, *, reason: str, retry_after: int | None = None) -> None:
        """Tell the peer that nothing more will come."""
        self._forget()
        self._send(SubscriptionStatus(word="terminated", reason=reason, retry_after=retry_after))

    # --- SUBSCRIBE ---

    def receive_request(self, transaction: ServerTransaction, now: float) -> None:
        """See `DialogUser`: a refresh, or something that has no place here."""
        request = transaction.request
        if is_refused(transaction, self._dialog, "SUBSCRIBE", now):
            return
        if EventType.of(request) != self._event:
            raise RemoteProtocolError("not the event that was subscribed to", status=489)
        self._dialog.refresh_target(request)
        self._accept(transaction, now)

    def receive_ack(self, request: SIPMessage, now: float) -> None:
        """See `DialogUser`: nothing here waits for one."""

    def cancel(self, request: SIPMessage, now: float) -> None:
        """See `DialogUser`: there is no INVITE in this dialog."""

    def _accept(self, transaction: ServerTransaction, now: float) -> None:
        """200, and a NOTIFY at once (RFC 6665 §4.2.1.2); with Expires 0 it is the last one."""
        request = transaction.request
        asked = seconds_of(request, "expires")
        granted = min(LONGEST if asked is None else asked, LONGEST)
        headers = [
            *(("Record-Route", value) for value in request.get_all("record-route")),
            ("Contact", f"<{self._core.contact(transaction.flow, self._line.user)}>"),
            ("Expires", str(granted)),
        ]
        transaction.respond(SIPStatus.OK, now, headers=headers)
        if granted == 0:
            self.end(reason="timeout")
            return
        self._ends_at = now + granted
        self._expiry.set(self._ends_at)
        self._notify(now)

    def _expire(self, now: float) -> None:
        del now
        self.end(reason="timeout")

    # --- NOTIFY ---

    def _notify(self, now: float) -> None:
        self._has_news = False
        self._due.clear()
        self._next_at = now + INTERVAL
        self._send(SubscriptionStatus(word="active", expires=ceil(self._ends_at - now)))

    def _send(self, status: SubscriptionStatus) -> None:
        def headers(flow: Flow) -> HeaderList:
            return [
                ("Contact", f"<{self._core.contact(flow, self._line.user)}>"),
                ("Event", self._event.format()),
                ("Subscription-State", status.format()),
                ("Content-Type", CONTENT_TYPE),
            ]

        plan = plan_within(
            "NOTIFY", self._dialog, next_seq=self._dialog.next_seq, headers=headers, content=self._document()
        )
        if self._current is not None:
            self._current.drop()
        self._current = ClientRequest(self._core, plan, self)
        self._current.send()

    def _document(self) -> bytes:
        """The live calls, and once more those that ended since the last document."""
        live = self._states()
        listed = dict(islice(live.items(), MAX_LISTED))
        ended = tuple(
            replace(entry, state=DialogState.TERMINATED) for key, entry in self._told.items() if key not in live
        )
        info = DialogInfo(entity=self._entity, version=self._version, is_full=True, dialogs=(*listed.values(), *ended))
        self._version += 1
        self._told = listed
        return info.format()

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        del now
        status = SIPStatus(response.status)
        if request is not self._current or status.is_provisional:
            return
        self._current = None
        if not status.is_success:
            self._forget()
        elif self._has_news:
            self.changed()

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del cause, now
        if request is self._current:
            self._current = None
            self._forget()

    def _forget(self) -> None:
        self._due.clear()
        self._expiry.clear()
        self._has_news = False
        self._core.dialogs.pop(self._dialog.key, None)
        self._on_end(self)
