"""Offer and answer (RFC 3264): one audio stream out of whatever a peer describes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import NegotiationError
from sip_bridge.media.codec import CODECS
from sip_bridge.media.negotiation import Local, Stream, accept_answer, answer_offer, check_offer, create_offer
from sip_bridge.media.sdp import SessionDescription

PCMU, PCMA, G722, OPUS = (CODECS[name] for name in ("PCMU", "PCMA", "G722", "opus"))
OURS = Local(host="192.0.2.1", port=10000, codecs=("PCMU", "PCMA"), session_id=77)
OUR_OFFER = """v=0
o=- 77 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 10000 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
"""


def described(*lines: str, host: str = "192.0.2.9") -> SessionDescription:
    family = "IP6" if ":" in host else "IP4"
    head = f"v=0\r\no=- 5 5 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
    return SessionDescription.parse((head + "\r\n".join(lines)).encode())


def text_of(description: SessionDescription) -> str:
    return description.format().decode().replace("\r\n", "\n")


def media_of(description: SessionDescription) -> list[str]:
    return [line for line in text_of(description).splitlines() if line.startswith("m=")]


def stream_of(*lines: str, local: Local = OURS, host: str = "192.0.2.9") -> Stream:
    return answer_offer(described(*lines, host=host), local)[1]


def answered(*lines: str, local: Local = OURS) -> Stream:
    return accept_answer(create_offer(local), described(*lines))


def test_an_offer_has_every_codec_of_the_account_in_its_order() -> None:
    assert text_of(create_offer(OURS)) == OUR_OFFER
    assert media_of(create_offer(replace(OURS, codecs=("PCMA",)))) == ["m=audio 10000 RTP/AVP 8 101"]


def test_audio_is_answered_and_everything_else_refused_in_its_place() -> None:
    offer = described(
        "m=video 6000 RTP/AVP 99",
        "m=audio 5004 RTP/AVP 8 0 97",
        "a=rtpmap:97 telephone-event/8000",
        "m=application 7000 UDP/DTLS/SCTP webrtc-datachannel",
        "m=audio 5008 RTP/AVP 0",
    )
    answer, stream = answer_offer(offer, OURS)
    assert (
        text_of(answer)
        == """v=0
