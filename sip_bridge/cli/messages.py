"""MQTT messages for a person to read: on a terminal with colours, elsewhere as plain lines."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from sip_bridge.cli.remote import Seen

_COLUMNS: Final = (("time", 12), ("topic", 46), ("message", 60))


class MessageTable:
    """A table that grows downwards; where there is no terminal, a line a message for other programs."""

    def __init__(self, prefix: str, console: Console) -> None:
        self._prefix = prefix
        self._console = console
        if console.is_terminal:
            self._row(_print_header)

    def _row(self, fill: Callable[[Table], None]) -> None:
        table = Table.grid(padding=(0, 1))
        for _, width in _COLUMNS:
            table.add_column(width=width, overflow="fold")
        fill(table)
        self._console.print(table)

    def add(self, *, topic: str, text: str, style: str = "") -> None:
        """One line."""
        now = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        if self._console.is_terminal:
            self._row(lambda table: table.add_row(now, topic, text, style=style))
        else:
            click.echo(f"{now}  {topic}  {text}")

    def show(self, seen: Seen) -> None:
        """One message."""
        topic = self.short(seen)
        self.add(topic=topic, text=seen.gist, style=_style(topic))

    def short(self, seen: Seen) -> str:
        """A message's topic below the bridge's."""
        return seen.topic.removeprefix(self._prefix + "/")


def as_line(seen: Seen) -> str:
    """A message as one line of JSON."""
    try:
        payload = json.loads(seen.payload)
    except json.JSONDecodeError:
        payload = seen.payload
    return json.dumps({"topic": seen.topic, "retained": seen.retained, "payload": payload}, ensure_ascii=False)


def _print_header(table: Table) -> None:
    table.add_row(*(name.upper() for name, _ in _COLUMNS), style="bold")


def _style(topic: str) -> str:
    if "/event/" in topic:
        return "green"
    if "/request/" in topic or "/response/" in topic:
        return "yellow"
    return "dim"
