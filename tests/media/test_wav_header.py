"""Headers of WAV files that grow."""

import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import MediaError
from sip_bridge.media.wav_header import HEADER_BYTES, MAX_SOUND_BYTES, WAVHeader

HEADERS = st.builds(
    WAVHeader,
    rate=st.integers(1, 384000),
    channels=st.integers(1, 8),
    sound_bytes=st.integers(0, MAX_SOUND_BYTES),
)


@given(HEADERS)
def test_a_header_is_read_as_it_was_written(header: WAVHeader) -> None:
    assert WAVHeader.parse(header.format() + b"sound") == header
    assert len(header.format()) == HEADER_BYTES


def test_others_read_it_too() -> None:
    sound = bytes(range(200)) * 4
    header = WAVHeader(rate=16000, channels=2, sound_bytes=len(sound))
    with wave.open(io.BytesIO(header.format() + sound)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 2, 2)
        assert file.readframes(10000) == sound
    assert (header.block_bytes, header.seconds) == (4, 200 / 16000)


def test_more_than_32_bits_can_say_is_refused() -> None:
    with pytest.raises(MediaError, match="4 GiB"):
        WAVHeader(rate=8000, channels=2, sound_bytes=MAX_SOUND_BYTES + 1).format()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(43),
        bytes(44),
        b"\xff" * 44,
        b"RIFX" + WAVHeader(rate=8000, channels=2).format()[4:],
        WAVHeader(rate=0, channels=2).format(),
        WAVHeader(rate=8000, channels=0).format(),
    ],
)
def test_another_file_is_no_header(data: bytes) -> None:
    assert WAVHeader.parse(data) is None


@given(st.binary(min_size=44, max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    assert WAVHeader.parse(data) is None
