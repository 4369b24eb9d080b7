"""The README is true: its YAML loads, its requests are understood, its commands exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from sip_bridge import config
from sip_bridge.cli import commands
from sip_bridge.mqtt import contract

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shell_lines(command: str) -> list[list[str]]:
    lines = "\n".join(blocks("sh")).splitlines()
    return [shlex.split(line) for line in lines if line.startswith(command)]


@pytest.mark.parametrize("text", [text for text in blocks("yaml") if "accounts:" in text])
def test_every_configuration_of_the_readme_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text(
        "fritzbox_password: a\npbx_password: b\nmqtt_password: c\nfamily_code: 1\nparcel_code: 2\ndoor_code: 3\n"
    )
    (tmp_path / "config.yaml").write_text(text)
    assert config.load(tmp_path / "config.yaml").accounts


def test_every_request_of_the_readme_is_understood() -> None:
    requests = shell_lines("mosquitto_pub")
    topics = contract.Topics()
    for words in requests:
        topic = topics.parse(words[words.index("-t") + 1])
        payload = b"" if "-n" in words else words[words.index("-m") + 1].encode()
        assert topic is not None
        assert topic.kind == "request"
        assert topic.name is not None
        decode = (
            contract.decode_account_request
            if isinstance(topic, contract.AccountTopic)
            else contract.decode_bridge_request
        )
        assert decode(topic.name, payload).transaction is None
    assert len(requests) == 22


@pytest.mark.parametrize("words", shell_lines("./script/run"), ids=" ".join)
def test_every_command_of_the_readme_exists_and_takes_its_options(words: list[str]) -> None:
    name, *arguments = words[1:] or ["run"]
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    assert command.make_context(name, arguments).command is command


def test_every_file_that_the_readme_points_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
