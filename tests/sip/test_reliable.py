"""Provisional responses that PRACK acknowledges (RFC 3262), sent and received."""

import pytest

from sip_bridge.errors import InvalidStateError, RemoteProtocolError
from sip_bridge.sip.events import (
    AnswerReceived,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallProgressed,
    EndCause,
    OfferNeeded,
    OfferReceived,
)
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.reliable import MAX_QUEUED, RAck
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left

RINGING, PROGRESS = SIPStatus.RINGING, SIPStatus.SESSION_PROGRESS
REQUIRED, SUPPORTED = "Require: 100rel", "Supported: 100rel"
OTHER = OFFER.replace(b"10000", b"10002")


def ringing(wire: Wire, bob: Party, raw: RawPeer, *headers: str, offer: bytes = OFFER) -> None:
    raw.request(bob, "INVITE", content=offer, headers=headers)
    wire.run(0.05)


def prack(raw: RawPeer, bob: Party, response: SIPMessage, *, seq: int = 2, content: bytes = b"") -> None:
    headers = [f"RAck: {response.get('rseq')} 1 INVITE"]
    raw.request(bob, "PRACK", to_tag=response.to.tag, seq=seq, headers=headers, content=content)


def dial(wire: Wire, alice: Party, raw: RawPeer, offer: bytes = OFFER) -> tuple[str, SIPMessage]:
    call = alice.endpoint.invite("alice", "sip:door@192.0.2.66", offer, wire.now)
    alice.drain()
    wire.run(0.05)
    return call, raw.last("INVITE")


# --- as the one who is called ---


def test_ringing_is_reliable_where_the_caller_requires_it(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, REQUIRED)
    bob.do(bob.endpoint.ring, "raw-call", RINGING)
    wire.run(0.05)
    response = raw.last("180")
    assert (response.get("require"), (response.get("rseq") or "").isdigit()) == ("100rel", True)
    prack(raw, bob, response)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.05)
    assert [(message.cseq.method, message.session_description) for message in raw.received] == [
        ("INVITE", b""),
        ("INVITE", ANSWER),
        ("PRACK", b""),
    ]


def test_ringing_is_plain_where_nothing_is_described_and_nothing_required(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, SUPPORTED)
    bob.do(bob.endpoint.ring, "raw-call", RINGING)
    wire.run(5)
    assert (raw.words, raw.last("180").get("rseq")) == (["180"], None)


def test_a_reliable_response_is_repeated_until_its_prack(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, REQUIRED)
    bob.do(bob.endpoint.ring, "raw-call", RINGING)
    wire.run(3.7)
    assert raw.words == ["180"] * 4  # at 0, 0.5, 1.5 and 3.5 seconds
    prack(raw, bob, raw.last("180"))
    wire.run(30)
    assert raw.words == ["180"] * 4 + ["200"]


def test_a_caller_that_never_acknowledges_ringing_gets_504(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, REQUIRED)
    bob.do(bob.endpoint.ring, "raw-call", RINGING)
    wire.run(33)
    end = bob.told(CallEnded)[0]
    assert isinstance(end, CallEnded)
    assert ("504" in raw.words, end.cause) == (True, EndCause.TIMEOUT)
    assert_nothing_left(wire, bob)


def test_responses_go_out_one_after_the_other_with_rising_numbers(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, REQUIRED)
    for _ in range(MAX_QUEUED + 5):
        bob.do(bob.endpoint.ring, "raw-call", RINGING)
    numbers = []
    for seq in range(2, MAX_QUEUED + 5):
        wire.run(0.05)
        numbers.append(int(raw.last("180").get("rseq") or 0))
        prack(raw, bob, raw.last("180"), seq=seq)
    wire.run(0.05)
    distinct = sorted(set(numbers))
    assert distinct == list(range(numbers[0], numbers[0] + MAX_QUEUED + 1))


def test_the_200_waits_for_the_prack_of_a_description_and_has_none_itself(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, SUPPORTED)
    bob.endpoint.ring("raw-call", PROGRESS, wire.now, ANSWER)
    bob.drain()
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    assert raw.words == ["183"]
    with pytest.raises(InvalidStateError, match="not ringing"):
        bob.endpoint.answer("raw-call", ANSWER, wire.now)
    prack(raw, bob, raw.last("183"))
    wire.run(0.05)
    assert [message.cseq.method for message in raw.received] == ["INVITE", "PRACK", "INVITE"]
    assert (raw.received[0].session_description, raw.received[-1].content) == (ANSWER, b"")


