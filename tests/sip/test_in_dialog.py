"""Requests inside a call: offers, INFO, OPTIONS, BYE; order, tags and retransmissions (RFC 3261 §12.2)."""

import pytest

from sip_bridge.sip.capabilities import ALLOW
from sip_bridge.sip.events import (
    AnswerReceived,
    CallEnded,
    CallSignaled,
    EndCause,
    InfoReceived,
    OfferReceived,
)
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left

HOLD = OFFER + b"a=sendonly\r\n"


@pytest.fixture
def tag(wire: Wire, bob: Party, raw: RawPeer) -> str:
    """Raw has called bob, who answered; what bob was told and raw received is cleared. The value is bob's tag."""
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    found = raw.last("200").to.tag or ""
    raw.request(bob, "ACK", to_tag=found)
    wire.run(0.1)
    bob.events.clear()
    raw.received.clear()
    return found


def test_hold_and_resume_are_offers_that_the_application_answers(
    wire: Wire, bob: Party, raw: RawPeer, tag: str
) -> None:
    for seq, offer in ((2, HOLD), (3, OFFER)):
        raw.request(bob, "INVITE", to_tag=tag, seq=seq, content=offer)
        wire.run(0.1)
        assert bob.events.pop() == OfferReceived(call="raw-call", offer=offer)
        bob.do(bob.endpoint.accept_offer, "raw-call", ANSWER)
        wire.run(0.1)
        assert raw.received[-1].content == ANSWER
        raw.request(bob, "ACK", to_tag=tag, seq=seq)
        wire.run(0.1)
    wire.run(60)
    assert raw.words == ["200", "200"]
    assert list(bob.events) == []


def test_a_re_invite_without_offer_gets_ours_and_brings_the_answer_in_its_ack(
    wire: Wire, bob: Party, raw: RawPeer, tag: str
) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2)
    wire.run(0.1)
    bob.do(bob.endpoint.accept_offer, "raw-call", OFFER)
    wire.run(0.1)
    raw.request(bob, "ACK", to_tag=tag, seq=2, content=ANSWER)
    wire.run(0.1)
    assert raw.last("200").content == OFFER
    assert list(bob.events) == [
        OfferReceived(call="raw-call", offer=b""),
        AnswerReceived(call="raw-call", answer=ANSWER),
    ]


def test_a_refused_re_invite_leaves_the_call_as_it_was(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, branch="z9hG4bK-re", content=HOLD)
    wire.run(0.1)
    bob.do(bob.endpoint.refuse_offer, "raw-call", SIPStatus.NOT_ACCEPTABLE_HERE)
    wire.run(0.1)
    raw.request(bob, "ACK", to_tag=tag, seq=2, branch="z9hG4bK-re")
    wire.run(60)
    assert raw.words == ["488"]
    assert (bob.endpoint.calls, bob.endpoint.transactions) == (1, 0)


def test_the_callee_of_ours_may_hold_too(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call = alice.endpoint.invite("alice", "sip:x@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    invite = raw.last("INVITE")
    raw.respond(invite, 200, content=ANSWER)
    wire.run(0.1)
    raw.request(alice, "INVITE", call_id=call, to_tag=invite.from_.tag, seq=7, content=HOLD)
    wire.run(0.1)
    assert alice.events[-1] == OfferReceived(call=call, offer=HOLD)
    alice.do(alice.endpoint.accept_offer, call, ANSWER)
    wire.run(0.1)
    assert raw.last("200").content == ANSWER


def test_a_re_invite_that_is_never_acknowledged_ends_the_call(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=HOLD)
    wire.run(0.1)
    bob.do(bob.endpoint.accept_offer, "raw-call", ANSWER)
    wire.run(33)
    assert raw.words == ["200"] * 11 + ["BYE"] * 2
    assert bob.events[-1] == CallEnded(call="raw-call", cause=EndCause.TIMEOUT, phrase="no ACK came")
    assert_nothing_left(wire, bob)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_second_offer_while_one_is_open_gets_500_with_retry_after(
    wire: Wire, bob: Party, raw: RawPeer, tag: str, method: str
) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=HOLD)
    raw.request(bob, method, to_tag=tag, seq=3, content=OFFER)
    wire.run(0.1)
    assert raw.words == ["500"]
    assert 0 <= (raw.last("500").number("retry-after") or 0) <= 10
    assert bob.told(OfferReceived) == [OfferReceived(call="raw-call", offer=HOLD)]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_before_the_call_is_answered_gets_500(wire: Wire, bob: Party, raw: RawPeer, method: str) -> None:
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.ring, "raw-call", SIPStatus.RINGING)
    wire.run(0.1)
    raw.request(bob, method, to_tag=raw.last("180").to.tag, seq=2, content=HOLD)
    wire.run(0.1)
    assert raw.words == ["180", "500"]
    assert bob.told(OfferReceived) == []


