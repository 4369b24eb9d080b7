"""``sip-bridge doctor``: what of the world around is not as the bridge needs it, and what to do."""

import json
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from sip_bridge.cli.doctor_registrar import registered
from sip_bridge.cli.exit_codes import ExitCode
from sip_bridge.cli.findings import Finding, Verdict, hint, ok, problem
from sip_bridge.cli.remote import NoBrokerError, RefusedError, Remote, RemoteError
from sip_bridge.config import Config, EmbeddedMQTT
from sip_bridge.errors import NoPortsAvailableError, TransportError
from sip_bridge.media.codec import CODECS
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.settings import DirectAccount, RegisteredAccount, SIPSettings
from sip_bridge.phone.transport.sockets import open_sockets

_PAIRS_WANTED: Final = 8  # RTP port pairs: calls at a time in a house, with room
_BROKER: Final = "MQTT broker"
_UFW: Final = Path("/etc/ufw/ufw.conf")
_FIREWALLD: Final = Path("/run/firewalld")


async def diagnose(config: Config, path: Path, *, as_json: bool) -> ExitCode:
    """Look at everything and say each finding as it comes; done when there is no problem."""
    code = ExitCode.DONE
    async for finding in _findings(config, path):
        click.echo(json.dumps(asdict(finding)) if as_json else _line(finding))
        if finding.verdict is Verdict.PROBLEM:
            code = ExitCode.FAILED
    return code


_MARKS: Final = {
    Verdict.OK: click.style("ok     ", fg="green"),
    Verdict.HINT: click.style("hint   ", fg="yellow"),
    Verdict.PROBLEM: click.style("PROBLEM", fg="red", bold=True),
}


def _line(finding: Finding) -> str:
    advice = f"\n          {finding.advice}" if finding.advice else ""
    return f"{_MARKS[finding.verdict]}  {finding.subject}: {finding.text}{advice}"


async def _findings(config: Config, path: Path) -> AsyncIterator[Finding]:
    yield _clock(path)
    is_running = False
    async for finding, is_bridge in _broker(config):
        is_running = is_running or is_bridge
        yield finding
    yield _sip_ports(config.sip, is_running=is_running)
    yield _rtp_ports(config.sip)
    for finding in (*_firewall(config.sip), _codecs(config), *_folders(config)):
        yield finding
    for account in config.accounts:
        match account:
            case RegisteredAccount():
                async for finding in registered(config, account, is_running=is_running):
                    yield finding
            case DirectAccount():
                yield _direct(account)


