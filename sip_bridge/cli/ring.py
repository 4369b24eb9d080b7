"""``sip-bridge ring``: a door station for trying things out. It speaks real SIP and RTP."""

import asyncio
import json
from typing import Protocol

import click

from sip_bridge.cli.exit_codes import ExitCode
from sip_bridge.cli.serve import first_of, stop_signals
from sip_bridge.phone.call import CallState
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, CallFinished, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, SIPSettings

STATION = DirectAccount(id="station", name="Front door", user="station", codecs=("PCMU", "PCMA"))


class Say(Protocol):
    """Tells a person, or by ``facts`` a program, how the call goes."""

    def __call__(self, text: str, **facts: str) -> None:
        """Tell."""


async def ring_once(uri: str, *, ring_seconds: float, talk_seconds: float, as_json: bool) -> ExitCode:
    """Ring ``uri`` once; done when somebody answered."""

    def say(text: str, **facts: str) -> None:
        click.echo(json.dumps(facts) if as_json else text)

    with stop_signals() as stop:
        was_answered = await press_the_bell(
            uri, ring_seconds=ring_seconds, talk_seconds=talk_seconds, stop=stop, say=say
        )
        if was_answered:
            return ExitCode.DONE
        return ExitCode.INTERRUPTED if stop.is_set() else ExitCode.FAILED


async def press_the_bell(uri: str, *, ring_seconds: float, talk_seconds: float, stop: asyncio.Event, say: Say) -> bool:
    """One call of the simulated door station, from the press of the button to the end."""
    over = asyncio.Event()
    answered = asyncio.Event()

    def listen(_phone: VoIPPhone, event: PhoneEvent) -> None:
        match event:
            case CallChanged(call=call) if call.state is CallState.RINGING:
                say("It rings.", event="ringing")
            case CallChanged(call=call) if call.state is CallState.IN_CALL:
                say(f"Answered ({call.media.codec}).", event="answered", codec=call.media.codec or "")
                answered.set()
            case CallFinished(cause=cause, status=status):
                why = str(status) if status is not None else cause.name.lower().replace("_", " ")
                say(f"The call is over: {why}.", event="ended", reason=why)
                over.set()
            case _:
                pass

    async with SIPClient(SIPSettings(port=0)) as client:
        phone = VoIPPhone(client, STATION, listener=listen)
        phone.start()
        say(f"Calling {uri} from {STATION.name}.", event="calling", uri=uri)
        await phone.dial(uri, timeout=ring_seconds)
        await first_of(over, answered, stop)
        if answered.is_set() and not stop.is_set():
            await first_of(over, stop, timeout=talk_seconds)
        phone.stop()
    return answered.is_set()
