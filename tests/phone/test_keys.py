"""Keys in calls between phones on loopback: told once, collected to sequences, compared with codes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sip_bridge.errors import InvalidStateError, LocalProtocolError, RequestRefusedError
from sip_bridge.media.key_sequence import SequenceEnd
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.events import CallFinished, DTMFEntered, DTMFPressed, SendMethod
from sip_bridge.phone.settings import DTMFCode, DTMFSettings, Secret
from tests.phone.peer import Peer as RTPPeer
from tests.phone.peer import keys_in
from tests.phone.phones import Phone, running, talking
from tests.phone.sip_peer import Dialog, sending_to

FAMILY = DTMFCode(name="family", digits=Secret("4711"))


def pressed(phone: Phone) -> list[tuple[str, str]]:
    return [(event.digit, event.method) for event in phone.told if isinstance(event, DTMFPressed)]


def entered(phone: Phone) -> list[tuple[str, SequenceEnd]]:
    return [(event.digits, event.ended_by) for event in phone.told if isinstance(event, DTMFEntered)]


def codes(phone: Phone) -> list[tuple[str | None, bool]]:
    return [(event.code, event.locked) for event in phone.told if isinstance(event, DTMFEntered)]


async def press(call: VoIPCall, digits: str) -> None:
    await call.send_dtmf(digits, duration_ms=5, gap_ms=0, method="info")


async def send_info(call: VoIPCall, phone: Phone, body: bytes, kind: str = "application/dtmf-relay") -> None:
    """An INFO that is none of `send_dtmf`'s; it has been answered when this returns."""
    client = phone.phone.client
    client.endpoint.send_info(call.call_id, kind, body, client.now)
    client.flush()
    await press(call, "0")


