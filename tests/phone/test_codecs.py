"""Sound between two of our media sessions with each codec, in packets of any length, and over a change of codec."""

import random
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from typing import Self

import pytest

from sip_bridge.errors import MediaError
from sip_bridge.media.codec import CODECS
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.media import MediaSession
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.settings import PortRange, SIPSettings
from tests.phone.peer import Clip, Ear, HandPacer, Peer, until
from tests.phone.phones import Phone, running, talking
from tests.sound import chirp, compare, from_pcm, to_pcm

PORTS = PortAllocator(PortRange(low=18100, high=18999))
RATES = {name: codec.rate for name, codec in CODECS.items()}


def session_on(pacer: HandPacer, *codecs: str) -> MediaSession:
    return MediaSession(
        local_host="127.0.0.1",
        advertised_host="127.0.0.1",
        ports=PORTS,
        pacer=pacer,
        codecs=codecs,
        entropy=random.Random(1).randbytes,
    )


class Pair:
    """Two sessions that talk to each other, time driven by hand."""

    def __init__(self, *codecs: str) -> None:
        self.pacer = HandPacer()
        self.near, self.far = session_on(self.pacer, *codecs), session_on(self.pacer, *CODECS)
        self.near_ear, self.far_ear = Ear(), Ear()

    async def __aenter__(self) -> Self:
        for session, ear in ((self.near, self.near_ear), (self.far, self.far_ear)):
            await session.open()
            session.sinks.append(ear)
        self.near.accept_answer(self.far.accept_offer(self.near.create_offer()))
        self.near.start_sending()
        self.far.start_sending()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.near.close()
        self.far.close()

    async def tick(self, times: int) -> None:
        """Time goes on once what was sent has come."""
        for _ in range(times):
            self.pacer.tick()
            await until(lambda: self.near.statistics.packets_received == self.far.statistics.packets_sent)
            await until(lambda: self.far.statistics.packets_received == self.near.statistics.packets_sent)


@pytest.mark.parametrize(("name", "least_snr_db"), [("PCMU", 30), ("PCMA", 30), ("G722", 24), ("opus", 25)])
async def test_a_chirp_crosses_in_both_directions(name: str, least_snr_db: float) -> None:
    rate = RATES[name]
    sound = chirp(rate, low=300, high=0.4 * rate, seconds=0.5)
    async with Pair(name) as pair:
        for session in (pair.near, pair.far):
            session.join(Clip(to_pcm(sound), rate=rate))
        await pair.tick(40)
        assert (pair.near.codec, pair.far.codec) == (name, name)
        assert pair.near.statistics.packets_lost == pair.far.statistics.packets_lost == 0
    for ear in (pair.near_ear, pair.far_ear):
        heard = compare(sound, from_pcm(bytes(ear.pcm)), rate)
        assert heard.snr_db > least_snr_db
        assert heard.gaps_ms == ()
        assert heard.delay_ms < 70


async def test_another_codec_in_mid_call_changes_the_sound_and_not_its_flow() -> None:
    """As a re-INVITE does it: G.711 from the start, then wideband, then G.711 again."""
    narrow, wide = chirp(8000, high=3200, seconds=0.3), chirp(16000, high=6400, seconds=0.3)
    async with Pair("PCMA") as pair:
        heard = []
        for name, sound in (("PCMA", narrow), ("opus", wide), ("G722", wide), ("PCMA", narrow)):
            pair.far_ear.pcm.clear()
            pair.near._exchange._local = replace(pair.near._exchange._local, codecs=(name,))
            pair.near.accept_answer(pair.far.accept_offer(pair.near.create_offer()))
            pair.near.join(Clip(to_pcm(sound), rate=RATES[name]))
            await pair.tick(30)
            heard.append(compare(sound, from_pcm(bytes(pair.far_ear.pcm)), RATES[name]))
    assert [each.snr_db > 20 for each in heard] == [True] * 4
    assert [each.gaps_ms for each in heard] == [()] * 4
    assert pair.far.statistics.packets_lost == 0


# --- on the wire ---


OFFERS = {
    "G722": ("9 101", "a=rtpmap:9 G722/8000"),
    "opus": ("107 101", "a=rtpmap:107 opus/48000/2", "a=fmtp:107 maxaveragebitrate=20000;cbr=1"),
}


@pytest.fixture
async def called() -> AsyncIterator[tuple[HandPacer, MediaSession, Peer]]:
    """A session that answers whatever a bare peer offers."""
    pacer, peer = HandPacer(), Peer()
    session = session_on(pacer, *CODECS)
    await session.open()
    yield pacer, session, peer
    session.close()
    peer.close()


