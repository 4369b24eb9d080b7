"""Recordings on the disk: names, bounds, what a crash leaves, and disks that fail."""

import fcntl
import logging
import os
import re
import stat
import time
import wave
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import DiskFullError, MediaError
from sip_bridge.media.wav_header import WAVHeader
from sip_bridge.phone import recording_folder
from sip_bridge.phone.recording_folder import RecordedFile, RecordingFile, RecordingFolder, file_stem
from sip_bridge.phone.settings import RecordingSettings
from tests.phone.recordings import files_no_longer_than, names_in

SECOND = bytes(range(100)) * 320  # of stereo at 8 kHz
HEADER = WAVHeader(rate=8000, channels=2)
STEM = "20261123T035313Z_door"


def folder_at(path: Path, **settings: Any) -> RecordingFolder:
    return RecordingFolder(RecordingSettings(folder=path, **{"min_free": 0, **settings}))


def recorded(folder: RecordingFolder, stem: str = STEM, *, seconds: int = 1) -> RecordedFile | None:
    file = RecordingFile(folder, stem, rate=8000)
    file.open()
    write_seconds(file, seconds)
    return file.finish()


def write_seconds(file: RecordingFile, seconds: int) -> None:
    for second in range(seconds):
        file.write(second * len(SECOND), SECOND)


def sound_of(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 2)
        return file.readframes(file.getnframes())


# --- names ---


@pytest.mark.parametrize(
    ("label", "stem"),
    [
        ("door_incoming_200", "20261123T035313Z_door_incoming_200"),
        ("../../etc/passwd", "20261123T035313Z_etc_passwd"),
        ("..", "20261123T035313Z_call"),
        ("", "20261123T035313Z_call"),
        (".hidden\0\n\x1b[2J", "20261123T035313Z_hidden_2J"),
        ("Haustu\u0308r", "20261123T035313Z_Haust\u00fcr"),
        ("\udcff", "20261123T035313Z_call"),
        ("ä" * 100, "20261123T035313Z_" + "ä" * 48),
    ],
)
def test_a_name_says_when_and_who_and_nothing_else(label: str, stem: str) -> None:
    assert file_stem(label, 1795405993.9) == stem


@given(st.text(max_size=300), st.integers(0, 4102444800))
def test_no_label_leads_out_of_the_folder(label: str, at: int) -> None:
    stem = file_stem(label, at)
    assert re.fullmatch(r"\d{8}T\d{6}Z_[\w-]+", stem)
    assert len(stem.encode()) <= 120


def test_the_same_name_twice_is_numbered(tmp_path: Path) -> None:
    folder = folder_at(tmp_path)
    first = RecordingFile(folder, STEM, rate=8000)
    assert first.open() == f"{STEM}.wav"
    assert recorded(folder) == RecordedFile(name=f"{STEM}-2.wav", seconds=1.0, size=32044)
    first.finish()
    assert names_in(tmp_path) == [f"{STEM}-2.wav", f"{STEM}.wav"]


def test_a_name_that_was_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    file = RecordingFile(folder_at(tmp_path), STEM, rate=8000)
    file.open()
    (tmp_path / f"{STEM}.wav").write_text("somebody's")
    assert file.finish() == RecordedFile(name=f"{STEM}-2.wav", seconds=0.0, size=44)
    assert (tmp_path / f"{STEM}.wav").read_text() == "somebody's"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    for name in (f"{STEM}.wav.part", f"{STEM}-2.wav"):
        (tmp_path / "recordings" / name).symlink_to(tmp_path / "elsewhere")
    assert recorded(folder_at(tmp_path / "recordings")) == RecordedFile(name=f"{STEM}-3.wav", seconds=1.0, size=32044)
    assert not (tmp_path / "elsewhere").exists()


def test_no_more_than_a_thousand_are_called_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_folder, "_MAX_SAME", 3)
    folder = folder_at(tmp_path)
    recorded(folder)
    recorded(folder)
    with pytest.raises(MediaError, match="too many recordings of that name"):
        recorded(folder)


# --- a file ---


def test_a_file_is_a_whole_one_at_any_time_and_has_its_name_at_the_end(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "new" / "recordings")
    file = RecordingFile(folder, STEM, rate=8000)
    file.open()
    part = tmp_path / "new" / "recordings" / f"{STEM}.wav.part"
    assert sound_of(part) == b""
    file.write(0, SECOND)
    assert sound_of(part) == SECOND
    assert file.finish() == RecordedFile(name=f"{STEM}.wav", seconds=1.0, size=32044)
    assert names_in(part.parent) == [f"{STEM}.wav"]
    status = (part.parent / f"{STEM}.wav").stat()
    assert stat.S_IMODE(status.st_mode) & 0o137 == 0