def test_who_waits_for_a_prack_can_hang_up(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, SUPPORTED)
    bob.endpoint.ring("raw-call", PROGRESS, wire.now, ANSWER)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    bob.do(bob.endpoint.hangup, "raw-call")
    wire.run(40)
    assert (raw.words.count("603") >= 1, "200" in raw.words) == (True, False)


@pytest.mark.parametrize("rack", ["1 1 INVITE", "0 1 INVITE", "{rseq} 2 INVITE", "{rseq} 1 BYE"])
def test_a_prack_for_something_else_gets_481(wire: Wire, bob: Party, raw: RawPeer, rack: str) -> None:
    ringing(wire, bob, raw, REQUIRED)
    bob.do(bob.endpoint.ring, "raw-call", RINGING)
    wire.run(0.05)
    response = raw.last("180")
    headers = ["RAck: " + rack.format(rseq=response.get("rseq"))]
    raw.request(bob, "PRACK", to_tag=response.to.tag, seq=2, headers=headers)
    wire.run(0.05)
    assert raw.words == ["180", "481"]


@pytest.mark.parametrize("rack", ["", "x 1 INVITE", "1 INVITE", "1 2 3 4", "99999999999 1 INVITE"])
def test_a_malformed_rack_gets_400(wire: Wire, bob: Party, raw: RawPeer, rack: str) -> None:
    ringing(wire, bob, raw, REQUIRED)
    bob.do(bob.endpoint.ring, "raw-call", RINGING)
    wire.run(0.05)
    raw.request(bob, "PRACK", to_tag=raw.last("180").to.tag, seq=2, headers=[f"RAck: {rack}"])
    wire.run(0.05)
    assert raw.words == ["180", "400"]


def test_a_prack_in_an_answered_call_gets_481(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.05)
    raw.request(bob, "PRACK", to_tag=raw.last("200").to.tag, seq=2, headers=["RAck: 1 1 INVITE"])
    wire.run(0.05)
    assert raw.words == ["200", "481"]


def test_a_prack_may_make_a_further_offer(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, SUPPORTED)
    bob.endpoint.ring("raw-call", PROGRESS, wire.now, ANSWER)
    bob.drain()
    wire.run(0.05)
    prack(raw, bob, raw.last("183"), content=OTHER)
    wire.run(0.05)
    assert bob.told(OfferReceived) == [OfferReceived(call="raw-call", offer=OTHER)]
    bob.do(bob.endpoint.accept_offer, "raw-call", ANSWER)
    wire.run(0.05)
    assert (raw.last("200").cseq.method, raw.last("200").session_description) == ("PRACK", ANSWER)


def test_an_invite_without_offer_gets_ours_reliably_and_the_prack_answers(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, SUPPORTED, offer=b"")
    bob.endpoint.ring("raw-call", PROGRESS, wire.now, OFFER)
    bob.drain()
    wire.run(0.05)
    prack(raw, bob, raw.last("183"), content=ANSWER)
    wire.run(0.05)
    assert bob.told(AnswerReceived) == [AnswerReceived(call="raw-call", answer=ANSWER)]
    bob.do(bob.endpoint.answer, "raw-call", OFFER)
    wire.run(0.05)
    assert raw.received[-1].content == b""
    raw.request(bob, "ACK", to_tag=raw.last("200").to.tag)
    wire.run(0.05)
    assert bob.told(CallConfirmed) == [CallConfirmed(call="raw-call", answer=b"")]


def test_our_offer_before_the_answer_takes_a_caller_that_knows_prack(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, offer=b"")
    with pytest.raises(InvalidStateError, match="made no offer"):
        bob.endpoint.ring("raw-call", PROGRESS, wire.now, OFFER)


def test_once_described_either_side_may_update_before_the_answer(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, SUPPORTED)
    bob.endpoint.ring("raw-call", PROGRESS, wire.now, ANSWER)
    bob.drain()
    wire.run(0.05)
    response = raw.last("183")
    prack(raw, bob, response)
    raw.request(bob, "UPDATE", to_tag=response.to.tag, seq=3, content=OTHER)
    wire.run(0.05)
    assert bob.told(OfferReceived) == [OfferReceived(call="raw-call", offer=OTHER)]
    bob.do(bob.endpoint.accept_offer, "raw-call", ANSWER)
    bob.do(bob.endpoint.modify, "raw-call")
    assert bob.told(OfferNeeded) == [OfferNeeded(call="raw-call")]
    bob.do(bob.endpoint.send_offer, "raw-call", OFFER)
    wire.run(0.05)
    raw.respond(raw.last("UPDATE"), 200, content=ANSWER)
    wire.run(0.05)
    assert bob.told(AnswerReceived) == [AnswerReceived(call="raw-call", answer=ANSWER)]
    wire.run(61)  # the minute's reminder describes nothing anew, and so needs no PRACK
    assert (raw.last("183").content, raw.last("183").get("rseq")) == (b"", None)


