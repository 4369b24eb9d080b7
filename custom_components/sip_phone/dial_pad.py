"""Whom a line is going to call: what a person typed, or whom they chose."""

from __future__ import annotations

from dataclasses import dataclass

from .contract import AccountInfo
from .state import contacts_of


@dataclass(slots=True)
class DialPad:
    """A number as it was typed, and a contact by name. What was entered last is what is dialled."""

    number: str = ""
    contact: str | None = None

    def choose(self, contact: str) -> None:
        """Take a contact, and forget what was typed."""
        self.contact = contact
        self.number = ""

    def contact_in(self, account: AccountInfo | None) -> str | None:
        """The chosen contact, if the line still has it; else the line's first."""
        contacts = contacts_of(account)
        return self.contact if self.contact in contacts else next(iter(contacts), None)

    def contact_number(self, account: AccountInfo | None) -> str | None:
        """The number of `contact_in`."""
        contact = self.contact_in(account)
        return None if contact is None else contacts_of(account)[contact]

    def target(self, account: AccountInfo | None) -> str | None:
        """What the dial button calls."""
        return self.number or self.contact_number(account)
