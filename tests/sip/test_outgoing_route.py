"""The way that new requests of a line go: outbound proxy, Service-Route (RFC 3608), registrar, and our own Contact."""

import pytest

from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.uri import SIPURI
from tests.scenario import OFFER, PBX, Party, RawPeer, Sent, Wire

CHALLENGE = 'WWW-Authenticate: Digest realm="pbx", nonce="n1", qop="auth"'
PROXY = SIPURI(host="192.0.2.80", port=5070)
EDGE = "<sip:192.0.2.81;lr>, <sip:core.example;lr;x=%41>"


class Registrar(RawPeer):
    """Grants what is asked and says ``headers`` with it."""

    def __init__(self, wire: Wire, *headers: str) -> None:
        super().__init__(wire, PBX.host)
        self.headers = headers
        self.on_request = lambda request: self.respond(request, 200, headers=self.headers, contact="")


def carol_registered(wire: Wire, *headers: str, outbound_proxy: SIPURI | None = None) -> Party:
    carol = Party(wire, "192.0.2.3")
    carol.hosts["192.0.2.80"] = ((PBX.host, 5060),)
    carol.add_registered_line("620", outbound_proxy=outbound_proxy)
    Registrar(wire, *headers)
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    del carol.hosts["192.0.2.80"]
    return carol


def invited(carol: Party, target: str) -> Sent:
    carol.endpoint.invite("620", target, OFFER, carol.wire.now)
    carol.drain()
    return carol.wire.sent[-1]


@pytest.mark.parametrize("target", ["200", "sip:200@192.0.2.66"])
def test_a_learned_service_route_is_preloaded_into_every_request_of_the_line(wire: Wire, target: str) -> None:
    carol = carol_registered(wire, f"Service-Route: {EDGE}")
    invite = invited(carol, target)
    assert invite.destination == ("192.0.2.81", 5060)
    assert invite.message.items("route") == ["<sip:192.0.2.81;lr>", "<sip:core.example;lr;x=A>"]
    carol.endpoint.send_message("620", target, "hi", wire.now)
    carol.drain()
    assert wire.sent[-1].message.items("route") == invite.message.items("route")
    assert carol.endpoint.first_hop("620", target) == Hop(host="192.0.2.81")


def test_register_itself_ignores_the_service_route(wire: Wire) -> None:
    carol = carol_registered(wire, f"Service-Route: {EDGE}")
    carol.do(carol.endpoint.register, "620")
    assert (wire.sent[-1].destination, wire.sent[-1].message.get("route")) == ((PBX.host, 5060), None)


def test_the_outbound_proxy_stands_before_the_service_route(wire: Wire) -> None:
    carol = carol_registered(wire, "Service-Route: <sip:core.example;lr>", outbound_proxy=PROXY)
    invite = invited(carol, "200")
    assert invite.destination == ("192.0.2.80", 5070)
    assert invite.message.items("route") == ["<sip:192.0.2.80:5070;lr>", "<sip:core.example;lr>"]


def test_an_outbound_proxy_that_the_service_route_begins_with_is_named_once(wire: Wire) -> None:
    route = "Service-Route: <sip:192.0.2.80:5070;lr>, <sip:core.example;lr>"
    invite = invited(carol_registered(wire, route, outbound_proxy=PROXY), "200")
    assert invite.message.items("route") == ["<sip:192.0.2.80:5070;lr>", "<sip:core.example;lr>"]


@pytest.mark.parametrize(
    "value",
    [
        "<sip:192.0.2.81>",
        "<sip:192.0.2.81;lr?Subject=x>",
        "<tel:+4930123;lr>",
        "<sip:;lr>",
        ", ".join(["<sip:192.0.2.81;lr>"] * 17),
    ],
)
def test_a_service_route_that_makes_no_sense_changes_nothing(wire: Wire, value: str) -> None:
    carol = carol_registered(wire, f"Service-Route: {value}")
    assert (invited(carol, "200").destination, carol.endpoint.counters["malformed"]) == ((PBX.host, 5060), 1)


