"""SIPp calls our phone, in every way that a caller may."""

import re
from dataclasses import replace
from ipaddress import ip_network

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.events import DTMFPressed
from sip_bridge.phone.settings import PRIVATE_NETWORKS, SIPSettings
from sip_bridge.sip.events import EndCause
from sip_bridge.sip.status import SIPStatus
from tests.end_to_end.phone import DOOR, RTP, handset
from tests.peers.ports import HAS_IPV6, LOOPBACK, LOOPBACK_IPV6
from tests.peers.sipp import Sipp
from tests.peers.sipp_steps import (
    CALLER,
    Step,
    ack,
    ack_refusal,
    cancel,
    go_on,
    hang_up,
    hung_up,
    invite,
    label,
    pause,
    receive,
    sdp,
)

ANSWERED = ["< INVITE", "> INVITE 180", "> INVITE 200", "< ACK"]
ipv6 = pytest.param(LOOPBACK_IPV6, marks=pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine"))


def picked_up(*headers: str, body: str | None = None) -> list[Step]:
    """The begin of a call that is answered."""
    return [invite(*headers, body=body), receive(180), receive(200), ack()]


def changed(seq: int, *headers: str, body: str) -> list[Step]:
    """A re-INVITE that is accepted."""
    return [CALLER.request("INVITE", seq, *headers, body=body), receive(200), ack(seq)]


def bodies(messages: str, kind: str) -> list[str]:
    """The session descriptions in the messages of SIPp's log whose begin matches."""
    found = re.findall(rf"^{kind}.*?\r?\n\r?\n(.*?)(?=^-----|\Z)", messages, re.MULTILINE | re.DOTALL)
    return [body for body in found if body.startswith("v=0")]


def directions(messages: str, kind: str = "SIP/2.0 200 OK") -> list[str]:
    """What each of those descriptions lets flow."""
    return [
        re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)", body, re.MULTILINE)[0]
        for body in bodies(messages, kind)
    ]


@pytest.mark.parametrize("host", [LOOPBACK, ipv6])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_over_each_transport_and_address_family(sipp: Sipp, host: str, transport: str) -> None:
    account = replace(DOOR, allow_from=(*PRIVATE_NETWORKS, ip_network("::1")))
    settings = SIPSettings(bind=host, port=0, rtp_ports=RTP)
    async with handset(account, settings, answers=True) as phone:
        caller = await sipp.call("uac_invite_bye", phone.address, host=host, transport=transport, user="door", calls=3)
        for _ in range(3):
            assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE
        await caller.succeeded()


async def test_a_branching_caller_takes_both_branches(sipp: Sipp) -> None:
    steps = [
        invite(),
        receive(180),
        receive(403, optional=True, then=1),
        receive(200),
        ack(),
        *hang_up(CALLER, 2),
        go_on(2),
        label(1),
        ack_refusal(back=8),
        label(2),
    ]
    async with handset() as phone:
        caller = await sipp.call(steps, phone.address, user="door", calls=2, options=("-l", "1"))
        (await phone.call_in(CallState.RINGING)).reject(SIPStatus.FORBIDDEN)
        assert (await phone.finished()).cause is EndCause.REJECTED
        await (await phone.call_in(CallState.RINGING)).answer()
        assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE
        await caller.succeeded()


# --- CANCEL ---


async def test_a_cancel_that_crosses_our_answer_changes_nothing(sipp: Sipp) -> None:
    steps = [invite(), receive(180), receive(200), cancel(back=3), receive(200), ack(), *hang_up(CALLER, 2)]
    async with handset(answers=True) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE
        assert phone.signals == [*ANSWERED, "< BYE"]
        await caller.succeeded()


async def test_an_answer_is_repeated_until_its_acknowledgement_comes(sipp: Sipp) -> None:
    steps = [invite(), receive(180), receive(200), pause(1700), ack(), *hang_up(CALLER, 2)]
    async with handset(answers=True) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        await phone.finished()
        assert phone.signals == [*ANSWERED, "< BYE"]
        messages = (await caller.succeeded()).messages
        assert len(bodies(messages, "SIP/2.0 200 OK")) == 3  # at once, after 0.5 s and 1 s more


# --- changes of the session ---


async def test_a_caller_holds_resumes_and_moves_its_sound(sipp: Sipp) -> None:
    steps = [
        *picked_up(),
        *changed(2, body=sdp("sendonly")),
        *changed(3, body=sdp()),
        *changed(4, body=sdp(port="40000")),
        *hang_up(CALLER, 5),
    ]
    async with handset(answers=True) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        await phone.call_in(CallState.ON_HOLD)
        await phone.call_in(CallState.IN_CALL)
        await phone.finished()
        messages = (await caller.succeeded()).messages
        assert directions(messages) == ["sendrecv", "recvonly", "sendrecv", "sendrecv"]


