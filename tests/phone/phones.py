"""Phones on loopback that answer at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, RecordingSettings, SIPSettings

TIMEOUT = 10.0


class Phone:
    """A phone that answers at once, unless it ``meets`` callers in another way, and all that it told."""

    def __init__(
        self, client: SIPClient, user: str, *, meets: Callable[[VoIPCall], None] | None = None, **options: Any
    ) -> None:
        account = DirectAccount(
            id=user,
            name=user,
            user=user,
            allow_from=(ip_network("127.0.0.0/8"),),
            allow_dial=("sip:*@127.0.0.1:*",),
            **{"accept_transfers": True, **options},
        )
        self.told: list[PhoneEvent] = []
        self.news = asyncio.Event()
        self._meets = meets or self._answer
        self.phone = VoIPPhone(client, account, listener=self._listen)

    @property
    def uri(self) -> str:
        return f"sip:{self.phone.account.user}@127.0.0.1:{self.phone.client.port}"

    def _listen(self, _: VoIPPhone, event: PhoneEvent) -> None:
        self.told.append(event)
        self.news.set()
        match event:
            case CallChanged(call=call) if call.is_incoming and call.state is CallState.RINGING:
                self._meets(call)
            case _:
                pass

    def _answer(self, call: VoIPCall) -> None:
        self.phone.start_task(call.answer(), name="answer")

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait until something that the phone tells makes it so."""
        async with asyncio.timeout(TIMEOUT):
            while not is_so():
                self.news.clear()
                await self.news.wait()

    @property
    def states(self) -> list[CallState]:
        return [call.state for call in self.phone.calls.values()]


@asynccontextmanager
async def running(user: str, *, recording: RecordingSettings | None = None, **options: Any) -> AsyncIterator[Phone]:
    async with SIPClient(SIPSettings(bind=("127.0.0.1",), port=0), recording=recording) as client:
        phone = Phone(client, user, **options)
        phone.phone.start()
        yield phone
        phone.phone.stop()


async def talking(alice: Phone, bob: Phone) -> VoIPCall:
    call = await alice.phone.dial(bob.uri, timeout=5)
    await alice.until(lambda: call.state is CallState.IN_CALL)
    await bob.until(lambda: CallState.IN_CALL in bob.states)
    return call
