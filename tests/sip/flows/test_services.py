"""Services of RFC 5359 that the engine has, between phones that reach each other directly: hold, transfers, pick-up."""

from urllib.parse import quote

import pytest

from sip_bridge.sip.events import (
    AnswerReceived,
    CallEnded,
    CallReceived,
    EndCause,
    OfferReceived,
    TransferEnded,
    TransferProgressed,
    TransferRequested,
)
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Wire, assert_nothing_left
from tests.sip.flows.elements import User, figure
from tests.sip.flows.people import BOBS_PHONE, call_and_answer, hang_up, sent

CAROLS_PHONE = "sip:carol@192.0.2.203:5060"
HOLD, HELD = OFFER + b"a=sendonly\r\n", ANSWER + b"a=recvonly\r\n"


@pytest.fixture
def carol(wire: Wire) -> User:
    user = User(wire, "192.0.2.203")
    user.add_direct_line("carol")
    return user


@pytest.fixture
def call(wire: Wire, alice: User, bob: User) -> str:
    """Alice and Bob talk; the wire's record is cleared."""
    call = call_and_answer(wire, alice, bob, line="direct", target=BOBS_PHONE)
    wire.sent.clear()
    return call


def place(wire: Wire, caller: User, line: str, target: str, *, replaces: str | None = None) -> str:
    call = caller.endpoint.invite(line, target, OFFER, wire.now, replaces=replaces)
    caller.drain()
    wire.run(0.1)
    return call


def change(wire: Wire, call: str, changes: User, offer: bytes, answers: User, answer: bytes) -> None:
    changes.do(changes.endpoint.modify, call)
    changes.do(changes.endpoint.send_offer, call, offer)
    wire.run(0.1)
    answers.do(answers.endpoint.accept_offer, call, answer)
    wire.run(0.1)


def test_2_1_call_hold_and_resume(wire: Wire, alice: User, bob: User, call: str) -> None:
    """Bob holds Alice and takes her back: an INVITE within the call each time."""
    change(wire, call, bob, HOLD, alice, HELD)
    change(wire, call, bob, OFFER, alice, ANSWER)
    assert figure(wire, alice=alice, bob=bob) == ["bob -> alice INVITE", "alice -> bob 200", "bob -> alice ACK"] * 2
    invites = sent(wire, bob, "INVITE")
    assert [invite.session_description for invite in invites] == [HOLD, OFFER]
    assert [answer.session_description for answer in sent(wire, alice, "200")] == [HELD, ANSWER]
    assert invites[1].cseq.number == invites[0].cseq.number + 1
    assert {(i.call_id, i.from_.tag, i.to.tag) for i in invites} == {(call, invites[0].from_.tag, invites[0].to.tag)}
    assert alice.told(OfferReceived) == [OfferReceived(call=call, offer=offer) for offer in (HOLD, OFFER)]
    assert bob.told(AnswerReceived) == [AnswerReceived(call=call, answer=answer) for answer in (HELD, ANSWER)]
    hang_up(wire, alice, call)
    assert_nothing_left(wire, alice, bob)


def test_2_4_blind_transfer(wire: Wire, alice: User, bob: User, carol: User, call: str) -> None:
    """Bob sends Alice to Carol, hears how it goes, and leaves."""
    bob.do(bob.endpoint.transfer, call, CAROLS_PHONE)
    wire.run(0.1)
    assert alice.told(TransferRequested) == [TransferRequested(call=call, target=CAROLS_PHONE, replaces=None)]
    alice.do(alice.endpoint.accept_transfer, call)
    wire.run(0.1)
    second = place(wire, alice, "direct", CAROLS_PHONE)
    carol.do(carol.endpoint.ring, second, SIPStatus.RINGING)
    wire.run(0.1)
    carol.do(carol.endpoint.answer, second, ANSWER)
    wire.run(0.1)
    alice.do(alice.endpoint.report_transfer, call, SIPStatus.OK)
    wire.run(0.1)
    hang_up(wire, bob, call)
    assert figure(wire, alice=alice, bob=bob, carol=carol) == [
        "bob -> alice REFER",
        "alice -> bob 202",
        "alice -> bob NOTIFY",
        "bob -> alice 200",
        "alice -> carol INVITE",
        "carol -> alice 180",
        "carol -> alice 200",
        "alice -> carol ACK",
        "alice -> bob NOTIFY",
        "bob -> alice 200",
        "bob -> alice BYE",
        "alice -> bob 200",
    ]
    (refer,) = sent(wire, bob, "REFER")
    assert (refer.get("refer-to"), refer.call_id) == (f"<{CAROLS_PHONE}>", call)
    reports = sent(wire, alice, "NOTIFY")
    assert [report.content for report in reports] == [b"SIP/2.0 100 Trying\r\n", b"SIP/2.0 200 OK\r\n"]
    assert [(report.get("subscription-state") or "").split(";")[0] for report in reports] == ["active", "terminated"]
    assert bob.told(TransferProgressed) == [TransferProgressed(call=call, status=SIPStatus.TRYING)]
    assert bob.told(TransferEnded) == [TransferEnded(call=call, status=SIPStatus.OK, phrase="OK")]
    assert (alice.endpoint.calls, bob.endpoint.calls, carol.endpoint.calls) == (1, 0, 1)


