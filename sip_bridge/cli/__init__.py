"""The command ``sip-bridge``: commands, logging, signals and exit codes.

What a command needs is imported when it is called: `run` stays in memory for years, and has no use for the others'.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

import click

from sip_bridge import __version__, config
from sip_bridge.cli.exit_codes import EPILOG, ExitCode
from sip_bridge.cli.log import log_to_stderr, secrets_in
from sip_bridge.cli.serve import begin_anew, serve
from sip_bridge.errors import BrokerError, ConfigError, SipBridgeError

_NAME = "sip-bridge"
_COMPLETE = "_SIP_BRIDGE_COMPLETE"  # the variable by which a shell asks for completions
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


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, prog_name=_NAME)
@click.pass_context
def commands(context: click.Context) -> None:
    """Brings a door station, an intercom or a phone line to MQTT and Home Assistant."""
    if os.environ.get("NO_COLOR"):  # https://no-color.org
        context.color = False


@commands.command()
@_CONFIG
def run(path: Path) -> ExitCode:
    """Run the bridge until Ctrl-C or SIGTERM. SIGHUP has it read its configuration again."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    settings = config.load(path)
    log = log_to_stderr(settings.log_level, settings.log_format, secrets_in(settings))
    try:
        is_restart = asyncio.run(serve(settings, path, log))
    except SipBridgeError:
        raise
    except Exception:
        logging.getLogger("sip_bridge").critical("a bug ended the bridge", exc_info=True)
        return ExitCode.FAILED
    if is_restart:
        begin_anew()
    return ExitCode.DONE


@commands.command()
@_CONFIG
@_JSON
def check(path: Path, as_json: bool) -> ExitCode:
    """Check the configuration without starting anything."""
    try:
        settings = config.load(path)
    except ConfigError as error:
        if not as_json:
            raise
        click.echo(json.dumps({"ok": False, "problems": str(error).splitlines()}))
        return ExitCode.USAGE
    accounts = [account.id for account in settings.accounts]
    if as_json:
        click.echo(json.dumps({"ok": True, "bridge": settings.bridge.id, "accounts": accounts}))
    else:
        click.echo(f"{path} is right: bridge {settings.bridge.id}, accounts {', '.join(accounts)}")
    return ExitCode.DONE


@commands.command()
@_CONFIG
@_JSON
def doctor(path: Path, as_json: bool) -> ExitCode:
    """Look for what is wrong: clock, broker, ports, firewall, codecs, folders, names, registrars, NAT.

    Exit code 0: there is no problem.
    """
    from sip_bridge.cli.doctor import diagnose  # noqa: PLC0415

    settings = config.load(path)
    return asyncio.run(diagnose(settings, path, as_json=as_json))


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
@_JSON
def ring(uri: str, seconds: float, talk: float, as_json: bool) -> ExitCode:
    """Be a door station: call URI, ring, and talk when answered. Exit code 0: it was answered."""
    from sip_bridge.cli.ring import ring_once  # noqa: PLC0415

    log_to_stderr("warning")
    return asyncio.run(ring_once(uri, ring_seconds=seconds, talk_seconds=talk, as_json=as_json))


def _complete_account(context: click.Context, _parameter: click.Parameter, begin: str) -> list[str]:
    """The lines of the configuration, for a shell."""
    try:
        settings = config.load(context.params.get("path") or Path("config.yaml"))
    except ConfigError:
        return []
    return [account.id for account in settings.accounts if account.id.startswith(begin)]


@commands.command()
@_CONFIG
@click.argument("number")
@click.option(
    "--account", help="The line to call from; needed when there are several.", shell_complete=_complete_account
)
@click.option("--play", metavar="FILE_OR_URL", help="What to play once answered; then hang up.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to let it ring.")
@_JSON
def call(path: Path, number: str, account: str | None, play: str | None, seconds: float, as_json: bool) -> ExitCode:
    """Have the running bridge call NUMBER. Exit code 0: it was answered."""
    from sip_bridge.cli.call import call_number  # noqa: PLC0415

    settings = config.load(path)
    return asyncio.run(call_number(settings, number, account=account, play=play, seconds=seconds, as_json=as_json))


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


@commands.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what has SHELL complete this command: eval "$(sip-bridge completion bash)"."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click has all three
    click.echo(kind(commands, {}, _NAME, _COMPLETE).source())


def main() -> None:
    """The entry point: errors become one clear line and an exit code."""
    sys.exit(_run())


def _run() -> int:
    try:
        return int(commands.main(prog_name=_NAME, complete_var=_COMPLETE, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return ExitCode.INTERRUPTED
    except ConfigError as error:
        click.echo(str(error), err=True)
        return ExitCode.USAGE
    except SipBridgeError as error:
        click.echo(f"sip-bridge: {error}", err=True)
        if isinstance(error, BrokerError):
            click.echo("If a broker runs here already, use that one, with `mqtt: {host: 127.0.0.1}`.", err=True)
        return ExitCode.FAILED
