"""Names in an account's phone book, where a number may stand."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from sip_bridge.phone.settings import Acceptance, Contact

_NUMBER: Final = re.compile(r"[0-9*#+()./ -]+|(?i:sips?|tel):.*|.*@.*", re.ASCII | re.DOTALL)


def contact_named(contacts: Iterable[Contact], text: str) -> Contact | None:
    """Who has this name, in whatever case; nobody for what is, or could be, a number or an address itself."""
    contacts = tuple(contacts)
    if _NUMBER.fullmatch(text) or any(text in each.numbers for each in contacts):
        return None
    name = text.strip().casefold()
    return next((each for each in contacts if each.name.strip().casefold() == name), None)


def numbers_of(contacts: Sequence[Contact], targets: Iterable[str]) -> tuple[tuple[str, ...], Acceptance | None]:
    """The numbers behind names and numbers, each once, and how they accept: as the first contact says that says so."""
    numbers: dict[str, None] = {}
    acceptance = None
    for target in targets:
        contact = contact_named(contacts, target)
        numbers |= dict.fromkeys((target,) if contact is None else contact.numbers)
        acceptance = acceptance or (contact.acceptance if contact is not None else None)
    return tuple(numbers), acceptance
