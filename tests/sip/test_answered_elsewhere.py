"""A call of ours that somebody else took: the phone that stops ringing is told so (RFC 3326)."""

import pytest

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.events import CallEnded, EndCause
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, Party, Wire, assert_nothing_left, established

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def reasons(wire: Wire, method: str) -> list[str]:
    """Of each request of a method that was sent."""
    return [value for sent in wire.sent if sent.word == method for value in sent.message.get_all("reason")]


def test_a_ringing_phone_hears_it_in_the_cancel(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(0.1)
    alice.do(alice.endpoint.leave_to_other, call)
    wire.run(1)
    assert reasons(wire, "CANCEL") == [ELSEWHERE]
    ended = [CallEnded(call=call, cause=EndCause.ANSWERED_ELSEWHERE)]
    assert (alice.told(CallEnded), bob.told(CallEnded)) == (ended, ended)
    assert_nothing_left(wire, alice, bob)


def test_a_cancel_that_has_to_wait_says_it_too(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    alice.do(alice.endpoint.leave_to_other, call)
    wire.run(1)
    assert reasons(wire, "CANCEL") == [ELSEWHERE]
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.ANSWERED_ELSEWHERE)]


def test_an_answer_that_crosses_the_cancel_is_hung_up_with_it(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, call, ANSWER)
    alice.do(alice.endpoint.leave_to_other, call)
    wire.run(1)
    assert reasons(wire, "BYE") == [ELSEWHERE]
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.ANSWERED_ELSEWHERE)]
    assert_nothing_left(wire, alice, bob)


def test_a_phone_that_has_answered_hears_it_in_the_bye(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    alice.do(alice.endpoint.leave_to_other, call)
    wire.run(1)
    assert reasons(wire, "BYE") == [ELSEWHERE]
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.ANSWERED_ELSEWHERE)]
    assert_nothing_left(wire, alice, bob)


def test_a_call_that_came_in_is_nobody_elses(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    with pytest.raises(InvalidStateError, match="not one of ours"):
        bob.endpoint.leave_to_other(call, wire.now)
