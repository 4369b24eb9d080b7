"""Session timers (RFC 4028), with either side as the one who refreshes."""

import pytest

from sip_bridge.sip.events import CallEnded, EndCause, OfferNeeded, OfferReceived
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left, established


def called(wire: Wire, alice: Party, raw: RawPeer, *headers: str) -> str:
    """Alice has called raw, who answered with these headers; the value is the call's id."""
    call = alice.endpoint.invite("alice", "sip:door@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 200, content=ANSWER, headers=headers)
    wire.run(0.1)
    return call


def calls(wire: Wire, bob: Party, raw: RawPeer, *headers: str) -> str:
    """Raw has called bob with these headers, who answered; the value is bob's tag."""
    raw.request(bob, "INVITE", content=OFFER, headers=headers)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    tag = raw.last("200").to.tag
    raw.request(bob, "ACK", to_tag=tag)
    wire.run(0.1)
    return tag or ""


def test_two_of_us_refresh_for_ever_without_touching_the_media(wire: Wire, alice: Party, bob: Party) -> None:
    call = established(wire, alice, bob)
    wire.sent.clear()
    wire.run(4 * 3600 + 60)
    assert wire.words == ["UPDATE", "200"] * 16  # each half of 1800 seconds
    assert (alice.told(OfferNeeded), bob.told(OfferReceived)) == ([], [])
    alice.do(alice.endpoint.hangup, call)
    assert_nothing_left(wire, alice, bob)


def test_an_invite_names_the_interval_and_a_200_agrees(wire: Wire, alice: Party, bob: Party) -> None:
    established(wire, alice, bob)
    invite, ok = wire.sent[0].message, next(sent.message for sent in wire.sent if sent.word == "200")
    assert (invite.get("session-expires"), invite.get("min-se")) == ("1800", None)
    assert "timer" in invite.tokens("supported")
    assert (ok.get("session-expires"), ok.get("require")) == ("1800;refresher=uac", "timer")


def test_who_refreshes_without_update_sends_a_whole_offer(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call = called(wire, alice, raw, "Session-Expires: 100;refresher=uac")
    wire.run(51)
    assert alice.told(OfferNeeded) == [OfferNeeded(call=call)]
    alice.do(alice.endpoint.send_offer, call, OFFER)
    wire.run(0.1)
    assert raw.last("INVITE").get("session-expires") == "100;refresher=uac"


@pytest.mark.parametrize("refusal", [405, 500])
def test_a_refused_update_is_made_up_for_by_a_re_invite(wire: Wire, alice: Party, raw: RawPeer, refusal: int) -> None:
    call = called(wire, alice, raw, "Session-Expires: 100", "Allow: INVITE, UPDATE")
    wire.run(51)
    raw.respond(raw.last("UPDATE"), refusal)
    wire.run(0.1)
    assert alice.told(OfferNeeded) == [OfferNeeded(call=call)]


def test_a_refresh_that_is_too_brief_is_repeated_with_a_longer_interval(wire: Wire, alice: Party, raw: RawPeer) -> None:
    called(wire, alice, raw, "Session-Expires: 100", "Allow: INVITE, UPDATE")
    wire.run(51)
    raw.respond(raw.last("UPDATE"), 422, headers=["Min-SE: 400"])
    wire.run(0.1)
    assert raw.words[-2:] == ["UPDATE", "UPDATE"]
    assert (raw.last("UPDATE").get("session-expires"), raw.last("UPDATE").get("min-se")) == (
        "400;refresher=uac",
        "400",
    )


@pytest.mark.parametrize("status", [408, 481])
def test_a_refresh_for_a_call_that_is_gone_ends_it(wire: Wire, alice: Party, raw: RawPeer, status: int) -> None:
    called(wire, alice, raw, "Session-Expires: 100", "Allow: INVITE, UPDATE")
    wire.run(51)
    raw.respond(raw.last("UPDATE"), 100, to_tag=None)
    raw.respond(raw.last("UPDATE"), status)
    wire.run(0.1)
    end = alice.told(CallEnded)[0]
    assert isinstance(end, CallEnded)
    assert (end.cause, end.status, raw.words[-1]) == (EndCause.TIMEOUT, SIPStatus(status), "BYE")


def test_a_refresh_that_nobody_answers_ends_the_call(wire: Wire, alice: Party, raw: RawPeer) -> None:
    called(wire, alice, raw, "Session-Expires: 100", "Allow: INVITE, UPDATE")
    wire.run(90)
    assert len(alice.told(CallEnded)) == 1
    assert_nothing_left(wire, alice)


@pytest.mark.parametrize("is_answered", [True, False])
def test_the_end_of_a_call_ends_its_refreshes(wire: Wire, alice: Party, raw: RawPeer, is_answered: bool) -> None:
    call = called(wire, alice, raw, "Session-Expires: 100", "Allow: INVITE, UPDATE")
    wire.run(51)
    alice.do(alice.endpoint.hangup, call)
    answers = [raw.last("UPDATE")] if is_answered else []
    for request in answers:
        raw.respond(request, 481)
    wire.run(40)
    assert raw.words[-1] == "BYE"
    assert len(alice.told(CallEnded)) == 1


def test_a_peer_that_misses_its_refresh_is_hung_up(wire: Wire, alice: Party, raw: RawPeer) -> None:
    called(wire, alice, raw, "Session-Expires: 180;refresher=uas")
    started = wire.now
    wire.run(140)
    assert alice.told(CallEnded) == []
    wire.run(20)
    assert (raw.words[-1], wire.now - started) == ("BYE", 160)
    assert len(alice.told(CallEnded)) == 1


def test_a_peer_that_refreshes_keeps_the_call(wire: Wire, bob: Party, raw: RawPeer) -> None:
    tag = calls(wire, bob, raw, "Supported: timer", "Session-Expires: 180;refresher=uac")
    for seq in range(2, 12):
        wire.run(100)
        headers = ["Supported: timer", "Session-Expires: 180;refresher=uac"]
        raw.request(bob, "UPDATE", to_tag=tag, seq=seq, headers=headers)
    wire.run(0.1)
    assert (bob.endpoint.calls, raw.words.count("200")) == (1, 11)
    wire.run(160)
    assert bob.endpoint.calls == 0


def test_a_refresh_that_wants_no_timer_ends_it(wire: Wire, bob: Party, raw: RawPeer) -> None:
    tag = calls(wire, bob, raw, "Supported: timer", "Session-Expires: 180;refresher=uac")
    raw.request(bob, "UPDATE", to_tag=tag, seq=2)
    wire.run(1000)
    assert bob.endpoint.calls == 1


def test_who_knows_no_timers_has_us_refresh(wire: Wire, bob: Party, raw: RawPeer) -> None:
    """A proxy put the interval in (RFC 4028 §9): nothing is required of the caller."""
    calls(wire, bob, raw, "Session-Expires: 180", "Allow: INVITE, UPDATE")
    assert (raw.last("200").get("session-expires"), raw.last("200").get("require")) == ("180;refresher=uas", None)
    wire.run(91)
    assert raw.last("UPDATE").get("session-expires") == "180;refresher=uac"


@pytest.mark.parametrize("interval", ["89", "1"])
def test_an_interval_that_is_too_brief_gets_422(wire: Wire, bob: Party, raw: RawPeer, interval: str) -> None:
    raw.request(bob, "INVITE", content=OFFER, headers=["Supported: timer", f"Session-Expires: {interval}"])
    wire.run(0.1)
    assert (raw.words, raw.last("422").get("min-se")) == (["422"], "90")


def test_an_interval_that_is_too_brief_gets_422_in_a_call_too(wire: Wire, bob: Party, raw: RawPeer) -> None:
    tag = calls(wire, bob, raw)
    raw.request(bob, "UPDATE", to_tag=tag, seq=2, headers=["Supported: timer", "Session-Expires: 30"])
    wire.run(0.1)
    assert raw.words[-1] == "422"


def test_a_proxys_brief_interval_is_lengthened_where_the_caller_can_not_ask_again(
    wire: Wire, bob: Party, raw: RawPeer
) -> None:
    calls(wire, bob, raw, "Session-Expires: 30")
    assert raw.last("200").get("session-expires") == "90;refresher=uas"


def test_422_to_the_invite_is_tried_again_once(wire: Wire, alice: Party, raw: RawPeer) -> None:
    alice.endpoint.invite("alice", "sip:door@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 422, headers=["Min-SE: 3600"])
    wire.run(0.1)
    again = raw.last("INVITE")
    assert (again.get("session-expires"), again.get("min-se"), again.cseq.number) == ("3600", "3600", 2)
    raw.respond(again, 422, headers=["Min-SE: 3600"])
    wire.run(0.1)
    end = alice.told(CallEnded)[0]
    assert isinstance(end, CallEnded)
    assert end.status == SIPStatus.SESSION_INTERVAL_TOO_SMALL


@pytest.mark.parametrize("value", ["soon", "-5", ";refresher=uac", "99999999999", '100;refresher="', "1800;;=x"])
def test_an_illegible_interval_loses_no_call(wire: Wire, alice: Party, bob: Party, raw: RawPeer, value: str) -> None:
    called(wire, alice, raw, f"Session-Expires: {value}")
    calls(wire, bob, raw, f"Session-Expires: {value}", "Supported: timer")
    assert (alice.endpoint.calls, bob.endpoint.calls) == (1, 1)


def test_a_peer_that_grants_a_second_is_not_refreshed_each_second(wire: Wire, alice: Party, raw: RawPeer) -> None:
    called(wire, alice, raw, "Session-Expires: 1;refresher=uac", "Allow: INVITE, UPDATE")
    wire.run(9.8)
    assert "UPDATE" not in raw.words
