"""Keys in calls between phones on loopback: told once, collected to sequences, compared with codes."""

import asyncio

from sip_bridge.media.key_sequence import SequenceEnd
from sip_bridge.phone.call import VoIPCall
from sip_bridge.phone.events import CallFinished, DTMFEntered, DTMFPressed
from sip_bridge.phone.settings import DTMFCode, DTMFSettings, Secret
from tests.phone.phones import Phone, running, talking

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
