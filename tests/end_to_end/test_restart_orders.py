"""Home Assistant, the broker and the bridge go down and come back in every order, and somebody rings meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.end_to_end.bridge import TOPICS, Bridge
from tests.peers.home_assistant import HomeAssistant
from tests.peers.mqtt import MqttRecorder
from tests.peers.sipp import Sipp

DOORBELL = "event.door_doorbell"
MISSED = "sensor.door_missed_calls"
LAST_CALL = "sensor.door_last_call"
STEADY = {
    "binary_sensor.home_connectivity": "on",
    "binary_sensor.door_ringing": "off",
    "binary_sensor.door_in_call": "off",
    "sensor.door_call_state": "idle",
}
OLD = timedelta(seconds=31)  # a ring of the last 30 s that comes late is a ring: somebody is at the door still
WITHIN = 60  # seconds for each step of a return
pytestmark = pytest.mark.timeout(300)  # Home Assistant waits between its attempts to connect

# `-` takes down, `+` brings back. Who rings while the broker is away leaves an INVITE that comes late, or is lost with
# the bridge; the end of the call comes in any case. What comes late comes `when_old`, or is `told` to nobody.
OUTAGES = [
    "-home_assistant ring -broker -bridge +home_assistant +broker +bridge",
    "-home_assistant ring -bridge -broker +home_assistant +bridge +broker",
    "-broker ring -home_assistant -bridge +broker +home_assistant +bridge",
    "-broker ring -bridge -home_assistant +broker +bridge +home_assistant",
    "-bridge -broker -home_assistant +bridge ring +broker told +home_assistant",
    "-bridge -home_assistant -broker +bridge ring +home_assistant when_old +broker",
]


class House:
    """The three that can be restarted, and who rings."""

    def __init__(self, home_assistant: HomeAssistant, bridge: Bridge, sipp: Sipp) -> None:
        self.home_assistant = home_assistant
        self.bridge = bridge
        self.sipp = sipp
        self.rang_at = datetime.now(UTC)
        broker = home_assistant.broker
        self._steps: dict[str, Callable[[], Awaitable[object]]] = {
            "-home_assistant": home_assistant.stop,
            "+home_assistant": home_assistant.start,
            "-broker": lambda: asyncio.to_thread(broker.stop),
            "+broker": lambda: asyncio.to_thread(broker.start),
            "-bridge": lambda: asyncio.to_thread(bridge.stop),
            "+bridge": lambda: asyncio.to_thread(bridge.start),
            "ring": self.ring,
            "told": self.told_last_call,
            "when_old": self.when_old,
        }

    async def go_through(self, steps: str) -> None:
        """One step after the other."""
        for step in steps.split():
            await self._steps[step]()

    async def ring(self) -> None:
        """Somebody rings, and gives up before anybody answers."""
        self.rang_at = datetime.now(UTC)
        caller = await self.sipp.call("uac_cancel", self.bridge.address, user="door", options=("-d", "300"))
        await caller.succeeded()

    async def when_old(self) -> None:
        """The last ring is no news any more."""
        await asyncio.sleep((self.rang_at + OLD - datetime.now(UTC)).total_seconds())

    async def told_last_call(self) -> str:
        """When the last ring began, as the bridge has told the broker and a sensor shows it."""

        def began(record: str) -> datetime:
            return datetime.fromisoformat(record)

        async with MqttRecorder(self.home_assistant.broker.port) as recorder:
            topic = TOPICS.of_account("door", "last_call")
            record = await recorder.wait_for(
                lambda m: m.topic == topic and began(m.payload["started_at"]) >= self.rang_at, within=WITHIN
            )
        return began(record.payload["started_at"]).isoformat(timespec="seconds")

    async def shows(self, missed: int) -> None:
        """Waits until everything is as it must be after the last ring, and holds together."""
        expected = {MISSED: str(missed), LAST_CALL: await self.told_last_call(), **STEADY}
        for entity_id, state in expected.items():
            await self.home_assistant.wait_for_state(entity_id, state, within=WITHIN)
        shown = await self.shown()
        assert {entity_id: shown[entity_id] for entity_id in expected} == expected

    async def shown(self) -> dict[str, str]:
        """The state of each entity."""
        return {state["entity_id"]: state["state"] for state in await self.home_assistant.get_states()}


async def confirm(home_assistant: HomeAssistant) -> None:
    flow = await home_assistant.wait_for_flow()
    await home_assistant.step_flow(flow["flow_id"])
    await home_assistant.wait_for_state("sensor.door_call_state", "idle", within=WITHIN)


@pytest.fixture(scope="module")
def house(home_assistant: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all outages, with a call that was missed before."""
    bridge = Bridge(tmp_path_factory.mktemp("bridge"), home_assistant.broker)
    sipp = Sipp(tmp_path_factory.mktemp("sipp"))
    house = House(home_assistant, bridge, sipp)
    bridge.start()
    try:
        asyncio.run(confirm(home_assistant))
        asyncio.run(house.ring())
        asyncio.run(house.shows(missed=1))
        yield house
    finally:
        sipp.stop()
        bridge.end()


@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_restart_in_any_order_rings_nothing_and_counts_who_rang_meanwhile_once(
    house: House, outage: str
) -> None:
    before = await house.shown()
    missed = int(before[MISSED])
    await house.go_through(outage)
    await house.shows(missed=missed + 1)
    assert (await house.shown())[DOORBELL] == before[DOORBELL]
    async with house.home_assistant.states_of(DOORBELL) as rings:  # one that came late would be among them
        await house.ring()
        await house.shows(missed=missed + 2)
    assert len(rings) == 1
