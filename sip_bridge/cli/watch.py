"""``sip-bridge watch``: what the bridge publishes, as it comes; on a terminal with the state of every line below."""

import asyncio
from contextlib import nullcontext

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from sip_bridge.cli.messages import MessageTable, as_line
from sip_bridge.cli.remote import Remote, RemoteError, Seen
from sip_bridge.cli.serve import stop_signals
from sip_bridge.config import Config
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import AccountTopic, BridgeTopic


async def watch_bridge(config: Config, *, as_json: bool) -> None:
    """Print every message until Ctrl-C; RemoteError when the broker goes away."""
    with stop_signals() as stop:
        async with Remote.of(config) as remote:
            show = asyncio.create_task(_print_lines(remote) if as_json else _show(remote), name="show")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait((show, stopping), return_when=asyncio.FIRST_COMPLETED)
            if show.done():
                show.result()
            for task in (show, stopping):
                task.cancel()


async def _print_lines(remote: Remote) -> None:
    while (seen := await remote.messages.get()) is not None:
        click.echo(as_line(seen))
    raise RemoteError("the connection to the broker broke")


async def _show(remote: Remote) -> None:
    console = Console()
    lines = Lines()
    live = Live(lines.table(), console=console) if console.is_terminal else nullcontext()
    with live:
        messages = MessageTable(remote.topics.prefix, console)
        while (seen := await remote.messages.get()) is not None:
            messages.show(seen)
            if lines.take(remote.topics, seen) and isinstance(live, Live):
                live.update(lines.table())
    raise RemoteError("the connection to the broker broke")


class Lines:
    """Where every line stands."""

    def __init__(self) -> None:
        self._bridge = "unknown"
        self._calls: dict[str, str] = {}
        self._registrations: dict[str, str] = {}

    def take(self, topics: contract.Topics, seen: Seen) -> bool:
        """Whether a message changed something."""
        try:
            match topics.parse(seen.topic):
                case BridgeTopic(kind="state"):
                    self._bridge = contract.decode(contract.BridgeState, seen.payload).state
                case AccountTopic(account=account, kind="call"):
                    self._calls[account] = _said(contract.decode(contract.CallSnapshot, seen.payload))
                case AccountTopic(account=account, kind="registration"):
                    self._registrations[account] = contract.decode(contract.Registration, seen.payload).state
                case _:
                    return False
        except contract.ContractError:
            return False  # not the bridge's
        return True

    def table(self) -> Table:
        """A row a line."""
        table = Table("line", "registration", "calls", title=f"bridge: {self._bridge}", title_justify="left")
        for account in sorted(self._calls.keys() | self._registrations):
            table.add_row(account, self._registrations.get(account, ""), self._calls.get(account, ""))
        return table


def _said(snapshot: contract.CallSnapshot) -> str:
    if not snapshot.calls:
        return snapshot.state
    return ", ".join(f"{each.state} with {each.remote.name or each.remote.uri}" for each in snapshot.calls)
