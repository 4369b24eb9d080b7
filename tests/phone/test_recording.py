"""Calls between two phones, recorded by one of them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sip_bridge.errors import InvalidStateError, LocalProtocolError, MediaError, NotAllowedError
from sip_bridge.phone import recorder
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.events import CallChanged, CallFinished, RecordingEnded
from sip_bridge.phone.recorder import Recorder, Recording, RecordingResult
from sip_bridge.phone.settings import RecordingSettings
from tests.phone.peer import Clip, Ear
from tests.phone.phones import Phone, running, talking
from tests.phone.recordings import files_no_longer_than, names_in, read_recording
from tests.sound import Signal, chirp, compare, from_pcm, to_pcm, tone


@asynccontextmanager
async def call_of(
    folder: Path, *, codecs: tuple[str, ...] = ("PCMA",), record: str = "on_request", **settings: Any
) -> AsyncIterator[tuple[Phone, VoIPCall, VoIPCall]]:
    """Alice, who can record, her call with Bob, and the same call at Bob's."""
    kept = RecordingSettings(folder=folder, **{"min_free": 0, **settings})
    async with running("alice", recording=kept, codecs=codecs, record=record) as alice, running("bob") as bob:
        call = await talking(alice, bob)
        (other,) = bob.phone.calls.values()
        yield alice, call, other


async def ended(alice: Phone) -> RecordingEnded:
    await alice.until(lambda: any(isinstance(event, RecordingEnded) for event in alice.told))
    return next(event for event in alice.told if isinstance(event, RecordingEnded))


