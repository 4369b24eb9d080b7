"""The configuration: YAML, validated by voluptuous, as one frozen `Config`.

Every error is one line that names the file, the line, the path of the key and what was expected:
``config.yaml:12: accounts[1].transport: expected one of udp, tcp, tls; got 'sctp'``.
"""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config import yaml_file
from sip_bridge.config.door import DOOR, check_direct
from sip_bridge.config.dtmf import DTMF
from sip_bridge.config.limits import LIMITS
from sip_bridge.config.recording import RECORDING, recording_settings
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
from sip_bridge.config.yaml_file import Document, KeyPath, Problem, Value, shown
from sip_bridge.errors import ConfigError
from sip_bridge.media.codec import CODECS, codec_named
from sip_bridge.media.codecs_av import EXTRA
from sip_bridge.media.sdes import SRTPPolicy
from sip_bridge.media.tones import COUNTRIES
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.session import ProtocolVersion, Transport
from sip_bridge.phone.settings import (
    MEDIA,
    RING_TIMEOUT,
    Account,
    DirectAccount,
    MediaSettings,
    PortRange,
    RealmCredentials,
    RecordingSettings,
    RegisteredAccount,
    Secret,
    SIPSettings,
    TLSSettings,
)
from sip_bridge.phone.transport.tls import TLSContexts, TLSFileError

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

