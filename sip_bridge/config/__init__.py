"""The configuration: YAML, validated by voluptuous, as one frozen `Config`.

Every error is one line that names the file, the line, the path of the key and what was expected:
``config.yaml:12: accounts[1].transport: expected one of udp, tcp, tls; got 'sctp'``.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config import yaml_file
from sip_bridge.config.accounts import list_of_accounts
from sip_bridge.config.mqtt import EmbeddedMQTT, ExternalMQTT, any_broker
from sip_bridge.config.recording import RECORDING, recording_settings
from sip_bridge.config.sip import SIP
from sip_bridge.config.tls import with_usable_files
from sip_bridge.config.yaml_file import Document, KeyPath, Problem, Value, shown
from sip_bridge.errors import ConfigError
from sip_bridge.media.tones import COUNTRIES
from sip_bridge.phone.settings import MEDIA, Account, MediaSettings, RecordingSettings, Secret, SIPSettings

__all__ = [
    "BridgeSettings",
    "Config",
    "EmbeddedMQTT",
    "ExternalMQTT",
    "LogFormat",
    "LogLevel",
    "load",
    "redacted",
]

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

SECRET_KEYS: Final = frozenset({"password", "key_password", "code", "codes", "play"})  # no message shows their values


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeSettings:
    """The bridge's id in topics, and its name for people."""

    id: str = "home"
    name: str = "Home"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that a person set, read once and passed in."""

    bridge: BridgeSettings
    mqtt: EmbeddedMQTT | ExternalMQTT
    sip: SIPSettings
    accounts: tuple[Account, ...]
    log_level: LogLevel
    state_dir: Path
    media: MediaSettings = MEDIA
    recording: RecordingSettings | None = None  # None: nothing can be recorded
    log_format: LogFormat = "text"


def load(path: Path) -> Config:
    """The configuration in ``path``; raises `ConfigError` with one line a problem."""
    document = yaml_file.read(path)
    try:
        values = _CONFIG({} if document.data is None else document.data)
    except vol.MultipleInvalid as error:
        problems = sorted((_problem(document, each) for each in error.errors), key=Problem.order)
        raise ConfigError("\n".join(each.format(path) for each in problems)) from None  # the cause shows values
    state_dir = path.parent / values.get("state_dir", "state")
    return Config(
        bridge=values.get("bridge", BridgeSettings()),
        mqtt=_with_broker_files(values.get("mqtt", EmbeddedMQTT()), document, path),
        sip=_with_sip_files(values.get("sip", SIPSettings()), document, path),
        accounts=values["accounts"],
        log_level=values.get("log_level", "info"),
        log_format=values.get("log_format", "text"),
        state_dir=state_dir,
        recording=recording_settings(values.get("recording", {}), beside=path.parent, state_dir=state_dir),
        media=_with_folders(values.get("media", MEDIA), path),
    )


def _with_folders(media: MediaSettings, path: Path) -> MediaSettings:
    """Folders beside the configuration."""
    if media.folders is None:
        return media
    return dataclasses.replace(media, folders=tuple(path.parent / folder for folder in media.folders))


def _with_sip_files(sip: SIPSettings, document: Document, path: Path) -> SIPSettings:
    return dataclasses.replace(sip, tls=with_usable_files(sip.tls, "sip", document, path))


def _with_broker_files(
    mqtt: EmbeddedMQTT | ExternalMQTT, document: Document, path: Path
) -> EmbeddedMQTT | ExternalMQTT:
    if isinstance(mqtt, EmbeddedMQTT) or mqtt.tls is None:
        return mqtt
    return dataclasses.replace(mqtt, tls=with_usable_files(mqtt.tls, "mqtt", document, path))


def redacted(config: Config) -> dict[str, Any]:
    """The configuration as JSON can carry it; a secret is ``***``."""
    return {each.name: _redacted(getattr(config, each.name)) for each in dataclasses.fields(config)}


def _redacted(value: object) -> Any:
    match value:
        case Secret():
            return "***" if value else None
        case None | bool() | int() | float() | str():
            return value
        case tuple():
            return [_redacted(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return {each.name: _redacted(getattr(value, each.name)) for each in dataclasses.fields(value)}
        case _:
            return str(value)


# --- problems ------------------------------------------------------------------------------------------------------


def _problem(document: Document, error: vol.Invalid) -> Problem:
    path: KeyPath = tuple(part if isinstance(part, int) else str(part) for part in error.path)
    line = document.line(path)
    if isinstance(error, valid.UnknownKey):
        path = path[:-1]
    text = error.msg
    if isinstance(error, valid.Unexpected) and path not in document.hidden and SECRET_KEYS.isdisjoint(path):
        text += f"; got {_kind_of(document.find(path))}"
    return Problem(line=line, path=path, text=text)


def _kind_of(value: Value) -> str:
    match value:
        case None | "":
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return shown(value)


# --- sections ------------------------------------------------------------------------------------------------------

_BRIDGE: Final = valid.section(BridgeSettings, {vol.Optional("id"): valid.identifier, vol.Optional("name"): valid.text})

_MEDIA: Final = valid.section(
    MediaSettings,
    {vol.Optional("folders"): valid.list_of(valid.folder), vol.Optional("country"): valid.one_of(*COUNTRIES)},
)

_CONFIG: Final = vol.Schema(
    valid.section(
        dict,
        {
            valid.required("accounts", "at least one account"): list_of_accounts,
            vol.Optional("bridge"): _BRIDGE,
            vol.Optional("mqtt"): any_broker,
            vol.Optional("sip"): SIP,
            vol.Optional("recording"): RECORDING,
            vol.Optional("media"): _MEDIA,
            vol.Optional("log_level"): valid.one_of("debug", "info", "warning", "error"),
            vol.Optional("log_format"): valid.one_of("text", "json"),
            vol.Optional("state_dir"): valid.folder,
        },
    )
)
