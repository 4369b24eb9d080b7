"""Call transfer: REFER within a call and the NOTIFYs that tell how it went (RFC 3515, RFC 4488, RFC 5589)."""

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.client_request import ClientRequest, HeaderList
from sip_bridge.sip.core import Core
from sip_bridge.sip.event_package import EventType, SubscriptionStatus
from sip_bridge.sip.events import EndCause, TransferEnded, TransferProgressed
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.replaces import Replaces
from sip_bridge.sip.sipfrag import parse_fragment
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction

if TYPE_CHECKING:
    from sip_bridge.sip.session import Session

PACKAGE: Final = "refer"
SILENCE: Final = 180.0  # seconds without a NOTIFY after which a transfer counts as failed
LASTING: Final = 180  # seconds, the expiry that our NOTIFYs name


def refer_to(target: str, replaces: Replaces | None) -> str:
    """The value of Refer-To: a URI, which may carry the Replaces of an attended transfer (RFC 5589 §7)."""
    if replaces is None:
        return f"<{target}>"
    return f"<{target}?Replaces={quote(replaces.format(), safe='')}>"


class Transfer:
    """Our wish that the peer call somebody else instead of us; one at a time."""

    def __init__(self, core: Core, session: "Session") -> None:
        self._core = core
        self._session = session
        self._alarm = core.alarm(self._silent)
        self._request: ClientRequest | None = None
        self._is_accepted = False

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still to come."""
        return self._alarm.is_set

    def start(self, target: str, replaces: Replaces | None, now: float) -> None:
        """Send REFER; InvalidStateError while another transfer is under way."""
        if self.is_open:
            raise InvalidStateError(f"call {self._session.id} is being transferred already")
        assert self._session.dialog is not None  # noqa: S101  # only an answered call is transferred
        headers = [
            ("Refer-To", refer_to(target, replaces)),
            ("Referred-By", f"<{self._session.dialog.local.uri}>"),
        ]
        self._alarm.set(now + SILENCE)
        self._session.when_confirmed(lambda: self._send(headers))

    def _send(self, headers: HeaderList) -> None:
        self._request = self._session.send_request("REFER", self, headers=headers)

    def stop(self) -> None:
        """The call is over."""
        self._alarm.clear()
        self._request = None
        self._is_accepted = False

    def peer_left(self) -> None:
        """A telephone system that agreed to a transfer may hang up at once, and tell no outcome."""
        if self._is_accepted:
            self._end(SIPStatus.OK, SIPStatus.OK.phrase)

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`: a 2xx says that the peer will try, everything else that it will not."""
        status = SIPStatus(response.status)
        if request is not self._request or status.is_provisional:
            return
        self._is_accepted = status.is_success
        if not status.is_success:
            self._end(status, response.phrase)
            if status == SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST:
                self._session.lost(now, status, response.phrase)
        elif (response.get("refer-sub") or "").strip().lower() == "false":
            self._end(SIPStatus.OK, response.phrase)  # the peer tells no more (RFC 4488 §4)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del cause, now
        if request is self._request:
            self._end(SIPStatus.REQUEST_TIMEOUT, SIPStatus.REQUEST_TIMEOUT.phrase)

    def receive_notify(self, transaction: ServerTransaction, now: float) -> None:
        """How far the peer's call to the target is."""
        request = transaction.request
        if self._request is None or EventType.of(request).id not in (None, str(self._request.seq)):
            transaction.respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, now)
            return
        transaction.respond(SIPStatus.OK, now)
        self._alarm.set(now + SILENCE)
        status = parse_fragment(request.content)
        if status is not None and status.is_final:
            self._end(status, status.phrase)
        elif SubscriptionStatus.of(request).word == "terminated":
            self._end(SIPStatus.TEMPORARILY_UNAVAILABLE, "no outcome was told")
        elif status is not None:
            self._core.emit(TransferProgressed(call=self._session.id, status=status))

    def _silent(self, now: float) -> None:
        del now
        self._end(SIPStatus.REQUEST_TIMEOUT, SIPStatus.REQUEST_TIMEOUT.phrase)

    def _end(self, status: SIPStatus, phrase: str) -> None:
        self.stop()
        self._core.emit(TransferEnded(call=self._session.id, status=status, phrase=phrase))
