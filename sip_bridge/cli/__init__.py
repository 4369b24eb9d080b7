"""The command ``sip-bridge``: commands, logging, signals and exit codes.

Exit codes: 0 done, 1 it could not be done (an address in use, nobody answered), 2 the configuration or the command
line is wrong.

What a command needs is imported when it is called: `run` stays in memory for years, and has no use for the others'.
"""

import asyncio
import signal
import sys
from pathlib import Path

import click

from sip_bridge import __version__, config
from sip_bridge.cli.log import log_to_stderr, secrets_in
from sip_bridge.cli.serve import begin_anew, serve
from sip_bridge.errors import BrokerError, ConfigError, SipBridgeError

_CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("config.yaml"),
    show_default=True,
    help="The configuration file.",
)


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, a line each.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sip-bridge")
def commands() -> None:
    """Brings a door station, an intercom or a phone line to MQTT and Home Assistant."""


@commands.command()
@_CONFIG
def run(path: Path) -> None:
    """Run the bridge until Ctrl-C or SIGTERM. SIGHUP has it read its configuration again."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    settings = config.load(path)
    log = log_to_stderr(settings.log_level, settings.log_format, secrets_in(settings))
    if asyncio.run(serve(settings, path, log)):
        begin_anew()


@commands.command()
@_CONFIG
def check(path: Path) -> None:
    """Check the configuration without starting anything."""
    settings = config.load(path)
    lines = ", ".join(account.id for account in settings.accounts)
    click.echo(f"{path} is right: bridge {settings.bridge.id}, accounts {lines}")


@commands.command()
@_CONFIG
@_JSON
def doctor(path: Path, as_json: bool) -> None:
    """Look for what is wrong: broker, ports, names, registrars, codecs. Exit code 0: nothing is."""
    from sip_bridge.cli.doctor import diagnose  # noqa: PLC0415

    settings = config.load(path)
    sys.exit(0 if asyncio.run(diagnose(settings, path, as_json=as_json)) else 1)


@commands.command()
@click.option("--once", is_flag=True, help="Stop after the first call.")
def demo(once: bool) -> None:  # click passes flags by position
    """Run the bridge with a simulated door station that rings it, and show the MQTT messages."""
    from sip_bridge.cli.demo import run_demo  # noqa: PLC0415

    log_to_stderr("warning")
    asyncio.run(run_demo(once=once))


@commands.command()
@click.argument("uri", default="sip:door@127.0.0.1:5060")
@click.option("--seconds", default=30.0, show_default=True, help="How long to ring before giving up.")
@click.option("--talk", default=30.0, show_default=True, help="How long to talk once answered.")
def ring(uri: str, seconds: float, talk: float) -> None:
    """Be a door station: call URI, ring, and talk when answered."""
    from sip_bridge.cli.ring import ring_once  # noqa: PLC0415

    log_to_stderr("warning")
    sys.exit(0 if asyncio.run(ring_once(uri, ring_seconds=seconds, talk_seconds=talk)) else 1)


@commands.command()
@_CONFIG
@click.argument("number")
@click.option("--account", help="The line to call from; needed when there are several.")
@click.option("--play", metavar="FILE_OR_URL", help="What to play once answered; then hang up.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to let it ring.")
@_JSON
def call(path: Path, number: str, account: str | None, play: str | None, seconds: float, as_json: bool) -> None:
    """Have the running bridge call NUMBER. Exit code 0: it was answered."""
    from sip_bridge.cli.call import call_number  # noqa: PLC0415

    settings = config.load(path)
    was_answered = asyncio.run(
        call_number(settings, number, account=account, play=play, seconds=seconds, as_json=as_json)
    )
    sys.exit(0 if was_answered else 1)


@commands.command()
@_CONFIG
@_JSON
def watch(path: Path, as_json: bool) -> None:
    """Show what the running bridge publishes, as it comes, until Ctrl-C."""
    from sip_bridge.cli.watch import watch_bridge  # noqa: PLC0415

    asyncio.run(watch_bridge(config.load(path), as_json=as_json))


_FILE = click.Path(path_type=Path, dir_okay=False, writable=True)


@commands.command()
@_CONFIG
@_JSON
@click.option("--pcap", "pcap_file", type=_FILE, help="Also write the messages to this file, for Wireshark.")
@click.option("--svg", "svg_file", type=_FILE, help="Also write the ladder to this file, as a picture.")
def trace(path: Path, as_json: bool, pcap_file: Path | None, svg_file: Path | None) -> None:
    """Show the SIP messages of the running bridge as a ladder, until Ctrl-C. Passwords, keys and PINs are masked."""
    from sip_bridge.cli.trace import trace_calls  # noqa: PLC0415

    asyncio.run(trace_calls(config.load(path), as_json=as_json, pcap_file=pcap_file, svg_file=svg_file))


def main() -> None:
    """The entry point: errors become one clear line and an exit code."""
    try:
        commands(standalone_mode=True)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except SipBridgeError as error:
        click.echo(f"sip-bridge: {error}", err=True)
        if isinstance(error, BrokerError):
            click.echo("If a broker runs here already, use that one, with `mqtt: {host: 127.0.0.1}`.", err=True)
        sys.exit(1)
