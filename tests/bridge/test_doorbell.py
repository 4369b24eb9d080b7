"""When the door rings, phones ring: who rings is offered to phones of another line, and joined to one of them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sip_bridge.bridge.service import running
from sip_bridge.mqtt import contract
from sip_bridge.phone import doorbell
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.events import DTMFPressed
from sip_bridge.phone.settings import (
    Acceptance,
    Account,
    Contact,
    DirectAccount,
    DoorSettings,
    RegisteredAccount,
    RingSettings,
    Secret,
)
from sip_bridge.sip.events import EndCause
from sip_bridge.sip.status import SIPStatus
from tests.bridge.conftest import DOOR, TOPICS, Mqtt, Phone, config_of, phone_on_loopback, ringing_uri
from tests.bridge.watcher import watching
from tests.peers.ports import free_port
from tests.phone.sip_peer import Dialog, sdp, sending_to

CODE = DoorSettings(code=Secret("47#1"), duration_ms=40, gap_ms=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A bridge with a door and a line inside, its MQTT, and the phones that ring."""

    mqtt: Mqtt
    door: str
    kitchen: Phone
    study: Phone

    async def is_rung(self) -> tuple[VoIPCall, VoIPCall]:
        return await self.kitchen.state(CallState.RINGING), await self.study.state(CallState.RINGING)


@asynccontextmanager
async def house(
    *, inside: Callable[[DirectAccount], Account] = lambda account: account, **ring: Any
) -> AsyncIterator[House]:
    """A door that rings the kitchen by its name and the study by its number."""
    async with phone_on_loopback("kitchen") as kitchen, phone_on_loopback("study") as study:
        line = DirectAccount(
            id="inside", name="Inside", user="inside", contacts=(Contact(name="Kitchen", number=ringing_uri(kitchen)),)
        )
        settings = RingSettings(account="inside", numbers=("kitchen", ringing_uri(study)), **ring)
        config = config_of(replace(DOOR, door=CODE, ring=settings), inside(line))
        async with running(config) as started, watching(started.mqtt_host, started.mqtt_port, "#") as watcher:
            mqtt = Mqtt(watcher=watcher)
            await mqtt.until(lambda topic, payload: topic.endswith("/state") and payload.state == "online")
            yield House(mqtt=mqtt, door=f"sip:door@127.0.0.1:{started.sip_port}", kitchen=kitchen, study=study)


@pytest.fixture
async def home() -> AsyncIterator[House]:
    async with house(door_key="#") as built:
        yield built


async def talking(home: House, station: Phone) -> tuple[VoIPCall, VoIPCall]:
    """The visitor's call, and that of the study, which has answered it."""
    visitor = await station.call(home.door)
    _, there = await home.is_rung()
    await there.answer()
    await station.state(CallState.IN_CALL)
    await home.mqtt.until(lambda _, payload: isinstance(payload, contract.CallSnapshot) and is_joined(payload))
    return visitor, there


def is_joined(snapshot: contract.CallSnapshot) -> bool:
    return any(call.joined_to for call in snapshot.calls)


async def press(call: VoIPCall, digits: str) -> None:
    await call.send_dtmf(digits, duration_ms=5, gap_ms=0, method="info")


async def keys_of(phone: Phone, count: int) -> str:
    """The next keys that a phone hears."""
    keys = ""
    async with asyncio.timeout(10):
        while len(keys) < count:
            event = await phone.events.get()
            keys += event.digit if isinstance(event, DTMFPressed) else ""
    return keys