def test_an_update_before_anything_is_described_is_500(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw)
    bob.do(bob.endpoint.ring, "raw-call", RINGING)
    wire.run(0.05)
    raw.request(bob, "UPDATE", to_tag=raw.last("180").to.tag, seq=2, content=OTHER)
    wire.run(0.05)
    assert (raw.words, raw.last("500").get("retry-after") is not None) == (["180", "500"], True)


# --- as the one who calls ---


def test_a_reliable_response_gets_a_prack_in_its_dialog(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw)
    assert "100rel" in invite.tokens("supported")
    raw.respond(invite, 180, headers=[REQUIRED, "RSeq: 17"], contact="<sip:raw@192.0.2.66:5060;x=y>")
    wire.run(0.05)
    request = raw.last("PRACK")
    assert (request.get("rack"), request.uri, request.to.tag, request.cseq.number) == (
        "17 1 INVITE",
        "sip:raw@192.0.2.66:5060;x=y",
        "raw",
        2,
    )
    raw.respond(request, 200)
    raw.respond(invite, 200, content=ANSWER)
    wire.run(0.05)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.05)
    assert raw.last("BYE").cseq.number == 3


def test_a_repeated_or_early_response_gets_no_prack(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw)
    for rseq in (5, 5, 7, 6, 6):
        raw.respond(invite, 180, headers=[REQUIRED, f"RSeq: {rseq}"])
        wire.run(0.05)
    assert [m.get("rack") for m in raw.received if m.method == "PRACK"] == ["5 1 INVITE", "6 1 INVITE"]
    assert len(alice.told(CallProgressed)) == 2
    del call


@pytest.mark.parametrize("headers", [["RSeq: 5"], [REQUIRED], [REQUIRED, "RSeq: x"], [REQUIRED, "RSeq: 0"]])
def test_a_response_that_does_not_ask_properly_is_a_plain_one(
    wire: Wire, alice: Party, raw: RawPeer, headers: list[str]
) -> None:
    call, invite = dial(wire, alice, raw)
    raw.respond(invite, 180, headers=headers)
    wire.run(0.05)
    assert (raw.words, len(alice.told(CallProgressed))) == (["INVITE"], 1)
    del call


def test_the_answer_before_the_200_counts_where_the_200_has_none(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw)
    raw.respond(invite, 183, headers=[REQUIRED, "RSeq: 1"], content=ANSWER)
    raw.respond(invite, 183, to_tag="other", content=OTHER)
    raw.respond(invite, 200)
    wire.run(0.05)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]


def test_an_offer_in_a_reliable_response_is_answered_in_the_prack(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw, offer=b"")
    assert (invite.content, invite.get("content-type")) == (b"", None)
    raw.respond(invite, 183, headers=[REQUIRED, "RSeq: 1"], content=OFFER)
    wire.run(0.05)
    assert alice.told(OfferReceived) == [OfferReceived(call=call, offer=OFFER)]
    assert raw.words == ["INVITE"]
    alice.do(alice.endpoint.accept_offer, call, ANSWER)
    wire.run(0.05)
    assert raw.last("PRACK").session_description == ANSWER
    raw.respond(invite, 200)
    wire.run(0.05)
    assert (raw.words, raw.last("ACK").content) == (["INVITE", "PRACK", "ACK"], b"")


def test_a_refused_offer_in_a_reliable_response_ends_the_call(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw, offer=b"")
    raw.respond(invite, 183, headers=[REQUIRED, "RSeq: 1"], content=OFFER)
    wire.run(0.05)
    alice.do(alice.endpoint.refuse_offer, call, SIPStatus.NOT_ACCEPTABLE_HERE)
    wire.run(0.05)
    assert sorted(raw.words) == ["CANCEL", "INVITE", "PRACK"]


def test_giving_up_with_an_offer_unanswered_acknowledges_it(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw, offer=b"")
    raw.respond(invite, 183, headers=[REQUIRED, "RSeq: 1"], content=OFFER)
    wire.run(0.05)
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.05)
    assert sorted(raw.words) == ["CANCEL", "INVITE", "PRACK"]