async def test_a_caller_holds_and_resumes_by_update(sipp: Sipp) -> None:
    steps = [
        *picked_up(),
        CALLER.request("UPDATE", 2, body=sdp("sendonly")),
        receive(200),
        CALLER.request("UPDATE", 3, body=sdp()),
        receive(200),
        *hang_up(CALLER, 4),
    ]
    async with handset(answers=True) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        await phone.call_in(CallState.ON_HOLD)
        await phone.call_in(CallState.IN_CALL)
        await phone.finished()
        assert directions((await caller.succeeded()).messages) == ["sendrecv", "recvonly", "sendrecv"]


async def test_without_an_offer_ours_is_in_the_answer(sipp: Sipp) -> None:
    """A delayed offer, in the INVITE and in a re-INVITE."""
    steps = [
        invite(body=""),
        receive(180),
        receive(200),
        ack(body=sdp()),
        CALLER.request("INVITE", 2),
        receive(200),
        ack(2, body=sdp("sendonly")),
        pause(100),
        *hang_up(CALLER, 3),
    ]
    async with handset(answers=True) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        call = await phone.call_in(CallState.ON_HOLD)
        assert call.media.codec == "PCMU"
        await phone.finished()
        assert directions((await caller.succeeded()).messages) == ["sendrecv", "sendrecv"]


async def test_a_caller_refreshes_the_session_in_each_of_three_ways(sipp: Sipp) -> None:
    timer = ("Supported: timer", "Session-Expires: 90;refresher=uac")
    steps = [
        *picked_up(*timer),
        CALLER.request("UPDATE", 2, *timer),
        receive(200),
        *changed(3, *timer, body=sdp()),
        CALLER.request("INVITE", 4, *timer),
        receive(200),
        ack(4, body=sdp()),
        *hang_up(CALLER, 5),
    ]
    async with handset(answers=True) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        await phone.finished()
        messages = (await caller.succeeded()).messages
        assert len(re.findall("^Session-Expires: 90;refresher=uac\r?\nRequire: timer", messages, re.MULTILINE)) == 4


async def test_a_session_that_is_to_be_refreshed_too_often_is_refused(sipp: Sipp) -> None:
    steps = [invite("Supported: timer", "Session-Expires: 30"), receive(422), ack_refusal(back=2)]
    async with handset(answers=True) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        assert "Min-SE: 90" in (await caller.succeeded()).messages
        assert phone.events == []


# --- PRACK and INFO ---


async def test_a_caller_who_requires_100rel_acknowledges_our_ringing(sipp: Sipp) -> None:
    steps = [
        invite("Require: 100rel"),
        receive(180, keep=("rseq", "RSeq: *([0-9]+)")),
        CALLER.request("PRACK", 2, "RAck: [$rseq] 1 INVITE"),
        receive(200),
        receive(200),
        ack(),
        *hang_up(CALLER, 3),
    ]
    async with handset(answers=True) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        await phone.finished()
        await caller.succeeded()


async def test_keys_come_by_info(sipp: Sipp) -> None:
    keys = [
        CALLER.request("INFO", 2, body="Signal=5\nDuration=160\n", kind="application/dtmf-relay"),
        receive(200),
        CALLER.request("INFO", 3, body="#", kind="application/dtmf"),
        receive(200),
    ]
    async with handset(answers=True) as phone:
        caller = await sipp.call([*picked_up(), *keys, *hang_up(CALLER, 4)], phone.address, user="door")
        pressed = [await phone.event(DTMFPressed) for _ in range(2)]
        assert [(key.digit, key.method, key.duration_ms) for key in pressed] == [
            ("5", "info", 160),
            ("#", "info", None),
        ]
        await caller.succeeded()


# --- what is refused ---


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([CALLER.request("PUBLISH", 1, uri="sip:[service]@[remote_ip]:[remote_port]"), receive(405)], 405),
        ([invite("Require: no-such-extension"), receive(420), ack_refusal(back=2)], 420),
        ([CALLER.request("BYE", 1, uri="sip:[service]@[remote_ip]:[remote_port]"), receive(481)], 481),
        ([invite(body="v=1"), receive(488), ack_refusal(back=2)], 488),
    ],
)
async def test_what_we_can_not_do_is_said(sipp: Sipp, steps: list[Step], status: int) -> None:
    async with handset(answers=True) as phone:
        await (await sipp.call(steps, phone.address, user="door")).succeeded()


async def test_we_hang_up_a_call_that_sipp_placed_over_tcp(sipp: Sipp) -> None:
    async with handset(answers=True) as phone:
        caller = await sipp.call([*picked_up(), *hung_up()], phone.address, transport="tcp", user="door")
        call = await phone.call_in(CallState.IN_CALL)
        await phone.signal("ACK")
        call.hangup()
        await caller.succeeded()
