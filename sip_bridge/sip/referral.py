"""Call transfer as the peer asks for it: REFER within a call, and our NOTIFYs that tell how it went (RFC 3515)."""

from typing import TYPE_CHECKING, Final

from sip_bridge.errors import InvalidStateError, RemoteProtocolError
from sip_bridge.sip.client_request import ClientRequest
from sip_bridge.sip.core import Core
from sip_bridge.sip.event_package import EventType, SubscriptionStatus
from sip_bridge.sip.events import EndCause, TransferRequested
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.replaces import Replaces
from sip_bridge.sip.sipfrag import CONTENT_TYPE, format_fragment
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI, scheme_of

if TYPE_CHECKING:
    from sip_bridge.sip.session import Session

PACKAGE: Final = "refer"
LASTING: Final = 180  # seconds, the expiry that our NOTIFYs name


class Referral:
    """The peer's wish that we call somebody else; the application accepts or refuses it, then reports."""

    def __init__(self, core: Core, session: "Session") -> None:
        self._core = core
        self._session = session
        self._transaction: ServerTransaction | None = None
        self._is_reported = False
        self._event = EventType(package=PACKAGE)
        self._told = SIPStatus.TRYING

    @property
    def is_open(self) -> bool:
        """Whether the application owes an answer or a report."""
        return self._transaction is not None

    def receive(self, transaction: ServerTransaction, now: float) -> None:
        """A REFER of the peer."""
        request = transaction.request
        values = request.items("refer-to")
        if len(values) != 1:
            raise RemoteProtocolError("REFER needs one Refer-To")
        if self.is_open:
            transaction.respond(SIPStatus.REQUEST_PENDING, now)
            return
        address = NameAddr.parse(values[0])
        if scheme_of(address.uri) not in ("sip", "sips", "tel"):
            transaction.respond(SIPStatus.UNSUPPORTED_URI_SCHEME, now)
            return
        target, replaces = _target_of(address.uri)
        self._transaction = transaction
        self._event = EventType(package=PACKAGE, id=str(request.cseq.number))
        self._is_reported = (request.get("refer-sub") or "").strip().lower() != "false"
        self._core.emit(TransferRequested(call=self._session.id, target=target, replaces=replaces))

    def accept(self, now: float) -> None:
        """202 Accepted, and the first report."""
        transaction = self._pending()
        contact = [("Contact", f"<{self._session.contact(transaction.flow)}>")]
        if self._is_reported:
            transaction.respond(SIPStatus.ACCEPTED, now, headers=contact)
            self.report(SIPStatus.TRYING)
        else:
            transaction.respond(SIPStatus.ACCEPTED, now, headers=[*contact, ("Refer-Sub", "false")])

    def refuse(self, status: SIPStatus, now: float) -> None:
        """Refuse it; the call goes on."""
        transaction = self._pending()
        self._transaction = None
        transaction.respond(status, now)

    def report(self, status: SIPStatus) -> None:
        """NOTIFY how far our call to the target is; a final status ends the subscription."""
        if self._transaction is None or self._transaction.is_pending:
            raise InvalidStateError(f"call {self._session.id} accepted no transfer")
        self._told = status
        self._notify(_ENDED if status.is_final else _LASTS)
        if status.is_final:
            self._transaction = None

    def _notify(self, state: SubscriptionStatus) -> None:
        if self._is_reported and not self._session.is_over:
            headers = [
                ("Event", self._event.format()),
                ("Subscription-State", state.format()),
                ("Content-Type", CONTENT_TYPE),
            ]
            self._session.send_request("NOTIFY", self, content=format_fragment(self._told), headers=headers)

    def receive_subscribe(self, transaction: ServerTransaction, now: float) -> None:
        """A SUBSCRIBE in the call: the peer prolongs our reports, or wants no more (RFC 6665 §4.2.1)."""
        request = transaction.request
        event = EventType.of(request)
        if event.package != PACKAGE:
            transaction.respond(SIPStatus.BAD_EVENT, now, headers=[("Allow-Events", PACKAGE)])
            return
        if self._transaction is None or not self._is_reported or event.id not in (None, self._event.id):
            transaction.respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, now)
            return
        seconds = min(LASTING if request.get("expires") is None else request.number("expires") or 0, LASTING)
        contact = ("Contact", f"<{self._session.contact(transaction.flow)}>")
        transaction.respond(SIPStatus.OK, now, headers=[contact, ("Expires", str(seconds))])
        self._notify(_LASTS if seconds else _UNWANTED)
        self._is_reported = bool(seconds)

    def abandon(self, now: float) -> None:
        """The call ends before the application decided."""
        if self._transaction is not None and self._transaction.is_pending:
            self._transaction.respond(SIPStatus.REQUEST_TERMINATED, now)
        self._transaction = None

    def _pending(self) -> ServerTransaction:
        if self._transaction is None or not self._transaction.is_pending:
            raise InvalidStateError(f"call {self._session.id} has no transfer to decide on")
        return self._transaction

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`: a NOTIFY that nobody wants ends the reports (RFC 6665 §4.2.2)."""
        del request, now
        if response.status == SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST:
            self._is_reported = False

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del request, cause, now
        self._is_reported = False


def _target_of(uri: str) -> tuple[str, str | None]:
    """The URI to call and the Replaces that it carries; other headers in it are none of our business."""
    if scheme_of(uri) == "tel":
        return uri, None
    parsed = SIPURI.parse(uri)
    replaces = next((value for name, value in parsed.headers if name.lower() == "replaces" and value), None)
    if replaces is not None:
        replaces = Replaces.parse(replaces).format()
    params = tuple(pair for pair in parsed.params if pair[0].lower() != "method")
    target = SIPURI(scheme=parsed.scheme, user=parsed.user, host=parsed.host, port=parsed.port, params=params)
    return target.format(), replaces


_LASTS: Final = SubscriptionStatus(word="active", expires=LASTING)
_ENDED: Final = SubscriptionStatus(word="terminated", reason="noresource")
_UNWANTED: Final = SubscriptionStatus(word="terminated", reason="timeout")
