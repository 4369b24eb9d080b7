"""Key presses between media sessions on real sockets, with a network between them that loses, doubles and delays."""

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sip_bridge.media.dtmf import KEYS
from sip_bridge.phone.media import DTMFReceived, MediaEvent, MediaSession
from sip_bridge.phone.player import PlaybackFinished
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.settings import PortRange
from tests.phone.peer import SILENCE, HandPacer, Peer, chirp, keys_in, until, write_wav

PORTS = PortAllocator(PortRange(low=18100, high=18999))
EVENTS = 101


class BadNetwork:
    """From one session's packets to another's port: a tenth is lost, some come twice, some a few packets late."""

    def __init__(self, near: Peer, far: Peer, chance: random.Random) -> None:
        self._near, self._far = near, far
        self._chance = chance
        self._late: list[tuple[int, bytes]] = []
        self.sent = 0
        self.lost = 0

    def carry(self, port: int) -> None:
        """All that has been sent."""
        for data in self._near.datagrams():
            self._carry(data, port)

    def _carry(self, data: bytes, port: int) -> None:
        ready = [each for left, each in self._late if left == 0]
        self._late = [(left - 1, each) for left, each in self._late if left > 0]
        fate = self._chance.random()
        if fate < 0.1:
            self.lost += 1
        elif fate < 0.2:
            self._late.append((self._chance.randrange(2), data))
        else:
            ready += [data, data] if fate < 0.3 else [data]
        for each in ready:
            self._far.send(each, port)
            self.sent += 1


def session_on(pacer: HandPacer) -> MediaSession:
    return MediaSession(
        local_host="127.0.0.1",
        advertised_host="127.0.0.1",
        ports=PORTS,
        pacer=pacer,
        codecs=("PCMU", "PCMA"),
        entropy=random.Random(1).randbytes,
    )


@pytest.fixture
def pacer() -> HandPacer:
    return HandPacer()


@pytest.fixture
def peers() -> Iterator[tuple[Peer, Peer]]:
    made = Peer(), Peer()
    yield made
    for each in made:
        each.close()


@pytest.fixture
async def sessions(pacer: HandPacer, peers: tuple[Peer, Peer]) -> AsyncIterator[tuple[MediaSession, MediaSession]]:
    """Each talks with its own peer; the first one sends."""
    made = session_on(pacer), session_on(pacer)
    for session, peer in zip(made, peers, strict=True):
        await session.open()
        session.accept_offer(peer.sdp())
    made[0].start_sending()
    yield made
    for session in made:
        session.close()


def events_of(session: MediaSession) -> list[MediaEvent]:
    events: list[MediaEvent] = []
    session.on_event = events.append
    return events


async def test_a_thousand_keys_over_a_network_that_loses_a_tenth_arrive_once_each(
    sessions: tuple[MediaSession, MediaSession], peers: tuple[Peer, Peer], pacer: HandPacer
) -> None:
    chance = random.Random(4733)
    digits = "".join(chance.choices(KEYS, k=1000))
    near, far = sessions
    told = events_of(far)
    for at in range(0, 1000, 125):
        near.send_dtmf(digits[at : at + 125], duration_ms=60, gap_ms=60)
    network = BadNetwork(*peers, chance)
    for _ in range(6 * 1000 // 20 + 1):
        pacer.tick(20)
        network.carry(far.port)
        await until(lambda: far.statistics.packets_received == network.sent)
    assert network.lost > 500
    assert "".join(event.digit for event in told if isinstance(event, DTMFReceived)) == digits


async def test_a_long_press_arrives_once(
    sessions: tuple[MediaSession, MediaSession], peers: tuple[Peer, Peer], pacer: HandPacer
) -> None:
    near, far = sessions
    told = events_of(far)
    near.send_dtmf("*0", duration_ms=5000, gap_ms=40)
    network = BadNetwork(*peers, random.Random(5))
    for _ in range(26):
        pacer.tick(20)
        network.carry(far.port)
        await until(lambda: far.statistics.packets_received == network.sent)
    assert [event.digit for event in told if isinstance(event, DTMFReceived)] == ["*", "0"]


async def test_keys_are_pressed_while_a_sound_plays_muted_and_take_none_of_it(
    sessions: tuple[MediaSession, MediaSession], peers: tuple[Peer, Peer], pacer: HandPacer, tmp_path: Path
) -> None:
    path = write_wav(tmp_path / "chirp.wav", chirp(0.2))
    near, peer = sessions[0], peers[0]
    events = events_of(near)
    await near.play(str(path))
    near.muted = True
    near.send_dtmf("1", duration_ms=60, gap_ms=40)
    pacer.tick(5)
    near.muted = False
    pacer.tick(10)
    heard = peer.heard()
    assert [packet.payload_type for packet in heard] == [EVENTS] * 5 + [0] * 10
    assert len({packet.payload for packet in heard[5:]} - {SILENCE}) == 10
    assert events == []
    pacer.tick(1)
    assert events == [PlaybackFinished(source=str(path), completed=True)]


async def test_keys_are_sounded_in_place_of_what_plays_though_it_is_muted(
    sessions: tuple[MediaSession, MediaSession], peers: tuple[Peer, Peer], pacer: HandPacer, tmp_path: Path
) -> None:
    near, peer = sessions[0], peers[0]
    events = events_of(near)
    await near.play(str(write_wav(tmp_path / "chirp.wav", chirp(0.2))))
    near.muted = True
    pressed = near.send_dtmf("4#", duration_ms=60, gap_ms=40, inband=True)
    near.send_dtmf("1", duration_ms=60, gap_ms=40)
    pacer.tick(10)
    before = pressed.is_over
    near.muted = False
    pacer.tick(16)
    heard = peer.heard()
    assert [packet.payload_type for packet in heard] == [0] * 11 + [EVENTS] * 5 + [0] * 10
    assert (before, pressed.is_over, pressed.were_heard) == (False, True, True)
    assert keys_in(heard[:10]) == "4#"
    assert heard[10].payload not in {SILENCE, heard[0].payload}
    assert events == [PlaybackFinished(source=str(tmp_path / "chirp.wav"), completed=True)]