def test_what_was_left_out_is_silence(tmp_path: Path) -> None:
    file = RecordingFile(folder_at(tmp_path), STEM, rate=8000)
    file.open()
    file.write(2 * len(SECOND), SECOND)
    file.finish()
    assert sound_of(tmp_path / f"{STEM}.wav") == bytes(2 * len(SECOND)) + SECOND


def test_what_was_left_out_at_the_end_is_silence_too(tmp_path: Path) -> None:
    file = RecordingFile(folder_at(tmp_path), STEM, rate=8000)
    file.open()
    file.write(0, SECOND)
    assert file.finish(3 * len(SECOND)) == RecordedFile(name=f"{STEM}.wav", seconds=3.0, size=96044)
    assert sound_of(tmp_path / f"{STEM}.wav") == SECOND + bytes(2 * len(SECOND))


def test_what_nobody_wants_is_gone(tmp_path: Path) -> None:
    file = RecordingFile(folder_at(tmp_path), STEM, rate=8000)
    file.open()
    file.discard()
    file.discard()
    file.write(0, SECOND)
    assert (file.finish(), names_in(tmp_path)) == (None, [])


@pytest.mark.parametrize("limit", [44 + 1001, 44 + len(SECOND) + 3])
def test_a_full_disk_keeps_what_was_written(tmp_path: Path, limit: int) -> None:
    file = RecordingFile(folder_at(tmp_path), STEM, rate=8000)
    file.open()
    with files_no_longer_than(limit), pytest.raises(DiskFullError, match="File too large"):
        write_seconds(file, 2)
    file.write(2 * len(SECOND), SECOND)  # what waited is not written after the gap
    finished = file.finish(3 * len(SECOND))
    kept = (limit - 44) // 4 * 4
    assert finished == RecordedFile(name=f"{STEM}.wav", seconds=kept / 32000, size=44 + kept)
    assert sound_of(tmp_path / f"{STEM}.wav") == (SECOND * 2)[:kept]


def test_too_little_free_space_ends_a_recording(tmp_path: Path) -> None:
    file = RecordingFile(folder_at(tmp_path), STEM, rate=8000)
    file.open()
    file.write(0, SECOND)
    file._folder = folder_at(tmp_path, min_free=1 << 60)
    with pytest.raises(DiskFullError, match="MiB of the disk are free"):
        file.write(len(SECOND), SECOND)
    assert file.finish() == RecordedFile(name=f"{STEM}.wav", seconds=1.0, size=32044)


def test_too_little_free_space_begins_none(tmp_path: Path) -> None:
    file = RecordingFile(folder_at(tmp_path, min_free=1 << 60), STEM, rate=8000)
    with pytest.raises(DiskFullError, match="MiB of the disk are free"):
        file.open()
    assert (file.finish(), names_in(tmp_path)) == (None, [])


def test_a_folder_that_can_not_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="can't be written: Not a directory"):
        RecordingFile(folder_at(tmp_path / "file" / "recordings"), STEM, rate=8000).open()


def test_a_disk_that_fails_at_the_begin_leaves_nothing(tmp_path: Path) -> None:
    file = RecordingFile(folder_at(tmp_path), STEM, rate=8000)
    with files_no_longer_than(10), pytest.raises(DiskFullError, match="File too large"):
        file.open()
    assert names_in(tmp_path) == []


def test_a_file_that_somebody_deletes_is_said_at_the_end(tmp_path: Path) -> None:
    file = RecordingFile(folder_at(tmp_path), STEM, rate=8000)
    file.open()
    (tmp_path / f"{STEM}.wav.part").unlink()
    file.write(0, SECOND)
    with pytest.raises(MediaError, match="No such file"):
        file.finish()


# --- bounds ---


def strangers_in(path: Path) -> list[str]:
    """What looks nearly like ours."""
    (path / f"{STEM}.wav").mkdir()
    (path / "20200101T000000Z_a.wav").symlink_to("/dev/null")
    for name in ("holiday.wav", "20200101_x.wav", "20200101T000000Z_a.wav.bak", ".20200101T000000Z_a.wav"):
        (path / name).write_bytes(bytes(5000))
        os.utime(path / name, (0, 0))
    return names_in(path)


