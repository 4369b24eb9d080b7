"""``sip-bridge demo``: the bridge on its defaults, a door station that rings it, and the MQTT messages as a table."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from sip_bridge.bridge.service import running
from sip_bridge.cli.ring import press_the_bell
from sip_bridge.cli.serve import introduction, stop_signals
from sip_bridge.cli.watcher import Seen, Watcher, watching
from sip_bridge.config import BridgeSettings, Config, EmbeddedMQTT
from sip_bridge.phone.settings import DirectAccount, SIPSettings

RING_SECONDS: Final = 3.0  # before the demo answers over MQTT
TALK_SECONDS: Final = 3.0
LAST_MESSAGE_SECONDS: Final = 5.0  # at the most, until the end of the call has come over MQTT

_COLUMNS: Final = (("time", 12), ("topic", 46), ("message", 60))


def demo_config() -> Config:
    """The embedded defaults, on other ports where those are taken."""
    return Config(
        bridge=BridgeSettings(),
        mqtt=EmbeddedMQTT(port=_free_or_any(socket.SOCK_STREAM, "127.0.0.1", EmbeddedMQTT().port)),
        sip=SIPSettings(port=_free_or_any_sip_port()),
        accounts=(DirectAccount(id="door", name="Door", user="door"),),
        log_level="warning",
        state_dir=Path(tempfile.gettempdir()),
    )


def _free_or_any_sip_port() -> int:
    """SIP's own port if it is free for UDP and TCP, else 0."""
    port = SIPSettings().port
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    return port if all(_free_or_any(kind, "0.0.0.0", port) for kind in kinds) else 0  # noqa: S104  # as the bridge will


def _free_or_any(kind: socket.SocketKind, host: str, port: int) -> int:
    """``port`` if it is free, else 0: the kernel's choice. The bridge itself may be running already."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return 0
    return port


async def run_demo(*, once: bool) -> None:
    """Ring, answer over MQTT, talk, hang up; then wait for Ctrl-C, or stop."""
    config = demo_config()
    with stop_signals() as stop:
        async with running(config) as bridge:
            for line in introduction(config, bridge):
                click.echo(line)
            topic = f"{config.mqtt.base_topic}/{config.bridge.id}"
            async with watching(bridge.mqtt_host, bridge.mqtt_port, f"{topic}/#") as watcher:
                show = _Messages(topic)
                printing = asyncio.create_task(show.print_all(watcher), name="print messages")
                answering = asyncio.create_task(_answer(watcher, topic, show.rang), name="answer")
                await press_the_bell(
                    f"sip:door@127.0.0.1:{bridge.sip_port}",
                    ring_seconds=10 * RING_SECONDS,
                    talk_seconds=TALK_SECONDS,
                    stop=stop,
                    say=lambda text: show.add(topic="(door station)", text=text),
                )
                with contextlib.suppress(TimeoutError):  # a call that was never placed has no end to show
                    async with asyncio.timeout(LAST_MESSAGE_SECONDS):
                        await show.ended.wait()
                if not once and not stop.is_set():
                    show.add(topic="(demo)", text="The bridge goes on: ring it yourself. Ctrl-C stops it.")
                    await stop.wait()
                for task in (printing, answering):
                    task.cancel()


async def _answer(watcher: Watcher, topic: str, rang: asyncio.Event) -> None:
    """What an automation would do: answer over MQTT, some seconds after it rang."""
    await rang.wait()
    await asyncio.sleep(RING_SECONDS)
    watcher.publish(f"{topic}/account/door/request/answer", "")


class _Messages:
    """A table that grows downwards: on a terminal with colours, elsewhere as plain lines."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._console = Console()
        self.rang = asyncio.Event()
        self.ended = asyncio.Event()
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
        self._row(lambda table: table.add_row(now, topic, text, style=style))

    async def print_all(self, watcher: Watcher) -> None:
        """Each message as it comes."""
        while True:
            seen: Seen = await watcher.messages.get()
            topic = seen.topic.removeprefix(self._prefix + "/")
            self.add(topic=topic, text=seen.gist, style=_style(topic))
            if topic.endswith("/event/RINGING"):
                self.rang.set()
            elif topic.endswith("/event/CALL_ENDED"):
                self.ended.set()


def _print_header(table: Table) -> None:
    table.add_row(*(name.upper() for name, _ in _COLUMNS), style="bold")


def _style(topic: str) -> str:
    if "/event/" in topic:
        return "green"
    if "/request/" in topic or "/response/" in topic:
        return "yellow"
    return "dim"
