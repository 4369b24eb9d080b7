"""RFC 3665 §3.8 to §3.11: calls that do not come about. What ends them travels hop by hop, and so do the ACKs."""

import pytest

from sip_bridge.sip.events import CallEnded, CallReceived, EndCause
from sip_bridge.sip.status import SIPStatus
from tests.scenario import OFFER, Wire, assert_nothing_left
from tests.sip.flows.elements import Proxy, Server, User, figure
from tests.sip.flows.people import BOB, BOBS_PHONE, PROXY1, PROXY2, reached, sent

CALLING = [
    "alice -> proxy1 INVITE",
    "proxy1 -> proxy2 INVITE",
    "proxy1 -> alice 100",
    "proxy2 -> bob INVITE",
    "proxy2 -> proxy1 100",
]
RINGING = ["bob -> proxy2 180", "proxy2 -> proxy1 180", "proxy1 -> alice 180"]


@pytest.fixture
def proxy1(wire: Wire) -> Proxy:
    return Proxy(wire, PROXY1, routes={BOB: f"sip:{PROXY2}"})


@pytest.fixture
def proxy2(wire: Wire) -> Proxy:
    return Proxy(wire, PROXY2, routes={BOB: BOBS_PHONE})


@pytest.fixture
def call(wire: Wire, alice: User, bob: User, proxy1: Proxy, proxy2: Proxy) -> str:
    """Alice's INVITE has reached Bob's phone."""
    call = alice.endpoint.invite("alice", BOB, OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    return call


def refusal(status: int, *, before: tuple[str, ...] = ()) -> list[str]:
    """How a final response that is no 2xx returns: each hop acknowledges it to the one behind."""
    return [
        *before,
        f"bob -> proxy2 {status}",
        "proxy2 -> bob ACK",
        f"proxy2 -> proxy1 {status}",
        "proxy1 -> proxy2 ACK",
        f"proxy1 -> alice {status}",
        "alice -> proxy1 ACK",
    ]


def assert_acknowledged_hop_by_hop(wire: Wire, alice: User) -> None:
    """Alice's ACK repeats Request-URI, branch, number and Route of her INVITE; its tag is that of the refusal."""
    (invite,), (ack,) = sent(wire, alice, "INVITE"), sent(wire, alice, "ACK")
    assert (ack.uri, ack.via.branch, ack.cseq.number) == (invite.uri, invite.via.branch, invite.cseq.number)
    assert (ack.items("route"), ack.from_) == (invite.items("route"), invite.from_)
    assert (ack.call_id, ack.to.tag is not None, ack.content) == (invite.call_id, True, b"")


def test_3_8_unsuccessful_no_answer(
    wire: Wire, alice: User, bob: User, proxy1: Proxy, proxy2: Proxy, call: str
) -> None:
    """Nobody picks up, and Alice gives up."""
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(10)
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.2)
    assert figure(wire, alice=alice, proxy1=proxy1, proxy2=proxy2, bob=bob) == [
        *CALLING,
        *RINGING,
        "alice -> proxy1 CANCEL",
        "proxy1 -> alice 200",
        "proxy1 -> proxy2 CANCEL",
        "proxy2 -> proxy1 200",
        "proxy2 -> bob CANCEL",
        "bob -> proxy2 200",
        *refusal(487),
    ]
    (invite,), (cancel,) = sent(wire, alice, "INVITE"), sent(wire, alice, "CANCEL")
    assert (cancel.uri, cancel.via.branch, cancel.cseq.number) == (BOB, invite.via.branch, 1)
    assert (cancel.items("route"), cancel.from_, cancel.to) == (invite.items("route"), invite.from_, invite.to)
    assert (cancel.call_id, cancel.get("contact"), cancel.content) == (invite.call_id, None, b"")
    cancelled, (terminated,) = sent(wire, bob, "200"), sent(wire, bob, "487")
    assert [(each.cseq.method, each.cseq.number) for each in (*cancelled, terminated)] == [("CANCEL", 1), ("INVITE", 1)]
    assert cancelled[0].to.tag == terminated.to.tag == sent(wire, bob, "180")[0].to.tag
    assert_acknowledged_hop_by_hop(wire, alice)
    ended = [CallEnded(call=call, cause=EndCause.CANCELED)]
    assert (alice.told(CallEnded), bob.told(CallEnded)) == (ended, ended)
    assert_nothing_left(wire, alice, bob)


