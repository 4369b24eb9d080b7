"""Call transfer (RFC 3515, RFC 5589) and calls that take the place of others (RFC 3891)."""

import pytest

from sip_bridge.errors import InvalidStateError, LocalProtocolError
from sip_bridge.sip.events import (
    CallAnswered,
    CallEnded,
    CallReceived,
    EndCause,
    TransferEnded,
    TransferProgressed,
    TransferRequested,
)
from sip_bridge.sip.replaces import Replaces
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left

CAROL = "sip:carol@192.0.2.3"


@pytest.fixture
def carol(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.3")
    party.add_direct_line("carol")
    return party


def in_call(raw: RawPeer, alice: Party, call: str, method: str, *headers: str, seq: int = 1, **given: object) -> None:
    """A request of raw in alice's call."""
    tag = alice.endpoint._core.sessions[call]._local_tag
    content = given.get("content", b"")
    assert isinstance(content, bytes)
    kind = str(given.get("content_type", "message/sipfrag;version=2.0"))
    raw.request(alice, method, to_tag=tag, call_id=call, seq=seq, headers=headers, content=content, content_type=kind)


def notify(raw: RawPeer, alice: Party, call: str, fragment: str, *, seq: int, state: str = "active") -> None:
    headers = ("Event: refer", f"Subscription-State: {state}")
    in_call(raw, alice, call, "NOTIFY", *headers, seq=seq, content=fragment.encode())


# --- transfers that we ask for ---


def test_a_blind_transfer_from_end_to_end(wire: Wire, alice: Party, bob: Party, carol: Party, call: str) -> None:
    alice.do(alice.endpoint.transfer, call, CAROL)
    wire.run(0.1)
    assert bob.told(TransferRequested) == [TransferRequested(call=call, target=CAROL, replaces=None)]
    bob.do(bob.endpoint.accept_transfer, call)
    second = bob.endpoint.invite("door", CAROL, OFFER, wire.now)
    bob.drain()
    wire.run(0.1)
    carol.do(carol.endpoint.ring, second, SIPStatus.RINGING)
    bob.do(bob.endpoint.report_transfer, call, SIPStatus.RINGING)
    wire.run(0.1)
    carol.do(carol.endpoint.answer, second, ANSWER)
    bob.do(bob.endpoint.report_transfer, call, SIPStatus.OK)
    wire.run(0.1)
    assert alice.told(TransferProgressed) == [
        TransferProgressed(call=call, status=SIPStatus.TRYING),
        TransferProgressed(call=call, status=SIPStatus.RINGING),
    ]
    assert alice.told(TransferEnded) == [TransferEnded(call=call, status=SIPStatus.OK, phrase="OK")]
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.1)
    assert (bob.endpoint.calls, carol.endpoint.calls) == (1, 1)
    bob.do(bob.endpoint.hangup, second)
    assert_nothing_left(wire, alice, bob, carol)


