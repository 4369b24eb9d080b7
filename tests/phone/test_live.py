"""Sound from and to programs, and calls that are joined: frame by frame, then between phones."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sip_bridge.errors import InvalidStateError
from sip_bridge.media.pcm import pcm_of
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.events import CallChanged, DTMFPressed, RecordingEnded
from sip_bridge.phone.live import PCMSink, PCMSource
from sip_bridge.phone.settings import RecordingSettings
from tests.phone.peer import Clip, Ear, until
from tests.phone.phones import TIMEOUT, Phone, running, talking
from tests.phone.recordings import read_recording
from tests.sound import SoundError, at_rate, chirp, compare, from_pcm, to_pcm, typically


def pcm(value: int, milliseconds: int, rate: int = 8000) -> bytes:
    return pcm_of(array("h", [value] * (milliseconds * rate // 1000)))


# --- a source ---


def test_what_is_written_in_any_pieces_is_read_in_frames() -> None:
    source = PCMSource()
    for value in (1, 2, 3):
        source.write(pcm(value, 15), 8000)
    assert [source.read(8000), source.read(8000)] == [pcm(1, 15) + pcm(2, 5), pcm(2, 10) + pcm(3, 10)]
    assert source.read(8000) == bytes(320)  # 5 ms wait for the rest of their frame
    source.write(pcm(4, 15), 8000)
    assert source.read(8000) == pcm(3, 5) + pcm(4, 15)
    assert (source.underruns, source.dropped) == (1, 0)


def test_a_closed_source_ends_once_all_was_said() -> None:
    source = PCMSource()
    source.write(pcm(1, 25), 8000)
    source.close()
    source.write(pcm(2, 25), 8000)
    assert [source.read(8000) for _ in range(3)] == [pcm(1, 20), pcm(1, 5) + bytes(240), None]


def test_too_much_drops_the_oldest_and_counts_it() -> None:
    source = PCMSource(buffer=0.04)
    source.write(pcm(1, 20) + pcm(2, 20), 8000)
    source.write(pcm(3, 20), 8000)
    assert [source.read(8000) for _ in range(3)] == [pcm(2, 20), pcm(3, 20), bytes(320)]
    assert (source.dropped, source.underruns) == (160, 1)


@pytest.mark.parametrize(("rate", "asked"), [(8000, 16000), (16000, 8000), (48000, 16000)])
def test_sound_of_another_rate_is_converted(rate: int, asked: int) -> None:
    source, sound = PCMSource(buffer=2.0), chirp(rate, high=3000, seconds=0.5)
    source.read(asked)
    source.write(to_pcm(sound), rate)
    said = from_pcm(b"".join(source.read(asked) or b"" for _ in range(30)))
    assert compare(at_rate(sound, rate, asked), said, asked).snr_db > 30


def test_what_waits_follows_a_change_of_the_call_s_rate() -> None:
    source, sound = PCMSource(buffer=2.0), chirp(8000, high=3000, seconds=0.5)
    source.write(to_pcm(sound), 8000)
    said = from_pcm(b"".join(source.read(16000) or b"" for _ in range(25)))
    assert compare(at_rate(sound, 8000, 16000), said, 16000).snr_db > 30


async def test_who_sends_waits_for_room() -> None:
    source = PCMSource(buffer=0.04)
    sending = asyncio.create_task(source.send(pcm(1, 100), 8000))
    read = []
    for _ in range(5):
        await asyncio.sleep(0)
        read.append(source.read(8000))
    await sending
    assert (read, source.dropped, source.underruns) == ([pcm(1, 20)] * 5, 0, 0)


async def test_who_sends_to_a_source_that_is_closed_waits_no_longer() -> None:
    source = PCMSource(buffer=0.04)
    sending = asyncio.create_task(source.send(pcm(1, 1000), 8000))
    await asyncio.sleep(0)
    source.close()
    async with asyncio.timeout(TIMEOUT):
        await sending


# --- a sink ---


async def test_what_is_heard_is_read_in_frames_at_the_program_s_rate() -> None:
    sink = PCMSink(rate=8000)
    reading = asyncio.create_task(sink.read())
    await asyncio.sleep(0)
    sink.write(pcm(1, 20), 8000)
    assert await reading == pcm(1, 20)
    sink.write(pcm(2, 20, 16000), 16000)
    assert len(await sink.read()) == 320


async def test_a_sink_that_nobody_reads_drops_the_oldest() -> None:
    sink = PCMSink(rate=8000, buffer=0.04)
    for value in (1, 2, 3):
        sink.write(pcm(value, 20), 8000)
    assert ([await sink.read(), await sink.read()], sink.dropped) == ([pcm(2, 20), pcm(3, 20)], 160)


async def test_a_closed_sink_gives_what_is_left() -> None:
    sink = PCMSink(rate=8000)
    sink.write(pcm(1, 20) + pcm(2, 10), 8000)
    sink.close()
    sink.write(pcm(3, 20), 8000)
    assert [await sink.read() for _ in range(3)] == [pcm(1, 20), pcm(2, 10), b""]


# --- calls ---


async def test_a_program_speaks_and_listens_in_a_call(alice: Phone, bob: Phone) -> None:
    call = await talking(alice, bob)
    (other,) = bob.phone.calls.values()
    said, sound = PCMSource(), chirp(8000, seconds=0.5)
    heard = PCMSink(rate=8000)
    call.connections.speak(said)
    other.connections.listen(heard)
    sending = asyncio.create_task(said.send(to_pcm(sound), 8000))
    frames = b""
    async with asyncio.timeout(TIMEOUT):
        while len(frames) < 16000:
            frames += await heard.read()
        await sending
    assert compare(sound, from_pcm(frames), 8000).snr_db > 20
    other.connections.unlisten(heard)
    while await heard.read():
        pass
    again = PCMSink(rate=8000)
    other.connections.listen(again)
    with pytest.raises(InvalidStateError, match="joined or connected already"):
        call.connections.speak(PCMSource())
    call.hangup()
    await bob.until(lambda: not bob.phone.calls)
    async with asyncio.timeout(TIMEOUT):
        while await again.read():
            pass
        await said.send(bytes(100_000), 8000)
    with pytest.raises(InvalidStateError, match="not answered"):
        call.connections.listen(heard)
    with pytest.raises(InvalidStateError, match="not answered"):
        call.connections.speak(said)


@asynccontextmanager
async def joined(folder: Path) -> AsyncIterator[tuple[Phone, list[VoIPCall], list[VoIPCall]]]:
    """A phone in the middle with two calls, one in narrowband and one in wideband; its calls, and the others'."""
    recording = RecordingSettings(folder=folder, min_free=0)
    async with (
        running("middle", recording=recording) as middle,
        running("left", codecs=("PCMA",)) as left,
        running("right", codecs=("G722",)) as right,
    ):
        calls = [await talking(middle, end) for end in (left, right)]
        yield middle, calls, [call for end in (left, right) for call in end.phone.calls.values()]


