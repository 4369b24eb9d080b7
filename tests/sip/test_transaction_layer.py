"""Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3, §18.1.2), and who makes room for whom."""

import pytest

from sip_bridge.sip.events import CallAnswered, CallReceived, OptionsAnswered
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions import layer
from tests.scenario import OFFER, Party, RawPeer, Wire

ASKED = "sip:x@192.0.2.66"


def ask(wire: Wire, alice: Party) -> None:
    alice.endpoint.send_options("alice", ASKED, wire.now)
    alice.drain()
    wire.run(0.1)


@pytest.mark.parametrize(
    ("ours", "foreign"),
    [
        ("192.0.2.1:5060", "192.0.2.9:5060"),
        ("192.0.2.1:5060", "192.0.2.1:5061"),
        ("branch=z9hG4bK", "branch=z9hG4bK0"),
        ("1 OPTIONS", "1 INFO"),
        ("From: ", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK9\r\nFrom: "),
    ],
)
def test_a_response_for_another_sender_branch_or_method_or_for_two_is_dropped(
    wire: Wire, alice: Party, raw: RawPeer, ours: str, foreign: str
) -> None:
    ask(wire, alice)
    raw.respond(raw.last("OPTIONS"), 200)
    data = wire.sent.pop().data
    wire._queue.clear()
    raw.send(data.replace(ours.encode(), foreign.encode()), alice)
    wire.run(0.1)
    assert alice.endpoint.counters == {"stray_responses": 1}
    raw.send(data, alice)
    wire.run(0.1)
    assert len(alice.told(OptionsAnswered)) == 1


def test_a_response_by_another_address_of_the_peer_is_heard(wire: Wire, alice: Party, raw: RawPeer) -> None:
    """RFC 3261 matches by branch, method and sent-by only: a peer with two addresses may answer from the other."""
    ask(wire, alice)
    RawPeer(wire, "192.0.2.67").respond(raw.last("OPTIONS"), 200)
    wire.run(0.1)
    assert len(alice.told(OptionsAnswered)) == 1


@pytest.mark.parametrize(("sent", "copied"), [("54.3", "54.3"), ("54", "54"), ("54.3\0", None), ("x", None)])
def test_100_has_the_timestamp_of_the_invite(
    wire: Wire, bob: Party, raw: RawPeer, sent: str, copied: str | None
) -> None:
    raw.request(bob, "INVITE", content=OFFER, headers=[f"Timestamp: {sent}"])
    wire.run(0.3)
    assert [(message.status, message.get("timestamp")) for message in raw.received] == [(100, copied)]


def test_100_without_timestamp_has_none(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.3)
    assert [(message.status, message.get("timestamp")) for message in raw.received] == [(100, None)]


@pytest.mark.parametrize("branch", ["", ";branch=1", ";branch=z9hG4bK"])
def test_a_transaction_of_rfc_2543_is_known_by_everything_else(
    wire: Wire, bob: Party, raw: RawPeer, branch: str
) -> None:
    invite = (
        "INVITE sip:door@192.0.2.2 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.66\nFrom: <sip:old@192.0.2.66>;tag=1\n"
        "To: <sip:door@192.0.2.2>\nCall-ID: old\nCSeq: 1 INVITE\nContact: <sip:old@192.0.2.66>\n\n"
    ).replace("192.0.2.66\nFrom", f"192.0.2.66{branch}\nFrom")
    raw.send(invite, bob)
    raw.send(invite, bob)
    wire.run(0.1)
    bob.do(bob.endpoint.reject, "old", SIPStatus.BUSY_HERE)
    wire.run(0.1)
    ack = invite.replace("INVITE", "ACK").replace("192.0.2.2>\n", f"192.0.2.2>;tag={raw.last('486').to.tag}\n")
    raw.send(ack, bob)
    wire.run(10)
    assert raw.words == ["100", "486"]
    assert len(bob.told(CallReceived)) == 1
    raw.send(invite.replace("1 INVITE", "2 INVITE"), bob)
    wire.run(0.1)
    assert len(bob.told(CallReceived)) == 2


def test_a_cancelled_invite_that_goes_on_ringing_is_given_up_all_the_same(
    wire: Wire, alice: Party, raw: RawPeer
) -> None:
    call = alice.endpoint.invite("alice", ASKED, OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 180)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, call)
    for _ in range(4):
        wire.run(10)
        raw.respond(raw.last("INVITE"), 180)
    wire.run(0.1)
    assert (alice.endpoint.transactions, alice.endpoint.next_deadline) == (0, None)