def test_once_described_the_caller_may_update_before_the_answer(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw)
    raw.respond(invite, 183, headers=[REQUIRED, "RSeq: 1"], content=ANSWER)
    wire.run(0.05)
    raw.respond(raw.last("PRACK"), 200)
    alice.do(alice.endpoint.modify, call)
    alice.do(alice.endpoint.send_offer, call, OTHER)
    wire.run(0.05)
    raw.respond(raw.last("UPDATE"), 200, content=ANSWER)
    wire.run(0.05)
    assert alice.told(AnswerReceived) == [AnswerReceived(call=call, answer=ANSWER)]
    tag = invite.from_.tag
    raw.request(alice, "UPDATE", to_tag=tag, call_id=call, seq=1, content=OTHER)
    wire.run(0.05)
    assert alice.told(OfferReceived) == [OfferReceived(call=call, offer=OTHER)]


def test_an_update_of_a_callee_that_described_nothing_is_500(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw)
    raw.respond(invite, 180)
    raw.request(alice, "UPDATE", to_tag=invite.from_.tag, call_id=call, seq=1, content=OTHER)
    raw.request(alice, "BYE", to_tag=invite.from_.tag, call_id=call, seq=2)
    wire.run(0.05)
    assert raw.words == ["INVITE", "500", "403"]


def test_two_of_us_do_it_all(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.05)
    bob.endpoint.ring(call, PROGRESS, wire.now, ANSWER)
    bob.drain()
    wire.run(0.05)
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(0.05)
    assert wire.words == ["INVITE", "183", "PRACK", "200", "200", "ACK"]
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    alice.do(alice.endpoint.hangup, call)
    assert_nothing_left(wire, alice, bob)


def test_rack_is_read_as_it_is_written() -> None:
    assert RAck.parse(" 776656  1 INVITE").format() == "776656 1 INVITE"
    with pytest.raises(RemoteProtocolError, match="not an RAck"):
        RAck.parse("1 INVITE")


def test_a_2xx_does_not_bring_back_what_an_update_has_changed(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw)
    raw.respond(invite, 183, headers=[REQUIRED, "RSeq: 1"], content=ANSWER)
    wire.run(0.05)
    raw.respond(raw.last("PRACK"), 200)
    raw.request(alice, "UPDATE", to_tag=invite.from_.tag, call_id=call, seq=1, content=OTHER)
    wire.run(0.05)
    alice.do(alice.endpoint.accept_offer, call, ANSWER)
    raw.respond(invite, 200)
    wire.run(0.05)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=b"")]


# --- what is open when the call is refused ---


def test_an_update_that_waits_for_its_answer_is_refused_with_the_call(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw, SUPPORTED)
    bob.endpoint.ring("raw-call", SIPStatus.SESSION_PROGRESS, wire.now, ANSWER)
    bob.drain()
    wire.run(0.05)
    prack(raw, bob, raw.last("183"))
    raw.request(bob, "UPDATE", to_tag=raw.last("183").to.tag, seq=3, content=OTHER)
    wire.run(0.05)
    bob.do(bob.endpoint.reject, "raw-call", SIPStatus.BUSY_HERE)
    wire.run(0.05)
    assert [(m.cseq.method, m.status) for m in raw.received[2:]] == [("INVITE", 486), ("UPDATE", 487)]
    assert_nothing_left(wire, bob)


def test_an_update_of_a_callee_that_then_refuses_the_call_is_refused_too(
    wire: Wire, alice: Party, raw: RawPeer
) -> None:
    call, invite = dial(wire, alice, raw)
    raw.respond(invite, 183, content=ANSWER, headers=["Require: 100rel", "RSeq: 1"])
    wire.run(0.05)
    raw.respond(raw.last("PRACK"), 200)
    raw.request(alice, "UPDATE", to_tag=invite.from_.tag, call_id=call, seq=1, content=OTHER)
    wire.run(0.05)
    raw.respond(invite, 486)
    wire.run(0.05)
    assert [m.status for m in raw.received if not m.is_request] == [487]
    assert_nothing_left(wire, alice)


def test_a_caller_may_give_up_while_its_update_waits(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dial(wire, alice, raw)
    raw.respond(invite, 183, headers=[REQUIRED, "RSeq: 1"], content=ANSWER)
    wire.run(0.05)
    raw.respond(raw.last("PRACK"), 200)
    alice.do(alice.endpoint.modify, call)
    alice.do(alice.endpoint.send_offer, call, OTHER)
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.05)
    assert raw.words[-2:] == ["UPDATE", "CANCEL"]
    raw.respond(invite, 487)
    assert_nothing_left(wire, alice)
