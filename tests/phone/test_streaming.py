"""Sounds that a thread fetches and decodes: every kind of file, every way in which a server can fail."""

import asyncio
import os
import ssl
import threading
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import cos, pi
from pathlib import Path

import pytest

from sip_bridge.errors import MediaError
from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.phone import decoding, fetching, streaming
from sip_bridge.phone.decoding import Piece
from sip_bridge.phone.fetching import Download, LocalFile, SoundFile
from sip_bridge.phone.streaming import SoundStream, frames_of
from tests.phone.certificates import Authority
from tests.phone.peer import until
from tests.phone.sound_files import KINDS, encoded, pictures, sine, wav
from tests.phone.sound_server import (
    Answer,
    body,
    chunked,
    cut,
    endless,
    head,
    ranged,
    redirect,
    serving,
    silent,
    slow,
)

BELL = wav(sine(440, 8000, 1.0), 8000)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Neither a thread nor a descriptor outlives its sound."""
    before = descriptors()
    yield
    await until(lambda: not [each for each in threading.enumerate() if each.name == "sound"])
    await until(lambda: descriptors() <= before)


@asynccontextmanager
async def started(make: Callable[[], SoundFile], *, rate: int = 8000, loop: bool = False) -> AsyncIterator[SoundStream]:
    stream = SoundStream(make, rate=rate, loop=loop)
    try:
        await stream.start()
        yield stream
    finally:
        stream.stop()


async def next_frame(stream: SoundStream, rate: int = 8000) -> bytes | None:
    """The next frame that is not silence for want of sound."""
    async with asyncio.timeout(10):
        while True:
            before = stream.underruns
            frame = stream.read(rate)
            if stream.underruns == before:
                return frame
            await asyncio.sleep(0.001)


async def heard(stream: SoundStream, rate: int = 8000, *, frames: int = 10**6) -> "array[int]":
    """All that there is to hear, or the first frames of it."""
    sound = b""
    for _ in range(frames):
        frame = await next_frame(stream, rate)
        if frame is None:
            break
        sound += frame
    return samples_of(sound)


def file_of(path: Path, data: bytes) -> Callable[[], SoundFile]:
    path.write_bytes(data)
    return lambda: LocalFile(path)


def share(samples: "array[int]", frequency: float, rate: int) -> float:
    """How much of the power is in one frequency (Goertzel), 0 to 1."""
    coefficient = 2 * cos(2 * pi * frequency / rate)
    s1 = s2 = 0.0
    for sample in samples:
        s1, s2 = sample + coefficient * s1 - s2, s1
    total = sum(sample * sample for sample in samples) or 1
    return 2 * (s1 * s1 + s2 * s2 - coefficient * s1 * s2) / (len(samples) * total)


# --- what can be played ---


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_of_every_kind_is_decoded_to_the_rate_of_the_call(kind: str, rate: int, tmp_path: Path) -> None:
    async with started(file_of(tmp_path / "sound", encoded(kind)), rate=rate) as stream:
        sound = await heard(stream, rate)
    assert len(sound) / rate == pytest.approx(1.0, abs=0.08)  # some codecs fill their last frame
    assert share(sound[rate // 4 : rate // 4 * 3], 440, rate) > 0.98
    assert stream.error is None


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_comes_over_http_piece_by_piece(kind: str) -> None:
    async with serving({"/sound": chunked(encoded(kind))} | {"/m4a": ranged(encoded("m4a"))}) as server:
        path = "/m4a" if kind == "m4a" else "/sound"
        async with started(lambda: Download(server.url(path))) as stream:
            sound = await heard(stream)
    assert share(sound[2000:6000], 440, 8000) > 0.98
    assert stream.error is None


async def test_an_m4a_from_a_server_that_gives_no_parts_says_what_it_is() -> None:
    # Longer than what FFmpeg reads at a time, within which it can go back without the server.
    async with serving({"/sound": body(encoded("m4a", seconds=8.0), "audio/mp4")}) as server:
        with pytest.raises(MediaError, match="M4A that can't be decoded"):
            async with started(lambda: Download(server.url("/sound"))):
                pass


@pytest.mark.parametrize("file_rate", [8000, 11025, 16000, 44100, 48000])
async def test_a_wav_file_of_any_rate_keeps_its_pitch(file_rate: int, tmp_path: Path) -> None:
    async with started(file_of(tmp_path / "a.wav", wav(sine(440, file_rate, 0.5), file_rate))) as stream:
        sound = await heard(stream)
    assert len(sound) / 8000 == pytest.approx(0.5, abs=0.03)
    assert share(sound[400:3600], 440, 8000) > 0.99


async def test_a_wav_file_of_the_calls_rate_is_taken_sample_by_sample(tmp_path: Path) -> None:
    samples = array("h", range(1, 241))
    async with started(file_of(tmp_path / "a.wav", wav(samples, 8000))) as stream:
        assert await heard(stream) == samples + array("h", [0] * 80)


async def test_a_short_loop_has_no_seam_and_is_fetched_once() -> None:
    samples = array("h", range(1, 401))
    async with (
        serving({"/a.wav": body(wav(samples, 8000))}) as server,
        started(lambda: Download(server.url("/a.wav")), loop=True) as stream,
    ):
        assert await heard(stream, frames=50) == (samples * 20)[:8000]
    assert len(server.heads) == 1


async def test_a_long_loop_is_read_again_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LOOP_BYTES", 100)
    samples = array("h", range(1, 401))
    async with started(file_of(tmp_path / "a.wav", wav(samples, 8000)), loop=True) as stream:
        assert await heard(stream, frames=50) == (samples * 20)[:8000]


async def test_the_rate_may_change_in_the_middle_and_back() -> None:
    """Some 150 frames may be made at the former rate when it changes."""
    sound = wav(sine(440, 8000, 13.0), 8000)
    async with (
        serving({"/a.wav": body(sound)}) as server,
        started(lambda: Download(server.url("/a.wav"))) as stream,
    ):
        parts = [(rate, await heard(stream, rate, frames=200)) for rate in (8000, 16000, 8000)]
    assert [len(part) for _, part in parts] == [200 * 160, 200 * 320, 200 * 160]
    assert min(share(part[-rate // 4 :], 440, rate) for rate, part in parts) > 0.99


def test_pieces_of_several_rates_become_frames_of_one() -> None:
    pieces: list[Piece] = [(pcm_of(sine(440, rate, 0.5)), rate) for rate in (8000, 16000, 48000, 16000)]
    frames = list(frames_of(iter(pieces), lambda: 16000))
    assert {(len(frame), rate) for frame, rate in frames} == {(640, 16000)}
    sound = samples_of(b"".join(frame for frame, _ in frames))
    assert len(sound) / 16000 == pytest.approx(2.0, abs=0.05)
    assert share(sound[17000:23500], 440, 16000) > 0.98


# --- a little ahead, and no more ---


async def test_a_live_stream_starts_at_once_and_is_not_read_ahead() -> None:
    taken = [0]
    async with (
        serving({"/live": endless(wav(array("h"), 44100, size=0xFFFFFFFF), taken=taken)}) as server,
        started(lambda: Download(server.url("/live"))) as stream,
    ):
        await until(lambda: len(stream._frames) == 100)
        await heard(stream, frames=25)
        assert taken[0] < 16 << 20  # what the kernel's buffers take
    await until(lambda: server.open == 0)


async def test_what_comes_too_late_is_silence_and_then_goes_on() -> None:
    go_on = asyncio.Event()
    first, rest = BELL[: 44 + 8160], BELL[44 + 8160 :]
    async with (
        serving({"/a.wav": slow(head(Content_Length=len(BELL)) + first, go_on, rest)}) as server,
        started(lambda: Download(server.url("/a.wav"))) as stream,
    ):
        before = await heard(stream, frames=25)
        await until(lambda: not stream._frames)
        assert (stream.read(8000), stream.read(16000), stream.underruns > 0) == (bytes(320), bytes(640), True)
        stream.read(8000)
        go_on.set()
        after = await heard(stream)
    assert before + after == samples_of(BELL[44:])
    assert stream.error is None


# --- what goes wrong ---

HTML = b"<!doctype html><html><body>Log in</body></html>" * 30


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (body(b"", status="404 Not Found"), "the server answers 404 Not Found"),
        (body(b"", status="599 What"), "the server answers 599$"),
        (body(HTML, "text/html; charset=utf-8"), "text, not a sound"),
        (body(b"\xfe" * 3000, "text/plain"), "the server says that it is text"),
        (body(b"#EXTM3U\nhttp://127.0.0.1:1/a.mp3\n", "audio/x-mpegurl"), "text, not a sound"),
        (body(bytes(3 << 20), "audio/mpeg"), "not a sound that can be played|no sound in it"),
        (body(b""), "empty"),
        (body(encoded("mp3")[:400], "audio/mpeg"), "no sound in it|can't be decoded"),
        (body(pictures()), "no sound in it"),
        (body(wav(array("h"), 8000)), "no sound in it"),
        (body(b"RIFF\0\0\0\0WAVE" + bytes(20)), "without format or sound"),
        (cut(b"", claimed=3 << 30), "longer than 1024 MiB"),
        (redirect("/loop"), "moved it more than 5 times"),
        (redirect("file:///etc/passwd"), "moved it to no http URL"),
        (redirect("http://[::1"), "moved it to no http URL"),
        (redirect(""), "moved it more than 5 times"),
        (silent(b"SSH-2.0-OpenSSH_9\r\n"), "does not speak HTTP"),
        (cut(b"abc", claimed=10), "cut in the middle"),
        (silent(head(Content_Encoding="gzip", Content_Length=5)), "sends it compressed"),
    ],
)
async def test_what_a_server_may_send_instead_of_sound_is_named(answer: Answer, reason: str) -> None:
    async with serving({"/loop": answer}) as server:
        with pytest.raises(MediaError, match=reason):
            async with started(lambda: Download(server.url("/loop?authSig=s3cret", userinfo="ann:pass@"))):
                pass
    await until(lambda: server.open == 0)


@pytest.mark.parametrize("kind", ["mp3", "ogg opus", "wav"])
@pytest.mark.parametrize("is_chunked", [True, False])
async def test_a_sound_that_is_cut_off_plays_as_far_as_it_came(kind: str, is_chunked: bool) -> None:
    whole = wav(sine(440, 8000, 2.0), 8000) if kind == "wav" else encoded(kind, seconds=2.0)
    half = whole[: len(whole) // 2]
    answer = chunked(half, end=b"") if is_chunked else cut(half, claimed=len(whole))
    async with (
        serving({"/sound": answer}) as server,
        started(lambda: Download(server.url("/sound"))) as stream,
    ):
        sound = await heard(stream)
    assert 0.8 < len(sound) / 8000 < 1.1
    assert stream.error == "the connection was cut in the middle"


async def test_too_much_of_a_download_ends_in_an_error_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 1 << 20)
    taken = [0]
    async with (
        serving({"/long": endless(wav(array("h"), 384000, size=0xFFFFFFFF), taken=taken)}) as server,
        started(lambda: Download(server.url("/long"))) as stream,
    ):
        await heard(stream)
    assert stream.error == "longer than 1 MiB"


async def test_no_sound_in_much_of_a_file_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_LEAD_BYTES", 1 << 20)
    cover = b"ID3\x04\x00\x00" + bytes((15, 127, 127, 127))  # claims 32 MiB of tags
    async with serving({"/cover": endless(cover)}) as server:
        with pytest.raises(MediaError, match="no sound in its first 1 MiB"):
            async with started(lambda: Download(server.url("/cover"))):
                pass


async def test_hours_of_sound_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_MAX_FRAMES", 20)
    async with started(file_of(tmp_path / "a.wav", BELL)) as stream:
        assert len(await heard(stream)) == 20 * 160
    assert stream.error == "longer than 12 hours"


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "READ_TIMEOUT", 0.1)
    async with serving({"/": silent()}) as server:
        with pytest.raises(MediaError, match="does not answer in time"):
            async with started(lambda: Download(server.url("/"))):
                pass


async def test_a_server_that_dawdles_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "START_LIMIT", 0.1)
    async with serving({"/": silent(b"HTTP/1.1 200 OK\r\nX-Wait: ")}) as server:
        with pytest.raises(MediaError, match="nothing to hear within 0 seconds"):
            async with started(lambda: Download(server.url("/"))):
                pass
        await until(lambda: server.open == 0)


@pytest.mark.parametrize(
    "answer", [silent(), silent(head(Content_Length=10**6)), endless(wav(array("h"), 8000, size=0xFFFFFFFF))]
)
async def test_stopping_ends_the_thread_and_the_connection_at_once(answer: Answer) -> None:
    async with serving({"/": answer}) as server:
        stream = SoundStream(lambda: Download(server.url("/")), rate=8000)
        starting = asyncio.create_task(stream.start())
        await until(lambda: server.open == 1)
        stream.stop()
        async with asyncio.timeout(1):
            await asyncio.wait([starting])
            await until(lambda: server.open == 0)
        assert (starting.exception() is None) or "stopped" in str(starting.exception())


async def test_a_request_that_is_cancelled_stops_its_sound() -> None:
    async with serving({"/": silent()}) as server:
        starting = asyncio.create_task(SoundStream(lambda: Download(server.url("/")), rate=8000).start())
        await until(lambda: server.open == 1)
        starting.cancel()
        async with asyncio.timeout(1):
            await until(lambda: server.open == 0)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/a.wav", "Connection refused"),
        ("http://no-such-host.invalid/a.wav", "the name of the server is not known"),
        ("http://", "not a URL that can be fetched"),
        ("http://h:99999/", "not a URL that can be fetched"),
        ("http://[::1/", "not a URL that can be fetched"),
        ("http://" + "ä" * 80 + "/", "not a URL that can be fetched|the name of the server is not known"),
    ],
)
async def test_what_can_not_be_reached_is_named(url: str, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        async with started(lambda: Download(url)):
            pass


# --- requests ---


async def test_redirections_are_followed_and_take_no_password_elsewhere() -> None:
    async with serving({"/bell.wav": body(BELL)}) as other:
        answers = {"/a": redirect("b%20c?x=1"), "/b%20c": redirect(other.url("/bell.wav"), "307 Temporary Redirect")}
        async with (
            serving(answers) as server,
            started(lambda: Download(server.url("/a", userinfo="ann:p%40ss@"))) as stream,
        ):
            assert await heard(stream) == samples_of(BELL[44:])
    assert ["Authorization: Basic YW5uOnBAc3M=" in each for each in server.heads] == [True, True]
    assert ["Authorization" in each for each in other.heads] == [False]
    assert "Cookie" not in "".join(server.heads + other.heads)


async def test_spaces_and_umlauts_in_a_url_are_written_as_the_server_expects() -> None:
    async with (
        serving({"/t%C3%BCr%20auf.wav": body(BELL)}) as server,
        started(lambda: Download(server.url("/tür auf.wav?sig=a b#part"))),
    ):
        assert server.heads[0].startswith("GET /t%C3%BCr%20auf.wav?sig=a%20b HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{server.port}\r\n" in server.heads[0]


async def test_a_file_that_makes_a_player_jump_too_often_is_given_up() -> None:
    async with serving({"/": ranged(BELL)}) as server:
        download = Download(server.url("/"))

        def jump() -> None:
            download.open()
            for at in range(20):
                download.seek(-1 - at, os.SEEK_END)
                download.read(1)

        try:
            with pytest.raises(MediaError, match="jump back and forth"):
                await asyncio.to_thread(jump)
        finally:
            download.close()
    assert len(server.heads) == 1 + fetching.MAX_SEEKS


async def test_parts_of_a_download_are_those_that_were_asked_for() -> None:
    async with serving({"/": ranged(BELL)}) as server:
        download = Download(server.url("/"))

        def parts() -> list[bytes]:
            download.open()
            found = []
            for offset, whence in ((100, os.SEEK_SET), (-1, os.SEEK_CUR), (-3, os.SEEK_END), (0, os.SEEK_END), (5, 0)):
                download.seek(offset, whence)
                found.append(download.read(4))
            return found

        assert await asyncio.to_thread(parts) == [BELL[100:104], BELL[103:107], BELL[-3:], b"", BELL[5:9]]
        assert download.tell() == 9
        download.close()


# --- TLS ---


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> ssl.SSLContext:
    issued = authority.issue("home", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    return context


async def test_a_server_with_a_certificate_is_believed(authority: Authority, tls: ssl.SSLContext) -> None:
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    async with (
        serving({"/bell.wav": body(BELL)}, tls=tls) as server,
        started(lambda: Download(server.url("/bell.wav"), context=trusting)) as stream,
    ):
        assert await heard(stream) == samples_of(BELL[44:])


async def test_a_server_without_a_certificate_that_we_know_is_not(tls: ssl.SSLContext) -> None:
    async with serving({"/bell.wav": body(BELL)}, tls=tls) as server:
        with pytest.raises(MediaError, match="the server's certificate can't be trusted"):
            async with started(lambda: Download(server.url("/bell.wav"))):
                pass
    assert server.heads == []


async def test_a_server_that_speaks_no_tls_is_named() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("400 Bad Request"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(MediaError, match="no TLS with the server"):
            async with started(lambda: Download(f"https://127.0.0.1:{port}/")):
                pass


# --- files ---


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.wav", "No such file or directory"),
        ("", "Is a directory"),
        ("pipe.wav", "not a file"),
        ("nul\0.wav", "not a path"),
        ("text.txt", "text, not a sound"),
        ("noise.mp3", "not a sound that can be played"),
    ],
)
async def test_a_file_that_can_not_be_played_is_named(name: str, reason: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "text.txt").write_text("root:x:0:0\n")
    (tmp_path / "noise.mp3").write_bytes(b"\xfe\x01" * 3000)
    with pytest.raises(MediaError, match=reason) as caught:
        async with started(lambda: LocalFile(tmp_path / name)):
            pass
    assert "root" not in str(caught.value)


async def test_a_file_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 1 << 20)
    with pytest.raises(MediaError, match="longer than 1 MiB"):
        async with started(file_of(tmp_path / "long.wav", BELL + bytes(1 << 20))):
            pass


async def test_without_the_extra_wav_plays_and_the_rest_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mp3, bell = file_of(tmp_path / "a.mp3", encoded("mp3")), file_of(tmp_path / "bell.wav", BELL)
    other = file_of(tmp_path / "other", b"\xfe" * 3000)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    async with started(bell) as stream:
        assert await heard(stream) == samples_of(BELL[44:])
    with pytest.raises(MediaError, match=r"MP3 needs sip-bridge\[audio\]"):
        async with started(mp3):
            pass
    with pytest.raises(MediaError, match=r"not a WAV file; another kind of sound would need sip-bridge\[audio\]"):
        async with started(other):
            pass


async def test_a_radio_stream_that_begins_in_the_middle_is_told_by_what_the_server_says() -> None:
    middle = encoded("mp3", seconds=3.0)[7001:]
    async with (
        serving({"/radio": body(middle, "audio/mpeg")}) as server,
        started(lambda: Download(server.url("/radio"))) as stream,
    ):
        sound = await heard(stream)
    assert share(sound[4000:12000], 440, 8000) > 0.9
