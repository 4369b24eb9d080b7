"""G.711 against the recommendation's own numbers, and every sample against its nearest code."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.codec import CODECS, FRAME_MS
from sip_bridge.media.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from sip_bridge.media.pcm import pcm_of, samples_of

ALL_CODES = bytes(range(256))
EVERY_SAMPLE = pcm_of(array("h", range(-32768, 32768)))


def as_pcm(*samples: int) -> bytes:
    return pcm_of(array("h", samples))


def test_ulaw_has_the_values_of_the_recommendation() -> None:
    # G.711 table 2a: the decoder's outputs on the 14-bit scale, times 4.
    codes = bytes((0xFF, 0xFE, 0xF0, 0xEF, 0xDF, 0x80, 0x7E, 0x00))
    assert decode_ulaw(codes) == as_pcm(0, 8, 120, 132, 396, 32124, -8, -32124)


def test_alaw_has_the_values_of_the_recommendation() -> None:
    # G.711 table 1a: the decoder's outputs on the 13-bit scale, times 8.
    codes = bytes((0xD5, 0xD4, 0xC5, 0xF5, 0xAA, 0x55, 0x2A))
    assert decode_alaw(codes) == as_pcm(8, 24, 264, 528, 32256, -8, -32256)


def test_silence_is_the_code_of_zero() -> None:
    encoders = {name: CODECS[name].encoder(FRAME_MS, "") for name in ("PCMU", "PCMA")}
    assert {name: encoder.encode(as_pcm(0)) for name, encoder in encoders.items()} == {
        "PCMU": b"\xff",
        "PCMA": b"\xd5",
    }
    assert {name: encoder.silence(1) for name, encoder in encoders.items()} == {"PCMU": b"\xff", "PCMA": b"\xd5"}


def test_every_ulaw_code_survives_decoding_and_encoding_but_minus_zero() -> None:
    assert encode_ulaw(decode_ulaw(ALL_CODES)) == ALL_CODES.replace(b"\x7f", b"\xff")


def test_every_alaw_code_survives_decoding_and_encoding() -> None:
    assert encode_alaw(decode_alaw(ALL_CODES)) == ALL_CODES


@pytest.mark.parametrize(("name", "loudest"), [("PCMU", 32124), ("PCMA", 32256)])
def test_no_sample_is_further_from_its_code_than_half_a_step(name: str, loudest: int) -> None:
    """A step is a sixteenth of its segment, so at most a sixteenth of the sample; near silence, 16."""
    codec = CODECS[name]
    heard = samples_of(codec.decoder().decode(codec.encoder(FRAME_MS, "").encode(EVERY_SAMPLE)))
    errors = [abs(a - b) - abs(a) // 32 for a, b in zip(range(-32768, 32768), heard, strict=True)]
    assert max(errors) <= 8
    assert (max(heard), min(heard)) == (loudest, -loudest)


@given(st.binary(max_size=640))
def test_any_length_is_encoded_a_code_a_sample(data: bytes) -> None:
    assert (len(encode_ulaw(data)), len(encode_alaw(data))) == (len(data) // 2, len(data) // 2)
    assert (len(decode_ulaw(data)), len(decode_alaw(data))) == (2 * len(data), 2 * len(data))
