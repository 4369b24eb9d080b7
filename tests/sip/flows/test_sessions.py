"""RFC 3665 §3.1 to §3.7: calls that come about. Alice and Bob are our endpoints, the servers between them are not."""

from sip_bridge.sip.events import CallAnswered, CallConfirmed, CallReceived, OfferReceived
from tests.scenario import ANSWER, OFFER, Wire, assert_nothing_left
from tests.sip.flows.elements import HOSTS, Media, Proxy, RedirectServer, Server, User, figure
from tests.sip.flows.people import (
    BOB,
    BOBS_PHONE,
    PASSWORDS,
    PROXY1,
    PROXY2,
    call_and_answer,
    hang_up,
    pick_up,
    reached,
    sent,
)


def test_3_1_successful_session_establishment(wire: Wire, alice: User, bob: User) -> None:
    call = call_and_answer(wire, alice, bob, line="direct", target=BOBS_PHONE)
    hang_up(wire, bob, call)
    assert figure(wire, alice=alice, bob=bob) == [
        "alice -> bob INVITE",
        "bob -> alice 180",
        "bob -> alice 200",
        "alice -> bob ACK",
        "bob -> alice BYE",
        "alice -> bob 200",
    ]
    (invite,), (ringing,), (ok,), (ack,), (bye,) = (
        reached(wire, user, word)
        for user, word in ((bob, "INVITE"), (alice, "180"), (alice, "200"), (bob, "ACK"), (alice, "BYE"))
    )
    assert (invite.get("max-forwards"), invite.to.tag, invite.session_description) == ("70", None, OFFER)
    assert len({message.call_id for message in (invite, ringing, ok, ack, bye)}) == 1
    assert ringing.to.tag == ok.to.tag == ack.to.tag == bye.from_.tag != invite.from_.tag == bye.to.tag
    assert (ok.session_description, ack.content) == (ANSWER, b"")
    assert (ack.uri, ack.cseq.number, ack.via.branch != invite.via.branch) == (BOBS_PHONE, 1, True)
    assert bye.uri == "sip:direct@192.0.2.101:5060"
    assert_nothing_left(wire, alice, bob)


def test_3_2_session_establishment_through_two_proxies(wire: Wire, alice: User, bob: User) -> None:
    proxy1 = Proxy(wire, PROXY1, routes={BOB: f"sip:{PROXY2}"}, passwords=PASSWORDS)
    proxy2 = Proxy(wire, PROXY2, routes={BOB: BOBS_PHONE})
    call = call_and_answer(wire, alice, bob)
    hang_up(wire, bob, call)
    assert figure(wire, alice=alice, proxy1=proxy1, proxy2=proxy2, bob=bob) == [
        "alice -> proxy1 INVITE",
        "proxy1 -> alice 407",
        "alice -> proxy1 ACK",
        "alice -> proxy1 INVITE",
        "proxy1 -> proxy2 INVITE",
        "proxy1 -> alice 100",
        "proxy2 -> bob INVITE",
        "proxy2 -> proxy1 100",
        "bob -> proxy2 180",
        "proxy2 -> proxy1 180",
        "proxy1 -> alice 180",
        "bob -> proxy2 200",
        "proxy2 -> proxy1 200",
        "proxy1 -> alice 200",
        "alice -> proxy1 ACK",
        "proxy1 -> proxy2 ACK",
        "proxy2 -> bob ACK",
        "bob -> proxy2 BYE",
        "proxy2 -> proxy1 BYE",
        "proxy1 -> alice BYE",
        "alice -> proxy1 200",
        "proxy1 -> proxy2 200",
        "proxy2 -> bob 200",
    ]
    first, second = sent(wire, alice, "INVITE")
    assert (first.uri, first.items("route")) == (BOB, [f"<sip:{PROXY1};lr>"])
    assert (first.call_id, first.from_.tag, first.cseq.number) == (second.call_id, second.from_.tag, 1)
    assert (second.cseq.number, second.to.tag, second.via.branch != first.via.branch) == (2, None, True)
    credentials = second.get("proxy-authorization") or ""
    assert credentials.startswith('Digest username="alice", realm="atlanta.example.com"')
    assert f'uri="{BOB}"' in credentials
    refused, acknowledged = sent(wire, alice, "ACK")
    assert (refused.via.branch, refused.cseq.number) == (first.via.branch, 1)
    assert (refused.uri, refused.items("route")) == (BOB, [f"<sip:{PROXY1};lr>"])
    path = [f"<sip:{PROXY1};lr>", f"<sip:{PROXY2};lr>"]
    assert (acknowledged.uri, acknowledged.items("route")) == (BOBS_PHONE, path)
    assert (acknowledged.cseq.number, acknowledged.via.branch != second.via.branch) == (2, True)
    (arrived,), (ok,), (bye,) = reached(wire, bob, "INVITE"), sent(wire, bob, "200"), sent(wire, bob, "BYE")
    assert (arrived.uri, arrived.get("max-forwards"), arrived.session_description) == (BOBS_PHONE, "68", OFFER)
    assert ok.items("record-route") == arrived.items("record-route") == path[::-1]
    assert ok.get_all("via") == arrived.get_all("via")
    assert (bye.uri, bye.items("route")) == ("sip:alice@192.0.2.101:5060", path[::-1])
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    assert_nothing_left(wire, alice, bob)


