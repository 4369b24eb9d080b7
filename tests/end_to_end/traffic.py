"""Calls between two of our phones, of every kind in which a call can end, and what a process holds before and after."""

import asyncio
import gc
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.phone.announcement import Announcement
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, DTMFPressed, PhoneEvent, PlaybackEnded
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, PortRange, SIPSettings
from sip_bridge.sip.status import SIPStatus
from tests.end_to_end.sounding import Ear
from tests.peers.ports import LOOPBACK

PATIENCE: Final = 20.0  # seconds
LINGERING: Final = 64.0  # seconds: 64*T1 and T4, and more
HANG_UP: Final = "9"  # a key on which who is called hangs up
AT_A_TIME: Final = 6  # calls of one caller; an account may place a few more


class Party:
    """A phone that deals with its callers in one way, and remembers nothing of a call that is over."""

    def __init__(self, client: SIPClient, account: DirectAccount, *, meets: Callable[[VoIPCall], None]) -> None:
        self.phone = VoIPPhone(client, account, listener=self._listen)
        self._meets = meets
        self._changed = asyncio.Event()
        self.pressed: Counter[str] = Counter()
        self.played = 0

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something is so; it is looked at whenever anything happens here."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def _listen(self, _phone: VoIPPhone, event: PhoneEvent) -> None:
        match event:
            case CallChanged(call=call) if call.is_incoming and call.state is CallState.RINGING:
                self._meets(call)
            case DTMFPressed(call=call, digit=digit):
                self.pressed[digit] += 1
                if digit == HANG_UP:
                    call.hangup()
            case PlaybackEnded():
                self.played += 1
            case _:
                pass
        self._changed.set()


