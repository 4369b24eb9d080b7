"""docs/accounts.md is true: it lists every key of a line, its configurations load, its requests are understood."""

import re
import shlex
from pathlib import Path

import pytest

from sip_bridge import config
from sip_bridge.errors import ConfigError
from sip_bridge.mqtt import contract

PAGE = (Path(__file__).parent.parent / "docs" / "accounts.md").read_text(encoding="utf-8")
SECRETS = "fritzbox_password: a\npbx_password: b\ndoor_code: 3\n"


def known_keys(account: str, tmp_path: Path, path: str) -> set[str]:
    """What the configuration says that it knows, when it is asked about a key that there is not."""
    (tmp_path / "config.yaml").write_text(f"accounts:\n- {account}\n")
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / "config.yaml")
    found = re.search(rf"{re.escape(path)}: unknown key 'zzzzz'; known are (.*)", str(caught.value))
    assert found is not None
    return set(found[1].split(", "))


def listed_keys(heading: str) -> set[str]:
    """The first column of the tables of a section."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize("kind", ["direct", "registered"])
def test_every_key_of_a_line_is_listed_and_no_other(kind: str, tmp_path: Path) -> None:
    both = known_keys("{kind: direct, zzzzz: 1}", tmp_path, "accounts[0]") | known_keys(
        "{kind: registered, zzzzz: 1}", tmp_path, "accounts[0]"
    )
    assert listed_keys("Every key") == both
    assert known_keys(f"{{kind: {kind}, zzzzz: 1}}", tmp_path, "accounts[0]") <= both


def test_every_key_of_auto_answer_is_listed(tmp_path: Path) -> None:
    known = known_keys("{id: d, kind: direct, auto_answer: {zzzzz: 1}}", tmp_path, "accounts[0].auto_answer")
    assert listed_keys("Answering without a person") == known


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_every_configuration_of_the_page_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text(SECRETS)
    (tmp_path / "config.yaml").write_text(text)
    assert config.load(tmp_path / "config.yaml").accounts


@pytest.mark.parametrize("line", re.findall(r"^mosquitto_pub .*$", PAGE, re.MULTILINE))
def test_every_request_of_the_page_is_understood(line: str) -> None:
    words = shlex.split(line)
    topic = contract.Topics().parse(words[words.index("-t") + 1])
    assert isinstance(topic, contract.AccountTopic)
    assert topic.name == "set"
    payload = words[words.index("-m") + 1].encode()
    assert isinstance(contract.decode_account_request(topic.name, payload), contract.Set)
