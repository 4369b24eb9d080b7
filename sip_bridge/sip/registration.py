"""The REGISTER usage (RFC 3261 §10): one account's binding at its registrar, kept alive for ever."""

from collections.abc import Iterator
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.client_request import ClientRequest, HeaderList, Plan
from sip_bridge.sip.core import Core
from sip_bridge.sip.events import EndCause, RegistrationChanged, RegistrationState
from sip_bridge.sip.fields import NameAddr, split_outside
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus

REFRESH_BEFORE_END: Final = 5.0  # seconds
BACK_OFF_FIRST: Final = 2.0  # seconds, doubled up to BACK_OFF_LONGEST
BACK_OFF_LONGEST: Final = 120.0
MAX_EXPIRES: Final = 86400


class Registration:
    """Keeps a line registered: the same Call-ID and rising CSeq for as long as it lives."""

    def __init__(self, core: Core, line: RegisteredLine, authenticator: Authenticator | None) -> None:
        self._core = core
        self._line = line
        self._authenticator = authenticator
        self._call_id = core.chance.token(16)
        self._tag = core.chance.token()
        self._seq = 0
        self._asked = line.expires
        self._failures = 0
        self._wanted = False
        self._current: ClientRequest | None = None
        self._alarm = core.alarm(self._refresh)
        self.state = RegistrationState.UNREGISTERED

    def start(self, now: float) -> None:
        """Register, and stay registered."""
        self._wanted = True
        self._failures = 0
        self._change(RegistrationState.REGISTERING)
        self._refresh(now)

    def stop(self, now: float) -> None:
        """Remove the binding."""
        del now
        self._wanted = False
        self._alarm.clear()
        if self.state in (RegistrationState.REGISTERED, RegistrationState.REGISTERING) or self._current is not None:
            self._send(expires=0)
        else:
            self._change(RegistrationState.UNREGISTERED)

    def _refresh(self, now: float) -> None:
        del now
        self._send(expires=self._asked)

    def _send(self, *, expires: int) -> None:
        line = self._line
        route = self._core.routing.registrar(line)

        def headers(flow: Flow) -> HeaderList:
            return [
                ("From", NameAddr(uri=line.aor.format(), params=(("tag", self._tag),)).format()),
                ("To", NameAddr(uri=line.aor.format()).format()),
                ("Call-ID", self._call_id),
                ("Contact", f"<{self._core.contact(flow, line.user)}>"),
                ("Expires", str(expires)),
                *route.headers,
            ]

        plan = Plan(
            method="REGISTER",
            uri=line.registrar_uri,
            hop=route.hop,
            headers=headers,
            next_seq=self._next_seq,
            authenticator=self._authenticator,
        )
        if self._current is not None:
            self._current.drop()
        self._current = ClientRequest(self._core, plan, self)
        self._current.send()

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        status = SIPStatus(response.status)
        if request is not self._current or status.is_provisional:
            return
        self._current = None
        if not self._wanted:
            self._core.routing.forget(self._line.id)
            self._change(RegistrationState.UNREGISTERED, response)
        elif status.is_success:
            self._registered(request, response, now)
        elif status == SIPStatus.INTERVAL_TOO_BRIEF and self._asked < _seconds(response, "min-expires"):
            self._asked = _seconds(response, "min-expires")
            self._send(expires=self._asked)
        elif status == SIPStatus.FORBIDDEN or request.credentials_refused:
            self._wanted = False
            self._change(RegistrationState.FAILED, response, account_refused=True)
        else:
            self._retry_later(now, response)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del cause
        if request is not self._current:
            return
        self._current = None
        if self._wanted:
            self._retry_later(now)
        else:
            self._change(RegistrationState.UNREGISTERED)

    def _registered(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        self._failures = 0
        if not self._core.routing.learn(self._line.id, response):
            self._core.counters["malformed"] += 1
        granted = _granted(response, request.flow, self._line.user, self._asked)
        margin = REFRESH_BEFORE_END if granted > 2 * REFRESH_BEFORE_END else granted / 2
        self._alarm.set(now + max(granted - margin, 1.0))
        self._change(RegistrationState.REGISTERED, response, expires_in=granted)

    def _retry_later(self, now: float, response: SIPMessage | None = None) -> None:
        """Truncated exponential back-off with jitter; Retry-After if it is longer."""
        back_off = min(BACK_OFF_FIRST * 2**self._failures, BACK_OFF_LONGEST)
        self._failures = min(self._failures + 1, 16)
        delay = back_off * (0.5 + self._core.chance.fraction() / 2)
        if response is not None:
            delay = max(delay, _seconds(response, "retry-after"))
        self._alarm.set(now + delay)
        self._change(RegistrationState.FAILED, response, retry_in=delay)

    def _change(
        self,
        state: RegistrationState,
        response: SIPMessage | None = None,
        *,
        expires_in: float | None = None,
        retry_in: float | None = None,
        account_refused: bool = False,
    ) -> None:
        self.state = state
        self._core.emit(
            RegistrationChanged(
                line=self._line.id,
                state=state,
                status=SIPStatus(response.status) if response else None,
                phrase=response.phrase if response else None,
                expires_in=expires_in,
                retry_in=retry_in,
                account_refused=account_refused,
            )
        )


def _seconds(response: SIPMessage, name: str) -> int:
    """A header of seconds, bounded; 0 when it is absent or makes no sense: a registrar's slip must not end us."""
    try:
        return min(response.number(name) or 0, MAX_EXPIRES)
    except RemoteProtocolError:
        return 0


def _granted(response: SIPMessage, flow: Flow, user: str, asked: int) -> float:
    """The expiry of our own binding among those listed; Expires, or what was asked, when the registrar is silent."""
    for binding in _bindings(response):
        uri, expires = binding.sip_uri, binding.param("expires") or ""
        is_ours = (uri.user, uri.host, uri.port or 5060) == (user, *flow.local)
        if is_ours and expires.isascii() and expires.isdigit():
            return float(min(int(expires[:10]), MAX_EXPIRES))
    return float(_seconds(response, "expires") if response.get("expires") else asked)


def _bindings(response: SIPMessage) -> Iterator[NameAddr]:
    """The SIP addresses listed; other phones' bindings in a form that we can't read are passed over."""
    for line in response.get_all("contact"):
        try:
            contacts = [NameAddr.parse(item) for item in split_outside(line, ",") if item]
            yield from [contact for contact in contacts if contact.sip_uri.host]
        except RemoteProtocolError:
            continue
