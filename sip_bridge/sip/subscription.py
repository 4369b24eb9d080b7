"""The subscriber's side of event notification (RFC 6665 §4.1): one subscription, kept for as long as it is wanted."""

from enum import Enum, auto
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.capabilities import ALLOW_EVENTS
from sip_bridge.sip.client_request import ClientRequest, HeaderList, Plan
from sip_bridge.sip.core import Core
from sip_bridge.sip.dialog import Dialog, DialogKey
from sip_bridge.sip.event_dialog import is_refused
from sip_bridge.sip.event_package import EventType, SubscriptionStatus, seconds_of
from sip_bridge.sip.events import EndCause, SubscriptionChanged, SubscriptionState
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.packages import Package
from sip_bridge.sip.plans import Origin, plan_outside, plan_within
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction

EXPIRES: Final = 3600  # seconds that are asked for (RFC 3842 §3.4, RFC 4235 §3.4)
REFRESH_BEFORE_END: Final = 5.0  # seconds
SHORTEST_REFRESH: Final = 5.0  # seconds, whatever is granted
BACK_OFF_FIRST: Final = 2.0  # seconds, doubled up to BACK_OFF_LONGEST
BACK_OFF_LONGEST: Final = 120.0
REFUSED_RETRY: Final = 3600.0  # seconds: who has no such thing today may have it after an update

# Answers of a server that has no such package, no such mailbox, or nothing for us (RFC 6665 §4.1.2.1).
_REFUSALS: Final = frozenset(
    {SIPStatus.FORBIDDEN, SIPStatus.NOT_FOUND, SIPStatus.METHOD_NOT_ALLOWED, SIPStatus.BAD_EVENT, SIPStatus.DECLINE}
    | {SIPStatus.GONE, SIPStatus.UNSUPPORTED_URI_SCHEME, SIPStatus.NOT_IMPLEMENTED, SIPStatus.NOT_ACCEPTABLE}
    | {SIPStatus.DOES_NOT_EXIST_ANYWHERE}
)


class _Wish(Enum):
    """What the owner wants."""

    KEEP = auto()
    END = auto()


