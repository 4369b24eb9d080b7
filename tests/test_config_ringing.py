"""`contacts:` and `ring:` of accounts in the configuration."""

from pathlib import Path

import pytest

from sip_bridge.config import Config, load, redacted
from sip_bridge.errors import ConfigError
from sip_bridge.phone.settings import Acceptance, Contact, RingSettings


def loaded(folder: Path, text: str) -> Config:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return str(caught.value).removeprefix(f"{folder / 'config.yaml'}:")


def with_contacts(contacts: str) -> str:
    return f"accounts:\n- {{id: p, kind: registered, server: h, user: u, contacts: {contacts}}}\n"


def with_ring(ring: str, *, door: str = "{id: d, kind: direct}") -> str:
    inside = "{id: pbx, kind: registered, server: h, user: u, contacts: [{name: Kitchen, number: 101}]}"
    return f"accounts:\n- {inside}\n- {door[:-1]}, ring: {ring}}}\n"


def test_a_contact_is_one_number_or_several_that_ring_at_once(tmp_path: Path) -> None:
    contacts = "[{name: A, number: 101}, {name: B, numbers: [101, '**2'], accept: 1, accept_timeout: 9.5}]"
    (account,) = loaded(tmp_path, with_contacts(contacts)).accounts
    assert account.contacts == (
        Contact(name="A", number="101"),
        Contact(name="B", number="101", also=("**2",), acceptance=Acceptance(key="1", seconds=9.5)),
    )


@pytest.mark.parametrize(
    ("contacts", "line"),
    [
        ("[{name: A}]", "[0]: expected what to dial: a number, or numbers that ring at once"),
        ("[{name: A, number: 1, numbers: [2]}]", "[0]: expected what to dial: a number, or numbers that ring at once"),
        ("[{name: A, numbers: []}]", "[0].numbers: expected at least one, got an empty list"),
        ("[{name: A, numbers: [1,2,3,4,5,6,7,8,9]}]", "[0].numbers: expected at most 8, got 9"),
        ("[{name: A, number: 1, accept_timeout: 5}]", "[0].accept: missing: the key to be pressed"),
        (
            "[{name: A, number: 1, accept: 11}]",
            "[0].accept: expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, *, #, A, B, C, D; got '11'",
        ),
        (
            "[{name: A, number: 1}, {name: a, number: 2}]",
            "[1].name: expected another name than contacts[0] has; got 'a'",
        ),
    ],
)
def test_a_mistake_about_a_contact_gets_one_line(tmp_path: Path, contacts: str, line: str) -> None:
    assert complaint(tmp_path, with_contacts(contacts)) == f"2: accounts[0].contacts{line}"


def test_a_door_rings_numbers_and_names_of_another_line(tmp_path: Path) -> None:
    door = "{id: d, kind: direct, door: {code: 1}}"
    ring = (
        "{account: pbx, numbers: ['**610', Kitchen], timeout: 30, accept: 1, accept_prompt: press.wav, door_key: '#'}"
    )
    _, account = loaded(tmp_path, with_ring(ring, door=door)).accounts
    assert account.ring == RingSettings(
        account="pbx",
        numbers=("**610", "Kitchen"),
        timeout=30,
        acceptance=Acceptance(key="1", prompt="press.wav"),
        door_key="#",
    )


def test_a_prompt_may_hold_a_token_and_is_in_no_repr(tmp_path: Path) -> None:
    ring = "{account: pbx, numbers: [101], accept: 1, accept_prompt: 'https://u:hunter2@h/a.wav?token=hunter2'}"
    result = loaded(tmp_path, with_ring(ring))
    assert "hunter2" not in repr(result)
    assert "hunter2" not in str(redacted(result))


@pytest.mark.parametrize(
    ("ring", "line"),
    [
        ("{account: fritz, numbers: [1]}", "account: expected the id of an account: pbx, d; got 'fritz'"),
        ("{account: pbx}", "numbers: missing: whom to ring"),
        ("{account: pbx, numbers: []}", "numbers: expected at least one, got an empty list"),
        ("{account: pbx, numbers: [1], timeout: 0}", "timeout: expected a number from 1 to 600; got '0'"),
        ("{account: pbx, numbers: [1], door_key: 5}", "door_key: expected a door: with a code beside ring:"),
        (
            "{numbers: [101]}",
            "numbers: expected addresses like sip:101@192.168.1.20: 'd' is at no telephone system",
        ),
    ],
)
def test_a_mistake_about_whom_a_door_rings_gets_one_line(tmp_path: Path, ring: str, line: str) -> None:
    assert complaint(tmp_path, with_ring(ring)) == f"3: accounts[1].ring.{line}"


def test_groups_count_with_all_their_numbers(tmp_path: Path) -> None:
    text = (
        "accounts:\n"
        "- {id: p, kind: registered, server: h, user: u, contacts: [{name: A, numbers: [1,2,3,4,5,6,7,8]}],\n"
        "   ring: {numbers: [A, 9]}}\n"
    )
    line = "3: accounts[0].ring.numbers: expected at most 8 with those of groups, got 9"
    assert complaint(tmp_path, text) == line