def test_the_oldest_of_ours_make_room(tmp_path: Path) -> None:
    strangers = strangers_in(tmp_path)
    folder = folder_at(tmp_path, max_size=100_000)
    for day in range(1, 6):
        recorded(folder, f"2026110{day}T000000Z_door")
    folder.tidy()
    kept = [f"2026110{day}T000000Z_door.wav" for day in (3, 4, 5)]
    assert names_in(tmp_path) == sorted(strangers + kept)


def test_those_that_are_too_old_go(tmp_path: Path) -> None:
    strangers = strangers_in(tmp_path)
    folder = folder_at(tmp_path, keep_days=7)
    for age in (6, 8):
        finished = recorded(folder, f"2026110{age}T000000Z_door")
        assert finished is not None
        os.utime(tmp_path / finished.name, (0, time.time() - age * 86400))
    folder.tidy()
    assert names_in(tmp_path) == sorted([*strangers, "20261106T000000Z_door.wav"])


def test_recordings_that_go_on_are_not_deleted_but_end_when_they_fill_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_folder, "_TIDY_BYTES", len(SECOND))
    folder = folder_at(tmp_path, max_size=90_000)
    recorded(folder, "20261101T000000Z_door")
    file = RecordingFile(folder, STEM, rate=8000)
    file.open()
    with pytest.raises(DiskFullError, match="the recordings that go on need more than 0 MiB"):
        write_seconds(file, 5)
    assert file.finish() == RecordedFile(name=f"{STEM}.wav", seconds=4.0, size=4 * 32000 + 44)
    assert names_in(tmp_path) == [f"{STEM}.wav"]


def test_what_can_not_be_deleted_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_at(tmp_path, keep_days=1)
    recorded(folder)
    os.utime(tmp_path / f"{STEM}.wav", (0, 0))

    def refuse(_: Path) -> None:
        raise PermissionError(1, "Operation not permitted")  # root may do all that a test can set up

    monkeypatch.setattr(Path, "unlink", refuse)
    folder.tidy()
    assert f"the recording {STEM}.wav can't be deleted: Operation not permitted" in caplog.text


def test_a_folder_that_is_not_there_yet_is_in_order(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "none")
    folder.tidy()
    folder.recover()
    assert not (tmp_path / "none").exists()


# --- after a crash ---


def test_what_a_crash_left_is_finished(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    whole = HEADER.format() + SECOND + b"xyz"  # the header knows of nothing, half a sample stands at the end
    (tmp_path / f"{STEM}.wav.part").write_bytes(whole)
    (tmp_path / f"{STEM}-2.wav.part").write_bytes(HEADER.format() + b"xyz")
    (tmp_path / "20261101T000000Z_a.wav.part").write_bytes(b"power cut")
    (tmp_path / "20261101T000000Z_b.wav.part").symlink_to(tmp_path / f"{STEM}.wav.part")
    (tmp_path / "other.wav.part").write_bytes(whole)
    folder_at(tmp_path).recover()
    assert names_in(tmp_path) == ["20261101T000000Z_b.wav.part", f"{STEM}.wav", "other.wav.part"]
    assert sound_of(tmp_path / f"{STEM}.wav") == SECOND
    assert f"recovered the recording {STEM}.wav, 1 s" in caplog.text


def test_a_recording_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    folder = folder_at(tmp_path)
    file = RecordingFile(folder, STEM, rate=8000)
    file.open()
    file.write(0, SECOND)
    folder_at(tmp_path).recover()
    file.write(len(SECOND), SECOND)
    assert file.finish() == RecordedFile(name=f"{STEM}.wav", seconds=2.0, size=64044)


def test_a_file_system_without_locks_does_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / f"{STEM}.wav.part").write_bytes(HEADER.format() + SECOND)
    folder_at(tmp_path).recover()
    assert names_in(tmp_path) == [f"{STEM}.wav"]


def test_what_can_not_be_recovered_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: int, __: int, ___: int) -> bytes:
        raise OSError(5, "Input/output error")

    (tmp_path / f"{STEM}.wav.part").write_bytes(HEADER.format() + SECOND)
    monkeypatch.setattr(os, "pread", refuse)
    folder_at(tmp_path).recover()
    assert f"{STEM}.wav.part can't be recovered: Input/output error" in caplog.text
    assert names_in(tmp_path) == [f"{STEM}.wav.part"]