o=- 77 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=video 0 RTP/AVP 99
m=audio 10000 RTP/AVP 0 97
a=rtpmap:0 PCMU/8000
a=rtpmap:97 telephone-event/8000
a=fmtp:97 0-15
a=ptime:20
a=sendrecv
m=application 0 UDP/DTLS/SCTP webrtc-datachannel
m=audio 0 RTP/AVP 0
"""
    )
    assert stream == Stream(
        remote=("192.0.2.9", 5004),
        remote_rtcp=("192.0.2.9", 5005),
        codec=PCMU,
        payload_type=0,
        receive_payload_types=((8, PCMA), (0, PCMU)),
        events_payload_type=97,
        receive_events_payload_types=(97,),
        sends=True,
        receives=True,
        ptime=20,
    )


def test_the_answerers_order_decides() -> None:
    assert stream_of("m=audio 5004 RTP/AVP 0 8", local=replace(OURS, codecs=("PCMA", "PCMU"))).codec is PCMA


def test_an_offer_without_key_presses_gets_an_answer_without_them() -> None:
    answer, stream = answer_offer(described("m=audio 5004 RTP/AVP 0"), OURS)
    assert media_of(answer) == ["m=audio 10000 RTP/AVP 0"]
    assert (stream.events_payload_type, stream.receive_events_payload_types) == (None, ())


def test_a_codec_keeps_the_number_that_the_offer_gave_it() -> None:
    answer, stream = answer_offer(described("m=audio 5004 RTP/AVP 96", "a=rtpmap:96 pcma/8000/1"), OURS)
    assert media_of(answer) == ["m=audio 10000 RTP/AVP 96"]
    assert (stream.codec, stream.payload_type, stream.receive_payload_types) == (PCMA, 96, ((96, PCMA),))


def test_wideband_codecs_are_offered_with_all_that_they_need() -> None:
    offer = create_offer(replace(OURS, codecs=("opus", "G722", "PCMA")))
    lines = text_of(offer).splitlines()
    number = offer.media[0].formats[0]
    assert offer.media[0].formats[1:3] == ("9", "8")
    assert 96 <= int(number) <= 127
    assert f"a=rtpmap:{number} opus/48000/2" in lines  # RFC 7587 §7: always two channels
    assert f"a=fmtp:{number} maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0" in lines
    assert "a=rtpmap:9 G722/8000" in lines  # RFC 3551 §4.5.2: 8000 though it is 16000


def test_what_the_peer_wants_of_the_codec_is_known() -> None:
    wideband = replace(OURS, codecs=("opus", "G722", "PCMU"))
    lines = ("m=audio 5004 RTP/AVP 9 107", "a=rtpmap:107 OPUS/48000/2", "a=fmtp:107 useinbandfec=1; cbr=1")
    stream = stream_of(*lines, local=wideband)
    assert (stream.codec, stream.payload_type, stream.fmtp) == (OPUS, 107, "useinbandfec=1; cbr=1")
    assert stream.receive_payload_types == ((9, G722), (107, OPUS))
    assert stream_of("m=audio 5004 RTP/AVP 9 107", "a=fmtp:107 cbr=1", local=wideband).fmtp == ""


def test_the_offered_profile_is_answered() -> None:
    assert media_of(answer_offer(described("m=audio 5004 RTP/AVPF 0"), OURS)[0]) == ["m=audio 10000 RTP/AVPF 0"]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("m=video 5004 RTP/AVP 0",),
        ("m=audio 0 RTP/AVP 0",),
        ("m=audio 5004 RTP/SAVP 0",),
        ("m=audio 5004 UDP/TLS/RTP/SAVPF 0",),
        ("m=audio 5004 RTP/AVP 9 18 x 300 0000",),
        ("m=audio 5004 RTP/AVP 96", "a=rtpmap:96 PCMU/16000"),
        ("m=audio 5004 RTP/AVP 96", "a=rtpmap:96 PCMU/8000/2"),
        ("m=audio 5004 RTP/AVP 96", "a=rtpmap:96 opus/48000"),
        ("m=audio 5004 RTP/AVP 96", "a=rtpmap:x PCMU/8000"),
        ("m=audio 5004 RTP/AVP 0", "a=rtpmap:0 speex/8000"),
        ("m=audio 5004 RTP/AVP 0", "c=IN IP4 239.1.2.3/127"),
        ("m=audio 5004 RTP/AVP 0", "c=IN IP4 255.255.255.255"),
        ("m=audio 5004 RTP/AVP 0", "c=IN IP4 somewhere.example"),
    ],
)
def test_an_offer_with_nothing_that_we_can_do_is_refused(lines: tuple[str, ...]) -> None:
    offer = described(*lines)
    with pytest.raises(NegotiationError, match="no audio in PCMU, PCMA"):
        answer_offer(offer, OURS)
    with pytest.raises(NegotiationError, match="no audio in PCMU, PCMA"):
        check_offer(offer.format(), codecs=("PCMU", "PCMA"))


def test_an_offer_is_checked_before_it_is_answered() -> None:
    check_offer(b"", codecs=("PCMU",))
    check_offer(described("m=audio 5004 RTP/AVP 8 0").format(), codecs=("PCMU",))
    with pytest.raises(NegotiationError, match="no audio in PCMU over"):
        check_offer(described("m=audio 5004 RTP/AVP 8").format(), codecs=("PCMU",))


@pytest.mark.parametrize(
    ("wanted", "ours", "expected"),
    [
        ("sendrecv", "sendrecv", ("sendrecv", True, True)),
        ("sendonly", "sendrecv", ("recvonly", False, True)),
        ("recvonly", "sendrecv", ("sendonly", True, False)),
        ("inactive", "sendrecv", ("inactive", False, False)),
        ("sendrecv", "sendonly", ("sendonly", True, False)),
        ("sendonly", "sendonly", ("inactive", False, False)),
    ],
)
def test_directions_mirror_and_meet_ours(wanted: str, ours: str, expected: tuple[str, bool, bool]) -> None:
    local = replace(OURS, direction=ours)
    answer, stream = answer_offer(described("m=audio 5004 RTP/AVP 0", f"a={wanted}"), local)
    assert (answer.media[0].direction, stream.sends, stream.receives) == expected
    again = accept_answer(create_offer(local), described("m=audio 5004 RTP/AVP 0", f"a={wanted}"))
    assert (again.sends, again.receives) == expected[1:]


def test_a_direction_of_the_session_holds_for_its_media() -> None:
    offer = SessionDescription.parse(b"v=0\r\nc=IN IP4 192.0.2.9\r\na=sendonly\r\nm=audio 5004 RTP/AVP 0\r\n")
    assert answer_offer(offer, OURS)[0].media[0].direction == "recvonly"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_of_nowhere_is_hold_too(host: str) -> None:
    stream = stream_of("m=audio 5004 RTP/AVP 0", host=host)
    assert (stream.remote, stream.remote_rtcp, stream.sends, stream.receives) == (None, None, False, True)


def test_a_sections_own_address_wins_and_is_written_as_the_kernel_writes_it() -> None:
    stream = stream_of("m=audio 5004 RTP/AVP 0", "c=IN IP6 2001:DB8:0:0::9")
    assert stream.remote == ("2001:db8::9", 5004)


def test_our_ipv6_address_is_described_as_one() -> None:
    lines = text_of(create_offer(replace(OURS, host="2001:db8::1"))).splitlines()
    assert lines[1:4:2] == ["o=- 77 1 IN IP6 2001:db8::1", "c=IN IP6 2001:db8::1"]


def test_an_address_is_taken_from_the_origin_when_it_stands_nowhere_else() -> None:
    offer = SessionDescription.parse(b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\nm=audio 5004 RTP/AVP 0\r\n")
    assert answer_offer(offer, OURS)[1].remote == ("192.0.2.9", 5004)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ((), 20),
        (("a=ptime:30",), 30),
        (("a=ptime:20.0",), 20),
        (("a=ptime:5",), 10),
        (("a=ptime:200",), 60),
        (("a=ptime:junk", "a=maxptime:junk"), 20),
        (("a=ptime:40", "a=maxptime:30"), 30),
        (("a=maxptime:150",), 20),
        (("a=maxptime:10",), 10),
        (("a=ptime:25",), 20),
    ],
)
def test_packets_have_the_length_that_the_peer_wants(attributes: tuple[str, ...], expected: int) -> None:
    assert stream_of("m=audio 5004 RTP/AVP 0", *attributes).ptime == expected


@pytest.mark.parametrize(
    ("attributes", "port"),
    [
        ((), 5005),
        (("a=rtcp:53020 IN IP4 192.0.2.9",), 53020),
        (("a=rtcp:0",), 5005),
        (("a=rtcp:99999",), 5005),
        (("a=rtcp-mux",), 5004),
    ],
)
def test_reports_go_where_the_peer_wants_them(attributes: tuple[str, ...], port: int) -> None:
    answer, stream = answer_offer(described("m=audio 5004 RTP/AVP 0", *attributes), OURS)
    assert stream.remote_rtcp == ("192.0.2.9", port)
    assert bool(answer.media[0].values("rtcp-mux")) is (port == 5004)


def test_an_answer_is_accepted_with_each_sides_number_for_key_presses() -> None:
    stream = answered("m=audio 6000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/8000", "a=ptime:40")
    assert replace(stream, receive_events_payload_types=()) == Stream(
        remote=("192.0.2.9", 6000),
        remote_rtcp=("192.0.2.9", 6001),
        codec=PCMA,
        payload_type=8,
        receive_payload_types=((8, PCMA), (0, PCMU)),
        events_payload_type=96,
        receive_events_payload_types=(),
        sends=True,
        receives=True,
        ptime=40,
    )
    assert set(stream.receive_events_payload_types) == {96, 101}


def test_an_answers_first_codec_is_spoken() -> None:
    assert answered("m=audio 6000 RTP/AVP 8 0").codec is PCMA


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("m=audio 0 RTP/AVP 0",),
        ("m=video 6000 RTP/AVP 0",),
        ("m=audio 6000 RTP/AVP 9",),
        ("m=audio 6000 RTP/AVP 8",),
    ],
)
def test_an_answer_that_refuses_the_audio_or_says_what_was_not_offered_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(NegotiationError, match="the answer refuses the audio"):
        answered(*lines, local=replace(OURS, codecs=("PCMU",)))


def test_a_further_offer_keeps_sections_and_numbers_and_raises_the_version() -> None:
    offer = described("m=video 6000 RTP/AVP 99", "m=audio 5004 RTP/AVP 0 97", "a=rtpmap:97 telephone-event/8000")
    said, _ = answer_offer(offer, OURS)
    hold = create_offer(replace(OURS, direction="inactive"), previous=said)
    assert (hold.session_id, hold.version, hold.media[1].direction) == (77, 2, "inactive")
    assert media_of(hold) == ["m=video 0 RTP/AVP 99", "m=audio 10000 RTP/AVP 0 8 97"]
    answer = described("m=video 0 RTP/AVP 99", "m=audio 5004 RTP/AVP 0 97", "a=inactive")
    assert (accept_answer(hold, answer).sends, accept_answer(hold, answer).receives) == (False, False)


def test_saying_the_same_again_keeps_the_version() -> None:
    first = create_offer(OURS)
    assert create_offer(OURS, previous=first) == first
    offer = described("m=audio 5004 RTP/AVP 0")
    said, _ = answer_offer(offer, OURS)
    assert answer_offer(offer, OURS, previous=said)[0] == said


def test_an_offer_after_one_without_key_presses_brings_them() -> None:
    said, _ = answer_offer(described("m=audio 5004 RTP/AVP 0"), OURS)
    assert media_of(create_offer(OURS, previous=said)) == ["m=audio 10000 RTP/AVP 0 8 101"]


@given(st.permutations(["0", "8", "97", "9", "18"]), st.integers(1, 5))
def test_two_of_us_agree_whatever_is_offered(formats: list[str], count: int) -> None:
    offer = described(f"m=audio 5004 RTP/AVP 0 {' '.join(formats[:count])}", "a=rtpmap:97 telephone-event/8000")
    answer, ours = answer_offer(offer, OURS)
    theirs = accept_answer(offer, SessionDescription.parse(answer.format()))
    assert (theirs.codec, theirs.payload_type, theirs.remote) == (ours.codec, ours.payload_type, ("192.0.2.1", 10000))
    assert theirs.events_payload_type == ours.events_payload_type
