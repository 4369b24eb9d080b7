"""The doctor's look at a registrar: its name, its answers, and what stands between."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final

from sip_bridge.cli.findings import Finding, hint, ok, problem
from sip_bridge.config import Config
from sip_bridge.errors import RemoteProtocolError, SipBridgeError
from sip_bridge.phone.client import SIPClient, WireMessage
from sip_bridge.phone.lines import line_of
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.resolver import Resolver, Target
from sip_bridge.phone.settings import RegisteredAccount, SIPSettings
from sip_bridge.sip.events import OptionsAnswered, RegistrationState
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import format_host_port

ANSWER_TIMEOUT: Final = 8.0  # seconds for a registrar
MAX_SKEW: Final = 60.0  # seconds between the clocks
Address = tuple[str, int]


async def registered(config: Config, account: RegisteredAccount, *, is_running: bool) -> AsyncIterator[Finding]:
    """What becomes of a registered account; while the bridge runs it has the registration, and none is tried."""
    subject = f"line {account.id}"
    line = line_of(account)
    assert isinstance(line, RegisteredLine)  # noqa: S101  # a registered account's
    targets = await Resolver().resolve(line.first_hop)
    if not targets:
        advice = "Is the name spelled right? `getent hosts NAME` shows whether this computer can resolve it."
        yield problem(subject, f"no address of {line.first_hop.host} that this computer could reach", advice)
        return
    yield ok(subject, f"{line.first_hop.host} is {', '.join(map(_shown, targets))}")
    if _is_behind_nat(targets[0].host) and config.sip.advertised_host is None:
        text = "the server is on the internet and this computer behind a router"
        yield hint(subject, text, "Usually all goes well; if callers aren't heard, set sip.advertised_host.")
    if is_running:
        return  # it is registered already: `watch` tells
    async for finding in _tried(config, account, subject):
        yield finding


def _shown(target: Target) -> str:
    return f"{target.host} port {target.port} ({target.transport})"


def _is_behind_nat(server: str) -> bool:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((server, 9))
        ours: str = probe.getsockname()[0]
    return ip_address(server).is_global and not ip_address(ours.partition("%")[0]).is_global


async def _tried(config: Config, account: RegisteredAccount, subject: str) -> AsyncIterator[Finding]:
    """Ask the server whether it is there, then register as the bridge would, and remove that again."""
    settings = SIPSettings(bind=config.sip.bind, port=0, tls=config.sip.tls)
    witness, changed = Witness(clock=time.time), asyncio.Event()
    try:
        async with SIPClient(settings) as client:
            client.on_wire = witness.observe
            phone = VoIPPhone(client, account, listener=lambda *_: changed.set())
            client.add_line(line_of(account), phone)
            yield await _is_there(phone, account, subject)
            phone.register()
            yield await _outcome(phone, account, subject, changed)
            phone.unregister()
            for finding in witness.findings(subject):
                yield finding
    except SipBridgeError as error:
        yield problem(subject, str(error), "Are the files of sip.tls right, is a network there?")


async def _is_there(phone: VoIPPhone, account: RegisteredAccount, subject: str) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            outcome = await phone.send_options(f"sip:{account.server}")
    except TimeoutError:
        outcome = None
    if isinstance(outcome, OptionsAnswered):
        return ok(subject, f"the server answers{f': {outcome.server}' if outcome.server else ''}")
    advice = f"Is it running, is transport: {account.transport} right, is a firewall in between?"
    return hint(subject, "the server does not answer OPTIONS", advice)


async def _outcome(phone: VoIPPhone, account: RegisteredAccount, subject: str, changed: asyncio.Event) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while phone.registration is None or phone.registration.state is RegistrationState.REGISTERING:
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return _refusal(account, subject, None)
    if phone.is_registered:
        return ok(subject, f"registers as {account.user}")
    return _refusal(account, subject, phone.registration.status)


def _refusal(account: RegisteredAccount, subject: str, status: SIPStatus | None) -> Finding:
    """What a registrar means, as far as one can know."""
    user = account.user
    match status:
        case None | SIPStatus.REQUEST_TIMEOUT:
            advice = "Is the server running, are port and transport right, is a firewall in between?"
            return problem(subject, "not registered: no answer", advice)
        case SIPStatus.UNAUTHORIZED | SIPStatus.PROXY_AUTHENTICATION_REQUIRED:
            text = f"the server does not take the password of {user} ({int(status)} {status.phrase})"
            advice = (
                "Compare user, auth_user, realm and password with what the server has."
                " Many, like Asterisk, say the same of a user that they don't know."
            )
        case SIPStatus.FORBIDDEN:
            text = f"the server forbids {user} to register (403 Forbidden)"
            advice = (
                "A FRITZ!Box and many others say so of a wrong password or user."
                " If both are right: may the account be used from this address?"
            )
        case SIPStatus.NOT_FOUND:
            text = f"the server knows no user {user} (404 Not Found)"
            advice = "Compare user with what the server has; at Asterisk it is the name of the aor."
        case _:
            text = f"not registered: {int(status)} {status.phrase}"
            advice = "The server's log should say why; is the account enabled there?"
    return problem(subject, text, advice)


class Witness:
    """Sees what comes back: who else had the messages in hand, and what time it is elsewhere."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sent: dict[str, Address] = {}  # by branch: where we said that we are
        self._seen_as: Address | None = None
        self._ours: Address | None = None
        self._is_rewritten = False
        self._skew = 0.0  # seconds that our clock is ahead

    def observe(self, message: WireMessage) -> None:
        """A message was sent or has come."""
        try:
            parsed = SIPMessage(message.data)
            if message.is_ours and parsed.is_request:
                self._sent[parsed.via.branch or ""] = parsed.via.sent_by
            elif not message.is_ours and not parsed.is_request:
                self._answered(parsed)
        except RemoteProtocolError:
            return  # the endpoint counts it

    def _answered(self, response: SIPMessage) -> None:
        via = response.via
        ours = self._sent.get(via.branch or "")
        if ours is None:
            return
        self._is_rewritten |= via.sent_by != ours
        seen_as = (via.received or ours[0], via.rport or ours[1])
        if seen_as != ours and not self._is_rewritten:
            self._ours, self._seen_as = ours, seen_as
        date = response.get("date")
        if date is not None:
            self._skew = self._clock() - _seconds(date, self._clock())

    def findings(self, subject: str) -> Iterator[Finding]:
        """What a person should know of it."""
        if self._is_rewritten:
            text = "something on the way rewrites SIP messages: a router's SIP ALG, most likely"
            yield hint(subject, text, "Turn it off in the router (SIP ALG, SIP helper), or use transport: tls.")
        if self._seen_as is not None and self._ours is not None:
            seen, ours = format_host_port(*self._seen_as), format_host_port(*self._ours)
            text = f"the server sees this computer as {seen}, which here is {ours}: a router translates addresses"
            yield hint(
                subject, text, "The bridge goes along with that; if callers aren't heard, set sip.advertised_host."
            )
        if abs(self._skew) > MAX_SKEW:
            way = "ahead of" if self._skew > 0 else "behind"
            text = f"this computer's clock is {abs(self._skew):.0f} s {way} the server's"
            yield hint("clock", text, "Set the one that is wrong (on Debian: sudo timedatectl set-ntp true).")


def _seconds(date: str, otherwise: float) -> float:
    """Unix time of a Date header (RFC 3261 §20.17); one that makes no sense tells nothing."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return otherwise
