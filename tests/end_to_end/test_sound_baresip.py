"""Sound between us and a softphone, baresip, without anybody in between; `-rP` prints the figures."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sip_bridge.phone.call import CallState
from tests.end_to_end.phone import DOOR, handset
from tests.end_to_end.sounding import echoed, heard, passage, read_wav, spoken, utterance, write_wav
from tests.peers.baresip import Baresip
from tests.sound import at_rate, silence

NARROW, WIDE = 8000, 16000
OWN = {"opus": (48000, 2)}  # rate and channels of its sound, where they differ from ours
MOST_DELAY = 400.0  # ms: there and back, with the jitter buffers and queues of both, and a busy machine
MOST_GAPS = 40.0  # ms: 0 but on a busy machine


@pytest.mark.parametrize(
    ("codec", "theirs", "rate", "least_snr"),
    [
        ("PCMU", "pcmu", NARROW, 33.0),
        ("PCMA", "pcma", NARROW, 33.0),
        ("G722", "g722", WIDE, 20.0),
        ("opus", "opus/48000/2", WIDE, 20.0),
    ],
)
async def test_a_chirp_and_speech_pass_between_baresip_and_us(
    tmp_path: Path, codec: str, theirs: str, rate: int, least_snr: float
) -> None:
    """It calls, plays them and records ours; and we call one that sends back what it hears."""
    saying = tmp_path / "says.wav"
    says = np.concatenate([utterance(rate), silence(rate, 3.0)])  # at the end it would hang up
    own_rate, channels = OWN.get(codec, (rate, 1))
    write_wav(saying, at_rate(says, rate, own_rate), own_rate, channels=channels)
    async with (
        Baresip(tmp_path / "talker", codec=theirs, says=saying) as talker,
        Baresip(tmp_path / "mirror", codec=theirs, echoes=True) as mirror,
        handset(replace(DOOR, codecs=(codec,)), answers=True) as phone,
    ):
        await talker.dial(f"sip:door@{phone.address}")
        call = await phone.call_in(CallState.IN_CALL)
        await phone.dial(f"sip:baresip@{mirror.address}")
        other = await phone.call_in(CallState.IN_CALL)
        there, back, _ = await asyncio.gather(heard(call, rate), echoed(other, rate), spoken(call, rate))
        call.hangup()
        await talker.wait_for("CALL_CLOSED")
        [recording] = talker.recordings.glob("*-dec.wav")
        recorded = passage(read_wav(recording, rate), rate)

    print(f"{codec} echo by baresip      {back}")
    print(f"{codec} recorded by baresip  {recorded}\n{codec} played by baresip    {there}")
    assert min(each.snr_db for each in (there, back, recorded)) > least_snr
    assert max(sum(each.gaps_ms) for each in (there, back, recorded)) <= MOST_GAPS
    assert back.delay_ms < MOST_DELAY