class Ear:
    """A sink that counts loud frames."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def write(self, frame: bytes, rate: int) -> None:
        if any(frame):
            self.heard.set()


async def test_the_first_to_answer_talks_to_the_visitor_and_the_others_miss_no_call(
    home: House, station: Phone
) -> None:
    visitor = await station.call(home.door)
    here, there = await home.is_rung()
    assert (here.remote.display_name, there.remote.display_name) == ("Station", "Station")
    await there.answer()
    assert (await home.kitchen.finished()).cause is EndCause.ANSWERED_ELSEWHERE
    await home.mqtt.until(lambda _, payload: isinstance(payload, contract.CallSnapshot) and is_joined(payload))
    ears = Ear(), Ear()
    for call, ear in zip((visitor, there), ears, strict=True):
        call.media.sinks.append(ear)
    await visitor.play("tone:busy/0.3")
    await there.play("tone:busy/0.3")
    async with asyncio.timeout(10):
        await asyncio.gather(*(ear.heard.wait() for ear in ears))


@pytest.mark.parametrize("who", [0, 1])
async def test_whoever_hangs_up_ends_both_calls(home: House, station: Phone, who: int) -> None:
    calls = await talking(home, station)
    calls[who].hangup()
    other = (home.study, station)[who]
    assert (await other.finished()).cause is EndCause.HANGUP_REMOTE


async def test_a_visitor_who_goes_away_leaves_missed_calls(home: House, station: Phone) -> None:
    visitor = await station.call(home.door)
    await home.is_rung()
    visitor.hangup()
    assert [(await phone.finished()).cause for phone in (home.kitchen, home.study)] == [EndCause.CANCELED] * 2
    assert (await home.mqtt.event("HUNT_DONE", "inside")).end_reason == "canceled"


async def test_who_answers_over_mqtt_makes_all_phones_stop(home: House, station: Phone) -> None:
    await station.call(home.door)
    await home.is_rung()
    assert (await home.mqtt.request("answer")).status == "ok"
    causes = [(await phone.finished()).cause for phone in (home.kitchen, home.study)]
    assert causes == [EndCause.ANSWERED_ELSEWHERE] * 2
    assert (await home.mqtt.event("HUNT_DONE", "inside")).end_reason == "answered_elsewhere"
    assert (await home.mqtt.request("hangup")).status == "ok"


async def test_who_rejects_over_mqtt_makes_all_phones_stop(home: House, station: Phone) -> None:
    await station.call(home.door)
    await home.is_rung()
    await home.mqtt.request("reject")
    assert [(await phone.finished()).cause for phone in (home.kitchen, home.study)] == [EndCause.CANCELED] * 2


async def test_when_nobody_takes_it_the_door_rings_on(home: House, station: Phone) -> None:
    visitor = await station.call(home.door)
    for call in await home.is_rung():
        call.reject(SIPStatus.BUSY_HERE)
    assert (await home.mqtt.event("HUNT_DONE", "inside")).end_reason == "busy"
    assert visitor.state is CallState.RINGING
    assert (await home.mqtt.request("open_door")).status == "ok"


async def test_who_must_accept_answers_the_door_with_the_key(station: Phone) -> None:
    async with house(acceptance=Acceptance(key="1")) as home:
        visitor = await station.call(home.door)
        here, _ = await home.is_rung()
        await here.answer()
        await press(here, "2")
        assert visitor.state is CallState.RINGING
        await press(here, "1")
        await station.state(CallState.IN_CALL)
        assert (await home.study.finished()).cause is EndCause.ANSWERED_ELSEWHERE


async def test_keys_of_the_inside_phone_reach_the_door_and_one_of_them_opens_it(
    home: House, station: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, there = await talking(home, station)
    await press(there, "9")
    assert await keys_of(station, 1) == "9"
    await press(there, "#5")
    assert await keys_of(station, 5) == "47#15"
    opened = await home.mqtt.event("DOOR_OPENED")
    assert (opened.by, opened.remote.user) == ("key", "station")
    shown = [payload.digits for topic, payload in home.mqtt.seen if topic.endswith("inside/event/DTMF")]
    assert shown == ["?", "?", "?"]
    assert not [message.topic for message in home.mqtt.raw if "47#1" in message.payload]
    assert "47#1" not in caplog.text


async def test_a_line_that_is_not_registered_rings_nobody_and_the_door_rings_on(station: Phone) -> None:
    def unregistered(line: DirectAccount) -> Account:
        return RegisteredAccount(id=line.id, name=line.name, user="u", server="127.0.0.1", port=free_port())

    async with house(inside=unregistered) as home:
        visitor = await station.call(home.door)
        warning = await home.mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("logging"))
        assert warning.message == "door: no phone is rung: inside is not registered"
        assert visitor.state is CallState.RINGING


async def test_two_visitors_ring_at_the_same_time(home: House, station: Phone) -> None:
    first = await station.call(home.door)
    one = await home.is_rung()
    second = await station.call(home.door)
    two = await home.is_rung()
    await two[0].answer()
    await station.state(CallState.IN_CALL)
    assert (first.state, second.state) == (CallState.RINGING, CallState.IN_CALL)
    assert [call.state for call in one] == [CallState.RINGING] * 2


async def test_who_hangs_up_right_after_the_key_has_the_door_opened_all_the_same(home: House, station: Phone) -> None:
    _, there = await talking(home, station)
    await press(there, "#")
    there.hangup()
    assert await keys_of(station, 4) == "47#1"
    assert (await station.finished()).cause is EndCause.HANGUP_REMOTE
    assert (await home.mqtt.event("DOOR_OPENED")).by == "key"


async def test_of_too_many_keys_the_first_ones_reach_the_door(
    home: House, station: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "MAX_KEYS", 2)
    monkeypatch.setattr(doorbell, "KEY_MS", 1000)
    _, there = await talking(home, station)
    await press(there, "123456")
    there.hangup()
    assert await keys_of(station, 3) == "123"
    assert (await station.finished()).cause is EndCause.HANGUP_REMOTE


async def test_a_visitor_whom_another_phone_of_the_pbx_has_answered_leaves_no_missed_calls(home: House) -> None:
    port = int(home.door.rpartition(":")[2])
    async with sending_to("127.0.0.1", port) as peer:
        dialog = Dialog(peer, f"sip:door@127.0.0.1:{port}")
        peer.send(dialog.request("INVITE", sdp("127.0.0.1")))
        await home.is_rung()
        dialog.headers = "Reason: SIP;cause=200\r\n"
        cancel = dialog.request("CANCEL", seq=dialog.seq)
        peer.send(cancel.replace(b"z9hG4bKCANCEL", b"z9hG4bKINVITE"))
        causes = [(await phone.finished()).cause for phone in (home.kitchen, home.study)]
    assert causes == [EndCause.ANSWERED_ELSEWHERE] * 2


async def test_a_visitor_who_goes_away_at_the_instant_of_the_answer_leaves_no_call_behind(
    home: House, station: Phone
) -> None:
    visitor = await station.call(home.door)
    here, there = await home.is_rung()
    visitor.hangup()
    await asyncio.gather(here.answer(), there.answer())
    for phone in (home.kitchen, home.study):
        await phone.finished()
    await home.mqtt.until(
        lambda topic, payload: topic == TOPICS.of_account("inside", "call") and payload.state == "idle"
    )
    assert (home.kitchen.phone.calls, home.study.phone.calls) == ({}, {})


async def test_two_who_answer_at_the_same_instant_leave_one_with_the_visitor(home: House, station: Phone) -> None:
    await station.call(home.door)
    here, there = await home.is_rung()
    await asyncio.gather(here.answer(), there.answer())
    assert (await home.study.finished()).cause is EndCause.HANGUP_REMOTE
    await home.mqtt.until(lambda _, payload: isinstance(payload, contract.CallSnapshot) and is_joined(payload))
    assert (here.is_talking, station.phone.calls != {}) == (True, True)


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b'"Front \\\0door"', "Front door"), (b'"' + b"x" * 500 + b'"', "x" * 64), (b'"\\\0"', "Door"), (b"", "Door")],
)
async def test_a_name_that_is_none_keeps_no_phone_from_ringing(home: House, name: bytes, shown: str) -> None:
    port = int(home.door.rpartition(":")[2])
    async with sending_to("127.0.0.1", port) as peer:
        invite = Dialog(peer, f"sip:door@127.0.0.1:{port}").request("INVITE", sdp("127.0.0.1"))
        peer.send(invite.replace(b"From: ", b"From: " + name))
        assert [call.remote.display_name for call in await home.is_rung()] == [shown] * 2
