"""A house in which everything fails now and then: calls come and go, while broker, registrar and network do.

The bridge is on one machine (a network namespace); broker, registrar, door station, kitchen phone and the test are on
another. All is by chance, of a seed, but for what the machine's own timing adds.
"""

import asyncio
import contextlib
import json
import random
import re
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from paho.mqtt.enums import CallbackAPIVersion

from sip_bridge.errors import SipBridgeError
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import DirectAccount, SIPSettings
from tests.end_to_end.bridge import TOPICS
from tests.end_to_end.phone import RTP, CallMoved, Handset, handset
from tests.peers.asterisk import Asterisk
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import ThreadedClient
from tests.peers.mqtt_wire import MqttWire, Published
from tests.peers.network import Cable
from tests.peers.ports import free_ports
from tests.peers.process import PeerError, Process

HERE: Final = "192.0.2.2"
ADDRESSES: Final = ("192.0.2.1", "192.0.2.11")  # of the bridge, one at a time
SIP_PORT: Final = 5060
RTP_PORTS: Final = 60
CONNECTIONS: Final = 6  # over TCP, to and from each SIP peer: a request too long for UDP makes one, which stays a while
THREADS: Final = 40  # of Python's default executor (32 at the most), and a few
LINES: Final = ("door", "pbx")
PRESSED: Final = ("hangup", "answer", "reject", "hold", "resume", "mute", "unmute", "send_dtmf", "play")
NUMBERS: Final = ("200", "201", "202", "203", "600", "999")  # of Asterisk's
PATIENCE: Final = (
    120.0  # seconds for all to be well again: a call that nobody answers to lives for 32, a caller's ring 20
)

_Check = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the bridge's process holds."""

    files: Counter[str]
    connections: int  # which are sockets of it, too
    threads: int

    @classmethod
    def of(cls, process: Process) -> "Holdings":
        folder = Path(f"/proc/{process.number}")
        return cls(
            files=Counter(_kind_of(link) for link in (folder / "fd").iterdir()),
            connections=_connections(folder / "net" / "tcp"),
            threads=_count(folder / "task"),
        )

    def more_than(self, before: "Holdings") -> dict[str, int]:
        """Threads for what blocks, and connections, are begun as they are needed, up to a limit, and stay."""
        threads = self.threads - before.threads - THREADS
        connections = max(0, self.connections - before.connections)
        files = self.files - before.files - Counter(socket=min(connections, CONNECTIONS))
        return dict(files + Counter(threads=max(0, threads)))


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def _connections(table: Path) -> int:
    """Those of a network namespace: the bridge has one of its own."""
    established = "01"
    return sum(row.split()[3] == established for row in table.read_text().splitlines()[1:])


def _kind_of(link: Path) -> str:
    try:
        return re.split(r"[:\[]", str(link.readlink()))[0]
    except FileNotFoundError:  # closed since it was listed
        return "gone"


