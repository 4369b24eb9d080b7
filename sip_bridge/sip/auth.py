"""Digest authentication (RFC 7616 and 8760 over RFC 3261 §22): answering challenges."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import find_outside_quotes, is_token, quoted, unquoted
from sip_bridge.sip.message import SIPMessage

# Strongest first; the "-sess" variants hash the nonces into HA1 (RFC 7616 §3.4.2).
_HASHES: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_STRENGTH: Final = tuple(_HASHES)

ChallengeKey = tuple[str, bool]  # the realm, and whether a proxy asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A digest user and its password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One ``Digest`` challenge of a WWW-Authenticate or Proxy-Authenticate header."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False
    from_proxy: bool = False

    @property
    def base_algorithm(self) -> str:
        """The algorithm without ``-sess``."""
        return self.algorithm.removesuffix("-SESS")

    @property
    def is_usable(self) -> bool:
        """Whether we know the algorithm and the quality of protection."""
        return self.base_algorithm in _HASHES and (not self.qop or bool({"auth", "auth-int"} & set(self.qop)))


def challenges_of(response: SIPMessage) -> tuple[Challenge, ...]:
    """Every Digest challenge of a 401 or 407."""
    found = []
    for name, from_proxy in (("www-authenticate", False), ("proxy-authenticate", True)):
        for line in response.get_all(name):
            found += [_challenge(params, from_proxy=from_proxy) for params in _digests(line)]
    return tuple(found)


def strongest(challenges: tuple[Challenge, ...]) -> tuple[Challenge, ...]:
    """For each realm and header the strongest challenge that we can answer."""
    best: dict[tuple[str, bool], Challenge] = {}
    for challenge in challenges:
        if not challenge.is_usable:
            continue
        key = (challenge.realm, challenge.from_proxy)
        if key not in best or _rank(challenge) < _rank(best[key]):
            best[key] = challenge
    return tuple(best.values())


def _rank(challenge: Challenge) -> int:
    return _STRENGTH.index(challenge.base_algorithm)


def _digests(line: str) -> list[dict[str, str]]:
    """The parameters of each Digest challenge in one header line, which may hold several of any scheme."""
    found: list[dict[str, str]] = []
    current: dict[str, str] | None = None
    for item in _comma_items(line):
        name, equals, value = item.partition("=")
        words = name.split()
        if len(words) == 2 or (words and not equals):  # "Digest realm", or a bare scheme: a new challenge begins
            current = {} if words[0].lower() == "digest" else None
            if current is not None:
                found.append(current)
        if current is None:
            continue  # a scheme that is not ours, in whatever form
        if not words or not equals or not is_token(words[-1]):
            raise RemoteProtocolError(f"malformed challenge: {item[:60]!r}")
        current[words[-1].lower()] = unquoted(value.strip())
    return found


def _comma_items(line: str) -> list[str]:
    items, start = [], 0
    while (comma := find_outside_quotes(line, ",", start)) >= 0:
        items.append(line[start:comma].strip())
        start = comma + 1
    return [item for item in [*items, line[start:].strip()] if item]


def _challenge(params: dict[str, str], *, from_proxy: bool) -> Challenge:
    if "realm" not in params or "nonce" not in params:
        raise RemoteProtocolError("a challenge without realm or nonce")
    if any("\0" in value for value in params.values()):
        raise RemoteProtocolError("NUL in a challenge")
    return Challenge(
        realm=params["realm"],
        nonce=params["nonce"],
        algorithm=params.get("algorithm", "MD5").upper(),
        qop=tuple(item.strip().lower() for item in params.get("qop", "").split(",") if item.strip()),
        opaque=params.get("opaque"),
        stale=params.get("stale", "").lower() == "true",
        from_proxy=from_proxy,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestInput:
    """What the response to one challenge is computed from; ``count`` is nc."""

    challenge: Challenge
    credentials: Credentials
    method: str
    uri: str
    content: bytes
    cnonce: str
    count: int


def digest_response(given: DigestInput) -> str:
    """The ``response`` value (RFC 7616 §3.4.1), without quotes."""
    challenge = given.challenge

    def h(text: str) -> str:
        data = text.encode("utf-8", "surrogateescape")
        return hashlib.new(_HASHES[challenge.base_algorithm], data, usedforsecurity=False).hexdigest()

    ha1 = h(f"{given.credentials.username}:{challenge.realm}:{given.credentials.password}")
    if challenge.algorithm.endswith("-SESS"):
        ha1 = h(f"{ha1}:{challenge.nonce}:{given.cnonce}")
    qop = _qop(challenge)
    a2 = f"{given.method}:{given.uri}"
    if qop == "auth-int":
        a2 += ":" + h(given.content.decode("utf-8", "surrogateescape"))
    if qop is None:
        return h(f"{ha1}:{challenge.nonce}:{h(a2)}")
    return h(f"{ha1}:{challenge.nonce}:{given.count:08x}:{given.cnonce}:{qop}:{h(a2)}")


def _qop(challenge: Challenge) -> str | None:
    if not challenge.qop:
        return None
    return "auth" if "auth" in challenge.qop else "auth-int"


def authorization(given: DigestInput) -> tuple[str, str]:
    """The header (name, value) that answers one challenge."""
    challenge = given.challenge
    parts = [
        f"username={quoted(given.credentials.username)}",
        f"realm={quoted(challenge.realm)}",
        f"nonce={quoted(challenge.nonce)}",
        f"uri={quoted(given.uri)}",
        f'response="{digest_response(given)}"',
        f"algorithm={'-sess'.join(challenge.algorithm.split('-SESS'))}",
    ]
    if challenge.opaque is not None:
        parts.append(f"opaque={quoted(challenge.opaque)}")
    qop = _qop(challenge)
    if qop is not None:
        parts += [f"qop={qop}", f"nc={given.count:08x}"]
    if qop is not None or challenge.algorithm.endswith("-SESS"):
        parts.append(f'cnonce="{given.cnonce}"')
    name = "Proxy-Authorization" if challenge.from_proxy else "Authorization"
    return name, "Digest " + ", ".join(parts)


class CredentialsManager:
    """Which user name and password go to which server, realm and user; None matches any."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str | None, str | None, str | None], Credentials] = {}

    def add(
        self, username: str, password: str, server: str | None = None, realm: str | None = None, user: str | None = None
    ) -> None:
        """Remember credentials; a later entry for the same server, realm and user replaces the former."""
        self._entries[server, realm, user] = Credentials(username=username, password=password)

    def find(self, server: str, realm: str, user: str) -> Credentials | None:
        """The most exact entry: server before realm before user."""
        for s in (server, None):
            for r in (realm, None):
                for u in (user, None):
                    if (s, r, u) in self._entries:
                        return self._entries[s, r, u]
        return None

    def get(self, server: str, realm: str, user: str) -> dict[str, str]:
        """Like `find`, as a dict; anonymous without a password when nothing fits (RFC 3261 §22.1)."""
        found = self.find(server, realm, user) or Credentials(username="anonymous", password="")
        return {"username": found.username, "password": found.password}


