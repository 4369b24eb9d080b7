"""Every counter of the health has a name in the docs."""

import re
from pathlib import Path

from sip_bridge.bridge.counters import COUNTERS, SIP_COUNTERS
from tests.bridge.conftest import TOPICS, Mqtt

CHECKOUT = Path(__file__).parents[2]


def test_the_engine_raises_the_counters_that_are_described_and_no_other() -> None:
    sources = "".join(path.read_text() for path in (CHECKOUT / "sip_bridge").glob("**/*.py"))
    assert set(re.findall(r'counters\["(\w+)"\]', sources)) == set(SIP_COUNTERS)


async def test_the_health_shows_every_counter_from_the_start(mqtt: Mqtt) -> None:
    mqtt.watcher.publish(TOPICS.of_bridge("request", "health_check"), "")
    answer = await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("response", "health_check"))
    assert list(answer.data["counters"].items()) == [(name, 0) for name in sorted(COUNTERS)]


def test_the_page_explains_each() -> None:
    page = (CHECKOUT / "docs" / "mqtt" / "health.md").read_text()
    assert [name for name, meaning in COUNTERS.items() if f"| `{name}` | {meaning} |" not in page] == []
