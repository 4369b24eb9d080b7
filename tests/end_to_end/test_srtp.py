"""Encrypted sound with real peers: they take our keys, we take theirs, and nobody talks plainly instead."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sip_bridge.media.sdes import SRTPPolicy
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import RegisteredAccount, Secret
from sip_bridge.sip.status import SIPStatus
from tests.end_to_end.phone import DOOR, Handset, handset
from tests.end_to_end.sounding import Passage, echoed, heard, passage, read_wav, spoken, utterance, write_wav
from tests.peers.asterisk import Asterisk
from tests.peers.baresip import Baresip
from tests.sound import silence

RATE = 8000
LEAST_SNR = 20.0  # dB: with a wrong key there is none; how well sound passes is for test_sound.py to say
OFF, OPTIONAL, REQUIRED = SRTPPolicy


@pytest.fixture
def asterisk(shared_asterisk: Asterisk) -> Asterisk:
    return shared_asterisk


def account(asterisk: Asterisk, user: str, srtp: SRTPPolicy) -> RegisteredAccount:
    return RegisteredAccount(
        id="pbx",
        name="PBX",
        user=user,
        server=asterisk.host,
        port=asterisk.port,
        password=Secret(asterisk.password(user)),
        codecs=("PCMU",),
        srtp=srtp,
    )


async def called(phone: Handset, asterisk: Asterisk) -> VoIPCall:
    """Asterisk calls us, and connects us to its echo."""
    await asterisk.originate(phone.phone.account.user, directly=True)
    call = await phone.call_in(CallState.RINGING)
    await call.answer()
    await phone.signal("ACK")
    return call


async def test_sound_is_encrypted_on_its_way_to_asterisk_and_back(asterisk: Asterisk) -> None:
    """In both directions, and still after a hold, which offers the same keys again."""
    async with handset(account(asterisk, "634", REQUIRED)) as phone:
        await phone.registered()
        await phone.dial("600")
        out = await phone.call_in(CallState.IN_CALL)
        back = await called(phone, asterisk)
        await out.hold()
        await out.resume()
        passages = await asyncio.gather(echoed(out, RATE), echoed(back, RATE))
        assert (out.media.encrypted, back.media.encrypted) == (True, True)
        assert [call.media.statistics.packets_from_elsewhere for call in (out, back)] == [0, 0]
    print("\n".join(map(str, passages)))
    assert min(each.snr_db for each in passages) > LEAST_SNR


@pytest.mark.parametrize(
    ("user", "srtp", "is_encrypted"), [("636", OPTIONAL, True), ("630", OPTIONAL, False), ("636", OFF, False)]
)
async def test_optional_encryption_is_used_where_both_sides_can(
    asterisk: Asterisk, user: str, srtp: SRTPPolicy, is_encrypted: bool
) -> None:
    async with handset(account(asterisk, user, srtp)) as phone:
        await phone.registered()
        await phone.dial("600")
        out = await phone.call_in(CallState.IN_CALL)
        back = await called(phone, asterisk)
        await asyncio.gather(*(each.media.send_dtmf("1").wait() for each in (out, back)))
        assert (out.media.encrypted, back.media.encrypted) == (is_encrypted, is_encrypted)


@pytest.mark.parametrize(("user", "srtp"), [("630", REQUIRED), ("634", OFF)])
async def test_asterisk_and_we_do_not_talk_when_only_one_may_be_plain(
    asterisk: Asterisk, user: str, srtp: SRTPPolicy
) -> None:
    async with handset(account(asterisk, user, srtp)) as phone:
        await phone.registered()
        await phone.dial("600")
        assert (await phone.finished()).status is SIPStatus.NOT_ACCEPTABLE_HERE
        await asterisk.originate(user, directly=True)
        assert (await phone.finished()).status is SIPStatus.NOT_ACCEPTABLE_HERE


async def talked(folder: Path, encryption: str | None, srtp: SRTPPolicy) -> tuple[list[bool], list[Passage]]:
    """A baresip calls us, and we it: whether each call was encrypted, and what each side heard in the first one."""
    async with (
        Baresip(folder, encryption=encryption, says=folder.parent / "says.wav") as baresip,
        handset(replace(DOOR, codecs=("PCMU",), srtp=srtp), answers=True) as phone,
    ):
        await baresip.dial(f"sip:door@{phone.address}")
        back = await phone.call_in(CallState.IN_CALL)
        there, _ = await asyncio.gather(heard(back, RATE), spoken(back, RATE))
        back.hangup()
        await baresip.wait_for("CALL_CLOSED")
        [recording] = baresip.recordings.glob("*-dec.wav")
        recorded = passage(read_wav(recording, RATE), RATE)
        before = len(baresip.events)
        await phone.dial(f"sip:baresip@{baresip.address}")
        await baresip.wait_for("CALL_INCOMING", since=before)
        await baresip.accept()
        out = await phone.call_in(CallState.IN_CALL)
        out.hangup()
        await baresip.wait_for("CALL_CLOSED", since=before)
        return [back.media.encrypted, out.media.encrypted], [there, recorded]


async def test_sound_is_encrypted_on_its_way_to_baresip_and_back(tmp_path: Path) -> None:
    """With keys in RTP/AVP, with RTP/SAVP, and with a baresip that has no encryption."""
    write_wav(tmp_path / "says.wav", np.concatenate([utterance(RATE), silence(RATE, 3.0)]), RATE)
    results = await asyncio.gather(
        talked(tmp_path / "optional", "srtp", OPTIONAL),
        talked(tmp_path / "required", "srtp-mand", REQUIRED),
        talked(tmp_path / "plain", None, OPTIONAL),
    )
    passages = [each for _, both in results for each in both]
    print("\n".join(map(str, passages)))
    assert [encrypted for encrypted, _ in results] == [[True, True], [True, True], [False, False]]
    assert min(each.snr_db for each in passages) > LEAST_SNR
