"""Payload types: numbers that mean what the peer says they do, and go on meaning it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.codec import CODECS
from sip_bridge.media.formats import Formats, fmtp, offered
from sip_bridge.media.sdp import MediaDescription

PCMU, PCMA, G722, OPUS = (CODECS[name] for name in ("PCMU", "PCMA", "G722", "opus"))


def section(formats: str, *attributes: str) -> MediaDescription:
    said = tuple((name, value) for name, _, value in (each.partition(":") for each in attributes))
    return MediaDescription(kind="audio", port=9, protocol="RTP/AVP", formats=tuple(formats.split()), attributes=said)


def numbers(known: dict[int, str], *names: str) -> dict[str, int]:
    return {each.rtpmap: each.payload_type for each in offered([CODECS[name] for name in names], known)}


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (section("0 8 9"), ((0, PCMU), (8, PCMA), (9, G722))),
        (section("8 0 8"), ((8, PCMA), (0, PCMU))),
        (section("96 97", "rtpmap:96 OPUS/48000/2", "rtpmap:97 opus/48000/2"), ((96, OPUS), (97, OPUS))),
        (section("0", "rtpmap:0 PCMU/8000/1"), ((0, PCMU),)),
        (section("0", "rtpmap:0 speex/8000"), ()),
        (section("8", "rtpmap:8 PCMU/8000"), ((8, PCMU),)),
        (section("96", "rtpmap:96 PCMA/8000", "rtpmap:96 PCMU/8000"), ((96, PCMA),)),
        (section("9", "rtpmap:9 G722/16000"), ((9, G722),)),
        (section("72", "rtpmap:72 PCMU/8000"), ()),
        (section("128 -1 x 00000 1e1 \u0663"), ()),
        (section("96", "rtpmap: 96 PCMU/8000", "rtpmap:", "rtpmap:96"), ((96, PCMU),)),
        (section("96", "rtpmap:96 PCMU/"), ()),
        (section("96", "rtpmap:96 PCMU"), ()),
    ],
)
def test_formats_are_read(media: MediaDescription, expected: tuple[object, ...]) -> None:
    assert Formats.parse(media).codecs == expected


def test_parameters_are_those_of_the_format() -> None:
    media = section("96", "fmtp:9 x=1", "fmtp:96  cbr=1; stereo=0 ", "fmtp:96 cbr=0")
    assert (fmtp(media, 96), fmtp(media, 97)) == ("cbr=1; stereo=0", "")


def test_numbers_are_the_static_and_the_usual_ones() -> None:
    assert numbers({}, "PCMU", "G722", "opus") == {
        "PCMU/8000": 0,
        "G722/8000": 9,
        "opus/48000/2": 96,
        "CN/8000": 13,
        "telephone-event/8000": 101,
        "telephone-event/48000": 97,
    }


def test_numbers_that_mean_something_already_keep_their_meaning() -> None:
    known = {0: "speex/8000", 96: "iLBC/8000", 101: "G726-32/8000", 111: "OPUS/48000/2", 97: "telephone-event/8000"}
    assert numbers(known, "PCMU", "opus") == {
        "PCMU/8000": 98,
        "opus/48000/2": 111,
        "CN/8000": 13,
        "telephone-event/8000": 97,
        "telephone-event/48000": 99,
    }


def test_the_first_of_several_numbers_for_one_codec_is_used() -> None:
    assert numbers({107: "opus/48000/2", 111: "opus/48000/2"}, "opus")["opus/48000/2"] == 107


@given(st.dictionaries(st.integers(0, 127), st.sampled_from(["x/1", "opus/48000/2", "PCMU/8000", "CN/8000"])))
def test_no_number_is_given_twice(known: dict[int, str]) -> None:
    given_numbers = [each.payload_type for each in offered(list(CODECS.values()), known)]
    assert len(set(given_numbers)) == len(given_numbers)


def test_a_peer_that_used_up_all_numbers_still_gets_an_offer() -> None:
    assert numbers(dict.fromkeys(range(128), "x/1"), "opus") == {
        "opus/48000/2": 63,
        "telephone-event/48000": 62,
    }
