"""Our phone calls SIPp, which answers in every way that a callee may."""

import re

import pytest

from sip_bridge.errors import RequestRefusedError
from sip_bridge.phone.call import CallState
from sip_bridge.phone.events import CallLimit
from sip_bridge.phone.settings import RegisteredAccount, Secret, SIPSettings
from sip_bridge.sip.events import EndCause
from tests.end_to_end.phone import DOOR, RTP, Handset, handset
from tests.end_to_end.test_sipp_callers import directions, ipv6
from tests.peers.ports import LOOPBACK
from tests.peers.sipp import Sipp, SippRun
from tests.peers.sipp_steps import (
    CALLEE,
    OUR_TAG,
    Step,
    answer,
    go_on,
    go_on_if_flagged,
    hang_up,
    hung_up,
    label,
    pause,
    receive,
    receive_invite,
    respond,
    respond_to_invite,
    sdp,
)

RINGING = respond("180 Ringing")
RELIABLE = "Require: 100rel"


def picked_up(*headers: str, body: str | None = None) -> list[Step]:
    """A call that is answered."""
    return [receive_invite(), RINGING, answer(*headers, body=body), receive("ACK")]


def changed(seq: int, body: str) -> list[Step]:
    """A re-INVITE of SIPp's that is accepted."""
    return [CALLEE.request("INVITE", seq, body=body), receive(200), CALLEE.request("ACK", seq)]


def accepted(body: str) -> list[Step]:
    """A re-INVITE of ours that is accepted."""
    return [receive("INVITE"), respond("200 OK", body=body, tag="", repeats=True), receive("ACK")]


def uri(run: SippRun) -> str:
    return f"sip:station@{run.address}"


async def ended_by_sipp(phone: Handset, run: SippRun) -> str:
    """SIPp hangs up; the messages."""
    assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE
    return (await run.succeeded()).messages


@pytest.mark.parametrize("host", [LOOPBACK, ipv6])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_over_each_transport_and_address_family(sipp: Sipp, host: str, transport: str) -> None:
    called = await sipp.listen([*picked_up(), *hung_up()], host=host, transport=transport)
    async with handset(DOOR, SIPSettings(bind=host, port=0, rtp_ports=RTP)) as phone:
        call = await phone.dial(f"{uri(called)};transport={transport}")
        await phone.call_in(CallState.IN_CALL)
        call.hangup()
        assert phone.signals == ["> INVITE", "< INVITE 180", "< INVITE 200", "> ACK", "> BYE"]
        await called.succeeded()


async def test_sipps_own_callee(sipp: Sipp) -> None:
    called = await sipp.listen("uas")
    async with handset() as phone:
        call = await phone.dial(uri(called))
        await phone.call_in(CallState.IN_CALL)
        call.hangup()
    called.stop()  # its scenario ends with a pause


async def test_a_branching_callee_refuses_and_answers(sipp: Sipp) -> None:
    steps = [
        receive_invite(flag="sip:wanted@"),
        go_on_if_flagged(1),
        respond("403 Forbidden", repeats=True),
        receive("ACK"),
        go_on(2),
        label(1),
        RINGING,
        answer(),
        receive("ACK"),
        *hung_up(),
        label(2),
    ]
    called = await sipp.listen(steps, calls=2)
    async with handset() as phone:
        await phone.dial(uri(called))
        refused = await phone.finished()
        assert (refused.cause, refused.status) == (EndCause.REJECTED, 403)
        call = await phone.dial(f"sip:wanted@{called.address}")
        await phone.call_in(CallState.IN_CALL)
        call.hangup()
        await called.succeeded()


# --- before the answer ---


async def test_early_media_is_heard_before_the_answer(sipp: Sipp) -> None:
    steps = [receive_invite(), respond("183 Session Progress", body=sdp()), pause(50), answer(), receive("ACK")]
    called = await sipp.listen([*steps, *hang_up(CALLEE, 1)])
    async with handset() as phone:
        call = await phone.dial(uri(called))
        await phone.call_in(CallState.EARLY_MEDIA)
        assert call.media.codec == "PCMU"
        await ended_by_sipp(phone, called)


async def test_reliable_provisional_responses_are_acknowledged(sipp: Sipp) -> None:
    steps = [
        receive_invite(),
        respond("183 Session Progress", RELIABLE, "RSeq: 7", body=sdp(), repeats=True),
        receive("PRACK"),
        respond("200 OK", tag=""),
        respond_to_invite("180 Ringing", RELIABLE, "RSeq: 8"),
        receive("PRACK"),
        respond("200 OK", tag=""),
        respond_to_invite("200 OK"),
        receive("ACK"),
        *hang_up(CALLEE, 1),
    ]
    called = await sipp.listen(steps)
    async with handset() as phone:
        await phone.dial(uri(called))
        messages = await ended_by_sipp(phone, called)
        assert re.findall(r"^RAck: (.*?)\r?$", messages, re.MULTILINE) == ["7 1 INVITE", "8 1 INVITE"]


