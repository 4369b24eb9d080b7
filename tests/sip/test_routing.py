"""Where requests go: Record-Route and Route (RFC 3261 §12), several addresses (RFC 3263 §4.3), Via (RFC 3581)."""

import pytest

from sip_bridge.errors import LocalProtocolError
from sip_bridge.sip.events import CallAnswered, CallEnded, EndCause
from sip_bridge.sip.failover import AVOID_FOR, MAX_AVOIDED
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.uri import SIPURI
from tests.scenario import ANSWER, OFFER, PBX, Party, RawPeer, Wire, assert_nothing_left, established

LOOSE = ["Record-Route: <sip:192.0.2.71;lr>, <sip:192.0.2.72;lr>", "Record-Route: <sip:192.0.2.73;lr>"]
STRICT = ["Record-Route: <sip:192.0.2.71>, <sip:192.0.2.72;lr>", "Record-Route: <sip:192.0.2.73>"]


def hung_up_by_callee(wire: Wire, bob: Party, raw: RawPeer, headers: list[str]) -> None:
    raw.request(bob, "INVITE", content=OFFER, headers=headers)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    raw.request(bob, "ACK", to_tag=raw.last("200").to.tag)
    wire.run(0.1)
    bob.do(bob.endpoint.hangup, "raw-call")


def hung_up_by_caller(wire: Wire, alice: Party, raw: RawPeer, headers: list[str]) -> None:
    call = alice.endpoint.invite("alice", "sip:x@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 200, content=ANSWER, headers=headers)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, call)


def test_a_callee_loose_routes_in_the_order_of_record_route(wire: Wire, bob: Party, raw: RawPeer) -> None:
    hung_up_by_callee(wire, bob, raw, LOOSE)
    bye = wire.sent[-1]
    assert (bye.word, bye.message.uri, bye.destination) == ("BYE", "sip:raw@192.0.2.66:5060", ("192.0.2.71", 5060))
    assert bye.message.items("route") == ["<sip:192.0.2.71;lr>", "<sip:192.0.2.72;lr>", "<sip:192.0.2.73;lr>"]


def test_a_callee_copies_record_route_into_its_200(wire: Wire, bob: Party, raw: RawPeer) -> None:
    hung_up_by_callee(wire, bob, raw, LOOSE)
    assert raw.last("200").items("record-route") == [
        "<sip:192.0.2.71;lr>",
        "<sip:192.0.2.72;lr>",
        "<sip:192.0.2.73;lr>",
    ]


def test_a_callee_strict_routes_with_the_target_last(wire: Wire, bob: Party, raw: RawPeer) -> None:
    hung_up_by_callee(wire, bob, raw, STRICT)
    bye = wire.sent[-1]
    assert (bye.message.uri, bye.destination) == ("sip:192.0.2.71", ("192.0.2.71", 5060))
    assert bye.message.items("route") == ["<sip:192.0.2.72;lr>", "<sip:192.0.2.73>", "<sip:raw@192.0.2.66:5060>"]


def test_a_caller_loose_routes_in_reverse_order_with_ack_and_bye(wire: Wire, alice: Party, raw: RawPeer) -> None:
    hung_up_by_caller(wire, alice, raw, LOOSE)
    for sent in wire.sent[-2:]:
        assert (sent.message.uri, sent.destination) == ("sip:raw@192.0.2.66:5060", ("192.0.2.73", 5060))
        assert sent.message.items("route") == ["<sip:192.0.2.73;lr>", "<sip:192.0.2.72;lr>", "<sip:192.0.2.71;lr>"]
    assert wire.words[-2:] == ["ACK", "BYE"]


def test_a_caller_strict_routes_with_the_target_last(wire: Wire, alice: Party, raw: RawPeer) -> None:
    hung_up_by_caller(wire, alice, raw, STRICT)
    for sent in wire.sent[-2:]:
        assert (sent.message.uri, sent.destination) == ("sip:192.0.2.73", ("192.0.2.73", 5060))
        assert sent.message.items("route") == ["<sip:192.0.2.72;lr>", "<sip:192.0.2.71>", "<sip:raw@192.0.2.66:5060>"]


def test_without_record_route_requests_go_to_the_contact(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER, contact="<sip:me@192.0.2.68:5070;x=1>")
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    raw.request(bob, "ACK", to_tag=raw.last("200").to.tag)
    wire.run(0.1)
    bob.do(bob.endpoint.hangup, "raw-call")
    bye = wire.sent[-1]
    assert (bye.message.uri, bye.destination) == ("sip:me@192.0.2.68:5070;x=1", ("192.0.2.68", 5070))
    assert bye.message.get("route") is None


def test_a_registered_line_calls_its_domain_through_its_proxy_with_a_route(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    proxy = SIPURI(host="192.0.2.80", port=5070, params=(("lr", None),))
    carol.add_registered_line("620", outbound_proxy=proxy)
    carol.endpoint.invite("620", "200", OFFER, wire.now)
    carol.drain()
    invite = wire.sent[-1]
    assert (invite.message.uri, invite.destination) == ("sip:200@192.0.2.100", ("192.0.2.80", 5070))
    assert invite.message.items("route") == ["<sip:192.0.2.80:5070;lr>"]
    assert carol.endpoint.first_hop("620", "200") == Hop(host="192.0.2.80", port=5070)


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        ("200", "sip:200@192.0.2.100"),
        ("+49 30 123", "sip:+4930123@192.0.2.100"),
        ("tel:*21#", "sip:*21%23@192.0.2.100"),
        ("sip:bob@192.0.2.100", "sip:bob@192.0.2.100"),
        ("SIPS:bob@192.0.2.200", "sips:bob@192.0.2.200"),
    ],
)
def test_a_dialled_text_becomes_a_request_uri(wire: Wire, target: str, uri: str) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    carol.endpoint.invite("620", target, OFFER, wire.now)
    carol.drain()
    assert wire.sent[-1].message.uri == uri


