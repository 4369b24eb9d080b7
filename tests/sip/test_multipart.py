"""Session descriptions within multipart bodies."""

import pytest

from sip_bridge.sip.events import CallAnswered, CallReceived
from sip_bridge.sip.limits import LIMITS
from sip_bridge.sip.multipart import Part, find_part
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire

MIXED = 'multipart/mixed;boundary="b 1"'


def parts(*given: tuple[str, bytes], boundary: str = "b 1") -> bytes:
    """A multipart body of (header lines, content)."""
    body = b"".join(f"--{boundary}\r\n{head}\r\n".encode() + content + b"\r\n" for head, content in given)
    return b"preamble\r\n" + body + f"--{boundary}--\r\nepilogue".encode()


SDP = ("Content-Type: Application/SDP; charset=utf-8\r\nContent-Disposition: session\r\n", OFFER)
EARLY = ("Content-Type: application/sdp\r\nContent-Disposition: early-session\r\n", b"v=0\r\n")
BASE64 = ("Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n", b"dj0wDQo=")
OPTIONAL = ("Content-Type: application/isup\r\nContent-Disposition: signal ; handling = Optional\r\n", b"\0\1")
REQUIRED = ("Content-Type: application/isup\r\nContent-Disposition: signal;handling=REQUIRED\r\n", b"\0\1")
TEXT = ("Content-Type: text/plain\r\n", b"--b 2\r\nhi")
NO_TYPE = ("", b"content-type: application/sdp\r\n\r\nno")


@pytest.mark.parametrize(
    ("content_type", "content", "found"),
    [
        ("application/sdp", OFFER, OFFER),
        ("Application/SDP;charset=utf-8", OFFER, OFFER),
        ("text/plain", OFFER, b""),
        ("", OFFER, b""),
        (MIXED, parts(TEXT, SDP, NO_TYPE), OFFER),
        (MIXED, parts(NO_TYPE, ("c: application/sdp\r\n", ANSWER), SDP), ANSWER),
        (MIXED, parts(TEXT, NO_TYPE), b""),
        (MIXED, parts((f"Content-Type: {MIXED.replace('b 1', 'b 2')}\r\n", parts(SDP, boundary="b 2"))), OFFER),
        ("multipart/mixed", parts(SDP), b""),
        ("multipart/mixed;boundary=other", parts(SDP), b""),
        ('multipart/mixed;boundary="open', parts(SDP), b""),
        (MIXED, parts(*[TEXT] * LIMITS.parts, SDP), b""),
        (MIXED, parts(("Content-Type:\r\n application/sdp;\r\n\tcharset=utf-8\r\n", OFFER)), OFFER),
        (MIXED, parts(EARLY, BASE64, SDP), OFFER),
        ("multipart/related;boundary=b", parts(SDP, NO_TYPE, boundary="b"), OFFER),
        ("multipart/alternative;boundary=b", parts(("C: application/sdp\r\n", ANSWER), SDP, TEXT, boundary="b"), OFFER),
        (MIXED, parts(SDP).replace(b"--b 1\r\n", b"--b 1 \t\r\n"), OFFER),
        (MIXED, parts(SDP).replace(b"\r\n--b 1--\r\nepilogue", b""), OFFER),
        (MIXED, b"--b 1", b""),
        (MIXED, b"--b 1\r\nContent-Type: application/sdp", b""),
        (MIXED, b"--b 1--\r\n\r\n" + parts(SDP), b""),
        ("multipart/mixed;boundary=b", parts(SDP), b""),
        (MIXED, parts(*[TEXT] * (LIMITS.parts - 1), SDP), OFFER),
    ],
)
def test_the_session_description_is_found_wherever_it_stands(content_type: str, content: bytes, found: bytes) -> None:
    assert find_part(content_type, content, "application/sdp") == found


def test_nesting_has_an_end() -> None:
    content, boundary = OFFER, "b"
    content_type = "application/sdp"
    for _ in range(4):
        content = parts((f"Content-Type: {content_type}\r\n", content), boundary=boundary)
        content_type, boundary = f"multipart/mixed;boundary={boundary}", boundary + "x"
    assert find_part(content_type, content, "application/sdp") == b""


def test_a_multipart_invite_rings_with_its_offer(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=parts(TEXT, SDP), content_type=MIXED)
    wire.run(0.1)
    assert [event.offer for event in bob.events if isinstance(event, CallReceived)] == [OFFER]


def test_a_multipart_invite_without_session_description_gets_415(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=parts(TEXT), content_type=MIXED)
    wire.run(0.1)
    assert raw.words == ["415"]


def test_the_parts_of_a_body_are_read() -> None:
    head = "Content-Type: text/html\r\nContent-ID: <id1@h>\r\nContent-Disposition: render\r\n"
    body = Part(content_type="multipart/mixed;boundary=b", content=parts((head, b"<p>"), ("", b"hi"), boundary="b"))
    assert body.parts() == [
        Part(content_type="text/html", content=b"<p>", disposition="render", content_id="id1@h"),
        Part(content_type="text/plain", content=b"hi"),
    ]
    assert body.parts()[0].parts() == []


@pytest.mark.parametrize(
    ("other", "words"), [(TEXT, []), (OPTIONAL, []), (REQUIRED, ["415"]), (NO_TYPE, []), (EARLY, [])]
)
def test_a_part_that_must_be_understood_and_is_not_gets_415(
    wire: Wire, bob: Party, raw: RawPeer, other: tuple[str, bytes], words: list[str]
) -> None:
    raw.request(bob, "INVITE", content=parts(SDP, other), content_type=MIXED)
    wire.run(0.1)
    assert (raw.words, len(bob.told(CallReceived))) == (words, 1 - len(words))


def test_a_session_description_for_early_media_alone_is_no_offer(wire: Wire, bob: Party, raw: RawPeer) -> None:
    headers = ["Content-Disposition: early-session;handling=optional"]
    raw.request(bob, "INVITE", content=OFFER, headers=headers)
    wire.run(0.1)
    assert [event.offer for event in bob.events if isinstance(event, CallReceived)] == [b""]


def test_a_multipart_answer_is_taken(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call = alice.endpoint.invite("alice", "sip:x@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 200, content=parts(TEXT, SDP), content_type=MIXED)
    wire.run(0.1)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=OFFER)]
