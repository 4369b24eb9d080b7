"""A wire with a door station (alice), the bridge's line ``door`` (bob), and a scripted peer (raw)."""

import pytest

from tests.scenario import Party, RawPeer, Wire


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
