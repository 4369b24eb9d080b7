"""Fifty keys to Asterisk, and fifty from it: over RTP (RFC 4733), by INFO and as tones; each arrives, and once."""

import asyncio

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.events import DTMFMethod, DTMFPressed
from sip_bridge.phone.settings import DTMFSettings, RegisteredAccount, Secret
from tests.end_to_end.phone import handset
from tests.peers.asterisk import KEYS, Asterisk

USERS: dict[DTMFMethod, str] = {"rtp": "620", "info": "621", "inband": "635"}


@pytest.fixture
def asterisk(shared_asterisk: Asterisk) -> Asterisk:
    return shared_asterisk


async def exchange(asterisk: Asterisk, method: DTMFMethod) -> list[tuple[str, str]]:
    """Presses the keys, and lets them be pressed at the same time; what we heard, and how."""
    user = USERS[method]
    account = RegisteredAccount(
        id="pbx",
        name="PBX",
        user=user,
        server=asterisk.host,
        port=asterisk.port,
        password=Secret(asterisk.password(user)),
        dtmf=DTMFSettings(inband=method == "inband"),
    )
    async with handset(account) as phone:
        await phone.registered()
        presses = await phone.dial("211")
        await phone.call_in(CallState.IN_CALL)
        hears = await phone.dial("212")
        await phone.call_in(CallState.IN_CALL)
        await presses.send_dtmf(KEYS, duration_ms=100, gap_ms=60, method=method)
        for _ in KEYS:
            await phone.event(DTMFPressed)
        hears.hangup()
        await phone.finished()
        return [(event.digit, event.method) for event in phone.events if isinstance(event, DTMFPressed)]


async def test_fifty_keys_each_way_arrive_once_whichever_way_they_go(asterisk: Asterisk) -> None:
    heard = await asyncio.gather(*(exchange(asterisk, method) for method in USERS))
    assert heard == [[(key, method) for key in KEYS] for method in USERS]
    read = [line for line in asterisk.process.lines if "User entered" in line]
    assert sorted(line.partition("User entered ")[2] for line in read) == [f"'{KEYS}'"] * 3