@dataclass(slots=True, kw_only=True)
class _Use:
    """How often a nonce was answered; the cnonce stays, since "-sess" keys are made of the first one."""

    cnonce: str
    count: int = 0


class Authenticator:
    """One account's answers to challenges: remembers the last challenge of each realm and counts nonce uses.

    ``realm`` pins the realm; without it the first realm that the registrar or proxy names is pinned. ``trusts`` says
    whether a host is that registrar or proxy: nobody else gets an answer.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        realm: str | None,
        token: Callable[[int], str],
        trusts: Callable[[str], bool],
    ) -> None:
        self._credentials = credentials
        self.trusts = trusts
        self._realm = realm
        self._token = token
        self._known: dict[ChallengeKey, Challenge] = {}
        self._uses: dict[str, _Use] = {}

    def learn(self, response: SIPMessage, answered: set[ChallengeKey]) -> bool:
        """Take the challenges of a 401 or 407; True when a retry may succeed.

        It may not when nothing offered is usable or the realm is another account's. A nonce that comes back, or a
        second challenge to the same request (those in ``answered``), means a wrong password unless it is ``stale``.
        """
        fresh = False
        for challenge in strongest(challenges_of(response)):
            if self._realm is None:
                self._realm = challenge.realm
            if challenge.realm != self._realm:
                continue
            key = (challenge.realm, challenge.from_proxy)
            known = self._known.get(key)
            is_new = key not in answered and (known is None or known.nonce != challenge.nonce)
            if is_new or challenge.stale:
                self._known[key] = challenge
                answered.add(key)
                fresh = True
        nonces = {challenge.nonce for challenge in self._known.values()}
        self._uses = {nonce: self._uses.get(nonce) or _Use(cnonce=self._token(16)) for nonce in nonces}
        return fresh

    def headers(self, method: str, uri: str, content: bytes) -> list[tuple[str, str]]:
        """Authorization headers for a request: one for each challenge known."""
        made = []
        for challenge in self._known.values():
            use = self._uses[challenge.nonce]
            use.count += 1
            made.append(
                authorization(
                    DigestInput(
                        challenge=challenge,
                        credentials=self._credentials,
                        method=method,
                        uri=uri,
                        content=content,
                        cnonce=use.cnonce,
                        count=use.count,
                    )
                )
            )
        return made
