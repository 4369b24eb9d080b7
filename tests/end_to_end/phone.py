"""One of our phones in this process, on real sockets, and everything that it told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, CallFinished, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import Account, DirectAccount, PortRange, RecordingSettings, SIPSettings
from sip_bridge.sip.events import CallSignaled, RegistrationChanged, RegistrationState
from sip_bridge.sip.uri import format_host_port
from tests.peers.ports import LOOPBACK
from tests.peers.process import PeerError

RTP = PortRange(low=20000, high=29999)
ON_LOOPBACK = SIPSettings(bind=LOOPBACK, port=0, rtp_ports=RTP)
DOOR = DirectAccount(id="door", name="Door", user="door")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMoved:
    """A `CallChanged`, with the state that the call came into: by now it may have another one."""

    call: VoIPCall
    state: CallState


Told = PhoneEvent | CallMoved
E = TypeVar("E", bound=Told)


class Handset:
    """A phone; what it tells is waited for in the order in which it is told."""

    def __init__(self, client: SIPClient, account: Account, *, answers: bool) -> None:
        self.phone = VoIPPhone(client, account, listener=self._listen)
        self.events: list[Told] = []
        self._answers = answers
        self._seen = 0
        self._told = asyncio.Event()

    @property
    def address(self) -> str:
        """`host:port` that it listens at, over UDP and TCP."""
        return format_host_port(self.phone.client.settings.hosts[0], self.phone.client.port)

    @property
    def signals(self) -> list[str]:
        """Each SIP message of its calls so far: ``< INVITE`` came, ``> INVITE 180`` was sent."""
        signals = [event for event in self.events if isinstance(event, CallSignaled)]
        return [
            f"{'>' if each.origin == 'local' else '<'} {each.method}"
            + (f" {int(each.status)}" if each.status is not None else "")
            for each in signals
        ]

    async def dial(self, target: str, *, timeout: float = 20) -> VoIPCall:  # noqa: ASYNC109  # how long it rings
        """Places a call."""
        return await self.phone.dial(target, timeout=timeout)

    async def event(self, kind: type[E], fits: Callable[[E], bool] = lambda _: True, *, within: float = 10) -> E:
        """The next event of a kind that fits, whether it came already or comes in so many seconds."""
        start = self._seen
        try:
            async with asyncio.timeout(within):
                while True:
                    for i in range(self._seen, len(self.events)):
                        event = self.events[i]
                        if isinstance(event, kind) and fits(event):
                            self._seen = i + 1
                            return event
                    self._seen = len(self.events)
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            said = "\n".join(map(str, self.events[start:]))
            raise PeerError(f"no such {kind.__name__} in {within} s; there were:\n{said}") from None

    async def call_in(self, state: CallState, *, within: float = 10) -> VoIPCall:
        """The next call that comes into a state."""
        return (await self.event(CallMoved, lambda event: event.state is state, within=within)).call

    async def finished(self, *, within: float = 10) -> CallFinished:
        """The next call that is over."""
        return await self.event(CallFinished, within=within)

    async def signal(self, method: str, status: int | None = None, *, within: float = 10) -> CallSignaled:
        """The next SIP message of a call that fits."""
        return await self.event(CallSignaled, lambda e: (e.method, e.status) == (method, status), within=within)

    async def registration(self, state: RegistrationState, *, within: float = 10) -> RegistrationChanged:
        """The next time that its registration comes into a state."""
        return await self.event(RegistrationChanged, lambda event: event.state is state, within=within)

    async def registered(self, *, within: float = 10) -> RegistrationChanged:
        """The next time that it is registered."""
        return await self.registration(RegistrationState.REGISTERED, within=within)

    def _listen(self, phone: VoIPPhone, event: PhoneEvent) -> None:
        match event:
            case CallChanged(call=call):
                self.events.append(CallMoved(call=call, state=call.state))
                if self._answers and call.is_incoming and call.state is CallState.RINGING:
                    phone.start_task(call.answer(), name=f"answer {call.call_id}")
            case _:
                self.events.append(event)
        self._told.set()


@asynccontextmanager
async def handset(
    account: Account = DOOR,
    settings: SIPSettings = ON_LOOPBACK,
    *,
    answers: bool = False,
    recording: RecordingSettings | None = None,
) -> AsyncIterator[Handset]:
    """A phone that serves its account, and registers if it has a registrar; with ``answers`` it takes each call."""
    async with SIPClient(settings, recording=recording) as client:
        handset = Handset(client, account, answers=answers)
        handset.phone.start()
        try:
            yield handset
        finally:
            handset.phone.stop()