def test_a_registered_line_names_itself_by_its_domain_and_a_direct_one_by_its_address(wire: Wire, alice: Party) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    carol.endpoint.invite("620", "200", OFFER, wire.now)
    carol.drain()
    assert wire.sent[-1].message.from_.uri == "sip:620@192.0.2.100"
    alice.endpoint.invite("alice", "sip:x@192.0.2.66", OFFER, wire.now)
    alice.drain()
    assert wire.sent[-1].message.from_.uri == "sip:alice@192.0.2.1"


def test_an_unresolvable_hop_ends_the_call_as_unreachable(wire: Wire, alice: Party) -> None:
    call = alice.endpoint.invite("alice", "sip:x@nowhere.invalid", OFFER, wire.now)
    alice.drain()
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.UNREACHABLE)]
    assert_nothing_left(wire, alice)


def test_after_a_time_out_the_second_address_is_tried(wire: Wire, alice: Party, raw: RawPeer) -> None:
    alice.hosts["pair.example"] = (("192.0.2.99", 5060), raw.address)
    raw.on_request = lambda request: raw.respond(request, 200, content=ANSWER) if request.method == "INVITE" else None
    call = alice.endpoint.invite("alice", "sip:x@pair.example", OFFER, wire.now)
    alice.drain()
    wire.run(33)
    invites = [sent.message for sent in wire.sent if sent.word == "INVITE"]
    assert len({invite.via.branch for invite in invites}) == 2
    assert (invites[0].cseq.number, invites[-1].cseq.number) == (1, 2)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]


def test_after_503_the_second_address_is_tried_and_the_last_answer_counts(
    wire: Wire, alice: Party, raw: RawPeer
) -> None:
    second = RawPeer(wire, "192.0.2.99")
    alice.hosts["pair.example"] = (raw.address, second.address)
    raw.on_request = lambda request: raw.respond(request, 503)
    second.on_request = lambda request: second.respond(request, 503)
    alice.endpoint.invite("alice", "sip:x@pair.example", OFFER, wire.now)
    alice.drain()
    wire.run(1)
    assert (raw.words, second.words) == (["INVITE", "ACK"], ["INVITE", "ACK"])
    (ended,) = [event for event in alice.events if isinstance(event, CallEnded)]
    assert (ended.cause, ended.status) == (EndCause.REJECTED, 503)
    assert_nothing_left(wire, alice)


