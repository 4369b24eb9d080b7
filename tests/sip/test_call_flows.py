"""RFC 3665's call flows as transcripts, section by section, and some of RFC 5359: the phones are ours."""

import pytest

from sip_bridge.sip.digest import Credentials
from sip_bridge.sip.events import CallAnswered, CallEnded, CallReceived, EndCause, TransferEnded, TransferRequested
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI
from tests.scenario import ANSWER, OFFER, Address, Party, RawPeer, Wire, assert_nothing_left
from tests.sip.proxy import Proxy

ALICE, BOB, CAROL = ("192.0.2.1", 5060), ("192.0.2.2", 5060), ("192.0.2.3", 5060)
P1, P2, P3 = ("192.0.2.71", 5060), ("192.0.2.72", 5060), ("192.0.2.73", 5060)
NAMES = {ALICE: "alice", BOB: "bob", CAROL: "carol", P1: "proxy 1", P2: "proxy 2", P3: "proxy 3"}
CHALLENGE = 'WWW-Authenticate: Digest realm="one", nonce="n1", qop="auth"'


def said(wire: Wire) -> list[str]:
    """Who said what to whom since the last look; of a response also the method that it answers."""
    lines = [f"{NAMES[sent.source]} -> {NAMES[sent.destination]}: {word(sent.message)}" for sent in wire.sent]
    wire.sent.clear()
    return lines


def word(message: SIPMessage) -> str:
    return message.method or f"{int(message.status)} {message.cseq.method}"


def phone(wire: Wire, address: Address, name: str, proxy: Address) -> Party:
    """A phone with an account at a proxy, through which all its requests go."""
    party = Party(wire, address[0])
    outbound = SIPURI(host=proxy[0], params=(("lr", None),))
    party.endpoint.add_line(
        RegisteredLine(
            id=name,
            user=name,
            display_name=name,
            domain=proxy[0],
            registrar=Hop(host=proxy[0]),
            credentials=Credentials(username=name, password="secret"),
            realms=(("two", Credentials(username=name, password="other")),),
            outbound_proxy=outbound,
        )
    )
    party.endpoint.resolved(Hop.of(outbound), (party.flow_to(proxy),), wire.now)  # as registering does
    return party


@pytest.fixture
def bob_at_home(wire: Wire) -> Party:
    return phone(wire, BOB, "bob", P2)


@pytest.fixture
def alice_at_home(wire: Wire) -> Party:
    return phone(wire, ALICE, "alice", P1)


def proxies(wire: Wire, *, realms: tuple[str | None, str | None] = (None, None)) -> tuple[Proxy, Proxy]:
    """Alice's, and bob's."""
    first = Proxy(wire, P1[0], next_hop=lambda _: P2, realm=realms[0])
    return first, Proxy(wire, P2[0], next_hop=lambda _: BOB, realm=realms[1])


def dial(wire: Wire, alice: Party, offer: bytes = OFFER) -> str:
    call = alice.endpoint.invite("alice", f"sip:bob@{P2[0]}", offer, wire.now)
    alice.drain()
    wire.run(0.1)
    return call


def ring(wire: Wire, bob: Party, call: str) -> None:
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(0.1)


def answer(wire: Wire, bob: Party, call: str, content: bytes = ANSWER) -> None:
    bob.do(bob.endpoint.answer, call, content)
    wire.run(0.1)


def hang_up(wire: Wire, party: Party, call: str) -> None:
    party.do(party.endpoint.hangup, call)
    wire.run(0.1)


# --- RFC 3665 §2: registration (§2.3, asking who else is registered, is nothing that a phone of ours does) ---


@pytest.fixture
def registrar(wire: Wire) -> RawPeer:
    """Asks for a password, and grants an hour to whom has it."""
    peer = RawPeer(wire, P2[0])

    def respond(request: SIPMessage) -> None:
        if request.get("authorization") is None:
            peer.respond(request, 401, headers=[CHALLENGE], contact="")
        else:
            listed = request.get("contact") if request.get("expires") != "0" else ""
            peer.respond(request, 200, headers=["Expires: 3600"] if listed else [], contact=listed or "")

    peer.on_request = respond
    return peer