class Subscription:
    """Subscribes, refreshes, and begins anew whatever the notifier does, until `stop`.

    The dialog is made by the first NOTIFY, which may come before the 2xx to SUBSCRIBE; the NOTIFY of another fork is
    refused (RFC 6665 §4.1.2.4, §4.5.2).
    """

    def __init__(self, core: Core, origin: Origin, package: Package) -> None:
        self._core = core
        self._origin = origin
        self._package = package
        self._wish = _Wish.KEEP
        self._asked = EXPIRES
        self._failures = 0
        self._seq = 0
        self._call_id = ""
        self._tag = ""
        self._dialog: Dialog | None = None
        self._current: ClientRequest | None = None
        self._due = core.alarm(self._refresh)
        self._no_notify = core.alarm(self._miss_notify)  # Timer N
        self.id = core.chance.token(16)
        self.line = origin.line.id
        self.state = SubscriptionState.SUBSCRIBING

    # --- orders ---

    def start(self) -> None:
        """Subscribe."""
        self._begin()

    def stop(self, now: float) -> None:
        """Unsubscribe; the notifier's last NOTIFY is still answered."""
        self._wish = _Wish.END
        self._due.clear()
        self._drop_request()
        if self._dialog is None:
            self._forget()
        else:
            self._subscribe(0)
            self._no_notify.set(now + self._core.timers.b)
        self._change(SubscriptionState.ENDED)

    def renew(self) -> None:
        """Refresh now: where we are reached has changed. Without a dialog the next attempt says so by itself."""
        if self._dialog is not None and self._wish is _Wish.KEEP:
            self._subscribe(self._asked)

    # --- SUBSCRIBE ---

    def _begin(self) -> None:
        """A new dialog."""
        self._forget()
        self._call_id = self._core.chance.token(16)
        self._tag = self._core.chance.token()
        self._core.dialogs[self._half_key] = self
        self._subscribe(self._asked)

    def _refresh(self, now: float) -> None:
        del now
        if self._dialog is None:
            self._begin()
        else:
            self._failures = 0  # it has lived
            self._subscribe(self._asked)

    def _subscribe(self, expires: int) -> None:
        self._drop_request()
        self._current = ClientRequest(self._core, self._plan(expires), self)
        self._current.send()

    def _plan(self, expires: int) -> Plan:
        def headers(flow: Flow) -> HeaderList:
            contact = self._core.contact(flow, self._origin.line.user, secure=self._origin.is_secure)
            return [
                ("Contact", f"<{contact}>"),
                ("Event", self._package.name),
                ("Accept", self._package.content_type),
                ("Allow-Events", ALLOW_EVENTS),
                ("Expires", str(expires)),
            ]

        authenticator = self._origin.authenticator
        if self._dialog is not None:
            dialog = self._dialog
            return plan_within(
                "SUBSCRIBE", dialog, next_seq=self._next_seq, headers=headers, authenticator=authenticator
            )
        return plan_outside(
            "SUBSCRIBE", self._origin, call_id=self._call_id, tag=self._tag, next_seq=self._next_seq, headers=headers
        )

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _drop_request(self) -> None:
        if self._current is not None:
            self._current.drop()
            self._current = None

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        status = SIPStatus(response.status)
        if request is not self._current or status.is_provisional:
            return
        self._current = None
        shortest = seconds_of(response, "min-expires") or 0
        if self._wish is _Wish.END:
            if not status.is_success:
                self._forget()
        elif status.is_success:
            self._accepted(response, now)
        elif status == SIPStatus.INTERVAL_TOO_BRIEF and self._asked < shortest:
            self._asked = shortest
            self._subscribe(shortest)
        elif self._dialog is not None and status == SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST:
            self._begin()
        elif status in _REFUSALS or request.credentials_refused:
            self._refused(now, status=status)
        else:
            self._retry_later(now, status=status, at_least=seconds_of(response, "retry-after") or 0)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del cause
        if request is not self._current:
            return
        self._current = None
        if self._wish is _Wish.END:
            self._forget()
        else:
            self._retry_later(now)

    def _accepted(self, response: SIPMessage, now: float) -> None:
        granted = seconds_of(response, "expires")
        self._refresh_before(self._asked if granted is None else min(granted, self._asked), now)
        if self._dialog is None:
            self._no_notify.set(now + self._core.timers.b)
        else:
            self._dialog.refresh_target(response)

    def _refresh_before(self, seconds: int, now: float) -> None:
        margin = REFRESH_BEFORE_END if seconds > 2 * REFRESH_BEFORE_END else seconds / 2
        self._due.set(now + max(seconds - margin, SHORTEST_REFRESH))

    def _miss_notify(self, now: float) -> None:
        """Timer N: a subscription without any NOTIFY is none (RFC 6665 §4.1.2.4)."""
        if self._wish is _Wish.END:
            self._forget()
        else:
            self._retry_later(now, reason="no NOTIFY came")

    # --- NOTIFY ---

    def receive_request(self, transaction: ServerTransaction, now: float) -> None:
        """See `DialogUser`: a NOTIFY, or something that has no place here."""
        request = transaction.request
        if self._dialog is not None and self._dialog.remote.tag != request.from_.tag:
            transaction.respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, now)
            return
        if is_refused(transaction, self._dialog, "NOTIFY", now):
            return
        event, status = EventType.of(request), SubscriptionStatus.of(request)
        if event.package != self._package.name:
            raise RemoteProtocolError(f"not a notification of {self._package.name}", status=489)
        if request.content and request.content_type != self._package.content_type:
            transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=[("Accept", self._package.content_type)])
            return
        fact = self._package.read(self.line, self.id, request.content) if request.content else None
        self._adopt(request)
        transaction.respond(SIPStatus.OK, now)
        if fact is not None:
            self._core.emit(fact)
        self._follow(status, now)

    def receive_ack(self, request: SIPMessage, now: float) -> None:
        """See `DialogUser`: nothing here waits for one."""

    def cancel(self, request: SIPMessage, now: float) -> None:
        """See `DialogUser`: there is no INVITE in this dialog."""

    def _adopt(self, request: SIPMessage) -> None:
        """The first NOTIFY makes the dialog, each further one may move its target (RFC 6665 §4.4.1)."""
        if self._dialog is not None:
            self._dialog.refresh_target(request)
            return
        self._dialog = Dialog.of_server(request, local_tag=self._tag, local_seq=self._seq)
        self._core.dialogs[self._dialog.key] = self
        self._no_notify.clear()

    def _follow(self, status: SubscriptionStatus, now: float) -> None:
        """What Subscription-State asks for (RFC 6665 §4.1.3)."""
        if status.word == "terminated":
            self._terminated(status, now)
        elif self._wish is _Wish.KEEP:
            if status.expires is not None and self._current is None:
                self._refresh_before(status.expires, now)
            self._change(SubscriptionState.PENDING if status.word == "pending" else SubscriptionState.ACTIVE)

    def _terminated(self, status: SubscriptionStatus, now: float) -> None:
        self._drop_request()
        self._forget()
        if self._wish is _Wish.END:
            return
        match status.reason:
            case "rejected" | "noresource":
                self._refused(now, reason=status.reason)
            case "invariant":
                self._wish = _Wish.END
                self._change(SubscriptionState.ENDED, reason=status.reason)
            case "deactivated" | "timeout" if self._failures == 0:
                self._failures = 1
                self._begin()
            case _:
                self._retry_later(now, reason=status.reason, at_least=status.retry_after or 0)

    # --- states ---

    def _retry_later(
        self, now: float, *, status: SIPStatus | None = None, reason: str | None = None, at_least: int = 0
    ) -> None:
        """Truncated exponential back-off with jitter."""
        back_off = min(BACK_OFF_FIRST * 2**self._failures, BACK_OFF_LONGEST)
        self._failures = min(self._failures + 1, 16)
        delay = max(back_off * (0.5 + self._core.chance.fraction() / 2), at_least)
        self._wait(SubscriptionState.FAILED, now + delay, status=status, reason=reason, retry_in=delay)

    def _refused(self, now: float, *, status: SIPStatus | None = None, reason: str | None = None) -> None:
        self._wait(SubscriptionState.REFUSED, now + REFUSED_RETRY, status=status, reason=reason, retry_in=REFUSED_RETRY)

    def _wait(
        self, state: SubscriptionState, until: float, *, status: SIPStatus | None, reason: str | None, retry_in: float
    ) -> None:
        self._forget()
        self._due.set(until)
        self._change(state, status=status, reason=reason, retry_in=retry_in)

    def _forget(self) -> None:
        """No dialog any more, and no NOTIFY that is expected."""
        self._no_notify.clear()
        self._due.clear()
        self._core.dialogs.pop(self._half_key, None)
        if self._dialog is not None:
            self._core.dialogs.pop(self._dialog.key, None)
            self._dialog = None

    @property
    def _half_key(self) -> DialogKey:
        """What a NOTIFY from a tag that is not known yet is found by."""
        return self._call_id, self._tag, ""

    def _change(
        self,
        state: SubscriptionState,
        *,
        status: SIPStatus | None = None,
        reason: str | None = None,
        retry_in: float | None = None,
    ) -> None:
        """Tell what is new; attempts that fail like the one before are not."""
        if state is self.state:
            return
        self.state = state
        self._core.emit(
            SubscriptionChanged(
                line=self.line,
                subscription=self.id,
                package=self._package.name,
                state=state,
                status=status,
                reason=reason,
                retry_in=retry_in,
            )
        )