def test_3_3_session_with_multiple_proxy_authentication(wire: Wire, alice: User, bob: User) -> None:
    proxy1 = Proxy(wire, PROXY1, routes={BOB: f"sip:{PROXY2}"}, passwords=PASSWORDS)
    proxy2 = Proxy(wire, PROXY2, routes={BOB: BOBS_PHONE}, passwords=PASSWORDS)
    call = call_and_answer(wire, alice, bob)
    hang_up(wire, bob, call)
    assert figure(wire, alice=alice, proxy1=proxy1, proxy2=proxy2, bob=bob) == [
        "alice -> proxy1 INVITE",
        "proxy1 -> alice 407",
        "alice -> proxy1 ACK",
        "alice -> proxy1 INVITE",
        "proxy1 -> proxy2 INVITE",
        "proxy1 -> alice 100",
        "proxy2 -> proxy1 407",
        "proxy1 -> proxy2 ACK",
        "proxy1 -> alice 407",
        "alice -> proxy1 ACK",
        "alice -> proxy1 INVITE",
        "proxy1 -> proxy2 INVITE",
        "proxy1 -> alice 100",
        "proxy2 -> bob INVITE",
        "proxy2 -> proxy1 100",
        "bob -> proxy2 180",
        "proxy2 -> proxy1 180",
        "proxy1 -> alice 180",
        "bob -> proxy2 200",
        "proxy2 -> proxy1 200",
        "proxy1 -> alice 200",
        "alice -> proxy1 ACK",
        "proxy1 -> proxy2 ACK",
        "proxy2 -> bob ACK",
        "bob -> proxy2 BYE",
        "proxy2 -> proxy1 BYE",
        "proxy1 -> alice BYE",
        "alice -> proxy1 200",
        "proxy1 -> proxy2 200",
        "proxy2 -> bob 200",
    ]
    invites = sent(wire, alice, "INVITE")
    realms = [[line.split('realm="')[1].split('"')[0] for line in m.get_all("proxy-authorization")] for m in invites]
    assert realms == [[], ["atlanta.example.com"], ["atlanta.example.com", "biloxi.example.com"]]
    assert [invite.cseq.number for invite in invites] == [1, 2, 3]
    assert len({invite.via.branch for invite in invites}) == 3
    assert len({(invite.call_id, invite.from_.tag) for invite in invites}) == 1
    assert reached(wire, bob, "INVITE")[0].get_all("proxy-authorization") == []
    assert_nothing_left(wire, alice, bob)


