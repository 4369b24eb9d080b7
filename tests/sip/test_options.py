"""OPTIONS of ours (RFC 3261 §11.1): is the peer there, and what can it do?"""

from sip_bridge.sip.capabilities import ALLOW
from sip_bridge.sip.events import EndCause, OptionsAnswered, OptionsFailed
from sip_bridge.sip.options import MAX_ALLOW
from sip_bridge.sip.status import SIPStatus
from tests.scenario import Party, RawPeer, Wire, assert_nothing_left


def ask(party: Party, target: str) -> str:
    query = party.endpoint.send_options("alice", target, party.wire.now)
    party.drain()
    return query


def test_a_peer_says_what_it_can_do(wire: Wire, alice: Party, bob: Party) -> None:
    query = ask(alice, "sip:door@192.0.2.2")
    wire.run(0.1)
    allow = tuple(ALLOW.split(", "))
    assert list(alice.events) == [OptionsAnswered(line="alice", query=query, status=SIPStatus.OK, allow=allow)]
    assert wire.sent[0].message.get("contact") == "<sip:alice@192.0.2.1:5060>"
    assert_nothing_left(wire, alice, bob)


def test_a_refusal_shows_that_the_peer_is_there(wire: Wire, alice: Party, raw: RawPeer) -> None:
    def answer(status: int) -> None:
        raw.respond(raw.last("OPTIONS"), status, headers=["Server: Door 1.0", "Allow: INVITE,,ACK", "Allow: BYE"])

    query = ask(alice, "sip:x@192.0.2.66")
    wire.run(0.1)
    answer(100)
    answer(405)
    wire.run(0.1)
    assert list(alice.events) == [
        OptionsAnswered(
            line="alice",
            query=query,
            status=SIPStatus.METHOD_NOT_ALLOWED,
            allow=("INVITE", "ACK", "BYE"),
            server="Door 1.0",
        )
    ]


def test_what_a_peer_can_do_is_bounded(wire: Wire, alice: Party, raw: RawPeer) -> None:
    raw.on_request = lambda request: raw.respond(request, 200, headers=["Allow: " + ", ".join(["X"] * 99)])
    query = ask(alice, "sip:x@192.0.2.66")
    wire.run(0.1)
    allow = ("X",) * MAX_ALLOW
    assert list(alice.events) == [OptionsAnswered(line="alice", query=query, status=SIPStatus.OK, allow=allow)]


def test_silence_is_told(wire: Wire, alice: Party) -> None:
    query = ask(alice, "sip:x@192.0.2.66")
    wire.run(33)
    assert list(alice.events) == [OptionsFailed(line="alice", query=query, cause=EndCause.TIMEOUT)]
