"""Session descriptions within multipart bodies."""

import pytest

from sip_bridge.sip.events import CallAnswered, CallReceived
from sip_bridge.sip.multipart import MAX_PARTS, find_part
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire

MIXED = 'multipart/mixed;boundary="b 1"'


def parts(*given: tuple[str, bytes], boundary: str = "b 1") -> bytes:
    """A multipart body of (header lines, content)."""
    body = b"".join(f"--{boundary}\r\n{head}\r\n".encode() + content + b"\r\n" for head, content in given)
    return b"preamble\r\n" + body + f"--{boundary}--\r\nepilogue".encode()


SDP = ("Content-Type: Application/SDP; charset=utf-8\r\nContent-Disposition: session\r\n", OFFER)
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
        (MIXED, parts(*[TEXT] * MAX_PARTS, SDP), b""),
        (MIXED, parts(*[TEXT] * (MAX_PARTS - 1), SDP), OFFER),
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


def test_a_multipart_answer_is_taken(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call = alice.endpoint.invite("alice", "sip:x@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 200, content=parts(TEXT, SDP), content_type=MIXED)
    wire.run(0.1)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=OFFER)]
