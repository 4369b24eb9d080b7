"""Who may ring, who is answered without a person, and what may be dialled: the one place that decides. Pure.

A pattern names callers or callees by

- a network or an address like ``192.168.1.0/24``: where a call comes from;
- a SIP address, which has an ``@`` or begins with ``sip:``: ``*@example.com``, ``sip:door@192.168.1.50``;
- ``anonymous``: callers that don't show who they are;
- anything else: a number or user name like ``+49900*`` or ``1??``.

``*``, ``?`` and ``[0-9]`` are wild, case does not count. Numbers are compared without what only helps to read them, and
``00`` at the beginning is the same as ``+``.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import unquote

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.phone.events import Refusal
from sip_bridge.phone.settings import PRIVATE_NETWORKS, Account, DirectAccount, LineSettings, Network
from sip_bridge.sip.caller import Caller
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI

ANONYMOUS: Final = "anonymous"
MAX_ESCAPES: Final = 3  # that are undone: an escape may be escaped
_SCHEMES: Final = ("sips:", "sip:")
_NUMBER_SIGNS: Final = frozenset("+*#")
_WILD: Final = frozenset("*?[]!-")


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingCall:
    """Who calls: as far as that may be known, as From claims, and from which address.

    ``is_replacing``: it takes the place of a call that is up, and so nobody is disturbed.
    """

    caller: Caller
    claimed: NameAddr
    host: str
    is_replacing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Let it ring, and answer it after so many seconds; None: a person does that."""

    answer_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Refuse it, and ring for nobody."""

    status: SIPStatus
    reason: Refusal


def screen(account: Account, settings: LineSettings, call: IncomingCall) -> Ring | Refuse:
    """What becomes of a call."""
    if not _may_ring(account, call):
        return Refuse(status=SIPStatus(account.reject_with.blocked), reason="blocked")
    if settings.do_not_disturb and not call.is_replacing:
        return Refuse(status=SIPStatus(account.reject_with.do_not_disturb), reason="do_not_disturb")
    return Ring(answer_after=_answer_after(account, settings, call))


def may_dial(account: Account, target: str) -> bool:
    """Whether a number or SIP URI may be called, written to or named in a transfer: ``block_dial`` wins."""
    if not any(fnmatchcase(target, pattern) for pattern in account.allow_dial):
        return False
    server = None if isinstance(account, DirectAccount) else account.server
    party = _Party.of(target, server=server)
    return not any(party.fits(pattern) for pattern in account.block_dial)


def _may_ring(account: Account, call: IncomingCall) -> bool:
    """To be let in one has to be named; to be kept out, it is enough to claim to be who is."""
    names = account.call_from
    claims = (call.caller.address.uri, call.claimed.uri)
    if any(_is_caller(names.block, call, uri) for uri in claims):
        return False
    return _is_caller(names.allow, call, call.caller.address.uri)


def _answer_after(account: Account, settings: LineSettings, call: IncomingCall) -> float | None:
    answering = account.auto_answer
    if not settings.auto_answer or not _is_trusted(account, call):
        return None
    return call.caller.answer_after if answering.on_request else answering.after


def _is_trusted(account: Account, call: IncomingCall) -> bool:
    """Whether a caller is answered without a person, who could look who it is."""
    uri, names = call.caller.address.uri, account.auto_answer.callers
    if names is not None:
        return _is_caller(names, call, uri)
    if isinstance(account, DirectAccount):
        return account.password is not None or _is_within(call.host, PRIVATE_NETWORKS)
    numbers = _Party.of(uri).numbers
    known = (number for contact in account.contacts for number in contact.numbers)
    return any(not numbers.isdisjoint(_Party.of(number).numbers) for number in known)


# --- patterns ------------------------------------------------------------------------------------------------------


def _is_caller(patterns: Iterable[str], call: IncomingCall, uri: str) -> bool:
    for pattern in patterns:
        network = network_of(pattern)
        if network is not None:
            if _is_within(call.host, (network,)):
                return True
        elif (pattern.lower() == ANONYMOUS and call.caller.anonymous) or _Party.of(uri).fits(pattern):
            return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Party:
    """All that a number or URI may be called: its user part, that as a number, and its SIP address."""

    users: frozenset[str]
    numbers: frozenset[str]
    addresses: frozenset[str]

    @classmethod
    def of(cls, target: str, *, server: str | None = None) -> "_Party":
        """``server`` is where a number without an address is called."""
        user, hosts = _split(target.strip())
        hosts = hosts or (() if server is None else (server.lower(),))
        users = {user.lower(), user.partition(";")[0].lower()}
        numbers = frozenset(spelled for each in users for spelled in _numbers(each))
        users |= numbers
        before_at = {f"{each}@" for each in users} if user else {""}
        addresses = frozenset(f"{each}{host}" for each in before_at for host in hosts)
        return cls(users=frozenset(users), numbers=numbers, addresses=addresses)

    def fits(self, pattern: str) -> bool:
        """Whether a pattern names it."""
        wanted = pattern.strip().lower()
        scheme = next((each for each in _SCHEMES if wanted.startswith(each)), "")
        wanted = wanted.removeprefix(scheme)
        if scheme or "@" in wanted:
            return any(fnmatchcase(address, wanted) for address in self.addresses)
        wanted = wanted.removeprefix("tel:")
        if any(fnmatchcase(user, wanted) for user in self.users):
            return True
        number = _without_separators(wanted)
        return any(fnmatchcase(each, number) for each in self.numbers)


def _split(target: str) -> tuple[str, tuple[str, ...]]:
    """The user part, unescaped, and the host without and with its port."""
    if target[:5].lower().startswith(_SCHEMES):
        try:
            uri = SIPURI.parse(target)
        except RemoteProtocolError:
            return _unescaped(target.partition(":")[2].rpartition("@")[0]), ()
        host = f"[{uri.host}]" if ":" in uri.host else uri.host
        return _unescaped(uri.user or ""), (host,) if uri.port is None else (host, f"{host}:{uri.port}")
    return _unescaped(target[4:] if target[:4].lower() == "tel:" else target), ()


def _unescaped(text: str) -> str:
    for _ in range(MAX_ESCAPES):
        text = unquote(text, errors="replace")
    return text


def _numbers(user: str) -> frozenset[str]:
    """A user part as a number, with ``00`` and with ``+``; none when there is no digit in it."""
    plain = unicodedata.normalize("NFKC", user)
    number = "".join(_digit(sign) for sign in plain if sign.isalnum() or sign in _NUMBER_SIGNS)
    if not any(sign.isdecimal() for sign in number):
        return frozenset()
    if number.startswith("+"):
        return frozenset({number, f"00{number[1:]}"})
    return frozenset({number, f"+{number[2:]}"} if number.startswith("00") else {number})


def _digit(sign: str) -> str:
    return str(unicodedata.decimal(sign)) if sign.isdecimal() else sign


def _without_separators(pattern: str) -> str:
    """A pattern of a number; what is wild stays, a ``-`` only between brackets, where it is a range."""
    kept = []
    depth = 0
    for sign in pattern:
        depth += (sign == "[") - (sign == "]")
        is_wild = sign in _WILD and (sign not in "-!" or depth > 0)
        if sign.isalnum() or sign in _NUMBER_SIGNS or is_wild:
            kept.append(sign)
    return "".join(kept)


@lru_cache(maxsize=1024)
def network_of(pattern: str) -> Network | None:
    """The network that a pattern is, None when it is of another kind."""
    if not ("." in pattern or ":" in pattern):
        return None
    try:
        return ip_network(pattern.strip(), strict=False)
    except ValueError:
        return None


def _is_within(host: str, networks: Iterable[Network]) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
