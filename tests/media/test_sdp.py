"""Session descriptions: anything parses, and what is written is read again."""

from contextlib import suppress
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import NegotiationError
from sip_bridge.media.sdp import (
    MAX_BYTES,
    MAX_FORMATS,
    MAX_LINES,
    MAX_MEDIA,
    MAX_QUOTED,
    MediaDescription,
    SessionDescription,
)

DOOR_STATION = b"""v=0\r
o=door 3866 2 IN IP4 192.0.2.9\r
s=Front door\r
i=unknown lines are passed over\r
c=IN IP4 192.0.2.9/127\r
b=AS:64\r
t=0 0\r
a=sendonly\r
m=audio 5004/2 RTP/AVP 0 101\r
c=IN IP6 2001:db8::9\r
a=rtpmap:0 PCMU/8000\r
a=sendrecv\r
m=video 5006 RTP/AVP 99\r
"""

NUMBERS = st.integers(0, 10**20 - 1)
WORDS = st.text("abcXYZ019.-_/é", min_size=1, max_size=12)
TIMINGS = st.tuples(NUMBERS, NUMBERS).map(lambda pair: f"{pair[0]} {pair[1]}")
HOSTS = st.sampled_from(["192.0.2.1", "2001:db8::1", "host.example"])
ATTRIBUTES = st.lists(
    st.tuples(
        st.sampled_from(["rtpmap", "sendonly", "x-y"]), st.none() | st.text("ab: 0/", max_size=9).map(str.rstrip)
    ),
    max_size=5,
).map(tuple)
MEDIA = st.builds(
    MediaDescription,
    kind=WORDS,
    port=st.integers(0, 65535),
    protocol=WORDS,
    formats=st.lists(WORDS, min_size=1, max_size=5).map(tuple),
    host=st.none() | HOSTS,
    attributes=ATTRIBUTES,
)
DESCRIPTIONS = st.builds(
    SessionDescription,
    session_id=NUMBERS,
    version=NUMBERS,
    origin_host=HOSTS,
    host=st.none() | HOSTS,
    media=st.lists(MEDIA, max_size=4).map(tuple),
    username=WORDS,
    name=WORDS,
    timing=TIMINGS,
    attributes=ATTRIBUTES,
)
LINES = st.lists(
    st.tuples(st.sampled_from("vosctmabi= "), st.sampled_from("= :"), st.text(max_size=30)).map("".join)
    | st.sampled_from(["m=audio 9 RTP/AVP 0", "m=", "c=IN IP4 /1", "c=IN IP4 1.2.3.4", "o=- 1 1 IN IP4 h", "a=", "s="]),
    max_size=12,
)


@given(DESCRIPTIONS)
def test_formatting_and_parsing_are_inverse(description: SessionDescription) -> None:
    assert SessionDescription.parse(description.format()) == description


@given(LINES)
def test_what_was_read_is_written_so_that_the_same_is_read(lines: list[str]) -> None:
    description = SessionDescription.parse("\r\n".join(["v=0", *lines]).encode("utf-8", "replace"))
    assert SessionDescription.parse(description.format()) == description


@given(st.binary(max_size=200))
def test_any_bytes_behind_the_version_parse(data: bytes) -> None:
    assert SessionDescription.parse(b"v=0\r\n" + data).version >= 0


def test_a_description_is_read() -> None:
    description = SessionDescription.parse(DOOR_STATION)
    assert description == SessionDescription(
        username="door",
        session_id=3866,
        version=2,
        origin_host="192.0.2.9",
        name="Front door",
        host="192.0.2.9",
        attributes=(("sendonly", None),),
        media=(
            MediaDescription(
                kind="audio",
                port=5004,
                protocol="RTP/AVP",
                formats=("0", "101"),
                host="2001:db8::9",
                attributes=(("rtpmap", "0 PCMU/8000"), ("sendrecv", None)),
            ),
            MediaDescription(kind="video", port=5006, protocol="RTP/AVP", formats=("99",)),
        ),
    )
    assert (description.direction, description.media[0].direction, description.media[1].direction) == (
        "sendonly",
        "sendrecv",
        None,
    )
    assert description.media[0].values("rtpmap") == ["0 PCMU/8000"]
    assert description.media[0].values("sendrecv") == [""]


def test_nonsense_costs_only_its_own_line() -> None:
    mixed = b"v=0\nnothing\nlong=1\no=too short\nm=audio 99999999 RTP/AVP\nc=IN IP4\nm=\na=sendonly\n"
    assert SessionDescription.parse(mixed) == SessionDescription(
        session_id=0,
        version=0,
        origin_host="0.0.0.0",
        host=None,
        media=(
            MediaDescription(kind="audio", port=0, protocol="RTP/AVP", formats=("0",)),
            MediaDescription(
                kind="unknown", port=0, protocol="unknown", formats=("0",), attributes=(("sendonly", None),)
            ),
        ),
    )


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"v=1\r\n", b"v=0\r\n" * (MAX_LINES + 1), b"v=0\r\na=" + b"x" * MAX_BYTES]
)
def test_what_is_no_description_or_too_long_is_refused(body: bytes) -> None:
    with pytest.raises(NegotiationError, match="session description"):
        SessionDescription.parse(body)


