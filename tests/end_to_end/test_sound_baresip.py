"""Sound between us and a softphone, baresip, without anybody in between.

Run with ``-rP`` it prints the figures that docs/media.md states. The calls of all codecs are up at the same time.
"""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from sip_bridge.phone.call import CallState
from tests.end_to_end.phone import DOOR, handset
from tests.end_to_end.sounding import ADAPTING, Passage, echoed, heard, passage, read_wav, spoken, utterance, write_wav
from tests.peers.baresip import Baresip
from tests.sound import at_rate, silence

MOST_DELAY = 400.0  # ms: there and back, with the jitter buffers and queues of both, and a busy machine
MOST_GAPS = 40.0  # ms: 0 but on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A codec, how baresip has it, and the least that is to be left of the sound, in dB."""

    codec: str
    theirs: str
    rate: int
    least: float
    their_rate: int
    their_channels: int = 1


CASES = [
    Case(codec="PCMU", theirs="pcmu", rate=8000, their_rate=8000, least=33.0),
    Case(codec="PCMA", theirs="pcma", rate=8000, their_rate=8000, least=33.0),
    Case(codec="G722", theirs="g722", rate=16000, their_rate=16000, least=20.0),
    Case(codec="opus", theirs="opus/48000/2", rate=16000, their_rate=48000, their_channels=2, least=20.0),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passages:
    """What became of the sound on each way."""

    echoed: Passage  # when we call
    recorded: Passage  # by baresip, which calls
    played: Passage  # by baresip, which calls

    def __str__(self) -> str:
        return f"echo              {self.echoed}\nrecorded by it    {self.recorded}\nplayed by it      {self.played}"


async def passages(folder: Path, case: Case) -> Passages:
    """It calls, plays the utterance and records ours; and we call one that sends back what it hears."""
    rate = case.rate
    async with (
        Baresip(folder / "talker", codec=case.theirs, says=folder / "says.wav") as talker,
        Baresip(folder / "mirror", codec=case.theirs, echoes=True) as mirror,
        handset(replace(DOOR, codecs=(case.codec,)), answers=True) as phone,
    ):
        await talker.dial(f"sip:door@{phone.address}")
        call = await phone.call_in(CallState.IN_CALL)
        await phone.dial(f"sip:baresip@{mirror.address}")
        other = await phone.call_in(CallState.IN_CALL)
        played, back, _ = await asyncio.gather(
            heard(call, rate, after=ADAPTING), echoed(other, rate, after=ADAPTING), spoken(call, rate)
        )
        call.hangup()
        await talker.wait_for("CALL_CLOSED")
    [recording] = talker.recordings.glob("*-dec.wav")
    return Passages(echoed=back, recorded=passage(read_wav(recording, rate), rate), played=played)


def write_saying(folder: Path, case: Case) -> None:
    """What baresip says; at the end of the file it would hang up."""
    rate = case.rate
    says = np.concatenate([silence(rate, ADAPTING), utterance(rate), silence(rate, 10.0)])
    write_wav(folder / "says.wav", at_rate(says, rate, case.their_rate), case.their_rate, channels=case.their_channels)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Passages]:
    """All ways of each codec."""
    folders = [tmp_path_factory.mktemp(case.codec) for case in CASES]
    for folder, case in zip(folders, CASES, strict=True):
        write_saying(folder, case)

    async def measure() -> list[Passages]:
        return await asyncio.gather(*map(passages, folders, CASES))

    return dict(zip((case.codec for case in CASES), asyncio.run(measure()), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.codec)
def test_a_chirp_and_speech_pass_between_baresip_and_us(measured: dict[str, Passages], case: Case) -> None:
    ways = measured[case.codec]
    print(f"{case.codec}\n{ways}")
    assert min(ways.echoed.snr_db, ways.recorded.snr_db, ways.played.snr_db) > case.least
    assert max(sum(way.gaps_ms) for way in (ways.echoed, ways.recorded, ways.played)) <= MOST_GAPS
    assert ways.echoed.delay_ms < MOST_DELAY
