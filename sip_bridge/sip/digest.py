"""Digest (RFC 7616 and 8760 over RFC 3261 §22): challenges and answers as headers have them, and their computation."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import find_outside_quotes, is_token, quoted, unquoted
from sip_bridge.sip.message import SIPMessage

# Strongest first; the "-sess" variants hash the nonces into HA1 (RFC 7616 §3.4.2).
_HASHES: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_STRENGTH: Final = tuple(_HASHES)


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


def strongest(challenges: tuple[Challenge, ...], weakest: str = "MD5") -> tuple[Challenge, ...]:
    """For each realm and header the strongest challenge that we can answer, with ``weakest`` or better."""
    best: dict[tuple[str, bool], Challenge] = {}
    for challenge in challenges:
        if not challenge.is_usable or _rank(challenge) > _STRENGTH.index(weakest):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A peer's answer to a challenge of ours; ``qop`` and ``count`` (nc) are None without protection (RFC 2069)."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    qop: str | None = None
    cnonce: str = ""
    count: int | None = None

    def expected_response(self, credentials: Credentials, method: str, content: bytes) -> str:
        """What ``response`` has to be, made with these credentials."""
        challenge = Challenge(
            realm=self.realm, nonce=self.nonce, algorithm=self.algorithm, qop=() if self.qop is None else (self.qop,)
        )
        return digest_response(
            DigestInput(
                challenge=challenge,
                credentials=credentials,
                method=method,
                uri=self.uri,
                content=content,
                cnonce=self.cnonce,
                count=self.count or 0,
            )
        )


def authorizations_of(request: SIPMessage) -> tuple[Authorization, ...]:
    """Every Digest answer in Authorization; RemoteProtocolError for one that is malformed."""
    return tuple(_authorization(params) for line in request.get_all("authorization") for params in _digests(line))


def _authorization(params: dict[str, str]) -> Authorization:
    missing = {"username", "realm", "nonce", "uri", "response"} - params.keys()
    qop = params.get("qop", "").lower() or None
    if missing or (qop is not None and not {"nc", "cnonce"} <= params.keys()):
        raise RemoteProtocolError("credentials with something missing")
    if qop not in (None, "auth", "auth-int"):
        raise RemoteProtocolError("credentials with an unknown qop")
    return Authorization(
        username=params["username"],
        realm=params["realm"],
        nonce=params["nonce"],
        uri=params["uri"],
        response=params["response"],
        algorithm=params.get("algorithm", "MD5").upper(),
        qop=qop,
        cnonce=params.get("cnonce", ""),
        count=None if qop is None else _count(params["nc"]),
    )


def _count(text: str) -> int:
    if len(text) != 8 or not all(digit in "0123456789abcdefABCDEF" for digit in text):
        raise RemoteProtocolError("nc is no count")
    return int(text, 16)


def next_nonces(response: SIPMessage) -> dict[bool, str]:
    """The nonces to go on with (RFC 7616 §3.5), by whether a proxy gave them."""
    found = {}
    for name, from_proxy in (("authentication-info", False), ("proxy-authentication-info", True)):
        for line in response.get_all(name):
            for item in _comma_items(line):
                key, _, value = item.partition("=")
                nonce = unquoted(value.strip())
                if key.strip().lower() == "nextnonce" and nonce and "\0" not in nonce:
                    found[from_proxy] = nonce
    return found
