"""CredentialsManager: which user name and password go to which server, realm and user."""

from sip_bridge.pyvoip.types import CREDENTIALS_DICT
from sip_bridge.sip.auth import CredentialsManager as Entries
from sip_bridge.sip.digest import Credentials


class CredentialsManager(Entries):
    """All user names and passwords that a phone may need. None matches any server, realm or user."""

    @property
    def credentials(self) -> CREDENTIALS_DICT:
        """What was added: server, realm and user to ``{"username": ..., "password": ...}``."""
        found: CREDENTIALS_DICT = {}
        for (server, realm, user), each in self._entries.items():
            users = found.setdefault(server, {}).setdefault(realm, {})
            users[user] = {"username": each.username, "password": each.password}
        return found

    def realms(self, server: str, user: str) -> dict[str, Credentials]:
        """For each realm that was named what goes to it."""
        fitting = [realm for s, realm, u in self._entries if s in (server, None) and u in (user, None)]
        return {
            realm: found
            for realm in fitting
            if realm is not None and (found := self.find(server, realm, user)) is not None
        }

    def for_any_realm(self, server: str, user: str) -> Credentials:
        """What goes to a realm that was not named: anonymous without a password when nothing fits (RFC 3261 §22.1)."""
        for key in ((server, None, user), (server, None, None), (None, None, user), (None, None, None)):
            if key in self._entries:
                return self._entries[key]
        return Credentials(username="anonymous", password="")
