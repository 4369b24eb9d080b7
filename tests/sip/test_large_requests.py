"""Requests that are too large for a datagram (RFC 3261 §18.1.1)."""

from sip_bridge.sip.client_request import MAX_DATAGRAM
from sip_bridge.sip.events import CallAnswered
from tests.scenario import ANSWER, OFFER, Party, Wire, assert_nothing_left

LARGE = OFFER + b"a=x:" + b"y" * 1000 + b"\r\n"


def transports(wire: Wire, method: str = "INVITE") -> list[str]:
    return [sent.message.via.transport for sent in wire.sent if sent.word == method]


def dial(wire: Wire, alice: Party, bob: Party, offer: bytes) -> str:
    call = alice.dial(bob, "alice", "door", offer)
    wire.run(0.1)
    return call


def test_a_small_request_goes_by_udp_and_a_large_one_by_tcp(wire: Wire, alice: Party, bob: Party) -> None:
    dial(wire, alice, bob, OFFER)
    dial(wire, alice, bob, LARGE)
    assert transports(wire) == ["UDP", "TCP"]
    contacts = [sent.message.contact for sent in wire.sent if sent.word == "INVITE"]
    assert contacts[0] == contacts[1]  # the peer's requests come as they always do


def test_the_bound_is_1300_bytes(wire: Wire, alice: Party, bob: Party) -> None:
    dial(wire, alice, bob, OFFER)
    room = MAX_DATAGRAM - len(wire.sent[0].data) - 1  # Content-Length gets a digit more
    wire.sent.clear()
    padding = len(b"a=x:\r\n")
    dial(wire, alice, bob, OFFER + b"a=x:" + b"y" * (room - padding) + b"\r\n")
    dial(wire, alice, bob, OFFER + b"a=x:" + b"y" * (room - padding + 1) + b"\r\n")
    assert [(len(sent.data), sent.message.via.transport) for sent in wire.sent if sent.word == "INVITE"] == [
        (1300, "UDP"),
        (1301, "TCP"),
    ]


def test_a_peer_without_tcp_gets_it_by_udp_after_all(wire: Wire, alice: Party, bob: Party) -> None:
    alice.has_streams = False
    call = dial(wire, alice, bob, LARGE)
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(0.1)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    assert transports(wire) == ["UDP"]
    alice.do(alice.endpoint.hangup, call)
    assert_nothing_left(wire, alice, bob)


def test_a_peer_without_tcp_is_not_asked_each_time(wire: Wire, alice: Party, bob: Party) -> None:
    alice.has_streams = False
    dial(wire, alice, bob, LARGE)
    alice.has_streams = True
    dial(wire, alice, bob, LARGE)
    wire.run(700)
    dial(wire, alice, bob, LARGE)
    assert [t for t in transports(wire) if t == "TCP"] == ["TCP"]
    assert transports(wire)[:2] == ["UDP", "UDP"]
