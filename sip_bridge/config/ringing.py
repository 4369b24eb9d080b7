"""`contacts:` and `ring:` of an account: who rings, alone or together with others."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.door import is_address
from sip_bridge.media.dtmf import KEYS
from sip_bridge.phone.contacts import numbers_of
from sip_bridge.phone.settings import Acceptance, Account, Contact, DirectAccount, RingSettings, Secret

MAX_NUMBERS: Final = 8  # that ring at once: so many calls may be placed at a time


def _prompt(value: Any) -> str:
    """A URL may hold a password or a token."""
    source: str = valid.text(value)
    return Secret(source) if "://" in source else source


_KEY: Final = valid.one_of(*KEYS)
_ACCEPTANCE: Final[Mapping[vol.Marker, valid.Validator]] = {
    vol.Optional("accept"): _KEY,
    vol.Optional("accept_prompt"): _prompt,
    vol.Optional("accept_timeout"): valid.seconds(1, 120),
}


def _numbers(value: Any) -> tuple[str, ...]:
    numbers: tuple[str, ...] = valid.list_of(valid.text, at_least=1)(value)
    if len(numbers) > MAX_NUMBERS:
        raise vol.Invalid(f"expected at most {MAX_NUMBERS}, got {len(numbers)}")
    return numbers


def _taken_acceptance(values: dict[str, Any]) -> Acceptance | None:
    """What ``accept*`` keys say, taken out of the others."""
    given = {name: values.pop(key) for name, key in _NAMES.items() if key in values}
    if given and "key" not in given:
        raise vol.Invalid("missing: the key to be pressed", path=["accept"])
    return Acceptance(**given) if given else None


_NAMES: Final = {"key": "accept", "prompt": "accept_prompt", "seconds": "accept_timeout"}


def _contact(**values: Any) -> Contact:
    acceptance = _taken_acceptance(values)
    if ("number" in values) is ("numbers" in values):
        raise vol.Invalid("expected what to dial: a number, or numbers that ring at once")
    first, *also = values.get("numbers") or (values["number"],)
    return Contact(name=values["name"], number=first, also=tuple(also), acceptance=acceptance)


_CONTACT: Final = valid.section(
    _contact,
    {
        valid.required("name", "who it is"): valid.text,
        vol.Optional("number"): valid.text,
        vol.Optional("numbers"): _numbers,
        **_ACCEPTANCE,
    },
)


def contacts(value: Any) -> tuple[Contact, ...]:
    """A phone book in which each name, in whatever case, stands once."""
    found: tuple[Contact, ...] = valid.list_of(_CONTACT)(value)
    first: dict[str, int] = {}
    for index, contact in enumerate(found):
        name = contact.name.strip().casefold()
        if name in first:
            raise valid.Unexpected(f"expected another name than contacts[{first[name]}] has", path=[index, "name"])
        first[name] = index
    return found


def _ring(**values: Any) -> RingSettings:
    acceptance = _taken_acceptance(values)
    return RingSettings(acceptance=acceptance, **values)


RING: Final = valid.section(
    _ring,
    {
        valid.required("numbers", "whom to ring"): _numbers,
        vol.Optional("account"): valid.text,
        vol.Optional("timeout"): valid.integer(1, 600),
        vol.Optional("door_key"): _KEY,
        **_ACCEPTANCE,
    },
)


def ring_mistakes(accounts: Sequence[Account]) -> list[vol.Invalid]:
    """What of each `ring:` can't be done with the accounts that there are."""
    known = {account.id: account for account in accounts}
    mistakes: list[vol.Invalid] = []
    for index, account in enumerate(accounts):
        ring = account.ring
        if ring is None:
            continue
        inside = known.get(ring.account or account.id)
        if inside is None:
            text = f"expected the id of an account: {', '.join(known)}"
            mistakes.append(valid.Unexpected(text, path=[index, "ring", "account"]))
        elif (mistake := _mistake(account, inside, ring)) is not None:
            mistakes.append(vol.Invalid(mistake[1], path=[index, "ring", mistake[0]]))
    return mistakes


def _mistake(account: Account, inside: Account, ring: RingSettings) -> tuple[str, str] | None:
    """A key, and what is wrong with it."""
    numbers, _ = numbers_of(inside.contacts, ring.numbers)
    if len(numbers) > MAX_NUMBERS:
        return "numbers", f"expected at most {MAX_NUMBERS} with those of groups, got {len(numbers)}"
    strange = next((number for number in numbers if not is_address(number)), None)
    if isinstance(inside, DirectAccount) and strange is not None:
        return "numbers", f"expected addresses like sip:101@192.168.1.20: {inside.id!r} is at no telephone system"
    if ring.door_key is not None and account.door is None:
        return "door_key", "expected a door: with a code beside ring:"
    return None