def test_sections_and_formats_are_bounded() -> None:
    line = "m=audio 9 RTP/AVP" + " 0" * 2 * MAX_FORMATS + "\r\n"
    description = SessionDescription.parse(("v=0\r\n" + line * MAX_MEDIA).encode())
    assert [len(media.formats) for media in description.media] == [MAX_FORMATS] * MAX_MEDIA
    with pytest.raises(NegotiationError, match="a session description of more than 32 media"):
        SessionDescription.parse(("v=0\r\n" + line * (MAX_MEDIA + 1)).encode())


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\r\n\r\n", "\n\n"])
@pytest.mark.parametrize("start", ["", "\r\n", "\ufeff"])
def test_lines_may_end_as_they_like(start: str, end: str) -> None:
    text = DOOR_STATION.decode().replace("\r\n", end)
    assert SessionDescription.parse((start + text).encode()) == SessionDescription.parse(DOOR_STATION)


def test_other_separators_do_not_end_a_line() -> None:
    sly = "v=0\ns=Door\u2028m=audio 9 RTP/AVP 0\x0bm=audio 9 RTP/AVP 0\x85c=IN IP4 192.0.2.1\n"
    assert SessionDescription.parse(sly.encode()) == SessionDescription(
        session_id=0,
        version=0,
        origin_host="0.0.0.0",
        host=None,
        name="Door\u2028m=audio 9 RTP/AVP 0\x0bm=audio 9 RTP/AVP 0\x85c=IN IP4 192.0.2.1",
        media=(),
    )


def test_a_description_without_its_first_lines_is_read() -> None:
    assert SessionDescription.parse(b"c=IN IP4 192.0.2.9\nm=audio 5004 RTP/AVP 0\n") == SessionDescription(
        session_id=0,
        version=0,
        origin_host="0.0.0.0",
        host="192.0.2.9",
        media=(MediaDescription(kind="audio", port=5004, protocol="RTP/AVP", formats=("0",)),),
    )


@pytest.mark.parametrize(
    ("port", "expected"), [("5004", 5004), ("5004/2", 5004), ("65536", 0), ("-1", 0), ("", 0), ("x", 0), ("9" * 30, 0)]
)
def test_a_port_that_is_none_refuses_its_media(port: str, expected: int) -> None:
    assert SessionDescription.parse(f"v=0\nm=audio {port} RTP/AVP 0\n".encode()).media[0].port == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("c=IN IP4 224.2.1.1/127/3",), "224.2.1.1"),
        (("c=in ip6 [2001:db8::9]",), "2001:db8::9"),
        (("c=IN IP4", "c=IN IP4 192.0.2.1", "c=IN IP4 192.0.2.2"), "192.0.2.1"),
        (("c=ATM NSAP x",), None),
        (("c=IN IP4 /1",), None),
    ],
)
def test_the_first_address_that_makes_sense_holds(lines: tuple[str, ...], expected: str | None) -> None:
    session = "\n".join(["v=0", *lines])
    media = "\n".join(["v=0", "m=audio 9 RTP/AVP 0", *lines])
    assert SessionDescription.parse(session.encode()).host == expected
    assert SessionDescription.parse(media.encode()).media[0].host == expected


@pytest.mark.parametrize(("line", "expected"), [("t=3034423619 3042462419", "3034423619 3042462419"), ("t=x", "0 0")])
def test_when_a_session_takes_place_is_kept(line: str, expected: str) -> None:
    description = SessionDescription.parse(f"v=0\n{line}\nt=1 1\n".encode())
    assert (description.timing, f"\r\nt={expected}\r\n".encode() in description.format()) == (expected, True)


@pytest.mark.parametrize("name", ["crypto", "key-mgmt", "ice-pwd"])
def test_keys_are_not_shown(name: str) -> None:
    description = SessionDescription.parse(f"v=0\nm=audio 9 RTP/SAVP 0\na={name}:1 hush\n".encode())
    assert description.media[0].values(name) == ["1 hush"]
    assert (f"('{name}', ***)" in repr(description), "hush" in repr(description)) == (True, False)


def test_a_summary_names_the_media_and_is_safe_to_print() -> None:
    description = SessionDescription.parse(
        b"v=0\nm=audio 9 RTP/SAVP 0 \x1b[2J\nm=video 0 RTP/AVP 99\nm=image 9 udptl t38\n"
    )
    assert description.summary() == "audio RTP/SAVP 0 ?[2J, image udptl t38"
    assert SessionDescription.parse(b"v=0\n").summary() == "nothing"
    long = SessionDescription.parse(b"v=0\nm=audio 9 RTP/AVP" + b" 0" * 100).summary()
    assert (len(long), long[-4:]) == (MAX_QUOTED + 3, " ...")


@pytest.mark.parametrize(
    "line", [b"a=rtpmap:1 x\n", b"m=audio 9 RTP/AVP 0\n", b"c=IN IP4 1\n", b"\n", b"a" * 70, b"=\r"]
)
def test_the_largest_body_takes_no_time(line: bytes) -> None:
    body = (b"v=0\n" + line * MAX_BYTES)[:MAX_BYTES]
    started = perf_counter()
    with suppress(NegotiationError):
        SessionDescription.parse(body)
    assert perf_counter() - started < 0.5
