"""A phone behind a NAT at the real Asterisk: it can be called, and still after the NAT changed its mind."""

from sip_bridge.phone.call import CallState
from sip_bridge.phone.settings import RegisteredAccount, Secret
from tests.end_to_end.phone import handset
from tests.peers.asterisk import Asterisk
from tests.peers.nat import INSIDE, nat_before


async def test_behind_a_nat_the_public_address_is_registered_and_called(asterisk: Asterisk) -> None:
    async with nat_before(asterisk.host, asterisk.port) as nat:
        account = RegisteredAccount(
            id="pbx", name="PBX", user="620", server=INSIDE, port=nat.port, password=Secret(asterisk.password("620"))
        )
        async with handset(account) as phone:
            await phone.registered()
            assert await asterisk.contacts("620") == [f"sip:620@{nat.public}"]
            await asterisk.originate("620")
            call = await phone.call_in(CallState.RINGING)
            call.hangup()
            await phone.finished()
            await nat.rebind()
            phone.phone.register()
            await phone.registered()  # the challenge has shown the new address already
            assert await asterisk.contacts("620") == [f"sip:620@{nat.public}"]
            await asterisk.originate("620")
            (await phone.call_in(CallState.RINGING)).hangup()
            await phone.finished()
        registered = [data for data in nat.from_client if data.startswith(b"REGISTER")]
        assert len(registered) <= 6
        assert await asterisk.contacts("620") == []
