"""``sip-bridge doctor``: what of the world around is not as the bridge needs it, and what to do."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import click

from sip_bridge.cli.remote import Remote, RemoteError
from sip_bridge.config import Config, EmbeddedMQTT
from sip_bridge.errors import InvalidAccountInfoError, NoPortsAvailableError, SipBridgeError, TransportError
from sip_bridge.media.codec import CODECS
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.phone import VoIPPhone, line_of
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.resolver import Resolver, Target
from sip_bridge.phone.settings import DirectAccount, RegisteredAccount, SIPSettings
from sip_bridge.phone.transport.sockets import open_sockets
from sip_bridge.sip.events import OptionsAnswered
from sip_bridge.sip.line import RegisteredLine

ANSWER_TIMEOUT: Final = 8.0  # seconds for a registrar
_PAIRS_WANTED: Final = 8  # RTP port pairs: calls at a time in a house, with room


class Verdict(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    HINT = "hint"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, what was seen, and what a person can do."""

    verdict: Verdict
    subject: str
    text: str
    advice: str = ""


async def diagnose(config: Config, path: Path, *, as_json: bool) -> bool:
    """Look at everything and say each finding as it comes; True when there is no problem."""
    is_well = True
    async for finding in _findings(config, path):
        click.echo(json.dumps(asdict(finding)) if as_json else _line(finding))
        is_well = is_well and finding.verdict is not Verdict.PROBLEM
    return is_well


_MARKS: Final = {
    Verdict.OK: click.style("ok     ", fg="green"),
    Verdict.HINT: click.style("hint   ", fg="yellow"),
    Verdict.PROBLEM: click.style("PROBLEM", fg="red", bold=True),
}


def _line(finding: Finding) -> str:
    advice = f"\n          {finding.advice}" if finding.advice else ""
    return f"{_MARKS[finding.verdict]}  {finding.subject}: {finding.text}{advice}"


def _ok(subject: str, text: str) -> Finding:
    return Finding(verdict=Verdict.OK, subject=subject, text=text)


def _hint(subject: str, text: str, advice: str) -> Finding:
    return Finding(verdict=Verdict.HINT, subject=subject, text=text, advice=advice)


def _problem(subject: str, text: str, advice: str) -> Finding:
    return Finding(verdict=Verdict.PROBLEM, subject=subject, text=text, advice=advice)


async def _findings(config: Config, path: Path) -> AsyncIterator[Finding]:
    yield _clock(path)
    is_running, broker = await _broker(config)
    yield broker
    yield _sip_ports(config.sip, is_running=is_running)
    yield _rtp_ports(config.sip)
    yield _codecs(config)
    for account in config.accounts:
        match account:
            case RegisteredAccount():
                async for finding in _registered(config, account, is_running=is_running):
                    yield finding
            case DirectAccount():
                yield _direct(account)


