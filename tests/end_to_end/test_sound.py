"""Sound through Asterisk and back, compared with what was sent: a chirp and speech, with each codec.

Run with ``-rP`` it prints the figures that docs/media.md states. The calls of all codecs are up at the same time.
"""

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import RegisteredAccount, Secret
from tests.end_to_end.phone import Handset, handset
from tests.end_to_end.sounding import ADAPTING, Passage, echoed, heard, passage, read_wav, spoken, utterance, write_wav
from tests.peers.asterisk import Asterisk
from tests.sound import silence

LEAST_DELAY, MOST_DELAY = 10.0, 250.0  # ms: there and back, with our jitter buffer and a busy machine
MOST_GAPS = 40.0  # ms: 0 but on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A codec, who has it at Asterisk, and the least that is to be left of the sound, in dB."""

    codec: str
    user: str
    rate: int
    least: float
    least_played: float  # when Asterisk encodes it

    @property
    def is_wide(self) -> bool:
        return self.rate == 16000


CASES = [
    Case(codec="PCMU", user="630", rate=8000, least=33.0, least_played=33.0),
    Case(codec="PCMA", user="631", rate=8000, least=33.0, least_played=33.0),
    Case(codec="G722", user="632", rate=16000, least=20.0, least_played=20.0),
    Case(codec="opus", user="633", rate=16000, least=20.0, least_played=8.0),  # its encoder is set to save bits
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passages:
    """What became of the sound on each way."""

    out: Passage  # its echo, when we call
    back: Passage  # its echo, when it calls
    recorded: Passage  # by Asterisk
    played: Passage  # by Asterisk

    def __str__(self) -> str:
        return (
            f"echo, we call    {self.out}\necho, it calls   {self.back}\n"
            f"recorded by it   {self.recorded}\nplayed by it     {self.played}"
        )


def account(asterisk: Asterisk, user: str, *, codecs: tuple[str, ...] = ("PCMU",)) -> RegisteredAccount:
    password = Secret(asterisk.password(user))
    return RegisteredAccount(
        id="pbx", name="PBX", user=user, server=asterisk.host, port=asterisk.port, password=password, codecs=codecs
    )


async def called(phone: Handset, asterisk: Asterisk, *, then: str) -> VoIPCall:
    """Asterisk calls us, and connects us to the number `then`."""
    await asterisk.originate(phone.phone.account.user, then=then, directly=True)
    call = await phone.call_in(CallState.RINGING)
    await call.answer()
    await phone.signal("ACK")
    return call


async def calling(phone: Handset, number: str, state: CallState = CallState.IN_CALL) -> VoIPCall:
    await phone.dial(number)
    return await phone.call_in(state)


async def passages(asterisk: Asterisk, case: Case) -> Passages:
    """Through Echo() when we call and when it calls, into Record(), and out of Playback()."""
    recorder, suffix = ("208", "wav16") if case.is_wide else ("204", "wav")
    async with handset(account(asterisk, case.user, codecs=(case.codec,))) as phone:
        await phone.registered()
        calls = [
            await calling(phone, "600"),
            await called(phone, asterisk, then="600"),
            await calling(phone, recorder),
            await calling(phone, "209"),
        ]
        assert [call.media.codec for call in calls] == [case.codec] * 4
        out, back, _, played = await asyncio.gather(
            echoed(calls[0], case.rate, after=ADAPTING),
            echoed(calls[1], case.rate, after=ADAPTING),
            spoken(calls[2], case.rate),
            heard(calls[3], case.rate, after=ADAPTING),
        )
        calls[2].hangup()
        await asterisk.process.printed(f"Spawn extension \\(phones, {recorder}, 2\\) exited .* on 'PJSIP/{case.user}-")
    recorded = passage(read_wav(asterisk.recordings / f"{case.user}.{suffix}", case.rate), case.rate)
    return Passages(out=out, back=back, recorded=recorded, played=played)


@pytest.fixture(scope="module")
def measured(module_asterisk: Asterisk) -> dict[str, Passages]:
    """All ways of each codec."""
    for rate, suffix in ((8000, "wav"), (16000, "wav16")):
        played = np.concatenate([silence(rate, ADAPTING), utterance(rate)])
        write_wav(module_asterisk.sounds / f"heard.{suffix}", played, rate)

    async def measure() -> list[Passages]:
        return await asyncio.gather(*(passages(module_asterisk, case) for case in CASES))

    return dict(zip((case.codec for case in CASES), asyncio.run(measure()), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.codec)
def test_a_chirp_and_speech_pass_through_asterisk(measured: dict[str, Passages], case: Case) -> None:
    ways = measured[case.codec]
    print(f"{case.codec}\n{ways}")
    assert min(ways.out.snr_db, ways.back.snr_db, ways.recorded.snr_db) > case.least
    assert ways.played.snr_db > case.least_played
    assert max(sum(way.gaps_ms) for way in (ways.out, ways.back, ways.recorded, ways.played)) <= MOST_GAPS
    assert min(ways.out.delay_ms, ways.back.delay_ms) > LEAST_DELAY
    assert max(ways.out.delay_ms, ways.back.delay_ms) < MOST_DELAY


async def test_sound_before_the_answer_is_heard(shared_asterisk: Asterisk) -> None:
    write_wav(shared_asterisk.sounds / "heard.wav", utterance(8000), 8000)
    async with handset(account(shared_asterisk, "630")) as phone:
        await phone.registered()
        call = await calling(phone, "210", CallState.EARLY_MEDIA)
        early = await heard(call, 8000)
        assert call.state is CallState.EARLY_MEDIA
        call.hangup()
    print(f"PCMU early media     {early}")
    assert early.snr_db > 12  # our jitter buffer still finds its delay
    assert early.chirp.snr_db > 33
    assert sum(early.gaps_ms) <= MOST_GAPS
