"""One INVITE, several answers (RFC 3261 §13.2.2.4)."""

from sip_bridge.sip.events import CallAnswered, CallEnded, CallProgressed, EndCause
from sip_bridge.sip.message import SIPMessage
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire, assert_nothing_left


def dialled(wire: Wire, alice: Party, raw: RawPeer) -> tuple[str, SIPMessage]:
    call = alice.endpoint.invite("alice", f"sip:x@{raw.address[0]}", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    return call, raw.last("INVITE")


def test_the_second_fork_that_answers_is_acknowledged_and_hung_up(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dialled(wire, alice, raw)
    raw.respond(invite, 200, to_tag="one", content=ANSWER)
    raw.respond(invite, 200, to_tag="two", content=ANSWER)
    wire.run(0.1)
    assert [(m.method, m.to.tag) for m in raw.received[1:]] == [("ACK", "one"), ("ACK", "two"), ("BYE", "two")]
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    assert alice.told(CallEnded) == []


def test_each_fork_that_repeats_its_200_gets_its_own_ack_again(wire: Wire, alice: Party, raw: RawPeer) -> None:
    _, invite = dialled(wire, alice, raw)
    for tag in ("one", "two", "two", "one"):
        raw.respond(invite, 200, to_tag=tag, content=ANSWER)
    wire.run(0.1)
    acks = [message.to.tag for message in raw.received if message.method == "ACK"]
    assert acks == ["one", "two", "two", "one"]
    assert raw.words.count("BYE") == 1


def test_a_200_repeated_while_the_route_is_resolved_is_no_second_fork(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dialled(wire, alice, raw)
    alice.resolves = False
    raw.respond(invite, 200, content=ANSWER)
    raw.respond(invite, 200, content=ANSWER)
    wire.run(0.1)
    assert raw.words == ["INVITE"]
    alice.resolve_now()
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK"]
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    assert alice.endpoint.calls == 1


def test_forks_without_end_are_not_heard(wire: Wire, alice: Party, raw: RawPeer) -> None:
    _, invite = dialled(wire, alice, raw)
    for number in range(40):
        raw.respond(invite, 200, to_tag=f"fork{number}", content=ANSWER)
    wire.run(0.1)
    assert (raw.words.count("ACK"), raw.words.count("BYE")) == (16, 15)


def test_an_answered_call_whose_contact_makes_no_sense_is_acknowledged_where_the_invite_went(
    wire: Wire, alice: Party, raw: RawPeer
) -> None:
    for contact in ("<mailto:x@example.com>", "<sip:>", '"open <sip:x@192.0.2.66>', ""):
        call, invite = dialled(wire, alice, raw)
        raw.respond(invite, 200, content=ANSWER, contact=contact)
        wire.run(0.1)
        assert raw.received[-1].heading == "ACK sip:x@192.0.2.66 SIP/2.0"
        alice.do(alice.endpoint.hangup, call)
        wire.run(0.1)
        assert raw.received[-1].heading == "BYE sip:x@192.0.2.66 SIP/2.0"


def test_a_200_whose_contact_can_not_be_resolved_is_acknowledged_where_the_invite_went(
    wire: Wire, alice: Party, raw: RawPeer
) -> None:
    _, invite = dialled(wire, alice, raw)
    raw.respond(invite, 200, content=ANSWER, contact="<sip:x@nowhere.invalid>")
    wire.run(0.1)
    assert raw.received[-1].heading == "ACK sip:x@nowhere.invalid SIP/2.0"


def test_a_200_without_to_tag_makes_a_dialog_all_the_same(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dialled(wire, alice, raw)
    raw.respond(invite, 200, to_tag=None, content=ANSWER)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.1)
    assert raw.words == ["INVITE", "ACK", "BYE"]
    assert raw.last("BYE").to.tag is None
    assert alice.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]


# --- several phones that ring: early dialogs (§13.2.2.4) ---


def test_each_phone_that_rings_has_its_early_dialog_until_one_answers(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dialled(wire, alice, raw)
    for number, tag in enumerate(("kitchen", "hall"), 1):
        raw.respond(invite, 183, to_tag=tag, content=ANSWER.replace(b"20000", b"2000%d" % number))
    wire.run(0.1)
    progressed = [e.answer for e in alice.told(CallProgressed) if isinstance(e, CallProgressed)]
    assert progressed == [ANSWER.replace(b"20000", b"20001"), ANSWER.replace(b"20000", b"20002")]
    assert len(alice.endpoint._core.dialogs) == 2
    raw.respond(invite, 200, to_tag="kitchen", content=ANSWER)
    wire.run(0.1)
    assert [dialog.remote.tag for dialog in [alice.endpoint._core.sessions[call].dialog] if dialog] == ["kitchen"]
    assert len(alice.endpoint._core.dialogs) == 1


def test_a_request_in_the_early_dialog_of_one_phone_counts_its_own_numbers(
    wire: Wire, alice: Party, raw: RawPeer
) -> None:
    call, invite = dialled(wire, alice, raw)
    for tag in ("kitchen", "hall"):
        raw.respond(invite, 180, to_tag=tag)
    wire.run(0.1)
    for tag, seq in (("kitchen", 5), ("hall", 3), ("hall", 3)):
        raw.request(alice, "OPTIONS", call_id=call, from_tag=tag, to_tag=invite.from_.tag, seq=seq)
        wire.run(0.1)
    assert raw.words == ["INVITE", "200", "200", "500"]


def test_giving_up_ends_every_early_dialog(wire: Wire, alice: Party, raw: RawPeer) -> None:
    call, invite = dialled(wire, alice, raw)
    for tag in ("kitchen", "hall"):
        raw.respond(invite, 180, to_tag=tag)
    wire.run(0.1)
    alice.do(alice.endpoint.hangup, call)
    wire.run(0.1)
    raw.respond(raw.last("CANCEL"), 200)
    raw.respond(invite, 487, to_tag="kitchen")
    assert_nothing_left(wire, alice)
    assert len(alice.endpoint._core.dialogs) == 0
