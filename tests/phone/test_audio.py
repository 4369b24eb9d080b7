"""Files to PCM, and clips to frames."""

import os
from array import array
from pathlib import Path

import pytest

from sip_bridge.errors import MediaError
from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.phone import audio
from sip_bridge.phone.audio import Clip, load
from tests.phone.peer import write_wav

SILENCE = bytes(320)
SOUND = pcm_of(array("h", range(1, 241)))  # one frame and a half


def test_a_clip_is_read_frame_by_frame_the_last_one_filled_up() -> None:
    clip = Clip(SOUND)
    assert [clip.read(8000) for _ in range(4)] == [SOUND[:320], SOUND[320:] + bytes(160), None, None]


def test_a_clip_settles_first() -> None:
    clip = Clip(SOUND, settle=2)
    assert [clip.read(8000) for _ in range(3)] == [SILENCE, SILENCE, SOUND[:320]]


def test_a_loop_has_no_end_and_settles_once() -> None:
    clip = Clip(SOUND, settle=1, loop=True)
    frames = [clip.read(8000) for _ in range(7)]
    assert frames == [SILENCE, *[SOUND[:320], SOUND[320:] + bytes(160)] * 3]


def test_a_clip_follows_the_rate_that_is_asked_for() -> None:
    clip = Clip(pcm_of(array("h", [1000] * 1600)))
    assert [len(clip.read(rate) or b"") for rate in (8000, 16000, 16000, 8000, 16000)] == [320, 640, 640, 320, 640]
    assert samples_of(clip.read(16000) or b"")[100:] == array("h", [1000] * 220)


async def test_a_file_is_loaded_by_path_and_by_url(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a bell.wav", [1000, -1000])
    assert await load(str(path)) == pcm_of(array("h", [1000, -1000]))
    assert await load(path.as_uri()) == pcm_of(array("h", [1000, -1000]))


async def test_a_file_is_made_softer(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "bell.wav", [1000, -1000])
    assert await load(str(path), volume=0.25) == pcm_of(array("h", [250, -250]))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("none.wav", "none.wav: No such file or directory"),
        (".", r"\.: Is a directory"),
        ("text.txt", "text.txt: not a WAV file"),
        ("empty.wav", "empty.wav: no sound in it"),
        ("nul\0.wav", "embedded null byte"),
        ("http://192.0.2.1/a.wav", "http://192.0.2.1/a.wav: only files can be played"),
    ],
)
async def test_what_can_not_be_played_is_named(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("no sound")
    write_wav(tmp_path / "empty.wav", [])
    with pytest.raises(MediaError, match=reason):
        await load(source)


async def test_a_file_that_is_too_long_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_BYTES", 1 << 20)
    (tmp_path / "long.wav").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(MediaError, match=r"long\.wav: longer than 1 MiB"):
        await load(str(tmp_path / "long.wav"))


@pytest.mark.parametrize("volume", [-0.1, 1.1, float("nan")])
async def test_a_volume_out_of_bounds_is_refused(volume: float) -> None:
    with pytest.raises(MediaError, match="volume: expected"):
        await load("any.wav", volume=volume)


async def test_a_pipe_is_no_file_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(MediaError, match=r"pipe\.wav: not a file"):
        await load(str(tmp_path / "pipe.wav"))