def test_a_failed_transport_tries_the_second_address_and_then_gives_up(wire: Wire, alice: Party, raw: RawPeer) -> None:
    alice.hosts["pair.example"] = (("192.0.2.99", 5060), raw.address)
    call = alice.endpoint.invite("alice", "sip:x@pair.example", OFFER, wire.now)
    alice.drain()
    alice.do(alice.endpoint.transport_failed, alice.flow_to(("192.0.2.99", 5060)))
    wire.run(0.1)
    assert raw.words == ["INVITE"]
    alice.do(alice.endpoint.transport_failed, alice.flow_to(raw.address))
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.UNREACHABLE)]
    assert_nothing_left(wire, alice)


def called_first(wire: Wire, alice: Party) -> list[tuple[str, int]]:
    """Where the INVITE of a new call to pair.example goes within a moment."""
    before = len(wire.sent)
    call = alice.endpoint.invite("alice", "sip:x@pair.example", OFFER, wire.now)
    alice.drain()
    alice.do(alice.endpoint.hangup, call)
    return [sent.destination for sent in wire.sent[before:]]


def test_a_server_that_did_not_answer_is_asked_last_for_ten_minutes(wire: Wire, alice: Party, raw: RawPeer) -> None:
    dead = ("192.0.2.99", 5060)
    alice.hosts["pair.example"] = (dead, raw.address)
    raw.on_request = lambda request: raw.respond(request, 486)
    alice.endpoint.invite("alice", "sip:x@pair.example", OFFER, wire.now)
    alice.drain()
    wire.run(33)
    assert called_first(wire, alice) == [raw.address]
    wire.run(AVOID_FOR)
    assert called_first(wire, alice) == [dead]


def test_when_every_server_failed_the_first_is_the_first_again(wire: Wire, alice: Party, raw: RawPeer) -> None:
    alice.hosts["pair.example"] = (("192.0.2.99", 5060), ("192.0.2.98", 5060))
    alice.endpoint.invite("alice", "sip:x@pair.example", OFFER, wire.now)
    alice.drain()
    wire.run(65)
    assert called_first(wire, alice) == [("192.0.2.99", 5060)]


def test_servers_to_avoid_are_bounded(wire: Wire, alice: Party, raw: RawPeer) -> None:
    dead = [(f"198.51.100.{number}", 5060) for number in range(MAX_AVOIDED + 1)]
    alice.hosts["many.example"] = tuple(dead)
    alice.endpoint.invite("alice", "sip:x@many.example", OFFER, wire.now)
    alice.drain()
    for address in dead:
        alice.do(alice.endpoint.transport_failed, alice.flow_to(address))
    alice.hosts["pair.example"] = (dead[1], raw.address)
    assert called_first(wire, alice) == [raw.address]
    alice.hosts["pair.example"] = (dead[0], raw.address)
    assert called_first(wire, alice) == [dead[0]]


def test_a_failed_transport_of_others_changes_nothing(wire: Wire, alice: Party, raw: RawPeer) -> None:
    alice.endpoint.invite("alice", "sip:x@192.0.2.66", OFFER, wire.now)
    alice.drain()
    alice.do(alice.endpoint.transport_failed, alice.flow_to(("192.0.2.99", 5060)))
    assert (alice.endpoint.calls, alice.told(CallEnded)) == (1, [])


def test_a_failed_cancel_is_forgotten(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.3)
    alice.do(alice.endpoint.hangup, call)
    alice.do(alice.endpoint.transport_failed, alice.flow_to(bob.address))
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]
    assert alice.endpoint.transactions == 0


