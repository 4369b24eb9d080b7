"""A call as its dialog's usage (RFC 5057): who it is, its requests within the dialog, and its one end."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.capabilities import ACCEPT, ALLOW_AND_SUPPORTED
from sip_bridge.sip.client_request import ClientRequest, HeaderList, RequestUser, Unminded
from sip_bridge.sip.core import Core, DialogUser
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.events import CallEnded, CallSignaled, EndCause, Origin
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.plans import plan_within
from sip_bridge.sip.reason import Reason
from sip_bridge.sip.status import SIPStatus

_TOLD: Final = frozenset({"INFO", "REFER"})  # as the peer's are
_WITH_CONTACT: Final = frozenset({"INVITE", "UPDATE", "REFER", "NOTIFY"})
_WITH_CAPABILITIES: Final = frozenset({"INVITE", "UPDATE"})
NORMAL_CLEARING: Final = 16  # Q.850


class InviteUsage(ABC, DialogUser):
    """What is left of a call without its offers and timers. ``id`` names it to the caller of the endpoint."""

    def __init__(
        self,
        core: Core,
        *,
        call: str,
        line: str,
        contact_user: str,
        is_secure: bool,
        authenticator: Authenticator | None,
    ) -> None:
        self._core = core
        self._authenticator = authenticator
        self._contact_user = contact_user
        self._is_secure = is_secure  # the call was placed to a sips URI
        self._local_tag = core.chance.token()
        self._held: list[Callable[[], object]] = []
        self.id = call
        self.line = line
        self.dialog: Dialog | None = None
        self.is_confirmed = False
        self.is_over = False

    @property
    @abstractmethod
    def owns_call_id(self) -> bool:
        """Whether the Call-ID is ours."""

    @abstractmethod
    def hangup(self, now: float) -> None:
        """End the call, whatever state it is in."""

    @property
    def is_answered(self) -> bool:
        """Whether there was a 2xx: the dialog is confirmed (RFC 3261 §12.1), though the ACK may be on its way."""
        return self.is_confirmed

    def require_talking(self) -> None:
        """InvalidStateError unless the call was answered."""
        if not self.is_answered:
            raise InvalidStateError(f"call {self.id} is not answered")

    def when_confirmed(self, send: Callable[[], object]) -> None:
        """Send a request now, or when the ACK comes: it could overtake our 2xx and find no dialog at the caller."""
        if self.is_confirmed:
            send()
        else:
            self._held.append(send)

    def contact(self, flow: Flow) -> str:
        """Our URI towards a peer."""
        return self._core.contact(flow, self._contact_user, secure=self._is_secure)

    def send_request(
        self,
        method: str,
        user: RequestUser,
        *,
        content: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        dialog: Dialog | None = None,
    ) -> ClientRequest:
        """A request of ours in the dialog (RFC 3261 §12.2.1); the body of INVITE and UPDATE is SDP."""
        dialog = dialog or self.dialog
        assert dialog is not None  # noqa: S101  # nobody sends before the dialog
        if method in _TOLD:
            self._signal("local", method)

        def all_headers(flow: Flow) -> HeaderList:
            return [
                *([("Contact", f"<{self.contact(flow)}>")] if method in _WITH_CONTACT else []),
                *(ALLOW_AND_SUPPORTED if method in _WITH_CAPABILITIES else []),
                *([("Content-Type", ACCEPT)] if content and method in _WITH_CAPABILITIES else []),
                *headers,
            ]

        plan = plan_within(
            method,
            dialog,
            next_seq=dialog.next_seq,
            headers=all_headers,
            content=content,
            authenticator=self._authenticator,
        )
        request = ClientRequest(self._core, plan, user)
        request.send()
        return request

    def _send_bye(self, reason: Reason) -> None:
        self._signal("local", "BYE")
        self.send_request("BYE", Unminded(), headers=[("Reason", reason.format())])

    def end(
        self,
        cause: EndCause,
        *,
        status: SIPStatus | None = None,
        phrase: str | None = None,
        q850: int | None = None,
    ) -> None:
        """Tell that the call is over, once; the dialog goes with it."""
        if self.is_over:
            return
        self.is_over = True
        self._core.sessions.pop(self.id, None)
        self._forget_dialogs()
        self._core.emit(CallEnded(call=self.id, cause=cause, status=status, phrase=phrase, q850=q850))

    def _adopt(self, dialog: Dialog) -> None:
        self.dialog = dialog
        self._core.dialogs[dialog.key] = self

    def _forget_dialogs(self) -> None:
        if self.dialog is not None:
            self._core.dialogs.pop(self.dialog.key, None)

    def _signal(self, origin: Origin, method: str, status: SIPStatus | None = None, phrase: str | None = None) -> None:
        self._core.emit(CallSignaled(call=self.id, origin=origin, method=method, status=status, phrase=phrase))