@pytest.mark.parametrize(
    ("name", "wanted", "ptime", "units"),
    [
        ("G722", 10, 10, 80),
        ("G722", 20, 20, 160),
        ("G722", 30, 30, 240),
        ("G722", 60, 60, 480),
        ("opus", 10, 10, 480),
        ("opus", 20, 20, 960),
        ("opus", 30, 20, 960),
        ("opus", 40, 40, 1920),
        ("opus", 60, 60, 2880),
        ("opus", 100, 60, 2880),
    ],
)
async def test_packets_are_as_long_as_the_peer_wants_and_count_in_the_codecs_clock(
    called: tuple[HandPacer, MediaSession, Peer], name: str, wanted: int, ptime: int, units: int
) -> None:
    pacer, session, peer = called
    formats, *lines = OFFERS[name]
    session.accept_offer(peer.sdp(*lines, f"a=ptime:{wanted}", formats=formats))
    session.start_sending()
    pacer.tick(30)
    packets = peer.heard()
    assert len(packets) == 600 // ptime
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(packets)} == {units}
    decoder = CODECS[name].decoder()
    assert {len(decoder.decode(packet.payload)) for packet in packets} == {2 * 16 * ptime}


async def test_what_the_peer_wants_of_opus_holds(called: tuple[HandPacer, MediaSession, Peer]) -> None:
    pacer, session, peer = called
    formats, *lines = OFFERS["opus"]
    session.accept_offer(peer.sdp(*lines, formats=formats))
    session.start_sending()
    pacer.tick(20)
    assert {(packet.payload_type, len(packet.payload)) for packet in peer.heard()} == {(107, 20000 // 8 // 50)}


async def test_comfort_noise_is_heard_in_the_pauses_of_a_peer(called: tuple[HandPacer, MediaSession, Peer]) -> None:
    pacer, session, peer = called
    session.accept_offer(peer.sdp("a=rtpmap:13 CN/8000", formats="0 13 101"))
    session.start_sending()
    ear = Ear()
    session.sinks.append(ear)
    for number in range(3):
        peer.say(session.port, number)
    peer.say(session.port, 3, payload=b"\x2d", payload_type=13)
    await until(lambda: session.statistics.packets_received == 4)
    pacer.tick(30)
    speech, noise = ear.samples()[: 6 * 160], ear.samples()[6 * 160 :]
    assert set(speech) == {0}
    assert (max(noise) < 1000, min(max(noise[at : at + 160]) for at in range(0, len(noise), 160)) > 100) == (True, True)


async def test_comfort_noise_of_another_clock_than_the_codecs_is_not_heard(
    called: tuple[HandPacer, MediaSession, Peer],
) -> None:
    pacer, session, peer = called
    formats, *lines = OFFERS["opus"]
    session.accept_offer(peer.sdp(*lines, formats=formats))
    session.start_sending()
    ear = Ear()
    session.sinks.append(ear)
    silence = CODECS["opus"].encoder(20, "").silence(320)
    for number in range(3):
        peer.say(session.port, number, payload=silence, payload_type=107)
    peer.say(session.port, 3, payload=b"\x2d", payload_type=13)
    await until(lambda: session.statistics.packets_received == 4)
    pacer.tick(30)
    assert max(ear.samples()) < 8


# --- whole calls ---


async def agreed(alice: Phone, bob: Phone) -> tuple[str | None, str | None]:
    """What a call from one to the other is in."""
    call = await talking(alice, bob)
    (other,) = bob.phone.calls.values()
    codecs = (call.media.codec, other.media.codec)
    call.hangup()
    await bob.until(lambda: not bob.phone.calls)
    return codecs


async def test_the_one_who_is_called_chooses_and_wideband_is_the_first_choice() -> None:
    async with running("alice") as alice, running("bob") as bob, running("eve", codecs=("opus", "PCMU")) as eve:
        assert await agreed(alice, bob) == ("G722", "G722")
        assert await agreed(alice, eve) == ("opus", "opus")
        assert await agreed(eve, alice) == ("opus", "opus")


async def test_a_line_with_a_codec_that_is_not_installed_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    phone = Phone(SIPClient(SIPSettings(port=0)), "alice", codecs=("PCMU", "opus"))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaError, match=r"^opus is not in the plain installation: it needs sip-bridge\[audio\]$"):
        phone.phone.start()
