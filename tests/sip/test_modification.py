"""Our own changes to a call: re-INVITE, UPDATE, glare and refusals (RFC 3261 §14.1, RFC 3311)."""

import pytest

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.events import (
    AnswerReceived,
    CallEnded,
    CallSignaled,
    EndCause,
    InfoAnswered,
    OfferNeeded,
    OfferReceived,
    OfferRefused,
)
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left

HOLD = OFFER + b"a=sendonly\r\n"
HELD = ANSWER + b"a=recvonly\r\n"


def hold(wire: Wire, party: Party, call: str) -> None:
    party.do(party.endpoint.modify, call)
    party.do(party.endpoint.send_offer, call, HOLD)
    wire.run(0.1)


@pytest.mark.parametrize("side", ["alice", "bob"])
def test_either_side_puts_the_other_on_hold(wire: Wire, alice: Party, bob: Party, call: str, side: str) -> None:
    holder, held = (alice, bob) if side == "alice" else (bob, alice)
    hold(wire, holder, call)
    assert held.told(OfferReceived) == [OfferReceived(call=call, offer=HOLD)]
    held.do(held.endpoint.accept_offer, call, HELD)
    wire.run(1)
    assert holder.told(AnswerReceived) == [AnswerReceived(call=call, answer=HELD)]
    assert wire.words == ["INVITE", "200", "ACK"]
    alice.do(alice.endpoint.hangup, call)
    assert_nothing_left(wire, alice, bob)


def test_an_offer_is_asked_for_once_and_sent_only_when_asked_for(wire: Wire, alice: Party, call: str) -> None:
    alice.do(alice.endpoint.modify, call)
    alice.do(alice.endpoint.modify, call)
    assert list(alice.events) == [OfferNeeded(call=call)]
    alice.do(alice.endpoint.send_offer, call, HOLD)
    with pytest.raises(InvalidStateError, match="did not ask"):
        alice.endpoint.send_offer(call, HOLD, wire.now)


def test_a_change_wanted_during_a_change_follows_it(wire: Wire, alice: Party, bob: Party, call: str) -> None:
    hold(wire, alice, call)
    alice.do(alice.endpoint.modify, call)
    bob.do(bob.endpoint.accept_offer, call, HELD)
    wire.run(0.1)
    assert alice.told(OfferNeeded) == [OfferNeeded(call=call)] * 2
    alice.do(alice.endpoint.send_offer, call, OFFER)
    wire.run(0.1)
    assert bob.told(OfferReceived)[-1] == OfferReceived(call=call, offer=OFFER)


