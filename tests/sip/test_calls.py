"""Whole calls between two endpoints: what goes over the wire, and what each side is told."""

import pytest

from sip_bridge.errors import InvalidStateError, LocalProtocolError
from sip_bridge.sip import calls as calls_module
from sip_bridge.sip.caller import Caller
from sip_bridge.sip.events import (
    AnswerReceived,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallPlaced,
    CallProgressed,
    CallReceived,
    CallSignaled,
    EndCause,
)
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left, established


def test_a_call_is_answered_and_hung_up_by_the_caller(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(1)
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(1)
    alice.do(alice.endpoint.hangup, call)
    wire.run(1)
    assert wire.words == ["INVITE", "180", "200", "ACK", "BYE", "200"]
    assert list(alice.events) == [
        CallPlaced(call=call, line="alice", remote=NameAddr(uri="sip:door@192.0.2.2:5060")),
        CallSignaled(call=call, origin="local", method="INVITE"),
        CallProgressed(call=call, status=SIPStatus.RINGING, answer=b""),
        CallSignaled(call=call, origin="remote", method="INVITE", status=SIPStatus.RINGING, phrase="Ringing"),
        CallAnswered(call=call, answer=ANSWER),
        CallSignaled(call=call, origin="remote", method="INVITE", status=SIPStatus.OK, phrase="OK"),
        CallSignaled(call=call, origin="local", method="ACK"),
        CallSignaled(call=call, origin="local", method="BYE"),
        CallEnded(call=call, cause=EndCause.HANGUP_LOCAL),
    ]
    remote = wire.sent[0].message.from_
    assert list(bob.events) == [
        CallReceived(
            call=call,
            line="door",
            remote=remote,
            caller=Caller(address=NameAddr(uri=remote.uri, display_name="alice")),
            flow=bob.flow_to(alice.address),
            offer=OFFER,
        ),
        CallSignaled(call=call, origin="remote", method="INVITE"),
        CallSignaled(call=call, origin="local", method="INVITE", status=SIPStatus.RINGING, phrase="Ringing"),
        CallSignaled(call=call, origin="local", method="INVITE", status=SIPStatus.OK, phrase="OK"),
        CallSignaled(call=call, origin="remote", method="ACK"),
        CallConfirmed(call=call, answer=b""),
        CallSignaled(call=call, origin="remote", method="BYE"),
        CallEnded(call=call, cause=EndCause.HANGUP_REMOTE, q850=16),
    ]
    assert_nothing_left(wire, alice, bob)


def test_the_callee_hangs_up(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    bob.do(bob.endpoint.hangup, call)
    wire.run(1)
    assert alice.events[-1] == CallEnded(call=call, cause=EndCause.HANGUP_REMOTE, q850=16)
    assert bob.events[-1] == CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)
    assert_nothing_left(wire, alice, bob)


def test_both_hang_up_at_once_and_each_end_is_told_once(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    alice.do(alice.endpoint.hangup, call)
    bob.do(bob.endpoint.hangup, call)
    wire.run(1)
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]
    assert_nothing_left(wire, alice, bob)


def test_early_media_comes_with_183(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.endpoint.ring(call, SIPStatus.SESSION_PROGRESS, wire.now, ANSWER)
    bob.drain()
    wire.run(0.1)
    assert alice.told(CallProgressed) == [
        CallProgressed(call=call, status=SIPStatus.SESSION_PROGRESS, answer=ANSWER),
    ]


def test_ringing_is_repeated_every_minute(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(130)
    assert wire.instants("180") == [0.1, 60.1, 120.1]
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(130)
    assert wire.words.count("180") == 3


def test_a_callee_that_says_nothing_sends_100_after_200_ms(wire: Wire, alice: Party, bob: Party) -> None:
    alice.dial(bob, "alice", "door")
    wire.run(10)
    assert wire.words == ["INVITE", "100"]
    assert wire.instants("100") == [0.21]


@pytest.mark.parametrize("status", [SIPStatus.BUSY_HERE, SIPStatus.DECLINE, SIPStatus.MOVED_TEMPORARILY])
def test_a_refused_call_ends_with_its_status(wire: Wire, alice: Party, bob: Party, status: SIPStatus) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.reject, call, status)
    wire.run(1)
    assert wire.words == ["INVITE", str(int(status)), "ACK"]
    ended = CallEnded(call=call, cause=EndCause.REJECTED, status=status, phrase=status.phrase)
    assert (alice.events[-1], bob.events[-1]) == (ended, ended)
    assert_nothing_left(wire, alice, bob)


def test_hanging_up_a_ringing_call_declines_it(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.hangup, call)
    wire.run(1)
    assert wire.words == ["INVITE", "603", "ACK"]


def test_unanswered_invite_times_out_after_64_t1(wire: Wire, alice: Party, bob: Party) -> None:
    wire.drops = lambda sent: sent.source == alice.address
    call = alice.dial(bob, "alice", "door")
    wire.run(31.9)
    assert alice.told(CallEnded) == []
    wire.run(0.2)
    assert wire.instants("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert alice.events[-1] == CallEnded(call=call, cause=EndCause.TIMEOUT)
    assert_nothing_left(wire, alice, bob)


def test_a_lost_invite_is_sent_again_and_rings_once(wire: Wire, alice: Party, bob: Party) -> None:
    wire.drops = lambda sent: len(wire.sent) == 1
    alice.dial(bob, "alice", "door")
    wire.run(1)
    assert wire.instants("INVITE") == [0, 0.5]
    assert len(bob.told(CallReceived)) == 1


def test_a_lost_200_is_retransmitted_until_it_is_acknowledged(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    wire.drops = lambda sent: sent.word == "200" and wire.words.count("200") <= 3
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(60)
    assert wire.instants("200") == [0.1, 0.6, 1.6, 3.6]
    assert wire.instants("ACK") == [3.61]
    assert bob.told(CallConfirmed) == [CallConfirmed(call=call, answer=b"")]
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]


def test_a_lost_ack_is_sent_again_byte_for_byte_for_each_200(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    wire.drops = lambda sent: sent.word == "ACK" and wire.words.count("ACK") <= 2
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(60)
    assert wire.instants("200") == [0.1, 0.6, 1.6]
    assert wire.instants("ACK") == [0.11, 0.61, 1.61]
    assert len({sent.data for sent in wire.sent if sent.word == "ACK"}) == 1
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    assert bob.told(CallConfirmed) == [CallConfirmed(call=call, answer=b"")]


def test_when_no_ack_ever_comes_the_callee_sends_bye_after_64_t1(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    wire.drops = lambda sent: sent.word == "ACK"
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(33)
    assert wire.instants("200")[:11] == [0.1, 0.6, 1.6, 3.6, 7.6, 11.6, 15.6, 19.6, 23.6, 27.6, 31.6]
    assert wire.instants("BYE") == [32.1]
    assert bob.events[-1] == CallEnded(call=call, cause=EndCause.TIMEOUT, phrase="no ACK came")
    assert alice.events[-1] == CallEnded(call=call, cause=EndCause.HANGUP_REMOTE)
    assert_nothing_left(wire, alice, bob)


def test_a_hangup_before_the_ack_waits_for_it(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.answer, call, ANSWER)
    bob.do(bob.endpoint.hangup, call)
    assert wire.words == ["INVITE", "200"]
    wire.run(1)
    assert wire.words == ["INVITE", "200", "ACK", "BYE", "200"]
    assert bob.events[-1] == CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)
    assert_nothing_left(wire, alice, bob)


def test_a_lost_bye_is_sent_again(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    wire.drops = lambda sent: sent.word == "BYE" and wire.words.count("BYE") <= 2
    alice.do(alice.endpoint.hangup, call)
    wire.run(5)
    assert wire.words.count("BYE") == 3
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_REMOTE, q850=16)]


def test_a_lost_200_to_bye_is_repeated_and_the_end_told_once(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    before = len(wire.sent)
    wire.drops = lambda sent: sent.word == "200" and len(wire.sent) - before <= 4
    alice.do(alice.endpoint.hangup, call)
    wire.run(5)
    assert wire.words[before:] == ["BYE", "200", "BYE", "200", "BYE", "200"]
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_REMOTE, q850=16)]


def test_a_bye_that_nobody_answers_is_given_up(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    wire.drops = lambda sent: sent.source == alice.address
    alice.do(alice.endpoint.hangup, call)
    assert alice.endpoint.has_open_requests
    wire.run(200)
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]
    assert (alice.endpoint.transactions, alice.endpoint.has_open_requests) == (0, False)


def test_a_delayed_offer_is_answered_in_the_ack(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE")
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", OFFER)
    wire.run(0.1)
    raw.request(bob, "ACK", to_tag=raw.last("200").to.tag, content=ANSWER)
    wire.run(0.1)
    assert bob.told(CallConfirmed) == [CallConfirmed(call="raw-call", answer=ANSWER)]
    assert bob.told(AnswerReceived) == []


def test_the_answer_to_an_offer_of_the_2xx_may_take_a_while(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door", offer=b"")
    wire.run(0.1)
    bob.do(bob.endpoint.answer, call, OFFER)
    wire.run(2)
    assert wire.words == ["INVITE", "200", "200", "200"]
    alice.do(alice.endpoint.accept_offer, call, ANSWER)
    wire.run(10)
    assert wire.words[4:] == ["ACK"]
    assert bob.told(CallConfirmed) == [CallConfirmed(call=call, answer=ANSWER)]


def test_several_calls_at_once_stay_apart(wire: Wire, alice: Party, bob: Party) -> None:
    calls = [alice.dial(bob, "alice", "door") for _ in range(5)]
    wire.run(0.1)
    for call in calls[1::2]:
        bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(0.1)
    bob.do(bob.endpoint.hangup, calls[1])
    wire.run(0.1)
    assert [event.call for event in alice.events if isinstance(event, CallAnswered)] == calls[1::2]
    assert alice.told(CallEnded) == [CallEnded(call=calls[1], cause=EndCause.HANGUP_REMOTE, q850=16)]
    assert (alice.endpoint.calls, bob.endpoint.calls) == (4, 4)


def test_a_call_to_oneself_has_two_ends_with_two_names(wire: Wire, alice: Party) -> None:
    call = alice.dial(alice, "alice", "alice")
    wire.run(0.1)
    (received,) = [event for event in alice.events if isinstance(event, CallReceived)]
    assert received.call.startswith(f"{call}#")
    alice.do(alice.endpoint.answer, received.call, ANSWER)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, received.call)
    wire.run(0.1)
    assert alice.told(CallEnded) == [
        CallEnded(call=received.call, cause=EndCause.HANGUP_LOCAL),
        CallEnded(call=call, cause=EndCause.HANGUP_REMOTE, q850=16),
    ]
    assert_nothing_left(wire, alice)


def test_orders_for_a_call_that_can_not_take_them_are_refused(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    with pytest.raises(InvalidStateError, match="is not an incoming call"):
        alice.endpoint.answer(call, ANSWER, wire.now)
    with pytest.raises(InvalidStateError, match="is not ringing"):
        bob.endpoint.answer(call, ANSWER, wire.now)
    with pytest.raises(InvalidStateError, match="has no offer to answer"):
        bob.endpoint.accept_offer(call, ANSWER, wire.now)
    alice.do(alice.endpoint.hangup, call)
    with pytest.raises(InvalidStateError, match="is over"):
        alice.endpoint.hangup(call, wire.now)


@pytest.mark.parametrize(
    "target",
    ["", "620", "sip:", "sip:door@not a host", "sip:door@192.0.2.2?Subject=x", "sip:door@192.0.2.2\r\nX: y", "tel:1"],
)
def test_a_target_that_can_not_be_called_is_refused(alice: Party, target: str) -> None:
    with pytest.raises(LocalProtocolError):
        alice.endpoint.invite("alice", target, OFFER, 0)


@pytest.mark.parametrize(
    "headers",
    [{"Via": "x"}, {"v": "x"}, {"V": "x"}, {"Bad Name": "x"}, {"X-Fine": "a\r\nVia: b"}, {"CALL-ID": "x"}, {"": "x"}],
)
def test_a_header_that_would_forge_the_message_is_refused(alice: Party, headers: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        alice.endpoint.invite("alice", "sip:door@192.0.2.2", OFFER, 0, headers=headers)


def test_an_application_sets_headers_and_the_name_of_the_caller(wire: Wire, alice: Party, bob: Party) -> None:
    alice.endpoint.invite(
        "alice", "sip:door@192.0.2.2", OFFER, wire.now, from_name='Front "Door"', headers={"Alert-Info": "<urn:x>"}
    )
    alice.drain()
    invite = wire.sent[0].message
    assert (invite.from_.display_name, invite.get("alert-info")) == ('Front "Door"', "<urn:x>")


def test_a_call_to_oneself_that_is_given_up_at_once_has_two_ends_with_two_names(wire: Wire, alice: Party) -> None:
    call = alice.dial(alice, "alice", "alice")
    alice.do(alice.endpoint.hangup, call)
    wire.run(1)  # the CANCEL follows the 100
    ended = [event.call for event in alice.told(CallEnded) if isinstance(event, CallEnded)]
    assert (len(ended), len(set(ended)), ended[0]) == (2, 2, call)


def test_only_so_many_calls_of_ours_are_remembered(
    wire: Wire, alice: Party, bob: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "MAX_CALLS", 3)
    for _ in range(5):
        alice.do(alice.endpoint.hangup, alice.dial(bob, "alice", "door"))
    assert len(alice.endpoint._calls._placed) == 3
