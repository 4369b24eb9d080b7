"""Challenges to our INVITE and BYE (RFC 3261 §22)."""

import pytest

from sip_bridge.sip.events import CallAnswered, CallEnded, EndCause
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, PBX, Party, RawPeer, Wire, assert_nothing_left

WWW = 'WWW-Authenticate: Digest realm="pbx", nonce="n1", algorithm=MD5, qop="auth"'
PROXY = 'Proxy-Authenticate: Digest realm="pbx", nonce="p1"'


@pytest.fixture
def carol(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.3")
    party.add_registered_line("620")
    return party


@pytest.fixture
def pbx(wire: Wire) -> RawPeer:
    return RawPeer(wire, PBX.host)


def dial(wire: Wire, carol: Party) -> str:
    call = carol.endpoint.invite("620", "200", OFFER, wire.now)
    carol.drain()
    wire.run(0.1)
    return call


@pytest.mark.parametrize(
    ("challenge", "header"),
    [((401, WWW), "authorization"), ((407, PROXY), "proxy-authorization")],
)
def test_a_challenged_invite_is_sent_again_with_credentials(
    wire: Wire, carol: Party, pbx: RawPeer, challenge: tuple[int, str], header: str
) -> None:
    call = dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), challenge[0], headers=[challenge[1]])
    wire.run(0.1)
    first, ack, second = pbx.received
    assert [m.method for m in pbx.received] == ["INVITE", "ACK", "INVITE"]
    assert (first.get(header), ack.get(header)) == (None, None)
    assert (second.get(header) or "").startswith('Digest username="620", realm="pbx"')
    assert (first.call_id, first.from_.tag) == (second.call_id, second.from_.tag)
    assert (first.cseq.number, second.cseq.number) == (1, 2)
    assert first.via.branch == ack.via.branch != second.via.branch
    pbx.respond(second, 200, content=ANSWER)
    wire.run(0.1)
    assert carol.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    assert pbx.last("ACK").cseq.number == 2


def test_a_proxy_and_then_the_callee_may_challenge(wire: Wire, carol: Party, pbx: RawPeer) -> None:
    dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 407, headers=[PROXY])
    wire.run(0.1)
    pbx.respond(pbx.last("INVITE"), 401, headers=[WWW])
    wire.run(0.1)
    last = pbx.last("INVITE")
    assert last.cseq.number == 3
    assert None not in (last.get("authorization"), last.get("proxy-authorization"))


def test_a_second_refusal_ends_the_call(wire: Wire, carol: Party, pbx: RawPeer) -> None:
    call = dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 401, headers=[WWW])
    wire.run(0.1)
    pbx.respond(pbx.last("INVITE"), 401, headers=[WWW.replace("n1", "n2")])
    wire.run(0.1)
    ended = CallEnded(call=call, cause=EndCause.REJECTED, status=SIPStatus.UNAUTHORIZED, phrase="Unauthorized")
    assert carol.told(CallEnded) == [ended]
    assert pbx.words == ["INVITE", "ACK", "INVITE", "ACK"]
    assert_nothing_left(wire, carol)


def test_a_stale_nonce_is_answered_once_more_but_not_for_ever(wire: Wire, carol: Party, pbx: RawPeer) -> None:
    dial(wire, carol)
    for number in range(6):
        pbx.respond(pbx.last("INVITE"), 401, headers=[f"{WWW.replace('n1', f's{number}')}, stale=TRUE"])
        wire.run(0.1)
    assert pbx.words.count("INVITE") == 4
    assert carol.endpoint.calls == 0


def test_a_challenged_bye_is_sent_again_with_credentials(wire: Wire, carol: Party, pbx: RawPeer) -> None:
    call = dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 200, content=ANSWER)
    wire.run(0.1)
    carol.do(carol.endpoint.hangup, call)
    wire.run(0.1)
    pbx.respond(pbx.last("BYE"), 401, headers=[WWW])
    wire.run(0.1)
    bye = pbx.last("BYE")
    pbx.respond(bye, 200)
    assert (bye.cseq.number, "Digest" in (bye.get("authorization") or "")) == (3, True)
    assert carol.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]
    assert_nothing_left(wire, carol)


def test_known_credentials_go_with_the_next_call_and_count_the_nonce_up(wire: Wire, carol: Party, pbx: RawPeer) -> None:
    dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 401, headers=[WWW])
    wire.run(0.1)
    assert "nc=00000001" in (pbx.last("INVITE").get("authorization") or "")
    dial(wire, carol)
    assert "nc=00000002" in (pbx.last("INVITE").get("authorization") or "")


def test_a_challenge_from_elsewhere_gets_no_answer(wire: Wire, carol: Party, pbx: RawPeer, raw: RawPeer) -> None:
    call = dial(wire, carol)
    raw.respond(pbx.last("INVITE"), 401, headers=[WWW])
    wire.run(0.1)
    assert carol.told(CallEnded) == [
        CallEnded(call=call, cause=EndCause.REJECTED, status=SIPStatus.UNAUTHORIZED, phrase="Unauthorized")
    ]
    assert carol.endpoint.counters == {"challenges_from_elsewhere": 1}
    assert pbx.words == ["INVITE", "ACK"]


