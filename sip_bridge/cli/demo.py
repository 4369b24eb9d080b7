"""``sip-bridge demo``: the bridge on its defaults, a door station that rings it, and the MQTT messages as a table."""

import asyncio
import contextlib
import socket
import tempfile
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from sip_bridge.bridge.service import running
from sip_bridge.cli.messages import MessageTable
from sip_bridge.cli.remote import Remote
from sip_bridge.cli.ring import press_the_bell
from sip_bridge.cli.serve import introduction, stop_signals
from sip_bridge.config import BridgeSettings, Config, EmbeddedMQTT
from sip_bridge.phone.settings import DirectAccount, SIPSettings

RING_SECONDS: Final = 3.0  # before the demo answers over MQTT
TALK_SECONDS: Final = 3.0
LAST_MESSAGE_SECONDS: Final = 5.0  # at the most, until the end of the call has come over MQTT


def demo_config(state_dir: Path) -> Config:
    """The embedded defaults, on other ports where those are taken."""
    return Config(
        bridge=BridgeSettings(),
        mqtt=EmbeddedMQTT(port=_free_or_any(socket.SOCK_STREAM, "127.0.0.1", EmbeddedMQTT().port)),
        sip=SIPSettings(port=_free_or_any_sip_port()),
        accounts=(DirectAccount(id="door", name="Door", user="door"),),
        log_level="warning",
        state_dir=state_dir,
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
    with tempfile.TemporaryDirectory(prefix="sip-bridge-demo-") as folder, stop_signals() as stop:
        config = demo_config(Path(folder))
        async with running(config) as bridge:
            for line in introduction(config, bridge):
                click.echo(line)
            async with Remote.of(config, port=bridge.mqtt_port) as remote:
                show = _Demo(remote.topics.prefix)
                printing = asyncio.create_task(show.show_all(remote), name="print messages")
                answering = asyncio.create_task(_answer(remote, show.rang), name="answer")
                await press_the_bell(
                    f"sip:door@127.0.0.1:{bridge.sip_port}",
                    ring_seconds=10 * RING_SECONDS,
                    talk_seconds=TALK_SECONDS,
                    stop=stop,
                    say=lambda text, **_: show.add(topic="(door station)", text=text),
                )
                with contextlib.suppress(TimeoutError):  # a call that was never placed has no end to show
                    async with asyncio.timeout(LAST_MESSAGE_SECONDS):
                        await show.ended.wait()
                if not once and not stop.is_set():
                    show.add(topic="(demo)", text="The bridge goes on: ring it yourself. Ctrl-C stops it.")
                    await stop.wait()
                for task in (printing, answering):
                    task.cancel()


async def _answer(remote: Remote, rang: asyncio.Event) -> None:
    """What an automation would do: answer over MQTT, some seconds after it rang."""
    await rang.wait()
    await asyncio.sleep(RING_SECONDS)
    remote.publish(remote.topics.of_account("door", "request", "answer"), "")


class _Demo(MessageTable):
    """The messages, and two of them that the demo waits for."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix, Console())
        self.rang = asyncio.Event()
        self.ended = asyncio.Event()

    async def show_all(self, remote: Remote) -> None:
        """Each message as it comes."""
        while (seen := await remote.messages.get()) is not None:
            self.show(seen)
            topic = self.short(seen)
            if topic.endswith("/event/RINGING"):
                self.rang.set()
            elif topic.endswith("/event/CALL_ENDED"):
                self.ended.set()
