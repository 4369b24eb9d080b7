"""The REGISTER usage (RFC 3261 §10): one account's binding at its registrar, kept alive for ever.

RFC 5626 (outbound) is not asked for: its instance id would have to outlive restarts and its second flow needs a second
proxy, while one flow that is kept alive and registered anew when it fails is all that a house's registrar can use.
"""

from dataclasses import replace
from typing import Final

from sip_bridge.sip.auth import Authenticator
from sip_bridge.sip.binding import granted, seconds
from sip_bridge.sip.client_request import ClientRequest, HeaderList, Plan
from sip_bridge.sip.core import Core
from sip_bridge.sip.events import EndCause, RegistrationChanged, RegistrationState
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.keep_alive import STREAM_INTERVAL, UDP_INTERVAL
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.redirection import Redirection
from sip_bridge.sip.route import Route
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import NEVER
from sip_bridge.sip.uri import SIPURI

REFRESH_BEFORE_END: Final = 5.0  # seconds
BACK_OFF_FIRST: Final = 2.0  # seconds, doubled up to BACK_OFF_LONGEST
BACK_OFF_LONGEST: Final = 120.0
REBIND_INTERVAL: Final = 60.0  # seconds: a NAT that changes our address with each request is not run after
STABLE_AFTER: Final = 30.0  # seconds that a flow has to last, lest its loss is answered with a back-off


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
        self._losses = 0
        self._wanted = False
        self._is_abandoned = False
        self._current: ClientRequest | None = None
        self._alarm = core.alarm(self._refresh)
        self._contact = ""  # as the last REGISTER had it
        self._bound = ""  # the contact that the registrar knows
        self._registrar: SIPURI | None = None  # where a 3xx sent us
        self._redirection: Redirection | None = None
        self._bound_at = -NEVER
        self._rebound_at = -NEVER
        self.flow: Flow | None = None  # of the last attempt, while a registration is wanted
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
        self._core.keep_alives.drop(self._line.id)
        if self.state in (RegistrationState.REGISTERED, RegistrationState.REGISTERING) or self._current is not None:
            self._send(expires=0)
        else:
            self._change(RegistrationState.UNREGISTERED)

    def change(self, line: RegisteredLine, authenticator: Authenticator | None, now: float) -> None:
        """The same binding by other means, such as another password: register anew, unless it was ended by order."""
        is_wanted = self.is_wanted
        self._line, self._authenticator, self._asked = line, authenticator, line.expires
        self._core.keep_alives.drop(line.id)
        self._turn_to(None)
        if is_wanted:
            self.start(now)

    def abandon(self, now: float) -> None:
        """Remove the binding, and tell nothing more: the line is another one now, or none."""
        self._is_abandoned = True
        self.stop(now)

    @property
    def is_wanted(self) -> bool:
        """Whether nobody has ended it; a registrar that refused the account did not."""
        return self._wanted or self.state is RegistrationState.FAILED

    def transport_failed(self, now: float) -> None:
        """The flow is gone: register anew at once, unless it lasted too short a time."""
        if self._current is not None or self.state is not RegistrationState.REGISTERED:
            return
        self._core.keep_alives.drop(self._line.id)
        if now - self._bound_at >= STABLE_AFTER:
            self._losses = 0
            self._refresh(now)
        else:
            self._alarm.set(now + self._back_off(self._losses))
            self._losses = min(self._losses + 1, 16)

    def address_changed(self, now: float) -> None:
        """Our address towards the registrar is another one now: register anew at once, even in a back-off."""
        if self._wanted and self._current is None:
            self._failures = 0
            self._refresh(now)

    def readdressed(self, flow: Flow, now: float) -> None:
        """Our registrar saw another line come from a new address over our flow."""
        if self._current is None and self.state is RegistrationState.REGISTERED:
            self._rebind(flow, now)

    # --- REGISTER ---

    def _refresh(self, now: float) -> None:
        del now
        self._alarm.clear()
        first = self._registrar or SIPURI.parse(self._line.registrar_uri)
        self._redirection = Redirection(first, allows=self._may_follow)
        self._send(expires=self._asked)

    def _send(self, *, expires: int) -> None:
        line, route = self._line, self._route()

        def headers(flow: Flow) -> HeaderList:
            self.flow = flow
            return [
                ("From", NameAddr(uri=line.aor.format(), params=(("tag", self._tag),)).format()),
                ("To", NameAddr(uri=line.aor.format()).format()),
                ("Call-ID", self._call_id),
                *self._contacts(flow, expires),
                ("Expires", str(expires)),
                ("Supported", "path"),  # RFC 3327 §5.1: proxies on the way may have calls come through them
                *route.headers,
            ]

        plan = Plan(
            method="REGISTER",
            uri=line.registrar_uri if self._registrar is None else self._registrar.format(),
            hop=route.hop,
            headers=headers,
            next_seq=self._next_seq,
            authenticator=self._authenticator,
            learns_address=True,
        )
        if self._current is not None:
            self._current.drop()
        self._current = ClientRequest(self._core, plan, self)
        self._current.send()

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _route(self) -> Route:
        """The way to the registrar, or to the one that a 3xx named."""
        route = self._core.routing.registrar(self._line)
        if self._registrar is None or self._line.outbound_proxy is not None:
            return route
        return replace(route, hop=self._hop_of(self._registrar))

    def _hop_of(self, registrar: SIPURI) -> Hop:
        hop = Hop.of(registrar)
        return hop if hop.transport or hop.secure else replace(hop, transport=self._line.registrar.transport)

    def _contacts(self, flow: Flow, expires: int) -> HeaderList:
        """Our contact; a former one is removed with the same request (§10.2.2)."""
        self._contact = self._core.contact(flow, self._line.user)
        contacts = [("Contact", f"<{self._contact}>")]
        if self._bound not in ("", self._contact):
            contacts.append(("Contact", f"<{self._bound}>" + (";expires=0" if expires else "")))
        return contacts

    # --- responses ---

    def response_received(self, request: ClientRequest, response: SIPMessage, now: float) -> None:
        """See `RequestUser`."""
        status = SIPStatus(response.status)
        if request is not self._current or status.is_provisional:
            return
        self._current = None
        if not self._wanted:
            self._unregistered(response)
        elif status.is_success:
            self._registered(response, now)
        elif status == SIPStatus.INTERVAL_TOO_BRIEF and self._asked < (seconds(response, "min-expires") or 0):
            self._asked = seconds(response, "min-expires") or 0
            self._send(expires=self._asked)
        elif status == SIPStatus.FORBIDDEN or request.credentials_refused:
            self._wanted = False
            self._core.keep_alives.drop(self._line.id)
            self._change(RegistrationState.FAILED, response, account_refused=True)
        elif not self._goes_on(status, response):
            self._retry_later(now, response)

    def request_failed(self, request: ClientRequest, cause: EndCause, now: float) -> None:
        """See `RequestUser`."""
        del cause
        if request is not self._current:
            return
        self._current = None
        if not self._wanted:
            self._unregistered()
        elif not self._goes_on(SIPStatus.REQUEST_TIMEOUT, None):
            self._retry_later(now)

    def _goes_on(self, status: SIPStatus, response: SIPMessage | None) -> bool:
        """Whether there is another registrar to try, named by a 3xx (§10.2.8, §8.1.3.4); else back to our own."""
        assert self._redirection is not None  # noqa: S101  # a refresh came before
        target = self._redirection.next_after(status, response)
        self._turn_to(target)
        if target is not None:
            self._send(expires=self._asked)
        return target is not None

    def _turn_to(self, target: SIPURI | None) -> None:
        """The Request-URI of REGISTER has no user part."""
        self._registrar = None if target is None else replace(target, user=None, password=None)
        hop = None if self._registrar is None or self._line.outbound_proxy else self._hop_of(self._registrar)
        self._core.routing.redirect(self._line.id, hop)

    def _may_follow(self, uri: SIPURI) -> bool:
        """Not from TLS to something else."""
        own = self._line.registrar
        return uri.transport in (None, "TLS") or not (own.secure or own.transport == "TLS")

    def _registered(self, response: SIPMessage, now: float) -> None:
        line, flow = self._line, self.flow
        assert flow is not None  # noqa: S101  # the request went over it
        if not self._core.routing.learn(line.id, response):
            self._core.counters["malformed"] += 1
        lasts = granted(response, self._contact)
        if lasts is None:
            self._core.counters["own_binding_not_listed"] += 1
            expires = seconds(response, "expires")
            lasts = self._asked if expires is None else expires
        if lasts == 0:
            self._retry_later(now, response)
            return
        self._failures = 0
        self._bound, self._bound_at = self._contact, now
        margin = REFRESH_BEFORE_END if lasts > 2 * REFRESH_BEFORE_END else lasts / 2
        self._alarm.set(now + max(lasts - margin, 1.0))
        self._keep_alive(flow, now)
        self._change(RegistrationState.REGISTERED, response, expires_in=float(lasts))
        self._rebind(flow, now)

    def _rebind(self, flow: Flow, now: float) -> None:
        """Register the address that the registrar has just shown to be ours, but not one after the other."""
        contact = self._core.contact(flow, self._line.user)
        if contact == self._bound:
            return
        if now - self._rebound_at < REBIND_INTERVAL:
            self._core.counters["unsteady_addresses"] += 1
            return
        self._rebound_at = now
        self._refresh(now)

    def _keep_alive(self, flow: Flow, now: float) -> None:
        interval = self._line.keep_alive
        if interval is None and flow.is_reliable:
            interval = STREAM_INTERVAL
        elif interval is None and self._core.addresses.is_translated(flow):
            interval = UDP_INTERVAL
        if interval:
            self._core.keep_alives.keep(self._line.id, flow, interval, now)
        else:
            self._core.keep_alives.drop(self._line.id)

    def _unregistered(self, response: SIPMessage | None = None) -> None:
        if self._is_abandoned:
            return
        self._bound = ""
        self.flow = None
        self._turn_to(None)
        self._core.routing.forget(self._line.id)
        self._change(RegistrationState.UNREGISTERED, response)

    def _retry_later(self, now: float, response: SIPMessage | None = None) -> None:
        """Truncated exponential back-off with jitter; Retry-After if it is longer."""
        delay = self._back_off(self._failures)
        self._failures = min(self._failures + 1, 16)
        self._core.keep_alives.drop(self._line.id)
        if response is not None:
            delay = max(delay, seconds(response, "retry-after") or 0)
            self._bound = ""  # perhaps it is the removal of a former contact that the registrar minds
        self._alarm.set(now + delay)
        self._change(RegistrationState.FAILED, response, retry_in=delay)

    def _back_off(self, failures: int) -> float:
        longest: float = min(BACK_OFF_FIRST * 2**failures, BACK_OFF_LONGEST)
        return longest * (0.5 + self._core.chance.fraction() / 2)

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
        if self._is_abandoned:
            return
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
