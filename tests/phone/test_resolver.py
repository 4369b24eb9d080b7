"""Locating SIP servers (RFC 3263, RFC 2782): an authoritative DNS server on loopback, and a hosts file of our own."""

import asyncio
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from sip_bridge.phone.names import (
    ADDRESS_TIMEOUT,
    ADDRESS_TTL,
    MAX_KEPT,
    MAX_RECORDS,
    MAX_THREADS,
    QUESTION_TIMEOUT,
    RECHECK,
    SILENCE_TTL,
    STALE_FOR,
    Names,
    Server,
    in_order,
)
from sip_bridge.phone.resolver import MAX_TARGETS, TIMEOUT, Resolver, Target, Transport, has_route
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.uri import SIPURI
from tests.phone.dns_server import DNSServer

A, B, C, DOMAIN = "192.0.2.1", "192.0.2.2", "2001:db8::3", "192.0.2.9"


class House:
    """A resolver with everything it asks: DNS, the system's hosts, a clock and chance."""

    def __init__(self, server: DNSServer, question_timeout: float = QUESTION_TIMEOUT) -> None:
        self.dns = server
        self.now = 1000.0
        self.hosts: dict[str, list[str]] = {
            "a.example.org": [A],
            "b.example.org": [B],
            "c.example.org": [C],
            "example.org": [DOMAIN],
        }
        self.failure: Exception | None = None
        self.looked_up: list[str] = []
        self.unreachable: set[str] = set()
        self.names = Names(
            clock=lambda: self.now,
            chance=random.Random(1).random,
            dns_resolver=server.resolver,
            getaddrinfo=self._addresses,
            question_timeout=question_timeout,
        )

    def _addresses(self, host: str) -> list[str]:
        self.looked_up.append(host)
        if self.failure is not None:
            raise self.failure
        if host not in self.hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.hosts[host]

    async def resolve(self, uri: str, *transports: Transport) -> list[str]:
        """The targets of a URI, as ``UDP 192.0.2.1:5060``."""
        resolver = Resolver(
            transports=transports or ("UDP", "TCP", "TLS"),
            reaches=lambda address: address not in self.unreachable,
            names=self.names,
        )
        targets = await resolver.resolve(Hop.of(SIPURI.parse(uri)))
        return [f"{target.transport} {target.host}:{target.port}" for target in targets]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with DNSServer() as server:
        yield House(server)


@pytest.fixture
async def hasty() -> AsyncIterator[House]:
    """A house that does not wait long for DNS."""
    async with DNSServer() as server:
        yield House(server, question_timeout=0.3)


# --- which transport, which port ---


@pytest.mark.parametrize(
    ("uri", "targets"),
    [
        ("sip:192.0.2.7", ["UDP 192.0.2.7:5060"]),
        ("sip:192.0.2.7:5070", ["UDP 192.0.2.7:5070"]),
        ("sip:192.0.2.7;transport=tcp", ["TCP 192.0.2.7:5060"]),
        ("sip:192.0.2.7;transport=TLS", ["TLS 192.0.2.7:5061"]),
        ("sips:192.0.2.7", ["TLS 192.0.2.7:5061"]),
        ("sips:192.0.2.7;transport=tcp", ["TLS 192.0.2.7:5061"]),
        ("sips:192.0.2.7:5071;transport=tls", ["TLS 192.0.2.7:5071"]),
        ("sip:[2001:db8::7]:5070", ["UDP 2001:db8::7:5070"]),
        ("sip:example.org;maddr=192.0.2.7", ["UDP 192.0.2.7:5060"]),
        ("sip:example.org;maddr=[2001:db8::7]", ["UDP 2001:db8::7:5060"]),
        ("sip:[::ffff:192.0.2.7]", ["UDP 192.0.2.7:5060"]),
        ("sips:192.0.2.7;transport=udp", []),
        ("sip:192.0.2.7;transport=sctp", []),
    ],
)
async def test_an_address_is_not_looked_up(house: House, uri: str, targets: list[str]) -> None:
    assert await house.resolve(uri) == targets
    assert (house.dns.questions, house.looked_up) == ([], [])


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "[::]", "224.0.1.75", "[ff02::1]", "255.255.255.255", "[::ffff:224.0.1.75]", "[::ffff:0.0.0.0]"]
)
async def test_nobody_is_at_an_address_that_is_no_ones(house: House, host: str) -> None:
    assert await house.resolve(f"sip:{host}") == []
    house.hosts["a.example.org"] = [host.strip("[]"), A]
    assert await house.resolve("sip:a.example.org:5060") == [f"UDP {A}:5060"]


