"""`accounts:`: the lines, each with its keys."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.codecs import codecs, srtp
from sip_bridge.config.door import DOOR, check_direct
from sip_bridge.config.dtmf import DTMF
from sip_bridge.config.ringing import RING, contacts, ring_mistakes
from sip_bridge.config.screening import (
    CALL_FROM,
    MAX_RING_TIMEOUT,
    auto_answer,
    check_auto_answer,
    number,
    patterns,
    reject_with,
)
from sip_bridge.config.yaml_file import Value
from sip_bridge.phone.settings import RING_TIMEOUT, Account, DirectAccount, RealmCredentials, RegisteredAccount

_USER_PART: Final = valid.matching(valid.is_user, "what stands before the @ of a SIP address")
_CREDENTIALS: Final = valid.list_of(
    valid.section(
        RealmCredentials,
        {
            valid.required("realm", "which proxy it is, as its challenge says"): valid.text,
            valid.required("username", "the user name there"): valid.text,
            valid.required("password", "the password there"): valid.secret,
        },
    )
)


def _algorithm(value: Value) -> str:
    name: str = valid.one_of("md5", "sha-256", "sha-512-256")(value)
    return name.upper()


def _message_waiting(value: Value) -> bool | None:
    known: dict[str, bool | None] = {"auto": None, "true": True, "false": False}
    return known[valid.one_of(*known)(value)]


def _keep_alive(value: Value) -> int | None:
    if value == "auto":
        return None
    return 0 if value == "0" else valid.integer(5, 3600)(value)


_ANY_ACCOUNT: Final[valid.Keys] = {
    valid.required("id", "what topics call this account"): valid.identifier,
    valid.required("kind", "direct or registered"): valid.one_of("direct", "registered"),
    vol.Optional("name"): valid.text,
    vol.Optional("allow_dial"): valid.list_of(valid.text),
    vol.Optional("block_dial"): patterns,
    vol.Optional("call_from"): CALL_FROM,
    vol.Optional("do_not_disturb"): valid.boolean,
    vol.Optional("auto_answer"): auto_answer,
    vol.Optional("ring_timeout"): valid.seconds(1, MAX_RING_TIMEOUT),
    vol.Optional("reject_with"): reject_with,
    vol.Optional("output_volume"): number(0, 2),
    vol.Optional("accept_transfers"): valid.boolean,
    vol.Optional("max_duration"): valid.integer(1, 86400),
    vol.Optional("media_timeout"): valid.integer(0, 3600),
    vol.Optional("media_lost"): valid.one_of("hangup", "keep"),
    vol.Optional("dtmf"): DTMF,
    vol.Optional("door"): DOOR,
    vol.Optional("ring"): RING,
    vol.Optional("record"): valid.one_of("never", "on_request", "answered"),
    vol.Optional("contacts"): contacts,
    vol.Optional("codecs"): codecs,
    vol.Optional("srtp"): srtp,
    vol.Optional("transport"): valid.one_of("udp", "tcp", "tls"),
    vol.Optional("password"): valid.secret,
}


def _account(kind: type[Account]) -> Callable[..., Account]:
    def build(**values: Any) -> Account:
        del values["kind"]
        defaults = {"name": values["id"].replace("_", " ").replace("-", " ").strip().capitalize() or values["id"]}
        if kind is DirectAccount:
            defaults["user"] = values["id"]
            if "username" in values and "password" not in values:
                raise vol.Invalid("missing: a user name without it lets everybody ring", path=["password"])
            check_direct(values)
        ring_timeout = values.get("ring_timeout", RING_TIMEOUT)
        check_auto_answer(values, is_registered=kind is RegisteredAccount, ring_timeout=ring_timeout)
        return kind(**{**defaults, **values})

    return build


DIRECT: Final[valid.Keys] = {
    **_ANY_ACCOUNT,
    vol.Optional("user"): _USER_PART,
    vol.Optional("aliases"): valid.list_of(_USER_PART),
    vol.Optional("username"): valid.text,
    vol.Optional("algorithms"): valid.list_of(_algorithm, at_least=1),
    vol.Optional("allow_from"): valid.list_of(valid.network, at_least=1),
}
REGISTERED: Final[valid.Keys] = {
    **_ANY_ACCOUNT,
    valid.required("server", "the name or address of the registrar"): valid.host_name,
    valid.required("user", "the user name at the registrar"): _USER_PART,
    vol.Optional("port"): valid.port,
    vol.Optional("auth_user"): valid.text,
    vol.Optional("realm"): valid.text,
    vol.Optional("credentials"): _CREDENTIALS,
    vol.Optional("min_algorithm"): _algorithm,
    vol.Optional("expires"): valid.integer(30, 86400),
    vol.Optional("keep_alive"): _keep_alive,
    vol.Optional("outbound_proxy"): valid.matching(valid.is_proxy, "a host name or an IP address, :port if need be"),
    vol.Optional("message_waiting"): _message_waiting,
}
_KINDS: Final = {
    "direct": valid.section(_account(DirectAccount), DIRECT),
    "registered": valid.section(_account(RegisteredAccount), REGISTERED),
}
# An account whose kind is missing or wrong: the keys of every kind are known, and none of one kind is asked for.
_UNKNOWN_KIND: Final = valid.section(
    dict, {**_ANY_ACCOUNT, **{vol.Optional(str(key)): item for key, item in {**DIRECT, **REGISTERED}.items()}}
)


def _any_account(value: Value) -> Account:
    kind = value.get("kind") if isinstance(value, dict) else None
    section = _KINDS.get(kind if isinstance(kind, str) else "", _UNKNOWN_KIND)
    account: Account = section(value)
    return account


def list_of_accounts(value: Value) -> tuple[Account, ...]:
    """Accounts that can be served beside each other."""
    accounts: tuple[Account, ...] = valid.list_of(_any_account, at_least=1)(value)
    errors: list[vol.Invalid] = [
        valid.Unexpected(f"expected an id of its own: accounts[{first}] has it too", path=[index, "id"])
        for index, first in _repeated({account.id} for account in accounts)
    ]
    errors += [
        vol.Invalid(f"expected a user and aliases of its own: accounts[{first}] is called by one of them", path=[index])
        for index, first in _repeated(_called_by(account) for account in accounts)
    ]
    errors += ring_mistakes(accounts)
    if errors:
        raise vol.MultipleInvalid(errors)
    return accounts


def _called_by(account: Account) -> set[str]:
    return {account.user, *account.aliases} if isinstance(account, DirectAccount) else set()


def _repeated(names_of_each: Iterable[set[str]]) -> Iterable[tuple[int, int]]:
    """Which item repeats a name of which earlier one."""
    first: dict[str, int] = {}
    for index, names in enumerate(names_of_each):
        if taken := names & first.keys():
            yield index, min(first[name] for name in taken)
        first.update(dict.fromkeys(names - first.keys(), index))
