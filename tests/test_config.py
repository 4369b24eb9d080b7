"""The configuration: what a person may write, and the one line that each mistake gets."""

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip_bridge.config import BridgeSettings, Config, EmbeddedMQTT, ExternalMQTT, load, redacted, yaml_file
from sip_bridge.config.accounts import DIRECT, REGISTERED
from sip_bridge.errors import ConfigError
from sip_bridge.media.sdes import SRTPPolicy
from sip_bridge.phone.settings import (
    PRIVATE_NETWORKS,
    Contact,
    DirectAccount,
    DTMFCode,
    DTMFSettings,
    MediaSettings,
    PortRange,
    RealmCredentials,
    RecordingSettings,
    RegisteredAccount,
    Secret,
    SIPSettings,
    TLSSettings,
)
from sip_bridge.sip.limits import Limits
from tests.phone.certificates import Authority

EXAMPLE: Final = Path(__file__).parent.parent / "config.example.yaml"
DOOR: Final = "accounts:\n  - {id: door, kind: direct}\n"

Load = Callable[[str], Config]
Complain = Callable[[str], str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own as the current one, so that messages name the bare file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def loaded(folder: Path) -> Load:
    """The configuration that a text makes."""

    def load_text(text: str) -> Config:
        Path("config.yaml").write_text(text, encoding="utf-8")
        return load(Path("config.yaml"))

    return load_text


@pytest.fixture
def complaint(loaded: Load) -> Complain:
    """What `ConfigError` says of a text."""

    def complain(text: str) -> str:
        with pytest.raises(ConfigError) as caught:
            loaded(text)
        return str(caught.value)

    return complain


# --- what may be written -------------------------------------------------------------------------------------------


def test_one_direct_line_is_a_whole_configuration(loaded: Load) -> None:
    assert loaded(DOOR) == Config(
        bridge=BridgeSettings(id="home", name="Home"),
        mqtt=EmbeddedMQTT(host="127.0.0.1", port=1883, base_topic="sip_bridge"),
        sip=SIPSettings(
            bind=("0.0.0.0", "::"),
            port=5060,
            tls_port=5061,
            tls=TLSSettings(),
            rtp_ports=PortRange(low=10000, high=10999),
        ),
        accounts=(DirectAccount(id="door", name="Door", user="door"),),
        log_level="info",
        state_dir=Path("state"),
        recording=RecordingSettings(
            folder=Path("state/recordings"), max_seconds=7200, max_size=1 << 30, min_free=100 << 20, keep_days=None
        ),
    )


def test_every_key_is_read(loaded: Load, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "secrets.yaml").write_text("mqtt_password: 0123\nunused: x\n")
    monkeypatch.setenv("PBX_PASSWORD", "p: #w")
    text = """\
bridge: {id: garden_1, name: The garden}
mqtt:
  host: broker.example
  port: 8883
  username: bridge
  password: !secret mqtt_password
  base_topic: phones/sip
  discovery: true
  discovery_prefix: ha/found
  client_id: sip-bridge-1
  keepalive: 10
  protocol: 3.1.1
sip:
  bind: 192.0.2.7
  port: 0
  tls_port: 5063
  tls: {verify: false}
  advertised_host: pbx.example
  rtp_ports: {low: 4000, high: 4003}
  limits: {message: 4096, head: 2048, line: 1024, headers: 32, uri: 256, vias: 10, parts: 2, depth: 1}
accounts:
  - id: front-door
    kind: direct
    name: Haustür
    user: bell
    aliases: [ring, "11"]
    username: station
    password: ding
    algorithms: [sha-256]
    allow_from: [192.0.2.0/24, "2001:db8::1"]
    allow_dial: []
    contacts: [{name: Kitchen, number: "**620"}]
    codecs: [pcma]
    srtp: optional
    transport: tcp
    record: answered
    dtmf:
      terminator: "*"
      max_digits: 6
      pause: 2.5
      mask: false
      inband: true
      codes: {family: "12#4", post: 0042}
  - id: pbx
    kind: registered
    server: 192.0.2.1
    port: 5070
    user: 0620
    auth_user: x620
    password: !env_var PBX_PASSWORD
    realm: asterisk
    credentials: [{realm: edge, username: x, password: y}]
    min_algorithm: md5
    transport: tls
    expires: 120
    keep_alive: 30
    outbound_proxy: proxy.example:5060
    message_waiting: true
recording: {folder: heard, max_seconds: 60, max_size: 10, min_free: 0, keep_days: 7}
log_level: debug
log_format: json
state_dir: lasting/state
"""
    assert loaded(text) == Config(
        bridge=BridgeSettings(id="garden_1", name="The garden"),
        mqtt=ExternalMQTT(
            host="broker.example",
            port=8883,
            username="bridge",
            password=Secret("0123"),
            base_topic="phones/sip",
            discovery=True,
            discovery_prefix="ha/found",
            client_id="sip-bridge-1",
            keepalive=10,
            protocol="3.1.1",
        ),
        sip=SIPSettings(
            bind=("192.0.2.7",),
            port=0,
            tls_port=5063,
            tls=TLSSettings(verify=False),
            advertised_host="pbx.example",
            rtp_ports=PortRange(low=4000, high=4003),
            limits=Limits(message=4096, head=2048, line=1024, headers=32, uri=256, vias=10, parts=2, depth=1),
        ),
        accounts=(
            DirectAccount(
                id="front-door",
                name="Haustür",
                user="bell",
                aliases=("ring", "11"),
                username="station",
                password=Secret("ding"),
                algorithms=("SHA-256",),
                allow_from=(ip_network("192.0.2.0/24"), ip_network("2001:db8::1")),
                allow_dial=(),
                contacts=(Contact(name="Kitchen", number="**620"),),
                codecs=("PCMA",),
                srtp=SRTPPolicy.OPTIONAL,
                transport="tcp",
                record="answered",
                dtmf=DTMFSettings(
                    terminator="*",
                    max_digits=6,
                    pause=2.5,
                    mask=False,
                    inband=True,
                    codes=(
                        DTMFCode(name="family", digits=Secret("12#4")),
                        DTMFCode(name="post", digits=Secret("0042")),
                    ),
                ),
            ),
            RegisteredAccount(
                id="pbx",
                name="Pbx",
                user="0620",
                server="192.0.2.1",
                port=5070,
                auth_user="x620",
                password=Secret("p: #w"),
                realm="asterisk",
                credentials=(RealmCredentials(realm="edge", username="x", password=Secret("y")),),
                min_algorithm="MD5",
                transport="tls",
                expires=120,
                keep_alive=30,
                outbound_proxy="proxy.example:5060",
                message_waiting=True,
            ),
        ),
        log_level="debug",
        log_format="json",
        state_dir=Path("lasting/state"),
        recording=RecordingSettings(folder=Path("heard"), max_seconds=60, max_size=10 << 20, min_free=0, keep_days=7),
    )


def test_a_port_range_is_written_with_a_hyphen(loaded: Load) -> None:
    assert loaded(f"sip: {{rtp_ports: 20000 - 20999}}\n{DOOR}").sip.rtp_ports == PortRange(low=20000, high=20999)


def test_a_line_is_named_after_its_id(loaded: Load) -> None:
    assert [account.name for account in loaded("accounts: [{id: front_door-2, kind: direct}]").accounts] == [
        "Front door 2"
    ]


def test_an_empty_value_counts_as_left_out(loaded: Load) -> None:
    assert loaded(f"mqtt:\nsip: {{port: , bind: ~}}\nbridge: null\n{DOOR}") == loaded(DOOR)


def test_an_anchor_repeats_a_value(loaded: Load) -> None:
    accounts = loaded(
        "accounts: [{id: a, kind: direct, contacts: &c [{name: K, number: '1'}]}, {id: b, kind: direct, contacts: *c}]"
    ).accounts
    assert [account.contacts for account in accounts] == [(Contact(name="K", number="1"),)] * 2


def test_what_yaml_takes_for_a_number_or_a_truth_stays_as_written(loaded: Load) -> None:
    accounts = loaded("accounts: [{id: no, kind: direct, name: On, user: 0123, aliases: [1_000, 1e3]}]").accounts
    assert accounts == (DirectAccount(id="no", name="On", user="0123", aliases=("1_000", "1e3")),)


def test_the_state_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(DOOR)
    assert load(tmp_path / "config.yaml").state_dir == tmp_path / "state"


def test_a_state_folder_may_be_absolute_or_in_the_home(loaded: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert [loaded(f"state_dir: {written}\n{DOOR}").state_dir for written in ("/var/lib/sip", "~/sip")] == [
        Path("/var/lib/sip"),
        Path("/home/someone/sip"),
    ]


def test_a_byte_order_mark_is_skipped(folder: Path) -> None:
    Path("config.yaml").write_bytes(b"\xef\xbb\xbf" + DOOR.encode())
    assert load(Path("config.yaml")).accounts == (DirectAccount(id="door", name="Door", user="door"),)


def test_an_environment_variable_fills_a_number_or_its_default_does(
    loaded: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIP_PORT", "5099")
    monkeypatch.delenv("MQTT_PORT", raising=False)
    result = loaded(
        f"sip: {{port: !env_var SIP_PORT 5060}}\nmqtt: {{broker: embedded, port: !env_var MQTT_PORT 1884}}\n{DOOR}"
    )
    assert (result.sip.port, result.mqtt.port) == (5099, 1884)


def test_an_embedded_broker_may_listen_for_others_with_a_password(loaded: Load) -> None:
    result = loaded(f"mqtt: {{broker: embedded, host: 0.0.0.0, username: ha, password: pw}}\n{DOOR}")
    assert result.mqtt == EmbeddedMQTT(host="0.0.0.0", username="ha", password=Secret("pw"))


# --- what is wrong with it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "1: accounts: missing: at least one account"),
        ("accounts: []", "1: accounts: expected at least one, got an empty list"),
        ("accounts:", "1: accounts: missing: at least one account"),
        ("accounts: {}", "1: accounts: expected a list; got a mapping"),
        ("accounts: door", "1: accounts: expected a list; got 'door'"),
        ("- door", "1: expected lines of KEY: VALUE; got a list"),
        ("just words", "1: expected lines of KEY: VALUE; got 'just words'"),
        ("accounts: [door]", "1: accounts[0]: expected lines of KEY: VALUE; got 'door'"),
        ("accounts: [{id: door}]", "1: accounts[0].kind: missing: direct or registered"),
        (
            "accounts:\n  - id: door\n    kind: trunk\n    server: x",
            "3: accounts[0].kind: expected one of direct, registered; got 'trunk'",
        ),
        ("accounts:\n  - {kind: direct}", "2: accounts[0].id: missing: what topics call this account"),
        (
            "accounts: [{id: Door, kind: direct}]",
            "1: accounts[0].id: expected an id of a-z, 0-9, _ and - (not 'discovery'); got 'Door'",
        ),
        (
            f"{DOOR}  - {{id: pbx, kind: registered, server: h, user: u, transport: sctp}}",
            "3: accounts[1].transport: expected one of udp, tcp, tls; got 'sctp'",
        ),
        (
            f"{DOOR}sip: {{bind: [0.0.0.0, eth0]}}",
            "3: sip.bind[1]: expected an IP address, like 0.0.0.0 for every network; got 'eth0'",
        ),
        (
            f"{DOOR}sip: {{port: 5061, tls: {{certificate: c}}}}",
            "3: sip.tls_port: expected another port than sip.port: TCP listens there",
        ),
        (f"{DOOR}sip: {{bind: ['::', '::']}}", "3: sip.bind: expected addresses that differ; got a list"),
        (f"{DOOR}sip: {{tls: {{verify: maybe}}}}", "3: sip.tls.verify: expected true or false; got 'maybe'"),
        (f"{DOOR}sip: {{tls: {{key: k}}}}", "3: sip.tls.certificate: missing: the certificate of the key"),
        (
            f"{DOOR}sip: {{tls: {{client_key: k}}}}",
            "3: sip.tls.client_certificate: missing: the certificate of the client_key",
        ),
        (f"{DOOR}sip: {{tls: {{ca: ~nobody-at-all/x}}}}", "3: sip.tls.ca: expected a file; got '~nobody-at-all/x'"),
        (
            f"{DOOR}sip:\n  tls:\n    ca: none.pem",
            "5: sip.tls.ca: none.pem can't be read: No such file or directory",
        ),
        (
            f"{DOOR}sip:\n  tls:\n    certificate: config.yaml",
            (
                "5: sip.tls.certificate: config.yaml and the key in config.yaml can't be read as PEM, "
                "or key_password is wrong"
            ),
        ),
        (
            f"{DOOR}mqtt:\n  host: h\n  tls:\n    ca: none.pem",
            "6: mqtt.tls.ca: none.pem can't be read: No such file or directory",
        ),
        (f"{DOOR}mqtt: {{host: h, tls: maybe}}", "3: mqtt.tls: expected true or false; got 'maybe'"),
        (
            f"{DOOR}mqtt: {{host: h, path: /x}}",
            "3: mqtt.transport: missing: websockets; only there a path is asked for",
        ),
        (
            f"{DOOR}mqtt: {{host: h, transport: websockets, path: mqtt}}",
            "3: mqtt.path: expected a path like /mqtt; got 'mqtt'",
        ),
        (
            "accounts: [{id: p, kind: registered, user: u}]",
            "1: accounts[0].server: missing: the name or address of the registrar",
        ),
        (
            "accounts: [{id: p, kind: registered, user: u, server: 'sip:192.0.2.1'}]",
            "1: accounts[0].server: expected a host name or an IP address; got 'sip:192.0.2.1'",
        ),
        (
            "accounts: [{id: p, kind: registered, server: h, user: 620@fritz.box}]",
            "1: accounts[0].user: expected what stands before the @ of a SIP address; got '620@fritz.box'",
        ),
        (
            "accounts: [{id: d, kind: direct, allow_from: [192.168.1.5/24]}]",
            "1: accounts[0].allow_from[0]: expected a network like 192.168.1.0/24; got '192.168.1.5/24'",
        ),
        (
            "accounts: [{id: d, kind: direct, codecs: [pcma, ilbc]}]",
            "1: accounts[0].codecs[1]: expected one of PCMU, PCMA, G722, opus; got 'ilbc'",
        ),
        (
            "accounts: [{id: d, kind: direct, srtp: true}]",
            "1: accounts[0].srtp: expected one of off, optional, required; got 'true'",
        ),
        (
            'accounts: [{id: d, kind: direct, name: "a\\r\\nb"}]',
            "1: accounts[0].name: expected text on one line, without control characters; got 'a\\r\\nb'",
        ),
        (
            f"accounts: [{{id: d, kind: direct, name: {'n' * 257}}}]",
            f"1: accounts[0].name: expected at most 256 characters; got '{'n' * 60}…'",
        ),
        (f"{DOOR}sip: {{port: 65536}}", "3: sip.port: expected a number from 0 to 65535; got '65536'"),
        (f"{DOOR}sip: {{port: yes}}", "3: sip.port: expected a number from 0 to 65535; got 'yes'"),
        (f"{DOOR}sip: {{port: 5060.0}}", "3: sip.port: expected a number from 0 to 65535; got '5060.0'"),
        (
            f"{DOOR}sip:\n  limits:\n    head: 16\n",
            "5: sip.limits.head: expected a number from 2048 to 65536; got '16'",
        ),
        (
            f"{DOOR}sip: {{limits: {{heads: 2048}}}}",
            "3: sip.limits: unknown key 'heads', did you mean 'head'?",
        ),
        (f"{DOOR}sip: {{port: [5060]}}", "3: sip.port: expected a number from 0 to 65535; got a list"),
        (
            f"{DOOR}sip: {{bind: eth0}}",
            "3: sip.bind: expected an IP address, like 0.0.0.0 for every network; got 'eth0'",
        ),
        (
            f"{DOOR}sip: {{rtp_ports: 10000}}",
            "3: sip.rtp_ports: expected a range of ports like 10000-10999; got '10000'",
        ),
        (
            f"{DOOR}sip: {{rtp_ports: 99998-99999}}",
            "3: sip.rtp_ports: expected a range of ports like 10000-10999, the lower one first; got '99998-99999'",
        ),
        (
            f"{DOOR}sip:\n  rtp_ports:\n    low: 2000\n    high: 1000",
            "4: sip.rtp_ports: expected a range of ports like 10000-10999, the lower one first; got a mapping",
        ),
        (f"{DOOR}sip:\n  rtp_ports:\n    low: 2000", "4: sip.rtp_ports.high: missing: the last port"),
        (f"{DOOR}mqtt: {{port: 1884}}", "3: mqtt.host: missing: the host of your broker, or broker: embedded"),
        (f"{DOOR}mqtt: {{broker: mosquitto}}", "3: mqtt.broker: expected one of embedded; got 'mosquitto'"),
        (f"{DOOR}mqtt: {{host: h, protocol: 4}}", "3: mqtt.protocol: expected one of auto, 5, 3.1.1; got '4'"),
        (f"{DOOR}mqtt: {{host: h, password: p}}", "3: mqtt.username: missing: a password needs it"),
        (
            "accounts: [{id: d, kind: direct, username: u}]",
            "1: accounts[0].password: missing: a user name without it lets everybody ring",
        ),
        (
            "accounts: [{id: d, kind: direct, password: p, algorithms: [sha-1]}]",
            "1: accounts[0].algorithms[0]: expected one of md5, sha-256, sha-512-256; got 'sha-1'",
        ),
        (
            f"{DOOR}mqtt: {{broker: embedded, discovery: maybe}}",
            "3: mqtt.discovery: expected true or false; got 'maybe'",
        ),
        (
            f"{DOOR}mqtt: {{host: h, discovery_prefix: ha/+}}",
            "3: mqtt.discovery_prefix: expected a topic without + and #, like homeassistant; got 'ha/+'",
        ),
        (
            f"{DOOR}mqtt: {{host: h, base_topic: sip/#}}",
            "3: mqtt.base_topic: expected a topic without + and #, like sip_bridge; got 'sip/#'",
        ),
        (
            f"{DOOR}mqtt: {{broker: embedded, host: 0.0.0.0}}",
            "3: mqtt.password: missing: a broker that other machines reach needs username and password",
        ),
        (f"{DOOR}log_level: loud", "3: log_level: expected one of debug, info, warning, error; got 'loud'"),
        (f"{DOOR}log_format: xml", "3: log_format: expected one of text, json; got 'xml'"),
        (f"{DOOR}state_dir: ~nobody-at-all/x", "3: state_dir: expected a folder; got '~nobody-at-all/x'"),
        (
            f"{DOOR}recording: {{max_seconds: 43201}}",
            "3: recording.max_seconds: expected a number from 1 to 43200; got '43201'",
        ),
        (f"{DOOR}recording: {{max_size: 0}}", "3: recording.max_size: expected a number from 1 to 10000000; got '0'"),
        (
            f"{DOOR}recording: {{folder: ~nobody-at-all/x}}",
            "3: recording.folder: expected a folder; got '~nobody-at-all/x'",
        ),
        (
            f"{DOOR}recording: {{path: x}}",
            "3: recording: unknown key 'path'; known are folder, keep_days, max_seconds, max_size, min_free",
        ),
        (
            "accounts: [{id: a, kind: direct, record: always}]",
            "1: accounts[0].record: expected one of never, on_request, answered; got 'always'",
        ),
        (f"{DOOR}acounts: []", "3: unknown key 'acounts', did you mean 'accounts'?"),
        (
            f"{DOOR}sip: {{zzz: 1}}",
            "3: sip: unknown key 'zzz'; known are advertised_host, bind, limits, port, rtp_ports, tls, tls_port",
        ),
        (
            "accounts:\n  - id: p\n    kind: registered\n    server: h\n    user: u\n    pasword: hunter2",
            "6: accounts[0]: unknown key 'pasword', did you mean 'password'?",
        ),
        (f"{DOOR}{DOOR}", "3: key 'accounts' appears twice, first on line 1"),
        (
            "accounts: [{id: d, kind: direct},\n {id: d, kind: direct, user: e}]",
            "2: accounts[1].id: expected an id of its own: accounts[0] has it too; got 'd'",
        ),
        (
            "accounts: [{id: d, kind: direct},\n {id: e, kind: direct, aliases: [d]}]",
            "2: accounts[1]: expected a user and aliases of its own: accounts[0] is called by one of them",
        ),
        (f"{DOOR}? [a, b]\n: c", "3: expected a plain word as the key"),
        (
            f"{DOOR}name: !python/object:os.system x",
            "3: name: unknown tag; known are !secret NAME and !env_var NAME; quote a value that begins with !",
        ),
        (
            f"{DOOR}name: !!python/object/apply:os.system [x]",
            "3: name: unknown tag; known are !secret NAME and !env_var NAME; quote a value that begins with !",
        ),
        (f"{DOOR}name: !secret x", "3: name: !secret needs the file secrets.yaml beside config.yaml; there is none"),
        (
            f"{DOOR}name: !env_var SURELY_NOT_SET",
            "3: name: the environment variable 'SURELY_NOT_SET' is not set, and no default follows it",
        ),
        (f"{DOOR}name: !env_var", "3: name: expected !env_var NAME or !env_var NAME default"),
        (
            "accounts:\n\t- id: door",
            r"2: column 1: not YAML: found character that cannot start any token; indent with spaces, not tabs",
        ),
        ("accounts: [\n{id: door", "2: column 10: not YAML: expected ',' or '}', but got '<stream end>'"),
        ("name: a: b", "1: column 8: not YAML: mapping values are not allowed here; quote a value that contains ': '"),
        (
            "---\na: b\n---\nc: d",
            "3: column 1: not YAML: expected a single document in the stream, but found another document",
        ),
        ('name: "\\x00"\n' + "a\0b", "2: the character U+0000 may not stand in YAML"),
    ],
)
def test_a_mistake_gets_one_line(text: str, line: str, complaint: Complain) -> None:
    assert complaint(text) == f"config.yaml:{line}"


def test_off_is_a_word_as_any_other(loaded: Load) -> None:
    accounts = loaded("accounts: [{id: d, kind: direct, srtp: off}, {id: e, kind: direct, srtp: required}]").accounts
    assert [account.srtp for account in accounts] == [SRTPPolicy.OFF, SRTPPolicy.REQUIRED]


def test_codecs_are_taken_by_preference_however_they_are_written(loaded: Load) -> None:
    codecs = loaded("accounts: [{id: d, kind: direct, codecs: [Opus, pcma, g722, OPUS]}]").accounts[0].codecs
    assert codecs == ("opus", "PCMA", "G722")


def test_without_the_extra_a_line_has_g711_and_what_needs_it_is_refused(
    loaded: Load, complaint: Complain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert loaded(DOOR).accounts[0].codecs == ("PCMU", "PCMA")
    assert complaint("accounts:\n  - id: d\n    kind: direct\n    codecs: [pcmu, opus]") == (
        "config.yaml:4: accounts[0].codecs[1]: opus is not in the plain installation: it needs sip-bridge[audio]"
    )


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(complaint: Complain) -> None:
    text = """\
bridge: {id: HOME}
sip: {prot: 1, bind: x}
accounts:
  - {id: a, kind: direct, name: [x]}
  - {id: b, kind: registered, expires: 1}
"""
    assert complaint(text).splitlines() == [
        "config.yaml:1: bridge.id: expected an id of a-z, 0-9, _ and - (not 'discovery'); got 'HOME'",
        "config.yaml:2: sip: unknown key 'prot', did you mean 'port'?",
        "config.yaml:2: sip.bind: expected an IP address, like 0.0.0.0 for every network; got 'x'",
        "config.yaml:4: accounts[0].name: expected text; got a list",
        "config.yaml:5: accounts[1].expires: expected a number from 30 to 86400; got '1'",
        "config.yaml:5: accounts[1].server: missing: the name or address of the registrar",
        "config.yaml:5: accounts[1].user: missing: the user name at the registrar",
    ]


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^nowhere\.yaml: can't be read: No such file or directory$"):
        load(Path("nowhere.yaml"))


def test_a_folder_is_no_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read: Is a directory$"):
        load(folder)


def test_a_file_in_another_encoding_names_the_line(folder: Path) -> None:
    Path("config.yaml").write_bytes("# line 1\nname: Haustür".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^config\.yaml:2: not UTF-8: byte 0xfc; save the file as UTF-8$"):
        load(Path("config.yaml"))


def test_a_long_file_is_refused(complaint: Complain) -> None:
    assert complaint("#" * (yaml_file.MAX_BYTES + 1)) == "config.yaml: longer than 256 KiB"


def test_aliases_that_multiply_are_refused(complaint: Complain) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert re.fullmatch(r"config\.yaml:\d+: nested too deeply, or too many values", complaint(bomb))


def test_an_alias_of_itself_is_refused(complaint: Complain) -> None:
    assert complaint("accounts: &a [*a]") == "config.yaml:1: nested too deeply, or too many values"


@pytest.mark.parametrize("deep", ["[" * 20_000, "{a: " * 20_000, "- " * 20_000, "? " * 20_000])
def test_deep_nesting_is_refused(deep: str, complaint: Complain) -> None:
    assert complaint(deep) == "config.yaml: nested too deeply"


@pytest.mark.parametrize("text", ['a: "\\UFFFFFFFF"', f"%YAML {'9' * 5000}.1\n---\na: b"])
def test_what_makes_the_yaml_library_stumble_is_an_ordinary_mistake(text: str, complaint: Complain) -> None:
    assert complaint(text) == "config.yaml: not YAML: a number or an escape that is too large"


# --- secrets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secrets", "line"),
    [
        ("", "config.yaml:1: mqtt.password: no secret 'pw' in secrets.yaml"),
        ("other: x", "config.yaml:1: mqtt.password: no secret 'pw' in secrets.yaml"),
        ("pw: [x]", "config.yaml:1: mqtt.password: no secret 'pw' in secrets.yaml"),
        ("- pw", "secrets.yaml:1: expected lines of NAME: VALUE"),
        ("a: b\npw: !secret pw", "secrets.yaml:2: pw: unknown tag; quote a value that begins with !"),
        ("pw: 'a\nb: c", "secrets.yaml:2: column 5: not YAML: found unexpected end of stream"),
        ("pw: x\npw: y", "secrets.yaml:2: key 'pw' appears twice, first on line 1"),
    ],
)
def test_a_mistake_about_a_secret_gets_one_line(secrets: str, line: str, folder: Path, complaint: Complain) -> None:
    (folder / "secrets.yaml").write_text(secrets)
    assert complaint(f"mqtt: {{host: h, username: u, password: !secret pw}}\n{DOOR}") == line


def test_secrets_of_the_folder_above_are_not_searched(folder: Path) -> None:
    (folder / "secrets.yaml").write_text("pw: x")
    inner = folder / "inner"
    inner.mkdir()
    (inner / "config.yaml").write_text("accounts: !secret pw")
    with pytest.raises(ConfigError, match=r"there is none$"):
        load(inner / "config.yaml")


@pytest.mark.parametrize(
    "password",
    [
        "[hunter2]",
        "{hunter2: x}",
        '"hunter2\\n"',
        "hunter2" + "x" * 250,
        "!hunter2",
        "!hunter2!x",
        "*hunter2",
        "!secret s",
        "!env_var E",
        "!!binary hunter2",
        "&hunter2 &hunter2 x",
        "{hunter2",
        "'hunter2",
    ],
)
def test_a_wrong_password_is_never_shown(
    password: str, folder: Path, loaded: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "secrets.yaml").write_text('s: "hunter2\\r"')
    monkeypatch.setenv("E", "hunter2\r")
    with pytest.raises(ConfigError) as caught:
        loaded(
            f"accounts:\n- {{id: p, kind: registered, server: h, user: u}}\nmqtt: {{host: h, username: u,"
            f" password: {password}}}"
        )
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_value_from_a_secret_or_the_environment_is_never_shown(
    folder: Path, complaint: Complain, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "secrets.yaml").write_text("s: hunter2")
    monkeypatch.setenv("E", "hunter2")
    assert complaint(f"sip: {{port: !secret s, bind: !env_var E}}\n{DOOR}").splitlines() == [
        "config.yaml:1: sip.bind: expected an IP address, like 0.0.0.0 for every network",
        "config.yaml:1: sip.port: expected a number from 0 to 65535",
    ]


def test_no_secret_stands_in_the_repr_or_in_what_mqtt_shows(loaded: Load) -> None:
    result = loaded(
        "mqtt: {host: h, username: u, password: hunter2}\n"
        "accounts: [{id: p, kind: registered, server: h, user: u, password: hunter3}, {id: d, kind: direct}]"
    )
    assert "hunter" not in repr(result) + json.dumps(redacted(result))


def test_the_files_of_tls_stand_beside_the_configuration(tmp_path: Path) -> None:
    issued = Authority(tmp_path).issue("door", "DNS:door.example", password="hunter2")
    file = tmp_path / "config.yaml"
    tls = "{certificate: door.pem, key: door.key, key_password: hunter2, ca: ca.pem}"
    file.write_text(f"{DOOR}sip: {{tls: {tls}}}")
    result = load(file)
    assert result.sip.tls == TLSSettings(
        certificate=issued.certificate, key=issued.key, key_password=Secret("hunter2"), ca=tmp_path / "ca.pem"
    )
    assert "hunter2" not in repr(result) + json.dumps(redacted(result))
    file.write_text(f"{DOOR}sip:\n  tls: {tls.replace('hunter2', 'hunter3')}")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value) == (
        f"{file}:4: sip.tls.certificate: {issued.certificate} and the key in {issued.key} can't be read as PEM, "
        "or key_password is wrong"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", 1883),
        (", tls: true", 8883),
        (", transport: websockets", 80),
        (", tls: {verify: false}, transport: websockets", 443),
        (", tls: true, port: 1884", 1884),
    ],
)
def test_a_brokers_port_is_the_usual_one_unless_set(loaded: Load, options: str, expected: int) -> None:
    assert loaded(f"mqtt: {{host: h{options}}}\n{DOOR}").mqtt.port == expected


