"""Every request gets an answer (RFC 3261 §8.2): which one, and what it must say besides."""

import random
from collections.abc import Callable

import pytest

from sip_bridge.sip.capabilities import ALLOW, ALLOW_EVENTS
from sip_bridge.sip.endpoint import Endpoint
from sip_bridge.sip.events import Transmit
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from tests.scenario import OFFER, Party, RawPeer, Wire

Ask = Callable[[RawPeer, Party], None]
Words = tuple[str, str | None, str | None]


def wrong_version(raw: RawPeer, bob: Party) -> None:
    raw.send(
        "OPTIONS sip:door@192.0.2.2 SIP/7.0\nVia: SIP/7.0/UDP 192.0.2.66;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\n"
        "To: <sip:c@d>\nCall-ID: c\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n",
        bob,
    )


def last_hop(raw: RawPeer, bob: Party) -> None:
    raw.send(
        "OPTIONS sip:door@192.0.2.2 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\n"
        "To: <sip:c@d>\nCall-ID: c\nCSeq: 1 OPTIONS\nMax-Forwards: 0\nContent-Length: 0\n\n",
        bob,
    )


def twice(raw: RawPeer, bob: Party) -> None:
    raw.request(bob, "OPTIONS")
    raw.wire.run(0.1)
    raw.request(bob, "OPTIONS")


def given_up(raw: RawPeer, bob: Party) -> None:
    raw.request(bob, "INVITE", content=OFFER, branch="z9hG4bKgiven-up")
    raw.wire.run(0.1)
    raw.request(bob, "CANCEL", branch="z9hG4bKgiven-up")


def refused(status: SIPStatus) -> Ask:
    def ask(raw: RawPeer, bob: Party) -> None:
        raw.request(bob, "INVITE", content=OFFER)
        raw.wire.run(0.1)
        bob.do(bob.endpoint.reject, "raw-call", status)

    return ask


CASES: dict[str, tuple[Ask, Words]] = {
    "a method that is not for this address": (lambda r, b: r.request(b, "REGISTER"), ("405", "allow", ALLOW)),
    "a body of another type": (
        lambda r, b: r.request(b, "INVITE", content=b"x", content_type="image/png"),
        ("415", "accept", "application/sdp"),
    ),
    "a text of another type": (
        lambda r, b: r.request(b, "MESSAGE", content=b"x", content_type="image/png"),
        ("415", "accept", "text/plain, text/*"),
    ),
    "an address of another scheme": (lambda r, b: r.request(b, "OPTIONS", uri="mailto:a@b"), ("416", None, None)),
    "an extension that is required": (
        lambda r, b: r.request(b, "OPTIONS", headers=["Require: foo, bar"]),
        ("420", "unsupported", "foo, bar"),
    ),
    "a dialog that is not here": (lambda r, b: r.request(b, "BYE", to_tag="gone"), ("481", None, None)),
    "a transaction that is not here": (lambda r, b: r.request(b, "CANCEL"), ("481", None, None)),
    "a notification that nobody asked for": (
        lambda r, b: r.request(b, "NOTIFY", headers=["Event: dialog"]),
        ("481", None, None),
    ),
    "the same request by another way": (twice, ("482", None, None)),
    "the last hop allowed": (last_hop, ("200", None, None)),
    "a line that is busy": (refused(SIPStatus.BUSY_HERE), ("486", None, None)),
    "a caller who gave up": (given_up, ("487", None, None)),
    "an offer that does not do": (refused(SIPStatus.NOT_ACCEPTABLE_HERE), ("488", None, None)),
    "an event package that is not here": (
        lambda r, b: r.request(b, "SUBSCRIBE", headers=["Event: presence"]),
        ("489", "allow-events", ALLOW_EVENTS),
    ),
    "a method that nobody knows": (lambda r, b: r.request(b, "BLINK"), ("501", "allow", ALLOW)),
    "another version": (wrong_version, ("505", None, None)),
}


@pytest.mark.parametrize(("ask", "answer"), CASES.values(), ids=CASES.keys())
def test_every_request_gets_its_answer(wire: Wire, bob: Party, raw: RawPeer, ask: Ask, answer: Words) -> None:
    ask(raw, bob)
    wire.run(0.1)
    word, header, value = answer
    found = raw.last(word)
    assert (raw.words[-1], header and found.get(header)) == (word, value)


def test_a_bug_of_ours_is_answered_with_500_and_goes_on_to_whoever_logs_it(
    bob: Party, raw: RawPeer, wire: Wire
) -> None:
    chance = random.Random("bug")

    def broken(size: int) -> bytes:
        if size == 2:
            raise OSError("no entropy")
        return chance.randbytes(size)

    bob.endpoint = Endpoint(entropy=broken)
    bob.add_direct_line("door")
    raw.request(bob, "SUBSCRIBE", headers=["Event: dialog"])
    data = wire.sent[-1].data
    with pytest.raises(OSError, match="no entropy"):
        bob.endpoint.receive(data, bob.flow_to(raw.address), wire.now)
    (answer,) = [output for output in bob.endpoint.drain() if isinstance(output, Transmit)]
    assert SIPMessage(answer.data).status == SIPStatus.SERVER_INTERNAL_ERROR
    assert bob.endpoint.counters["bugs"] == 1