def test_a_callee_that_is_not_the_registrar_gets_no_credentials(
    wire: Wire, carol: Party, pbx: RawPeer, raw: RawPeer
) -> None:
    carol.do(carol.endpoint.register, "620")
    call = carol.endpoint.invite("620", "sip:x@192.0.2.66", OFFER, wire.now)
    carol.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 401, headers=[WWW])
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK"]
    assert [event.call for event in carol.events if isinstance(event, CallEnded)] == [call]


def test_a_direct_line_has_no_credentials_to_give(wire: Wire, alice: Party, raw: RawPeer) -> None:
    alice.endpoint.invite("alice", "sip:x@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 401, headers=[WWW])
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK"]
    assert alice.endpoint.calls == 0


@pytest.mark.parametrize(
    "challenge",
    [
        'WWW-Authenticate: Digest realm="pbx", nonce="n", algorithm=NEW',
        'WWW-Authenticate: Basic realm="pbx"',
        "WWW-Authenticate: Negotiate",
        'WWW-Authenticate: Digest realm="pbx',
        "WWW-Authenticate: Digest",
        "X-Nothing: at all",
    ],
)
def test_a_challenge_that_can_not_be_answered_ends_the_call(
    wire: Wire, carol: Party, pbx: RawPeer, challenge: str
) -> None:
    dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 401, headers=[challenge])
    wire.run(0.1)
    assert (pbx.words, carol.endpoint.calls) == (["INVITE", "ACK"], 0)


def test_a_call_given_up_is_not_sent_again(wire: Wire, carol: Party, pbx: RawPeer) -> None:
    call = dial(wire, carol)
    carol.do(carol.endpoint.hangup, call)
    pbx.respond(pbx.last("INVITE"), 401, headers=[WWW])
    wire.run(0.1)
    assert pbx.words == ["INVITE", "ACK"]
    assert_nothing_left(wire, carol)


def test_another_realm_is_another_account(wire: Wire, pbx: RawPeer) -> None:
    carol = Party(wire, "192.0.2.4")
    carol.add_registered_line("620", realm="mine")
    dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 401, headers=[WWW])
    wire.run(0.1)
    assert pbx.words == ["INVITE", "ACK"]


def test_credentials_stay_out_of_every_repr(carol: Party) -> None:
    assert "secret" not in repr(carol.endpoint._policy.lines)


def test_a_response_message_has_no_method(wire: Wire, carol: Party, pbx: RawPeer) -> None:
    dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 180)
    message = SIPMessage(wire.sent[-1].data)
    assert (message.method, message.uri, message.is_request) == (None, "", False)


def test_the_ack_to_a_200_carries_the_credentials_of_its_invite(wire: Wire, carol: Party, pbx: RawPeer) -> None:
    dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 407, headers=[PROXY])
    wire.run(0.1)
    pbx.respond(pbx.last("INVITE"), 200, content=ANSWER)
    wire.run(0.1)
    ack, invite = pbx.received[-1], pbx.last("INVITE")
    assert ack.method == "ACK"
    assert ack.get("proxy-authorization") == invite.get("proxy-authorization") is not None


def test_a_100_before_the_challenge_is_no_leave_to_cancel_the_second_invite(
    wire: Wire, carol: Party, pbx: RawPeer
) -> None:
    call = dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 100)
    pbx.respond(pbx.last("INVITE"), 407, headers=[PROXY])
    wire.run(0.1)
    carol.do(carol.endpoint.hangup, call)
    wire.run(0.1)
    assert pbx.words == ["INVITE", "ACK", "INVITE"]
    pbx.respond(pbx.last("INVITE"), 180)
    wire.run(0.1)
    assert pbx.words[-1] == "CANCEL"
    assert pbx.last("CANCEL").via.branch == pbx.last("INVITE").via.branch


def test_a_proxy_and_a_registrar_of_one_realm_are_each_answered_where_they_asked(
    wire: Wire, carol: Party, pbx: RawPeer
) -> None:
    """Both answers at once would make the INVITE needlessly large."""
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    pbx.respond(pbx.last("REGISTER"), 401, headers=[WWW])
    wire.run(0.1)
    pbx.respond(pbx.last("REGISTER"), 200)
    dial(wire, carol)
    pbx.respond(pbx.last("INVITE"), 407, headers=[PROXY])
    wire.run(0.1)
    dial(wire, carol)
    invites = [message for message in pbx.received if message.method == "INVITE"]
    answered = [[name for name in ("authorization", "proxy-authorization") if m.get(name)] for m in invites]
    assert answered == [["authorization"], ["proxy-authorization"], ["proxy-authorization"]]
