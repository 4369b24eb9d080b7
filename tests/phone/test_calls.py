"""Calls between phones on loopback: hold, transfer, keys by INFO."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from sip_bridge.errors import InvalidStateError, LocalProtocolError, RequestRefusedError
from sip_bridge.phone.announcement import Announcement
from sip_bridge.phone.call import CallState
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallFinished, CallLimit, DTMFPressed, MediaLost
from sip_bridge.phone.settings import SIPSettings
from sip_bridge.sip.events import EndCause
from sip_bridge.sip.status import SIPStatus
from tests.bridge.test_calls import write_tone
from tests.phone.peer import until
from tests.phone.phones import TIMEOUT, Phone, running, talking
from tests.phone.sip_peer import Dialog, sdp, sending_to


async def test_hold_and_resume_are_seen_on_both_sides(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    await call.hold()
    assert (call.state, bob.states) == (CallState.ON_HOLD, [CallState.ON_HOLD])
    await call.resume()
    assert (call.state, bob.states) == (CallState.IN_CALL, [CallState.IN_CALL])


async def test_the_one_who_was_called_can_hold_too(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    (other,) = bob.phone.calls.values()
    await other.hold()
    assert (other.state, call.state) == (CallState.ON_HOLD, CallState.ON_HOLD)
    await other.resume()
    assert (other.state, call.state) == (CallState.IN_CALL, CallState.IN_CALL)


async def test_two_who_hold_each_other_at_once_both_do(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    (other,) = bob.phone.calls.values()
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(call.hold(), other.hold())
    assert (call.state, other.state) == (CallState.ON_HOLD, CallState.ON_HOLD)


async def test_a_hold_that_is_answered_with_nothing_we_could_take_is_refused(bob: Phone) -> None:
    async with sending_to("127.0.0.1", bob.phone.client.port) as station:
        dialog = Dialog(station, bob.uri)
        await dialog.establish()
        await bob.until(lambda: bob.states == [CallState.IN_CALL])
        [call] = bob.phone.calls.values()
        holding = asyncio.create_task(call.hold())
        invite = await station.receive()
        station.send(dialog.response(invite, body=sdp("127.0.0.1").replace(b"m=audio 40000", b"m=audio 0")))
        with pytest.raises(RequestRefusedError, match="488 its answer can't be taken"):
            await holding
        assert call.state is CallState.IN_CALL


async def test_only_one_change_is_waited_for_at_a_time(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    first = asyncio.ensure_future(call.hold())
    await asyncio.sleep(0)
    with pytest.raises(InvalidStateError, match="another offer"):
        await call.resume()
    await first


async def test_a_call_that_ends_ends_what_was_waited_for(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    held = asyncio.ensure_future(call.hold())
    await asyncio.sleep(0)
    call.hangup()
    with pytest.raises(RequestRefusedError, match="over"):
        await held


async def test_a_call_ends_when_it_has_lasted_as_long_as_the_account_allows(alice: Phone) -> None:
    async with running("bob", max_duration=0.05) as bob:
        await alice.phone.dial(bob.uri, timeout=10)
        await bob.until(lambda: bob.told and isinstance(bob.told[-1], CallFinished))
        await alice.until(lambda: isinstance(alice.told[-1], CallFinished))
    ends = [event for phone in (bob, alice) for event in phone.told if isinstance(event, CallFinished)]
    assert [(event.cause, event.limit) for event in ends] == [
        (EndCause.HANGUP_LOCAL, CallLimit.MAX_DURATION),
        (EndCause.HANGUP_REMOTE, None),
    ]
    assert bob.phone.calls == alice.phone.calls == {}


async def test_a_call_can_be_refused_as_soon_as_it_is_told(alice: Phone) -> None:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
    async with running("bob", meets=lambda call: call.reject(SIPStatus.BUSY_HERE)) as bob:
        await alice.phone.dial(bob.uri, timeout=5)
        await alice.until(lambda: isinstance(alice.told[-1], CallFinished))
        assert [event.status for event in alice.told if isinstance(event, CallFinished)] == [SIPStatus.BUSY_HERE]
        assert bob.phone.calls == {}
    assert problems == []


class FirstSound(asyncio.Event):
    """An `AudioSink` that waits for anything but silence."""

    def write(self, frame: bytes, rate: int) -> None:
        if any(frame):
            self.set()


async def test_a_client_can_stop_while_something_plays_that_the_call_is_to_end_with(bob: Phone, tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.wav", seconds=60.0)
    announcement = Announcement(source=str(tmp_path / "tone.wav"), hangup_after=True)
    heard = FirstSound()
    async with asyncio.timeout(TIMEOUT), SIPClient(SIPSettings(bind=("127.0.0.1",), port=0)) as client:
        alice = Phone(client, "alice")
        alice.phone.start()
        await alice.phone.dial(bob.uri, timeout=5, announcement=announcement)
        await bob.until(lambda: bob.states == [CallState.IN_CALL])
        [call] = bob.phone.calls.values()
        call.media.sinks.append(heard)
        await heard.wait()
    assert alice.phone.calls == {}
    await bob.until(lambda: bob.states == [])


async def test_a_call_whose_other_party_falls_silent_is_hung_up(alice: Phone) -> None:
    async with running("bob", media_timeout=0.3) as bob:
        call = await talking(alice, bob)
        [other] = bob.phone.calls.values()
        await until(lambda: other.media.statistics.packets_received > 0)
        call.media.close()
        await bob.until(lambda: isinstance(bob.told[-1], CallFinished))
    lost, finished = (event for event in bob.told if isinstance(event, MediaLost | CallFinished))
    assert isinstance(lost, MediaLost)
    assert isinstance(finished, CallFinished)
    assert lost.seconds >= 0.3
    assert (finished.cause, finished.limit) == (EndCause.HANGUP_LOCAL, CallLimit.MEDIA_LOST)


async def test_a_call_that_is_to_be_kept_outlasts_the_silence_of_its_other_party(alice: Phone) -> None:
    async with running("bob", media_timeout=0.1, media_lost="keep") as bob:
        call = await talking(alice, bob)
        call.media.close()
        await bob.until(lambda: isinstance(bob.told[-1], MediaLost))
        assert bob.states == [CallState.IN_CALL]


async def test_who_never_sends_sound_is_told_of_and_kept() -> None:
    async with running("bob", media_timeout=0.1) as bob, sending_to("127.0.0.1", bob.phone.client.port) as station:
        await Dialog(station, bob.uri).establish()
        await bob.until(lambda: bob.told and isinstance(bob.told[-1], MediaLost))
        assert bob.states == [CallState.IN_CALL]


async def test_on_hold_silence_is_what_was_asked_for(alice: Phone) -> None:
    async with running("bob", media_timeout=0.1) as bob:
        call = await talking(alice, bob)
        await call.hold()
        await asyncio.sleep(0.3)
        assert bob.states == [CallState.ON_HOLD]
        assert not any(isinstance(event, MediaLost) for event in bob.told)
        await call.resume()


async def test_a_blind_transfer_leaves_the_other_two_talking(alice: Phone, bob: Phone, carol: Phone) -> None:
    call = await talking(alice, bob)
    async with asyncio.timeout(TIMEOUT):
        await call.transfer(carol.uri)
    await bob.until(lambda: bob.states == [CallState.IN_CALL])
    assert (alice.states, carol.states) == ([], [CallState.IN_CALL])
    (linked,) = bob.phone.calls.values()
    assert linked.remote.uri == carol.uri


async def test_an_attended_transfer_leaves_the_other_two_talking(alice: Phone, bob: Phone, carol: Phone) -> None:
    call = await talking(alice, bob)
    await call.hold()
    other = await talking(alice, carol)
    async with asyncio.timeout(TIMEOUT):
        await call.transfer(other)
    await bob.until(lambda: bob.states == [CallState.IN_CALL])
    await carol.until(lambda: carol.states == [CallState.IN_CALL])
    await alice.until(lambda: alice.states == [])


async def test_a_transfer_to_nobody_leaves_the_call(alice: Phone, bob: Phone, carol: Phone) -> None:
    call = await talking(alice, bob)
    with pytest.raises(RequestRefusedError, match="404") as refusal:
        await call.transfer(carol.uri.replace("carol", "nobody"))
    assert refusal.value.status == SIPStatus.NOT_FOUND
    assert (alice.states, bob.states) == ([CallState.IN_CALL], [CallState.IN_CALL])


async def test_a_transfer_to_where_nobody_can_be_reached_is_told(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    with pytest.raises(RequestRefusedError):
        await call.transfer("sip:x@127.0.0.1:1;transport=tcp")
    assert call.is_talking


@pytest.mark.parametrize(("accepts", "target"), [(False, "sip:carol@127.0.0.1:9"), (True, "sip:+1900@192.0.2.1")])
async def test_who_may_not_transfer_us_is_declined(alice: Phone, accepts: bool, target: str) -> None:
    async with running("bob", accept_transfers=accepts) as bob:
        call = await talking(alice, bob)
        with pytest.raises(RequestRefusedError, match="603"):
            await call.transfer(target)
        assert (alice.states, bob.states) == ([CallState.IN_CALL], [CallState.IN_CALL])


async def test_keys_go_by_info_one_after_the_other(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    await call.send_dtmf("1,#", duration_ms=40, gap_ms=10, method="info")
    pressed = [(e.digit, e.method, e.duration_ms) for e in bob.told if isinstance(e, DTMFPressed)]
    assert pressed == [("1", "info", 40), ("#", "info", 40)]
    with pytest.raises(LocalProtocolError):
        await call.send_dtmf("x", duration_ms=40, gap_ms=10, method="info")


async def test_a_hung_up_call_takes_no_more_keys(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    keys = asyncio.ensure_future(call.send_dtmf("12", duration_ms=40, gap_ms=10, method="info"))
    await asyncio.sleep(0)
    call.hangup()
    with pytest.raises(RequestRefusedError, match="over"):
        await keys
    assert sum(isinstance(event, CallFinished) for event in alice.told) == 1


async def test_a_call_that_nobody_acknowledged_leaves_no_sockets_behind() -> None:
    async with running("bob") as bob:
        peer = await asyncio.to_thread(unacknowledged_caller, bob.phone.client.port)
        await bob.until(lambda: CallState.IN_CALL in bob.states)
        (call,) = bob.phone.calls.values()
        peer.close()
    with pytest.raises(InvalidStateError, match="not open"):
        _ = call.media.port


def unacknowledged_caller(port: int) -> socket.socket:
    """Calls bob, and never acknowledges that he answered."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    here = peer.getsockname()[1]
    sdp = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {here} RTP/AVP 0\r\n"
    head = (
        f"INVITE sip:bob@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bK1\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag=1\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: 1\r\n"
        f"CSeq: 1 INVITE\r\nContact: <sip:x@127.0.0.1:{here}>\r\nContent-Type: application/sdp\r\n"
        f"Content-Length: {len(sdp)}\r\n\r\n"
    )
    peer.sendto((head + sdp).encode(), ("127.0.0.1", port))
    return peer
