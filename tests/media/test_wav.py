"""WAV files of every kind that a telephone meets, and those that are none."""

import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import MediaError
from sip_bridge.media.g711 import encode_alaw, encode_ulaw
from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.media.wav import WAVReader

RAMP = pcm_of(array("h", range(-8000, 8000, 100)))


def decode_wav(data: bytes, step: int = 1 << 20) -> bytes:
    """The whole sound, from pieces of ``step`` bytes."""
    reader = WAVReader()
    pcm = b"".join(reader.feed(data[at : at + step]) for at in range(0, len(data), step))
    reader.finish()
    return pcm


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def form(tag: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16) -> bytes:
    size = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * size, size, bits))


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_linear_samples_at_8_khz_are_taken_as_they_are() -> None:
    assert decode_wav(wav(form(), chunk(b"data", RAMP))) == RAMP


def test_eight_bit_samples_are_unsigned() -> None:
    assert decode_wav(wav(form(bits=8), chunk(b"data", bytes((0, 128, 255))))) == pcm_of(array("h", [-32768, 0, 32512]))


def test_g711_is_decoded() -> None:
    for tag, encode in ((6, encode_alaw), (7, encode_ulaw)):
        heard = samples_of(decode_wav(wav(form(tag, bits=8), chunk(b"data", encode(RAMP)))))
        assert max(abs(a - b) for a, b in zip(heard, samples_of(RAMP), strict=True)) <= 256


def test_samples_of_24_and_32_bits_keep_their_upper_16() -> None:
    data = struct.pack("<3i", -(1 << 31), 1 << 30, 12345 << 16)
    pcm = pcm_of(array("h", [-32768, 16384, 12345]))
    assert decode_wav(wav(form(bits=32), chunk(b"data", data))) == pcm
    assert decode_wav(wav(form(bits=24), chunk(b"data", data[1:4] + data[5:8] + data[9:]))) == pcm


def test_floating_point_is_clipped_and_what_is_no_number_too() -> None:
    values = (0.0, 0.5, -1.0, 7.0, float("-inf"), float("nan"))
    for code, bits in (("f", 32), ("d", 64)):
        heard = decode_wav(wav(form(3, bits=bits), chunk(b"data", struct.pack(f"<6{code}", *values))))
        assert list(samples_of(heard)) == [0, 16383, -32767, 32767, -32767, 32767]


def test_channels_are_mixed_to_their_mean() -> None:
    stereo = pcm_of(array("h", [100, 300, -100, -300, 7]))  # half a frame at the end
    assert decode_wav(wav(form(channels=2), chunk(b"data", stereo))) == pcm_of(array("h", [200, -200]))


def test_other_chunks_are_passed_over_and_the_first_of_a_name_counts() -> None:
    data = wav(chunk(b"LIST", b"odd"), form(), chunk(b"fact", b"1234"), chunk(b"data", RAMP), chunk(b"data", b"xx"))
    assert decode_wav(data) == RAMP


def test_a_stream_that_does_not_know_its_length_is_taken_to_its_end() -> None:
    assert decode_wav(wav(form(), b"data\xff\xff\xff\xff" + RAMP)) == RAMP


def test_a_stream_that_says_zero_for_its_length_is_taken_to_its_end() -> None:
    endless = b"RIFF\xff\xff\xff\xffWAVE" + form() + b"data\0\0\0\0" + RAMP
    assert decode_wav(endless) == RAMP


@pytest.mark.parametrize("step", [1, 3, 7, 64])
def test_a_file_may_come_in_pieces_of_any_length(step: int) -> None:
    stereo = chunk(b"data", bytes(range(250)))
    data = wav(chunk(b"LIST", b"oddly"), form(channels=2, bits=24), stereo, chunk(b"LIST", b"not sound"))
    assert decode_wav(data, step) == decode_wav(data)
    assert len(decode_wav(data)) == 250 // 6 * 2


def test_what_follows_the_sound_is_not_heard() -> None:
    reader = WAVReader()
    assert reader.feed(wav(form(rate=22050), chunk(b"data", RAMP), chunk(b"LIST", b"tags"))) == RAMP
    assert (reader.rate, reader.is_over, reader.feed(RAMP)) == (22050, True, b"")


def test_the_real_format_of_an_extensible_file_stands_further_on() -> None:
    plain = form(0xFFFE)[8:]
    extended = chunk(b"fmt ", plain + struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14))
    assert decode_wav(wav(extended, chunk(b"data", RAMP))) == RAMP


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a WAV file"),
        (b"ID3\x04 this is an MP3", "not a WAV file"),
        (b"RIFF\0\0\0\0AVI LIST", "not a WAV file"),
        (wav(chunk(b"data", RAMP)), "without format or sound"),
        (wav(chunk(b"fmt ", b"short"), chunk(b"data", RAMP)), "without format or sound"),
        (wav(form()), "without format or sound"),
        (wav(form(channels=0), chunk(b"data", RAMP)), "with 0 channels at 8000 Hz"),
        (wav(form(channels=9), chunk(b"data", RAMP)), "with 9 channels at 8000 Hz"),
        (wav(form(rate=0), chunk(b"data", RAMP)), "with 1 channels at 0 Hz"),
        (wav(form(2, bits=4), chunk(b"data", RAMP)), "of format 2 with 4 bits"),
        (wav(chunk(b"fmt ", bytes(5000)), chunk(b"data", RAMP)), "without format or sound"),
        (b"RI", "not a WAV file"),
        (b"RIFF", "not a WAV file"),
        (wav(form(0xFFFE), chunk(b"data", RAMP)), "of format 65534 with 16 bits"),
        (wav(*[chunk(b"junk", b"")] * 1001, form(), chunk(b"data", RAMP)), "without format or sound"),
    ],
)
def test_what_can_not_be_played_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        decode_wav(data)


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with pytest.raises(MediaError):
        decode_wav(wav(data))


def test_no_sound_stays_no_sound() -> None:
    assert decode_wav(wav(form(rate=44100), chunk(b"data", b""))) == b""