def _clock(path: Path) -> Finding:
    if time.time() < path.stat().st_mtime - 60:
        advice = "Set the clock (on Debian: sudo timedatectl set-ntp true): certificates and times of calls need it."
        return problem("clock", f"it is earlier than {path} was written", advice)
    return ok("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


async def _broker(config: Config) -> AsyncIterator[tuple[Finding, bool]]:
    """How the broker is, each with whether the bridge runs."""
    mqtt = config.mqtt
    where = f"{mqtt.host}:{mqtt.port}"
    try:
        async with Remote.of(config) as remote:
            is_running = await remote.is_online()
            there = "and so is the bridge" if is_running else "the bridge does not run now"
            yield ok(_BROKER, f"{where} is there, {there}"), is_running
            if not await remote.hears_itself():
                yield _denied(config), is_running
    except NoBrokerError as error:
        yield _no_broker(config, str(error)), False
    except RefusedError as error:
        user = "no user name" if mqtt.username is None else f"the user {mqtt.username}"
        advice = f"Compare mqtt.username and mqtt.password with what the broker has; {user} was given."
        yield problem(_BROKER, str(error), advice), False
    except RemoteError as error:
        yield problem(_BROKER, str(error), "Its log should say why."), False


def _no_broker(config: Config, text: str) -> Finding:
    mqtt = config.mqtt
    if isinstance(mqtt, EmbeddedMQTT):
        return ok(_BROKER, f"embedded: it will listen on {mqtt.host}:{mqtt.port} when the bridge runs")
    advice = "Is it running, are mqtt.host and mqtt.port right, is a firewall in between?"
    return problem(_BROKER, text, advice)


def _denied(config: Config) -> Finding:
    base = config.mqtt.base_topic
    text = f"what is published below {base}/{config.bridge.id} does not come back"
    advice = (
        f"Let its user read and write {base}/# and sip_bridge/# (mosquitto: acl_file), and read homeassistant/status."
    )
    return problem(_BROKER, text, advice)


def _sip_ports(sip: SIPSettings, *, is_running: bool) -> Finding:
    subject = f"SIP port {sip.port}"
    if is_running:
        return ok(subject, "the bridge has it")
    has_tls = sip.tls.certificate is not None
    try:
        open_sockets(sip.hosts, sip.port, sip.tls_port if has_tls else None).close()
    except TransportError as error:
        return problem(subject, str(error), "Stop the other program, or choose another sip.port.")
    tls = f", and {sip.tls_port} for TLS" if has_tls else ""
    return ok(subject, f"free on {' and '.join(sip.hosts)}, for UDP and TCP{tls}")


def _rtp_ports(sip: SIPSettings) -> Finding:
    subject = f"RTP ports {sip.rtp_ports.low} to {sip.rtp_ports.high}"
    allocator = PortAllocator(sip.rtp_ports)
    bound: list[socket.socket] = []
    try:
        for _ in range(_PAIRS_WANTED):
            bound += allocator.bind(sip.hosts[0])
    except NoPortsAvailableError:
        text = f"only {len(bound) // 2} calls at a time find a pair of free ports"
        return problem(subject, text, "Give sip.rtp_ports a wider range, such as 10000-10999.")
    finally:
        for sock in bound:
            sock.close()
    return ok(subject, "free")


def _firewall(sip: SIPSettings) -> Iterator[Finding]:
    """What its rules are, only root can see; that there is one, everybody."""
    rtp = f"{sip.rtp_ports.low}-{sip.rtp_ports.high}"
    if _UFW.exists() and "enabled=yes" in _UFW.read_text(encoding="utf-8", errors="replace").lower():
        rules = f"sudo ufw allow {sip.port}; sudo ufw allow {rtp.replace('-', ':')}/udp"
    elif _FIREWALLD.exists():
        rules = (
            f"sudo firewall-cmd --permanent --add-port={sip.port}/udp --add-port={sip.port}/tcp --add-port={rtp}/udp"
        )
    else:
        return
    text = "this computer has one, and it has to let SIP and RTP in"
    yield hint("firewall", text, f"If the bell is not heard here, or nobody is heard: {rules}")


def _codecs(config: Config) -> Finding:
    wanted = {name for account in config.accounts for name in account.codecs}
    missing = sorted(name for name in wanted if not CODECS[name].is_available)
    if missing:
        return problem("codecs", f"{', '.join(missing)} can't be used", "pip install 'sip-bridge[audio]'")
    if not all(codec.is_available for codec in CODECS.values()):
        text = "G.711 only: calls sound like a telephone, and WAV files alone can be played"
        return hint("codecs", text, "pip install 'sip-bridge[audio]' brings G.722, Opus, MP3 and the rest.")
    return ok("codecs", ", ".join(CODECS))


def _folders(config: Config) -> Iterator[Finding]:
    yield _folder("state", config.state_dir, least=1 << 20, key="state_dir")
    if config.recording is not None and any(account.record != "never" for account in config.accounts):
        yield _folder("recordings", config.recording.folder, least=config.recording.min_free, key="recording.folder")


def _folder(subject: str, folder: Path, *, least: int, key: str) -> Finding:
    """Whether there can be files in a folder, which may not be there yet."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir():
        return problem(subject, f"{there} is no folder", f"Remove it, or choose another {key}.")
    if not os.access(there, os.W_OK | os.X_OK):
        return problem(subject, f"nothing can be written in {there}", f"Let this user write there, or change {key}.")
    free = shutil.disk_usage(there).free
    if free < least:
        text = f"only {free >> 20} MiB are free on the disk of {folder}"
        return problem(subject, text, f"Delete something, or choose another {key}.")
    return ok(subject, f"{folder}, {free >> 30} GiB free")


def _direct(account: DirectAccount) -> Finding:
    networks = ", ".join(map(str, account.allow_from))
    return ok(f"line {account.id}", f"is called as sip:{account.user}@ this computer, from {networks}")