def test_folders_of_sounds_stand_beside_the_file(loaded: Load) -> None:
    result = loaded(f"media: {{folders: [/media, sounds], country: de}}\n{DOOR}")
    assert result.media == MediaSettings(folders=(Path("/media"), Path("sounds")), country="de")
    assert loaded(DOOR).media == MediaSettings(folders=None, country="itu")


def test_what_mqtt_shows_is_json(loaded: Load) -> None:
    result = loaded(f"mqtt: {{host: h, username: u, password: hunter2}}\n{DOOR}")
    assert json.loads(json.dumps(redacted(result))) == {
        "bridge": {"id": "home", "name": "Home"},
        "media": {"folders": None, "country": "itu"},
        "mqtt": {
            "host": "h",
            "port": 1883,
            "username": "u",
            "password": "***",
            "base_topic": "sip_bridge",
            "discovery": False,
            "discovery_prefix": "homeassistant",
            "client_id": None,
            "keepalive": 30,
            "protocol": "auto",
            "transport": "tcp",
            "path": "/mqtt",
            "tls": None,
        },
        "sip": {
            "bind": ["0.0.0.0", "::"],
            "port": 5060,
            "tls_port": 5061,
            "tls": {
                "certificate": None,
                "key": None,
                "key_password": None,
                "ca": None,
                "verify": True,
                "client_certificate": None,
                "client_key": None,
            },
            "advertised_host": None,
            "rtp_ports": {"low": 10000, "high": 10999},
            "limits": dataclasses.asdict(Limits()),
        },
        "accounts": [
            {
                "id": "door",
                "name": "Door",
                "user": "door",
                "aliases": [],
                "username": None,
                "password": None,
                "algorithms": ["SHA-256", "MD5"],
                "transport": "udp",
                "allow_from": [str(network) for network in PRIVATE_NETWORKS],
                "allow_dial": ["*"],
                "block_dial": [],
                "call_from": {"allow": ["*"], "block": []},
                "do_not_disturb": False,
                "auto_answer": {
                    "enabled": False,
                    "callers": None,
                    "after": 0.0,
                    "on_request": False,
                    "play": None,
                    "settle_ms": 500,
                    "auto_hangup": False,
                },
                "ring_timeout": 180.0,
                "reject_with": {"reject": 486, "do_not_disturb": 480, "blocked": 603},
                "output_volume": 1.0,
                "contacts": [],
                "codecs": ["G722", "opus", "PCMU", "PCMA"],
                "srtp": "off",
                "accept_transfers": False,
                "max_duration": 14400,
                "media_timeout": 30,
                "media_lost": "hangup",
                "dtmf": {
                    "terminator": "#",
                    "max_digits": 16,
                    "pause": 3.0,
                    "mask": None,
                    "inband": False,
                    "codes": [],
                    "method": "auto",
                },
                "door": None,
                "ring": None,
                "record": "on_request",
            }
        ],
        "log_format": "text",
        "log_level": "info",
        "state_dir": "state",
        "recording": {
            "folder": "state/recordings",
            "max_seconds": 7200,
            "max_size": 1073741824,
            "min_free": 104857600,
            "keep_days": None,
        },
    }