@dataclass(kw_only=True)
class House:
    """Everybody, and what the peers know: the truth that the bridge's topics are held against."""

    chance: random.Random
    bridge: Process
    broker: Mosquitto
    wire: MqttWire
    registrar: Asterisk
    cable: Cable
    station: Handset
    kitchen: Handset
    client: ThreadedClient
    address: str = ADDRESSES[0]
    rang: set[str] = field(default_factory=set)  # calls that the bridge has answered to, at least by ringing
    told: list[str] = field(default_factory=list)  # what was done, for whoever reads why it failed

    # --- what is known of the bridge ---

    def retained(self, topic: str) -> Any:
        """What the bridge last retained there, as it went over the wire."""
        return next((m.payload for m in reversed(self.wire.messages) if m.topic == topic and m.retain), {})

    def calls(self, line: str) -> list[Any]:
        found: list[Any] = self.retained(TOPICS.of_account(line, "call")).get("calls", [])
        return found

    def events(self) -> list[Published]:
        return [message for message in self.wire.messages if "/event/" in message.topic]

    def ask(self, line: str, verb: str, **values: object) -> None:
        """A request; while the broker is away it is lost, as a button press would be."""
        self.client.publish(TOPICS.of_account(line, "request", verb), json.dumps(values), qos=0)

    # --- calls, as they come and go ---

    async def ring(self) -> None:
        """The door station calls; it gives up, or talks when it is answered."""
        target = f"sip:door@{self.address}:{SIP_PORT}"
        call = await self.station.dial(target, timeout=self.chance.uniform(1, 8))
        await self._until(lambda: call.state is not CallState.DIALING, self.chance.uniform(0.5, 4))
        if call.state in (CallState.RINGING, CallState.IN_CALL):
            self.rang.add(call.call_id)
        if self.chance.random() < 0.6:
            self.ask("door", "answer", call_id=call.call_id)
        await self._until(lambda: call.is_talking, self.chance.uniform(0.2, 3))
        await asyncio.sleep(self.chance.uniform(0, 3))
        _hang_up(call)

    async def be_called(self) -> None:
        """The bridge calls the kitchen, whose phone answers, and one of both hangs up."""
        target = f"sip:kitchen@{HERE}:{self.kitchen.phone.client.port}"
        self.ask("door", "dial", to=target, timeout=5, play="tone:dial/1")
        await asyncio.sleep(self.chance.uniform(0.5, 4))
        for call in list(self.kitchen.phone.calls.values()):
            if self.chance.random() < 0.5:
                _hang_up(call)

    async def use_the_pbx(self) -> None:
        """The bridge calls a number."""
        self.ask("pbx", "dial", to=self.chance.choice(NUMBERS), timeout=self.chance.randint(1, 6))
        await asyncio.sleep(self.chance.uniform(0.5, 3))

    async def be_called_by_the_pbx(self) -> None:
        with contextlib.suppress(PeerError):  # it is away
            await self.registrar.originate("620")
        await asyncio.sleep(self.chance.uniform(0.5, 3))
        self.ask("pbx", self.chance.choice(["answer", "reject"]))

    async def press(self) -> None:
        """Somebody presses a button, of whatever call there is."""
        line = self.chance.choice(LINES)
        verb = self.chance.choice(PRESSED)
        values = {"send_dtmf": {"digits": "12#"}, "play": {"url": "tone:busy/2"}}.get(verb, {})
        calls = self.calls(line)
        if calls:
            values = {**values, "call_id": self.chance.choice(calls)["call_id"]}
        self.ask(line, verb, **values)
        await asyncio.sleep(self.chance.uniform(0.1, 1))

    # --- what fails ---

    async def the_broker_dies(self) -> None:
        self.broker.kill()
        await self._outage(1, 6)
        await asyncio.to_thread(self.broker.start)

    async def the_broker_hangs(self) -> None:
        self.broker.process.send(signal.SIGSTOP)
        await self._outage(1, 12)
        self.broker.process.send(signal.SIGCONT)

    async def the_connection_breaks(self) -> None:
        self.wire.cut()
        await self._outage(0, 3)
        self.wire.restore()

    async def the_connection_is_held_up(self) -> None:
        self.wire.hold_up()
        await self._outage(1, 12)
        self.wire.restore()

    async def the_registrar_restarts(self) -> None:
        await asyncio.to_thread(self.registrar.stop)
        await self._outage(0, 3)
        await asyncio.to_thread(self.registrar.start)

    async def the_registrar_dies(self) -> None:
        await asyncio.to_thread(self.registrar.kill)
        await self._outage(0, 6)
        await asyncio.to_thread(self.registrar.start)

    async def the_cable_is_pulled(self) -> None:
        self.cable.a.ip("link set eth0 down")
        await self._outage(0, 8)
        self.cable.a.ip("link set eth0 up")

    async def the_cable_is_bad(self) -> None:
        for _ in range(self.chance.randint(3, 8)):
            self.cable.a.ip("link set eth0 down")
            await self._outage(0.05, 0.4)
            self.cable.a.ip("link set eth0 up")
            await self._outage(0.1, 0.6)

    async def the_address_changes(self) -> None:
        before, self.address = self.address, next(each for each in ADDRESSES if each != self.address)
        self.cable.a.ip(f"address add {self.address}/24 dev eth0")
        self.cable.a.ip(f"address delete {before}/24 dev eth0")  # the first of a network takes its others with it
        with contextlib.suppress(subprocess.CalledProcessError):
            self.cable.a.ip(f"address add {self.address}/24 dev eth0")

    async def _outage(self, least: float, most: float) -> None:
        await asyncio.sleep(self.chance.uniform(least, most))

    # --- chaos, and what comes after it ---

    async def live(self, seconds: float) -> None:
        """Calls, buttons and faults, beside each other, for so long."""
        calls = (self.ring, self.ring, self.be_called, self.use_the_pbx, self.be_called_by_the_pbx)
        faults = (
            self.the_broker_dies,
            self.the_broker_hangs,
            self.the_connection_breaks,
            self.the_connection_is_held_up,
            self.the_registrar_restarts,
            self.the_registrar_dies,
            self.the_cable_is_pulled,
            self.the_cable_is_bad,
            self.the_address_changes,
        )
        end = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(self._keep_doing(end, calls, pause=0.5))
            tasks.create_task(self._keep_doing(end, (self.press,), pause=1.0))
            tasks.create_task(self._keep_doing(end, faults, pause=5.0))

    async def _keep_doing(self, end: float, things: tuple[Callable[[], Awaitable[None]], ...], *, pause: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < end:
            thing = self.chance.choice(things)
            self.told.append(f"{loop.time():.1f} {thing.__name__}")
            with contextlib.suppress(SipBridgeError):  # no way to the bridge just now
                await thing()
            await asyncio.sleep(self.chance.uniform(0, pause))

    async def quiet(self) -> None:
        """Every peer hangs up; the lines are idle and registered, and what waited has been taken by the broker."""
        for phone in (self.station, self.kitchen):
            for call in list(phone.phone.calls.values()):
                _hang_up(call)
        with contextlib.suppress(PeerError):
            await self.registrar.cli("channel request hangup all")
        await self._settled("the lines are idle", lambda: all(self._is_idle(line) for line in LINES))
        await self._settled("the line is registered", self._is_registered)
        await self._settled("the bridge is online", self._is_online)
        await self._settled("the broker has every event", lambda: self.untaken() == set())

    def _is_idle(self, line: str) -> bool:
        for call in self.calls(line):  # a caller that vanished while it rang: somebody declines
            if call["state"] == "ringing" and call["direction"] == "incoming":
                self.ask(line, "reject", call_id=call["call_id"])
        return self._state(TOPICS.of_account(line, "call")) == "idle"

    def _is_registered(self) -> bool:
        return self._state(TOPICS.of_account("pbx", "registration")) == "registered"

    def _is_online(self) -> bool:
        return self._state(TOPICS.of_bridge("state")) == "online"

    def _state(self, topic: str) -> str | None:
        state: str | None = self.retained(topic).get("state")
        return state

    def untaken(self) -> set[str]:
        """Events that the broker has never acknowledged, by their ids."""
        taken = {event.payload["event_id"] for event in self.events() if event.taken}
        return {event.payload["event_id"] for event in self.events()} - taken

    def ends(self) -> Mapping[str, set[str]]:
        """The ids of the ends of each call."""
        ends: dict[str, set[str]] = defaultdict(set)
        for event in self.events():
            if event.payload["event"] == "CALL_ENDED":
                ends[event.payload["call_id"]].add(event.payload["event_id"])
        return ends

    def begun(self) -> set[str]:
        """Every call that the bridge told of, or a peer knows that it had."""
        told = {event.payload["call_id"] for event in self.events() if event.payload["event"] == "INVITE"}
        took = {event.call.call_id for event in self.kitchen.events if isinstance(event, CallMoved)}
        return told | took | self.rang

    async def held(self, before: Holdings) -> dict[str, int]:
        """What the bridge's process holds more of than before, once that gets no less."""
        with contextlib.suppress(TimeoutError):
            await self._until(lambda: Holdings.of(self.bridge).more_than(before) == {}, 60)
        return Holdings.of(self.bridge).more_than(before)

    async def reachable(self) -> None:
        """Wait until the registrar has the line where it is; if it lost its memory, the next refresh tells it."""
        place = f"sip:620@{self.address}:{SIP_PORT}"
        known: list[str] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while known != [place]:
                    await asyncio.sleep(0.5)
                    known = await self.registrar.contacts("620")
        except TimeoutError:
            raise PeerError(f"the registrar has the line at {known}, not at {place}") from None

    async def _settled(self, what: str, check: _Check) -> None:
        begin = asyncio.get_running_loop().time()
        is_so = await self._until(check, PATIENCE, every=0.5)
        self.told.append(f"{what} after {asyncio.get_running_loop().time() - begin:.1f} s")
        if not is_so:
            raise PeerError(f"{PATIENCE:.0f} s after the chaos it is not so that {what}")

    async def _until(self, check: _Check, within: float, *, every: float = 0.05) -> bool:
        """Whether it came to be so; somebody else's process tells nobody, so it is looked at again and again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        while not check():
            if loop.time() > end:
                return False
            await asyncio.sleep(every)
        return True


def _hang_up(call: VoIPCall) -> None:
    if call.state is not CallState.ENDED:
        call.hangup()


def _configuration(folder: Path, wire: MqttWire, registrar: Asterisk) -> Path:
    rtp = free_ports(RTP_PORTS)
    config = folder / "config.yaml"
    config.write_text(
        f"mqtt: {{host: {HERE}, port: {wire.port}, keepalive: 5}}\n"
        f"sip: {{bind: 0.0.0.0, port: {SIP_PORT}, rtp_ports: {rtp}-{rtp + RTP_PORTS - 1}}}\n"
        "accounts:\n"
        f"  - {{id: door, kind: direct, name: Door, media_timeout: 5, max_duration: 30, allow_from: [{HERE}]}}\n"
        f"  - {{id: pbx, kind: registered, server: {HERE}, port: {registrar.port}, user: '620', expires: 60,"
        f" password: {registrar.password('620')}, media_timeout: 5, max_duration: 30}}\n"
    )
    return config


@asynccontextmanager
async def house(folder: Path, cable: Cable, chance: random.Random) -> AsyncIterator[House]:
    """Everybody is there, the line is registered; call it on the machine ``cable.b``."""
    async with AsyncExitStack() as stack:
        broker = Mosquitto(folder)
        broker.start()
        stack.callback(_end, broker.process)
        registrar = Asterisk(folder)
        registrar.host = HERE
        await asyncio.to_thread(registrar.start)
        stack.callback(_end, registrar.process)
        wire = MqttWire(broker.port, host=HERE)
        await wire.open()
        stack.push_async_callback(wire.close)
        phones = [
            await stack.enter_async_context(
                handset(
                    DirectAccount(id=user, name=user.capitalize(), user=user),
                    SIPSettings(bind=HERE, port=0, rtp_ports=RTP),
                    answers=user == "kitchen",
                )
            )
            for user in ("station", "kitchen")
        ]
        client = ThreadedClient(CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(1, 2)
        client.connect_async("127.0.0.1", broker.port, keepalive=5)
        client.loop_start()
        stack.callback(client.end)
        command = (sys.executable, "-u", "-m", "sip_bridge", "run", "-c", str(_configuration(folder, wire, registrar)))
        bridge = Process(*cable.a.inside(*command))
        bridge.start_until("mosquitto_sub")
        stack.callback(_end, bridge)
        station, kitchen = phones
        found = House(
            chance=chance,
            bridge=bridge,
            broker=broker,
            wire=wire,
            registrar=registrar,
            cable=cable,
            station=station,
            kitchen=kitchen,
            client=client,
        )
        await found.quiet()
        yield found


def _end(process: Process) -> None:
    if process.is_running:
        process.kill()