TWO_VIAS = "door.local;received=1.2.3.4;RPort;branch=z9hG4bKa, SIP/2.0/TCP [2001:db8::1];branch=b"
TWO_VIAS_STAMPED = "door.local;branch=z9hG4bKa;received=192.0.2.66;rport=5060, SIP/2.0/TCP [2001:db8::1];branch=b"


@pytest.mark.parametrize(
    ("via", "answer"),
    [
        ("192.0.2.66:5060;branch=z9hG4bKa", ("192.0.2.66:5060;branch=z9hG4bKa", 5060)),
        ("192.0.2.66:5099;branch=z9hG4bKa", ("192.0.2.66:5099;branch=z9hG4bKa", 5099)),
        ("10.0.0.1:5099;branch=z9hG4bKa", ("10.0.0.1:5099;branch=z9hG4bKa;received=192.0.2.66", 5099)),
        (
            "10.0.0.1:5099;rport;branch=z9hG4bKa",
            ("10.0.0.1:5099;branch=z9hG4bKa;received=192.0.2.66;rport=5060", 5060),
        ),
        (TWO_VIAS, (TWO_VIAS_STAMPED, 5060)),
    ],
)
def test_responses_go_where_via_and_source_say(
    wire: Wire, bob: Party, raw: RawPeer, via: str, answer: tuple[str, int]
) -> None:
    raw.send(
        f"OPTIONS sip:door@192.0.2.2 SIP/2.0\nVia: SIP/2.0/UDP {via}\nVia: SIP/2.0/UDP h;branch=last\n"
        "From: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: c\nCSeq: 1 OPTIONS\n\n",
        bob,
    )
    wire.run(0.02)
    stamped, port = answer
    sent = wire.sent[-1]
    assert sent.message.get_all("via") == [f"SIP/2.0/UDP {stamped}", "SIP/2.0/UDP h;branch=last"]
    assert sent.destination == ("192.0.2.66", port)


def test_over_tcp_contact_and_via_say_so_and_nothing_is_retransmitted(wire: Wire, alice: Party) -> None:
    flow = Flow(transport="TCP", local=("192.0.2.1", 5060), remote=PBX_ADDRESS, connection=1)
    alice.resolves = False
    alice.endpoint.invite("alice", "sip:x@192.0.2.100;transport=tcp", OFFER, wire.now)
    alice.drain()
    assert alice.unresolved == [Hop(host="192.0.2.100", transport="TCP")]
    alice.do(alice.endpoint.resolved, alice.unresolved[0], (flow,))
    wire.run(20)
    invite = wire.sent[0].message
    assert wire.words == ["INVITE"]
    assert (invite.via.transport, invite.get("contact")) == ("TCP", "<sip:alice@192.0.2.1:5060;transport=tcp>")


PBX_ADDRESS = (PBX.host, 5060)


@pytest.mark.parametrize("target", ["", " ", "bob@example.com", "<200>", "20:0", 'a"b'])
def test_what_is_no_number_can_not_be_dialled(wire: Wire, target: str) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    with pytest.raises(LocalProtocolError):
        carol.endpoint.invite("620", target, OFFER, wire.now)


def test_a_failed_transport_does_not_end_an_answered_call(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    assert not alice.endpoint.has_open_requests
    alice.do(alice.endpoint.transport_failed, alice.flow_to(bob.address))
    assert (alice.endpoint.calls, alice.told(CallEnded)) == (1, [])
    alice.do(alice.endpoint.hangup, call)
    alice.do(alice.endpoint.transport_failed, alice.flow_to(bob.address))
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]


@pytest.mark.parametrize("target", ["200", "sip:200@PBX.example", "sip:200@pbx.example"])
def test_the_domain_is_compared_without_case(target: str) -> None:
    carol = Party(Wire(), "192.0.2.3")
    carol.add_registered_line("620", registrar=Hop(host="PBX.example"))
    assert carol.endpoint.first_hop("620", target) == Hop(host="PBX.example")
    assert carol.endpoint.first_hop("620", "sip:200@192.0.2.66") == Hop(host="192.0.2.66")