# --- the example ---------------------------------------------------------------------------------------------------

# Prose begins with "# "; what is commented out begins with "#" alone and keeps its own indentation.
EXAMPLES: Final = re.findall(r"(?:^#(?! \S).+\n)+", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_example_works_as_it_is() -> None:
    result = load(EXAMPLE)
    assert (result.mqtt, result.accounts) == (
        EmbeddedMQTT(),
        (DirectAccount(id="door", name="Door", user="door"),),
    )


def test_the_example_shows_eight_things_more() -> None:
    assert [block.split(":")[0].strip("# -") for block in EXAMPLES] == [
        "mqtt",
        "advertised_host",
        "recording",
        "media",
        "log_level",
        "aliases",
        "id",
        "id",
    ]


@pytest.mark.parametrize("block", EXAMPLES)
def test_each_part_that_the_example_comments_out_works(
    block: str, folder: Path, loaded: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "secrets.yaml").write_text(
        "mqtt_password: a\nfritzbox_password: b\ndoor_password: d\npbx_proxy_password: e\ndoor_code: 12\n"
    )
    monkeypatch.setenv("PBX_PASSWORD", "c")
    text = EXAMPLE.read_text(encoding="utf-8")
    before = text.replace("mqtt:\n  broker: embedded\n", "")  # the default; the example says which lines to replace
    enabled = before.replace(block, re.sub("^#", "", block, flags=re.MULTILINE))
    assert loaded(enabled) != loaded(text)


# --- junk ----------------------------------------------------------------------------------------------------------

_WORDS: Final = st.sampled_from(["accounts", "id", "door", "kind", "direct", "sip", "mqtt", "port", "5060", "1-2"])
_MARKS: Final = st.sampled_from(
    ["!secret", "!env_var", "!!int", "&a", "*a", "---", "...", "null", *"<-?:,[]{}'\"|>#%@`~\\"]
)
_GAPS: Final = st.sampled_from(["", " ", "\n", "\n  ", ": ", "\t"])
_YAML_LIKE: Final = st.lists(st.builds(str.__add__, _GAPS, _WORDS | _MARKS), max_size=40).map("".join)


def _complaints(file: Path) -> list[str]:
    try:
        load(file)
    except ConfigError as error:
        return str(error).splitlines()
    return []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode), _YAML_LIKE.map(str.encode)))