async def test_a_second_phone_that_answers_too_is_hung_up(sipp: Sipp) -> None:
    steps = [
        *picked_up(),
        respond_to_invite("200 OK", body=sdp(), tag=";tag=other", repeats=False),
        receive("ACK"),
        receive("BYE"),
        respond("200 OK", tag=""),
        *hang_up(CALLEE, 1),
    ]
    called = await sipp.listen(steps)
    async with handset() as phone:
        await phone.dial(uri(called))
        messages = await ended_by_sipp(phone, called)
        assert "tag=other" in messages.partition("\nBYE ")[2]


async def test_a_redirection_is_followed_to_another_sipp(sipp: Sipp) -> None:
    second = await sipp.listen([*picked_up(), *hang_up(CALLEE, 1)])
    moved = respond("302 Moved Temporarily", contact=f"Contact: <{uri(second)}>", repeats=True)
    first = await sipp.listen([receive_invite(), moved, receive("ACK")])
    async with handset() as phone:
        await phone.dial(uri(first))
        await ended_by_sipp(phone, second)
        await first.succeeded()


async def test_a_session_timer_that_is_too_short_is_raised(sipp: Sipp) -> None:
    refuse = respond("422 Session Interval Too Small", "Min-SE: 3600", repeats=True)
    timer = ("Require: timer", "Session-Expires: 3600;refresher=uac")
    called = await sipp.listen([receive_invite(), refuse, receive("ACK"), *picked_up(*timer), *hang_up(CALLEE, 1)])
    async with handset() as phone:
        await phone.dial(uri(called))
        messages = await ended_by_sipp(phone, called)
        assert re.findall(r"^Min-SE: (\d+)", messages.partition("CSeq: 2 INVITE")[2], re.MULTILINE) == ["3600"]


# --- giving up ---


async def test_a_hang_up_before_any_response_is_cancelled_after_the_first(sipp: Sipp) -> None:
    steps = [receive_invite(), pause(200), RINGING, *_cancelled()]
    called = await sipp.listen(steps)
    async with handset() as phone:
        call = await phone.dial(uri(called))
        call.hangup()
        assert (await phone.finished()).cause is EndCause.CANCELED
        await called.succeeded()


async def test_an_answer_that_crosses_our_cancel_is_acknowledged_and_hung_up(sipp: Sipp) -> None:
    steps = [receive_invite(), RINGING, receive("CANCEL"), respond("200 OK"), respond_to_invite("200 OK", body=sdp())]
    called = await sipp.listen([*steps, receive("ACK"), *hung_up()])
    async with handset() as phone:
        call = await phone.dial(uri(called))
        await phone.call_in(CallState.RINGING)
        call.hangup()
        await called.succeeded()
        assert (await phone.finished()).cause is EndCause.CANCELED


async def test_a_call_that_nobody_answers_is_given_up(sipp: Sipp) -> None:
    called = await sipp.listen([receive_invite(), RINGING, *_cancelled()])
    async with handset() as phone:
        await phone.dial(uri(called), timeout=0.2)
        assert (await phone.finished()).limit is CallLimit.NO_ANSWER
        await called.succeeded()


def _cancelled() -> list[Step]:
    ended = respond_to_invite("487 Request Terminated")
    return [receive("CANCEL"), respond("200 OK"), ended, receive("ACK")]


# --- changes of the session ---


async def test_we_hold_and_resume(sipp: Sipp) -> None:
    steps = [*picked_up(), *accepted(sdp("recvonly")), *accepted(sdp()), *hung_up()]
    called = await sipp.listen(steps)
    async with handset() as phone:
        call = await phone.dial(uri(called))
        await phone.call_in(CallState.IN_CALL)
        await call.hold()
        await phone.call_in(CallState.ON_HOLD)
        await call.resume()
        await phone.call_in(CallState.IN_CALL)
        call.hangup()
        messages = (await called.succeeded()).messages
        assert directions(messages, "INVITE sip:") == ["sendrecv", "sendonly", "sendrecv"]


async def test_a_hold_that_is_refused_leaves_the_call_as_it_was(sipp: Sipp) -> None:
    refused = [receive("INVITE"), respond("488 Not Acceptable Here", tag="", repeats=True), receive("ACK")]
    called = await sipp.listen([*picked_up(), *refused, *hung_up()])
    async with handset() as phone:
        call = await phone.dial(uri(called))
        await phone.call_in(CallState.IN_CALL)
        with pytest.raises(RequestRefusedError, match="488"):
            await call.hold()
        assert call.state is CallState.IN_CALL
        call.hangup()
        await called.succeeded()