# --- who makes room ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "MAX_TRANSACTIONS", 10)
    monkeypatch.setattr(layer, "MAX_OF_ONE_SOURCE", 5)


def flood(wire: Wire, bob: Party, peer: RawPeer, count: int, method: str = "OPTIONS") -> None:
    for number in range(count):
        peer.request(bob, method, call_id=f"{peer.address[0]}-{number}", branch=f"z9hG4bK-{number}")
    wire.run(0.1)


@pytest.mark.usefixtures("small")
def test_a_source_that_floods_pushes_out_its_own_transactions_only(wire: Wire, bob: Party, raw: RawPeer) -> None:
    door = RawPeer(wire, "192.0.2.68")
    flood(wire, bob, door, 1, "INVITE")
    bob.do(bob.endpoint.reject, "192.0.2.68-0", SIPStatus.BUSY_HERE)
    wire.run(0.1)
    flood(wire, bob, raw, 100)
    flood(wire, bob, door, 1, "INVITE")  # the same one: it is answered again, and no call begins
    assert bob.endpoint.transactions == 6
    assert (len(bob.told(CallReceived)), door.words[-1]) == (1, "486")


@pytest.mark.usefixtures("small")
def test_when_all_places_are_taken_who_comes_gives_up_its_own_first(wire: Wire, bob: Party, raw: RawPeer) -> None:
    other, door = RawPeer(wire, "192.0.2.67"), RawPeer(wire, "192.0.2.68")
    flood(wire, bob, door, 1, "INVITE")
    flood(wire, bob, raw, 5)
    flood(wire, bob, other, 100)
    assert bob.endpoint.transactions == 10
    flood(wire, bob, RawPeer(wire, "192.0.2.69"), 1)
    assert bob.endpoint.transactions == 10
    bob.do(bob.endpoint.ring, "192.0.2.68-0", SIPStatus.RINGING)
    flood(wire, bob, door, 1, "INVITE")
    assert door.words[-2:] == ["180", "180"]


@pytest.mark.usefixtures("small")
def test_a_source_whose_only_request_is_unanswered_pushes_out_what_others_have_finished(
    wire: Wire, bob: Party, raw: RawPeer
) -> None:
    other, door = RawPeer(wire, "192.0.2.67"), RawPeer(wire, "192.0.2.68")
    flood(wire, bob, raw, 5)
    flood(wire, bob, door, 1, "INVITE")
    flood(wire, bob, other, 5)
    door.request(bob, "INVITE", call_id="second", content=OFFER)
    wire.run(0.1)
    assert (bob.endpoint.transactions, bob.endpoint.calls) == (10, 2)
    bob.do(bob.endpoint.reject, "192.0.2.68-0", SIPStatus.BUSY_HERE)
    wire.run(0.1)
    assert door.words == ["100", "486"]


def test_requests_of_ours_make_room_too(
    monkeypatch: pytest.MonkeyPatch, wire: Wire, alice: Party, raw: RawPeer
) -> None:
    monkeypatch.setattr(layer, "MAX_TRANSACTIONS", 3)
    raw.on_request = lambda request: raw.respond(request, 200)
    for _ in range(5):
        ask(wire, alice)
    assert (alice.endpoint.transactions, len(alice.told(OptionsAnswered))) == (3, 5)
    assert alice.told(CallAnswered) == []