def test_junk_gets_lines_and_nothing_else(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(data)
    assert all(line.startswith(str(file)) for line in _complaints(file))


_JUNK: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KEYS: Final = st.sampled_from(sorted({str(key) for key in {**DIRECT, **REGISTERED}}))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bridge=_JUNK,
    mqtt=st.dictionaries(st.sampled_from(["broker", "host", "port", "username", "password", "base_topic"]), _JUNK),
    sip=st.dictionaries(
        st.sampled_from(["bind", "port", "tls_port", "tls", "rtp_ports", "advertised_host", "limits"]), _JUNK
    ),
    accounts=_JUNK | st.lists(st.dictionaries(_KEYS, _JUNK | st.sampled_from(["direct", "registered"])), max_size=3),
)
def test_junk_in_the_right_places_gets_lines_and_nothing_else(
    bridge: object, mqtt: object, sip: object, accounts: object, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"bridge": bridge, "mqtt": mqtt, "sip": sip, "accounts": accounts}))
    assert all(line.startswith(str(file)) for line in _complaints(file))


@pytest.mark.parametrize(("text", "value"), [("auto", None), ("0", 0), ("5", 5)])
def test_a_keep_alive_is_automatic_never_or_a_time(loaded: Load, text: str, value: int | None) -> None:
    (account,) = loaded(
        f"accounts: [{{id: a, kind: registered, server: s.example, user: u, password: p, keep_alive: {text}}}]"
    ).accounts
    assert isinstance(account, RegisteredAccount)
    assert account.keep_alive == value


