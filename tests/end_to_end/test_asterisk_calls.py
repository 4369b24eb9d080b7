"""What two phones of ours do at one Asterisk, over UDP, TCP and TLS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.events import DTMFPressed
from sip_bridge.phone.settings import DTMFSettings, RegisteredAccount, Secret, TLSSettings
from sip_bridge.sip.events import EndCause
from tests.end_to_end.phone import ON_LOOPBACK, Handset, handset
from tests.peers.asterisk import Asterisk
from tests.phone.certificates import Authority

TRANSPORTS = ("udp", "tcp", "tls")


@pytest.fixture
def asterisk(shared_asterisk: Asterisk) -> Asterisk:
    return shared_asterisk


@pytest.fixture
def account(asterisk: Asterisk) -> RegisteredAccount:
    return RegisteredAccount(
        id="pbx",
        name="PBX",
        user="620",
        server=asterisk.host,
        port=asterisk.port,
        password=Secret(asterisk.password("620")),
    )


@asynccontextmanager
async def registered(account: RegisteredAccount, *, answers: bool = False) -> AsyncIterator[Handset]:
    async with handset(account, answers=answers) as phone:
        await phone.registered()
        yield phone


def also(account: RegisteredAccount, user: str) -> RegisteredAccount:
    """Another user's account at the same place."""
    return replace(account, id=user, user=user, password=Secret(Asterisk.password(user)))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_transport_carries_a_registration_and_calls_in_both_directions(
    account: RegisteredAccount, asterisk: Asterisk, authority: Authority, transport: str
) -> None:
    port = asterisk.tls_port if transport == "tls" else asterisk.port
    settings = replace(ON_LOOPBACK, tls=TLSSettings(ca=authority.certificate))
    async with handset(replace(account, transport=transport, port=port), settings) as phone:
        await phone.registered()
        [contact] = await asterisk.contacts("620")
        assert (f"transport={transport}" in contact) == (transport != "udp")

        call = await phone.dial("205")
        await phone.call_in(CallState.IN_CALL)
        await call.send_dtmf("47*#", duration_ms=100, gap_ms=50)
        await asterisk.process.printed("User entered '47\\*'|User entered '47\\*#'")
        assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE

        await asterisk.originate("620")
        call = await phone.call_in(CallState.RINGING)
        await call.answer()
        await phone.signal("ACK")
        call.hangup()
        assert (await phone.finished()).cause is EndCause.HANGUP_LOCAL
    assert await asterisk.contacts("620") == []


async def test_asterisk_sees_that_we_are_there(account: RegisteredAccount, asterisk: Asterisk) -> None:
    async with registered(account):
        await asterisk.process.printed("Contact 620/sip:.* is now Reachable")


async def test_keys_that_asterisk_presses(account: RegisteredAccount) -> None:
    async with registered(account) as phone:
        call = await phone.dial("206")
        pressed = [await phone.event(DTMFPressed) for _ in range(3)]
        assert [(key.digit, key.method) for key in pressed] == [("1", "rtp"), ("*", "rtp"), ("#", "rtp")]
        call.hangup()


# --- 621: 100rel, session timers, keys by INFO ---


async def test_ringing_is_acknowledged_and_the_session_has_a_timer(
    account: RegisteredAccount, asterisk: Asterisk
) -> None:
    async with registered(also(account, "621")) as phone:
        await asterisk.originate("621")
        call = await phone.call_in(CallState.RINGING)
        await asterisk.process.printed("^PRACK sip:")
        await call.answer()
        await phone.signal("ACK")
        call.hangup()
        await phone.finished()
        await asterisk.process.printed("^RAck: [0-9]+ [0-9]+ INVITE")
        await asterisk.process.printed("^Session-Expires: [0-9]+;refresher=ua[cs]")


async def test_we_acknowledge_provisional_responses_and_press_keys_by_info(
    account: RegisteredAccount, asterisk: Asterisk
) -> None:
    async with registered(also(account, "621")) as phone:
        call = await phone.dial("201")
        await phone.call_in(CallState.RINGING)
        await asterisk.process.printed("^PRACK sip:")
        call.hangup()
        assert (await phone.finished()).cause is EndCause.CANCELED
        call = await phone.dial("206")
        pressed = [await phone.event(DTMFPressed) for _ in range(3)]
        assert [(key.digit, key.method) for key in pressed] == [("1", "info"), ("*", "info"), ("#", "info")]
        call.hangup()


# --- 635: keys as tones ---


