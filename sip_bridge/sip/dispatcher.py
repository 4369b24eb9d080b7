"""Finds for every message received its transaction, its dialog, or the usage of its method (RFC 3261 §8.2, §12.2.2)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.capabilities import ACCEPT, ALLOW, ALLOW_EVENTS, IN_DIALOG_METHODS, unsupported_extensions
from sip_bridge.sip.challenger import Challenger
from sip_bridge.sip.core import Core, DialogUser
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.limits import Limits
from sip_bridge.sip.message import METHODS, SIPMessage
from sip_bridge.sip.policy import Policy
from sip_bridge.sip.responses import build_refusal
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI, scheme_of

_NOT_CANCELLED: Final = frozenset({"INVITE", "ACK", "CANCEL"})
Handler = Callable[[ServerTransaction, float], None]


class Dispatcher:
    """``serve`` says who handles the requests of a method that come outside any dialog."""

    def __init__(self, core: Core, policy: Policy, limits: Limits) -> None:
        self._core = core
        self._policy = policy
        self._limits = limits
        self._challenger = Challenger(core)
        self._handlers: dict[str, Handler] = {}

    def serve(self, method: str, handler: Handler) -> None:
        """Requests outside dialogs go to ``handler(transaction, now)``; it answers, or raises RemoteProtocolError."""
        self._handlers[method] = handler

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Bytes of one message; never raises on what a peer sent."""
        if not data.strip(b"\r\n\0 "):
            self._core.counters["keep_alives"] += 1
            return
        try:
            message = SIPMessage(data, limits=self._limits)
            message.validate(stream=flow.is_reliable)
        except RemoteProtocolError as error:
            self._core.counters["malformed"] += 1
            if self._policy.is_known(flow):
                self._refuse_statelessly(data, flow, SIPStatus(error.status))
            return
        if message.is_request:
            self._receive_request(message, flow, now)
        elif not self._core.layer.receive_response(message, flow, now):
            self._core.counters["stray_responses"] += 1

    def _refuse_statelessly(self, data: bytes, flow: Flow, status: SIPStatus) -> None:
        """Tell a known peer what is wrong with its request, if the request says enough to be answered."""
        request = SIPMessage.salvage(data, self._limits)
        if request is None or request.method == "ACK":
            return
        refusal = build_refusal(request, flow, status, self._core.chance.token())
        if refusal is not None:
            self._core.layer.transmit(*refusal)

    def _receive_request(self, request: SIPMessage, flow: Flow, now: float) -> None:
        layer = self._core.layer
        known = layer.find_server(request, "INVITE" if request.method == "ACK" else request.method or "")
        if known is not None:
            if known.receive(request, now):
                self._receive_ack(request, now)
        elif request.method == "ACK":
            self._receive_ack(request, now)
        elif request.method == "CANCEL":
            self._receive_cancel(request, flow, now)
        elif request.keys.to_tag is not None:
            self._receive_in_dialog(request, flow, now)
        elif not self._policy.is_known(flow):
            self._core.counters["strangers"] += 1
        else:
            self._receive_initial(request, flow, now)

    def _open(self, request: SIPMessage, flow: Flow, now: float) -> ServerTransaction:
        return self._core.layer.open_server(request, flow, self._core.chance.token(), now)

    @contextmanager
    def _refusing(self, transaction: ServerTransaction, now: float) -> Iterator[None]:
        """Answers with a RemoteProtocolError's status, or with 500 when a bug of ours stops it, which goes on up."""
        try:
            yield
        except RemoteProtocolError as error:
            self._core.counters["malformed"] += 1
            headers = [("Allow-Events", ALLOW_EVENTS)] if error.status == SIPStatus.BAD_EVENT else []
            transaction.respond(SIPStatus(error.status), now, headers=headers)
        except Exception:
            self._core.counters["bugs"] += 1
            transaction.respond(SIPStatus.SERVER_INTERNAL_ERROR, now)  # if it has no final answer yet
            raise

    # --- in a dialog ---

    def _dialog_of(self, request: SIPMessage) -> DialogUser | None:
        """The dialog's user; a subscription waits for a NOTIFY from whatever tag, under "" (RFC 6665 §4.4.1)."""
        keys, dialogs = request.keys, self._core.dialogs
        call_id, local_tag, remote_tag = keys.call_id, keys.to_tag or "", keys.from_tag or ""
        return dialogs.get((call_id, local_tag, remote_tag)) or dialogs.get((call_id, local_tag, ""))

    def _receive_ack(self, request: SIPMessage, now: float) -> None:
        user = self._dialog_of(request)
        if user is None:
            self._core.counters["stray_acks"] += 1
        else:
            user.receive_ack(request, now)

    def _receive_in_dialog(self, request: SIPMessage, flow: Flow, now: float) -> None:
        user = self._dialog_of(request)
        if user is not None:
            transaction = self._open(request, flow, now)
            with self._refusing(transaction, now):
                if self._challenger.admits_within(transaction, now):
                    user.receive_request(transaction, now)
        else:
            self._refuse_outside(request, flow, now)

    def _receive_cancel(self, request: SIPMessage, flow: Flow, now: float) -> None:
        """A CANCEL must come from where its request came (§9.2 matches branch and sent-by).

        It gets its 200 whatever the method of that is, and only ends an INVITE.
        """
        layer = self._core.layer
        found = (layer.find_server(request, method) for method in ("INVITE", *sorted(METHODS - _NOT_CANCELLED)))
        canceled = next((transaction for transaction in found if transaction is not None), None)
        if canceled is None or canceled.flow.remote[0] != flow.remote[0]:
            self._refuse_outside(request, flow, now)
            return
        transaction = self._open(request, flow, now)
        transaction.to_tag = canceled.to_tag
        transaction.respond(SIPStatus.OK, now)
        to_tag = canceled.request.keys.to_tag or canceled.to_tag
        user = self._core.dialogs.get((request.call_id, to_tag, request.keys.from_tag or ""))
        if user is not None and canceled.request.method == "INVITE":
            user.cancel(request, now)

    def _refuse_outside(self, request: SIPMessage, flow: Flow, now: float) -> None:
        """A request for a dialog or transaction that is not here."""
        if self._policy.is_known(flow):
            self._open(request, flow, now).respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, now)
        else:
            self._core.counters["strangers"] += 1

    # --- outside any dialog ---

    def _receive_initial(self, request: SIPMessage, flow: Flow, now: float) -> None:
        """A request outside any dialog, from a source that policy knows."""
        transaction = self._open(request, flow, now)
        with self._refusing(transaction, now):
            refusal = self._refusal(request)
            if refusal is not None:
                status, headers = refusal
                transaction.respond(status, now, headers=headers)
            elif self._challenger.admits(self._policy.line_for(request, flow), transaction, now):
                self._handlers[request.method or ""](transaction, now)

    def _refusal(self, request: SIPMessage) -> tuple[SIPStatus, list[tuple[str, str]]] | None:
        """Why a request is refused before anyone looks whom it is for (§8.2.1 to §8.2.3)."""
        method, scheme = request.method or "", scheme_of(request.uri)
        _ = request.contacts
        if scheme in ("sip", "sips") and SIPURI.parse(request.uri).headers:
            raise RemoteProtocolError("headers in the Request-URI")
        if method not in self._handlers:
            if method in IN_DIALOG_METHODS:
                return SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, []
            unknown = method not in METHODS
            return (SIPStatus.NOT_IMPLEMENTED if unknown else SIPStatus.METHOD_NOT_ALLOWED), [("Allow", ALLOW)]
        if scheme not in ("sip", "sips", "tel"):
            return SIPStatus.UNSUPPORTED_URI_SCHEME, []
        if self._core.layer.is_merged(request):
            return SIPStatus.LOOP_DETECTED, []
        required = unsupported_extensions(request)
        if required:
            return SIPStatus.BAD_EXTENSION, [("Unsupported", required)]
        if not is_identity_encoded(request):
            return SIPStatus.UNSUPPORTED_MEDIA_TYPE, [("Accept-Encoding", "identity")]
        return None


def is_identity_encoded(request: SIPMessage) -> bool:
    """Whether the body is as it stands: we can decode no Content-Encoding (§20.12)."""
    return request.tokens("content-encoding") <= {"identity"}


def has_foreign_body(request: SIPMessage) -> bool:
    """Whether a body must be understood and is no session description (§8.2.3, RFC 5621 §3)."""
    handling = (request.get("content-disposition") or "").replace(" ", "").lower()
    if request.session_description:
        return request.has_foreign_part
    return bool(request.content) and "handling=optional" not in handling


def accepts_sdp(request: SIPMessage) -> bool:
    """Whether an INVITE's Accept lets us answer with a session description; without one it does (§20.1)."""
    ranges = [item.partition(";")[0].strip().lower() for item in request.items("accept")]
    return not ranges or not {ACCEPT, "application/*", "*/*"}.isdisjoint(ranges)
