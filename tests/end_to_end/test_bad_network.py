"""Speech over a network that loses 5 % of the packets and holds up the others by 0 to 60 ms.

Run with ``-rP`` it prints the figures that docs/media.md states.
"""

import asyncio
from dataclasses import dataclass, replace

from sip_bridge.phone.call import CallState
from sip_bridge.phone.settings import RegisteredAccount, Secret
from tests.end_to_end.phone import DOOR, handset
from tests.end_to_end.sounding import Ear, Mouth, write_wav
from tests.peers.asterisk import Asterisk
from tests.peers.bad_network import Weather, bad_network
from tests.sound import Signal, compare, followed, intelligibility, speech

BAD = Weather(loss=0.05, delay=0.06)
SECONDS = 6.0
FEW = 10  # packets
MOST_DELAY = 250.0  # ms, from one mouth to the other ear
LONGEST_GAP = 60.0  # ms
LEAST_INTELLIGIBILITY = 0.85  # half of the packets lost, without concealment: below 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What a listener gets of the speech."""

    intelligibility: float
    delays_ms: tuple[float, ...]
    gaps_ms: tuple[float, ...]

    def __str__(self) -> str:
        shortest, longest = min(self.delays_ms), max(self.delays_ms)
        return (
            f"intelligibility {self.intelligibility:.2f}  delay {shortest:.0f} to {longest:.0f} ms  gaps {self.gaps_ms}"
        )


def understood(heard: Signal, rate: int, *, later: float = 0.0) -> Understood:
    sent = speech(rate, seconds=SECONDS)
    aligned, delays = followed(sent, heard, rate)
    return Understood(
        intelligibility=intelligibility(sent, aligned, rate),
        delays_ms=tuple(delay + later * 1000 for delay in delays),
        gaps_ms=compare(sent[: len(aligned)], aligned, rate).gaps_ms,
    )


async def between_us(codec: str, rate: int) -> Understood:
    """A phone of ours calls another one over a bad network, and speaks."""
    account = replace(DOOR, codecs=(codec,))
    async with handset(account, answers=True) as callee, handset(replace(account, id="caller")) as caller:
        server = ("127.0.0.1", callee.phone.client.port)
        async with bad_network(server, BAD) as network:
            await caller.dial(f"sip:door@127.0.0.1:{network.port}")
            call = await caller.call_in(CallState.IN_CALL)
            other = await callee.call_in(CallState.IN_CALL)
            mouth, ear = Mouth(speech(rate, seconds=SECONDS), rate), Ear()
            other.media.sinks.append(ear)
            await ear.hears(0.5)
            call.media.join(mouth)
            await mouth.ended()
            await ear.hears(0.5)
            call.hangup()
            await callee.finished()
    assert network.lost > FEW
    assert ear.began is not None
    assert mouth.began is not None
    found = understood(ear.signal, rate, later=ear.began - mouth.began)
    print(f"{codec} between us: {network.lost} of {network.passed + network.lost} packets lost  {found}")
    return found


async def test_speech_between_two_of_us_is_understood_over_a_bad_network() -> None:
    narrow, wide = await asyncio.gather(between_us("PCMU", 8000), between_us("opus", 16000))
    assert min(narrow.intelligibility, wide.intelligibility) > LEAST_INTELLIGIBILITY
    assert max(narrow.delays_ms + wide.delays_ms) < MOST_DELAY
    assert max(narrow.gaps_ms + wide.gaps_ms, default=0.0) <= LONGEST_GAP


async def test_speech_from_asterisk_is_understood_over_a_bad_network(shared_asterisk: Asterisk) -> None:
    asterisk = shared_asterisk
    write_wav(asterisk.sounds / "heard.wav", speech(8000, seconds=SECONDS), 8000)
    async with bad_network((asterisk.host, asterisk.port), BAD) as network:
        account = RegisteredAccount(
            id="pbx",
            name="PBX",
            user="620",
            server="127.0.0.1",
            port=network.port,
            password=Secret(asterisk.password("620")),
        )
        async with handset(account) as phone:
            await phone.registered()
            await phone.dial("209")
            call = await phone.call_in(CallState.IN_CALL)
            ear = Ear()
            call.media.sinks.append(ear)
            await ear.hears(SECONDS + 0.5)
            call.hangup()
            await phone.finished()
    found = understood(ear.signal, 8000)
    print(f"PCMU from Asterisk: {network.lost} of {network.passed + network.lost} packets lost  {found}")
    assert network.lost > FEW
    assert found.intelligibility > LEAST_INTELLIGIBILITY
    assert max(found.gaps_ms, default=0.0) <= LONGEST_GAP
