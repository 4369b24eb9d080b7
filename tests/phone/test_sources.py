"""Which files, URLs and tones may be played, and what is shown of their names."""

from array import array
from pathlib import Path

import pytest

from sip_bridge.errors import MediaError, NotAllowedError
from sip_bridge.media.pcm import samples_of
from sip_bridge.media.tones import tone_of
from sip_bridge.phone.settings import MediaSettings
from sip_bridge.phone.sources import LiveSound, check_source, shown_source, sound_of
from sip_bridge.phone.streaming import SoundStream
from tests.phone.sound_files import wav

ANYTHING = MediaSettings()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("tone:busy@de/5", "tone:busy@de/5"),
        ("/media/a bell.wav", "/media/a bell.wav"),
        ("bell.wav", "bell.wav"),
        ("file:///media/bell.wav?x#y", "file:/media/bell.wav"),
        ("http://ha.local:8123/api/tts/a.mp3?authSig=s3cret#x", "http://ha.local:8123/api/tts/a.mp3"),
        ("https://ann:s3cret@ha.local/a.mp3", "https://ha.local/a.mp3"),
        ("https://ann:s3@cret@ha.local/a.mp3", "https://ha.local/a.mp3"),
        (" HTTP://ann:s3cret@[fd00::1]:80/a.mp3 ", "http://[fd00::1]:80/a.mp3"),
        ("//ann:s3cret@ha.local/a.mp3", "//ha.local/a.mp3"),
        ("ftp://ann:s3cret@ha.local/a.mp3", "ftp://ha.local/a.mp3"),
        ("http:ann:s3cret@ha.local/a.mp3", "http:..."),
        ("http://ann:s3cret@[::1/a.mp3", "http:..."),
        ("//ann:s3cret@[::1/a.mp3", "..."),
        ("/api/tts/a.mp3?authSig=s3cret", "/api/tts/a.mp3"),
        ("C:s3cret", "c:..."),
    ],
)
def test_what_is_shown_of_a_source_has_no_user_password_or_token(source: str, shown: str) -> None:
    assert shown_source(source) == shown


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("ftp://ann:s3cret@ha.local/a.mp3", "^ftp://ha.local/a.mp3: only files, tones, and http and https URLs"),
        ("media-source://tts/a?s3cret", "^media-source://tts/a: only files, tones"),
        ("file://other-host/a.wav", "^file://other-host/a.wav: only files, tones"),
        ("tone:moo", "^tone:moo: there is no tone 'moo'"),
        ("tone:busy@xx", "^tone:busy@xx: no tones of country"),
    ],
)
def test_what_can_never_be_played_is_refused_before_a_call_is_made(source: str, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        check_source(source, ANYTHING)


@pytest.mark.parametrize("source", ["http://ha.local/a.mp3", "HTTPS://ha.local/a.mp3", "any.wav", "file:///any.wav"])
def test_files_and_urls_are_streams(source: str) -> None:
    assert isinstance(sound_of(source, ANYTHING, rate=8000), SoundStream)


def test_a_tone_is_that_of_the_country_and_a_loop_of_it_has_no_end() -> None:
    german = sound_of("tone:busy/1", MediaSettings(country="de"), rate=8000, loop=True)
    assert isinstance(german, LiveSound)
    expected = tone_of("tone:busy@de")
    assert [german.read(8000) for _ in range(100)] == [expected.read(8000) for _ in range(100)]
    assert german.error is None


@pytest.fixture
def folders(tmp_path: Path) -> MediaSettings:
    """Two folders with a sound each, and beside them one that is nobody's business."""
    for name, sample in (("one/a.wav", 1), ("two/b.wav", 2), ("two/deep/c.wav", 3), ("secret.wav", 4)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(wav(array("h", [sample]), 8000))
    (tmp_path / "one/link.wav").symlink_to(tmp_path / "secret.wav")
    (tmp_path / "one/ring.wav").symlink_to(tmp_path / "one/ring.wav")
    return MediaSettings(folders=(tmp_path / "one", tmp_path / "two"))


async def played(source: str, settings: MediaSettings) -> int:
    """The first sample."""
    sound = sound_of(source, settings, rate=8000)
    await sound.start()
    return samples_of(sound.read(8000) or b"")[0]


async def test_files_in_the_folders_may_be_played(folders: MediaSettings, tmp_path: Path) -> None:
    sources = ("a.wav", "b.wav", "deep/c.wav", "deep/../b.wav", str(tmp_path / "two/b.wav"))
    assert [await played(source, folders) for source in sources] == [1, 2, 3, 2, 2]
    assert await played((tmp_path / "one/a.wav").as_uri(), folders) == 1
    assert await played(str(tmp_path / "secret.wav"), ANYTHING) == 4


@pytest.mark.parametrize("name", ["secret.wav", "no-such.wav", "two/../secret.wav", "one/link.wav"])
def test_no_other_file_may_be_played_whether_there_is_one_or_not(
    folders: MediaSettings, tmp_path: Path, name: str
) -> None:
    with pytest.raises(NotAllowedError, match=r"not in a folder of media\.folders"):
        check_source(str(tmp_path / name), folders)
    with pytest.raises(NotAllowedError, match=r"not in a folder of media\.folders"):
        check_source("../secret.wav", folders)


@pytest.mark.parametrize("name", ["nul\0.wav", "x" * 5000, "ring.wav"])
async def test_a_name_that_can_be_no_file_is_an_error_like_any_other(folders: MediaSettings, name: str) -> None:
    with pytest.raises(MediaError):
        await played(name, folders)