@pytest.mark.parametrize(
    ("uri", "targets"),
    [
        ("sip:a.example.org:5070", [f"UDP {A}:5070"]),
        ("sip:a.example.org:5070;transport=tcp", [f"TCP {A}:5070"]),
        ("sips:a.example.org:5071", [f"TLS {A}:5071"]),
    ],
)
async def test_a_port_asks_for_addresses_only(house: House, uri: str, targets: list[str]) -> None:
    assert await house.resolve(uri) == targets
    assert house.dns.questions == []


async def test_a_transport_asks_for_its_service_only(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 1 0 5062 b.example.org.")
    house.dns.add("_sip._tcp.example.org 60 SRV 1 0 5066 a.example.org.")
    assert await house.resolve("sip:example.org;transport=tcp") == [f"TCP {A}:5066"]
    assert house.dns.questions == ["_sip._tcp.example.org SRV"]


@pytest.mark.parametrize(
    ("uri", "question", "target"),
    [
        ("sip:example.org;transport=udp", "_sip._udp.example.org SRV", f"UDP {DOMAIN}:5060"),
        ("sip:example.org;transport=tcp", "_sip._tcp.example.org SRV", f"TCP {DOMAIN}:5060"),
        ("sip:example.org;transport=tls", "_sips._tcp.example.org SRV", f"TLS {DOMAIN}:5061"),
        ("sips:example.org;transport=tcp", "_sips._tcp.example.org SRV", f"TLS {DOMAIN}:5061"),
    ],
)
async def test_without_service_records_the_domain_is_the_server(
    house: House, uri: str, question: str, target: str
) -> None:
    assert await house.resolve(uri) == [target]
    assert house.dns.questions == [question]


async def test_without_naptr_each_plain_transport_is_asked_for_udp_first(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 1 0 5062 b.example.org.")
    house.dns.add("_sip._tcp.example.org 60 SRV 1 0 5066 a.example.org.")
    house.dns.add("_sips._tcp.example.org 60 SRV 1 0 5068 a.example.org.")
    assert await house.resolve("sip:example.org") == [f"UDP {B}:5062", f"TCP {A}:5066"]
    assert house.dns.questions == ["example.org NAPTR", "_sip._udp.example.org SRV", "_sip._tcp.example.org SRV"]


async def test_a_domain_with_no_records_but_addresses_is_a_udp_server(house: House) -> None:
    house.hosts["example.org"] = [A, C]
    assert await house.resolve("sip:example.org") == [f"UDP {A}:5060", f"UDP {C}:5060"]


async def test_a_transport_that_we_do_not_speak_is_not_asked_for(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 1 0 5062 b.example.org.")
    assert await house.resolve("sip:example.org", "TCP") == [f"TCP {DOMAIN}:5060"]
    assert await house.resolve("sip:example.org", "TLS") == [f"TLS {DOMAIN}:5061"]
    assert await house.resolve("sips:example.org", "UDP", "TCP") == []


# --- NAPTR ---

RFC_3263 = (
    'example.org 60 NAPTR 50 50 "s" "SIPS+D2T" "" _sips._tcp.example.org.',
    'example.org 60 NAPTR 90 50 "s" "SIP+D2T" "" _sip._tcp.example.org.',
    'example.org 60 NAPTR 100 50 "S" "sip+d2u" "" _sip._udp.example.net.',
    "_sips._tcp.example.org 60 SRV 0 1 5061 a.example.org.",
    "_sip._tcp.example.org 60 SRV 0 1 5060 b.example.org.",
    "_sip._tcp.example.org 60 SRV 1 1 5060 a.example.org.",
    "_sip._udp.example.net 60 SRV 0 1 5062 c.example.org.",
)


@pytest.mark.parametrize(
    ("uri", "transports", "targets"),
    [
        ("sip:example.org", ("UDP", "TCP", "TLS"), [f"TLS {A}:5061"]),
        ("sip:example.org", ("UDP", "TCP"), [f"TCP {B}:5060", f"TCP {A}:5060"]),
        ("sip:example.org", ("UDP",), [f"UDP {C}:5062"]),
        ("sips:example.org", ("UDP", "TCP", "TLS"), [f"TLS {A}:5061"]),
    ],
)
async def test_naptr_chooses_the_first_transport_that_we_speak(
    house: House, uri: str, transports: tuple[Transport, ...], targets: list[str]
) -> None:
    for record in RFC_3263:
        house.dns.add(record)
    assert await house.resolve(uri, *transports) == targets


async def test_services_of_one_order_are_tried_by_preference(house: House) -> None:
    house.dns.add('example.org 60 NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp.example.org.')
    house.dns.add('example.org 60 NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.example.org.')
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5060 a.example.org.")
    house.dns.add("_sip._tcp.example.org 60 SRV 0 0 5060 b.example.org.")
    assert await house.resolve("sip:example.org") == [f"TCP {B}:5060", f"UDP {A}:5060"]


async def test_an_order_without_servers_gives_way_to_the_next(house: House) -> None:
    house.dns.add('example.org 60 NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.nowhere.example.org.')
    house.dns.add('example.org 60 NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.example.org.')
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5060 a.example.org.")
    assert await house.resolve("sip:example.org") == [f"UDP {A}:5060"]


async def test_other_applications_odd_flags_and_rewriting_rules_are_passed_over(house: House) -> None:
    house.dns.add('example.org 60 NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:info@example.org!" .')
    house.dns.add('example.org 60 NAPTR 2 1 "s" "SIP+D2S" "" _sip._sctp.example.org.')
    house.dns.add('example.org 60 NAPTR 3 1 "s" "SIP+D2U" "" .')
    house.dns.add('example.org 60 NAPTR 4 1 "a" "SIP+D2U" "" a.example.org.')
    house.dns.add('example.org 60 NAPTR 5 1 "s" "SIP+D2T" "" _sip._tcp.example.org.')
    house.dns.add("_sip._tcp.example.org 60 SRV 0 0 5060 b.example.org.")
    assert await house.resolve("sip:example.org") == [f"TCP {B}:5060"]


async def test_naptr_that_leads_nowhere_leaves_the_services_of_the_domain(house: House) -> None:
    house.dns.add('example.org 60 NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.nowhere.example.org.')
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    assert await house.resolve("sip:example.org") == [f"UDP {B}:5062"]


async def test_a_sips_uri_never_yields_a_plain_transport(house: House) -> None:
    house.dns.add('example.org 60 NAPTR 1 1 "s" "SIP+D2U" "" _sip._udp.example.org.')
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    house.dns.add("_sip._tcp.example.org 60 SRV 0 0 5062 b.example.org.")
    assert await house.resolve("sips:example.org") == [f"TLS {DOMAIN}:5061"]
    assert "_sip._udp.example.org SRV" not in house.dns.questions


# --- SRV ---


async def test_servers_are_tried_by_priority_with_every_address_of_each(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 20 0 5060 b.example.org.")
    house.dns.add("_sip._udp.example.org 60 SRV 10 0 5070 a.example.org.")
    house.hosts["a.example.org"] = [C, A]
    found = await house.resolve("sip:example.org;transport=udp")
    assert found == [f"UDP {C}:5070", f"UDP {A}:5070", f"UDP {B}:5060"]


@pytest.mark.parametrize("uri", ["sip:example.org;transport=udp", "sip:example.org"])
async def test_a_service_that_is_decidedly_not_there_is_not_sought_at_the_domain(house: House, uri: str) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 0 .")
    assert await house.resolve(uri) == []


async def test_a_service_refused_by_way_of_naptr_is_not_sought_at_the_domain(house: House) -> None:
    house.dns.add('example.org 60 NAPTR 1 1 "s" "SIP+D2U" "" _sip._udp.example.net.')
    house.dns.add("_sip._udp.example.net 60 SRV 0 0 0 .")
    assert await house.resolve("sip:example.org") == []


async def test_one_transport_may_be_refused_and_the_other_be_there(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 0 .")
    house.dns.add("_sip._tcp.example.org 60 SRV 0 0 5060 a.example.org.")
    assert await house.resolve("sip:example.org") == [f"TCP {A}:5060"]


async def test_a_server_without_address_and_one_without_port_are_passed_over(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 1 0 5060 gone.example.org.")
    house.dns.add("_sip._udp.example.org 60 SRV 2 0 0 a.example.org.")
    house.dns.add("_sip._udp.example.org 60 SRV 3 0 5060 b.example.org.")
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {B}:5060"]


async def test_a_record_that_names_an_address_is_understood(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 1 0 5060 192.0.2.77.")
    assert await house.resolve("sip:example.org;transport=udp") == ["UDP 192.0.2.77:5060"]


async def test_an_alias_of_a_service_is_followed(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 CNAME _sip._udp.example.net.")
    house.dns.add("_sip._udp.example.net 60 SRV 0 0 5062 b.example.org.")
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {B}:5062"]


def weighted(*weights: int, priority: int = 0) -> list[Server]:
    return [Server(priority=priority, weight=w, host=f"w{w}.example.org", port=5060) for w in weights]


def test_the_first_server_is_drawn_in_proportion_to_weight() -> None:
    chance = random.Random(3263).random
    drawn = Counter(in_order(weighted(0, 10, 30, 60), chance)[0].weight for _ in range(20000))
    assert {weight: round(count / 20000, 2) for weight, count in drawn.items()} == {0: 0.01, 10: 0.1, 30: 0.3, 60: 0.59}


def test_every_server_is_drawn_once_and_priorities_do_not_mix() -> None:
    chance = random.Random(2782).random
    orders = [in_order([*weighted(1, 2, 3, priority=2), *weighted(9, 8, priority=1)], chance) for _ in range(200)]
    assert {tuple(sorted(s.weight for s in order[:2])) for order in orders} == {(8, 9)}
    assert {tuple(sorted(s.weight for s in order[2:])) for order in orders} == {(1, 2, 3)}
    assert len({order[2:] for order in orders}) == 6


@pytest.mark.parametrize(("chance", "first"), [(0.0, 0), (0.005, 0), (0.01, 10), (0.999999, 90)])
def test_the_lot_decides_by_running_sums(chance: float, first: int) -> None:
    assert in_order(weighted(90, 0, 10), lambda: chance)[0].weight == first


async def test_the_draw_stands_as_long_as_the_records_do(house: House) -> None:
    for number in range(1, 9):
        house.hosts[f"s{number}.example.org"] = [f"192.0.2.{number}"]
        house.dns.add(f"_sip._udp.example.org 60 SRV 0 10 5060 s{number}.example.org.")
    first = await house.resolve("sip:example.org;transport=udp")
    house.now += 61
    assert await house.resolve("sip:example.org;transport=udp") == first
    assert len(house.dns.questions) == 2
    house.dns.add("_sip._udp.example.org 60 SRV 0 10 5060 c.example.org.")
    house.now += 61
    assert len(await house.resolve("sip:example.org;transport=udp")) == 9


# --- names of this network, families, odd hosts ---


@pytest.mark.parametrize("name", ["pbx", "localhost", "door.local", "door.local.", "me.localhost"])
async def test_a_name_of_this_network_is_no_question_to_the_world(house: House, name: str) -> None:
    house.hosts[name] = [A]
    hop = Hop(host=name)
    resolver = Resolver(reaches=lambda _: True, names=house.names)
    assert await resolver.resolve(hop) == (Target(transport="UDP", host=A, port=5060),)
    assert house.dns.questions == []


async def test_addresses_that_we_have_no_route_to_are_left_out(house: House) -> None:
    house.hosts["a.example.org"] = [C, A]
    house.unreachable = {C}
    assert await house.resolve("sip:a.example.org:5060") == [f"UDP {A}:5060"]
    assert await house.resolve(f"sip:[{C}]") == []


@pytest.mark.parametrize("host", ["127.1", "127.1.", "2130706433", "a.example.0x7f", "0X7F000001"])
async def test_a_number_is_not_taken_for_a_name(house: House, host: str) -> None:
    house.hosts[host] = [A]
    resolver = Resolver(reaches=lambda _: True, names=house.names)
    assert [await resolver.resolve(Hop(host=host, port=port)) for port in (5060, None)] == [(), ()]
    assert (house.looked_up, house.dns.questions) == ([], [])


@pytest.mark.parametrize("host", ["x" * 64 + ".example.org", "a..example.org", "", ".", "\udcff.example.org"])
async def test_a_name_that_can_be_none_has_no_address(host: str) -> None:
    assert await Resolver(reaches=lambda _: True).resolve(Hop(host=host, port=5060)) == ()
    assert await Resolver(reaches=lambda _: True).resolve(Hop(host=host, transport="UDP")) == ()


async def test_the_system_knows_this_machine() -> None:
    assert Target(transport="UDP", host="127.0.0.1", port=5060) in await Resolver().resolve(Hop(host="localhost"))
    assert (has_route("127.0.0.1"), has_route("255.255.255.255")) == (True, False)


# --- DNS that fails, lies or is slow ---


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR])
async def test_a_server_that_refuses_leaves_the_domain_itself_for_now(house: House, rcode: dns.rcode.Rcode) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    house.dns.rcode = rcode
    assert await house.resolve("sip:example.org") == [f"UDP {DOMAIN}:5060"]
    house.dns.rcode = dns.rcode.NOERROR
    assert await house.resolve("sip:example.org") == [f"UDP {B}:5062"]


async def test_a_silent_server_costs_a_time_out_a_question(hasty: House) -> None:
    hasty.dns.is_silent = True
    start = time.monotonic()
    assert await hasty.resolve("sip:example.org") == [f"UDP {DOMAIN}:5060"]
    assert 0.6 <= time.monotonic() - start < 2


async def test_a_router_that_drops_questions_for_services_is_not_asked_by_every_request(hasty: House) -> None:
    hasty.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    hasty.dns.dropped = {"SRV", "NAPTR"}
    for uri in ("sip:example.org", "sip:example.org;transport=udp"):
        assert await hasty.resolve(uri) == [f"UDP {DOMAIN}:5060"]
    hasty.dns.dropped.clear()
    start, asked = time.monotonic(), len(hasty.dns.questions)
    hasty.now += SILENCE_TTL - 1
    assert await hasty.resolve("sip:example.org") == [f"UDP {DOMAIN}:5060"]
    assert time.monotonic() - start < 0.3
    assert len(hasty.dns.questions) == asked
    hasty.now += 1
    assert await hasty.resolve("sip:example.org") == [f"UDP {B}:5062"]


async def test_without_any_answer_the_services_are_asked_for_again(hasty: House) -> None:
    hasty.dns.is_silent = True
    hasty.failure = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert await hasty.resolve("sip:example.org;transport=udp") == []
    hasty.dns.is_silent, hasty.failure = False, None
    hasty.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    assert await hasty.resolve("sip:example.org;transport=udp") == [f"UDP {B}:5062"]


def test_the_usual_longest_look_up_stays_within_the_bound() -> None:
    assert 2 * QUESTION_TIMEOUT + ADDRESS_TIMEOUT <= TIMEOUT


async def test_a_look_up_ends_whatever_happens(house: House) -> None:
    house.dns.is_silent = True
    assert await Resolver(names=house.names, timeout=0.1).resolve(Hop(host="example.org")) == ()


async def test_no_dns_at_all_leaves_the_domain_itself(house: House) -> None:
    def unconfigured() -> dns.asyncresolver.Resolver:
        raise dns.resolver.NoResolverConfiguration

    names = Names(dns_resolver=unconfigured, getaddrinfo=lambda _: [A])
    resolver = Resolver(reaches=lambda _: True, names=names)
    assert await resolver.resolve(Hop(host="example.org")) == (Target(transport="UDP", host=A, port=5060),)


async def test_a_lost_question_is_repeated(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    house.dns.is_silent = True
    asyncio.get_running_loop().call_later(0.1, setattr, house.dns, "is_silent", False)  # noqa: FBT003
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {B}:5062"]
    assert len(house.dns.questions) > 1


async def test_a_truncated_answer_is_asked_for_over_tcp(house: House) -> None:
    house.dns.truncates = True
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {B}:5062"]
    assert house.dns.questions == ["_sip._udp.example.org SRV"] * 2


def wrong_id(query: dns.message.Message) -> bytes:
    return answer(query, "_sip._udp.example.org.", "0 0 5060 evil.example.org.", id_=query.id ^ 1)


def wrong_question(query: dns.message.Message) -> bytes:
    other = dns.message.make_query("_sip._udp.example.com.", "SRV")
    return answer(other, "_sip._udp.example.com.", "0 0 5060 evil.example.org.", id_=query.id)


def answer(query: dns.message.Message, name: str, value: str, *, id_: int) -> bytes:
    response = dns.message.make_response(query)
    response.id = id_
    response.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", value))
    return response.to_wire()


@pytest.mark.parametrize(
    "forged", [wrong_id, wrong_question, lambda _: b"", lambda _: b"\xff" * 40, lambda query: query.to_wire()[:7]]
)
async def test_a_forged_answer_is_not_believed(house: House, forged: Callable[[dns.message.Message], bytes]) -> None:
    house.hosts["evil.example.org"] = ["192.0.2.66"]
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    house.dns.forge = lambda query: [forged(query)]
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {B}:5062"]


async def test_records_of_another_name_are_not_believed(house: House) -> None:
    house.dns.forge = lambda query: [answer(query, "_sip._udp.example.com.", "0 0 5060 b.example.org.", id_=query.id)]
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {DOMAIN}:5060"]


async def test_aliases_in_a_circle_end(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 CNAME _sip._udp.example.net.")
    house.dns.add("_sip._udp.example.net 60 CNAME _sip._udp.example.org.")
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {DOMAIN}:5060"]


async def test_records_and_targets_are_bounded(house: House) -> None:
    hosts = {f"s{number}.example.org": [f"192.0.2.{number}", f"2001:db8::{number}"] for number in range(1, 41)}
    house.hosts |= hosts
    for host in hosts:
        house.dns.add(f"_sip._udp.example.org 60 SRV 0 0 5060 {host}.")
    assert len(await house.resolve("sip:example.org;transport=udp")) == MAX_TARGETS
    assert len(set(house.looked_up)) == MAX_RECORDS


# --- what is kept ---


async def test_an_answer_is_kept_as_long_as_its_ttl(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    await house.resolve("sip:example.org;transport=udp")
    house.dns.records.clear()
    house.now += 59
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {B}:5062"]
    house.now += 1
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {DOMAIN}:5060"]
    assert len(house.dns.questions) == 2


async def test_that_there_is_none_is_kept_as_long_as_the_zone_says(house: House) -> None:
    await house.resolve("sip:example.org;transport=udp")
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    house.now += 59
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {DOMAIN}:5060"]
    house.now += 1
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {B}:5062"]


async def test_a_name_with_other_records_only_has_no_service(house: House) -> None:
    house.dns.add('_sip._udp.example.org 60 TXT "nothing here"')
    assert await house.resolve("sip:example.org;transport=udp") == [f"UDP {DOMAIN}:5060"]
    await house.resolve("sip:example.org;transport=udp")
    assert len(house.dns.questions) == 1


async def test_addresses_are_kept_for_the_requests_of_one_call(house: House) -> None:
    await house.resolve("sip:a.example.org:5060")
    house.now += ADDRESS_TTL - 1
    await house.resolve("sip:a.example.org:5060")
    assert house.looked_up == ["a.example.org"]
    house.now += 1
    await house.resolve("sip:a.example.org:5060")
    assert house.looked_up == ["a.example.org"] * 2


async def test_without_dns_the_last_known_answer_is_used_for_three_days(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    known = await house.resolve("sip:example.org;transport=udp")
    house.dns.rcode = dns.rcode.SERVFAIL
    house.failure = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    house.now += ADDRESS_TTL + STALE_FOR - 1
    assert await house.resolve("sip:example.org;transport=udp") == known
    house.now += RECHECK
    assert await house.resolve("sip:example.org;transport=udp") == []


async def test_during_an_outage_dns_is_asked_again_twice_a_minute(house: House) -> None:
    house.dns.add("_sip._udp.example.org 60 SRV 0 0 5062 b.example.org.")
    known = await house.resolve("sip:example.org;transport=udp")
    house.dns.rcode = dns.rcode.SERVFAIL
    house.now += 60
    for _ in range(3):
        assert await house.resolve("sip:example.org;transport=udp") == known
        house.now += RECHECK / 2
    assert len(house.dns.questions) == 3


async def test_a_name_that_is_gone_is_gone(house: House) -> None:
    await house.resolve("sip:a.example.org:5060")
    del house.hosts["a.example.org"]
    house.now += ADDRESS_TTL
    assert await house.resolve("sip:a.example.org:5060") == []


async def test_what_is_kept_is_bounded(house: House) -> None:
    for number in range(MAX_KEPT + 1):
        house.hosts[f"h{number}"] = [A]
        await house.names.addresses(f"h{number}")
    await house.names.addresses("h1")
    await house.names.addresses("h0")
    assert house.looked_up[MAX_KEPT + 1 :] == ["h0"]


# --- a system that hangs ---


async def test_a_system_that_hangs_is_not_waited_for_and_not_asked_without_end() -> None:
    release = threading.Event()
    hanging: list[threading.Thread] = []

    def hang(host: str) -> list[str]:
        hanging.append(threading.current_thread())
        release.wait()
        return [host]

    names = Names(getaddrinfo=hang, address_timeout=0.3)
    start = time.monotonic()
    answers = await asyncio.gather(*(names.addresses(f"h{number}") for number in range(MAX_THREADS + 1)))
    assert set(answers) == {()}
    assert 0.3 <= time.monotonic() - start < 2
    assert await names.addresses("one more") == ()
    assert len(hanging) == MAX_THREADS
    release.set()
    for thread in hanging:
        thread.join()
    await asyncio.sleep(0)
    assert await names.addresses("afterwards") == ("afterwards",)
