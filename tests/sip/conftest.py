"""A wire with a door station (alice), the bridge's line ``door`` (bob), and a scripted peer (raw)."""

import pytest

from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, established


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def alice(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.1")
    party.add_direct_line("alice")
    return party


@pytest.fixture
def bob(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.2")
    party.add_direct_line("door")
    return party


@pytest.fixture
def raw(wire: Wire) -> RawPeer:
    return RawPeer(wire, "192.0.2.66")


@pytest.fixture
def call(wire: Wire, alice: Party, bob: Party) -> str:
    """Alice has called bob, who answered; what was told and sent is cleared."""
    call = established(wire, alice, bob)
    for party in (alice, bob):
        party.events.clear()
    wire.sent.clear()
    return call


@pytest.fixture
def raw_call(wire: Wire, alice: Party, raw: RawPeer) -> str:
    """Alice has called raw, who answered and answers nothing else by itself; what they heard is cleared."""
    call = alice.endpoint.invite("alice", "sip:door@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 200, content=ANSWER)
    wire.run(0.1)
    raw.received.clear()
    alice.events.clear()
    return call
