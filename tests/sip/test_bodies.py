"""Bodies that can't be read (RFC 3261 §8.2.3): refused, unless they may be passed over."""

import pytest

from sip_bridge.sip.events import CallReceived
from tests.scenario import OFFER, Party, RawPeer, Wire


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_an_unknown_body_is_415_with_what_can_be_read(wire: Wire, bob: Party, raw: RawPeer, method: str) -> None:
    raw.request(bob, method, content=b"<x/>", content_type="application/x")
    wire.run(0.1)
    assert (raw.words, raw.last("415").get("accept")) == (["415"], "application/sdp")


def test_a_compressed_body_is_415_with_the_encodings(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER, headers=["Content-Encoding: gzip"])
    wire.run(0.1)
    assert (raw.words, raw.last("415").get("accept-encoding")) == (["415"], "identity")


def test_an_unknown_body_that_may_be_passed_over_is(wire: Wire, bob: Party, raw: RawPeer) -> None:
    optional = "Content-Disposition: session ; handling = optional"
    raw.request(bob, "INVITE", content=b"x", content_type="application/x", headers=[optional])
    wire.run(0.1)
    assert [event.offer for event in bob.told(CallReceived) if isinstance(event, CallReceived)] == [b""]


def test_an_identity_encoding_is_none(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER, headers=["Content-Encoding: identity"])
    wire.run(0.1)
    assert len(bob.told(CallReceived)) == 1
