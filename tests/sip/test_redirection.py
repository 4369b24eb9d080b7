"""Redirected calls (RFC 3261 §8.1.3.4), and offers that are left to the peer (§13.2.1)."""

import pytest

from sip_bridge.sip.events import CallAnswered, CallEnded, EndCause, OfferReceived
from sip_bridge.sip.redirection import MAX_REDIRECTIONS
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left


@pytest.fixture
def second(wire: Wire) -> RawPeer:
    return RawPeer(wire, "192.0.2.67")


def dial(wire: Wire, alice: Party, offer: bytes = OFFER) -> str:
    call = alice.endpoint.invite("alice", "sip:door@192.0.2.66", offer, wire.now)
    alice.drain()
    wire.run(0.1)
    return call


def ended(alice: Party) -> tuple[EndCause, SIPStatus | None]:
    events = alice.told(CallEnded)
    assert len(events) == 1
    assert isinstance(events[0], CallEnded)
    return events[0].cause, events[0].status


def test_a_redirected_call_goes_on_at_the_contact(wire: Wire, alice: Party, raw: RawPeer, second: RawPeer) -> None:
    call = dial(wire, alice)
    first = raw.last("INVITE")
    raw.respond(first, 302, contact="<sip:desk@192.0.2.67;method=INVITE?Subject=x>")
    wire.run(0.1)
    invite = second.last("INVITE")
    assert (invite.uri, invite.cseq.number, invite.call_id) == ("sip:desk@192.0.2.67", 2, first.call_id)
    assert (invite.get("to"), invite.get("from")) == (first.get("to"), first.get("from"))
    assert invite.via.branch != first.via.branch
    assert raw.words == ["INVITE", "ACK"]
    second.respond(invite, 200, content=ANSWER, contact="<sip:desk@192.0.2.67>")
    wire.run(0.1)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.1)
    second.respond(second.last("BYE"), 200)
    assert_nothing_left(wire, alice)


def test_contacts_are_tried_by_q_until_one_takes_the_call(
    wire: Wire, alice: Party, raw: RawPeer, second: RawPeer
) -> None:
    call = dial(wire, alice)
    contacts = (
        "<sip:c@192.0.2.67>;q=0.1, <tel:+49>, <sip:a@192.0.2.67>, <sip:b@192.0.2.67>;q=0.5, <sip:d@192.0.2.67>;q=x"
    )
    raw.respond(raw.last("INVITE"), 300, contact=contacts)
    wire.run(0.1)
    second.respond(second.last("INVITE"), 486)
    wire.run(0.1)
    second.respond(second.last("INVITE"), 404)
    wire.run(0.1)
    second.respond(second.last("INVITE"), 200, content=ANSWER)
    wire.run(0.1)
    tried = [message.uri for message in second.received if message.method == "INVITE"]
    assert tried == ["sip:a@192.0.2.67", "sip:d@192.0.2.67", "sip:b@192.0.2.67"]
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]


def test_a_603_ends_the_search(wire: Wire, alice: Party, raw: RawPeer, second: RawPeer) -> None:
    dial(wire, alice)
    raw.respond(raw.last("INVITE"), 300, contact="<sip:a@192.0.2.67>, <sip:b@192.0.2.67>")
    wire.run(0.1)
    second.respond(second.last("INVITE"), 603)
    wire.run(0.1)
    assert (second.words, ended(alice)) == (["INVITE", "ACK"], (EndCause.REJECTED, SIPStatus.DECLINE))


def test_a_target_that_nobody_answers_gives_way_to_the_next(
    wire: Wire, alice: Party, raw: RawPeer, second: RawPeer
) -> None:
    dial(wire, alice)
    raw.respond(raw.last("INVITE"), 300, contact="<sip:a@nowhere.example>, <sip:b@192.0.2.67>")
    wire.run(0.1)
    assert second.words == ["INVITE"]


def test_who_is_sent_round_in_circles_stops(wire: Wire, alice: Party, raw: RawPeer) -> None:
    dial(wire, alice)
    raw.respond(raw.last("INVITE"), 302, contact="<sip:door@192.0.2.66>")
    wire.run(0.1)
    assert (raw.words, ended(alice)) == (["INVITE", "ACK"], (EndCause.REJECTED, SIPStatus.MOVED_TEMPORARILY))