def test_3_4_successful_session_with_proxy_failure(wire: Wire, alice: User, bob: User) -> None:
    """Alice's proxy has two addresses, and nobody is at the first one."""
    nobody = Server(wire, "ss0.atlanta.example.com")
    alice.hosts[PROXY1] = (nobody.address, HOSTS[PROXY2])
    proxy2 = Proxy(wire, PROXY2, routes={BOB: BOBS_PHONE}, passwords=PASSWORDS)
    proxy2.also_known_as.add(f"sip:{PROXY1};lr")
    alice.endpoint.invite("alice", BOB, OFFER, wire.now)
    alice.drain()
    wire.run(32.2)
    call = pick_up(wire, bob)
    hang_up(wire, bob, call)
    assert figure(wire, alice=alice, proxy1=nobody, proxy2=proxy2, bob=bob) == [
        *["alice -> proxy1 INVITE"] * 7,
        "alice -> proxy2 INVITE",
        "proxy2 -> alice 407",
        "alice -> proxy2 ACK",
        "alice -> proxy2 INVITE",
        "proxy2 -> bob INVITE",
        "proxy2 -> alice 100",
        "bob -> proxy2 180",
        "proxy2 -> alice 180",
        "bob -> proxy2 200",
        "proxy2 -> alice 200",
        "alice -> proxy2 ACK",
        "proxy2 -> bob ACK",
        "bob -> proxy2 BYE",
        "proxy2 -> alice BYE",
        "alice -> proxy2 200",
        "proxy2 -> bob 200",
    ]
    invites = sent(wire, alice, "INVITE")
    assert len({invite.via.branch for invite in invites}) == 3
    assert len({invite.call_id for invite in invites}) == 1


def test_3_5_session_through_a_gateway_that_rewrites_addresses(wire: Wire, alice: User, bob: User) -> None:
    """The gateway ends both media streams: each side sees the other's SDP with its address."""
    gateway = Proxy(wire, PROXY1, routes={BOB: f"sip:{PROXY2}"}, media=Media(host="192.0.2.128"))
    proxy2 = Proxy(wire, PROXY2, routes={BOB: BOBS_PHONE})
    call = call_and_answer(wire, alice, bob)
    hang_up(wire, alice, call)
    assert figure(wire, alice=alice, gateway=gateway, proxy2=proxy2, bob=bob) == [
        "alice -> gateway INVITE",
        "gateway -> proxy2 INVITE",
        "gateway -> alice 100",
        "proxy2 -> bob INVITE",
        "proxy2 -> gateway 100",
        "bob -> proxy2 180",
        "proxy2 -> gateway 180",
        "gateway -> alice 180",
        "bob -> proxy2 200",
        "proxy2 -> gateway 200",
        "gateway -> alice 200",
        "alice -> gateway ACK",
        "gateway -> proxy2 ACK",
        "proxy2 -> bob ACK",
        "alice -> gateway BYE",
        "gateway -> proxy2 BYE",
        "proxy2 -> bob BYE",
        "bob -> proxy2 200",
        "proxy2 -> gateway 200",
        "gateway -> alice 200",
    ]
    (received,) = bob.told(CallReceived)
    (answered,) = alice.told(CallAnswered)
    assert isinstance(received, CallReceived)
    assert isinstance(answered, CallAnswered)
    given = (b"c=IN IP4 192.0.2.128\r\nt=0 0\r\nm=audio 49172 ", b"c=IN IP4 192.0.2.128\r\nt=0 0\r\nm=audio 49174 ")
    assert (given[0] in received.offer, given[1] in answered.answer) == (True, True)
    assert_nothing_left(wire, alice, bob)


