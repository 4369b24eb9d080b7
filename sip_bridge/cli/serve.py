"""``sip-bridge run``: the service, and what a person wants to know when it starts."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import click

from sip_bridge import __version__
from sip_bridge.bridge.service import Running, running
from sip_bridge.config import Config
from sip_bridge.phone.settings import DirectAccount
from sip_bridge.phone.transport.addresses import local_address_towards
from sip_bridge.sip.uri import format_host_port


async def serve(config: Config) -> None:
    """Run until a signal asks to stop."""
    with stop_signals() as stop:
        async with running(config) as bridge:
            for line in introduction(config, bridge):
                click.echo(line)
            await stop.wait()
            click.echo("Stopping: hanging up, deregistering, saying goodbye.")
    click.echo("Stopped.")


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