def test_only_so_many_redirections_are_followed(wire: Wire, alice: Party, raw: RawPeer) -> None:
    dial(wire, alice)
    for number in range(MAX_REDIRECTIONS + 1):
        raw.respond(raw.last("INVITE"), 302, contact=f"<sip:{number}@192.0.2.66>")
        wire.run(0.1)
    assert raw.words.count("INVITE") == MAX_REDIRECTIONS + 1
    assert ended(alice) == (EndCause.REJECTED, SIPStatus.MOVED_TEMPORARILY)


def test_a_redirection_to_where_we_may_not_call_is_not_followed(wire: Wire, alice: Party, raw: RawPeer) -> None:
    asked: list[SIPURI] = []

    def refuses(uri: SIPURI) -> bool:
        asked.append(uri)
        return False

    alice.endpoint.invite("alice", "sip:door@192.0.2.66", OFFER, wire.now, allows=refuses)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 302, contact="<sip:+1900@192.0.2.66>")
    wire.run(0.1)
    assert [uri.user for uri in asked] == ["+1900"]
    assert (raw.words, ended(alice)) == (["INVITE", "ACK"], (EndCause.REJECTED, SIPStatus.MOVED_TEMPORARILY))


def test_giving_up_during_a_redirection_ends_it(wire: Wire, alice: Party, raw: RawPeer, second: RawPeer) -> None:
    call = dial(wire, alice)
    raw.respond(raw.last("INVITE"), 180)
    raw.respond(raw.last("INVITE"), 302, contact="<sip:a@192.0.2.67>")
    wire.run(0.1)
    second.respond(second.last("INVITE"), 180)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.1)
    second.respond(second.last("CANCEL"), 200)
    second.respond(second.last("INVITE"), 487)
    wire.run(0.1)
    assert (raw.words, second.words) == (["INVITE", "ACK"], ["INVITE", "CANCEL", "ACK"])
    assert_nothing_left(wire, alice)


def test_what_the_first_target_says_late_is_of_no_interest(
    wire: Wire, alice: Party, raw: RawPeer, second: RawPeer
) -> None:
    dial(wire, alice)
    invite = raw.last("INVITE")
    raw.respond(invite, 302, contact="<sip:a@192.0.2.67>")
    wire.run(0.1)
    raw.respond(invite, 180)
    raw.respond(invite, 486)
    wire.run(0.1)
    assert (alice.endpoint.calls, second.words) == (1, ["INVITE"])


# --- without an offer of ours ---


def test_the_ack_answers_the_offer_of_the_200(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call = dial(wire, alice, offer=b"")
    invite = raw.last("INVITE")
    assert (invite.content, invite.get("content-type")) == (b"", None)
    raw.respond(invite, 200, content=OFFER)
    wire.run(0.1)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=b"")]
    assert alice.told(OfferReceived) == [OfferReceived(call=call, offer=OFFER)]
    assert raw.words == ["INVITE"]
    alice.do(alice.endpoint.accept_offer, call, ANSWER)
    raw.respond(invite, 200, content=OFFER)
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK", "ACK"]
    assert (raw.last("ACK").session_description, raw.last("ACK").content_type) == (ANSWER, "application/sdp")


def test_an_offer_in_the_200_that_does_not_fit_ends_the_call(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call = dial(wire, alice, offer=b"")
    raw.respond(raw.last("INVITE"), 200, content=OFFER)
    wire.run(0.1)
    alice.do(alice.endpoint.refuse_offer, call, SIPStatus.NOT_ACCEPTABLE_HERE)
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK", "BYE"]


def test_hanging_up_with_the_offer_of_the_200_unanswered_acknowledges_it(
    wire: Wire, alice: Party, raw: RawPeer
) -> None:
    call = dial(wire, alice, offer=b"")
    raw.respond(raw.last("INVITE"), 200, content=OFFER)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK", "BYE"]


def test_two_of_us_leave_the_offer_to_the_callee(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door", b"")
    wire.run(0.1)
    bob.do(bob.endpoint.answer, call, OFFER)
    wire.run(0.1)
    alice.do(alice.endpoint.accept_offer, call, ANSWER)
    wire.run(0.1)
    assert wire.words == ["INVITE", "200", "ACK"]
    alice.do(alice.endpoint.hangup, call)
    assert_nothing_left(wire, alice, bob)