def test_3_6_session_via_redirect_and_proxy_servers_with_sdp_in_ack(wire: Wire, alice: User, bob: User) -> None:
    bob_in_chicago = "sip:bob@chicago.example.com"
    redirect = RedirectServer(wire, "biloxi.example.com", bob_in_chicago)
    proxy3 = Proxy(wire, "ss3.chicago.example.com", routes={bob_in_chicago: BOBS_PHONE})
    call = alice.endpoint.invite("direct", BOB, b"", wire.now)
    alice.drain()
    wire.run(0.15)
    pick_up(wire, bob, OFFER)
    assert alice.told(OfferReceived) == [OfferReceived(call=call, offer=OFFER)]
    alice.do(alice.endpoint.accept_offer, call, ANSWER)
    wire.run(0.1)
    hang_up(wire, bob, call)
    assert figure(wire, alice=alice, redirect=redirect, proxy3=proxy3, bob=bob) == [
        "alice -> redirect INVITE",
        "redirect -> alice 302",
        "alice -> redirect ACK",
        "alice -> proxy3 INVITE",
        "proxy3 -> bob INVITE",
        "proxy3 -> alice 100",
        "bob -> proxy3 180",
        "proxy3 -> alice 180",
        "bob -> proxy3 200",
        "proxy3 -> alice 200",
        "alice -> proxy3 ACK",
        "proxy3 -> bob ACK",
        "bob -> proxy3 BYE",
        "proxy3 -> alice BYE",
        "alice -> proxy3 200",
        "proxy3 -> bob 200",
    ]
    first, second = sent(wire, alice, "INVITE")
    assert (first.uri, second.uri, second.to.uri) == (BOB, bob_in_chicago, BOB)
    assert (first.content, second.content) == (b"", b"")
    assert (first.call_id, first.from_.tag, first.cseq.number) == (second.call_id, second.from_.tag, 1)
    assert (second.cseq.number, second.to.tag, second.via.branch != first.via.branch) == (2, None, True)
    refused, acknowledged = sent(wire, alice, "ACK")
    assert (refused.uri, refused.via.branch, refused.content) == (BOB, first.via.branch, b"")
    assert (acknowledged.uri, acknowledged.session_description) == (BOBS_PHONE, ANSWER)
    assert acknowledged.items("route") == ["<sip:ss3.chicago.example.com;lr>"]
    assert bob.told(CallConfirmed) == [CallConfirmed(call=call, answer=ANSWER)]
    assert_nothing_left(wire, alice, bob)


def test_3_7_session_with_re_invite_after_a_change_of_address(wire: Wire, alice: User, bob: User) -> None:
    call = call_and_answer(wire, alice, bob, line="direct", target=BOBS_PHONE)
    old, new = bob.address, ("192.0.2.202", 5060)
    bob.address = bob.local = new
    wire.attach(new, bob.receive)
    wire.attach(old, lambda data, source: None)
    moved = ANSWER.replace(b"192.0.2.2\r", b"192.0.2.202\r")
    bob.do(bob.endpoint.modify, call)
    bob.do(bob.endpoint.send_offer, call, moved)
    wire.run(0.1)
    assert alice.told(OfferReceived) == [OfferReceived(call=call, offer=moved)]
    alice.do(alice.endpoint.accept_offer, call, OFFER)
    wire.run(0.1)
    hang_up(wire, alice, call)
    del wire.sent[:4]  # the call as in 3.1
    assert figure(wire, alice=alice, bob=bob) == [
        "bob -> alice INVITE",
        "alice -> bob 200",
        "bob -> alice ACK",
        "alice -> bob BYE",
        "bob -> alice 200",
    ]
    (again,), (ack,), (bye,) = sent(wire, bob, "INVITE"), sent(wire, bob, "ACK"), sent(wire, alice, "BYE")
    assert again.get("contact") == "<sip:bob@192.0.2.202:5060>"
    assert (again.call_id, again.to.tag is not None, ack.cseq.number) == (call, True, again.cseq.number)
    assert bye.uri == "sip:bob@192.0.2.202:5060"
    assert_nothing_left(wire, alice, bob)
