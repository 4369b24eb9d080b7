"""A wire with a door station (alice), the bridge's line ``door`` (bob), and a scripted peer (raw)."""

import os

import pytest
from hypothesis import settings

from tests.scenario import Party, RawPeer, Wire

# HYPOTHESIS_PROFILE=thorough looks far longer; no deadline, since a busy machine is no finding.
settings.register_profile("quick", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=3000, stateful_step_count=80)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


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
