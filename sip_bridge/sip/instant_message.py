"""MESSAGE (RFC 3428): a text to or from a peer, each its own request, with or without a call."""

from typing import Final

from sip_bridge.errors import LocalProtocolError, RemoteProtocolError
from sip_bridge.sip.caller import caller_of
from sip_bridge.sip.client_request import ClientRequest, HeaderList
from sip_bridge.sip.core import Core
from sip_bridge.sip.dispatcher import is_identity_encoded
from sip_bridge.sip.events import EndCause, MessageFailed, MessageReceived, MessageSent
from sip_bridge.sip.fields import check_value, format_params, get_param, is_token, parse_params
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.multipart import find_part
from sip_bridge.sip.plans import Origin, plan_outside
from sip_bridge.sip.policy import Policy
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction

ACCEPT_TEXT: Final = "text/plain, text/*"
MAX_SENT: Final = 1300  # bytes of text; RFC 3428 §8 bounds what may go out without congestion control
MAX_RECEIVED: Final = 16384  # bytes of text
RETRY_AFTER: Final = "10"  # seconds that a host is asked to wait

# A closed table: what a peer names must not choose among all that Python can decode.
_CODECS: Final = {"utf-8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "cp1252", "windows-1252": "cp1252"}


class OutgoingMessage:
    """One text on its way; ends with `MessageSent` or `MessageFailed`."""

    def __init__(self, core: Core, origin: Origin, text: str, *, content_type: str) -> None:
        self._core = core
        self._line = origin.line.id
        self._seq = 0
        self.id = core.chance.token(16)
        content = text.encode("utf-8", "replace")
        if len(content) > MAX_SENT:
            raise LocalProtocolError(f"a message of more than {MAX_SENT} bytes")
        media_type = _with_charset(content_type)

        def headers(_flow: Flow) -> HeaderList:
            return [("Content-Type", media_type)]  # and no Contact (RFC 3428 §4)

        self._plan = plan_outside(
            "MESSAGE",
            origin,
            call_id=self.id,
            tag=core.chance.token(),
            next_seq=self._next_seq,
            headers=headers,
            content=content,
        )

    def send(self) -> None:
        """Send it."""
        ClientRequest(self._core, self._plan, self).send()

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        del request, now
        status = SIPStatus(response.status)
        if status.is_success:
            self._core.emit(MessageSent(line=self._line, message=self.id, status=status))
        elif status.is_final:
            failed = MessageFailed(
                line=self._line, message=self.id, cause=EndCause.REJECTED, status=status, phrase=response.phrase
            )
            self._core.emit(failed)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del request, now
        self._core.emit(MessageFailed(line=self._line, message=self.id, cause=cause))


def _with_charset(content_type: str) -> str:
    """A media type as an application names it, with the character set that text is sent in."""
    media_type, semicolon, rest = check_value(content_type, "content_type").partition(";")
    words = media_type.strip().split("/")
    try:
        params = parse_params(semicolon + rest)
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"not a media type: {content_type[:40]!r}") from error
    if len(words) != 2 or not all(map(is_token, words)):
        raise LocalProtocolError(f"not a media type: {content_type[:40]!r}")
    others = tuple(pair for pair in params if pair[0].lower() != "charset")
    return "/".join(words) + format_params((*others, ("charset", "UTF-8")) if words[0].lower() == "text" else params)


class Messages:
    """The texts of an endpoint."""

    def __init__(self, core: Core, policy: Policy) -> None:
        self._core = core
        self._policy = policy

    def send(self, origin: Origin, text: str, *, content_type: str) -> str:
        """Send a text; returns the id that its outcome will name."""
        message = OutgoingMessage(self._core, origin, text, content_type=content_type)
        message.send()
        return message.id

    def receive(self, transaction: ServerTransaction, now: float) -> None:
        """A MESSAGE outside any dialog."""
        line = self._policy.line_for(transaction.request, transaction.flow)
        if line is None:
            transaction.respond(SIPStatus.NOT_FOUND, now)
        else:
            receive_message(self._core, transaction, line.id, now)


def receive_message(core: Core, transaction: ServerTransaction, line: str, now: float) -> None:
    """Answer a MESSAGE for a line, and tell its text as far as its sender's allowance goes."""
    request = transaction.request
    if len(request.content) > MAX_RECEIVED:
        transaction.respond(SIPStatus.REQUEST_ENTITY_TOO_LARGE, now)
    elif not is_identity_encoded(request):
        transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=[("Accept-Encoding", "identity")])
    elif request.content and not _content(request):
        transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=[("Accept", ACCEPT_TEXT)])
    elif not core.message_allowance.takes(transaction.flow.remote[0], now):
        core.counters["crowded"] += 1
        transaction.respond(SIPStatus.TEMPORARILY_UNAVAILABLE, now, headers=[("Retry-After", RETRY_AFTER)])
    else:
        transaction.respond(SIPStatus.OK, now)
        content_type = request.content_type if request.content_type.startswith("text/") else "text/plain"
        sender = caller_of(request, trusted=core.routing.trusts(line, transaction.flow.remote[0])).address
        core.emit(MessageReceived(line=line, remote=sender, content_type=content_type, text=_text(request)))


def _content(request: SIPMessage) -> bytes:
    """A body of text, or the plain text in a multipart one."""
    is_text = request.content_type.startswith("text/")
    return request.content if is_text else find_part(request.get("content-type") or "", request.content, "text/plain")


def _text(request: SIPMessage) -> str:
    """The text in the character set that it says it is in, UTF-8 without one (RFC 3261 §7.4.1)."""
    _, semicolon, rest = (request.get("content-type") or "").partition(";")
    try:
        charset = get_param(parse_params(semicolon + rest), "charset") or "utf-8"
    except RemoteProtocolError:
        charset = "utf-8"
    return _content(request).decode(_CODECS.get(charset.lower(), "utf-8"), "replace")
