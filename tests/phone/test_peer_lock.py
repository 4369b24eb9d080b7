"""Whose RTP is taken: the negotiated or the learned peer's, in virtual time."""

import pytest

from sip_bridge.phone.peer_lock import LEARNING, REBOUND_AFTER, Address, PeerLock

TOLD: Address = ("192.0.2.10", 4000)
LEARNED: Address = ("192.0.2.10", 61000)
OTHER_PORT: Address = ("192.0.2.10", 5000)
SIGNALLING: Address = ("198.51.100.1", 7000)
STRANGER: Address = ("203.0.113.9", 4000)


class Door:
    """A lock, and who gets through it when."""

    def __init__(self) -> None:
        self.lock = PeerLock(signalling_host=SIGNALLING[0])

    def lets(self, source: Address, now: float) -> bool:
        if not self.lock.may_be(source, now):
            return False
        self.lock.heard(source, now)
        return True


@pytest.fixture
def door() -> Door:
    made = Door()
    made.lock.agree(TOLD)
    return made


def test_before_a_description_nobody_is_the_peer() -> None:
    door = Door()
    assert [door.lets(source, 0.0) for source in (TOLD, SIGNALLING, STRANGER)] == [False] * 3
    assert (door.lock.is_peers_host(SIGNALLING[0]), door.lock.remote) == (False, None)


@pytest.mark.parametrize("source", [TOLD, LEARNED, SIGNALLING])
def test_the_first_that_speaks_from_a_known_host_is_the_peer_and_the_only_one(door: Door, source: Address) -> None:
    assert door.lock.remote == TOLD
    assert door.lets(source, 1.0) is True
    others = {OTHER_PORT, ("198.51.100.1", 7002), STRANGER} - {source}
    assert [door.lets(other, 1.1) for other in others] == [False] * 3
    assert (door.lets(source, 1.2), door.lock.remote) == (True, source)
    assert [door.lock.is_peers_host(host) for host in (source[0], STRANGER[0])] == [True, False]


def test_strangers_are_never_the_peer(door: Door) -> None:
    assert [door.lets(STRANGER, now) for now in (0.0, 10.0, 1000.0)] == [False] * 3
    assert door.lets(TOLD, 1001.0) is True
    assert door.lets(STRANGER, 5000.0) is False


def test_the_negotiated_address_takes_over_from_what_was_learned_too_soon(door: Door) -> None:
    assert door.lets(OTHER_PORT, 1.0) is True  # a straggler of another call of the same host
    assert door.lets(TOLD, 1.0 + LEARNING - 0.1) is True
    assert (door.lets(OTHER_PORT, 6.0), door.lock.remote) == (False, TOLD)


def test_later_the_negotiated_address_is_one_of_many(door: Door) -> None:
    for tenth in range(100):
        assert door.lets(LEARNED, tenth / 10) is True
    assert door.lets(TOLD, 10.0) is False


def test_a_router_that_gives_its_host_another_port_is_followed_after_a_silence(door: Door) -> None:
    assert door.lets(LEARNED, 0.0) is True
    assert door.lets(OTHER_PORT, REBOUND_AFTER - 0.1) is False
    assert door.lets(STRANGER, REBOUND_AFTER) is False
    assert door.lets(OTHER_PORT, REBOUND_AFTER) is True
    assert door.lock.remote == OTHER_PORT
    assert door.lets(STRANGER, 100.0) is False


def test_the_negotiated_address_may_break_a_silence_too(door: Door) -> None:
    assert door.lets(SIGNALLING, 0.0) is True
    assert door.lets(TOLD, LEARNING + REBOUND_AFTER) is True


def test_the_address_that_was_learned_first_needs_only_to_speak_again(door: Door) -> None:
    door.lets(LEARNED, 0.0)
    door.lets(OTHER_PORT, 10.0)
    assert door.lets(LEARNED, 10.1) is True
    assert door.lets(OTHER_PORT, 10.2) is False


def test_another_description_of_the_same_address_learns_again_and_goes_on_sending_there(door: Door) -> None:
    door.lets(LEARNED, 0.0)
    assert door.lock.agree(TOLD) is False
    assert door.lock.remote == LEARNED
    assert door.lets(OTHER_PORT, 0.1) is True
    assert door.lets(LEARNED, 0.2) is True  # who was there before has the right of way
    assert door.lets(OTHER_PORT, 0.3) is False


def test_a_description_of_another_address_moves_the_peer(door: Door) -> None:
    door.lets(LEARNED, 0.0)
    moved = ("192.0.2.77", 4000)
    assert door.lock.agree(moved) is True
    assert door.lock.remote == moved
    assert [door.lets(source, 0.1) for source in (LEARNED, TOLD, moved)] == [False, False, True]


def test_a_description_without_an_address_moves_nobody(door: Door) -> None:
    door.lets(LEARNED, 0.0)
    assert door.lock.agree(None) is False
    assert (door.lock.remote, door.lets(LEARNED, 0.1)) == (LEARNED, True)
    assert door.lock.agree(TOLD) is False  # the hold is over
    assert door.lock.remote == LEARNED