def test_an_attended_transfer_connects_the_other_two(
    wire: Wire, alice: Party, bob: Party, carol: Party, call: str
) -> None:
    other = alice.endpoint.invite("alice", CAROL, OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    carol.do(carol.endpoint.answer, other, ANSWER)
    wire.run(0.1)
    alice.do(alice.endpoint.transfer_to, call, other)
    wire.run(0.1)
    request = bob.told(TransferRequested)[0]
    assert isinstance(request, TransferRequested)
    bob.do(bob.endpoint.accept_transfer, call)
    third = bob.endpoint.invite("door", request.target, OFFER, wire.now, replaces=request.replaces)
    bob.drain()
    wire.run(0.1)
    received = carol.told(CallReceived)[-1]
    assert isinstance(received, CallReceived)
    assert (received.call, received.replaces) == (third, other)
    carol.do(carol.endpoint.answer, third, ANSWER)
    wire.run(0.1)
    assert len(bob.told(CallAnswered)) == 1
    assert alice.told(CallEnded) == [CallEnded(call=other, cause=EndCause.HANGUP_REMOTE, q850=16)]
    bob.do(bob.endpoint.report_transfer, call, SIPStatus.OK)
    wire.run(0.1)
    assert alice.told(TransferEnded) == [TransferEnded(call=call, status=SIPStatus.OK, phrase="OK")]


def test_a_refused_transfer_leaves_the_call(wire: Wire, alice: Party, bob: Party, call: str) -> None:
    alice.do(alice.endpoint.transfer, call, CAROL)
    wire.run(0.1)
    bob.do(bob.endpoint.refuse_transfer, call, SIPStatus.DECLINE)
    wire.run(0.1)
    assert alice.told(TransferEnded) == [TransferEnded(call=call, status=SIPStatus.DECLINE, phrase="Decline")]
    assert (alice.endpoint.calls, bob.endpoint.calls) == (1, 1)


def test_only_one_transfer_at_a_time(wire: Wire, alice: Party, call: str) -> None:
    alice.do(alice.endpoint.transfer, call, CAROL)
    with pytest.raises(InvalidStateError, match="already"):
        alice.endpoint.transfer(call, CAROL, wire.now)


def test_what_can_not_be_transferred(wire: Wire, alice: Party, bob: Party, call: str) -> None:
    ringing = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    with pytest.raises(InvalidStateError, match="not answered"):
        alice.endpoint.transfer(ringing, CAROL, wire.now)
    with pytest.raises(InvalidStateError, match="not answered"):
        alice.endpoint.transfer_to(call, ringing, wire.now)
    with pytest.raises(LocalProtocolError):
        alice.endpoint.transfer(call, "sip:a@b>\r\nX: y", wire.now)


@pytest.mark.parametrize(
    ("fragment", "state", "outcome"),
    [
        ("SIP/2.0 486 Busy Here", "active", SIPStatus.BUSY_HERE),
        ("SIP/2.0 200 OK", "terminated;reason=noresource", SIPStatus.OK),
        ("SIP/2.0 180 Ringing", "terminated;reason=noresource", SIPStatus.TEMPORARILY_UNAVAILABLE),
        ("nonsense", "terminated;reason=timeout", SIPStatus.TEMPORARILY_UNAVAILABLE),
    ],
)
def test_how_a_transfer_ends(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, fragment: str, state: str, outcome: SIPStatus
) -> None:
    alice.do(alice.endpoint.transfer, raw_call, CAROL)
    wire.run(0.1)
    refer = raw.last("REFER")
    assert (refer.get("refer-to"), refer.get("referred-by")) == (f"<{CAROL}>", "<sip:alice@192.0.2.1>")
    raw.respond(refer, 100, to_tag=None)
    raw.respond(refer, 202)
    notify(raw, alice, raw_call, "SIP/2.0 100 Trying", seq=1)
    notify(raw, alice, raw_call, "", seq=2)
    notify(raw, alice, raw_call, fragment, seq=3, state=state)
    wire.run(0.1)
    ended = alice.told(TransferEnded)[0]
    assert isinstance(ended, TransferEnded)
    assert (raw.words, ended.status, alice.endpoint.calls) == (["REFER", "200", "200", "200"], outcome, 1)


def test_news_of_an_earlier_transfer_is_not_taken_for_this_one(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str
) -> None:
    alice.do(alice.endpoint.transfer, raw_call, CAROL)
    wire.run(0.1)
    raw.respond(raw.last("REFER"), 202)
    number = raw.last("REFER").cseq.number
    busy = b"SIP/2.0 486 Busy Here"
    for seq, event in enumerate((f"refer;id={number - 1}", f"refer;id={number}"), 1):
        headers = (f"Event: {event}", "Subscription-State: active")
        in_call(raw, alice, raw_call, "NOTIFY", *headers, seq=seq, content=busy)
        wire.run(0.1)
    assert raw.words == ["REFER", "481", "200"]
    assert len(alice.told(TransferEnded)) == 1


@pytest.mark.parametrize(("status", "ended"), [(202, True), (100, False)])
def test_a_telephone_system_that_hangs_up_once_it_agreed_has_transferred(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, status: int, ended: bool
) -> None:
    alice.do(alice.endpoint.transfer, raw_call, CAROL)
    wire.run(0.1)
    raw.respond(raw.last("REFER"), status)
    in_call(raw, alice, raw_call, "BYE")
    wire.run(0.1)
    expected = [TransferEnded(call=raw_call, status=SIPStatus.OK, phrase="OK")]
    assert alice.told(TransferEnded) == expected * ended
    assert len(alice.told(CallEnded)) == 1


def test_a_peer_that_tells_no_more_has_transferred(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    alice.do(alice.endpoint.transfer, raw_call, CAROL)
    wire.run(0.1)
    raw.respond(raw.last("REFER"), 200, headers=["Refer-Sub: false"])
    wire.run(0.1)
    assert alice.told(TransferEnded) == [TransferEnded(call=raw_call, status=SIPStatus.OK, phrase="OK")]


def test_a_transfer_of_which_nothing_is_heard_has_failed(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    alice.do(alice.endpoint.transfer, raw_call, CAROL)
    wire.run(0.1)
    raw.respond(raw.last("REFER"), 202)
    wire.run(200)
    ended = alice.told(TransferEnded)[0]
    assert isinstance(ended, TransferEnded)
    assert (ended.status, alice.endpoint.calls) == (SIPStatus.REQUEST_TIMEOUT, 1)


def test_a_refer_that_nobody_answers_has_failed(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    alice.do(alice.endpoint.transfer, raw_call, CAROL)
    wire.run(40)
    ended = alice.told(TransferEnded)[0]
    assert isinstance(ended, TransferEnded)
    assert (ended.status, alice.endpoint.calls) == (SIPStatus.REQUEST_TIMEOUT, 1)


def test_a_refer_that_the_peer_knows_no_call_for_ends_it(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    alice.do(alice.endpoint.transfer, raw_call, CAROL)
    wire.run(0.1)
    raw.respond(raw.last("REFER"), 481)
    wire.run(0.1)
    assert (len(alice.told(TransferEnded)), len(alice.told(CallEnded))) == (1, 1)


@pytest.mark.parametrize("is_answered", [True, False])
def test_what_is_heard_after_the_call_ended_changes_nothing(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, is_answered: bool
) -> None:
    alice.do(alice.endpoint.transfer, raw_call, CAROL)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, raw_call)
    answers = [raw.last("REFER")] if is_answered else []
    for request in answers:
        raw.respond(request, 202)
    wire.run(60)
    assert alice.told(TransferEnded) == []


@pytest.mark.parametrize(
    ("event", "answer"), [("refer", "481"), ("refer;id=5", "481"), ("presence", "489"), ("", "489")]
)
def test_a_notify_that_nobody_waits_for(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, event: str, answer: str
) -> None:
    in_call(raw, alice, raw_call, "NOTIFY", f"Event: {event}", "Subscription-State: active")
    wire.run(0.1)
    assert raw.words == [answer]


# --- transfers that the peer asks for ---


def test_reports_are_notifies_with_a_fragment(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    in_call(raw, alice, raw_call, "REFER", f"Refer-To: <{CAROL}>", seq=7)
    wire.run(0.1)
    alice.do(alice.endpoint.accept_transfer, raw_call)
    wire.run(0.1)
    raw.respond(raw.last("NOTIFY"), 200)
    alice.do(alice.endpoint.report_transfer, raw_call, SIPStatus.BUSY_HERE)
    wire.run(0.1)
    trying, busy = (message for message in raw.received if message.method == "NOTIFY")
    assert (raw.words[0], raw.last("202").contact is not None) == ("202", True)
    assert (trying.content, trying.get("event")) == (b"SIP/2.0 100 Trying\r\n", "refer;id=7")
    assert (trying.get("subscription-state"), trying.content_type) == ("active;expires=180", "message/sipfrag")
    assert busy.content == b"SIP/2.0 486 Busy Here\r\n"
    assert busy.get("subscription-state") == "terminated;reason=noresource"
    with pytest.raises(InvalidStateError, match="no transfer"):
        alice.endpoint.report_transfer(raw_call, SIPStatus.OK, wire.now)


@pytest.mark.parametrize("answer", [True, False])
def test_reports_end_when_nobody_wants_them(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, answer: bool
) -> None:
    in_call(raw, alice, raw_call, "REFER", f"Refer-To: <{CAROL}>")
    wire.run(0.1)
    alice.do(alice.endpoint.accept_transfer, raw_call)
    wire.run(0.1)
    answers = [raw.last("NOTIFY")] if answer else []
    for request in answers:
        raw.respond(request, 481)
    wire.run(40)
    raw.received.clear()
    alice.do(alice.endpoint.report_transfer, raw_call, SIPStatus.OK)
    wire.run(0.1)
    assert raw.words == []


def test_who_wants_no_reports_gets_none(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    in_call(raw, alice, raw_call, "REFER", f"Refer-To: <{CAROL}>", "Refer-Sub: false", "Require: norefersub")
    wire.run(0.1)
    alice.do(alice.endpoint.accept_transfer, raw_call)
    alice.do(alice.endpoint.report_transfer, raw_call, SIPStatus.OK)
    wire.run(0.1)
    assert (raw.words, raw.last("202").get("refer-sub")) == (["202"], "false")


@pytest.mark.parametrize(
    ("headers", "answers", "states"),
    [
        (["Event: refer"], ["200"], ["active;expires=180"]),
        (["Event: refer;id=1", "Expires: 60"], ["200"], ["active;expires=180"]),
        (["Event: refer", "Expires: 0"], ["200"], ["terminated;reason=timeout"]),
        (["Event: refer;id=9"], ["481"], []),
        (["Event: presence"], ["489"], []),
    ],
)
def test_the_peer_prolongs_our_reports_or_wants_no_more(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, headers: list[str], answers: list[str], states: list[str]
) -> None:
    in_call(raw, alice, raw_call, "REFER", f"Refer-To: <{CAROL}>")
    wire.run(0.1)
    alice.do(alice.endpoint.accept_transfer, raw_call)
    wire.run(0.1)
    raw.respond(raw.last("NOTIFY"), 200)
    raw.received.clear()
    in_call(raw, alice, raw_call, "SUBSCRIBE", *headers, seq=2)
    wire.run(0.1)
    notifies = [message for message in raw.received if message.method == "NOTIFY"]
    assert [message.get("subscription-state") for message in notifies] == states
    assert [word for word in raw.words if word != "NOTIFY"] == answers
    assert {message.content for message in notifies} <= {b"SIP/2.0 100 Trying\r\n"}


def test_who_wants_no_more_reports_gets_none(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    in_call(raw, alice, raw_call, "REFER", f"Refer-To: <{CAROL}>")
    wire.run(0.1)
    alice.do(alice.endpoint.accept_transfer, raw_call)
    for seq in (2, 3):
        in_call(raw, alice, raw_call, "SUBSCRIBE", "Event: refer", "Expires: 0", seq=seq)
        wire.run(0.1)
    raw.received.clear()
    alice.do(alice.endpoint.report_transfer, raw_call, SIPStatus.OK)
    wire.run(0.1)
    assert raw.words == []


def test_a_subscription_without_a_transfer_gets_481(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    in_call(raw, alice, raw_call, "SUBSCRIBE", "Event: refer")
    wire.run(0.1)
    assert raw.words == ["481"]


def test_a_second_refer_has_to_wait(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    for seq in (1, 2):
        in_call(raw, alice, raw_call, "REFER", f"Refer-To: <{CAROL}>", seq=seq)
        wire.run(0.1)
    assert raw.words == ["491"]
    alice.do(alice.endpoint.refuse_transfer, raw_call, SIPStatus.FORBIDDEN)
    wire.run(0.1)
    assert raw.words == ["491", "403"]
    with pytest.raises(InvalidStateError, match="no transfer to decide"):
        alice.endpoint.accept_transfer(raw_call, wire.now)


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("X: y", "400"),
        (f"Refer-To: <{CAROL}>, <{CAROL}>", "400"),
        ("Refer-To: <mailto:a@example.com>", "416"),
        ("Refer-To: <sip:>", "400"),
        (f"Refer-To: <{CAROL}?Replaces=x>", "400"),
    ],
)
def test_a_refer_that_can_not_be_followed(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, header: str, answer: str
) -> None:
    in_call(raw, alice, raw_call, "REFER", header)
    wire.run(0.1)
    assert (raw.words, alice.told(TransferRequested)) == ([answer], [])


@pytest.mark.parametrize(
    ("value", "target", "replaces"),
    [
        ("<tel:+49301234>", "tel:+49301234", None),
        (f"<{CAROL};method=INVITE;x=y?Subject=hi>", f"{CAROL};x=y", None),
        (
            f"<{CAROL}?Replaces=c%40h%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bearly-only>",
            CAROL,
            "c@h;to-tag=1;from-tag=2;early-only",
        ),
    ],
)
def test_whom_a_refer_names(
    wire: Wire, alice: Party, raw: RawPeer, raw_call: str, value: str, target: str, replaces: str | None
) -> None:
    in_call(raw, alice, raw_call, "REFER", f"Refer-To: {value}")
    wire.run(0.1)
    assert alice.told(TransferRequested) == [TransferRequested(call=raw_call, target=target, replaces=replaces)]


def test_a_bye_before_the_decision_ends_the_refer_too(wire: Wire, alice: Party, raw: RawPeer, raw_call: str) -> None:
    in_call(raw, alice, raw_call, "REFER", f"Refer-To: <{CAROL}>")
    in_call(raw, alice, raw_call, "BYE", seq=2)
    wire.run(0.1)
    assert raw.words == ["200", "487"]


def test_a_ringing_call_is_not_transferred(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.ring, "raw-call", SIPStatus.RINGING)
    wire.run(0.1)
    raw.request(bob, "REFER", to_tag=raw.last("180").to.tag, seq=2, headers=[f"Refer-To: <{CAROL}>"])
    wire.run(0.1)
    assert raw.words == ["180", "403"]


# --- calls that take the place of others ---


def replacing(raw: RawPeer, bob: Party, value: str, *more: str, call_id: str = "new", line: str = "door") -> None:
    uri = f"sip:{line}@{bob.address[0]}"
    headers = [f"Replaces: {value}", *more]
    raw.request(bob, "INVITE", uri=uri, call_id=call_id, from_tag="new", content=OFFER, headers=headers)


def test_an_answered_call_is_replaced_when_the_new_one_is_answered(
    wire: Wire, bob: Party, raw: RawPeer, call: str
) -> None:
    dialog = bob.endpoint._core.sessions[call].dialog
    assert dialog is not None
    replacing(raw, bob, f"{call};to-tag={dialog.local.tag};from-tag={dialog.remote.tag}", "Require: replaces")
    wire.run(0.1)
    assert bob.endpoint.calls == 2
    bob.do(bob.endpoint.answer, "new", ANSWER)
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]
    assert "BYE" in wire.words


def test_a_call_of_ours_that_rings_is_given_up_for_the_one_that_replaces_it(
    wire: Wire, alice: Party, raw: RawPeer
) -> None:
    """Call pick-up: raw rings, and calls back from another phone."""
    call = alice.endpoint.invite("alice", "sip:door@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    raw.respond(raw.last("INVITE"), 180)
    wire.run(0.1)
    value = f"{call};to-tag={raw.last('INVITE').from_.tag};from-tag=raw;early-only"
    replacing(raw, alice, value, line="alice")
    wire.run(0.1)
    alice.do(alice.endpoint.answer, "new", ANSWER)
    wire.run(0.1)
    assert "CANCEL" in raw.words
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]


def test_a_call_that_ended_meanwhile_needs_no_replacing(wire: Wire, bob: Party, raw: RawPeer, call: str) -> None:
    dialog = bob.endpoint._core.sessions[call].dialog
    assert dialog is not None
    replacing(raw, bob, f"{call};to-tag={dialog.local.tag};from-tag={dialog.remote.tag}")
    wire.run(0.1)
    bob.do(bob.endpoint.hangup, call)
    bob.do(bob.endpoint.answer, "new", ANSWER)
    assert len(bob.told(CallEnded)) == 1


def test_what_can_not_be_replaced(wire: Wire, alice: Party, bob: Party, raw: RawPeer, call: str) -> None:
    dialog = bob.endpoint._core.sessions[call].dialog
    assert dialog is not None
    ours = f"{call};to-tag={dialog.local.tag};from-tag={dialog.remote.tag}"
    alice.dial(bob, "alice", "door")
    wire.run(0.1)
    ringing = next(s.dialog for s in bob.endpoint._core.sessions.values() if s.dialog is not dialog)
    assert ringing is not None
    theirs = f"{ringing.call_id};to-tag={ringing.local.tag};from-tag={ringing.remote.tag}"
    bob.add_direct_line("other")
    replacing(raw, bob, f"{ours};early-only", call_id="1")
    replacing(raw, bob, f"{call};to-tag=x;from-tag=y", call_id="2")
    replacing(raw, bob, theirs, call_id="3")
    replacing(raw, bob, ours, f"Replaces: {ours}", call_id="4")
    replacing(raw, bob, "nothing", call_id="5")
    replacing(raw, bob, ours, call_id="6", line="other")
    wire.run(0.1)
    assert raw.words == ["486", "481", "481", "400", "400", "481"]


def test_replaces_is_read_as_it_is_written() -> None:
    value = "a@b;to-tag=1;from-tag=2;early-only"
    assert Replaces.parse(value).format() == value
    assert Replaces.parse(" a@b ; from-tag=2 ; to-tag=1").dialog_key == ("a@b", "1", "2")