def test_an_update_with_an_offer_is_answered_at_once(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "UPDATE", to_tag=tag, seq=2, content=HOLD)
    wire.run(0.1)
    assert list(bob.events) == [OfferReceived(call="raw-call", offer=HOLD)]
    bob.do(bob.endpoint.accept_offer, "raw-call", ANSWER)
    wire.run(60)
    assert raw.words == ["200"]
    assert raw.received[0].content == ANSWER


def test_an_update_without_offer_only_refreshes_the_target(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "UPDATE", to_tag=tag, seq=2, contact="<sip:moved@192.0.2.66:5099>")
    wire.run(0.1)
    assert (raw.words, list(bob.events)) == (["200"], [])
    bob.do(bob.endpoint.hangup, "raw-call")
    assert (wire.sent[-1].message.uri, wire.sent[-1].destination) == (
        "sip:moved@192.0.2.66:5099",
        ("192.0.2.66", 5099),
    )


def test_a_re_invite_with_a_contact_that_makes_no_sense_gets_400(
    wire: Wire, bob: Party, raw: RawPeer, tag: str
) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=HOLD, contact="<sip:>")
    wire.run(0.1)
    assert raw.words == ["400"]
    assert list(bob.events) == []
    bob.do(bob.endpoint.hangup, "raw-call")
    assert wire.sent[-1].message.uri == "sip:raw@192.0.2.66:5060"


def test_an_offer_in_another_language_gets_415(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=b"hi", content_type="text/plain")
    wire.run(0.1)
    assert raw.words == ["415"]
    assert raw.last("415").get("accept") == "application/sdp"


def test_info_is_answered_and_told(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "INFO", to_tag=tag, seq=2)
    raw.request(bob, "INFO", to_tag=tag, seq=3, content=b"Signal=5", content_type="application/dtmf-relay")
    wire.run(0.1)
    assert raw.words == ["200", "200"]
    assert bob.told(InfoReceived) == [
        InfoReceived(call="raw-call", content_type="", content=b""),
        InfoReceived(call="raw-call", content_type="application/dtmf-relay", content=b"Signal=5"),
    ]


def test_an_info_package_is_refused_with_those_that_are_taken(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "INFO", to_tag=tag, seq=2, headers=["Info-Package: foo"], content=b"x", content_type="text/plain")
    wire.run(0.1)
    assert (raw.words, raw.last("469").get("recv-info"), list(bob.events)) == (["469"], "nil", [])


def test_options_in_a_call_says_what_is_allowed(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "OPTIONS", to_tag=tag, seq=2)
    wire.run(0.1)
    assert raw.last("200").get("allow") == ALLOW
    assert raw.last("200").get("accept") == "application/sdp, text/plain"


@pytest.mark.parametrize("method", ["PUBLISH", "FOO"])
def test_a_method_that_the_call_does_not_take_gets_405(
    wire: Wire, bob: Party, raw: RawPeer, tag: str, method: str
) -> None:
    raw.request(bob, method, to_tag=tag, seq=2)
    wire.run(0.1)
    assert raw.words == ["405"]
    assert "BYE" in (raw.last("405").get("allow") or "")


def test_an_extension_that_is_required_in_a_call_gets_420(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=HOLD, headers=["Require: 100rel, foo, bar"])
    wire.run(0.1)
    assert (raw.words, raw.last("420").get("unsupported")) == (["420"], "foo, bar")


