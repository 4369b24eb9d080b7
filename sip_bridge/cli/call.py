"""``sip-bridge call``: have the running bridge call somebody, and see how it goes."""

import asyncio

import click

from sip_bridge.cli.exit_codes import ExitCode
from sip_bridge.cli.remote import Remote, RemoteError, Seen
from sip_bridge.cli.serve import stop_signals
from sip_bridge.config import Config
from sip_bridge.errors import ConfigError
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import AccountTopic


async def call_number(
    config: Config, to: str, *, account: str | None, play: str | None, seconds: float, as_json: bool
) -> ExitCode:
    """Call ``to``, ring for ``seconds`` at the most, and follow the call to its end; done when it was answered.

    Ctrl-C hangs up.
    """
    line = _line(config, account)
    with stop_signals() as stop:
        async with Remote.of(config) as remote:
            await remote.check_online()
            dial = contract.Dial(to=to, play=play, auto_hangup=play is not None, timeout=seconds)
            response = await remote.request(line, "dial", dial)
            if response.error is not None:
                raise RemoteError(response.error.message)
            call = str(response.data["call_id"])
            hanging_up = asyncio.create_task(_hang_up(remote, line, call, stop), name="hang up")
            try:
                was_answered = await _follow(remote, line, call, as_json=as_json)
            finally:
                hanging_up.cancel()
            if stop.is_set():
                return ExitCode.INTERRUPTED
            return ExitCode.DONE if was_answered else ExitCode.FAILED


def _line(config: Config, account: str | None) -> str:
    """Of several lines a person has to choose."""
    ids = [each.id for each in config.accounts]
    if account in ids:
        return account
    if account is None and len(ids) == 1:
        return ids[0]
    problem = "several lines" if account is None else f"no line {account}"
    raise ConfigError(f"{problem}: choose with --account one of {', '.join(ids)}")


async def _hang_up(remote: Remote, line: str, call: str, stop: asyncio.Event) -> None:
    await stop.wait()
    await remote.request(line, "hangup", contract.Hangup(call_id=call))


async def _follow(remote: Remote, line: str, call: str, *, as_json: bool) -> bool:
    was_answered = False
    while (seen := await remote.messages.get()) is not None:
        event = _event_of(remote, line, call, seen)
        if event is None:
            continue
        click.echo(seen.payload if as_json else _said(event))
        if isinstance(event, contract.PlaybackDoneEvent) and event.error is not None:
            was_answered = False
        elif event.event == "OK":
            was_answered = True
        elif isinstance(event, contract.CallEndedEvent):
            return was_answered
    raise RemoteError("the connection to the broker broke")


def _event_of(remote: Remote, line: str, call: str, seen: Seen) -> contract.Event | None:
    topic = remote.topics.parse(seen.topic)
    if not isinstance(topic, AccountTopic) or (topic.account, topic.kind) != (line, "event"):
        return None
    try:
        event = contract.decode_event(seen.payload)
    except contract.ContractError:
        return None  # not the bridge's
    return event if event.call_id == call else None


def _said(event: contract.Event) -> str:
    match event:
        case contract.CallEndedEvent():
            return f"Over: {event.end_reason.replace('_', ' ')}, {event.talk_seconds:.0f} s talked."
        case contract.PlaybackDoneEvent(error=str() as error):
            return f"Not played: {error}"
        case _:
            status = "" if event.status is None else f" ({event.status} {event.phrase})"
            return f"{event.event}{status}"
