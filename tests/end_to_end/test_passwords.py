"""SIPp calls a line that has a password."""

from dataclasses import replace

import pytest

from sip_bridge.phone.settings import Secret
from sip_bridge.sip.events import EndCause
from tests.end_to_end.phone import DOOR, handset
from tests.peers.sipp import Sipp
from tests.peers.sipp_steps import CALLER, URI, Step, ack, ack_refusal, hang_up, invite, receive, sdp

CHALLENGED = '<recv response="401" auth="true"/>'
GUARDED = replace(DOOR, username="bell", password=Secret("ding"), algorithms=("MD5",))


def invite_again(seq: int, password: str) -> Step:
    """The INVITE with credentials: outside any dialog, though the challenge had a tag."""
    credentials = f"[authentication username=bell password={password}]"
    return CALLER.request("INVITE", seq, credentials, uri=URI, body=sdp()).replace("[peer_tag_param]", "")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_who_knows_the_password_gets_through(sipp: Sipp, transport: str) -> None:
    steps = [invite(), CHALLENGED, ack_refusal(back=2), invite_again(2, "ding"), receive(180), receive(200), ack(2)]
    async with handset(GUARDED, answers=True) as phone:
        caller = await sipp.call([*steps, *hang_up(CALLER, 3)], phone.address, transport=transport, user="door")
        assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE
        await caller.succeeded()


async def test_who_guesses_is_refused(sipp: Sipp) -> None:
    steps = [invite(), CHALLENGED, ack_refusal(back=2)]
    for seq in (2, 3):
        steps += [invite_again(seq, "guess"), CHALLENGED, ack_refusal(back=2)]
    steps += [invite_again(4, "guess"), receive(403), ack_refusal(back=2)]
    async with handset(GUARDED) as phone:
        caller = await sipp.call(steps, phone.address, user="door")
        await caller.succeeded()
        assert phone.events == []
