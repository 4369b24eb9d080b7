"""The README and the pages are true: their YAML loads, their requests are understood, their commands exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from sip_bridge import config
from sip_bridge.cli import commands
from sip_bridge.mqtt import contract

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shell_lines(command: str) -> list[list[str]]:
    lines = "\n".join(blocks("sh")).splitlines()
    return [shlex.split(line) for line in lines if line.startswith(command)]


@pytest.mark.parametrize("text", [text for text in blocks("yaml") if "accounts:" in text])
def test_every_configuration_of_the_pages_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text(
        "fritzbox_password: a\npbx_password: b\nmqtt_password: c\nfamily_code: 1\nparcel_code: 2\ndoor_code: 3\n"
    )
    (tmp_path / "config.yaml").write_text(text)
    assert config.load(tmp_path / "config.yaml").accounts


def test_every_request_of_the_pages_is_understood() -> None:
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
    assert len(requests) > 20


@pytest.mark.parametrize("words", shell_lines("./script/run"), ids=" ".join)
def test_every_command_of_the_pages_exists_and_takes_its_options(words: list[str]) -> None:
    name, *arguments = words[1:] or ["run"]
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    assert command.make_context(name, arguments).command is command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_pages_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    """To a file, and to one of its headings."""
    name, _, heading = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not heading or heading in headings(target))


def headings(page: Path) -> list[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles]
