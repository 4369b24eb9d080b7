"""``sip-bridge ring``: a door station for trying things out. It speaks real SIP and RTP."""

import asyncio
from collections.abc import Callable

import click

from sip_bridge.cli.serve import first_of, stop_signals
from sip_bridge.phone.call import CallState
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, CallFinished, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, SIPSettings

STATION = DirectAccount(id="station", name="Front door", user="station", codecs=("PCMU", "PCMA"))


async def ring_once(uri: str, *, ring_seconds: float, talk_seconds: float) -> bool:
    """Ring ``uri`` once; True when somebody answered."""
    with stop_signals() as stop:
        return await press_the_bell(
            uri, ring_seconds=ring_seconds, talk_seconds=talk_seconds, stop=stop, say=click.echo
        )


async def press_the_bell(
    uri: str, *, ring_seconds: float, talk_seconds: float, stop: asyncio.Event, say: Callable[[str], None]
) -> bool:
    """One call of the simulated door station, from the press of the button to the end."""
    over = asyncio.Event()
    answered = asyncio.Event()

    def listen(_phone: VoIPPhone, event: PhoneEvent) -> None:
        match event:
            case CallChanged(call=call) if call.state is CallState.RINGING:
                say("It rings.")
            case CallChanged(call=call) if call.state is CallState.IN_CALL:
                say(f"Answered ({call.media.codec}).")
                answered.set()
            case CallFinished(cause=cause, status=status):
                say(f"The call is over: {status if status is not None else cause.name.lower().replace('_', ' ')}.")
                over.set()
            case _:
                pass

    async with SIPClient(SIPSettings(port=0)) as client:
        phone = VoIPPhone(client, STATION, listener=listen)
        phone.start()
        say(f"Calling {uri} from {STATION.name}.")
        await phone.dial(uri, timeout=ring_seconds)
        await first_of(over, answered, stop)
        if answered.is_set() and not stop.is_set():
            await first_of(over, stop, timeout=talk_seconds)
        phone.stop()
    return answered.is_set()
