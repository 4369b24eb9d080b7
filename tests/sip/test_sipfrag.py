"""Fragments in NOTIFY (RFC 3420)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import LocalProtocolError
from sip_bridge.sip.sipfrag import CONTENT_TYPE, format_fragment, parse_fragment
from sip_bridge.sip.status import SIPStatus


def test_a_fragment_is_a_status_line_and_its_type_names_the_version() -> None:
    assert format_fragment(SIPStatus.RINGING) == b"SIP/2.0 180 Ringing\r\n"
    assert format_fragment(SIPStatus.OK, "Gr\u00fcezi") == "SIP/2.0 200 Gr\u00fcezi\r\n".encode()
    assert CONTENT_TYPE == "message/sipfrag;version=2.0"


@pytest.mark.parametrize("phrase", ["a\rb", "a\nb", "a\0b"])
def test_a_phrase_can_not_forge_a_line(phrase: str) -> None:
    with pytest.raises(LocalProtocolError):
        format_fragment(SIPStatus.OK, phrase)


@given(st.integers(100, 699), st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8")))
def test_what_is_formatted_is_parsed_back(code: int, phrase: str) -> None:
    assert parse_fragment(format_fragment(SIPStatus(code), phrase)) == code


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"SIP/2.0 200 OK", 200),
        (b"SIP/2.0 200 OK\nContact: <sip:a@b>\n\n", 200),
        (b"\r\nsip/2.0 603 Decline\r\n", 603),
        (b"SIP/2.0 180", 180),
        (b"SIP/2.0  486  Busy\r\n\r\nbody", 486),
        (b"", None),
        (b"From: <sip:a@b>\r\n", None),
        (b"INVITE sip:a@b SIP/2.0\r\n", None),
        (b"SIP/2.0 700 Never\r\n", None),
        (b"SIP/2.0 2000 Never\r\n", None),
        (b"SIP/3.0 200 OK\r\n", None),
        (b" " * 100_000 + b"SIP/2.0 200 OK", None),
    ],
)
def test_only_the_status_line_is_read_and_that_leniently(content: bytes, status: int | None) -> None:
    assert parse_fragment(content) == status


@given(st.binary(max_size=600))
def test_no_bytes_hurt(content: bytes) -> None:
    assert parse_fragment(content) in (None, *range(100, 700))
