"""Sound before the answer: to callers who acknowledge provisional responses, and to those who don't."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sip_bridge.errors import InvalidStateError, MediaError
from sip_bridge.phone.call import CallState, VoIPCall
from tests.phone.peer import SILENCE, Peer, until
from tests.phone.phones import Phone, running, talking


class FirstSound(asyncio.Event):
    """An `AudioSink` that waits for something loud."""

    def write(self, frame: bytes, rate: int) -> None:
        if any(frame[1::2].strip(b"\x00\xff")):
            self.set()


@pytest.fixture
async def ringing() -> AsyncIterator[Phone]:
    """A phone that lets callers ring."""
    async with running("bob", meets=lambda _: None) as phone:
        yield phone


async def rung(alice: Phone, ringing: Phone) -> tuple[VoIPCall, VoIPCall]:
    """Both ends of a call that rings."""
    placed = await alice.phone.dial(ringing.uri, timeout=5)
    await alice.until(lambda: placed.state is CallState.RINGING)
    [received] = ringing.phone.calls.values()
    return placed, received


def collected(found: list[bytes], peer: Peer) -> list[bytes]:
    """With all that has come since."""
    found += peer.datagrams()
    return found


async def test_a_tone_is_heard_before_the_answer_and_goes_on_after_it(alice: Phone, ringing: Phone) -> None:
    sent: list[bytes] = []
    ringing.phone.client.on_wire = lambda message: sent.append(message.data)
    heard = FirstSound()
    placed, received = await rung(alice, ringing)
    placed.media.sinks.append(heard)
    await received.play_early("tone:dial")
    await alice.until(lambda: placed.state is CallState.EARLY_MEDIA)
    async with asyncio.timeout(5):
        await heard.wait()
    await received.play_early("tone:busy", enqueue=True)
    await received.answer()
    await alice.until(lambda: placed.state is CallState.IN_CALL)
    assert (received.state, received.media.is_playing) == (CallState.IN_CALL, True)
    statuses = [message.split(b" ", 2)[1] for message in sent if message.startswith(b"SIP/2.0")]
    assert statuses == [b"180", b"183", b"200", b"200"]  # the first of them for the PRACK
    requests = [message.split(b" ")[0] for message in sent if not message.startswith(b"SIP/2.0")]
    assert requests[:2] == [b"INVITE", b"PRACK"]


async def test_what_can_not_be_heard_leaves_the_call_ringing(alice: Phone, ringing: Phone) -> None:
    placed, received = await rung(alice, ringing)
    with pytest.raises(MediaError, match="No such file"):
        await received.play_early("no-such.wav")
    assert (placed.state, received.state) == (CallState.RINGING, CallState.RINGING)


async def test_an_answered_call_has_no_early_media(alice: Phone, bob: Phone) -> None:
    placed = await talking(alice, bob)
    [received] = bob.phone.calls.values()
    for call in (placed, received):
        with pytest.raises(InvalidStateError, match="not a ringing incoming call"):
            await call.play_early("tone:busy")


def invite(uri: str, sender: Peer, body: bytes) -> bytes:
    """From a phone that knows nothing of reliable provisional responses."""
    here = f"127.0.0.1:{sender.port}"
    lines = (
        f"INVITE {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {here};branch=z9hG4bKearly",
        "Max-Forwards: 70",
        f"From: <sip:old@{here}>;tag=1",
        f"To: <{uri}>",
        "Call-ID: early",
        "CSeq: 1 INVITE",
        f"Contact: <sip:old@{here}>",
        *(("Content-Type: application/sdp",) if body else ()),
        f"Content-Length: {len(body)}",
        "",
        "",
    )
    return "\r\n".join(lines).encode() + body


async def test_an_old_phone_hears_it_too_and_is_answered_with_what_it_was_told(ringing: Phone) -> None:
    signalling, sound = Peer(), Peer()
    signalling.send(invite(ringing.uri, signalling, sound.sdp()), ringing.phone.client.port)
    await ringing.until(lambda: ringing.states == [CallState.RINGING])
    [call] = ringing.phone.calls.values()
    await call.play_early("tone:dial")
    await until(lambda: any(packet.payload != SILENCE for packet in sound.heard()))
    early = b"".join(signalling.datagrams())
    await call.answer()
    answer: list[bytes] = []
    await until(lambda: bool(collected(answer, signalling)))
    signalling.close()
    sound.close()
    assert b"SIP/2.0 183" in early
    assert early.partition(b"v=0")[2] == answer[0].partition(b"v=0")[2] != b""


async def test_a_call_without_an_offer_needs_a_caller_who_acknowledges(ringing: Phone) -> None:
    signalling = Peer()
    signalling.send(invite(ringing.uri, signalling, b""), ringing.phone.client.port)
    await ringing.until(lambda: ringing.states == [CallState.RINGING])
    [call] = ringing.phone.calls.values()
    with pytest.raises(InvalidStateError, match="can't take ours before the answer"):
        await call.play_early("tone:dial")
    signalling.close()
    assert (call.state, call.media.is_playing) == (CallState.RINGING, False)