def test_2_5_attended_transfer(wire: Wire, alice: User, bob: User, carol: User, call: str) -> None:
    """Bob asks Carol first; then Alice's call takes the place of his."""
    asked = place(wire, bob, "bob", CAROLS_PHONE)
    carol.do(carol.endpoint.answer, asked, ANSWER)
    wire.run(0.1)
    bob.do(bob.endpoint.transfer_to, call, asked)
    wire.run(0.1)
    (request,) = alice.told(TransferRequested)
    assert isinstance(request, TransferRequested)
    alice.do(alice.endpoint.accept_transfer, call)
    wire.run(0.1)
    third = place(wire, alice, "direct", request.target, replaces=request.replaces)
    assert [(e.call, e.replaces) for e in carol.events if isinstance(e, CallReceived)] == [
        (asked, None),
        (third, asked),
    ]
    carol.do(carol.endpoint.answer, third, ANSWER)
    wire.run(0.1)
    alice.do(alice.endpoint.report_transfer, call, SIPStatus.OK)
    wire.run(0.1)
    hang_up(wire, bob, call)
    assert figure(wire, alice=alice, bob=bob, carol=carol) == [
        "bob -> carol INVITE",
        "carol -> bob 200",
        "bob -> carol ACK",
        "bob -> alice REFER",
        "alice -> bob 202",
        "alice -> bob NOTIFY",
        "bob -> alice 200",
        "alice -> carol INVITE",
        "carol -> alice 200",
        "carol -> bob BYE",
        "alice -> carol ACK",
        "bob -> carol 200",
        "alice -> bob NOTIFY",
        "bob -> alice 200",
        "bob -> alice BYE",
        "alice -> bob 200",
    ]
    (question,), (answer,) = sent(wire, bob, "INVITE"), sent(wire, carol, "200")[:1]
    (replacing,) = sent(wire, alice, "INVITE")
    tags = f"to-tag={answer.to.tag};from-tag={question.from_.tag}"
    (refer,) = sent(wire, bob, "REFER")
    assert refer.get("refer-to") == f"<{CAROLS_PHONE}?Replaces={quote(f'{asked};{tags}', safe='')}>"
    assert (replacing.get("replaces"), replacing.get("require")) == (f"{asked};{tags}", "replaces")
    assert bob.told(TransferEnded) == [TransferEnded(call=call, status=SIPStatus.OK, phrase="OK")]
    assert (alice.endpoint.calls, bob.endpoint.calls, carol.endpoint.calls) == (1, 0, 1)


def test_call_pick_up(wire: Wire, alice: User, bob: User, carol: User) -> None:
    """Bob's phone rings; Carol calls Alice in its place, and Alice cancels what rings."""
    ringing = place(wire, alice, "direct", BOBS_PHONE)
    bob.do(bob.endpoint.ring, ringing, SIPStatus.RINGING)
    wire.run(0.1)
    (rings,) = sent(wire, bob, "180")  # Carol would learn these tags by a subscription to Bob's dialogs
    replaces = f"{rings.call_id};to-tag={rings.from_.tag};from-tag={rings.to.tag};early-only"
    taken = place(wire, carol, "carol", "sip:direct@192.0.2.101:5060", replaces=replaces)
    (received,) = alice.told(CallReceived)
    assert isinstance(received, CallReceived)
    assert (received.call, received.replaces) == (taken, ringing)
    alice.do(alice.endpoint.answer, taken, ANSWER)
    wire.run(0.1)
    assert figure(wire, alice=alice, bob=bob, carol=carol) == [
        "alice -> bob INVITE",
        "bob -> alice 180",
        "carol -> alice INVITE",
        "alice -> carol 200",
        "alice -> bob CANCEL",
        "carol -> alice ACK",
        "bob -> alice 200",
        "bob -> alice 487",
        "alice -> bob ACK",
    ]
    assert bob.told(CallEnded) == [CallEnded(call=ringing, cause=EndCause.CANCELED)]
    hang_up(wire, carol, taken)
    assert_nothing_left(wire, alice, bob, carol)