REGISTER = ["bob -> proxy 2: REGISTER", "proxy 2 -> bob: 401 REGISTER"]
REGISTERED = ["bob -> proxy 2: REGISTER", "proxy 2 -> bob: 200 REGISTER"]


def test_2_1_a_new_registration(wire: Wire, bob_at_home: Party, registrar: RawPeer) -> None:
    bob_at_home.do(bob_at_home.endpoint.register, "bob")
    wire.run(1)
    assert said(wire) == REGISTER + REGISTERED
    first, second = registrar.received
    assert (first.uri, second.uri) == (f"sip:{P2[0]}", f"sip:{P2[0]}")
    assert (first.call_id, first.from_.tag) == (second.call_id, second.from_.tag)
    assert second.cseq.number == first.cseq.number + 1
    assert first.via.branch != second.via.branch
    assert 'realm="one"' in (second.get("authorization") or "")


def test_2_2_an_update_of_the_contact_list_keeps_call_id_and_counts_on(
    wire: Wire, bob_at_home: Party, registrar: RawPeer
) -> None:
    bob_at_home.do(bob_at_home.endpoint.register, "bob")
    wire.run(1)
    said(wire)
    wire.run(3600)
    assert said(wire) == REGISTERED  # with the credentials at once: the nonce still counts
    assert {message.call_id for message in registrar.received} == {registrar.received[0].call_id}
    assert [message.cseq.number for message in registrar.received] == [1, 2, 3]


def test_2_4_the_cancellation_of_a_registration(wire: Wire, bob_at_home: Party, registrar: RawPeer) -> None:
    bob_at_home.do(bob_at_home.endpoint.register, "bob")
    wire.run(1)
    said(wire)
    bob_at_home.do(bob_at_home.endpoint.unregister, "bob")
    wire.run(1)
    assert said(wire) == REGISTERED
    assert registrar.received[-1].get("expires") == "0"
    assert_nothing_left(wire, bob_at_home)


def test_2_5_an_unsuccessful_registration(wire: Wire, bob_at_home: Party, registrar: RawPeer) -> None:
    registrar.on_request = lambda request: registrar.respond(request, 401, headers=[CHALLENGE], contact="")
    bob_at_home.do(bob_at_home.endpoint.register, "bob")
    wire.run(1)
    assert said(wire) == REGISTER + REGISTER


# --- RFC 3665 §3: calls ---