def test_a_bye_in_the_early_dialog_ends_the_invite_too(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", branch="z9hG4bK-one", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.ring, "raw-call", SIPStatus.RINGING)
    wire.run(0.1)
    raw.request(bob, "BYE", to_tag=raw.last("180").to.tag, seq=2)
    wire.run(0.1)
    raw.request(bob, "ACK", branch="z9hG4bK-one", to_tag=raw.last("180").to.tag)
    wire.run(0.1)
    assert raw.words == ["180", "200", "487"]
    assert list(bob.events)[-2:] == [
        CallSignaled(call="raw-call", origin="remote", method="BYE"),
        CallEnded(call="raw-call", cause=EndCause.HANGUP_REMOTE),
    ]
    assert_nothing_left(wire, bob)


@pytest.mark.parametrize("who", ["raw", "bob"])
def test_a_bye_while_an_offer_is_open_answers_it_with_487(
    wire: Wire, bob: Party, raw: RawPeer, tag: str, who: str
) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=HOLD)
    wire.run(0.1)
    byes = {
        "raw": lambda: raw.request(bob, "BYE", to_tag=tag, seq=3),
        "bob": lambda: bob.do(bob.endpoint.hangup, "raw-call"),
    }
    byes[who]()
    wire.run(0.1)
    assert "487" in raw.words
    assert len(bob.told(CallEnded)) == 1
    assert_nothing_left(wire, bob)


def test_a_hangup_while_the_200_to_a_re_invite_waits_for_its_ack_sends_one_bye(
    wire: Wire, bob: Party, raw: RawPeer, tag: str
) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=HOLD)
    wire.run(0.1)
    bob.do(bob.endpoint.accept_offer, "raw-call", ANSWER)
    bob.do(bob.endpoint.hangup, "raw-call")
    wire.run(0.1)
    raw.respond(raw.last("BYE"), 200)
    wire.run(60)
    assert raw.words == ["200", "BYE"]


@pytest.mark.parametrize("wrong", [{"to_tag": "wrong"}, {"from_tag": "wrong"}, {"from_tag": ""}])
def test_a_bye_with_wrong_tags_gets_481(wire: Wire, bob: Party, raw: RawPeer, tag: str, wrong: dict[str, str]) -> None:
    tags = {"from_tag": "raw", "to_tag": tag, **wrong}
    raw.request(bob, "BYE", from_tag=tags["from_tag"], to_tag=tags["to_tag"], seq=2)
    wire.run(0.1)
    assert (raw.words, list(bob.events), bob.endpoint.calls) == (["481"], [], 1)


def test_a_bye_with_another_call_id_or_no_to_tag_gets_481(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "BYE", call_id="other", to_tag=tag, seq=2)
    raw.request(bob, "BYE", seq=2)
    wire.run(0.1)
    assert (raw.words, list(bob.events)) == (["481", "481"], [])


def test_a_bye_out_of_order_gets_500_and_ends_nothing(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "INFO", to_tag=tag, seq=10)
    raw.request(bob, "BYE", to_tag=tag, seq=9)
    raw.request(bob, "BYE", to_tag=tag, seq=10)
    wire.run(0.1)
    assert raw.words == ["200", "500", "500"]
    assert bob.endpoint.calls == 1


def test_a_bye_for_a_call_that_is_over_gets_481(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "BYE", to_tag=tag, seq=2)
    raw.request(bob, "BYE", to_tag=tag, seq=3)
    wire.run(0.1)
    assert raw.words == ["200", "481"]


@pytest.mark.parametrize("method", ["INFO", "OPTIONS", "BYE"])
def test_a_retransmitted_request_is_answered_the_same_and_acted_on_once(
    wire: Wire, bob: Party, raw: RawPeer, tag: str, method: str
) -> None:
    for _ in range(3):
        raw.request(bob, method, to_tag=tag, seq=2, branch="z9hG4bK-same")
        wire.run(0.5)
    events = len(bob.events)
    assert raw.words == ["200", "200", "200"]
    assert len({message.raw for message in raw.received}) == 1
    assert events == {"INFO": 2, "OPTIONS": 0, "BYE": 2}[method]


