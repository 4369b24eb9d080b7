"""``sip-bridge trace``: the SIP messages of the running bridge as a ladder, and in files to attach to a bug report."""

import asyncio
import json
from pathlib import Path
from typing import Final

import click

from sip_bridge.cli.ladder import Arrow, Ladder, arrow_of, svg
from sip_bridge.cli.pcap import pcap
from sip_bridge.cli.remote import Remote, RemoteError, Seen
from sip_bridge.cli.serve import stop_signals
from sip_bridge.config import Config
from sip_bridge.errors import SipBridgeError
from sip_bridge.mqtt import contract

LEASE: Final = 60.0  # seconds that the bridge goes on showing messages after we are gone without a word
MAX_ARROWS: Final = 100_000  # that are kept for the files


async def trace_calls(config: Config, *, as_json: bool, pcap_file: Path | None, svg_file: Path | None) -> None:
    """Draw until Ctrl-C, then write the files."""
    arrows: list[Arrow] = []
    with stop_signals() as stop:
        async with Remote.of(config) as remote:
            await remote.check_online()
            await _ask(remote, LEASE)
            click.echo("Every SIP message is drawn here. Ctrl-C stops.", err=True)
            drawing = asyncio.create_task(_draw(remote, arrows, as_json=as_json), name="draw")
            renewing = asyncio.create_task(_renew(remote), name="renew")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait((drawing, renewing, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in (drawing, renewing, stopping):
                task.cancel()
            _write(arrows, pcap_file, svg_file)
            for task in (drawing, renewing):
                if task.done() and not task.cancelled():
                    task.result()
            await _ask(remote, 0)


async def _ask(remote: Remote, seconds: float) -> None:
    response = await remote.request(None, "trace", contract.Trace(seconds=seconds))
    if response.error is not None:
        raise RemoteError(response.error.message)


async def _renew(remote: Remote) -> None:
    while True:
        await asyncio.sleep(LEASE / 2)
        await _ask(remote, LEASE)


async def _draw(remote: Remote, arrows: list[Arrow], *, as_json: bool) -> None:
    ladder, topic = Ladder(), remote.topics.of_bridge("trace")
    while (seen := await remote.messages.get()) is not None:
        arrow = _arrow(seen) if seen.topic == topic else None
        if arrow is None:
            continue
        if len(arrows) < MAX_ARROWS:
            arrows.append(arrow)
        click.echo(seen.payload if as_json else "\n".join(ladder.lines(arrow)))
    raise RemoteError("the connection to the broker broke")


def _arrow(seen: Seen) -> Arrow | None:
    try:
        ts = json.loads(seen.payload)["ts"]
    except (ValueError, KeyError, TypeError):
        return None  # not the bridge's
    return arrow_of(seen.payload, str(ts))


def _write(arrows: list[Arrow], pcap_file: Path | None, svg_file: Path | None) -> None:
    try:
        if pcap_file is not None:
            pcap_file.write_bytes(pcap((arrow.at, arrow.traced) for arrow in arrows))
        if svg_file is not None:
            svg_file.write_text(svg(arrows), encoding="utf-8")
    except OSError as error:
        raise SipBridgeError(f"{error.filename} can't be written: {error.strerror}") from error
