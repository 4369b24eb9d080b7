"""INFO within a call (RFC 6086 §4.2.2's legacy usage): keys pressed, above all."""

from typing import TYPE_CHECKING

from sip_bridge.sip.client_request import ClientRequest
from sip_bridge.sip.core import Core
from sip_bridge.sip.events import EndCause, InfoAnswered
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.sip.session import Session


class Info:
    """INFO: its outcome is told; a 481 means that the dialog is gone (RFC 3261 §12.2.1.2)."""

    def __init__(self, core: Core, session: "Session") -> None:
        self._session = session
        self._core = core

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        del request
        status = SIPStatus(response.status)
        if status.is_provisional or self._session.is_over:
            return
        self._core.emit(InfoAnswered(call=self._session.id, status=status))
        if status == SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST:
            self._session.lost(now, status, response.phrase)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del request, cause, now
        if not self._session.is_over:
            self._core.emit(InfoAnswered(call=self._session.id, status=SIPStatus.REQUEST_TIMEOUT))
