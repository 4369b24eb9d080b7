"""``sip-bridge run``: the service, and what a person wants to know when it starts."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from sip_bridge import __version__
from sip_bridge.bridge.service import Running, running
from sip_bridge.cli.log import formatter_of
from sip_bridge.config import Config, LogFormat, load
from sip_bridge.phone.settings import DirectAccount
from sip_bridge.phone.transport.addresses import local_address_towards
from sip_bridge.sip.uri import format_host_port

_LOG = logging.getLogger("sip_bridge")


async def serve(config: Config, path: Path, log: logging.Handler) -> bool:
    """Run until a signal asks to stop, or a request to restart: then it is True. SIGHUP reads ``path`` again."""
    say = partial(_say, config.log_format)
    with stop_signals() as stop:

        def on_reload(config: Config) -> None:
            log.setFormatter(formatter_of(config))

        async with running(config, read=partial(load, path), on_reload=on_reload) as bridge:
            with _hangup_signal(stop, bridge.reload):
                say(*introduction(config, bridge))
                await first_of(stop, bridge.restart_wanted)
            say("Stopping: hanging up, deregistering, saying goodbye.")
    say("Stopped.")
    return not stop.is_set()


def _say(log_format: LogFormat, *lines: str) -> None:
    """To a person at the terminal; where a program reads what is written, as lines of the log."""
    for line in lines:
        if log_format == "text":
            click.echo(line)
        elif line:
            _LOG.info("%s", " ".join(line.split()))


@contextlib.contextmanager
def _hangup_signal(stop: asyncio.Event, reload: Callable[[], None]) -> Iterator[None]:
    """SIGHUP reloads; but when it says that the terminal we were started from is gone, we stop."""
    had_terminal = sys.stdin is not None and sys.stdin.isatty()

    def on_signal() -> None:
        if had_terminal and not os.isatty(0):
            stop.set()
        else:
            reload()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, on_signal)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # too late to reload, and no reason to die


def begin_anew() -> NoReturn:
    """Become the command that started this process, in a process of the same id: a new version is run, too."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # our own command line


async def first_of(*events: asyncio.Event, timeout: float | None = None) -> None:  # noqa: ASYNC109  # passed on
    """Wait until one of them is set, or for ``timeout`` seconds."""
    waiting = [asyncio.create_task(event.wait(), name="wait") for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


@contextlib.contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGINT or SIGTERM sets; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        stop.set()
        restore()

    def restore() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        restore()


def introduction(config: Config, bridge: Running) -> list[str]:
    """Where it listens and what to try next."""
    host = format_host_port(reachable_host(config.sip.hosts, config.sip.advertised_host), bridge.sip_port)
    tls = "" if bridge.sip_tls_port is None else f", {bridge.sip_tls_port} (TLS)"
    kind = "embedded, for MQTT 5 and 3.1.1" if bridge.is_broker_embedded else "yours"
    topic = f"{config.mqtt.base_topic}/{config.bridge.id}"
    lines = [
        f"sip-bridge {__version__} is running. Ctrl-C stops it.",
        "",
        f"  MQTT broker   {bridge.mqtt_host}:{bridge.mqtt_port} ({kind})",
        f"  Topics        {topic}/#",
        f"  SIP           {' and '.join(bridge.sip_hosts)}, port {bridge.sip_port} (UDP and TCP){tls}",
    ]
    for account in config.accounts:
        if isinstance(account, DirectAccount):
            lines.append(f"  Line          {account.id}: call sip:{account.user}@{host}")
        else:
            lines.append(f"  Line          {account.id}: registers as {account.user} at {account.server}")
    return [
        *lines,
        "",
        "Try next, in a second terminal:",
        "  ./script/run ring                 a door station that rings the line",
        f"  mosquitto_sub -h {bridge.mqtt_host} -p {bridge.mqtt_port} -v -t '{topic}/#'",
        "",
    ]


def reachable_host(hosts: tuple[str, ...], advertised: str | None) -> str:
    """The address that a phone on the network would call."""
    if advertised is not None:
        return advertised
    if "0.0.0.0" not in hosts and hosts != ("::",):  # noqa: S104  # compared, not bound
        return next(host for host in hosts if host != "::")
    try:
        return local_address_towards("192.0.2.1" if "0.0.0.0" in hosts else "2001:db8::1")  # noqa: S104  # as above
    except OSError:
        return "127.0.0.1" if "0.0.0.0" in hosts else "::1"  # noqa: S104  # no network but this machine
