"""CANCEL (RFC 3261 §9) in all its races."""

import pytest

from sip_bridge.sip.events import CallEnded, CallReceived, CallSignaled, EndCause
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left, established


def test_a_ringing_call_is_cancelled(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, call)
    wire.run(1)
    assert wire.words == ["INVITE", "180", "CANCEL", "200", "487", "ACK"]
    assert list(alice.events)[-2:] == [
        CallSignaled(call=call, origin="local", method="CANCEL"),
        CallEnded(call=call, cause=EndCause.CANCELED),
    ]
    assert list(bob.events)[-2:] == [
        CallSignaled(call=call, origin="remote", method="CANCEL"),
        CallEnded(call=call, cause=EndCause.CANCELED),
    ]
    assert_nothing_left(wire, alice, bob)


def test_before_a_provisional_response_the_cancel_waits_for_it(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    alice.do(alice.endpoint.hangup, call)
    assert wire.words == ["INVITE"]
    wire.run(1)
    assert wire.words == ["INVITE", "100", "CANCEL", "200", "487", "ACK"]
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]
    assert_nothing_left(wire, alice, bob)


def test_given_up_before_the_hop_is_resolved_nothing_is_sent(wire: Wire, alice: Party, bob: Party) -> None:
    alice.resolves = False
    call = alice.dial(bob, "alice", "door")
    alice.do(alice.endpoint.hangup, call)
    alice.resolve_now()
    assert wire.words == []
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]


def test_a_cancel_that_crosses_the_200_is_followed_by_ack_and_bye(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, call, ANSWER)
    alice.do(alice.endpoint.hangup, call)
    wire.run(1)
    assert sorted(wire.words[2:]) == sorted(["200", "CANCEL", "ACK", "BYE", "200", "200"])
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_REMOTE)]
    assert_nothing_left(wire, alice, bob)


def test_a_refusal_that_crosses_the_cancel_ends_both_sides(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.3)
    bob.do(bob.endpoint.reject, call, SIPStatus.BUSY_HERE)
    alice.do(alice.endpoint.hangup, call)
    wire.run(1)
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]
    assert bob.told(CallEnded) == [
        CallEnded(call=call, cause=EndCause.REJECTED, status=SIPStatus.BUSY_HERE, phrase="Busy Here")
    ]
    assert_nothing_left(wire, alice, bob)


def test_a_lost_cancel_is_sent_again(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.3)
    wire.drops = lambda sent: sent.word == "CANCEL" and wire.words.count("CANCEL") <= 2
    alice.do(alice.endpoint.hangup, call)
    wire.run(5)
    assert wire.words.count("CANCEL") == 3
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]


def test_a_cancel_without_any_answer_is_given_up_after_64_t1(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.3)
    wire.drops = lambda sent: True
    alice.do(alice.endpoint.hangup, call)
    wire.run(33)
    assert alice.endpoint.transactions == 0


def ringing(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", branch="z9hG4bK-one", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.ring, "raw-call", SIPStatus.RINGING)
    wire.run(0.1)


def test_a_cancel_is_answered_with_the_to_tag_of_the_invite(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw)
    raw.request(bob, "CANCEL", branch="z9hG4bK-one")
    wire.run(0.1)
    assert raw.words == ["180", "200", "487"]
    assert len({message.to.tag for message in raw.received}) == 1


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("Reason: SIP;cause=200;text=x", CallEnded(call="raw-call", cause=EndCause.ANSWERED_ELSEWHERE)),
        ("Reason: Q.850;cause=16", CallEnded(call="raw-call", cause=EndCause.CANCELED, q850=16)),
        ('Reason: Q.850;cause=16;text="broken', CallEnded(call="raw-call", cause=EndCause.CANCELED)),
    ],
)
def test_the_reason_of_a_cancel_is_told(wire: Wire, bob: Party, raw: RawPeer, reason: str, ended: CallEnded) -> None:
    ringing(wire, bob, raw)
    raw.request(bob, "CANCEL", branch="z9hG4bK-one", headers=[reason])
    wire.run(0.1)
    assert bob.told(CallEnded) == [ended]


def test_a_cancel_with_another_branch_gets_481_and_changes_nothing(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw)
    raw.request(bob, "CANCEL", branch="z9hG4bK-two")
    wire.run(0.1)
    assert raw.words == ["180", "481"]
    assert bob.told(CallEnded) == []