def test_3_1_a_call_from_phone_to_phone(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    ring(wire, bob, call)
    answer(wire, bob, call)
    hang_up(wire, bob, call)
    invite, ringing, ok, ack, bye, _ = (sent.message for sent in wire.sent)
    assert said(wire) == [
        "alice -> bob: INVITE",
        "bob -> alice: 180 INVITE",
        "bob -> alice: 200 INVITE",
        "alice -> bob: ACK",
        "bob -> alice: BYE",
        "alice -> bob: 200 BYE",
    ]
    assert ringing.to.tag == ok.to.tag == ack.to.tag == bye.from_.tag
    assert (invite.from_.tag, invite.to.tag) == (bye.to.tag, None)
    assert (ack.cseq.number, ack.via.branch == invite.via.branch) == (invite.cseq.number, False)
    assert_nothing_left(wire, alice, bob)


THROUGH = [
    "alice -> proxy 1: INVITE",
    "proxy 1 -> alice: 100 INVITE",
    "proxy 1 -> proxy 2: INVITE",
    "proxy 2 -> proxy 1: 100 INVITE",
    "proxy 2 -> bob: INVITE",
]


def back(what: str) -> list[str]:
    return [f"bob -> proxy 2: {what}", f"proxy 2 -> proxy 1: {what}", f"proxy 1 -> alice: {what}"]


def forth(what: str) -> list[str]:
    return [f"alice -> proxy 1: {what}", f"proxy 1 -> proxy 2: {what}", f"proxy 2 -> bob: {what}"]


def test_3_2_a_call_through_two_proxies(wire: Wire, alice_at_home: Party, bob_at_home: Party) -> None:
    proxies(wire)
    call = dial(wire, alice_at_home)
    assert said(wire) == THROUGH
    ring(wire, bob_at_home, call)
    answer(wire, bob_at_home, call)
    acks = [sent.message for sent in wire.sent if sent.word == "ACK"]
    assert said(wire) == back("180 INVITE") + back("200 INVITE") + forth("ACK")
    assert [ack.items("route") for ack in acks] == [
        [f"<sip:{P1[0]};lr>", f"<sip:{P2[0]};lr>"],
        [f"<sip:{P2[0]};lr>"],
        [],
    ]
    hang_up(wire, bob_at_home, call)
    bye = wire.sent[0].message
    assert bye.items("route") == [f"<sip:{P2[0]};lr>", f"<sip:{P1[0]};lr>"]
    assert said(wire) == back("BYE") + forth("200 BYE")
    assert_nothing_left(wire, alice_at_home, bob_at_home)


def test_3_3_a_call_through_two_proxies_that_both_ask_for_a_password(
    wire: Wire, alice_at_home: Party, bob_at_home: Party
) -> None:
    first, _ = proxies(wire, realms=("one", "two"))
    call = dial(wire, alice_at_home)
    assert said(wire) == [
        "alice -> proxy 1: INVITE",
        "proxy 1 -> alice: 407 INVITE",
        "alice -> proxy 1: ACK",
        "alice -> proxy 1: INVITE",
        "proxy 1 -> alice: 100 INVITE",
        "proxy 1 -> proxy 2: INVITE",
        "proxy 2 -> proxy 1: 407 INVITE",
        "proxy 1 -> proxy 2: ACK",
        "proxy 1 -> alice: 407 INVITE",
        "alice -> proxy 1: ACK",
        *THROUGH,
    ]
    invites = [message for message in first.received if message.method == "INVITE"]
    assert [message.cseq.number for message in invites] == [1, 2, 3]
    assert [len(message.get_all("proxy-authorization")) for message in invites] == [0, 1, 2]
    assert len({message.via.branch for message in invites}) == 3
    acks = [message for message in first.received if message.method == "ACK"]
    assert [ack.via.branch for ack in acks] == [message.via.branch for message in invites[:2]]
    ring(wire, bob_at_home, call)
    answer(wire, bob_at_home, call)
    assert said(wire) == back("180 INVITE") + back("200 INVITE") + forth("ACK")


def test_3_4_a_call_around_a_proxy_that_is_gone(wire: Wire, bob_at_home: Party) -> None:
    """The name of alice's proxy has two addresses; nobody answers at the first."""
    alice = Party(wire, ALICE[0])
    alice.add_registered_line("alice", registrar=Hop(host="proxies.invalid"))
    alice.hosts["proxies.invalid"] = (P3, P1)
    proxies(wire)
    call = dial_home(wire, alice)
    assert said(wire) == ["alice -> proxy 3: INVITE"] * 7 + THROUGH
    ring(wire, bob_at_home, call)
    answer(wire, bob_at_home, call)
    assert said(wire) == back("180 INVITE") + back("200 INVITE") + forth("ACK")


def dial_home(wire: Wire, alice: Party) -> str:
    call = alice.endpoint.invite("alice", "bob", OFFER, wire.now)
    alice.drain()
    wire.run(32.1)
    return call


def test_3_5_a_call_through_a_gateway_that_takes_the_sound_to_itself(wire: Wire, alice_at_home: Party) -> None:
    bob = phone(wire, BOB, "bob", P1)
    gateway = Proxy(wire, P1[0], next_hop=lambda _: BOB, realm=None)
    gateway.rewrite = lambda data: data.replace(b"c=IN IP4 192.0.2.", b"c=IN IP4 192.0.9.")
    call = dial(wire, alice_at_home)
    ring(wire, bob, call)
    answer(wire, bob, call)
    assert said(wire) == [
        "alice -> proxy 1: INVITE",
        "proxy 1 -> alice: 100 INVITE",
        "proxy 1 -> bob: INVITE",
        "bob -> proxy 1: 180 INVITE",
        "proxy 1 -> alice: 180 INVITE",
        "bob -> proxy 1: 200 INVITE",
        "proxy 1 -> alice: 200 INVITE",
        "alice -> proxy 1: ACK",
        "proxy 1 -> bob: ACK",
    ]
    offers = [event.offer for event in bob.events if isinstance(event, CallReceived)]
    answers = [event.answer for event in alice_at_home.events if isinstance(event, CallAnswered)]
    assert offers == [OFFER.replace(b"c=IN IP4 192.0.2.", b"c=IN IP4 192.0.9.")]
    assert answers == [ANSWER.replace(b"c=IN IP4 192.0.2.", b"c=IN IP4 192.0.9.")]
    hang_up(wire, alice_at_home, call)
    assert said(wire) == [
        "alice -> proxy 1: BYE",
        "proxy 1 -> bob: BYE",
        "bob -> proxy 1: 200 BYE",
        "proxy 1 -> alice: 200 BYE",
    ]


def test_3_6_a_redirected_call_with_the_answer_in_the_ack(wire: Wire, alice: Party, bob: Party) -> None:
    redirect = RawPeer(wire, P1[0])
    redirect.on_request = lambda request: (
        redirect.respond(request, 302, contact=f"<sip:door@{BOB[0]}>") if request.method == "INVITE" else None
    )
    call = alice.endpoint.invite("alice", f"sip:bob@{P1[0]}", b"", wire.now)
    alice.drain()
    wire.run(0.1)
    ring(wire, bob, call)
    answer(wire, bob, call, OFFER)
    alice.do(alice.endpoint.accept_offer, call, ANSWER)
    wire.run(0.1)
    first, _, ack_of_refusal, second, _, _, ack = (sent.message for sent in wire.sent)
    assert said(wire) == [
        "alice -> proxy 1: INVITE",
        "proxy 1 -> alice: 302 INVITE",
        "alice -> proxy 1: ACK",
        "alice -> bob: INVITE",
        "bob -> alice: 180 INVITE",
        "bob -> alice: 200 INVITE",
        "alice -> bob: ACK",
    ]
    assert (ack_of_refusal.uri, ack_of_refusal.via.branch) == (first.uri, first.via.branch)
    assert (second.uri, second.cseq.number) == (f"sip:door@{BOB[0]}", first.cseq.number + 1)
    assert (second.call_id, second.from_.tag) == (first.call_id, first.from_.tag)
    assert (first.content, second.content, ack.content) == (b"", b"", ANSWER)


def test_3_7_a_call_whose_caller_changes_its_address(wire: Wire, alice: Party, bob: Party) -> None:
    moved = OFFER.replace(b"192.0.2.1", b"192.0.2.11")
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    answer(wire, bob, call)
    said(wire)
    change(wire, alice, bob, call, moved)
    invite, ok, ack = (sent.message for sent in wire.sent)
    assert said(wire) == ["alice -> bob: INVITE", "bob -> alice: 200 INVITE", "alice -> bob: ACK"]
    assert (invite.content, ok.content, ack.cseq.number) == (moved, ANSWER, invite.cseq.number)
    hang_up(wire, bob, call)
    assert said(wire) == ["bob -> alice: BYE", "alice -> bob: 200 BYE"]


def change(wire: Wire, holder: Party, held: Party, call: str, offer: bytes, answered: bytes = ANSWER) -> None:
    holder.do(holder.endpoint.modify, call)
    holder.do(holder.endpoint.send_offer, call, offer)
    wire.run(0.1)
    held.do(held.endpoint.accept_offer, call, answered)
    wire.run(0.1)


def test_3_8_nobody_answers_and_the_caller_gives_up(wire: Wire, alice_at_home: Party, bob_at_home: Party) -> None:
    proxies(wire)
    call = dial(wire, alice_at_home)
    ring(wire, bob_at_home, call)
    invite = wire.sent[0].message
    assert said(wire) == THROUGH + back("180 INVITE")
    hang_up(wire, alice_at_home, call)
    cancel = wire.sent[0].message
    lines = said(wire)
    assert lines[:5] == [
        "alice -> proxy 1: CANCEL",
        "proxy 1 -> alice: 200 CANCEL",
        "proxy 1 -> proxy 2: CANCEL",
        "proxy 2 -> proxy 1: 200 CANCEL",
        "proxy 2 -> bob: CANCEL",
    ]
    assert [line for line in lines[5:] if line.startswith(("alice", "bob"))] == [
        "bob -> proxy 2: 200 CANCEL",
        "bob -> proxy 2: 487 INVITE",
        "alice -> proxy 1: ACK",
    ]
    assert (cancel.via.branch, cancel.uri, cancel.cseq.number) == (invite.via.branch, invite.uri, invite.cseq.number)
    assert cancel.items("route") == invite.items("route")
    assert bob_at_home.told(CallEnded) == [CallEnded(call=call, cause=EndCause.CANCELED)]
    assert_nothing_left(wire, alice_at_home, bob_at_home)


@pytest.mark.parametrize("status", [SIPStatus.BUSY_HERE, SIPStatus.TEMPORARILY_UNAVAILABLE])
def test_3_9_and_3_11_bob_is_busy_or_not_available(
    wire: Wire, alice_at_home: Party, bob_at_home: Party, status: SIPStatus
) -> None:
    proxies(wire)
    call = dial(wire, alice_at_home)
    ring(wire, bob_at_home, call)
    said(wire)
    bob_at_home.do(bob_at_home.endpoint.reject, call, status)
    wire.run(0.1)
    assert said(wire) == [
        f"bob -> proxy 2: {int(status)} INVITE",
        "proxy 2 -> bob: ACK",
        f"proxy 2 -> proxy 1: {int(status)} INVITE",
        "proxy 1 -> proxy 2: ACK",
        f"proxy 1 -> alice: {int(status)} INVITE",
        "alice -> proxy 1: ACK",
    ]
    assert alice_at_home.told(CallEnded) == [
        CallEnded(call=call, cause=EndCause.REJECTED, status=status, phrase=status.phrase)
    ]
    assert_nothing_left(wire, alice_at_home, bob_at_home)


def test_3_10_bobs_phone_does_not_respond(wire: Wire, alice_at_home: Party) -> None:
    _, second = proxies(wire)
    call = dial(wire, alice_at_home)
    assert said(wire) == THROUGH
    wire.run(32)
    second.refuse(second.last("INVITE"), 480)
    wire.run(0.1)
    assert said(wire) == [
        "proxy 2 -> proxy 1: 480 INVITE",
        "proxy 1 -> proxy 2: ACK",
        "proxy 1 -> alice: 480 INVITE",
        "alice -> proxy 1: ACK",
    ]
    assert [event.call for event in alice_at_home.events if isinstance(event, CallEnded)] == [call]


# --- RFC 5359: hold and transfer ---


def test_a_call_on_hold_and_back(wire: Wire, alice: Party, bob: Party) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    answer(wire, bob, call)
    said(wire)
    change(wire, bob, alice, call, ANSWER + b"a=sendonly\r\n", OFFER + b"a=recvonly\r\n")
    change(wire, bob, alice, call, ANSWER, OFFER)
    assert said(wire) == ["bob -> alice: INVITE", "alice -> bob: 200 INVITE", "bob -> alice: ACK"] * 2
    hang_up(wire, alice, call)
    assert said(wire) == ["alice -> bob: BYE", "bob -> alice: 200 BYE"]


@pytest.fixture
def carol(wire: Wire) -> Party:
    party = Party(wire, CAROL[0])
    party.add_direct_line("carol")
    return party


def test_a_blind_transfer(wire: Wire, alice: Party, bob: Party, carol: Party) -> None:
    """Alice has called bob, who sends her on to carol."""
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    answer(wire, bob, call)
    said(wire)
    bob.do(bob.endpoint.transfer, call, f"sip:carol@{CAROL[0]}")
    wire.run(0.1)
    alice.do(alice.endpoint.accept_transfer, call)
    wire.run(0.1)
    refer = wire.sent[0].message
    assert (refer.get("refer-to"), refer.get("referred-by")) == (f"<sip:carol@{CAROL[0]}>", "<sip:door@192.0.2.2:5060>")
    assert said(wire) == [
        "bob -> alice: REFER",
        "alice -> bob: 202 REFER",
        "alice -> bob: NOTIFY",
        "bob -> alice: 200 NOTIFY",
    ]
    second = alice.dial(carol, "alice", "carol")
    wire.run(0.1)
    answer(wire, carol, second)
    alice.do(alice.endpoint.report_transfer, call, SIPStatus.OK)
    wire.run(0.1)
    hang_up(wire, bob, call)
    notify = wire.sent[3].message
    assert (notify.content.partition(b"\r\n")[0], notify.get("subscription-state")) == (
        b"SIP/2.0 200 OK",
        "terminated;reason=noresource",
    )
    assert said(wire) == [
        "alice -> carol: INVITE",
        "carol -> alice: 200 INVITE",
        "alice -> carol: ACK",
        "alice -> bob: NOTIFY",
        "bob -> alice: 200 NOTIFY",
        "bob -> alice: BYE",
        "alice -> bob: 200 BYE",
    ]
    assert bob.told(TransferEnded) == [TransferEnded(call=call, status=SIPStatus.OK, phrase="OK")]


def test_an_attended_transfer(wire: Wire, alice: Party, bob: Party, carol: Party) -> None:
    """Bob talks to alice, then to carol, and connects the two: carol's call from alice takes the place of bob's."""
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    answer(wire, bob, call)
    asking = bob.dial(carol, "door", "carol")
    wire.run(0.1)
    answer(wire, carol, asking)
    said(wire)
    bob.do(bob.endpoint.transfer_to, call, asking)
    wire.run(0.1)
    (wish,) = alice.told(TransferRequested)
    assert isinstance(wish, TransferRequested)
    alice.do(alice.endpoint.accept_transfer, call)
    taking = alice.endpoint.invite("alice", wish.target, OFFER, wire.now, replaces=wish.replaces)
    alice.drain()
    wire.run(0.1)
    answer(wire, carol, taking)
    alice.do(alice.endpoint.report_transfer, call, SIPStatus.OK)
    wire.run(0.1)
    hang_up(wire, bob, call)
    invite = next(sent.message for sent in wire.sent if sent.word == "INVITE")
    assert (invite.get("replaces") or "").partition(";")[0] == asking
    assert sorted(said(wire)) == sorted(
        [
            "bob -> alice: REFER",
            "alice -> bob: 202 REFER",
            *["alice -> bob: NOTIFY", "bob -> alice: 200 NOTIFY"] * 2,
            "alice -> carol: INVITE",
            "carol -> alice: 200 INVITE",
            "alice -> carol: ACK",
            "carol -> bob: BYE",
            "bob -> carol: 200 BYE",
            "bob -> alice: BYE",
            "alice -> bob: 200 BYE",
        ]
    )
    hang_up(wire, carol, taking)
    assert_nothing_left(wire, alice, bob, carol)
