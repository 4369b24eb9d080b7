"""On a wire that loses a fifth, reorders and duplicates, a watcher still ends up knowing what is so."""

import random

import pytest

from sip_bridge.sip.dialog_info import DialogState
from sip_bridge.sip.events import DialogStateReceived, MessageReceived, MessageSent
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, Party, Wire, assert_nothing_left


@pytest.fixture
def carol(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.3")
    party.add_direct_line("carol")
    return party


def make_bad(wire: Wire, seed: int) -> None:
    chance = random.Random(seed)
    wire.drops = lambda _: chance.random() < 0.2
    wire.copies = lambda _: [chance.random() * 0.3 for _ in range(chance.choice((1, 1, 2)))]


def states(party: Party) -> list[DialogState]:
    """Of the calls in the last document that came."""
    received = [event for event in party.events if isinstance(event, DialogStateReceived)]
    return [entry.state for entry in received[-1].info.dialogs]


@pytest.mark.parametrize("seed", range(12))
def test_a_watcher_agrees_with_the_line_when_all_is_quiet(
    wire: Wire, alice: Party, bob: Party, carol: Party, seed: int
) -> None:
    make_bad(wire, seed)
    subscription = carol.endpoint.subscribe("carol", "sip:door@192.0.2.2", "dialog", wire.now)
    carol.drain()
    for _ in range(3):
        call = alice.dial(bob, "alice", "door")
        wire.run(15)
        bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
        bob.do(bob.endpoint.answer, call, ANSWER)
        wire.run(40)
        assert states(carol) == [DialogState.CONFIRMED]
        bob.do(bob.endpoint.hangup, call)
        wire.run(40)
        assert DialogState.CONFIRMED not in states(carol)
    versions = [event.info.version for event in carol.events if isinstance(event, DialogStateReceived)]
    assert versions == sorted(set(versions))
    carol.do(carol.endpoint.unsubscribe, subscription)
    wire.run(100)
    assert (carol.endpoint._core.dialogs, bob.endpoint._core.dialogs) == ({}, {})
    assert_nothing_left(wire, alice, bob, carol)


@pytest.mark.parametrize("seed", range(12))
def test_each_text_arrives_once_or_its_sender_knows_that_it_may_not_have(
    wire: Wire, alice: Party, bob: Party, seed: int
) -> None:
    make_bad(wire, seed)
    for number in range(5):
        alice.endpoint.send_message("alice", "sip:door@192.0.2.2", f"text {number}", wire.now)
        alice.drain()
    wire.run(60)
    texts = sorted(event.text for event in bob.events if isinstance(event, MessageReceived))
    assert texts == [f"text {number}" for number in range(5)]
    assert len(alice.told(MessageSent)) == 5
    assert_nothing_left(wire, alice, bob)