def test_3_9_unsuccessful_busy(wire: Wire, alice: User, bob: User, proxy1: Proxy, proxy2: Proxy, call: str) -> None:
    bob.do(bob.endpoint.reject, call, SIPStatus.BUSY_HERE)
    wire.run(0.2)
    assert figure(wire, alice=alice, proxy1=proxy1, proxy2=proxy2, bob=bob) == [*CALLING, *refusal(486)]
    assert_acknowledged_hop_by_hop(wire, alice)
    assert alice.told(CallEnded) == [
        CallEnded(call=call, cause=EndCause.REJECTED, status=SIPStatus.BUSY_HERE, phrase="Busy Here")
    ]
    assert_nothing_left(wire, alice, bob)


def test_3_10_unsuccessful_no_response_from_the_user_agent(
    wire: Wire, alice: User, proxy1: Proxy, proxy2: Proxy
) -> None:
    """Bob's phone is off: his proxy repeats its INVITE, and then says so."""
    call = alice.endpoint.invite("alice", BOB, OFFER, wire.now)
    alice.drain()
    wire.run(0.05)
    proxy2.wait_in_vain()
    wire.run(0.2)
    off = User(wire, "192.0.2.201")
    assert figure(wire, alice=alice, proxy1=proxy1, proxy2=proxy2, bob=off) == [
        *CALLING,
        *["proxy2 -> bob INVITE"] * 6,
        *refusal(480)[2:],
    ]
    assert_acknowledged_hop_by_hop(wire, alice)
    assert alice.told(CallEnded) == [
        CallEnded(
            call=call,
            cause=EndCause.REJECTED,
            status=SIPStatus.TEMPORARILY_UNAVAILABLE,
            phrase="Temporarily Unavailable",
        )
    ]
    assert_nothing_left(wire, alice)


def test_3_10_unsuccessful_no_response_from_anybody(wire: Wire, alice: User) -> None:
    """The same where no proxy stands between: the caller's own timer B ends it after 32 s (RFC 3261 §17.1.1.2)."""
    call = alice.endpoint.invite("direct", "sip:bob@atlanta.example.com", OFFER, wire.now)
    alice.drain()
    silent = Server(wire, "atlanta.example.com")
    wire.run(31.9)
    assert alice.told(CallEnded) == []
    wire.run(0.2)
    assert figure(wire, alice=alice, silent=silent) == ["alice -> silent INVITE"] * 7
    assert wire.instants("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.TIMEOUT)]
    assert_nothing_left(wire, alice)


def test_3_11_unsuccessful_temporarily_unavailable(
    wire: Wire, alice: User, bob: User, proxy1: Proxy, proxy2: Proxy, call: str
) -> None:
    """It rings, and then Bob's phone says that he can't be had."""
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(0.1)
    bob.do(bob.endpoint.reject, call, SIPStatus.TEMPORARILY_UNAVAILABLE)
    wire.run(0.2)
    assert figure(wire, alice=alice, proxy1=proxy1, proxy2=proxy2, bob=bob) == [*CALLING, *RINGING, *refusal(480)]
    (ringing,), (unavailable,) = reached(wire, alice, "180"), reached(wire, alice, "480")
    assert (unavailable.to, unavailable.cseq) == (ringing.to, ringing.cseq)
    assert_acknowledged_hop_by_hop(wire, alice)
    assert len(bob.told(CallReceived)) == 1
    assert_nothing_left(wire, alice, bob)