@pytest.mark.parametrize(("text", "value"), [("auto", None), ("true", True), ("false", False)])
def test_message_waiting_is_heard_asked_for_or_refused(loaded: Load, text: str, value: bool | None) -> None:
    (account,) = loaded(
        f"accounts: [{{id: a, kind: registered, server: s.example, user: u, password: p, message_waiting: {text}}}]"
    ).accounts
    assert isinstance(account, RegisteredAccount)
    assert account.message_waiting is value


@pytest.mark.parametrize(
    ("dtmf", "line"),
    [
        (
            "{terminator: x}",
            "dtmf.terminator: expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, *, #, A, B, C, D, none; got 'x'",
        ),
        ("{max_digits: 65}", "dtmf.max_digits: expected a number from 1 to 64; got '65'"),
        ("{pause: 0.4}", "dtmf.pause: expected a number of seconds from 0.5 to 60; got '0.4'"),
        ("{pause: 1e1}", "dtmf.pause: expected a number of seconds from 0.5 to 60; got '1e1'"),
        ("{mask: maybe}", "dtmf.mask: expected true or false; got 'maybe'"),
        ("{codes: 4711}", "dtmf.codes: expected lines of KEY: VALUE"),
        ("{codes: {Front door: 4711}}", "dtmf.codes.'Front door': expected a name of a-z, 0-9, _ and -"),
        ("{codes: {a: 47x1}}", "dtmf.codes.a: expected keys like 1234, in quotes if * or # is among them"),
        ("{codes: {a: [4711]}}", "dtmf.codes.a: expected keys like 1234, in quotes if * or # is among them"),
        ("{codes: {a: '47#1'}}", "dtmf.codes.a: expected a code without '#', which ends what is entered"),
        ("{codes: {a: 4711}, max_digits: 3}", "dtmf.codes.a: expected at most 3 keys (max_digits)"),
        ("{code: 4711}", "dtmf: unknown key 'code', did you mean 'codes'?"),
    ],
)
def test_a_mistake_about_keys_gets_one_line_without_a_code(dtmf: str, line: str, complaint: Complain) -> None:
    assert complaint(f"accounts:\n- id: d\n  kind: direct\n  dtmf: {dtmf}") == f"config.yaml:4: accounts[0].{line}"


