"""docs/mqtt.md is true: its configurations load, its entities are those of the discovery, its figures are right."""

import json
import re
from pathlib import Path

import pytest

from sip_bridge import config
from sip_bridge.bridge.home_assistant import discovery
from sip_bridge.config import EmbeddedMQTT, ExternalMQTT
from sip_bridge.mqtt.contract import AccountInfo, AccountKind, Topics
from sip_bridge.mqtt.session import MAX_WAITING, MAX_WAITING_BYTES, RetryDelays

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "mqtt.md").read_text()
CONFIGURATIONS = [
    text for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if text.startswith("mqtt:")
]
LINE = AccountInfo(id="door", name="Door", uri="sip:x", kind=AccountKind.REGISTERED, door_code=True)
VERBS = ("open_door", "set", "reload", "restart")


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_its_configurations_load(text: str, tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("mqtt_password: c\n")
    (tmp_path / "config.yaml").write_text(f"{text}\naccounts: [{{id: door, kind: direct}}]\n")
    assert isinstance(config.load(tmp_path / "config.yaml").mqtt, EmbeddedMQTT | ExternalMQTT)


def test_its_entities_are_those_of_the_discovery() -> None:
    payload = discovery(Topics(), [LINE], name="Home", version="1", prefix="homeassistant", verbs=VERBS)
    components = json.loads(payload["homeassistant/device/sip_bridge_home__door/config"])["components"]
    made = {f"{each['platform']}.door_{each['name'].lower().replace(' ', '_')}" for each in components.values()}
    assert set(re.findall(r"`([a-z_]+\.door_\w+)`", PAGE)) == made


def test_it_names_every_key() -> None:
    text = re.search(r"^\| key \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert text is not None
    named = set(re.findall(r"`([a-z_]+)`", re.sub(r"\|[^|]*\|[^|]*\|$", "|", text[0], flags=re.MULTILINE)))
    assert named == set(ExternalMQTT.__dataclass_fields__)


def test_its_figures_are_right() -> None:
    text = " ".join(PAGE.split())
    assert f"Up to {MAX_WAITING:,} wait, and {MAX_WAITING_BYTES >> 20} MiB" in text
    assert f"up to {RetryDelays().most:.0f} seconds" in text
