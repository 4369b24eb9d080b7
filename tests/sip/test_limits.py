"""Every bound of the parser: what just fits is taken, one more gets the answer that says so, and calls go on."""

import pytest

from sip_bridge.sip.events import CallReceived
from sip_bridge.sip.limits import Limits
from tests.scenario import OFFER, Party, RawPeer, Wire
from tests.sip.test_multipart import parts

URI = "sip:door@192.0.2.2"
MANDATORY = (
    "Via: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKlimit",
    "From: <sip:raw@192.0.2.66>;tag=1",
    "To: <sip:door@192.0.2.2>",
    "Call-ID: limit",
    "CSeq: 1 OPTIONS",
    "Contact: <sip:raw@192.0.2.66>",
)


def options(*lines: str, uri: str = URI, content: bytes = b"", instead: tuple[str, ...] = MANDATORY) -> bytes:
    return "\r\n".join([f"OPTIONS {uri} SIP/2.0", *instead, *lines, "", ""]).encode() + content


def nested(depth: int) -> tuple[str, bytes]:
    """A session description within ``depth`` multiparts: its type and itself."""
    content, content_type = OFFER, "application/sdp"
    for level in range(depth):
        content = parts((f"Content-Type: {content_type}\r\n", content), boundary=f"b{level}")
        content_type = f"multipart/mixed;boundary=b{level}"
    return content_type, content


def among(count: int) -> tuple[str, bytes]:
    """A session description as the last of ``count`` parts."""
    text = ("Content-Type: text/plain\r\n", b"hi")
    return "multipart/mixed;boundary=b", parts(
        *[text] * (count - 1), ("Content-Type: application/sdp\r\n", OFFER), boundary="b"
    )


HEAD = len(options()) - 4


def answer(limits: Limits, data: bytes) -> list[str]:
    """What a line's endpoint says to a request, and that it still takes a call."""
    wire = Wire()
    bob, raw = Party(wire, "192.0.2.2", limits=limits), RawPeer(wire, "192.0.2.66")
    bob.add_direct_line("door")
    raw.send(data, bob)
    wire.run(0.1)
    raw.request(bob, "INVITE", call_id="afterwards", content=OFFER)
    wire.run(0.1)
    assert [event.call for event in bob.events if isinstance(event, CallReceived)] == ["afterwards"]
    return raw.words


@pytest.mark.parametrize(
    ("limits", "fits", "too_much", "status"),
    [
        (
            Limits(message=1000),
            options("Content-Length: 0").ljust(1000, b"x"),
            options("Content-Length: 0").ljust(1001, b"x"),
            "513",
        ),
        (Limits(head=1000), options("X: " + "x" * (995 - HEAD)), options("X: " + "x" * (996 - HEAD)), "513"),
        (Limits(line=200), options("X: " + "x" * 197), options("X: " + "x" * 198), "400"),
        (
            Limits(line=200),
            options("X: " + "x" * 96, "\t" + "x" * 100),
            options("X: " + "x" * 97, " " + "x" * 100),
            "400",
        ),
        (Limits(headers=20), options(*["X: x"] * 14), options(*["X: x"] * 15), "400"),
        (Limits(uri=100), options(uri=URI.ljust(100, "2")), options(uri=URI.ljust(101, "2")), "414"),
        (Limits(vias=3), options(*["v: SIP/2.0/UDP h"] * 2), options(*["v: SIP/2.0/UDP h"] * 3), "400"),
        (
            Limits(vias=3),
            options('v: SIP/2.0/UDP h;x="a,b", SIP/2.0/UDP h'),
            options("v: SIP/2.0/UDP h, SIP/2.0/UDP h, SIP/2.0/UDP h"),
            "400",
        ),
    ],
)
def test_what_fits_is_taken_and_one_more_is_refused(limits: Limits, fits: bytes, too_much: bytes, status: str) -> None:
    assert (answer(limits, fits), answer(limits, too_much)) == (["200"], [status])


@pytest.mark.parametrize(
    ("limits", "fits", "too_much"),
    [(Limits(parts=3), among(3), among(4)), (Limits(depth=2), nested(2), nested(3))],
)
def test_what_lies_beyond_the_bounds_of_a_multipart_body_is_not_seen(
    limits: Limits, fits: tuple[str, bytes], too_much: tuple[str, bytes]
) -> None:
    wire = Wire()
    bob, raw = Party(wire, "192.0.2.2", limits=limits), RawPeer(wire, "192.0.2.66")
    bob.add_direct_line("door")
    raw.request(bob, "INVITE", call_id="much", content_type=too_much[0], content=too_much[1])
    raw.request(bob, "INVITE", call_id="fits", content_type=fits[0], content=fits[1])
    wire.run(0.1)
    assert raw.words == ["415"]
    assert [(event.call, event.offer) for event in bob.events if isinstance(event, CallReceived)] == [("fits", OFFER)]