def test_there_are_so_many_codes_at_most(complaint: Complain) -> None:
    codes = ", ".join(f"c{n}: {n}" for n in range(65))
    text = complaint(f"accounts:\n- {{id: d, kind: direct, dtmf: {{codes: {{{codes}}}}}}}")
    assert text == "config.yaml:2: accounts[0].dtmf.codes: expected at most 64 lines, got 65"


def test_codes_are_in_no_repr_and_not_in_what_mqtt_shows(loaded: Load) -> None:
    result = loaded("accounts: [{id: d, kind: direct, dtmf: {terminator: none, codes: {family: 4711}}}]")
    assert "4711" not in repr(result) + json.dumps(redacted(result))
    assert redacted(result)["accounts"][0]["dtmf"] == {
        "terminator": None,
        "max_digits": 16,
        "pause": 3.0,
        "mask": None,
        "inband": False,
        "codes": [{"name": "family", "digits": "***"}],
        "method": "auto",
    }


@pytest.mark.parametrize(
    ("dtmf", "is_masked"),
    [("{}", False), ("{mask: true}", True), ("{codes: {a: 1}}", True), ("{codes: {a: 1}, mask: false}", False)],
)
def test_digits_are_masked_where_codes_are_entered(loaded: Load, dtmf: str, is_masked: bool) -> None:
    (account,) = loaded(f"accounts: [{{id: d, kind: direct, dtmf: {dtmf}}}]").accounts
    assert account.dtmf.is_masked is is_masked
