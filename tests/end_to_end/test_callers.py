"""Callers other than SIPp who give up, and a PBX that hangs up."""

import pytest

from tests.end_to_end.bridge import Bridge, Client
from tests.peers.asterisk import Asterisk
from tests.peers.baresip import Baresip


@pytest.fixture
def asterisk(shared_asterisk: Asterisk) -> Asterisk:
    return shared_asterisk


async def test_baresip_gives_up_while_it_rings(bridge: Bridge, client: Client, baresip: Baresip) -> None:
    await baresip.dial(f"sip:door@{bridge.address}")
    await client.event("RINGING")
    await baresip.wait_for("CALL_RINGING")
    await baresip.hangup()
    assert (await client.event("CALL_ENDED"))["end_reason"] == "canceled"
    assert await client.event_names() == ["INVITE", "RINGING", "CANCEL", "CALL_ENDED"]
    assert client.call_states() == ["idle", "ringing", "idle"]


async def test_asterisk_gives_up_while_it_rings(pbx: Client, asterisk: Asterisk) -> None:
    await asterisk.originate("620")
    await pbx.event("RINGING")
    await asterisk.cli("channel request hangup all")
    assert (await pbx.event("CALL_ENDED"))["end_reason"] == "canceled"
    assert (await pbx.event_names())[-4:] == ["INVITE", "RINGING", "CANCEL", "CALL_ENDED"]


async def test_asterisk_hangs_up_the_call_that_it_placed(pbx: Client, asterisk: Asterisk) -> None:
    await asterisk.originate("620")
    await pbx.event("RINGING")
    await pbx.request("answer")
    await pbx.event("ACK")
    await asterisk.cli("channel request hangup all")
    assert (await pbx.event("BYE"))["origin"] == "remote"
    assert (await pbx.event("CALL_ENDED"))["end_reason"] == "hangup_remote"
    assert (await pbx.event_names())[-6:] == ["INVITE", "RINGING", "OK", "ACK", "BYE", "CALL_ENDED"]