async def test_keys_are_tones_in_both_directions(account: RegisteredAccount, asterisk: Asterisk) -> None:
    toned = replace(also(account, "635"), dtmf=DTMFSettings(inband=True))
    async with registered(toned) as phone:
        call = await phone.dial("206")
        pressed = [await phone.event(DTMFPressed) for _ in range(3)]
        assert [(key.digit, key.method) for key in pressed] == [("1", "inband"), ("*", "inband"), ("#", "inband")]
        call.hangup()
        await phone.finished()
        call = await phone.dial("205")
        await phone.call_in(CallState.IN_CALL)
        await call.send_dtmf("58D#", duration_ms=100, gap_ms=100, method="inband")
        await asterisk.process.printed("User entered '58D'")
        await phone.finished()


async def test_asterisk_takes_info_where_it_takes_no_rtp_events(account: RegisteredAccount, asterisk: Asterisk) -> None:
    async with registered(also(account, "635")) as phone:
        call = await phone.dial("205")
        await phone.call_in(CallState.IN_CALL)
        await call.send_dtmf("69A#", duration_ms=100, gap_ms=100)
        await asterisk.process.printed("User entered '69A'")
        await phone.finished()


# --- two phones ---


@asynccontextmanager
async def talking(
    asterisk: Asterisk, account: RegisteredAccount, other_user: str, *, we_call: bool
) -> AsyncIterator[tuple[Handset, Handset]]:
    """Our phone, and another of ours, in a call with each other through Asterisk."""
    other_account = also(account, other_user)
    async with registered(account, answers=not we_call) as phone, registered(other_account, answers=we_call) as other:
        caller, called = (phone, other) if we_call else (other, phone)
        await caller.dial(called.phone.account.user)
        await called.call_in(CallState.IN_CALL)
        await caller.call_in(CallState.IN_CALL)
        for user in (account.user, other_user):
            await asterisk.process.printed(f"Channel PJSIP/{user}-.* joined ")
        yield phone, other


async def test_music_plays_while_we_hold(account: RegisteredAccount, asterisk: Asterisk) -> None:
    async with talking(asterisk, account, "101", we_call=True) as (phone, other):
        [call] = phone.phone.calls.values()
        await call.hold()
        await asterisk.process.printed("Started music on hold.*PJSIP/101")
        await phone.call_in(CallState.ON_HOLD)
        await call.resume()
        await asterisk.process.printed("Stopped music on hold on PJSIP/101")
        await phone.call_in(CallState.IN_CALL)
        call.hangup()
        assert (await other.finished()).cause is EndCause.HANGUP_REMOTE


async def test_a_blind_transfer_moves_the_other_party(account: RegisteredAccount, asterisk: Asterisk) -> None:
    async with talking(asterisk, account, "101", we_call=False) as (phone, other):
        [call] = phone.phone.calls.values()
        await call.transfer("600")
        await phone.finished()
        await asterisk.process.printed("Executing \\[600@phones:2\\] Echo")
        [moved] = other.phone.calls.values()
        assert moved.is_talking
        moved.hangup()


async def test_an_attended_transfer_connects_the_other_parties(account: RegisteredAccount, asterisk: Asterisk) -> None:
    async with talking(asterisk, account, "101", we_call=False) as (phone, other):
        [first] = phone.phone.calls.values()
        second = await phone.dial("600")
        await phone.call_in(CallState.IN_CALL)
        # While Asterisk still answers, there is nothing yet that the other party could be moved to.
        await asterisk.process.printed("Executing \\[600@phones:2\\] Echo")
        await first.transfer(second)
        await phone.finished()
        await phone.finished()
        assert phone.phone.calls == {}
        [moved] = other.phone.calls.values()
        assert moved.is_talking
        assert await asterisk.channels() == 1
        moved.hangup()


async def test_asterisk_transfers_us(account: RegisteredAccount, asterisk: Asterisk) -> None:
    async with registered(replace(account, accept_transfers=True)) as phone:
        await phone.dial("207")
        await phone.signal("REFER")
        await asterisk.process.printed("Executing \\[600@phones:2\\] Echo", within=10)
        assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE
        [call] = phone.phone.calls.values()
        call.hangup()


async def test_asterisk_leaves_the_sound_to_the_two_phones(account: RegisteredAccount, asterisk: Asterisk) -> None:
    """It re-INVITEs both, to each other's address."""
    async with talking(asterisk, also(account, "622"), "623", we_call=True) as (phone, other):
        await asterisk.process.printed("Remotely bridged .* media will flow directly between them")
        [call] = phone.phone.calls.values()
        call.hangup()
        assert (await other.finished()).cause is EndCause.HANGUP_REMOTE
