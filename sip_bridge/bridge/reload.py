"""A configuration that is read again: what is new in it, and what of that can be had without a restart."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sip_bridge.config import Config, EmbeddedMQTT, ExternalMQTT
from sip_bridge.phone.settings import Account, DirectAccount

AT_ONCE: Final = (
    "bridge.name",
    "log_format",
    "log_level",
    "media",
    "mqtt.discovery",
    "mqtt.discovery_prefix",
    "recording",
)  # keys, or sections with all their keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a reload does, by the names of accounts and keys; no value is told."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    applied: tuple[str, ...] = ()  # keys that belong to no account
    restart_needed: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As the answer to a request has it."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "changed": {account: list(keys) for account, keys in self.changed.items()},
            "applied": list(self.applied),
            "restart_needed": list(self.restart_needed),
        }

    def __str__(self) -> str:
        """For the log."""
        changed = [f"{account} ({', '.join(keys)})" for account, keys in self.changed.items()]
        named = (
            ("added", self.added),
            ("removed", self.removed),
            ("changed", changed),
            ("applied", self.applied),
            ("a restart is needed for", self.restart_needed),
        )
        return "; ".join(f"{what} {', '.join(names)}" for what, names in named if names) or "nothing is new"


def changes(before: Config, after: Config) -> Changes:
    """What the configuration ``after`` has that the one that runs has not."""
    known = {account.id: account for account in before.accounts}
    wanted = {account.id: account for account in after.accounts}
    differing = {each: _differing_keys(known[each], wanted[each]) for each in wanted if each in known}
    keys = [key for section in _sections(after) for key in _keys(section, before, after)]
    return Changes(
        added=tuple(each for each in wanted if each not in known),
        removed=tuple(each for each in known if each not in wanted),
        changed={each: names for each, names in differing.items() if names},
        applied=tuple(key for key in keys if _is_at_once(key)),
        restart_needed=tuple(key for key in keys if not _is_at_once(key)),
    )


def in_effect(before: Config, after: Config) -> Config:
    """The configuration that runs after a reload: what needs a restart is as it was."""
    return dataclasses.replace(
        before,
        bridge=dataclasses.replace(before.bridge, name=after.bridge.name),
        mqtt=_with_discovery_of(before.mqtt, after.mqtt),
        accounts=after.accounts,
        log_format=after.log_format,
        log_level=after.log_level,
        media=after.media,
        recording=after.recording,
    )


def _with_discovery_of(
    before: EmbeddedMQTT | ExternalMQTT, after: EmbeddedMQTT | ExternalMQTT
) -> EmbeddedMQTT | ExternalMQTT:
    return dataclasses.replace(before, discovery=after.discovery, discovery_prefix=after.discovery_prefix)


def _is_at_once(key: str) -> bool:
    return key in AT_ONCE or key.partition(".")[0] in AT_ONCE


def _sections(config: Config) -> list[str]:
    return [field.name for field in dataclasses.fields(config) if field.name != "accounts"]


def _keys(section: str, before: Config, after: Config) -> list[str]:
    """``sip.port``; or the section alone where it is of another kind."""
    former, new = getattr(before, section), getattr(after, section)
    if former == new:
        return []
    if type(former) is not type(new) or not dataclasses.is_dataclass(new):
        return [section]
    return [f"{section}.{name}" for name in _differing_fields(former, new)]


def _differing_keys(former: Account, new: Account) -> tuple[str, ...]:
    if isinstance(former, DirectAccount) is not isinstance(new, DirectAccount):
        return ("kind",)
    return _differing_fields(former, new)


def _differing_fields(former: Any, new: Any) -> tuple[str, ...]:
    names = (field.name for field in dataclasses.fields(new))
    return tuple(name for name in names if getattr(former, name) != getattr(new, name))
