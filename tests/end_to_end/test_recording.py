"""A call to Asterisk's Echo(), recorded by us: right what we said, left the same a little later."""

from pathlib import Path

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.events import RecordingEnded
from sip_bridge.phone.settings import RecordingSettings
from tests.end_to_end.phone import handset
from tests.end_to_end.sounding import Ear, passage, spoken, utterance
from tests.end_to_end.test_sound import account
from tests.peers.asterisk import Asterisk
from tests.phone.recordings import read_recording
from tests.sound import to_pcm


@pytest.mark.parametrize(("codec", "user", "rate"), [("PCMA", "631", 8000), ("G722", "632", 16000)])
async def test_both_sides_of_an_echo_are_recorded(
    shared_asterisk: Asterisk, tmp_path: Path, codec: str, user: str, rate: int
) -> None:
    kept = RecordingSettings(folder=tmp_path, min_free=0)
    async with handset(account(shared_asterisk, user, codecs=(codec,)), recording=kept) as phone:
        await phone.registered()
        call = await phone.dial("600")
        await phone.call_in(CallState.IN_CALL)
        await call.record(name="echo")
        ear = Ear()
        call.media.sinks.append(ear)
        await ear.hears(0.5)
        await spoken(call, rate)
        await ear.hears(0.3)
        call.hangup()
        done = await phone.event(RecordingEnded)
    assert (done.reason, done.error, done.missed_seconds) == ("call_ended", None, 0.0)
    assert done.file is not None
    recorded_rate, left, right = read_recording(tmp_path / done.file)
    said = to_pcm(right).find(to_pcm(utterance(rate))) / 2 / rate  # every sample as it was given
    heard = passage(left, rate, later=-said)
    print(f"{codec}: said after {said:.2f} s, heard {heard}")
    assert recorded_rate == rate
    assert said >= 0.5
    assert heard.snr_db > 18
    assert 10 < heard.delay_ms < 250