def test_a_service_route_lasts_as_long_as_the_registrar_repeats_it(wire: Wire) -> None:
    carol = carol_registered(wire, f"Service-Route: {EDGE}")
    Registrar(wire)
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    assert invited(carol, "200").destination == (PBX.host, 5060)


def test_deregistering_forgets_the_service_route(wire: Wire) -> None:
    carol = carol_registered(wire, f"Service-Route: {EDGE}")
    carol.do(carol.endpoint.unregister, "620")
    wire.run(0.1)
    assert invited(carol, "200").destination == (PBX.host, 5060)


def test_the_first_proxy_of_a_service_route_is_believed_as_the_registrar_is(wire: Wire) -> None:
    carol = carol_registered(wire, f"Service-Route: {EDGE}")
    edge = RawPeer(wire, "192.0.2.81")
    invite = invited(carol, "200")
    wire.run(0.1)
    edge.respond(invite.message, 401, headers=[CHALLENGE])
    wire.run(0.1)
    assert edge.words == ["INVITE", "ACK", "INVITE"]
    assert "response=" in (edge.last("INVITE").get("authorization") or "")
    edge.request(carol, "OPTIONS", uri="sip:620@192.0.2.3")
    wire.run(0.1)
    assert edge.words[-1] == "200"


def test_lines_with_the_same_proxy_leave_it_one_by_one(wire: Wire) -> None:
    carol = carol_registered(wire, f"Service-Route: {EDGE}")
    carol.add_registered_line("621")
    carol.do(carol.endpoint.register, "621")
    wire.run(0.1)
    invited(carol, "200")
    edge = RawPeer(wire, "192.0.2.81")
    for line in ("620", "621"):
        edge.request(carol, "OPTIONS", uri="sip:621@192.0.2.3", call_id=line)
        wire.run(0.1)
        assert edge.words[-1] == "200"
        carol.do(carol.endpoint.unregister, line)
        wire.run(0.1)
    edge.request(carol, "OPTIONS", uri="sip:621@192.0.2.3")
    wire.run(0.1)
    assert (edge.words[-1], carol.endpoint.counters["strangers"]) == ("200", 1)


@pytest.mark.parametrize(
    ("transport", "host", "target", "contact"),
    [
        ("UDP", "192.0.2.3", "sip:x@192.0.2.66", "sip:620@192.0.2.3:5060"),
        ("TCP", "192.0.2.3", "sip:x@192.0.2.66", "sip:620@192.0.2.3:5060;transport=tcp"),
        ("TLS", "192.0.2.3", "sip:x@192.0.2.66", "sip:620@192.0.2.3:5060;transport=tls"),
        ("TLS", "192.0.2.3", "sips:x@192.0.2.66", "sips:620@192.0.2.3:5060"),
        ("UDP", "fe80::3%eth0", "sip:x@192.0.2.66", "sip:620@[fe80::3]:5060"),
    ],
)
@pytest.mark.parametrize("send", ["invite", "options"])
def test_our_contact_says_the_transport_and_is_sips_only_for_a_sips_target(
    wire: Wire, transport: str, host: str, target: str, contact: str, send: str
) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.resolves = False
    carol.endpoint.add_line(
        RegisteredLine(id="620", user="620", display_name="620", domain=PBX.host, registrar=PBX, credentials=None)
    )
    orders = {
        "invite": lambda: carol.endpoint.invite("620", target, OFFER, wire.now),
        "options": lambda: carol.endpoint.send_options("620", target, wire.now),
    }
    orders[send]()
    carol.drain()
    flow = Flow(transport=transport, local=(host, 5060), remote=("192.0.2.66", 5060))
    carol.do(carol.endpoint.resolved, carol.unresolved[0], (flow,))
    assert wire.sent[-1].message.contact is not None
    assert wire.sent[-1].message.contact.uri == contact
