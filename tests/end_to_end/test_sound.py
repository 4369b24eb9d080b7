"""Sound through Asterisk and back, compared with what was sent: a chirp and speech, with each codec.

Run with ``-rP`` it prints the figures that docs/media.md states.
"""

import asyncio
from dataclasses import replace

import pytest

from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import RegisteredAccount, Secret
from tests.end_to_end.phone import Handset, handset
from tests.end_to_end.sounding import echoed, heard, passage, read_wav, spoken, utterance, write_wav
from tests.peers.asterisk import Asterisk

NARROW, WIDE = 8000, 16000
LEAST_DELAY, MOST_DELAY = 40.0, 250.0  # ms: there and back, with our jitter buffer and a busy machine
MOST_GAPS = 40.0  # ms: 0 but on a busy machine


@pytest.fixture
def asterisk(shared_asterisk: Asterisk) -> Asterisk:
    return shared_asterisk


@pytest.fixture
def account(asterisk: Asterisk) -> RegisteredAccount:
    return RegisteredAccount(id="pbx", name="PBX", user="", server=asterisk.host, port=asterisk.port)


def of_user(account: RegisteredAccount, user: str, **settings: object) -> RegisteredAccount:
    return replace(account, user=user, password=Secret(Asterisk.password(user)), **settings)  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    ("user", "codec", "rate", "least_snr", "least_snr_played"),
    [
        ("630", "PCMU", NARROW, 33.0, 33.0),
        ("631", "PCMA", NARROW, 33.0, 33.0),
        ("632", "G722", WIDE, 20.0, 20.0),
        ("633", "opus", WIDE, 20.0, 8.0),  # its own encoder is set to save bits
    ],
)
async def test_a_chirp_and_speech_pass_through_asterisk(
    account: RegisteredAccount,
    asterisk: Asterisk,
    user: str,
    codec: str,
    rate: int,
    least_snr: float,
    least_snr_played: float,
) -> None:
    """Through its Echo() when we call and when it calls, into its Record(), and out of its Playback()."""
    recorder, suffix = ("208", "wav16") if rate == WIDE else ("204", "wav")
    write_wav(asterisk.sounds / f"heard.{suffix}", utterance(rate), rate)
    async with handset(of_user(account, user, codecs=(codec,))) as phone:
        await phone.registered()
        calls = [
            await calling(phone, "600"),
            await called(phone, asterisk, then="600"),
            await calling(phone, recorder),
            await calling(phone, "209"),
        ]
        assert [call.media.codec for call in calls] == [codec] * 4
        out, back, _, played = await asyncio.gather(
            echoed(calls[0], rate), echoed(calls[1], rate), spoken(calls[2], rate), heard(calls[3], rate)
        )
        calls[2].hangup()
        await asterisk.process.printed(f"Spawn extension \\(phones, {recorder}, 2\\) exited .* on 'PJSIP/{user}-")
        recorded = passage(read_wav(asterisk.recordings / f"{user}.{suffix}", rate), rate)

    print(f"{codec} echo, we call    {out}\n{codec} echo, it calls   {back}")
    print(f"{codec} recorded by it   {recorded}\n{codec} played by it     {played}")
    assert min(each.snr_db for each in (out, back, recorded)) > least_snr
    assert played.snr_db > least_snr_played
    assert max(sum(each.gaps_ms) for each in (out, back, recorded, played)) <= MOST_GAPS
    assert min(out.delay_ms, back.delay_ms) > LEAST_DELAY
    assert max(out.delay_ms, back.delay_ms) < MOST_DELAY


async def test_sound_before_the_answer_is_heard(account: RegisteredAccount, asterisk: Asterisk) -> None:
    write_wav(asterisk.sounds / "heard.wav", utterance(NARROW), NARROW)
    async with handset(of_user(account, "630")) as phone:
        await phone.registered()
        call = await calling(phone, "210", CallState.EARLY_MEDIA)
        early = await heard(call, NARROW)
        assert call.state is CallState.EARLY_MEDIA
        call.hangup()
    print(f"PCMU early media     {early}")
    assert early.snr_db > 33
    assert sum(early.gaps_ms) <= MOST_GAPS
