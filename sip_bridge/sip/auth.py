"""Digest authentication of ours: which credentials answer which challenge (RFC 3261 §22, RFC 7616, RFC 8760)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sip_bridge.sip.digest import (
    Challenge,
    Credentials,
    DigestInput,
    authorization,
    challenges_of,
    next_nonces,
    strongest,
)
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.message import SIPMessage

ChallengeKey = tuple[str, bool]  # the realm, and whether a proxy asks


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

    def find_realm(self, realm: str | None) -> Credentials | None:
        """The entry of exactly this realm, for any server and user."""
        return self._entries.get((None, realm, None))

    def get(self, server: str, realm: str, user: str) -> dict[str, str]:
        """Like `find`, as a dict; anonymous without a password when nothing fits (RFC 3261 §22.1)."""
        found = self.find(server, realm, user) or Credentials(username="anonymous", password="")
        return {"username": found.username, "password": found.password}


def credentials_of(line: RegisteredLine) -> CredentialsManager:
    """What a line has been given."""
    manager = CredentialsManager()
    main = () if line.credentials is None else ((line.realm, line.credentials),)
    for realm, credentials in (*line.realms, *main):
        manager.add(credentials.username, credentials.password, realm=realm)
    return manager


@dataclass(slots=True, kw_only=True)
class _Use:
    """How often a nonce was answered; the cnonce stays, since "-sess" keys are made of the first one."""

    cnonce: str
    count: int = 0


class Authenticator:
    """One account's answers to challenges: remembers the last challenge of each realm and counts nonce uses.

    Credentials without a realm go to the first realm that the registrar names, and to the first one of a proxy; those
    with a realm to it alone. ``trusts`` says whether a host is that registrar or proxy: nobody else gets an answer.
    ``weakest`` is the least algorithm that is answered.
    """

    def __init__(
        self,
        manager: CredentialsManager,
        *,
        token: Callable[[int], str],
        trusts: Callable[[str], bool],
        weakest: str = "MD5",
    ) -> None:
        self._manager = manager
        self.trusts = trusts
        self._token = token
        self._weakest = weakest
        self._pinned: dict[bool, str] = {}  # realms by whether a proxy named them first
        self._known: dict[ChallengeKey, Challenge] = {}
        self._wanted: dict[bool, set[ChallengeKey]] = {True: set(), False: set()}  # by whether REGISTER was asked
        self._uses: dict[str, _Use] = {}

    def renew(self, manager: CredentialsManager, *, weakest: str) -> None:
        """Other credentials from now on; what was learned with the former ones is forgotten."""
        self._manager = manager
        self._weakest = weakest
        self._pinned.clear()
        self._known.clear()
        self._uses.clear()
        self._wanted = {True: set(), False: set()}

    def learn(self, response: SIPMessage, answered: set[ChallengeKey]) -> bool:
        """Take the challenges of a 401 or 407; True when a retry may succeed.

        It may not when nothing offered is usable or the realm is another account's. A second challenge to the same
        request (those in ``answered``) means a wrong password unless it is ``stale``.
        """
        fresh = False
        for challenge in strongest(challenges_of(response), self._weakest):
            if self._credentials_for(challenge) is None:
                continue
            key = (challenge.realm, challenge.from_proxy)
            if key not in answered or challenge.stale:
                self._known[key] = challenge
                self._wanted[_is_registration(response.cseq.method)].add(key)
                answered.add(key)
                fresh = True
        self._forget_unused()
        return fresh

    def proceed(self, response: SIPMessage) -> None:
        """Take the next nonce from a response that accepts our answer."""
        for from_proxy, nonce in next_nonces(response).items():
            for key, challenge in self._known.items():
                if challenge.from_proxy == from_proxy:
                    self._known[key] = replace(challenge, nonce=nonce)
        self._forget_unused()

    def _credentials_for(self, challenge: Challenge) -> Credentials | None:
        found = self._manager.find_realm(challenge.realm)
        if found is not None:
            return found
        is_ours = self._pinned.setdefault(challenge.from_proxy, challenge.realm) == challenge.realm
        return self._manager.find_realm(None) if is_ours else None

    def _forget_unused(self) -> None:
        nonces = {challenge.nonce for challenge in self._known.values()}
        self._uses = {nonce: self._uses.get(nonce) or _Use(cnonce=self._token(16)) for nonce in nonces}

    def headers(self, method: str, uri: str, content: bytes) -> list[tuple[str, str]]:
        """Authorization headers for a request: one for each challenge that requests of its kind were put to.

        A registrar often asks for Authorization and its proxy for Proxy-Authorization, both in one realm: answering
        both would make an INVITE too large for a datagram. Before the first challenge everything known is tried.
        """
        made = []
        wanted = self._wanted[_is_registration(method)] or self._known.keys()
        for challenge in [self._known[key] for key in self._known if key in wanted]:
            credentials = self._credentials_for(challenge)
            assert credentials is not None  # noqa: S101  # it was learned because there are some
            use = self._uses[challenge.nonce]
            use.count += 1
            made.append(
                authorization(
                    DigestInput(
                        challenge=challenge,
                        credentials=credentials,
                        method=method,
                        uri=uri,
                        content=content,
                        cnonce=use.cnonce,
                        count=use.count,
                    )
                )
            )
        return made


def _is_registration(method: str) -> bool:
    return method == "REGISTER"