async def clear(speaker: VoIPCall, *listeners: VoIPCall) -> list[float]:
    """Say a chirp, and how clear it is at the other ends, in dB."""
    sound = chirp(8000, high=3000, seconds=0.6)
    ears = [Ear() for _ in listeners]
    for listener, ear in zip(listeners, ears, strict=True):
        listener.media.sinks.append(ear)
    speaker.media.join(Clip(to_pcm(sound)))
    await until(lambda: all(len(ear.pcm) > 2.4 * each.media.rate for each, ear in zip(listeners, ears, strict=True)))
    rates = [listener.media.rate for listener in listeners]
    return [
        typically(at_rate(sound, 8000, rate), from_pcm(bytes(ear.pcm)), rate).snr_db
        for rate, ear in zip(rates, ears, strict=True)
    ]


async def test_parties_of_joined_calls_hear_each_other_at_any_rate_and_are_recorded(tmp_path: Path) -> None:
    async with joined(tmp_path) as (middle, calls, (left, right)):
        calls[0].join(calls[1])
        file = await calls[0].record()
        assert [call.connections.joined_to for call in calls] == [calls[1], calls[0]]
        assert (left.media.rate, right.media.rate) == (8000, 16000)
        assert min(await clear(left, right)) > 10
        assert min(await clear(right, left)) > 10
        await left.send_dtmf("5", duration_ms=60, gap_ms=0)
        await middle.until(lambda: any(isinstance(event, DTMFPressed) for event in middle.told))
        calls[0].stop_recording()
        await middle.until(lambda: any(isinstance(event, RecordingEnded) for event in middle.told))
    rate, heard, said = read_recording(tmp_path / file)
    sound = chirp(8000, high=3000, seconds=0.6)
    first, second = typically(sound, heard, rate), typically(sound, said, rate)
    assert min(first.snr_db, second.snr_db) > 10
    assert second.delay_ms > first.delay_ms + 600  # first the left party spoke, then the right one


async def test_what_plays_comes_first_and_a_muted_call_says_nothing(tmp_path: Path) -> None:
    async with joined(tmp_path) as (_, calls, (left, right)):
        calls[0].join(calls[1])
        assert min(await clear(calls[0], left)) > 10  # played into one call: the other party of that hears it
        assert min(await clear(right, left)) > 10  # and the joined call again when that is over
        calls[0].mute(muted=True)
        with pytest.raises(SoundError):
            await clear(right, left)


async def test_calls_are_separated(tmp_path: Path) -> None:
    async with joined(tmp_path) as (middle, calls, (left, right)):
        calls[0].join(calls[1])
        middle.told.clear()
        calls[1].separate()
        assert [type(event) for event in middle.told] == [CallChanged, CallChanged]
        assert [(call.connections.joined_to, call.media.live, call.media.sinks) for call in calls] == [
            (None, None, []),
            (None, None, []),
        ]
        with pytest.raises(SoundError):
            await clear(left, right)
        with pytest.raises(InvalidStateError, match="is joined to none"):
            calls[0].separate()
        calls[1].join(calls[0])
        assert calls[0].connections.joined_to is calls[1]


async def test_the_end_of_either_call_separates_them(tmp_path: Path) -> None:
    async with joined(tmp_path) as (middle, calls, (left, _)):
        calls[1].join(calls[0])
        left.hangup()
        await middle.until(lambda: len(middle.phone.calls) == 1)
        assert [call.connections.joined_to for call in calls] == [None, None]
        assert (calls[1].media.live, calls[1].media.sinks, calls[1].state) == (None, [], CallState.IN_CALL)
        with pytest.raises(InvalidStateError, match="not answered"):
            calls[1].join(calls[0])


async def test_a_call_is_joined_to_one_other(tmp_path: Path) -> None:
    async with joined(tmp_path) as (middle, calls, _), running("third") as third:
        calls[0].join(calls[1])
        more = await talking(middle, third)
        for one, another in ((calls[0], calls[1]), (more, calls[1]), (calls[0], more)):
            with pytest.raises(InvalidStateError, match="is joined or connected already"):
                one.join(another)
        with pytest.raises(InvalidStateError, match="can't be joined to itself"):
            more.join(more)
        assert more.connections.joined_to is None