class Traffic:
    """A caller, and callees of every manner, on two clients."""

    def __init__(self, here: SIPClient, there: SIPClient, sound: Path, *, codecs: tuple[str, ...]) -> None:
        self._sound = sound
        self._there = there
        self.caller = self._party(here, "caller", codecs, lambda _: None)
        self._talkers = {codec: self._party(there, f"talker-{codec}", (codec,), self._talk) for codec in codecs}
        self._codec = cycle(codecs)
        self._talks: set[asyncio.Task[None]] = set()
        self._others = [
            self._party(there, "busy", codecs, lambda call: call.reject(SIPStatus.BUSY_HERE)),
            self._party(there, "silent", codecs, lambda _: None),
            self._party(there, "deaf", ("PCMA",), lambda _: None),
        ]
        self.kinds = (
            self.talk,
            self.cancel,
            self.be_left,
            self.be_refused,
            self.announce,
            self.give_up,
            self.find_nobody,
            self.differ,
        )

    @staticmethod
    def _party(client: SIPClient, name: str, codecs: tuple[str, ...], meets: Callable[[VoIPCall], None]) -> Party:
        party = Party(client, DirectAccount(id=name, name=name, user=name, codecs=codecs), meets=meets)
        party.phone.start()
        return party

    async def calls(self, count: int, *, transport: str) -> None:
        """So many calls, some at a time, of each kind in turn."""
        waiting = iter(range(count))

        async def place() -> None:
            for number in waiting:
                await self.kinds[number % len(self.kinds)](transport)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(place())

    @property
    def pressed(self) -> Counter[str]:
        """The keys that callees heard."""
        return sum((talker.pressed for talker in self._talkers.values()), Counter[str]())

    # --- kinds of calls ---

    async def talk(self, transport: str) -> None:
        """Both play, press keys, hold and mute; the caller hangs up."""
        call = await self._answered(transport)
        ear = Ear()
        call.media.sinks.append(ear)
        await call.play(str(self._sound), loop=True)
        await call.send_dtmf("1#", duration_ms=40, gap_ms=40)
        await call.send_dtmf("2", duration_ms=40, gap_ms=0, method="info")
        await call.hold()
        await call.resume()
        call.mute(True)  # noqa: FBT003
        await ear.hears(0.1)
        call.hangup()
        await self._over(call)

    async def be_left(self, transport: str) -> None:
        """The callee hangs up, while both play."""
        call = await self._answered(transport)
        await call.play(str(self._sound), loop=True)
        await call.send_dtmf(HANG_UP, duration_ms=40, gap_ms=40)
        await self._over(call)

    async def announce(self, transport: str) -> None:
        """The caller plays something and hangs up."""
        announcement = Announcement(source=str(self._sound), settle=0.1, hangup_after=True)
        await self._over(await self._dialled(self._talker(), transport, announcement=announcement))

    async def cancel(self, transport: str) -> None:
        """The caller gives up while it rings."""
        call = await self._dialled("silent", transport)
        await self.caller.until(lambda: call.state is not CallState.DIALING)
        call.hangup()
        await self._over(call)

    async def give_up(self, transport: str) -> None:
        """Nobody answers in time."""
        await self._over(await self._dialled("silent", transport, timeout=0.2))

    async def be_refused(self, transport: str) -> None:
        """The callee is busy."""
        await self._over(await self._dialled("busy", transport))

    async def find_nobody(self, transport: str) -> None:
        """There is no such user."""
        await self._over(await self._dialled("nobody", transport))

    async def differ(self, transport: str) -> None:
        """The callee has no codec of ours."""
        await self._over(await self._dialled("deaf", transport))

    def _talker(self) -> str:
        """The next one; each has another codec."""
        return f"talker-{next(self._codec)}"

    async def _dialled(
        self,
        user: str,
        transport: str,
        *,
        timeout: float = PATIENCE,  # noqa: ASYNC109  # how long it rings
        announcement: Announcement | None = None,
    ) -> VoIPCall:
        target = f"sip:{user}@{LOOPBACK}:{self._there.port};transport={transport}"
        return await self.caller.phone.dial(target, timeout=timeout, announcement=announcement)

    async def _answered(self, transport: str) -> VoIPCall:
        call = await self._dialled(self._talker(), transport)
        await self.caller.until(lambda: call.is_talking)
        return call

    async def _over(self, call: VoIPCall) -> None:
        await self.caller.until(lambda: call.state is CallState.ENDED)

    def _talk(self, call: VoIPCall) -> None:
        task = self.caller.phone.client.start_task(self._answer(call), name=f"talk in {call.call_id}")
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    async def _answer(self, call: VoIPCall) -> None:
        await call.answer()
        call.media.sinks.append(Ear())
        with suppress(InvalidStateError):  # who called may be gone before the file is open
            await call.media.play(str(self._sound), loop=True)

    async def settle(self) -> None:
        """Waits until no party has a call and nothing opens a sound for one, then lets transactions forget theirs."""
        for party in (self.caller, *self._talkers.values(), *self._others):
            await party.until(lambda calls=party.phone.calls: not calls)  # type: ignore[misc]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._talks)
        for thread in threading.enumerate():
            if thread.name == "sound":  # it was told to stop when its call ended
                thread.join(PATIENCE)
        for client in (self.caller.phone.client, self._there):
            client.endpoint.tick(client.now + LINGERING)
            client.flush()


@asynccontextmanager
async def traffic(sound: Path, *, rtp: tuple[PortRange, PortRange], codecs: tuple[str, ...]) -> AsyncIterator[Traffic]:
    """Two clients on loopback, each with a range of ports for its sound."""
    here, there = (SIPSettings(bind=LOOPBACK, port=0, rtp_ports=ports) for ports in rtp)
    async with SIPClient(here) as one, SIPClient(there) as other:
        yield Traffic(one, other, sound, codecs=codecs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a process holds: it is to be the same before and after any number of calls."""

    files: Counter[str]  # open file handles, by what they are
    threads: int
    tasks: int
    objects: Counter[str]  # of ours, by class

    @classmethod
    def now(cls) -> "Holdings":
        """Of this process, without what nobody can reach."""
        gc.collect()
        ours = (type(each) for each in gc.get_objects())
        return cls(
            files=Counter(_kind_of(link) for link in Path("/proc/self/fd").iterdir()),
            threads=threading.active_count(),
            tasks=len(asyncio.all_tasks()),
            objects=Counter(each.__qualname__ for each in ours if str(each.__module__).startswith("sip_bridge.")),
        )

    def more_than(self, before: "Holdings") -> dict[str, int]:
        """What there is more of."""
        more = self.files - before.files + (self.objects - before.objects)
        return dict(more + Counter(threads=self.threads - before.threads, tasks=self.tasks - before.tasks))


def _kind_of(link: Path) -> str:
    try:
        return str(link.readlink()).split(":", maxsplit=1)[0]
    except FileNotFoundError:
        return "folder"  # the one that is being listed
