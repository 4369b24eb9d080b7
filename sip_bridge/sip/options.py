"""OPTIONS (RFC 3261 §11): asking a peer whether it is there and what it can do."""

from typing import Final

from sip_bridge.sip.capabilities import ACCEPT
from sip_bridge.sip.client_request import ClientRequest, HeaderList
from sip_bridge.sip.core import Core
from sip_bridge.sip.events import EndCause, OptionsAnswered, OptionsFailed
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.plans import Origin, plan_outside
from sip_bridge.sip.status import SIPStatus

MAX_ALLOW: Final = 64  # methods of a peer that are told


class OptionsQuery:
    """One OPTIONS on its way; ends with `OptionsAnswered` or `OptionsFailed`."""

    def __init__(self, core: Core, origin: Origin) -> None:
        self._core = core
        self._line = origin.line.id
        self._seq = 0
        self.id = core.chance.token(16)

        def headers(flow: Flow) -> HeaderList:
            contact = core.contact(flow, origin.line.user, secure=origin.is_secure)
            return [("Contact", f"<{contact}>"), ("Accept", ACCEPT)]

        self._plan = plan_outside(
            "OPTIONS", origin, call_id=self.id, tag=core.chance.token(), next_seq=self._next_seq, headers=headers
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
        if status.is_final:
            answered = OptionsAnswered(
                line=self._line,
                query=self.id,
                status=status,
                allow=_allow(response),
                server=response.get("server") or response.get("user-agent"),
            )
            self._core.emit(answered)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del request, now
        self._core.emit(OptionsFailed(line=self._line, query=self.id, cause=cause))


def _allow(response: SIPMessage) -> tuple[str, ...]:
    return tuple(word.strip() for line in response.get_all("allow") for word in line.split(",") if word.strip())[
        :MAX_ALLOW
    ]