class Witness:
    """A tap that keeps what either side was at each tick, and says when so many went by."""

    def __init__(self) -> None:
        self.heard, self.said = Ear(), Ear()
        self.ticks: list[tuple[bytes, bytes]] = []
        self._ticked = asyncio.Event()

    def tick(self, frames: int) -> None:
        self.ticks += [(b"", b"")] * (frames - 1) + [(bytes(self.heard.pcm), bytes(self.said.pcm))]
        self.heard.pcm.clear()
        self.said.pcm.clear()
        self._ticked.set()

    async def saw(self, seconds: float) -> None:
        async with asyncio.timeout(10):
            while len(self.ticks) < seconds * 50:
                self._ticked.clear()
                await self._ticked.wait()

    def side(self, number: int, rate: int) -> Signal:
        return from_pcm(b"".join(tick[number].ljust(rate // 25, b"\0") for tick in self.ticks))


@pytest.mark.parametrize(("codec", "rate"), [("PCMA", 8000), ("G722", 16000)])
async def test_left_is_the_other_party_and_right_is_us_on_one_clock(tmp_path: Path, codec: str, rate: int) -> None:
    up, down = chirp(rate, low=300, high=3000, seconds=0.5), chirp(rate, low=3000, high=300, seconds=0.5)
    async with call_of(tmp_path, codecs=(codec,)) as (alice, call, other):
        witness = Witness()
        call.media.tap(witness)
        file = await call.record()
        call.media.join(Clip(to_pcm(up), rate=rate))
        other.media.join(Clip(to_pcm(down), rate=rate))
        await witness.saw(1.2)
        call.stop_recording()
        call.media.untap(witness)
        done = await ended(alice)
    recorded_rate, left, right = read_recording(tmp_path / file)
    assert (recorded_rate, len(left)) == (rate, len(right))
    assert left.tolist() == witness.side(0, rate)[: len(left)].tolist()
    assert right.tolist() == witness.side(1, rate)[: len(right)].tolist()
    said, heard = compare(up, right, rate), compare(down, left, rate)
    assert min(said.snr_db, heard.snr_db) > 20
    assert (done.file, done.reason, done.error, done.missed_seconds) == (file, "stopped", None, 0.0)
    assert done.seconds == pytest.approx(1.2, abs=0.1)
    assert done.size == (tmp_path / file).stat().st_size == 44 + 4 * len(left)
    assert names_in(tmp_path) == [file]


async def test_what_we_do_not_say_is_silence(tmp_path: Path) -> None:
    """Muted, put on hold, and while keys are pressed, which may be a code."""
    async with call_of(tmp_path) as (alice, call, other):
        call.media.join(Clip(to_pcm(tone(8000, 440.0, seconds=5.0))))
        witness = Witness()
        call.media.tap(witness)
        call.mute(muted=True)
        file = await call.record()
        await witness.saw(0.3)
        call.mute(muted=False)
        await call.send_dtmf("1", duration_ms=100, gap_ms=0, method="inband")
        await call.send_dtmf("2", duration_ms=100, gap_ms=0, method="rtp")
        await other.hold()
        await witness.saw(1.0)
        call.hangup()
        done = await ended(alice)
    _, _, right = read_recording(tmp_path / file)
    assert done.reason == "call_ended"
    assert not right[: 8000 // 4].any()
    assert not right[-8000 // 10 :].any()
    spectrum = np.abs(np.fft.rfft(right))
    frequencies = np.fft.rfftfreq(len(right), 1 / 8000)
    assert spectrum[(frequencies > 650)].max() < 0.2 * spectrum.max()


async def test_a_recording_shows_in_the_call_and_ends_with_it(tmp_path: Path) -> None:
    async with call_of(tmp_path) as (alice, call, _):
        alice.told.clear()
        file = await call.record(name="../Nachbar")
        shown = [call.recording.is_running]
        call.hangup()
        done = await ended(alice)
        shown.append(call.recording.is_running)
    assert shown == [True, False]
    assert file.endswith("Z_Nachbar.wav")
    assert (done.file, done.reason, done.error) == (file, "call_ended", None)
    assert [type(event) for event in alice.told if isinstance(event, CallChanged | CallFinished | RecordingEnded)] == [
        CallChanged,
        CallFinished,
        RecordingEnded,
    ]


async def test_every_call_is_recorded_from_its_answer_on_if_the_account_says_so(tmp_path: Path) -> None:
    async with call_of(tmp_path, record="answered") as (alice, call, _):
        await alice.until(lambda: call.recording.is_running)
        call.hangup()
        done = await ended(alice)
    assert done.file is not None
    assert done.file.endswith("Z_alice_outgoing_bob.wav")
    assert (tmp_path / done.file).stat().st_size == done.size


async def test_an_automatic_recording_that_can_not_be_is_told_and_disturbs_no_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with call_of(tmp_path / "file" / "x", record="answered") as (alice, call, _):
        done = await ended(alice)
        assert call.state is CallState.IN_CALL
    assert (done.file, done.reason) == (None, "error")
    assert done.error == "the recording can't be written: Not a directory"


async def test_what_can_not_be_recorded_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with call_of(tmp_path / "file" / "x") as (_, call, other):
        with pytest.raises(MediaError, match="Not a directory"):
            await call.record()
        with pytest.raises(InvalidStateError, match="is not being recorded"):
            call.stop_recording()
        with pytest.raises(LocalProtocolError, match="max_seconds"):
            await call.record(max_seconds=0)
        with pytest.raises(InvalidStateError, match="nothing is recorded here"):
            await other.record()
        assert not call.recording.is_running


async def test_a_call_has_one_recording_at_a_time_and_none_once_it_is_over(tmp_path: Path) -> None:
    async with call_of(tmp_path) as (alice, call, _):
        await call.record()
        with pytest.raises(InvalidStateError, match="is being recorded already"):
            await call.record()
        call.stop_recording()
        await ended(alice)
        assert (await call.record()).endswith(".wav")
        call.hangup()
        await alice.until(lambda: sum(isinstance(event, RecordingEnded) for event in alice.told) == 2)
        with pytest.raises(InvalidStateError, match="not answered"):
            await call.record()


async def test_an_account_may_forbid_recordings(tmp_path: Path) -> None:
    async with call_of(tmp_path, record="never") as (_, call, _other):
        with pytest.raises(NotAllowedError, match="does not let calls be recorded"):
            await call.record()


@pytest.mark.parametrize(("asked", "limit", "seconds"), [(0.3, 7200, 0.3), (None, 1, 1.0), (5, 1, 1.0)])
async def test_a_recording_ends_at_its_limit_and_the_call_goes_on(
    tmp_path: Path, asked: float | None, limit: int, seconds: float
) -> None:
    async with call_of(tmp_path, max_seconds=limit) as (alice, call, _):
        await call.record(max_seconds=asked)
        done = await ended(alice)
        assert call.state is CallState.IN_CALL
        assert not call.recording.is_running
    assert (done.reason, done.error, done.seconds) == ("limit", None, seconds)


async def test_a_full_disk_ends_the_recording_and_not_the_call(tmp_path: Path) -> None:
    async with call_of(tmp_path) as (alice, call, _):
        file = await call.record()
        with files_no_longer_than(40_044):
            done = await ended(alice)
        assert call.state is CallState.IN_CALL
    assert (done.file, done.reason, done.seconds, done.size) == (file, "disk_full", 1.25, 40_044)
    assert done.error == "the recording can't be written: File too large"
    assert len(read_recording(tmp_path / file)[1]) == 10_000


async def test_a_recording_whose_file_is_gone_ends_in_error(tmp_path: Path) -> None:
    async with call_of(tmp_path) as (alice, call, _):
        file = await call.record()
        (tmp_path / f"{file}.part").unlink()
        call.stop_recording()
        done = await ended(alice)
    assert (done.file, done.reason, done.seconds) == (file, "error", 0.0)
    assert done.error == "the recording can't be written: No such file or directory"


async def test_a_client_that_stops_finishes_its_recordings(tmp_path: Path) -> None:
    async with call_of(tmp_path) as (alice, call, _):
        file = await call.record()
        await asyncio.sleep(0)
    assert [event.file for event in alice.told if isinstance(event, RecordingEnded)] == [file]
    assert names_in(tmp_path) == [file]


# --- the thread ---


class Results:
    """What a recording told."""

    def __init__(self) -> None:
        self.stops = 0
        self.results: list[RecordingResult] = []
        self.done = asyncio.Event()

    def stopped(self) -> None:
        self.stops += 1

    def add(self, result: RecordingResult) -> None:
        self.results.append(result)
        self.done.set()


@asynccontextmanager
async def recorder_in(folder: Path) -> AsyncIterator[Recorder]:
    made = Recorder(RecordingSettings(folder=folder, min_free=0))
    made.start()
    yield made
    await made.close()


def recording_by(made: Recorder, told: Results, *, rate: int = 8000) -> Recording:
    return made.recording("x", started_at=0, rate=rate, max_seconds=None, on_stop=told.stopped, on_done=told.add)


@asynccontextmanager
async def a_busy_disk(made: Recorder) -> AsyncIterator[None]:
    """The thread waits for the disk all the while."""
    is_free = threading.Event()
    waiting = made.run(is_free.wait)
    try:
        yield
    finally:
        is_free.set()
        await waiting


async def test_sound_that_a_slow_disk_does_not_take_becomes_silence_and_is_counted(tmp_path: Path) -> None:
    told = Results()
    async with recorder_in(tmp_path) as made:
        recording = recording_by(made, told)
        await recording.open()
        async with a_busy_disk(made):
            for _ in range(15 * 50):  # seconds, in no time
                recording.said.write(b"\1\0" * 160, 8000)
                recording.tick(1)
        await made.run(int)  # until the disk has caught up
        for _ in range(50):
            recording.said.write(b"\2\0" * 160, 8000)
            recording.tick(1)
        recording.stop("stopped")
        await told.done.wait()
    (result,) = told.results
    _, _, right = read_recording(tmp_path / result.name)
    assert (result.missed_seconds, result.seconds, told.stops) == (5.0, 16.0, 1)
    assert [round(32768 * right[second * 8000 + 4000]) for second in range(16)] == [1] * 10 + [0] * 5 + [2]


async def test_a_disk_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "OPEN_TIMEOUT", 0.05)
    told = Results()
    async with recorder_in(tmp_path) as made:
        recording = recording_by(made, told)
        async with a_busy_disk(made):
            with pytest.raises(MediaError, match="the disk does not answer"):
                await recording.open()
            recording.tick(1)
    assert (told.stops, told.results, names_in(tmp_path)) == (1, [], [])


async def test_stopping_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder, "STOP_TIMEOUT", 0.05)
    told = Results()
    made = Recorder(RecordingSettings(folder=tmp_path, min_free=0))
    made.start()
    recording = recording_by(made, told)
    await recording.open()
    async with a_busy_disk(made):
        await made.close()
        assert "the disk has not taken 1 recordings yet" in caplog.text
        with pytest.raises(InvalidStateError, match="nothing is recorded here"):
            recording_by(made, told)
    await told.done.wait()


async def test_only_so_many_are_made_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_RECORDINGS", 2)
    told = Results()
    async with recorder_in(tmp_path) as made:
        first, second = recording_by(made, told), recording_by(made, told)
        with pytest.raises(InvalidStateError, match="2 calls are being recorded already"):
            recording_by(made, told)
        assert [await each.open() for each in (first, second)] == [
            "19700101T000000Z_x.wav",
            "19700101T000000Z_x-2.wav",
        ]


async def test_a_recording_that_is_cancelled_while_it_begins_leaves_nothing(tmp_path: Path) -> None:
    told = Results()
    async with recorder_in(tmp_path) as made, a_busy_disk(made):
        opening = asyncio.create_task(recording_by(made, told).open())
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
    assert (opening.cancelled(), told.stops, told.results, names_in(tmp_path)) == (True, 1, [], [])


async def test_a_call_that_ends_while_its_recording_begins_has_one_all_the_same(tmp_path: Path) -> None:
    told = Results()
    async with recorder_in(tmp_path) as made:
        async with a_busy_disk(made):
            recording = recording_by(made, told)
            opening = asyncio.create_task(recording.open())
            await asyncio.sleep(0)
            recording.tick(1)
            recording.stop("call_ended")
        name = await opening
        await told.done.wait()
    assert [(each.name, each.seconds, each.reason) for each in told.results] == [(name, 0.02, "call_ended")]


async def test_the_folder_is_put_in_order_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    async with recorder_in(tmp_path / "file" / "x") as made:
        await made.run(int)
    assert "x can't be kept in order: [Errno 20] Not a directory" in caplog.text
