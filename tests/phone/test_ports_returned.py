"""A phone with ports for one call only: whatever becomes of a call, the next one finds them free."""

from collections.abc import AsyncIterator

import pytest

from sip_bridge.errors import LocalProtocolError, NoPortsAvailableError
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallFinished
from sip_bridge.phone.settings import PortRange, SIPSettings
from sip_bridge.sip.status import SIPStatus
from tests.peers.ports import free_ports
from tests.phone.phones import Phone, running, talking


@pytest.fixture
async def cramped() -> AsyncIterator[Phone]:
    """A phone that can have one call."""
    low = free_ports(2)
    settings = SIPSettings(bind=("127.0.0.1",), port=0, rtp_ports=PortRange(low=low, high=low + 1))
    async with SIPClient(settings) as client:
        phone = Phone(client, "cramped", codecs=("PCMA",))
        phone.phone.start()
        yield phone
        phone.phone.stop()


async def has_ports(phone: Phone) -> bool:
    """Whether a call can be placed; it is given up at once."""
    call = await phone.phone.dial(phone.uri.replace("cramped", "nobody"), timeout=5)
    await phone.until(lambda: call.state is CallState.ENDED)
    return True


async def test_a_second_call_has_to_wait_until_the_first_is_over(cramped: Phone, alice: Phone) -> None:
    call = await talking(cramped, alice)
    with pytest.raises(NoPortsAvailableError):
        await cramped.phone.dial(alice.uri, timeout=5)
    call.hangup()
    await cramped.until(lambda: call.state is CallState.ENDED)
    assert await has_ports(cramped)


async def test_calls_that_are_refused_given_up_or_never_begun_give_their_ports_back(cramped: Phone) -> None:
    def busy(call: VoIPCall) -> None:
        call.reject(SIPStatus.BUSY_HERE)

    async with running("bob", meets=busy) as bob, running("carol", meets=lambda _: None) as carol:
        for _ in range(2):
            with pytest.raises(LocalProtocolError):
                await cramped.phone.dial(bob.uri, timeout=5, headers={"X": "a\r\nVia: b"})
            refused = await cramped.phone.dial(bob.uri, timeout=5)
            await cramped.until(lambda: refused.state is CallState.ENDED)  # noqa: B023  # waited for in this turn
            given_up = await cramped.phone.dial(carol.uri, timeout=5)
            await cramped.until(lambda: given_up.state is CallState.RINGING)  # noqa: B023  # as above
            given_up.hangup()
            await cramped.until(lambda: given_up.state is CallState.ENDED)  # noqa: B023  # as above
        assert await has_ports(cramped)


async def test_a_caller_who_hangs_up_and_one_who_offers_nothing_that_fits_give_the_ports_back(cramped: Phone) -> None:
    async with running("alice", codecs=("PCMA",)) as alice, running("bob", codecs=("PCMU",)) as bob:
        for _ in range(2):
            call = await talking(alice, cramped)
            call.hangup()
            await cramped.until(lambda: isinstance(cramped.told[-1], CallFinished))
            await bob.phone.dial(cramped.uri, timeout=5)
            await bob.until(lambda: isinstance(bob.told[-1], CallFinished))
    assert {finished.status for finished in bob.told if isinstance(finished, CallFinished)} == {488}
    assert await has_ports(cramped)


async def test_a_client_that_stops_in_a_call_gives_the_ports_back(alice: Phone) -> None:
    low = free_ports(2)
    settings = SIPSettings(bind=("127.0.0.1",), port=0, rtp_ports=PortRange(low=low, high=low + 1))
    for _ in range(2):
        async with SIPClient(settings) as client:
            phone = Phone(client, "cramped")
            phone.phone.start()
            await talking(phone, alice)
            phone.phone.stop()
