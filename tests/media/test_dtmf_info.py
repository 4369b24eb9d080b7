"""Key presses in the bodies of SIP INFO."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.dtmf import KEYS
from sip_bridge.media.dtmf_info import PLAIN, RELAY, InfoPress, parse_info


@given(st.sampled_from(KEYS), st.none() | st.integers(0, 99999))
def test_what_is_formatted_is_parsed(digit: str, duration_ms: int | None) -> None:
    press = InfoPress(digit=digit, duration_ms=duration_ms)
    assert parse_info(RELAY, press.body) == press


def test_a_press_is_written_as_devices_expect_it() -> None:
    assert InfoPress(digit="#", duration_ms=160).body == b"Signal=#\r\nDuration=160\r\n"
    assert InfoPress(digit="#").body == b"Signal=#\r\n"


@pytest.mark.parametrize(
    ("content", "press"),
    [
        (b"Signal=5\r\nDuration=160\r\n", InfoPress(digit="5", duration_ms=160)),
        (b"Signal= 5\r\nDuration= 160\r\n", InfoPress(digit="5", duration_ms=160)),
        (b"Signal: 5\nDuration: 160\n", InfoPress(digit="5", duration_ms=160)),
        (b"signal=a\nduration=250", InfoPress(digit="A", duration_ms=250)),
        (b"  SIGNAL \t= * \r\n", InfoPress(digit="*")),
        (b"Signal=#", InfoPress(digit="#")),
        (b'Signal="7"\r\n', InfoPress(digit="7")),
        (b"Signal=10\r\nDuration=100\r\n", InfoPress(digit="*", duration_ms=100)),
        (b"Signal=11\r\n", InfoPress(digit="#")),
        (b"Signal=12\r\n", InfoPress(digit="A")),
        (b"Duration=90\r\n\r\nSignal=3\r\nSignal=4\r\nVolume=10\r\n", InfoPress(digit="3", duration_ms=90)),
        (b"Signal=3\r\nDuration=#\r\n", InfoPress(digit="3")),
        (b"Signal=3\r\nDuration=160ms\r\n", InfoPress(digit="3")),
        (b"Signal=0\0\0", InfoPress(digit="0")),
    ],
)
def test_a_relay_is_read_however_it_is_spelt(content: bytes, press: InfoPress) -> None:
    assert parse_info(RELAY, content) == press


@pytest.mark.parametrize(
    ("content", "press"),
    [
        (b"5", InfoPress(digit="5")),
        (b" #\r\n", InfoPress(digit="#")),
        (b"d", InfoPress(digit="D")),
        (b"11\n", InfoPress(digit="#")),
        (b"Signal=8\r\nDuration=50\r\n", InfoPress(digit="8", duration_ms=50)),
    ],
)
def test_a_bare_key_is_read_too(content: bytes, press: InfoPress) -> None:
    assert parse_info(PLAIN, content) == press


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Signal=",
        b"Signal=16",  # flash
        b"Signal=!",
        b"Signal=55",
        b"Signal=123",
        b"Signal=#1",
        b"Signal=5 or 6",
        b"Duration=160",
        b"5",
        b"\xff\xfe",
        b"Signal=5\r\n" + b" " * 1024,
    ],
)
def test_what_is_no_key_is_none(content: bytes) -> None:
    assert parse_info(RELAY, content) is None


@pytest.mark.parametrize("content", [b"", b"x", b"55", b"16"])
def test_what_is_no_bare_key_is_none(content: bytes) -> None:
    assert parse_info(PLAIN, content) is None


def test_another_type_of_body_is_no_key() -> None:
    assert parse_info("text/plain", b"Signal=5\r\n") is None


@given(st.sampled_from([RELAY, PLAIN]), st.binary(max_size=100))
def test_garbage_is_a_key_or_none(content_type: str, content: bytes) -> None:
    press = parse_info(content_type, content)
    assert press is None or press.digit in KEYS