def test_a_call_that_is_not_answered_can_not_be_changed(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    for party in (alice, bob):
        with pytest.raises(InvalidStateError, match="not answered"):
            party.endpoint.modify(call, wire.now)


def test_two_offers_that_cross_are_both_made_one_after_the_other(
    wire: Wire, alice: Party, bob: Party, call: str
) -> None:
    for party in (alice, bob):
        party.do(party.endpoint.modify, call)
        party.do(party.endpoint.send_offer, call, HOLD)
    started = wire.now
    wire.run(2.05)  # bob did not make the Call-ID: he tries again within 2 seconds
    assert wire.words.count("491") == 2
    assert (len(alice.told(OfferNeeded)), len(bob.told(OfferNeeded))) == (1, 2)
    bob.do(bob.endpoint.send_offer, call, HOLD)
    wire.run(0.05)
    alice.do(alice.endpoint.accept_offer, call, HELD)
    wire.run(started + 4.1 - wire.now)  # alice between 2.1 and 4 seconds
    assert len(alice.told(OfferNeeded)) == 2
    alice.do(alice.endpoint.send_offer, call, HOLD)
    wire.run(0.05)
    bob.do(bob.endpoint.accept_offer, call, HELD)
    wire.run(1)
    assert bob.told(AnswerReceived) == alice.told(AnswerReceived) == [AnswerReceived(call=call, answer=HELD)]


def test_the_owner_of_the_call_id_waits_longer(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    hold(wire, alice, raw_call)
    raw.respond(raw.last("INVITE"), 491)
    wire.run(2.0)
    assert len(alice.told(OfferNeeded)) == 1
    wire.run(2.2)
    assert len(alice.told(OfferNeeded)) == 2


def test_500_with_retry_after_is_tried_again_after_it(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    hold(wire, alice, raw_call)
    raw.respond(raw.last("INVITE"), 500, headers=["Retry-After: 5 (busy)"])
    wire.run(4.5)
    assert len(alice.told(OfferNeeded)) == 1
    wire.run(1)
    assert len(alice.told(OfferNeeded)) == 2


@pytest.mark.parametrize("status", [488, 500, 603])
def test_a_refused_offer_leaves_the_call_as_it_was(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, status: int
) -> None:
    hold(wire, alice, raw_call)
    raw.respond(raw.last("INVITE"), 100, to_tag=None)
    raw.respond(raw.last("INVITE"), status)
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK"]
    phrase = SIPStatus(status).phrase
    assert alice.told(OfferRefused) == [OfferRefused(call=raw_call, status=SIPStatus(status), phrase=phrase)]
    assert alice.endpoint.calls == 1


@pytest.mark.parametrize("status", [408, 481])
def test_a_change_that_the_peer_knows_no_call_for_ends_it(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, status: int
) -> None:
    hold(wire, alice, raw_call)
    raw.respond(raw.last("INVITE"), status)
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK", "BYE"]
    end = alice.told(CallEnded)[0]
    assert isinstance(end, CallEnded)
    assert (end.cause, end.status) == (EndCause.TIMEOUT, SIPStatus(status))


def test_a_change_that_nobody_answers_ends_the_call(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    hold(wire, alice, raw_call)
    wire.run(40)
    assert "BYE" in raw.words
    end = alice.told(CallEnded)[0]
    assert isinstance(end, CallEnded)
    assert end.cause is EndCause.TIMEOUT


def test_a_repeated_200_is_acknowledged_again(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    hold(wire, alice, raw_call)
    for _ in range(3):
        raw.respond(raw.last("INVITE"), 200, content=HELD, contact="<sip:raw@192.0.2.66:5070>")
        wire.run(0.1)
    assert (raw.words, len(alice.told(AnswerReceived))) == (["INVITE"], 1)  # the ACKs go to the new contact
    assert [sent.destination[1] for sent in wire.sent if sent.word == "ACK"][-3:] == [5070] * 3


def test_a_200_that_comes_after_the_end_is_acknowledged(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    hold(wire, alice, raw_call)
    alice.do(alice.endpoint.hangup, raw_call)
    raw.respond(raw.last("INVITE"), 200, content=HELD)
    wire.run(0.1)
    assert raw.words == ["INVITE", "BYE", "ACK"]


def test_a_refusal_that_comes_after_the_end_is_of_no_interest(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str
) -> None:
    hold(wire, alice, raw_call)
    alice.do(alice.endpoint.hangup, raw_call)
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 487)
    raw.respond(raw.last("BYE"), 200)
    wire.run(0.1)
    assert (raw.words, alice.told(OfferRefused)) == (["INVITE", "BYE", "ACK"], [])
    assert_nothing_left(wire, alice)


def test_our_change_waits_until_theirs_is_answered_and_acknowledged(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    tag = raw.last("200").to.tag
    raw.request(bob, "ACK", to_tag=tag)
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=HOLD)
    wire.run(0.1)
    bob.do(bob.endpoint.modify, "raw-call")
    assert bob.told(OfferNeeded) == []
    bob.do(bob.endpoint.accept_offer, "raw-call", HELD)
    wire.run(0.1)
    assert bob.told(OfferNeeded) == []
    raw.request(bob, "ACK", to_tag=tag, seq=2)
    wire.run(0.1)
    assert bob.told(OfferNeeded) == [OfferNeeded(call="raw-call")]


def test_the_peer_may_be_quicker_than_the_application(wire: Wire, bob: Party, alice: Party, call: str) -> None:
    bob.do(bob.endpoint.modify, call)
    alice.do(alice.endpoint.modify, call)
    alice.do(alice.endpoint.send_offer, call, HOLD)
    wire.run(0.1)
    bob.do(bob.endpoint.send_offer, call, HOLD)  # asked for before alice's came: it is asked for again
    wire.run(0.1)
    assert wire.words == ["INVITE"]
    bob.do(bob.endpoint.accept_offer, call, HELD)
    wire.run(0.1)
    assert len(bob.told(OfferNeeded)) == 2


def test_an_offer_while_ours_is_open_is_491_for_invite_and_update(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str
) -> None:
    hold(wire, alice, raw_call)
    tag = raw.last("INVITE").from_.tag
    for seq, method in enumerate(["INVITE", "UPDATE"], 1):
        raw.request(alice, method, to_tag=tag, call_id=raw_call, seq=seq, content=HOLD)
        wire.run(0.1)
    assert raw.words == ["INVITE", "491", "491"]


def test_a_provisional_response_to_a_change_that_wants_it_gets_prack_once(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str
) -> None:
    hold(wire, alice, raw_call)
    invite = raw.last("INVITE")
    for rseq in (7, 7, 8):
        raw.respond(invite, 183, headers=["Require: 100rel", f"RSeq: {rseq}"])
        wire.run(0.1)
    racks = [message.get("rack") for message in raw.received if message.method == "PRACK"]
    assert racks == [f"7 {invite.cseq.number} INVITE", f"8 {invite.cseq.number} INVITE"]


def test_a_longer_session_interval_is_asked_for_if_the_peer_wants_it(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str
) -> None:
    hold(wire, alice, raw_call)
    raw.respond(raw.last("INVITE"), 422, headers=["Min-SE: 3600"])
    wire.run(0.1)
    alice.do(alice.endpoint.send_offer, raw_call, HOLD)
    wire.run(0.1)
    again = raw.last("INVITE")
    assert (again.get("session-expires"), again.get("min-se")) == ("3600", "3600")


def test_a_change_that_nobody_answers_after_the_end_changes_nothing(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str
) -> None:
    hold(wire, alice, raw_call)
    alice.do(alice.endpoint.hangup, raw_call)
    assert_nothing_left(wire, alice)
    assert len(alice.told(CallEnded)) == 1


# --- INFO ---


def test_an_info_and_its_outcome(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    alice.do(alice.endpoint.send_info, raw_call, "application/dtmf-relay", b"Signal=5")
    wire.run(0.1)
    info = raw.last("INFO")
    assert (info.content_type, info.content) == ("application/dtmf-relay", b"Signal=5")
    raw.respond(info, 100, to_tag=None)
    raw.respond(info, 415)
    wire.run(0.1)
    assert list(alice.events) == [
        CallSignaled(call=raw_call, origin="local", method="INFO"),
        InfoAnswered(call=raw_call, status=SIPStatus.UNSUPPORTED_MEDIA_TYPE),
    ]


def test_an_info_that_nobody_answers_leaves_the_call(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    alice.do(alice.endpoint.send_info, raw_call, "text/plain", b"x")
    wire.run(40)
    assert list(alice.told(InfoAnswered)) == [InfoAnswered(call=raw_call, status=SIPStatus.REQUEST_TIMEOUT)]


def test_an_info_that_the_peer_knows_no_call_for_ends_it(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    alice.do(alice.endpoint.send_info, raw_call, "text/plain", b"x")
    wire.run(0.1)
    raw.respond(raw.last("INFO"), 481)
    wire.run(0.1)
    assert (len(alice.told(InfoAnswered)), len(alice.told(CallEnded))) == (1, 1)


@pytest.mark.parametrize("is_answered", [True, False])
def test_what_becomes_of_an_info_after_the_end_is_of_no_interest(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, is_answered: bool
) -> None:
    alice.do(alice.endpoint.send_info, raw_call, "text/plain", b"x")
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, raw_call)
    answers = [raw.last("INFO")] if is_answered else []
    for request in answers:
        raw.respond(request, 200)
    wire.run(40)
    assert alice.told(InfoAnswered) == []


def test_a_prack_in_a_call_of_ours_gets_481(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    tag = alice.endpoint._core.sessions[raw_call]._local_tag
    raw.request(alice, "PRACK", to_tag=tag, call_id=raw_call, seq=1, headers=["RAck: 1 1 INVITE"])
    wire.run(0.1)
    assert raw.words == ["481"]


def test_every_bye_of_ours_says_why(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    alice.do(alice.endpoint.hangup, raw_call)
    wire.run(0.1)
    assert raw.last("BYE").get("reason") == 'Q.850;cause=16;text="Normal call clearing"'


def test_a_bye_to_a_peer_that_knows_the_call_no_more_says_so(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str
) -> None:
    hold(wire, alice, raw_call)
    raw.respond(raw.last("INVITE"), 481)
    wire.run(0.1)
    assert raw.last("BYE").get("reason") == 'SIP;cause=481;text="Call/Transaction Does Not Exist"'


def test_a_change_wanted_before_the_ack_waits_for_it(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    bob.do(bob.endpoint.modify, "raw-call")
    wire.run(0.1)
    assert bob.told(OfferNeeded) == []
    raw.request(bob, "ACK", to_tag=raw.last("200").to.tag)
    wire.run(0.1)
    assert bob.told(OfferNeeded) == [OfferNeeded(call="raw-call")]


def test_what_is_to_be_sent_before_the_ack_waits_for_it(wire: Wire, bob: Party, raw: RawPeer) -> None:
    """It could overtake the 200, and the caller would know no such call."""
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    bob.do(bob.endpoint.send_info, "raw-call", "text/plain", b"x")
    bob.do(bob.endpoint.transfer, "raw-call", "sip:carol@192.0.2.3")
    with pytest.raises(InvalidStateError, match="already"):
        bob.endpoint.transfer("raw-call", "sip:dave@192.0.2.3", wire.now)
    wire.run(0.1)
    assert raw.words == ["200"]
    raw.request(bob, "ACK", to_tag=raw.last("200").to.tag)
    wire.run(0.1)
    assert raw.words == ["200", "INFO", "REFER"]


def test_a_change_that_is_never_answered_ends_soon_after_the_call(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str
) -> None:
    """The peer says 100, and forgets its 200 once it has our BYE."""
    hold(wire, alice, raw_call)
    raw.respond(raw.last("INVITE"), 100)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, raw_call)
    wire.run(0.1)
    raw.respond(raw.last("BYE"), 200)
    assert_nothing_left(wire, alice)
