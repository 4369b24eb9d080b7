"""Challenges of ours (RFC 3261 §22.2, RFC 7616, RFC 8760): who calls a direct line that has a password must know it."""

import hmac
from collections import OrderedDict
from functools import cached_property
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.core import Core
from sip_bridge.sip.digest import Authorization, Credentials, authorizations_of
from sip_bridge.sip.fields import quoted
from sip_bridge.sip.line import DirectLine, Line
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.nonces import Nonces
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI, scheme_of

MAX_FAILURES: Final = 3  # wrong answers of a host until it is refused, ...
FAILURE_INTERVAL: Final = 30.0  # ... and seconds between two further tries of it
MAX_FAILING: Final = 1024  # hosts that are remembered; whoever failed longest ago is forgotten first
MAX_DIALOGS: Final = 1024  # of which it is remembered who opened them

_DialogOpener = tuple[str, str]  # Call-ID and From tag


class Challenger:
    """Lets a request in, or answers it with 401; 403 for who guesses."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many, and when the last one was
        self._dialogs: OrderedDict[_DialogOpener, tuple[DirectLine, str]] = OrderedDict()

    @cached_property
    def _opaque(self) -> str:
        return self._core.chance.token()

    @cached_property
    def _nonces(self) -> Nonces:
        return Nonces(self._core.chance.entropy(32))

    def admits(self, line: Line | None, transaction: ServerTransaction, now: float) -> bool:
        """Whether a request outside any dialog may go on; otherwise it is answered. RemoteProtocolError: malformed."""
        if not isinstance(line, DirectLine) or line.credentials is None:
            return True
        if not self._is_answered(line, line.credentials, transaction, now):
            return False
        keys = transaction.request.keys
        self._dialogs[keys.call_id, keys.from_tag or ""] = line, transaction.flow.remote[0]
        if len(self._dialogs) > MAX_DIALOGS:
            self._dialogs.popitem(last=False)
        return True

    def admits_within(self, transaction: ServerTransaction, now: float) -> bool:
        """As `admits`, for a request in a dialog: who opened it needs no password again, anybody else does."""
        keys = transaction.request.keys
        line, host = self._dialogs.get((keys.call_id, keys.from_tag or ""), (None, ""))
        return host == transaction.flow.remote[0] or self.admits(line, transaction, now)

    def _is_answered(
        self, line: DirectLine, credentials: Credentials, transaction: ServerTransaction, now: float
    ) -> bool:
        request, host = transaction.request, transaction.flow.remote[0]
        given = next((each for each in authorizations_of(request) if each.realm == line.realm), None)
        if given is None:
            self._challenge(line, transaction, now)
        elif not self._nonces.is_fresh(given.nonce, host, now):
            self._challenge(line, transaction, now, stale=True)
        elif self._is_blocked(host, now):
            self._refuse(transaction, now)
        elif not _is_right(given, credentials, request, line.algorithms):
            self._failed(line, transaction, now)
        elif not self._nonces.use(given.nonce, given.count):
            self._core.counters["replayed_credentials"] += 1
            self._challenge(line, transaction, now, stale=True)
        else:
            self._failures.pop(host, None)
            return True
        return False

    def _challenge(self, line: DirectLine, transaction: ServerTransaction, now: float, *, stale: bool = False) -> None:
        """One header for each algorithm, the preferred one first (RFC 8760 §2.4)."""
        nonce = self._nonces.issue(transaction.flow.remote[0], now)
        common = f'Digest realm={quoted(line.realm)}, nonce="{nonce}", opaque="{self._opaque}", qop="auth,auth-int"'
        end = ", stale=true" if stale else ""
        headers = [("WWW-Authenticate", f"{common}, algorithm={algorithm}{end}") for algorithm in line.algorithms]
        transaction.respond(SIPStatus.UNAUTHORIZED, now, headers=headers)

    # --- wrong answers: they count only with a nonce that reached the host, so nobody can shut out another ---

    def _failed(self, line: DirectLine, transaction: ServerTransaction, now: float) -> None:
        host = transaction.flow.remote[0]
        count = self._failures.pop(host, (0, now))[0] + 1
        self._failures[host] = count, now
        if len(self._failures) > MAX_FAILING:
            self._failures.popitem(last=False)
        if count < MAX_FAILURES:
            self._core.counters["wrong_credentials"] += 1
            self._challenge(line, transaction, now)
        else:
            self._refuse(transaction, now)

    def _refuse(self, transaction: ServerTransaction, now: float) -> None:
        self._core.counters["wrong_credentials"] += 1
        transaction.respond(SIPStatus.FORBIDDEN, now)

    def _is_blocked(self, host: str, now: float) -> bool:
        count, at = self._failures.get(host, (0, now))
        return count >= MAX_FAILURES and now - at < FAILURE_INTERVAL


def _is_right(given: Authorization, credentials: Credentials, request: SIPMessage, offered: tuple[str, ...]) -> bool:
    """Whether the answer is made with the password, for this request (RFC 7616 §3.4.6)."""
    if not _is_about(given.uri, request.uri):
        raise RemoteProtocolError("credentials for another URI")
    if given.algorithm not in offered:
        return False
    expected = given.expected_response(credentials, request.method or "", request.content)
    is_user = hmac.compare_digest(_bytes(given.username), _bytes(credentials.username))
    return hmac.compare_digest(_bytes(given.response), expected.encode()) and is_user


def _is_about(digest_uri: str, request_uri: str) -> bool:
    """The same URI, or at least the same host: proxies rewrite, and some callers leave the user part out."""
    if digest_uri == request_uri:
        return True
    if scheme_of(digest_uri) not in ("sip", "sips") or scheme_of(request_uri) not in ("sip", "sips"):
        return False
    return SIPURI.parse(digest_uri).host == SIPURI.parse(request_uri).host


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
