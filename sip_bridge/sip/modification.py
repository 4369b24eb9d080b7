"""Changes to a session that we ask for: re-INVITE, UPDATE, refreshes (RFC 3261 §14.1, RFC 3311 §5.1, RFC 4028 §10)."""

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.acknowledgement import Acknowledgement
from sip_bridge.sip.client_request import ClientRequest, Unminded
from sip_bridge.sip.core import Core
from sip_bridge.sip.events import AnswerReceived, EndCause, OfferNeeded, OfferRefused
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.reliable import RAck, rseq_of
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.sip.session import Session

_STEP: Final = 0.01  # seconds: §14.1 wants units of 10 ms
MAX_RETRY_AFTER: Final = 10  # seconds: what §14.2 lets a peer ask for that answers our offer later


class State(Enum):
    """Where a change stands."""

    IDLE = auto()
    WAITING = auto()  # for the exchange that is open, or after a 491
    ASKED = auto()  # the application is to give the offer
    SENT = auto()


class Modification:
    """One change at a time. The offer is asked for when it can go out, so that a retry never sends a stale one."""

    def __init__(self, core: Core, session: "Session") -> None:
        self._core = core
        self._session = session
        self._alarm = core.alarm(self._ask)
        self._request: ClientRequest | None = None
        self._ack: Acknowledgement | None = None
        self._rseq: int | None = None
        self._wanted_again = False
        self.state = State.IDLE

    @property
    def is_open(self) -> bool:
        """Whether an offer of ours waits for its answer."""
        return self.state is State.SENT

    def want(self, now: float) -> None:
        """Ask the application for an offer, as soon as no other exchange is open."""
        if self.state is State.IDLE:
            self.state = State.WAITING
            self._ask(now)
        elif self.state is State.SENT:
            self._wanted_again = True  # else the offer is still to be given, and will be the newest

    def freed(self, now: float) -> None:
        """No exchange is open any more."""
        if self.state is State.WAITING and not self._alarm.is_set:
            self._ask(now)

    def abandon(self, now: float) -> None:
        """The call is about to end: the peer may answer no more."""
        if self._request is not None and self.is_open:
            self._request.give_up(now)

    def stop(self) -> None:
        """The call is over; a 2xx to what was sent is acknowledged all the same."""
        self._alarm.clear()
        self.state = State.IDLE

    def _ask(self, now: float) -> None:
        del now
        if self._session.can_offer:
            self.state = State.ASKED
            self._core.emit(OfferNeeded(call=self._session.id))

    def offer(self, content: bytes) -> None:
        """The application's offer: goes out by re-INVITE, or by UPDATE before the answer."""
        if self.state is not State.ASKED:
            raise InvalidStateError(f"call {self._session.id} did not ask for an offer")
        if not self._session.can_offer:  # the peer was quicker
            self.state = State.WAITING
            return
        self.state = State.SENT
        self._ack = self._rseq = None
        method = "INVITE" if self._session.is_confirmed else "UPDATE"
        self._request = self._session.send_request(
            method, self, content=content, headers=self._session.timer.request_headers()
        )

    # --- responses ---

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        status = SIPStatus(response.status)
        if status.is_success:
            self._accepted(request, response, now)
        elif status.is_provisional:
            self._acknowledge_provisional(request, response)
        elif self.is_open and request is self._request:
            self._refused(status, response, now)

    def _acknowledge_provisional(self, request: ClientRequest, response: SIPMessage) -> None:
        """A re-INVITE may be answered provisionally too, and that may want PRACK (RFC 3262 §4)."""
        rseq = rseq_of(response)
        if rseq is None or (self._rseq is not None and rseq != self._rseq + 1) or self._session.is_over:
            return
        self._rseq = rseq
        rack = RAck(rseq=rseq, seq=request.seq, method="INVITE")
        self._session.send_request("PRACK", Unminded(), headers=[("RAck", rack.format())])

    def _accepted(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        if self._ack is not None and request is self._request:
            self._ack.repeat()
            return
        session = self._session
        assert session.dialog is not None  # noqa: S101  # nothing is modified before the dialog
        if not session.is_over:
            session.dialog.refresh_target(response)
        if request.plan.method == "INVITE":
            self._ack = Acknowledgement(self._core, session.dialog, request)
            self._ack.send()
        if not session.is_over:
            session.timer.agreed(response, now)
            self._core.emit(AnswerReceived(call=session.id, answer=response.session_description))
            self._done(now)

    def _refused(self, status: SIPStatus, response: SIPMessage, now: float) -> None:
        session = self._session
        wait = _retry_after(response) if status == SIPStatus.SERVER_INTERNAL_ERROR else None
        if status == SIPStatus.REQUEST_PENDING:
            self._again_after(self._glare_wait(), now)
        elif wait is not None:
            self._again_after(wait, now)
        elif status == SIPStatus.SESSION_INTERVAL_TOO_SMALL and session.timer.raise_to(response):
            self._again_after(0.0, now)
        elif status in (SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, SIPStatus.REQUEST_TIMEOUT):
            session.lost(now, status, response.phrase)
        else:
            self._core.emit(OfferRefused(call=session.id, status=status, phrase=response.phrase))
            self._done(now)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`: a re-INVITE that nobody answers ends the dialog (§14.1)."""
        if self.is_open and request is self._request:
            self._session.lost(now, cause=cause)

    def _glare_wait(self) -> float:
        """Whoever made the Call-ID waits longer, so that one of the two comes through (§14.1)."""
        low, high = (210, 400) if self._session.owns_call_id else (0, 200)
        return (low + int(self._core.chance.fraction() * (high - low + 1))) * _STEP

    def _again_after(self, seconds: float, now: float) -> None:
        self.state = State.WAITING
        self._alarm.set(now + seconds)
        self._session.exchange_closed(now)

    def _done(self, now: float) -> None:
        self.state = State.IDLE
        again, self._wanted_again = self._wanted_again, False
        self._session.exchange_closed(now)
        if again:
            self.want(now)


def _retry_after(response: SIPMessage) -> float | None:
    digits = (response.get("retry-after") or "").partition(";")[0].partition("(")[0].strip()
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 10
    return float(min(int(digits), MAX_RETRY_AFTER)) if is_number else None


class Refresh:
    """An UPDATE without an offer: only says that the session stands (RFC 4028 §10)."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def send(self) -> None:
        """Refresh the session."""
        self._session.send_request("UPDATE", self, headers=self._session.timer.request_headers())

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        del request
        session, status = self._session, SIPStatus(response.status)
        if session.is_over or status.is_provisional:
            return
        assert session.dialog is not None  # noqa: S101  # nothing is refreshed before the dialog
        if status.is_success:
            session.dialog.refresh_target(response)
            session.timer.agreed(response, now)
        elif status == SIPStatus.SESSION_INTERVAL_TOO_SMALL and session.timer.raise_to(response):
            self.send()
        elif status in (SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, SIPStatus.REQUEST_TIMEOUT):
            session.lost(now, status, response.phrase)
        else:
            session.modification.want(now)  # it does not like UPDATE: every peer knows re-INVITE

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del request
        self._session.lost(now, cause=cause)