async def test_the_callee_holds_resumes_moves_and_asks_for_our_offer(sipp: Sipp) -> None:
    ask = [CALLEE.request("INVITE", 4), receive(200), CALLEE.request("ACK", 4, body=sdp("sendonly"))]
    changes = [*changed(1, sdp("sendonly")), *changed(2, sdp()), *changed(3, sdp(port="40000")), *ask]
    called = await sipp.listen([*picked_up(), *changes, *hang_up(CALLEE, 5)])
    async with handset() as phone:
        await phone.dial(uri(called))
        for state in (CallState.IN_CALL, CallState.ON_HOLD, CallState.IN_CALL, CallState.ON_HOLD):
            await phone.call_in(state)
        messages = await ended_by_sipp(phone, called)
        ours = messages.partition("CSeq: 1 ACK")[2]
        assert directions(ours, "SIP/2.0 200 OK") == ["recvonly", "sendrecv", "sendrecv", "sendrecv"]


async def test_glare_is_refused_and_our_hold_goes_out_later(sipp: Sipp) -> None:
    """Both change the session at once: each refuses the other's offer, and we wait 2.1 to 4 s (RFC 3261 §14.1)."""
    glare = [
        receive_invite(again=True),
        CALLEE.request("INVITE", 1, body=sdp()),
        receive(491),
        CALLEE.request("ACK", 1, branch="[branch-2]"),
        respond_to_invite("491 Request Pending", tag=""),
        receive("ACK"),
        *accepted(sdp("recvonly")),
    ]
    called = await sipp.listen([*picked_up(), *glare, *hang_up(CALLEE, 2)])
    async with handset() as phone:
        call = await phone.dial(uri(called))
        await phone.call_in(CallState.IN_CALL)
        await call.hold()
        await ended_by_sipp(phone, called)


async def test_the_callee_updates_and_refreshes(sipp: Sipp) -> None:
    timer = ("Require: timer", "Session-Expires: 90;refresher=uas")
    refresh = ("Supported: timer", "Session-Expires: 90;refresher=uac")
    steps = [
        *picked_up(*timer),
        CALLEE.request("UPDATE", 1, *refresh),
        receive(200),
        CALLEE.request("UPDATE", 2, body=sdp("sendonly")),
        receive(200),
        *hang_up(CALLEE, 3),
    ]
    called = await sipp.listen(steps)
    async with handset() as phone:
        await phone.dial(uri(called))
        await phone.call_in(CallState.ON_HOLD)
        assert "Session-Expires: 90;refresher=uac" in await ended_by_sipp(phone, called)


# --- authentication ---


def challenge(status: str, header: str, nonce: str, *, algorithm: str = "MD5", tag: str = OUR_TAG) -> Step:
    value = f'Digest realm="station", nonce="{nonce}", qop="auth", algorithm={algorithm}'
    return respond(status, f"{header}: {value}", tag=tag)


def with_nonce(method: str, nonce: str, header: str = "Authorization") -> Step:
    return receive(method, keep=(nonce, f"{header}: Digest .*nonce=.({nonce})"))


async def test_each_request_is_challenged_with_another_nonce(sipp: Sipp) -> None:
    """REGISTER and BYE once, INVITE twice. SIPp looks at nonces; that our digests are right is Kamailio's to say."""
    registration = [
        label(1),
        challenge("401 Unauthorized", "WWW-Authenticate", "zeroth"),
        with_nonce("REGISTER", "zeroth"),
        respond("200 OK", "Expires: 60", contact="[last_Contact:]"),
        receive("REGISTER"),
        respond("200 OK"),
        label(2),
    ]
    steps = [
        receive("REGISTER", optional=True, then=1),
        receive_invite(),
        challenge("401 Unauthorized", "WWW-Authenticate", "first"),
        receive("ACK"),
        with_nonce("INVITE", "first"),
        challenge("407 Proxy Authentication Required", "Proxy-Authenticate", "second"),
        receive("ACK"),
        with_nonce("INVITE", "second", "Proxy-Authorization"),
        RINGING,
        answer(),
        receive("ACK"),
        receive("BYE"),
        challenge("401 Unauthorized", "WWW-Authenticate", "third", algorithm="SHA-256", tag=""),
        with_nonce("BYE", "third"),
        respond("200 OK", tag=""),
        go_on(2),
        *registration,
    ]
    called = await sipp.listen(steps, calls=2)
    account = RegisteredAccount(
        id="pbx", name="PBX", user="620", server=called.host, port=called.port, password=Secret("secret")
    )
    async with handset(account) as phone:
        await phone.registered()
        call = await phone.dial("station")
        await phone.call_in(CallState.IN_CALL)
        call.hangup()
        await phone.finished()
    await called.succeeded()
