"""What a call plays, in which order, how loud, and what is told of it."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sip_bridge.errors import InvalidStateError, MediaError, NotAllowedError
from sip_bridge.media.codec import CODECS
from sip_bridge.media.pcm import samples_of
from sip_bridge.phone.media import MediaEvent, MediaSession
from sip_bridge.phone.player import MAX_SOUNDS, PlaybackFinished
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.settings import MediaSettings, PortRange
from tests.phone.peer import SILENCE, HandPacer, Peer, until
from tests.phone.sound_files import wav
from tests.phone.sound_server import SoundServer, body, cut, head, serving, slow

PORTS = PortAllocator(PortRange(low=19000, high=19399))


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
def pacer() -> HandPacer:
    return HandPacer()


@pytest.fixture
async def session(pacer: HandPacer, peer: Peer) -> AsyncIterator[MediaSession]:
    """One that sends to the peer."""
    made = MediaSession(
        local_host="127.0.0.1",
        advertised_host="127.0.0.1",
        ports=PORTS,
        pacer=pacer,
        codecs=("PCMU",),
        media=MediaSettings(country="de"),
    )
    await made.open()
    made.accept_offer(peer.sdp())
    made.start_sending()
    yield made
    made.close()


@pytest.fixture
def events(session: MediaSession) -> list[MediaEvent]:
    told: list[MediaEvent] = []
    session.on_event = told.append
    return told


@pytest.fixture
def may_go_on() -> asyncio.Event:
    return asyncio.Event()


LOUD = wav(array("h", [9000] * 160), 8000)


@pytest.fixture
async def server(may_go_on: asyncio.Event) -> AsyncIterator[SoundServer]:
    answers = {
        "/slow.wav": slow(head(Content_Length=len(LOUD)), may_go_on, LOUD),
        "/cut.wav": cut(wav(array("h", [9000] * 160), 8000, size=3200), claimed=3244),
        "/gone.wav": body(b"", status="410 Gone"),
    }
    async with serving(answers) as made:
        yield made


def sound(folder: Path, name: str, level: int, *, frames: int = 1) -> str:
    path = folder / name
    path.write_bytes(wav(array("h", [level] * 160 * frames), 8000))
    return str(path)


def levels(peer: Peer) -> list[int]:
    """The level of each packet since the last look, as µ-law has it; 0 for silence."""
    decoder = CODECS["PCMU"].decoder()
    return [samples_of(decoder.decode(packet.payload))[-1] for packet in peer.heard()]


async def test_what_is_asked_for_last_plays_and_the_earlier_one_is_told_so(
    session: MediaSession,
    events: list[MediaEvent],
    pacer: HandPacer,
    server: SoundServer,
    may_go_on: asyncio.Event,
    tmp_path: Path,
) -> None:
    early = asyncio.create_task(session.play(server.url("/slow.wav")))
    await until(lambda: server.open == 1)
    last = sound(tmp_path, "last.wav", 8000)
    await session.play(last)
    may_go_on.set()
    with pytest.raises(InvalidStateError, match=r"slow\.wav: stopped before it began"):
        await early
    pacer.tick(2)
    assert events == [
        PlaybackFinished(source=server.url("/slow.wav"), completed=False),
        PlaybackFinished(source=last, completed=True),
    ]


async def test_stopping_stops_what_is_being_opened_too(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer, server: SoundServer
) -> None:
    playing = asyncio.create_task(session.play(server.url("/slow.wav")))
    await until(lambda: server.open == 1)
    assert session.is_playing
    session.stop_playback()
    with pytest.raises(InvalidStateError, match="stopped before it began"):
        await playing
    await until(lambda: server.open == 0)
    pacer.tick()
    assert (levels(peer), session.is_playing) == ([0], False)
    assert events == [PlaybackFinished(source=server.url("/slow.wav"), completed=False)]


async def test_the_end_of_a_call_ends_what_is_being_opened(
    session: MediaSession, events: list[MediaEvent], server: SoundServer
) -> None:
    playing = asyncio.create_task(session.play(server.url("/slow.wav")))
    await until(lambda: server.open == 1)
    session.close()
    with pytest.raises(InvalidStateError):
        await playing
    with pytest.raises(InvalidStateError):
        await session.play("tone:busy")
    await until(lambda: server.open == 0)
    assert events == [PlaybackFinished(source=server.url("/slow.wav"), completed=False)]


async def test_a_request_that_is_given_up_leaves_the_queue(
    session: MediaSession, events: list[MediaEvent], server: SoundServer
) -> None:
    playing = asyncio.create_task(session.play(server.url("/slow.wav")))
    await until(lambda: server.open == 1)
    playing.cancel()
    await until(lambda: server.open == 0)
    assert (session.is_playing, events) == (False, [])


async def test_queued_sounds_follow_each_other_without_a_gap_and_each_tells_its_end(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer, tmp_path: Path
) -> None:
    names = [sound(tmp_path, f"{level}.wav", level, frames=2) for level in (1000, 2000, 3000)]
    for name in names:
        await session.play(name, enqueue=True)
    pacer.tick(7)
    assert [round(level, -3) for level in levels(peer)] == [1000, 1000, 2000, 2000, 3000, 3000, 0]
    assert events == [PlaybackFinished(source=name, completed=True) for name in names]


async def test_the_end_is_told_when_the_packet_has_left_that_the_last_sample_is_in(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer, tmp_path: Path
) -> None:
    session.accept_offer(peer.sdp("a=ptime:40"))
    await session.play(sound(tmp_path, "a.wav", 1000))
    await session.play(sound(tmp_path, "b.wav", 2000, frames=2), enqueue=True)
    found = []
    for _ in range(5):
        pacer.tick()
        found.append((len(peer.heard()), len(events)))
    assert found == [(0, 0), (1, 1), (0, 1), (1, 2), (0, 2)]


async def test_a_queued_sound_keeps_its_place_however_long_it_takes(
    session: MediaSession,
    events: list[MediaEvent],
    pacer: HandPacer,
    peer: Peer,
    server: SoundServer,
    may_go_on: asyncio.Event,
    tmp_path: Path,
) -> None:
    first = asyncio.create_task(session.play(server.url("/slow.wav"), enqueue=True))
    await until(lambda: server.open == 1)
    await session.play(sound(tmp_path, "b.wav", 2000), enqueue=True)
    pacer.tick(2)
    may_go_on.set()
    await first
    pacer.tick(2)
    assert [round(level, -3) for level in levels(peer)] == [0, 0, 9000, 2000]


async def test_a_sound_that_can_not_be_opened_leaves_what_plays_alone(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer, server: SoundServer, tmp_path: Path
) -> None:
    name = sound(tmp_path, "a.wav", 1000, frames=3)
    await session.play(name)
    for enqueue in (True, False):
        with pytest.raises(MediaError, match=rf"^{server.url('/gone.wav')}: the server answers 410 Gone$"):
            await session.play(server.url("/gone.wav?authSig=s3cret"), enqueue=enqueue)
    pacer.tick(4)
    assert [round(level, -3) for level in levels(peer)] == [1000, 1000, 1000, 0]
    assert events == [PlaybackFinished(source=name, completed=True)]


async def test_a_sound_that_breaks_off_tells_why_and_the_next_one_plays(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer, server: SoundServer, tmp_path: Path
) -> None:
    await session.play(server.url("/cut.wav?authSig=s3cret", userinfo="ann:s3cret@"))
    name = sound(tmp_path, "b.wav", 2000)
    await session.play(name, enqueue=True)
    pacer.tick(3)
    assert events == [
        PlaybackFinished(source=server.url("/cut.wav"), completed=False, error="the connection was cut in the middle"),
        PlaybackFinished(source=name, completed=True),
    ]


async def test_stopping_tells_of_every_sound_that_was_to_come(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer, tmp_path: Path
) -> None:
    names = [sound(tmp_path, f"{level}.wav", level, frames=9) for level in (1000, 2000)]
    for name in names:
        await session.play(name, enqueue=True)
    pacer.tick(2)
    session.stop_playback()
    session.stop_playback()
    pacer.tick(1)
    assert [round(level, -3) for level in levels(peer)] == [1000, 1000, 0]
    assert events == [PlaybackFinished(source=name, completed=False) for name in names]


async def test_a_sound_that_replaces_others_tells_of_each(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer, tmp_path: Path
) -> None:
    names = [sound(tmp_path, f"{level}.wav", level, frames=9) for level in (1000, 2000)]
    for name in names:
        await session.play(name, enqueue=True)
    pacer.tick()
    await session.play("tone:busy/0.02")
    pacer.tick(2)
    assert events == [
        *(PlaybackFinished(source=name, completed=False) for name in names),
        PlaybackFinished(source="tone:busy/0.02", completed=True),
    ]


async def test_the_end_of_the_call_tells_of_every_sound(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer, tmp_path: Path
) -> None:
    session.accept_offer(peer.sdp("a=ptime:60"))
    names = [sound(tmp_path, f"{level}.wav", level) for level in (1000, 2000)]
    for name in names:
        await session.play(name, enqueue=True)
    pacer.tick(2)
    session.close()
    assert events == [PlaybackFinished(source=name, completed=False) for name in names]


async def test_sounds_and_the_call_have_volumes_of_their_own(
    session: MediaSession, pacer: HandPacer, peer: Peer, tmp_path: Path
) -> None:
    await session.play(sound(tmp_path, "a.wav", 8000, frames=9), volume=0.5)
    for volume in (1.0, 0.5, 2.0, 0.0):
        session.volume = volume
        pacer.tick()
    assert [round(level, -3) for level in levels(peer)] == [4000, 2000, 8000, 0]
    await session.play(sound(tmp_path, "b.wav", -30000, frames=9), volume=2.0)
    session.volume = 2.0
    pacer.tick()
    assert levels(peer) == [-32124]  # µ-law's loudest
    assert session.volume == 2.0


@pytest.mark.parametrize("volume", [-0.1, 2.1, float("nan")])
async def test_a_volume_out_of_bounds_is_refused(session: MediaSession, volume: float) -> None:
    with pytest.raises(MediaError, match=r"volume: expected 0\.0 to 2\.0"):
        await session.play("tone:busy", volume=volume)
    with pytest.raises(MediaError, match=r"volume: expected 0\.0 to 2\.0"):
        session.volume = volume
    assert session.volume == 1.0


@pytest.mark.parametrize("settle", [-1, 61, float("nan")])
async def test_a_settle_time_out_of_bounds_is_refused(session: MediaSession, settle: float) -> None:
    with pytest.raises(MediaError, match="settle time: expected 0 to 60 seconds"):
        await session.play("tone:busy", settle=settle)


async def test_more_sounds_than_a_call_can_want_are_refused(session: MediaSession) -> None:
    for _ in range(MAX_SOUNDS):
        await session.play("tone:busy", enqueue=True)
    with pytest.raises(InvalidStateError, match=f"{MAX_SOUNDS} sounds wait already"):
        await session.play("tone:busy", enqueue=True)


async def test_a_tone_is_that_of_the_settings_until_it_is_stopped(
    session: MediaSession, events: list[MediaEvent], pacer: HandPacer, peer: Peer
) -> None:
    await session.play("tone:busy")
    pacer.tick(48)
    assert [packet.payload == SILENCE for packet in peer.heard()] == [False] * 24 + [True] * 24
    session.stop_playback()
    assert events == [PlaybackFinished(source="tone:busy", completed=False)]


async def test_a_file_outside_of_the_folders_is_not_allowed(pacer: HandPacer, tmp_path: Path) -> None:
    session = MediaSession(
        local_host="127.0.0.1",
        advertised_host="127.0.0.1",
        ports=PORTS,
        pacer=pacer,
        codecs=("PCMU",),
        media=MediaSettings(folders=(tmp_path,)),
    )
    with pytest.raises(NotAllowedError, match=r"^/etc/passwd: not in a folder of media\.folders$"):
        await session.play("/etc/passwd")