DEFAULT_DISCOVERY_PREFIX: Final = "homeassistant"
SECRET_KEYS: Final = frozenset({"password", "key_password", "code", "codes", "play"})  # no message shows their values
TLS_FILES: Final = ("certificate", "key", "ca", "client_certificate", "client_key")
_RANGE: Final = re.compile(r"(\d{1,5})\s*-\s*(\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeSettings:
    """The bridge's id in topics, and its name for people."""

    id: str = "home"
    name: str = "Home"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedMQTT:
    """The broker that runs inside the bridge, and where it listens; ``discovery`` is Home Assistant's."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    base_topic: str = contract.DEFAULT_BASE_TOPIC
    discovery: bool = False
    discovery_prefix: str = DEFAULT_DISCOVERY_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalMQTT:
    """A broker that runs elsewhere; ``keepalive`` in seconds, ``path`` of a WebSocket. See `EmbeddedMQTT` too."""

    host: str
    port: int = 1883
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    base_topic: str = contract.DEFAULT_BASE_TOPIC
    discovery: bool = False
    discovery_prefix: str = DEFAULT_DISCOVERY_PREFIX
    client_id: str | None = None
    keepalive: int = 30
    protocol: ProtocolVersion = "auto"
    transport: Transport = "tcp"
    path: str = "/mqtt"
    tls: TLSSettings | None = None


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
    return dataclasses.replace(sip, tls=_with_usable_files(sip.tls, "sip", document, path))


def _with_broker_files(
    mqtt: EmbeddedMQTT | ExternalMQTT, document: Document, path: Path
) -> EmbeddedMQTT | ExternalMQTT:
    if isinstance(mqtt, EmbeddedMQTT) or mqtt.tls is None:
        return mqtt
    return dataclasses.replace(mqtt, tls=_with_usable_files(mqtt.tls, "mqtt", document, path))


def _with_usable_files(tls: TLSSettings, section: str, document: Document, path: Path) -> TLSSettings:
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

_Keys = Mapping[vol.Marker, valid.Validator]

_PORT: Final = valid.integer(1, 65535)
_ID: Final = valid.matching(contract.is_valid_id, "an id of a-z, 0-9, _ and - (not 'discovery')")
_HOST_NAME: Final = valid.matching(valid.is_host, "a host name or an IP address")
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

_PORT_RANGE: Final = valid.section(
    PortRange, {valid.required("low", "the first port"): _PORT, valid.required("high", "the last port"): _PORT}
)


def _codec(value: Value) -> str:
    codec = codec_named(value) if isinstance(value, str) else None
    if codec is None:
        raise valid.Unexpected(f"expected one of {', '.join(CODECS)}")
    if not codec.is_available:
        raise vol.Invalid(f"{codec.name} is not in the plain installation: it needs {EXTRA}")
    return codec.name


def _codecs(value: Value) -> tuple[str, ...]:
    """By preference; twice is the same as once."""
    names: tuple[str, ...] = valid.list_of(_codec, at_least=1)(value)
    return tuple(dict.fromkeys(names))


def _srtp(value: Value) -> SRTPPolicy:
    return SRTPPolicy(valid.one_of(*SRTPPolicy)(value))


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


def _port_range(value: Value) -> PortRange:
    if isinstance(value, dict):
        ports: PortRange = _PORT_RANGE(value)
    elif isinstance(value, str) and (match := _RANGE.fullmatch(value)) is not None:
        ports = PortRange(low=int(match[1]), high=int(match[2]))
    else:
        raise valid.Unexpected("expected a range of ports like 10000-10999")
    if not 0 < ports.low < ports.high < 65536:
        raise valid.Unexpected("expected a range of ports like 10000-10999, the lower one first")
    return ports


def _path(what: str) -> valid.Validator:
    def validate(value: Value) -> Path:
        try:
            return Path(valid.text(value)).expanduser()
        except RuntimeError as error:  # ~nobody
            raise valid.Unexpected(f"expected {what}") from error

    return validate


_file: Final = _path("a file")
_folder: Final = _path("a folder")


_BRIDGE: Final = valid.section(BridgeSettings, {vol.Optional("id"): _ID, vol.Optional("name"): valid.text})

_BIND: Final = valid.matching(valid.is_ip, "an IP address, like 0.0.0.0 for every network")
_BIND_SEVERAL: Final = valid.list_of(_BIND, at_least=1)


def _bind(value: Value) -> tuple[str, ...]:
    """One address, or several that differ."""
    hosts: tuple[str, ...] = _BIND_SEVERAL(value) if isinstance(value, list) else (_BIND(value),)
    if len(set(hosts)) < len(hosts):
        raise valid.Unexpected("expected addresses that differ")
    return hosts


def _tls(**values: Any) -> TLSSettings:
    """Keys that go with a certificate, with it only."""
    for key, certificate in (("key", "certificate"), ("client_key", "client_certificate")):
        if key in values and certificate not in values:
            raise vol.Invalid(f"missing: the certificate of the {key}", path=[certificate])
    return TLSSettings(**values)


_CLIENT_TLS: Final[_Keys] = {
    vol.Optional("key_password"): valid.secret,
    vol.Optional("ca"): _file,
    vol.Optional("verify"): valid.boolean,
    vol.Optional("client_certificate"): _file,
    vol.Optional("client_key"): _file,
}
_TLS: Final = valid.section(_tls, {vol.Optional("certificate"): _file, vol.Optional("key"): _file, **_CLIENT_TLS})
_BROKER_TLS: Final = valid.section(_tls, _CLIENT_TLS)


def _sip(**values: Any) -> SIPSettings:
    sip = SIPSettings(**values)
    if sip.tls.certificate is not None and sip.tls_port == sip.port != 0:
        raise vol.Invalid("expected another port than sip.port: TCP listens there", path=["tls_port"])
    return sip


_SIP: Final = valid.section(
    _sip,
    {
        vol.Optional("bind"): _bind,
        vol.Optional("port"): valid.integer(0, 65535),
        vol.Optional("tls_port"): valid.integer(0, 65535),
        vol.Optional("tls"): _TLS,
        vol.Optional("advertised_host"): _HOST_NAME,
        vol.Optional("rtp_ports"): _port_range,
        vol.Optional("limits"): LIMITS,
    },
)

_MEDIA: Final = valid.section(
    MediaSettings,
    {vol.Optional("folders"): valid.list_of(_folder), vol.Optional("country"): valid.one_of(*COUNTRIES)},
)

_ANY_MQTT: Final[_Keys] = {
    vol.Optional("port"): _PORT,
    vol.Optional("username"): valid.text,
    vol.Optional("password"): valid.secret,
    vol.Optional("base_topic"): valid.matching(valid.is_base_topic, "a topic without + and #, like sip_bridge"),
    vol.Optional("discovery"): valid.boolean,
    vol.Optional("discovery_prefix"): valid.matching(
        valid.is_base_topic, "a topic without + and #, like homeassistant"
    ),
}


def _embedded(**values: Any) -> EmbeddedMQTT:
    mqtt = EmbeddedMQTT(**{key: value for key, value in values.items() if key != "broker"})
    is_private = mqtt.host == "localhost" or (valid.is_ip(mqtt.host) and ipaddress.ip_address(mqtt.host).is_loopback)
    if mqtt.password is None and not is_private:  # who may publish may place calls
        raise vol.Invalid("missing: a broker that other machines reach needs username and password", path=["password"])
    return _with_username(mqtt)


def _external(**values: Any) -> ExternalMQTT:
    is_websocket = values.get("transport") == "websockets"
    if "path" in values and not is_websocket:
        raise vol.Invalid("missing: websockets; only there a path is asked for", path=["transport"])
    has_tls = values.get("tls") is not None
    usual = {(False, False): 1883, (False, True): 8883, (True, False): 80, (True, True): 443}
    return _with_username(ExternalMQTT(**{"port": usual[is_websocket, has_tls], **values}))


def _broker_tls(value: Value) -> TLSSettings | None:
    """``true`` for a certificate of a public authority, or a mapping."""
    if isinstance(value, dict):
        tls: TLSSettings = _BROKER_TLS(value)
        return tls
    return TLSSettings() if valid.boolean(value) else None


M = TypeVar("M", EmbeddedMQTT, ExternalMQTT)


def _with_username(mqtt: M) -> M:
    if mqtt.password is not None and mqtt.username is None:  # MQTT 3.1.1 §3.1.2.9
        raise vol.Invalid("missing: a password needs it", path=["username"])
    return mqtt


_EMBEDDED: Final = valid.section(
    _embedded,
    {valid.required("broker", "embedded"): valid.one_of("embedded"), vol.Optional("host"): _HOST_NAME, **_ANY_MQTT},
)
_EXTERNAL: Final = valid.section(
    _external,
    {
        valid.required("host", "the host of your broker, or broker: embedded"): _HOST_NAME,
        vol.Optional("client_id"): valid.text,
        vol.Optional("keepalive"): valid.integer(5, 3600),
        vol.Optional("protocol"): valid.one_of("auto", "5", "3.1.1"),
        vol.Optional("transport"): valid.one_of("tcp", "websockets"),
        vol.Optional("path"): valid.matching(valid.is_path, "a path like /mqtt"),
        vol.Optional("tls"): _broker_tls,
        **_ANY_MQTT,
    },
)


def _mqtt(value: Value) -> EmbeddedMQTT | ExternalMQTT:
    is_embedded = isinstance(value, dict) and value.get("broker") is not None
    mqtt: EmbeddedMQTT | ExternalMQTT = (_EMBEDDED if is_embedded else _EXTERNAL)(value)
    return mqtt


_ANY_ACCOUNT: Final[_Keys] = {
    valid.required("id", "what topics call this account"): _ID,
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
    vol.Optional("codecs"): _codecs,
    vol.Optional("srtp"): _srtp,
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


_DIRECT: Final[_Keys] = {
    **_ANY_ACCOUNT,
    vol.Optional("user"): _USER_PART,
    vol.Optional("aliases"): valid.list_of(_USER_PART),
    vol.Optional("username"): valid.text,
    vol.Optional("algorithms"): valid.list_of(_algorithm, at_least=1),
    vol.Optional("allow_from"): valid.list_of(valid.network, at_least=1),
}
_REGISTERED: Final[_Keys] = {
    **_ANY_ACCOUNT,
    valid.required("server", "the name or address of the registrar"): _HOST_NAME,
    valid.required("user", "the user name at the registrar"): _USER_PART,
    vol.Optional("port"): _PORT,
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
    "direct": valid.section(_account(DirectAccount), _DIRECT),
    "registered": valid.section(_account(RegisteredAccount), _REGISTERED),
}
# An account whose kind is missing or wrong: the keys of every kind are known, and none of one kind is asked for.
_UNKNOWN_KIND: Final = valid.section(
    dict, {**_ANY_ACCOUNT, **{vol.Optional(str(key)): item for key, item in {**_DIRECT, **_REGISTERED}.items()}}
)


def _any_account(value: Value) -> Account:
    kind = value.get("kind") if isinstance(value, dict) else None
    section = _KINDS.get(kind if isinstance(kind, str) else "", _UNKNOWN_KIND)
    account: Account = section(value)
    return account


def _accounts(value: Value) -> tuple[Account, ...]:
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


_CONFIG: Final = vol.Schema(
    valid.section(
        dict,
        {
            valid.required("accounts", "at least one account"): _accounts,
            vol.Optional("bridge"): _BRIDGE,
            vol.Optional("mqtt"): _mqtt,
            vol.Optional("sip"): _SIP,
            vol.Optional("recording"): RECORDING,
            vol.Optional("media"): _MEDIA,
            vol.Optional("log_level"): valid.one_of("debug", "info", "warning", "error"),
            vol.Optional("log_format"): valid.one_of("text", "json"),
            vol.Optional("state_dir"): _folder,
        },
    )
)