async def test_a_terminator_ends_a_sequence(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    await press(call, "12#34#")
    assert entered(bob) == [("12", SequenceEnd.TERMINATOR), ("34", SequenceEnd.TERMINATOR)]
    assert pressed(bob) == [(digit, "info") for digit in "12#34#"]


async def test_a_length_a_pause_and_the_end_of_the_call_end_a_sequence(alice: Phone) -> None:
    async with running("bob", dtmf=DTMFSettings(max_digits=3, pause=0.5)) as bob:
        call = await talking(alice, bob)
        await press(call, "1234")
        await bob.until(lambda: len(entered(bob)) == 2)
        await press(call, "5")
        call.hangup()
        await bob.until(lambda: isinstance(bob.told[-1], CallFinished))
        assert entered(bob) == [
            ("123", SequenceEnd.LENGTH),
            ("4", SequenceEnd.PAUSE),
            ("5", SequenceEnd.CALL_END),
        ]


async def test_a_pause_is_counted_from_the_last_key(alice: Phone) -> None:
    async with running("bob", dtmf=DTMFSettings(pause=0.5)) as bob:
        call = await talking(alice, bob)
        began = asyncio.get_running_loop().time()
        await call.send_dtmf("1234", duration_ms=40, gap_ms=160, method="info")
        await bob.until(lambda: entered(bob))
        assert entered(bob) == [("1234", SequenceEnd.PAUSE)]
        assert asyncio.get_running_loop().time() - began > 1.0


async def test_a_key_that_comes_in_two_ways_is_told_once(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    await asyncio.gather(
        call.send_dtmf("55#", duration_ms=80, gap_ms=80, method="rtp"),
        call.send_dtmf("55#", duration_ms=80, gap_ms=80, method="info"),
    )
    assert [digit for digit, _ in pressed(bob)] == ["5", "5", "#"]
    assert entered(bob) == [("55", SequenceEnd.TERMINATOR)]


async def test_an_info_about_something_else_is_answered_and_presses_nothing(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    await send_info(call, alice, b"Signal=??\r\n")
    await send_info(call, alice, b"", kind="application/media_control+xml")
    await send_info(call, alice, b"\xff\x00\r\n" * 100)
    assert pressed(bob) == [("0", "info")] * 3
    assert call.is_talking


async def test_a_sequence_that_is_a_code_names_it(alice: Phone) -> None:
    async with running("bob", dtmf=DTMFSettings(codes=(FAMILY,))) as bob:
        call = await talking(alice, bob)
        await press(call, "4711#4712#")
        assert codes(bob) == [("family", False), (None, False)]


async def test_wrong_codes_lock_the_right_one_in_every_call(alice: Phone, carol: Phone) -> None:
    async with running("bob", dtmf=DTMFSettings(codes=(DTMFCode(name="one", digits=Secret("1")),))) as bob:
        call = await talking(alice, bob)
        await press(call, "2#" * 10)
        other = await talking(carol, bob)
        await press(other, "1#")
        assert codes(bob) == [(None, False)] * 10 + [(None, True)]


async def test_no_repr_of_what_is_told_shows_a_digit(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    await press(call, "D#")
    shown = [repr(event) for event in bob.told if isinstance(event, DTMFPressed | DTMFEntered)]
    assert [("'D'" in text, text.partition("(")[0]) for text in shown] == [
        (False, "DTMFPressed"),
        (False, "DTMFPressed"),
        (False, "DTMFEntered"),
    ]


async def test_tones_are_heard_where_the_account_wants_it(alice: Phone, bob: Phone) -> None:
    async with running("hal", dtmf=DTMFSettings(inband=True)) as hal:
        for phone in (bob, hal):
            call = await talking(alice, phone)
            await call.send_dtmf("48", duration_ms=80, gap_ms=80, method="inband")
            await call.send_dtmf("5", duration_ms=80, gap_ms=80, method="rtp")
            await call.send_dtmf("6", duration_ms=80, gap_ms=200, method="inband")
        assert pressed(bob) == [("5", "rtp")]
        assert pressed(hal) == [("4", "inband"), ("8", "inband"), ("5", "rtp")]


# --- which way ours go ---


@asynccontextmanager
async def simple_station(bob: Phone, *, allow: str = "") -> AsyncIterator[tuple[Dialog, RTPPeer, VoIPCall]]:
    """A caller that takes no RTP events, in a call with bob."""
    headers = f"Allow: {allow}\r\n" if allow else ""
    ear = RTPPeer()
    async with sending_to("127.0.0.1", bob.phone.client.port) as peer:
        dialog = Dialog(peer, f"sip:bob@127.0.0.1:{bob.phone.client.port}", headers=headers)
        await dialog.establish(ear.sdp(formats="0"))
        await bob.until(lambda: CallState.IN_CALL in bob.states)
        (call,) = bob.phone.calls.values()
        yield dialog, ear, call
        peer.send(dialog.request("BYE"))
        await bob.until(lambda: not bob.phone.calls)
    ear.close()


async def info_of(dialog: Dialog, status: str) -> bytes:
    """The body of the next INFO, which is answered with a status."""
    request = await dialog.peer.receive()
    dialog.peer.send(dialog.response(request, status))
    assert request.method == "INFO"
    return request.content


async def test_without_rtp_events_keys_are_sounded(bob: Phone) -> None:
    async with simple_station(bob, allow="INVITE, BYE") as (_, ear, call):
        await call.send_dtmf("12#", duration_ms=60, gap_ms=60)
        assert keys_in(ear.heard()) == "12#"
        with pytest.raises(InvalidStateError, match="takes no key presses over RTP"):
            await call.send_dtmf("1", duration_ms=60, gap_ms=60, method="rtp")


async def test_who_takes_info_gets_the_keys_so(bob: Phone) -> None:
    async with simple_station(bob, allow="INVITE, BYE, INFO") as (dialog, ear, call):
        keys = asyncio.ensure_future(call.send_dtmf("1#", duration_ms=60, gap_ms=0))
        bodies = [await info_of(dialog, "200 OK") for _ in range(2)]
        await keys
        assert bodies == [b"Signal=1\r\nDuration=60\r\n", b"Signal=#\r\nDuration=60\r\n"]
        assert keys_in(ear.heard()) == ""


async def test_who_takes_info_but_no_keys_hears_them(bob: Phone) -> None:
    async with simple_station(bob, allow="INFO") as (dialog, ear, call):
        keys = asyncio.ensure_future(call.send_dtmf("12", duration_ms=60, gap_ms=60))
        await info_of(dialog, "415 Unsupported Media Type")
        await keys
        assert keys_in(ear.heard()) == "12"


async def test_a_key_that_is_refused_for_another_reason_is_not_sent_again(bob: Phone) -> None:
    async with simple_station(bob, allow="INFO") as (dialog, ear, call):
        keys = asyncio.ensure_future(call.send_dtmf("1", duration_ms=60, gap_ms=60))
        await info_of(dialog, "403 Forbidden")
        with pytest.raises(RequestRefusedError, match="403"):
            await keys
        assert keys_in(ear.heard()) == ""


async def test_keys_by_info_wait_for_those_before_them_and_never_for_long(bob: Phone) -> None:
    async with simple_station(bob, allow="INFO") as (dialog, _, call):
        first = asyncio.ensure_future(call.send_dtmf("12", duration_ms=10, gap_ms=0))
        second = asyncio.ensure_future(call.send_dtmf("3", duration_ms=10**9, gap_ms=-1, method="info"))
        bodies = [await info_of(dialog, "200 OK") for _ in range(3)]
        await first
        second.cancel()
        assert [body.partition(b"\r\n")[0] for body in bodies] == [b"Signal=1", b"Signal=2", b"Signal=3"]
        assert bodies[2] == b"Signal=3\r\nDuration=5000\r\n"


@pytest.mark.parametrize("method", ["auto", "rtp", "info", "inband"])
async def test_what_is_no_key_is_refused_whatever_the_way(alice: Phone, bob: Phone, method: SendMethod) -> None:
    call = await talking(alice, bob)
    with pytest.raises(LocalProtocolError, match="digits"):
        await call.send_dtmf("1x", duration_ms=60, gap_ms=60, method=method)