def _clock(path: Path) -> Finding:
    if time.time() < path.stat().st_mtime - 60:
        advice = "Set the clock (on Debian: sudo timedatectl set-ntp true): certificates and times of calls need it."
        return _problem("clock", f"it is earlier than {path} was written", advice)
    return _ok("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


async def _broker(config: Config) -> tuple[bool, Finding]:
    """Whether the bridge runs, and how its broker is."""
    mqtt = config.mqtt
    where = f"{mqtt.host}:{mqtt.port}"
    try:
        async with Remote.of(config) as remote:
            await remote.check_online()
            return True, _ok("MQTT broker", f"{where} is there, and so is the bridge")
    except RemoteError as error:
        problem = str(error)
    if "no connection" not in problem:
        return False, _ok("MQTT broker", f"{where} is there; the bridge does not run now")
    if isinstance(mqtt, EmbeddedMQTT):
        return False, _ok("MQTT broker", f"embedded: it will listen on {where} when the bridge runs")
    return False, _problem(
        "MQTT broker", problem, "Is it running, is mqtt.host right, do username and password belong to it?"
    )


def _sip_ports(sip: SIPSettings, *, is_running: bool) -> Finding:
    subject = f"SIP port {sip.port}"
    if is_running:
        return _ok(subject, "the bridge has it")
    try:
        open_sockets(sip.hosts, sip.port, sip.tls_port if sip.tls.certificate is not None else None).close()
    except TransportError as error:
        return _problem(subject, str(error), "Stop the other program, or choose another sip.port.")
    return _ok(subject, f"free on {' and '.join(sip.hosts)}")


def _rtp_ports(sip: SIPSettings) -> Finding:
    subject = f"RTP ports {sip.rtp_ports.low} to {sip.rtp_ports.high}"
    allocator = PortAllocator(sip.rtp_ports)
    bound: list[socket.socket] = []
    try:
        for _ in range(_PAIRS_WANTED):
            bound += allocator.bind(sip.hosts[0])
    except NoPortsAvailableError:
        text = f"only {len(bound) // 2} calls at a time find a pair of free ports"
        return _problem(subject, text, "Give sip.rtp_ports a wider range, such as 10000-10999.")
    finally:
        for sock in bound:
            sock.close()
    return _ok(subject, "free")


def _codecs(config: Config) -> Finding:
    wanted = {name for account in config.accounts for name in account.codecs}
    missing = sorted(name for name in wanted if not CODECS[name].is_available)
    if missing:
        return _problem("codecs", f"{', '.join(missing)} can't be used", "pip install 'sip-bridge[audio]'")
    if not all(codec.is_available for codec in CODECS.values()):
        text = "G.711 only: calls sound like a telephone, and WAV files alone can be played"
        return _hint("codecs", text, "pip install 'sip-bridge[audio]' brings G.722, Opus, MP3 and the rest.")
    return _ok("codecs", ", ".join(CODECS))


def _direct(account: DirectAccount) -> Finding:
    networks = ", ".join(map(str, account.allow_from))
    return _ok(f"line {account.id}", f"is called as sip:{account.user}@ this computer, from {networks}")


async def _registered(config: Config, account: RegisteredAccount, *, is_running: bool) -> AsyncIterator[Finding]:
    subject = f"line {account.id}"
    line = line_of(account)
    assert isinstance(line, RegisteredLine)  # noqa: S101  # a registered account's
    targets = await Resolver().resolve(line.registrar)
    if not targets:
        advice = "Is the name spelled right? `getent hosts NAME` shows whether this computer can resolve it."
        yield _problem(subject, f"no address of {account.server} that this computer could reach", advice)
        return
    yield _ok(subject, f"{account.server} is {', '.join(map(_shown, targets))}")
    if _is_behind_nat(targets[0].host) and config.sip.advertised_host is None:
        text = "the server is on the internet and this computer behind a router"
        yield _hint(subject, text, "Usually all goes well; if callers aren't heard, set sip.advertised_host.")
    if is_running:
        return  # it is registered already: `watch` tells
    async for finding in _tried(config, account, subject):
        yield finding


def _shown(target: Target) -> str:
    return f"{target.host} port {target.port} ({target.transport})"


def _is_behind_nat(server: str) -> bool:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((server, 9))
        ours: str = probe.getsockname()[0]
    return ip_address(server).is_global and not ip_address(ours.partition("%")[0]).is_global


async def _tried(config: Config, account: RegisteredAccount, subject: str) -> AsyncIterator[Finding]:
    """Ask the server whether it is there, then register as the bridge would, and remove that again."""
    settings = SIPSettings(bind=config.sip.bind, port=0, tls=config.sip.tls)
    try:
        async with SIPClient(settings) as client:
            phone = VoIPPhone(client, account, listener=lambda *_: None)
            client.add_line(line_of(account), phone)
            yield await _is_there(phone, account, subject)
            phone.register()
            yield await _is_registered(phone, account, subject)
            phone.unregister()
    except SipBridgeError as error:
        yield _problem(subject, str(error), "")


async def _is_there(phone: VoIPPhone, account: RegisteredAccount, subject: str) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            outcome = await phone.send_options(f"sip:{account.server}")
    except TimeoutError:
        outcome = None
    if isinstance(outcome, OptionsAnswered):
        return _ok(subject, f"the server answers{f': {outcome.server}' if outcome.server else ''}")
    advice = f"Is it running, is transport: {account.transport} right, is a firewall in between?"
    return _hint(subject, "the server does not answer OPTIONS", advice)


async def _is_registered(phone: VoIPPhone, account: RegisteredAccount, subject: str) -> Finding:
    try:
        await phone.registered(timeout=ANSWER_TIMEOUT)
    except InvalidAccountInfoError as error:
        advice = "Compare user, auth_user and password with what the server has."
        return _problem(subject, _without_id(str(error), account), advice)
    except TimeoutError:
        told = phone.registration
        said = f"{int(told.status)} {told.phrase}" if told is not None and told.status is not None else "no answer"
        return _problem(subject, f"not registered: {said}", "Is the server reachable, and the account there enabled?")
    return _ok(subject, f"registers as {account.user}")


def _without_id(text: str, account: RegisteredAccount) -> str:
    return text.removeprefix(f"{account.id}: ")
