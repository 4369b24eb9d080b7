"""Registration and what lies between us and the registrar: NAT, connections that end, redirection, many lines."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from sip_bridge.sip.events import RegistrationChanged, RegistrationState
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.uri import SIPURI
from tests.scenario import OFFER, PBX, Address, Party, RawPeer, Wire

PING = b"\r\n\r\n"
CHALLENGE = 'WWW-Authenticate: Digest realm="pbx", nonce="n1", qop="auth"'
ROUTER = "203.0.113.9"


class Registrar(RawPeer):
    """Answers each REGISTER with the next of ``statuses``, and says in Via that it came from ``seen``."""

    def __init__(self, wire: Wire, statuses: Iterable[int] = (200,), *, host: str = PBX.host) -> None:
        super().__init__(wire, host)
        self.statuses = list(statuses)
        self.headers: dict[int, list[str]] = {401: [CHALLENGE]}
        self.seen: Callable[[], str] = lambda: "rport"
        self.at: list[float] = []
        self.on_request = self._answer

    def _receive(self, data: bytes, source: Address) -> None:
        if data != PING:
            super()._receive(data.replace(b";rport;", f";{self.seen()};".encode(), 1), source)

    def _answer(self, request: SIPMessage) -> None:
        self.at.append(round(self.wire.now - 1000, 2))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.respond(request, status, headers=self.headers.get(status, ["Expires: 300"]), contact="")

    @property
    def contacts(self) -> list[list[str]]:
        return [message.items("contact") for message in self.received]


def seen_as(host: str, port: int) -> Callable[[], str]:
    return lambda: f"received={host};rport={port}"


@pytest.fixture
def carol(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.3")
    party.add_registered_line("620")
    return party


def register(carol: Party, seconds: float = 0.5) -> None:
    carol.do(carol.endpoint.register, "620")
    carol.wire.run(seconds)


def states(party: Party) -> list[RegistrationState]:
    return [event.state for event in party.events if isinstance(event, RegistrationChanged)]


def pings(wire: Wire) -> list[float]:
    return [round(sent.at - 1000, 1) for sent in wire.sent if sent.data == PING]


OWN, PUBLIC = "<sip:620@192.0.2.3:5060>", f"<sip:620@{ROUTER}:1024>"


# --- our address as the registrar sees it ---


def test_the_address_that_a_challenge_shows_is_registered_at_once(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [401, 200])
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol)
    assert registrar.contacts == [[OWN], [PUBLIC]]
    assert states(carol) == [RegistrationState.REGISTERING, RegistrationState.REGISTERED]


def test_an_address_that_the_200_shows_replaces_the_binding(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire)
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol)
    assert registrar.contacts == [[OWN], [PUBLIC, f"{OWN};expires=0"]]
    wire.run(295)
    assert registrar.contacts[2:] == [[PUBLIC]]
    carol.do(carol.endpoint.unregister, "620")
    wire.run(1)
    assert registrar.contacts[3:] == [[PUBLIC]]
    assert registrar.received[3].get("expires") == "0"


def test_a_call_through_the_registrar_names_the_public_address_and_one_to_the_lan_our_own(
    wire: Wire, carol: Party
) -> None:
    registrar = Registrar(wire)
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol)
    for target in ("200", "sip:door@192.0.2.66"):
        carol.endpoint.invite("620", target, OFFER, wire.now)
        carol.drain()
    assert [sent.message.get("contact") for sent in wire.sent[-2:]] == [PUBLIC, OWN]


def test_only_the_port_may_be_translated(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [401, 200])
    registrar.seen = lambda: "rport=1024"
    register(carol)
    assert registrar.contacts[1:] == [["<sip:620@192.0.2.3:1024>"]]


def test_an_address_without_port_keeps_ours(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [401, 200])
    registrar.seen = lambda: f"received={ROUTER}"
    register(carol)
    assert registrar.contacts[1:] == [[f"<sip:620@{ROUTER}:5060>"]]


def test_ipv6_is_written_in_brackets(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [401, 200])
    registrar.seen = seen_as("[2001:db8::9]", 1024)
    register(carol)
    assert registrar.contacts[1:] == [["<sip:620@[2001:db8::9]:1024>"]]


@pytest.mark.parametrize(
    "seen",
    [
        "received=192.0.2.3;rport=5060",
        "received=nonsense;rport=1024",
        "received=224.0.0.1;rport=1024",
        "received=0.0.0.0;rport=1024",
        f"received={ROUTER};rport=99999",
    ],
)
def test_what_is_no_address_of_ours_changes_nothing(wire: Wire, carol: Party, seen: str) -> None:
    registrar = Registrar(wire)
    registrar.seen = lambda: seen
    register(carol)
    assert registrar.contacts == [[OWN]]


def test_a_nat_that_is_gone_is_forgotten(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire)
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol, 100)
    registrar.seen = seen_as("192.0.2.3", 5060)
    wire.run(200)
    assert registrar.contacts[2:] == [[PUBLIC], [OWN, f"{PUBLIC};expires=0"]]


def test_a_new_public_address_that_one_line_learns_is_registered_for_all(wire: Wire, carol: Party) -> None:
    carol.add_registered_line("621")
    registrar = Registrar(wire)
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol, 100)
    carol.do(carol.endpoint.register, "621")
    wire.run(1)
    registrar.received.clear()
    registrar.seen = seen_as("203.0.113.10", 7)
    wire.run(200)
    assert registrar.contacts == [
        [PUBLIC],
        ["<sip:621@203.0.113.10:7>", f"<sip:621@{ROUTER}:1024>;expires=0"],
        ["<sip:620@203.0.113.10:7>", f"{PUBLIC};expires=0"],
    ]


def test_a_nat_that_changes_its_port_each_time_causes_no_storm(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire)
    registrar.seen = lambda: f"received={ROUTER};rport={1024 + len(registrar.received)}"
    register(carol, 3600)
    assert len(registrar.received) <= 2 * (3600 // 295 + 1)
    assert carol.endpoint.counters["unsteady_addresses"] == 13
    assert all(len(contacts) <= 2 for contacts in registrar.contacts)


def test_nobody_but_the_registrar_tells_us_our_address(wire: Wire, carol: Party) -> None:
    peer = Registrar(wire, [404], host="192.0.2.66")
    peer.seen = seen_as(ROUTER, 1024)
    registrar = Registrar(wire)
    carol.endpoint.send_options("620", "sip:x@192.0.2.66", wire.now)
    carol.drain()
    wire.run(0.1)
    register(carol)
    carol.endpoint.send_options("620", "sip:x@192.0.2.66", wire.now)
    carol.drain()
    assert wire.sent[-1].message.get("contact") == OWN
    assert registrar.contacts == [[OWN]]


def test_a_response_from_elsewhere_teaches_no_address(wire: Wire, carol: Party, raw: RawPeer) -> None:
    registrar = Registrar(wire)
    registrar.on_request = lambda _: None
    register(carol)
    request = registrar.received[0]
    raw.respond(SIPMessage(wire.sent[0].data.replace(b";rport;", b";received=203.0.113.66;rport=7;")), 100, contact="")
    wire.run(0.2)
    registrar.respond(request, 200, contact="", headers=["Expires: 300"])
    wire.run(295)
    assert registrar.contacts[-1] == [OWN]


def test_an_advertised_address_is_not_overruled(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3", learns_address=False)
    carol.add_registered_line("620")
    registrar = Registrar(wire)
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol)
    assert registrar.contacts == [[OWN]]


@pytest.mark.parametrize(
    ("seen", "contact"),
    [
        (seen_as("192.0.2.3", 40001), "<sip:620@192.0.2.3:5060;transport=tcp>"),
        (seen_as(ROUTER, 40001), f"<sip:620@{ROUTER}:40001;transport=tcp>"),
    ],
)
def test_the_port_of_a_connection_is_only_ours_behind_a_nat(
    wire: Wire, carol: Party, seen: Callable[[], str], contact: str
) -> None:
    carol.transport = "TCP"
    registrar = Registrar(wire, [401, 200])
    registrar.seen = seen
    register(carol)
    assert registrar.contacts[1:] == [[contact]]


def test_learned_addresses_are_bounded(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [200])
    registrar.seen = seen_as(ROUTER, 1024)
    for number in range(300):
        carol.local = ("192.0.2.3", 10000 + number)
        registrar.wire.attach(carol.local, carol.receive)
        carol.do(carol.endpoint.register, "620")
        wire.run(0.1)
    contacts = []
    for number in (0, 299):
        carol.local = ("192.0.2.3", 10000 + number)
        carol.endpoint.invite("620", "200", OFFER, wire.now)
        carol.drain()
        contacts.append(wire.sent[-1].message.get("contact"))
    assert contacts == ["<sip:620@192.0.2.3:10000>", PUBLIC]


# --- keep-alive ---


def test_behind_a_nat_a_datagram_keeps_the_mapping(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire)
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol, 200)
    sent = pings(wire)
    gaps = [b - a for a, b in zip([0.0, *sent], sent, strict=False)]
    assert all(19.9 <= gap <= 25.1 for gap in gaps)
    assert len(set(gaps)) > 1
    assert {s.destination for s in wire.sent if s.data == PING} == {(PBX.host, 5060)}


def test_without_a_nat_nothing_is_kept_alive(wire: Wire, carol: Party) -> None:
    Registrar(wire)
    register(carol, 250)
    assert pings(wire) == []


def test_a_connection_is_kept_alive_at_longer_intervals(wire: Wire, carol: Party) -> None:
    carol.transport = "TCP"
    Registrar(wire)
    register(carol, 600)
    sent = pings(wire)
    assert all(95.9 <= b - a <= 120.1 for a, b in zip([0.0, *sent], sent, strict=False))
    assert len(sent) >= 4


@pytest.mark.parametrize(("keep_alive", "count"), [(0, 0), (10, 11)])
def test_the_interval_can_be_set(wire: Wire, keep_alive: float, count: int) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", keep_alive=keep_alive)
    registrar = Registrar(wire)
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol, 100)
    assert len(pings(wire)) == count


@pytest.mark.parametrize("status", [200, 403, 503])
def test_who_is_not_registered_keeps_nothing_alive(wire: Wire, carol: Party, status: int) -> None:
    registrar = Registrar(wire, [200, 200, status])
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol, 10)
    carol.do({200: carol.endpoint.unregister}.get(status, carol.endpoint.register), "620")
    registrar.headers[503] = ["Retry-After: 3600"]
    wire.run(1000)
    assert pings(wire) == []


def test_lines_of_one_registrar_share_their_keep_alive(wire: Wire, carol: Party) -> None:
    carol.add_registered_line("621", keep_alive=20)
    registrar = Registrar(wire)
    registrar.seen = seen_as(ROUTER, 1024)
    register(carol)
    carol.do(carol.endpoint.register, "621")
    wire.run(100)
    shared = len(pings(wire))
    assert shared in (4, 5, 6)
    carol.do(carol.endpoint.unregister, "620")
    wire.run(100)
    assert len(pings(wire)) - shared in (5, 6)


# --- flows that end ---


def flow_of(carol: Party) -> Flow:
    (flow,) = carol.endpoint.registrar_flows()
    return flow


def test_a_lost_connection_is_registered_over_anew_at_once(wire: Wire, carol: Party) -> None:
    carol.transport = "TCP"
    registrar = Registrar(wire)
    register(carol, 60)
    carol.do(carol.endpoint.transport_failed, flow_of(carol))
    wire.run(0.5)
    assert registrar.at == [0.01, 60.01]
    assert states(carol)[-1] is RegistrationState.REGISTERED


def test_a_connection_that_is_lost_again_and_again_is_registered_over_with_a_back_off(wire: Wire, carol: Party) -> None:
    carol.transport = "TCP"
    registrar = Registrar(wire)
    register(carol, 0.05)
    waits = []
    for _ in range(8):
        lost_at, before = wire.now, len(registrar.at)
        carol.do(carol.endpoint.transport_failed, flow_of(carol))
        wire.run(150)
        waits.append(registrar.at[before] - (lost_at - 1000))
        registrar.at.clear()
        carol.do(carol.endpoint.register, "620")
        wire.run(0.05)
        registrar.at.clear()
    ideals = [2, 4, 8, 16, 32, 64, 120, 120]
    assert all(ideal / 2 <= wait <= ideal + 0.1 for ideal, wait in zip(ideals, waits, strict=True))


def test_the_loss_of_another_flow_is_not_the_registrations(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire)
    register(carol, 60)
    carol.do(carol.endpoint.transport_failed, carol.flow_to(("192.0.2.66", 5060)))
    wire.run(10)
    assert len(registrar.received) == 1


def test_a_flow_that_fails_while_a_request_is_under_way_fails_the_request(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire)
    registrar.on_request = lambda _: None
    register(carol, 1)
    carol.do(carol.endpoint.transport_failed, flow_of(carol))
    assert states(carol) == [RegistrationState.REGISTERING, RegistrationState.FAILED]
    carol.do(carol.endpoint.transport_failed, flow_of(carol))
    assert states(carol) == [RegistrationState.REGISTERING, RegistrationState.FAILED]


# --- our own address changes ---


def test_a_changed_address_registers_anew_at_once_and_removes_the_old_binding(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire)
    register(carol, 10)
    before = flow_of(carol)
    carol.local = ("192.0.2.33", 5060)
    wire.attach(carol.local, carol.receive)
    carol.do(carol.endpoint.address_changed, before)
    wire.run(0.5)
    assert registrar.contacts == [[OWN], ["<sip:620@192.0.2.33:5060>", f"{OWN};expires=0"]]
    assert flow_of(carol) == replace(before, local=carol.local)


def test_a_changed_address_ends_a_back_off(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [503, 200])
    registrar.headers[503] = ["Retry-After: 3600"]
    register(carol, 10)
    carol.do(carol.endpoint.address_changed, flow_of(carol))
    wire.run(0.5)
    assert registrar.at == [0.01, 10.01]


def test_a_changed_address_waits_for_a_request_that_is_under_way(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire)
    registrar.on_request = lambda _: None
    register(carol, 0.1)
    carol.do(carol.endpoint.address_changed, flow_of(carol))
    carol.do(carol.endpoint.address_changed, carol.flow_to(("192.0.2.66", 5060)))
    wire.run(0.1)
    assert len(registrar.received) == 1


def test_a_line_that_never_registered_has_no_flow(carol: Party) -> None:
    assert carol.endpoint.registrar_flows() == frozenset()


# --- redirection ---


def redirected(wire: Wire, contact: str, *statuses: int) -> tuple[Registrar, Registrar]:
    first = Registrar(wire, [302, *statuses])
    first.headers[302] = [f"Contact: {contact}"]
    return first, Registrar(wire, [401, 200], host="192.0.2.101")


def test_a_redirection_is_followed_and_remembered(wire: Wire, carol: Party) -> None:
    first, second = redirected(wire, "<sip:620@192.0.2.101;x=y>;q=0.5, <tel:+4930>")
    register(carol, 296)
    assert (len(first.received), second.at) == (1, [0.03, 0.05, 295.07])
    assert {message.uri for message in second.received} == {"sip:192.0.2.101;x=y"}
    assert second.received[1].get("authorization") is not None
    assert states(carol) == [RegistrationState.REGISTERING, *[RegistrationState.REGISTERED] * 2]
    assert [message.cseq.number for message in second.received] == [2, 3, 4]


def test_the_new_registrar_may_call(wire: Wire, carol: Party) -> None:
    _, second = redirected(wire, "<sip:192.0.2.101>")
    register(carol)
    second.request(carol, "OPTIONS", uri="sip:620@192.0.2.3")
    wire.run(0.1)
    assert second.words[-1] == "200"


def test_when_the_new_registrar_fails_the_configured_one_is_asked_again(wire: Wire, carol: Party) -> None:
    first, second = redirected(wire, "<sip:192.0.2.101>", 200)
    second.statuses = [503]
    register(carol, 5)
    assert (len(first.received), len(second.received)) == (2, 1)
    assert states(carol)[-2:] == [RegistrationState.FAILED, RegistrationState.REGISTERED]
    second.request(carol, "OPTIONS", uri="sip:620@192.0.2.3")
    wire.run(0.1)
    assert carol.endpoint.counters["strangers"] == 1


def test_a_silent_new_registrar_gives_way_to_the_next_one(wire: Wire, carol: Party) -> None:
    first, second = redirected(wire, "<sip:192.0.2.102>;q=1, <sip:192.0.2.101>;q=0.1")
    register(carol, 40)
    assert (len(first.received), second.words) == (1, ["REGISTER", "REGISTER"])
    assert carol.endpoint.registration_state("620") is RegistrationState.REGISTERED


def test_registrars_that_redirect_in_a_circle_are_left(wire: Wire, carol: Party) -> None:
    first, second = redirected(wire, "<sip:192.0.2.101>")
    second.statuses, second.headers[302] = [302], ["Contact: <sip:192.0.2.100>"]
    register(carol, 0.5)
    assert (len(first.received), len(second.received)) == (1, 1)
    assert states(carol)[-1] is RegistrationState.FAILED


def test_redirection_ends_after_five_targets(wire: Wire, carol: Party) -> None:
    first = Registrar(wire, [302])
    first.headers[302] = ["Contact: " + ", ".join(f"<sip:192.0.2.{host}>" for host in range(101, 121))]
    others = [Registrar(wire, [503], host=f"192.0.2.{host}") for host in range(101, 121)]
    register(carol, 0.5)
    assert sum(len(other.received) for other in others) == 5
    assert states(carol)[-1] is RegistrationState.FAILED


def test_through_an_outbound_proxy_only_the_request_uri_follows(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", outbound_proxy=SIPURI(host="192.0.2.80"))
    proxy = Registrar(wire, [302, 200], host="192.0.2.80")
    proxy.headers[302] = ["Contact: <sip:192.0.2.101>"]
    register(carol)
    assert [(message.uri, message.get("route")) for message in proxy.received] == [
        ("sip:192.0.2.100", "<sip:192.0.2.80;lr>"),
        ("sip:192.0.2.101", "<sip:192.0.2.80;lr>"),
    ]


@pytest.mark.parametrize(
    ("contact", "hops"),
    [
        ("<sip:pbx2.example>", [Hop(host="pbx2.example", transport="TLS")]),
        ("<sips:pbx2.example>", [Hop(host="pbx2.example", secure=True)]),
        ("<sip:pbx2.example;transport=udp>", []),
    ],
)
def test_nobody_is_led_from_tls_to_something_else(wire: Wire, contact: str, hops: list[Hop]) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", registrar=Hop(host=PBX.host, transport="TLS"))
    first = Registrar(wire, [302])
    first.headers[302] = [f"Contact: {contact}"]
    carol.do(carol.endpoint.register, "620")
    carol.resolves = False
    wire.run(0.1)
    assert carol.unresolved == hops


# --- many lines ---


def test_a_thousand_registrations_share_a_socket_without_quadratic_work(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    registrar = Registrar(wire)
    registrar.on_request = _challenging(registrar)
    for number in range(1000):
        carol.add_registered_line(f"u{number}")
    began = time.process_time()
    for number in range(1000):
        carol.do(carol.endpoint.register, f"u{number}")
    wire.run(1)
    took = time.process_time() - began
    assert {carol.endpoint.registration_state(f"u{number}") for number in range(1000)} == {RegistrationState.REGISTERED}
    assert len(registrar.received) == 2000
    assert took < 10
    wire.run(299)
    assert len(registrar.received) == 3000
    assert carol.endpoint.counters["own_binding_not_listed"] == 2000


def _challenging(registrar: Registrar) -> Callable[[SIPMessage], None]:
    def answer(request: SIPMessage) -> None:
        status = 401 if request.get("authorization") is None else 200
        registrar.respond(request, status, headers=registrar.headers.get(status, ["Expires: 300"]), contact="")

    return answer
