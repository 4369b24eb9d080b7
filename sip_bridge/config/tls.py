"""`tls:` of `sip:` and of `mqtt:`: certificates, and whom they are from."""

import dataclasses
from pathlib import Path
from typing import Any, Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.yaml_file import Document, KeyPath, Problem, Value
from sip_bridge.errors import ConfigError
from sip_bridge.phone.settings import TLSSettings
from sip_bridge.phone.transport.tls import TLSContexts, TLSFileError

TLS_FILES: Final = ("certificate", "key", "ca", "client_certificate", "client_key")


def _tls(**values: Any) -> TLSSettings:
    """Keys that go with a certificate, with it only."""
    for key, certificate in (("key", "certificate"), ("client_key", "client_certificate")):
        if key in values and certificate not in values:
            raise vol.Invalid(f"missing: the certificate of the {key}", path=[certificate])
    return TLSSettings(**values)


_CLIENT_TLS: Final[valid.Keys] = {
    vol.Optional("key_password"): valid.secret,
    vol.Optional("ca"): valid.file,
    vol.Optional("verify"): valid.boolean,
    vol.Optional("client_certificate"): valid.file,
    vol.Optional("client_key"): valid.file,
}
TLS: Final = valid.section(
    _tls, {vol.Optional("certificate"): valid.file, vol.Optional("key"): valid.file, **_CLIENT_TLS}
)
_BROKER_TLS: Final = valid.section(_tls, _CLIENT_TLS)


def broker_tls(value: Value) -> TLSSettings | None:
    """``true`` for a certificate of a public authority, or a mapping."""
    if isinstance(value, dict):
        tls: TLSSettings = _BROKER_TLS(value)
        return tls
    return TLSSettings() if valid.boolean(value) else None


def with_usable_files(tls: TLSSettings, section: str, document: Document, path: Path) -> TLSSettings:
    """The files of TLS beside the configuration, each read once to see that it is of use."""
    found = {name: getattr(tls, name) for name in TLS_FILES}
    tls = dataclasses.replace(tls, **{name: path.parent / file for name, file in found.items() if file is not None})
    try:
        TLSContexts(tls).check()
    except TLSFileError as error:
        key: KeyPath = (section, "tls", error.key)
        problem = Problem(line=document.line(key), path=key, text=error.problem)
        raise ConfigError(problem.format(path)) from None  # the cause may hold the password
    return tls