def test_a_retransmitted_invite_rings_once(wire: Wire, bob: Party, raw: RawPeer) -> None:
    for _ in range(3):
        raw.request(bob, "INVITE", branch="z9hG4bK-same", content=OFFER)
        wire.run(0.5)
    assert raw.words == ["100", "100", "100"]
    assert bob.endpoint.calls == 1


def test_the_same_request_by_two_ways_gets_482(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", branch="z9hG4bK-way1", content=OFFER)
    raw.request(bob, "INVITE", branch="z9hG4bK-way2", content=OFFER)
    wire.run(0.1)
    assert raw.words == ["482"]
    assert bob.endpoint.calls == 1
    bob.do(bob.endpoint.reject, "raw-call", SIPStatus.BUSY_HERE)
    wire.run(100)
    raw.request(bob, "INVITE", branch="z9hG4bK-way3", content=OFFER)
    wire.run(0.1)
    assert bob.endpoint.calls == 1


def test_a_merged_request_that_is_done_with_leaves_the_first_one_known(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", branch="z9hG4bK-way1", content=OFFER)
    raw.request(bob, "INVITE", branch="z9hG4bK-way2", content=OFFER)
    wire.run(60)
    assert bob.endpoint.transactions == 1
    raw.request(bob, "INVITE", branch="z9hG4bK-way3", content=OFFER)
    wire.run(0.1)
    assert (raw.words[-1], bob.endpoint.calls) == ("482", 1)


def test_a_stray_ack_is_counted(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "ACK", to_tag="nobody", seq=1)
    raw.request(bob, "ACK", to_tag=tag, seq=77)
    wire.run(0.1)
    assert (raw.words, list(bob.events)) == ([], [])
    assert bob.endpoint.counters == {"stray_acks": 1}


def test_a_stray_response_is_counted(wire: Wire, bob: Party, raw: RawPeer) -> None:
    invite = SIPMessage(
        b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKnone\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:b@c>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    raw.respond(invite, 200)
    wire.run(0.1)
    assert bob.endpoint.counters == {"stray_responses": 1}


def test_a_re_invite_without_contact_leaves_the_target(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "INVITE", to_tag=tag, seq=2, content=HOLD, contact="")
    wire.run(0.1)
    assert list(bob.events) == [OfferReceived(call="raw-call", offer=HOLD)]
    bob.do(bob.endpoint.hangup, "raw-call")
    assert wire.sent[-1].message.uri == "sip:raw@192.0.2.66:5060"


@pytest.mark.parametrize(
    "reason",
    [
        ("Reason: Q.850;cause=16;text=x, SIP;cause=200", 16),
        ("Reason: SIP;cause=600\r\nReason: q.850 ;cause=17", 17),
        ("Reason: Q.850", None),
        ("Reason: Q.850;cause=many", None),
        ("Reason: Q.850;cause=1234", None),
        ("Reason: Q.850;;", None),
    ],
)
def test_the_reason_of_a_bye_is_told(
    wire: Wire, bob: Party, raw: RawPeer, tag: str, reason: tuple[str, int | None]
) -> None:
    raw.request(bob, "BYE", to_tag=tag, seq=2, headers=[reason[0]])
    wire.run(0.1)
    assert bob.events[-1] == CallEnded(call="raw-call", cause=EndCause.HANGUP_REMOTE, q850=reason[1])


def test_without_ack_to_a_change_what_else_is_open_is_refused(wire: Wire, bob: Party, raw: RawPeer, tag: str) -> None:
    raw.request(bob, "REFER", to_tag=tag, seq=2, headers=["Refer-To: <sip:carol@192.0.2.3>"])
    raw.request(bob, "INVITE", to_tag=tag, seq=3, content=HOLD)
    wire.run(0.1)
    bob.do(bob.endpoint.accept_offer, "raw-call", ANSWER)
    wire.run(40)
    assert [(m.cseq.method, int(m.status)) for m in raw.received if m.cseq.method == "REFER"] == [("REFER", 487)]
