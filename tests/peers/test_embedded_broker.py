"""The embedded broker and clients of another make."""

import subprocess

import pytest

from sip_bridge.mqtt.broker import BrokerSettings
from tests.mqtt.peer import PATIENCE, running
from tests.peers import missing


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_clients_publish_and_subscribe(version: str) -> None:
    topic = "test/mosquitto"
    with running(BrokerSettings(port=0)) as broker:
        common = ["-h", "127.0.0.1", "-p", str(broker.port), "-V", version, "-t", topic]
        subprocess.run(
            [missing.command("mosquitto_pub"), *common, "-q", "1", "-r", "-m", "from mosquitto"],
            check=True,
            timeout=PATIENCE,
        )
        shown = subprocess.run(
            [missing.command("mosquitto_sub"), *common, "-C", "1", "-W", "5", "-F", "%t %q %r %p", "-q", "1"],
            check=True,
            timeout=PATIENCE + 1,
            capture_output=True,
            text=True,
        )
        assert shown.stdout == f"{topic} 1 1 from mosquitto\n"


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_there_are_no_statistics_and_who_asks_for_them_is_served_all_the_same(version: str) -> None:
    with running(BrokerSettings(port=0)) as broker:
        common = ["-h", "127.0.0.1", "-p", str(broker.port), "-V", version]
        publish = [missing.command("mosquitto_pub"), *common, "-q", "1", "-r", "-t", "a", "-m", "b"]
        subprocess.run(publish, check=True, timeout=PATIENCE)
        asked = ["-t", "$SYS/#", "-t", "a", "-C", "1", "-W", "5", "-F", "%t %p"]
        shown = subprocess.run(
            [missing.command("mosquitto_sub"), *common, *asked],
            check=True,
            timeout=PATIENCE + 1,
            capture_output=True,
            text=True,
        )
        assert shown.stdout == "a b\n"


def test_a_shared_subscription_is_denied_in_words() -> None:
    with running(BrokerSettings(port=0)) as broker:
        common = ["-h", "127.0.0.1", "-p", str(broker.port), "-V", "mqttv5"]
        denied = subprocess.run(
            [missing.command("mosquitto_sub"), *common, "-t", "$share/group/a", "-W", "5"],
            check=False,
            timeout=PATIENCE + 1,
            capture_output=True,
            text=True,
        )
        assert "denied" in denied.stderr
