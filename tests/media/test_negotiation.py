"""Offer and answer (RFC 3264): one audio stream out of whatever a peer describes."""

from contextlib import suppress
from dataclasses import replace
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import NegotiationError
from sip_bridge.media.codec import CODECS
from sip_bridge.media.negotiation import (
    Local,
    Stream,
    accept_answer,
    answer_offer,
    check_offer,
    create_offer,
    payload_types,
)
from sip_bridge.media.sdes import SRTPPolicy, new_keys
from sip_bridge.media.sdp import MAX_BYTES, MAX_LINES, MAX_MEDIA, SessionDescription

PCMU, PCMA, G722, OPUS = (CODECS[name] for name in ("PCMU", "PCMA", "G722", "opus"))
OURS = Local(host="192.0.2.1", port=10000, codecs=("PCMU", "PCMA"), session_id=77)
OUR_OFFER = """v=0
o=- 77 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 10000 RTP/AVP 0 8 13 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=rtcp-mux
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
    assert media_of(create_offer(replace(OURS, codecs=("PCMA",)))) == ["m=audio 10000 RTP/AVP 8 13 101"]


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
        receive_events_payload_types=((97, 8000),),
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
        check_offer(offer.format(), codecs=("PCMU", "PCMA"), srtp=SRTPPolicy.OFF)


def test_an_offer_is_checked_before_it_is_answered() -> None:
    with pytest.raises(NegotiationError, match="no audio in PCMU over"):
        check_offer(described("m=audio 5004 RTP/AVP 8").format(), codecs=("PCMU",), srtp=SRTPPolicy.OFF)


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
    answer, stream = answer_offer(described("m=audio 5004 RTP/AVP 0", host=host), OURS)
    assert (stream.remote, stream.remote_rtcp, stream.sends, stream.receives) == (None, None, False, True)
    assert answer.media[0].direction == "recvonly"


@pytest.mark.parametrize(
    ("written", "expected"),
    [("fe80::9%eth0", "fe80::9"), ("::ffff:192.0.2.7", "192.0.2.7"), ("[2001:db8::7]", "2001:db8::7")],
)
def test_an_address_means_the_same_in_whatever_way_it_is_written(written: str, expected: str) -> None:
    local = replace(OURS, host=expected)
    assert stream_of("m=audio 5004 RTP/AVP 0", f"c=IN IP6 {written}", local=local).remote == (expected, 5004)


def test_a_sections_own_address_wins_and_is_written_as_the_kernel_writes_it() -> None:
    local = replace(OURS, host="2001:db8::1")
    stream = stream_of("m=audio 5004 RTP/AVP 0", "c=IN IP6 2001:DB8:0:0::9", local=local)
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
        receive_comfort_noise_payload_types=(13,),
    )
    assert dict(stream.receive_events_payload_types) == {96: 8000, 101: 8000}


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
    assert media_of(hold) == ["m=video 0 RTP/AVP 99", "m=audio 10000 RTP/AVP 0 8 13 97"]
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
    assert media_of(create_offer(OURS, previous=said)) == ["m=audio 10000 RTP/AVP 0 8 13 101"]


@given(st.permutations(["0", "8", "97", "9", "18"]), st.integers(1, 5))
def test_two_of_us_agree_whatever_is_offered(formats: list[str], count: int) -> None:
    offer = described(f"m=audio 5004 RTP/AVP 0 {' '.join(formats[:count])}", "a=rtpmap:97 telephone-event/8000")
    answer, ours = answer_offer(offer, OURS)
    theirs = accept_answer(offer, SessionDescription.parse(answer.format()))
    assert (theirs.codec, theirs.payload_type, theirs.remote) == (ours.codec, ours.payload_type, ("192.0.2.1", 10000))
    assert theirs.events_payload_type == ours.events_payload_type


# --- what goes with a codec ---


def test_comfort_noise_is_taken_when_it_is_offered() -> None:
    answer, stream = answer_offer(described("m=audio 5004 RTP/AVP 0 13 101", "a=rtpmap:101 telephone-event/8000"), OURS)
    assert media_of(answer) == ["m=audio 10000 RTP/AVP 0 13 101"]
    assert stream.receive_comfort_noise_payload_types == (13,)
    assert answered("m=audio 6000 RTP/AVP 0 98", "a=rtpmap:98 CN/8000").receive_comfort_noise_payload_types == (98, 13)


def test_what_was_not_offered_is_not_taken_from_an_answer() -> None:
    offer = described("m=audio 5004 RTP/AVP 0")
    answer = described("m=audio 6000 RTP/AVP 0 13 101", "a=rtpmap:101 telephone-event/8000", "a=rtcp-mux")
    stream = accept_answer(offer, answer)
    assert (stream.events_payload_type, stream.receive_events_payload_types) == (None, ())
    assert stream.remote_rtcp == ("192.0.2.9", 6001)


BOTH_RATES = ("a=rtpmap:107 opus/48000/2", "a=rtpmap:96 telephone-event/8000", "a=rtpmap:97 telephone-event/48000")


@pytest.mark.parametrize(
    ("formats", "codecs", "answer", "events"),
    [
        ("107 96 97", ("opus",), "107 97", (97, 48000)),
        ("107 0 96 97", ("PCMU",), "0 96", (96, 8000)),
        ("107 96", ("opus",), "107 96", (96, 8000)),
        ("107 0 13 97", ("opus",), "107 97", (97, 48000)),
        ("107 98", ("opus",), "107", (None, 8000)),
    ],
)
def test_key_presses_go_at_the_clock_rate_of_the_codec_where_the_peer_can(
    formats: str, codecs: tuple[str, ...], answer: str, events: tuple[int | None, int]
) -> None:
    offer = described(f"m=audio 5004 RTP/AVP {formats}", *BOTH_RATES, "a=rtpmap:98 telephone-event/44100")
    said, stream = answer_offer(offer, replace(OURS, codecs=codecs))
    assert media_of(said) == [f"m=audio 10000 RTP/AVP {answer}"]
    assert (stream.events_payload_type, stream.events_clock_rate) == events


def test_key_presses_are_offered_at_the_clock_rate_of_each_codec() -> None:
    lines = text_of(create_offer(replace(OURS, codecs=("opus", "G722")))).splitlines()
    assert lines[5:14] == [
        "m=audio 10000 RTP/AVP 96 9 13 101 97",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:13 CN/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=rtpmap:97 telephone-event/48000",
        "a=fmtp:97 0-15",
    ]


def test_an_answer_without_events_at_our_rate_has_them_at_its_own() -> None:
    local = replace(OURS, codecs=("opus",))
    stream = answered(
        "m=audio 6000 RTP/AVP 96 101",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:101 telephone-event/8000",
        local=local,
    )
    assert (stream.events_payload_type, stream.events_clock_rate) == (101, 8000)
    assert dict(stream.receive_events_payload_types) == {101: 8000, 97: 48000}


# --- sections ---


def test_of_several_audio_sections_the_first_that_fits_is_taken() -> None:
    offer = described("m=audio 5004 RTP/AVP 18", "m=audio 5006 RTP/AVP 8", "m=audio 5008 RTP/AVP 0")
    answer, stream = answer_offer(offer, OURS)
    assert media_of(answer) == ["m=audio 0 RTP/AVP 18", "m=audio 10000 RTP/AVP 8", "m=audio 0 RTP/AVP 0"]
    assert stream.remote == ("192.0.2.9", 5006)


def test_a_browsers_offer_is_refused_by_what_it_is() -> None:
    offer = described(
        "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:x",
        "a=ice-pwd:secret",
        "a=fingerprint:sha-256 00",
        "a=mid:0",
        "a=rtcp-mux",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
    )
    with pytest.raises(
        NegotiationError, match="RTP/AVP: audio UDP/TLS/RTP/SAVPF 111 0, video UDP/TLS/RTP/SAVPF 96 was"
    ):
        answer_offer(offer, OURS)


def test_a_slot_that_was_refused_is_used_again() -> None:
    offer = described("m=video 6000 RTP/AVP 99")
    refused = replace(offer, media=(replace(offer.media[0], port=0),))
    assert media_of(create_offer(OURS, previous=refused)) == ["m=audio 10000 RTP/AVP 0 8 13 101"]
    again = replace(refused, media=(replace(refused.media[0], kind="audio", protocol="UDP/TLS/RTP/SAVPF"),))
    assert media_of(create_offer(OURS, previous=again)) == ["m=audio 10000 RTP/AVP 0 8 13 101"]


def test_an_answer_takes_place_when_the_offer_does() -> None:
    offer = SessionDescription.parse(b"v=0\nc=IN IP4 192.0.2.9\nt=3034423619 0\nm=audio 5004 RTP/AVP 0\n")
    assert answer_offer(offer, OURS)[0].timing == "3034423619 0"


def host_of(body: bytes, codec: str) -> str | None:
    return check_offer(body, codecs=(codec,), srtp=SRTPPolicy.OFF)


def test_the_address_and_the_numbers_of_the_audio_are_told() -> None:
    offer = described(
        "m=video 5000 RTP/AVP 96",
        "c=IN IP4 192.0.2.5",
        "a=rtpmap:96 VP8/90000",
        "m=audio 5002 RTP/AVP 96",
        "c=IN IP4 0.0.0.0",
        "a=rtpmap:96 opus/48000/2",
        "m=audio 5004 RTP/AVPF 96 97",
        "c=IN IP4 192.0.2.7",
        "a=rtpmap:96 PCMU/8000",
        "a=rtpmap:97 PCMA/8000",
    )
    assert host_of(offer.format(), "PCMA") == "192.0.2.7"
    assert [host_of(body, "opus") for body in (offer.format(), b"")] == [None, None]
    assert payload_types(offer) == {96: "opus/48000/2", 97: "PCMA/8000"}


def test_of_two_families_the_one_that_we_have_is_taken() -> None:
    offer = described("m=audio 5002 RTP/AVP 0", "c=IN IP6 2001:db8::9", "m=audio 5004 RTP/AVP 0")
    ours = ("192.0.2.1", "2001:db8::1", "bridge.example")
    hosts = [answer_offer(offer, replace(OURS, host=host))[1].remote for host in ours]
    assert hosts == [("192.0.2.9", 5004), ("2001:db8::9", 5002), ("2001:db8::9", 5002)]
    with pytest.raises(NegotiationError, match="the answer refuses the audio"):
        answered("m=audio 5002 RTP/AVP 0", "c=IN IP6 2001:db8::9")


# --- properties ---

SECTIONS = st.builds(
    lambda kind, port, protocol, formats, lines: "\r\n".join(
        [f"m={kind} {port} {protocol} {' '.join(map(str, formats))}", *lines]
    ),
    kind=st.sampled_from(["audio", "audio", "video", "application"]),
    port=st.integers(0, 70000),
    protocol=st.sampled_from(["RTP/AVP", "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "UDP/TLS/RTP/SAVPF", "udptl"]),
    formats=st.lists(st.integers(0, 130) | st.sampled_from([0, 8, 9, 13, 96, 101]), min_size=1, max_size=8),
    lines=st.lists(
        st.sampled_from(
            [
                "a=rtpmap:96 opus/48000/2",
                "a=rtpmap:96 PCMU/8000",
                "a=rtpmap:0 speex/16000",
                "a=rtpmap:9 G722/16000",
                "a=rtpmap:101 telephone-event/8000",
                "a=rtpmap:101 telephone-event/48000",
                "a=rtpmap:",
                "a=fmtp:96",
                "a=ptime:x",
                "a=rtcp-mux",
                "a=inactive",
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
                "a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:x",
                "c=IN IP4 0.0.0.0",
                "c=IN IP6 ::1",
                "c=IN IP4 example.org",
            ]
        ),
        max_size=6,
    ),
)
LOCALS = st.builds(
    replace,
    st.just(OURS),
    codecs=st.permutations(list(CODECS)).flatmap(lambda names: st.integers(1, 4).map(lambda n: tuple(names[:n]))),
    direction=st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"]),
    srtp=st.sampled_from(list(SRTPPolicy)),
    keys=st.just(new_keys(bytes)),
)


@given(st.lists(SECTIONS, max_size=6), LOCALS)
def test_an_answer_has_every_section_and_takes_only_what_was_offered(sections: list[str], local: Local) -> None:
    offer = described(*sections)
    with suppress(NegotiationError):
        answer, stream = answer_offer(offer, local)
        assert [(each.kind, each.protocol) for each in answer.media] == [
            (each.kind, each.protocol) for each in offer.media
        ]
        [taken] = [i for i, each in enumerate(answer.media) if each.port != 0]
        assert set(answer.media[taken].formats) <= set(offer.media[taken].formats)
        assert offer.media[taken].port != 0
        assert stream.codec.name in local.codecs
        assert bool(answer.media[taken].values("crypto")) == (stream.keys is not None)
        assert SessionDescription.parse(answer.format()) == answer
        agreed = accept_answer(offer, answer)
        assert (agreed.codec, agreed.payload_type, agreed.events_payload_type) == (
            stream.codec,
            stream.payload_type,
            stream.events_payload_type,
        )


@given(st.lists(SECTIONS, max_size=6), LOCALS)
def test_no_answer_does_more_than_refuse(sections: list[str], local: Local) -> None:
    local = replace(local, keys=() if local.srtp is SRTPPolicy.OFF else local.keys)
    offer = create_offer(local)
    with suppress(NegotiationError):
        stream = accept_answer(offer, described(*sections), srtp=local.srtp)
        assert stream.codec.name in local.codecs
        assert stream.keys is not None or local.srtp is not SRTPPolicy.REQUIRED


@given(st.data(), st.binary(max_size=5), LOCALS)
def test_damage_does_no_more_than_have_it_refused(data: st.DataObject, junk: bytes, local: Local) -> None:
    body = create_offer(replace(local, codecs=tuple(CODECS))).format()
    at = data.draw(st.integers(0, len(body)))
    damaged = body[:at] + junk + body[at + data.draw(st.integers(0, 20)) :]
    with suppress(NegotiationError):
        answer_offer(SessionDescription.parse(damaged), local)
    with suppress(NegotiationError):
        accept_answer(create_offer(local), SessionDescription.parse(damaged))


@pytest.mark.parametrize(
    "line",
    ["a=rtpmap:96 opus/48000/2", "a=crypto:1 x inline:y", "a=fmtp:96 x", "c=IN IP4 192.0.2.1", "a=rtcp:x", "a=ptime:x"],
)
def test_the_largest_offer_takes_no_time(line: str) -> None:
    section = f"m=audio 9 RTP/AVP {' '.join(map(str, range(128)))}"
    offer = "\n".join(["v=0", "c=IN IP4 192.0.2.9", *[section, *[line] * 30] * (MAX_MEDIA - 1), section])
    offer = "\n".join(offer.splitlines()[: MAX_LINES - 1])[:MAX_BYTES]
    started = perf_counter()
    with suppress(NegotiationError):
        answer_offer(SessionDescription.parse(offer.encode()), replace(OURS, srtp=SRTPPolicy.REQUIRED))
    assert perf_counter() - started < 0.5
