"""Rules of the contract about what is retained, and about staying true for whoever comes later."""

from sip_bridge.bridge.service import Running
from sip_bridge.mqtt import contract
from tests.bridge.conftest import TOPICS, Mqtt, Phone
from tests.bridge.watcher import watching

DOOR_TOPICS = [TOPICS.of_account("door", kind) for kind in ("call", "last_call", "registration")]
ALWAYS = {
    TOPICS.discovery,
    *(TOPICS.of_bridge(kind) for kind in ("state", "info", "accounts")),
    *(TOPICS.of_account("door", kind) for kind in ("call", "registration")),
}


async def one_call(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.call(door)
    await mqtt.event("RINGING")
    await mqtt.request("reject")


async def test_who_comes_later_finds_every_retained_topic_and_nothing_else(
    mqtt: Mqtt, bridge: Running, station: Phone, door: str
) -> None:
    await one_call(mqtt, station, door)
    async with watching(bridge.mqtt_host, bridge.mqtt_port, "#") as later:
        late = Mqtt(watcher=later)
        await late.request("answer")
    retained = {message.topic for message in late.raw if message.retained}
    assert retained >= {*ALWAYS, *DOOR_TOPICS}
    assert [topic for topic in retained if "/event/" in topic or "/request/" in topic or "/response/" in topic] == []
    assert {message.qos for message in late.raw if message.retained} == {1}


async def test_events_and_answers_come_once_with_qos_1_and_are_not_retained(
    mqtt: Mqtt, station: Phone, door: str
) -> None:
    await one_call(mqtt, station, door)
    told = [message for message in mqtt.raw if "/event/" in message.topic or "/response/" in message.topic]
    assert [(message.topic.rpartition("/")[2], message.qos, message.retained) for message in told] == [
        ("INVITE", 1, False),
        ("RINGING", 1, False),
        ("BUSY_HERE", 1, False),
        ("CALL_ENDED", 1, False),
        ("reject", 1, False),
    ]


async def test_home_assistant_that_starts_hears_all_again_and_the_health(mqtt: Mqtt, station: Phone, door: str) -> None:
    await one_call(mqtt, station, door)
    before = len(mqtt.raw)
    mqtt.watcher.publish("homeassistant/status", "online")
    health = await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("health"))
    said = [message.topic for message in mqtt.raw[before:] if message.topic != "homeassistant/status"]
    again = said[:-1]
    assert set(again) >= {*ALWAYS, *DOOR_TOPICS}
    assert (again[-1], said[-1]) == (TOPICS.of_bridge("state"), TOPICS.of_bridge("health"))
    assert (mqtt.raw[-1].qos, mqtt.raw[-1].retained, health.accounts) == (0, False, 1)


async def test_home_assistant_that_stops_changes_nothing(mqtt: Mqtt) -> None:
    mqtt.watcher.publish("homeassistant/status", "offline")
    before = len(mqtt.raw)
    await mqtt.request("answer")
    assert [message.topic for message in mqtt.raw[before:] if message.topic in ALWAYS] == []


async def test_a_line_without_a_registrar_is_not_registered_anywhere(mqtt: Mqtt) -> None:
    assert mqtt.latest(TOPICS.of_account("door", "registration")) == contract.Registration(
        state=contract.RegistrationState.DISABLED
    )


async def test_what_the_bridge_can_do_is_every_verb(mqtt: Mqtt) -> None:
    info = mqtt.latest(TOPICS.of_bridge("info"))
    assert set(info.capabilities) >= {*contract.ACCOUNT_VERBS, *contract.BRIDGE_VERBS}