def test_a_cancel_from_another_host_gets_481_and_changes_nothing(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw)
    attacker = RawPeer(wire, "192.0.2.67")
    attacker.request(bob, "CANCEL", branch="z9hG4bK-one")
    spoofed = wire.sent[-1].data.replace(b"192.0.2.67:5060;rport", b"192.0.2.66:5060;rport")
    attacker.send(spoofed, bob)
    wire.run(0.1)
    assert attacker.words == ["481", "481"]
    assert bob.told(CallEnded) == []


def test_a_cancel_from_a_stranger_gets_silence(wire: Wire, raw: RawPeer) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_direct_line("door", allow="198.51.100.0/24")
    raw.request(carol, "CANCEL")
    wire.run(1)
    assert raw.received == []
    assert carol.endpoint.counters == {"strangers": 1}


def test_a_cancel_after_the_answer_is_answered_and_changes_nothing(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    raw.request(bob, "CANCEL", branch="z9hG4bK-one")
    wire.run(0.1)
    assert raw.words == ["180", "200", "200"]
    assert bob.told(CallEnded) == []


def test_a_cancel_after_487_is_answered_and_changes_nothing(wire: Wire, bob: Party, raw: RawPeer) -> None:
    ringing(wire, bob, raw)
    raw.request(bob, "CANCEL", branch="z9hG4bK-one")
    raw.request(bob, "CANCEL", branch="z9hG4bK-one", headers=["X-Retransmission: yes"])
    wire.run(0.1)
    assert raw.words == ["180", "200", "487", "200"]
    assert len(bob.told(CallEnded)) == 1


def test_a_caller_that_loses_the_487_gets_it_again(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.3)
    wire.drops = lambda sent: sent.word == "487" and wire.words.count("487") <= 2
    alice.do(alice.endpoint.hangup, call)
    wire.run(5)
    assert wire.words.count("487") == 3
    assert_nothing_left(wire, alice, bob)


def test_the_cancel_of_a_re_invite_leaves_the_call_as_it_was(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    tag = raw.last("200").to.tag
    raw.request(bob, "ACK", to_tag=tag)
    raw.request(bob, "INVITE", to_tag=tag, seq=2, branch="z9hG4bK-re", content=OFFER)
    wire.run(0.1)
    raw.request(bob, "CANCEL", to_tag=tag, seq=2, branch="z9hG4bK-re")
    raw.request(bob, "CANCEL", to_tag=tag, seq=2, branch="z9hG4bK-re", headers=["X-Retransmission: yes"])
    wire.run(0.1)
    assert raw.words == ["200", "200", "487", "200"]
    assert (bob.endpoint.calls, bob.told(CallEnded)) == (1, [])


def test_a_cancel_that_comes_after_the_re_invite_was_answered_changes_nothing(
    wire: Wire, alice: Party, bob: Party, raw: RawPeer
) -> None:
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    tag = raw.last("200").to.tag
    raw.request(bob, "ACK", to_tag=tag)
    raw.request(bob, "INVITE", to_tag=tag, seq=2, branch="z9hG4bK-re", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.accept_offer, "raw-call", ANSWER)
    raw.request(bob, "CANCEL", to_tag=tag, seq=2, branch="z9hG4bK-re")
    wire.run(0.1)
    assert raw.words == ["200", "200", "200"]
    assert bob.endpoint.calls == 1


def test_the_caller_may_call_again_right_after_cancelling(wire: Wire, alice: Party, bob: Party) -> None:
    first = alice.dial(bob, "alice", "door")
    wire.run(0.3)
    alice.do(alice.endpoint.hangup, first)
    second = established(wire, alice, bob)
    assert [event.call for event in bob.events if isinstance(event, CallReceived)] == [first, second]
    assert bob.endpoint.calls == 1


def test_a_cancel_of_something_else_than_an_invite_gets_its_200_and_changes_nothing(
    wire: Wire, bob: Party, raw: RawPeer
) -> None:
    raw.request(bob, "OPTIONS", branch="z9hG4bK-same")
    raw.request(bob, "CANCEL", branch="z9hG4bK-same")
    wire.run(0.1)
    assert [(message.cseq.method, int(message.status)) for message in raw.received] == [
        ("OPTIONS", 200),
        ("CANCEL", 200),
    ]
    assert raw.received[0].to.tag == raw.received[1].to.tag
