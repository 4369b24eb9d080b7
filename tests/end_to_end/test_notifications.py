"""The mailbox, other people's calls and texts at Asterisk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import PortRange, RegisteredAccount, Secret, SIPSettings
from sip_bridge.sip.dialog_info import DialogState
from sip_bridge.sip.events import (
    DialogStateReceived,
    MessageReceived,
    MessageSent,
    MessagesWaiting,
    RegistrationChanged,
    RegistrationState,
)
from sip_bridge.sip.status import SIPStatus
from tests.peers.asterisk import Asterisk

TIMEOUT = 20.0
E = TypeVar("E", bound=PhoneEvent)


class Heard:
    """A phone at Asterisk, and what its listener hears."""

    def __init__(self, phone: VoIPPhone, events: "asyncio.Queue[PhoneEvent]") -> None:
        self.phone = phone
        self._events = events

    async def next(self, kind: type[E], is_it: Callable[[E], bool] = lambda _: True) -> E:
        """The next event of a class that fits."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                event = await self._events.get()
                if isinstance(event, kind) and is_it(event):
                    return event


@asynccontextmanager
async def registered(asterisk: Asterisk, user: str, *, message_waiting: bool | None) -> AsyncIterator[Heard]:
    account = RegisteredAccount(
        id=user,
        name=user,
        user=user,
        server=asterisk.host,
        port=asterisk.port,
        password=Secret(asterisk.password(user)),
        message_waiting=message_waiting,
    )
    events: asyncio.Queue[PhoneEvent] = asyncio.Queue()
    settings = SIPSettings(bind="127.0.0.1", port=0, rtp_ports=PortRange(low=30000, high=39999))
    async with SIPClient(settings) as client:
        heard = Heard(VoIPPhone(client, account, listener=lambda _, event: events.put_nowait(event)), events)
        heard.phone.start()
        await heard.next(RegistrationChanged, lambda event: event.state is RegistrationState.REGISTERED)
        yield heard
        heard.phone.stop()


async def test_the_mailbox_a_lamp_and_texts(asterisk: Asterisk) -> None:
    async with (
        registered(asterisk, "620", message_waiting=True) as door,
        registered(asterisk, "101", message_waiting=False) as kitchen,
    ):
        assert await door.next(MessagesWaiting) == MessagesWaiting(line="620", waiting=False, new=0, old=0)
        asterisk.leave_message("620")
        assert await door.next(MessagesWaiting) == MessagesWaiting(line="620", waiting=True, new=1, old=0)

        sent = await door.phone.send_message("600", "Grüezi")
        assert isinstance(sent, MessageSent)
        assert sent.status == SIPStatus.ACCEPTED
        assert (await door.next(MessageReceived)).text == "Re: Grüezi"

        def is_lit(event: DialogStateReceived) -> bool:
            return [entry.state for entry in event.info.dialogs] == [DialogState.CONFIRMED]

        door.phone.subscribe("100")
        assert not is_lit(await door.next(DialogStateReceived))
        call = await kitchen.phone.dial("600", timeout=TIMEOUT)
        await door.next(DialogStateReceived, is_lit)
        call.hangup()
        assert not is_lit(await door.next(DialogStateReceived))
