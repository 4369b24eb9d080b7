"""Who is heard, and whom a request is for."""

from ipaddress import ip_network

import pytest

from sip_bridge.sip import calls as calls_module
from sip_bridge.sip.capabilities import ALLOW
from sip_bridge.sip.events import CallEnded, CallReceived
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.line import DirectLine
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, PBX, Party, RawPeer, Wire

EVERYBODY = (ip_network("0.0.0.0/0"),)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "BYE", "FOO"])
def test_a_stranger_gets_silence_and_is_counted(wire: Wire, raw: RawPeer, method: str) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_direct_line("door", allow="198.51.100.0/24")
    raw.request(carol, method)
    raw.request(carol, method, to_tag="x")
    raw.request(carol, method, cseq_method="BAR")
    wire.run(40)
    assert raw.received == []
    assert list(carol.events) == []
    assert carol.endpoint.counters == {"strangers": 2, "malformed": 1}
    assert carol.endpoint.transactions == 0


def test_an_endpoint_without_lines_is_silent(wire: Wire, raw: RawPeer) -> None:
    carol = Party(wire, "192.0.2.3")
    raw.request(carol, "OPTIONS")
    wire.run(1)
    assert (raw.received, carol.endpoint.counters) == ([], {"strangers": 1})


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        ("sip:door@192.0.2.2", "door"),
        ("sip:d%6For@192.0.2.2", "door"),
        ("sip:bell@192.0.2.2", "door"),
        ("sip:garage@192.0.2.2", "garage"),
        ("sip:192.0.2.2", "door"),
        ("sip:192.0.2.2:5060;transport=udp", "door"),
        ("sips:door@192.0.2.2", "door"),
        ("tel:100", "garage"),
        ("tel:1-0-0;phone-context=example.com", "garage"),
    ],
)
def test_a_direct_line_takes_its_name_an_alias_or_no_user_part(
    wire: Wire, raw: RawPeer, bob: Party, uri: str, line: str
) -> None:
    door = DirectLine(id="door", user="door", display_name="", aliases=("bell",), allow_from=EVERYBODY)
    garage = DirectLine(id="garage", user="garage", display_name="", aliases=("100",), allow_from=EVERYBODY)
    bob.endpoint.add_line(door)
    bob.endpoint.add_line(garage)
    raw.request(bob, "INVITE", uri=uri, content=OFFER)
    wire.run(0.1)
    assert [event.line for event in bob.events if isinstance(event, CallReceived)] == [line]


@pytest.mark.parametrize("uri", ["sip:nobody@192.0.2.2", "sip:Door@192.0.2.2", "tel:+15551234"])
def test_an_unknown_user_gets_404(wire: Wire, raw: RawPeer, bob: Party, uri: str) -> None:
    raw.request(bob, "INVITE", uri=uri, content=OFFER)
    raw.request(bob, "OPTIONS", uri=uri)
    wire.run(0.1)
    assert raw.words == ["404", "404"]
    assert list(bob.events) == []


def test_options_outside_a_call_says_what_we_can(wire: Wire, raw: RawPeer, bob: Party) -> None:
    raw.request(bob, "OPTIONS")
    wire.run(0.1)
    answer = raw.last("200")
    assert answer.get("allow") == ALLOW
    assert answer.get("allow-events") == "dialog, message-summary, refer"
    assert answer.get("accept") == "application/sdp, text/plain"
    assert (answer.get("accept-encoding"), answer.get("accept-language")) == ("identity", "en")
    assert answer.to.tag is not None


@pytest.mark.parametrize(
    ("method", "status"),
    [
        *((method, 481) for method in ("BYE", "INFO", "UPDATE", "PRACK", "NOTIFY")),
        *((method, 405) for method in ("REGISTER", "PUBLISH")),
        ("REFER", 403),  # nobody may have us call without a call
        *((method, 501) for method in ("FOO", "invite")),
    ],
)
def test_other_methods_outside_a_call_are_refused(
    wire: Wire, raw: RawPeer, bob: Party, method: str, status: int
) -> None:
    raw.request(bob, method)
    wire.run(0.1)
    assert raw.words == [str(status)]
    assert ("BYE" in (raw.received[0].get("allow") or "")) == (status in (405, 501))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Require: foo"], 420),
        (["Accept: text/plain"], 406),
        (["Accept: text/plain, application/SDP;level=1"], None),
        (["Accept: */*"], None),
        (["Supported: 100rel, timer"], None),
    ],
)
def test_what_an_invite_asks_for_is_looked_at(
    wire: Wire, raw: RawPeer, bob: Party, headers: list[str], status: int | None
) -> None:
    raw.request(bob, "INVITE", headers=headers, content=OFFER)
    wire.run(0.1)
    assert raw.words == ([str(status)] if status else [])


def test_an_invite_without_legible_contact_gets_400(wire: Wire, raw: RawPeer, bob: Party) -> None:
    for number, contact in enumerate(["*", "<mailto:a@example.com>", "<sip:>", '"x <sip:a@b>']):
        raw.request(bob, "INVITE", call_id=f"c{number}", contact=contact, content=OFFER)
    raw.request(bob, "INVITE", call_id="route", headers=["Record-Route: <nonsense>"], content=OFFER)
    wire.run(0.1)
    assert raw.words == ["400"] * 5
    assert (list(bob.events), bob.endpoint.calls) == ([], 0)


def test_a_registered_line_is_only_rung_by_its_registrar(wire: Wire, raw: RawPeer) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    registrar = RawPeer(wire, PBX.host)
    registrar.request(carol, "INVITE", uri="sip:620@192.0.2.3", content=OFFER)
    wire.run(0.1)
    assert (carol.endpoint.counters, registrar.words) == ({"strangers": 1}, [])
    carol.do(carol.endpoint.register, "620")
    registrar.request(carol, "INVITE", uri="sip:620@192.0.2.3", content=OFFER)
    raw.request(carol, "INVITE", uri="sip:620@192.0.2.3", content=OFFER)
    wire.run(0.1)
    assert [event.line for event in carol.events if isinstance(event, CallReceived)] == ["620"]
    assert raw.received == []


def test_a_trunk_rings_its_one_line_by_any_number(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    carol.do(carol.endpoint.register, "620")
    registrar = RawPeer(wire, PBX.host)
    registrar.request(carol, "INVITE", uri="sip:+4930123@192.0.2.3", content=OFFER)
    registrar.request(carol, "INVITE", uri="sip:192.0.2.3", call_id="no-user", content=OFFER)
    wire.run(0.1)
    assert [event.line for event in carol.events if isinstance(event, CallReceived)] == ["620"]
    assert registrar.words[-1] == "404"


def test_with_two_lines_at_a_registrar_the_number_says_which(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    registrar = RawPeer(wire, PBX.host)
    for line in ("620", "621"):
        carol.add_registered_line(line)
        carol.do(carol.endpoint.register, line)
    registrar.request(carol, "INVITE", uri="sip:621@192.0.2.3", content=OFFER)
    registrar.request(carol, "INVITE", uri="sip:622@192.0.2.3", call_id="other", content=OFFER)
    wire.run(0.1)
    assert [event.line for event in carol.events if isinstance(event, CallReceived)] == ["621"]
    assert registrar.words[-1] == "404"


def test_ipv6_and_mapped_sources_are_matched_with_their_networks(wire: Wire) -> None:
    carol = Party(wire, "2001:db8::3")
    carol.add_direct_line("door", allow="192.0.2.0/24")
    carol.add_direct_line("gate", allow="2001:db8::/32")
    for host in ("::ffff:192.0.2.9", "2001:db8::9", "fe80::1%eth0", "198.51.100.1"):
        flow = Flow(transport="UDP", local=("2001:db8::3", 5060), remote=(host, 5060))
        data = (
            f"OPTIONS sip:[2001:db8::3] SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::9];branch=z9hG4bK{host[:5]}\r\n"
            f"From: <sip:a@b>;tag=1\r\nTo: <sip:c>\r\nCall-ID: {host}\r\nCSeq: 1 OPTIONS\r\n\r\n"
        )
        carol.endpoint.receive(data.encode(), flow, wire.now)
    carol.drain()
    assert wire.words == ["200", "200"]
    assert carol.endpoint.counters == {"strangers": 2}


def test_too_many_unanswered_calls_of_one_host_get_480(wire: Wire, raw: RawPeer, bob: Party) -> None:
    for number in range(20):
        raw.request(bob, "INVITE", call_id=f"c{number}", content=OFFER)
    other = RawPeer(wire, "192.0.2.67")
    other.request(bob, "INVITE", call_id="other", content=OFFER)
    wire.run(0.1)
    assert raw.words == ["480"] * 4
    assert raw.last("480").get("retry-after") == "10"
    assert (bob.endpoint.calls, bob.endpoint.counters) == (17, {"crowded": 4})


def test_answered_calls_do_not_count_as_unanswered(wire: Wire, raw: RawPeer, bob: Party) -> None:
    for number in range(20):
        raw.request(bob, "INVITE", call_id=f"c{number}", content=OFFER)
        wire.run(0.1)
        bob.do(bob.endpoint.answer, f"c{number}", ANSWER)
        wire.run(0.1)
        raw.request(bob, "ACK", call_id=f"c{number}", to_tag=raw.last("200").to.tag)
        wire.run(0.1)
    assert (bob.endpoint.calls, raw.words) == (20, ["200"] * 20)


def test_an_endpoint_has_only_so_many_calls(
    wire: Wire, raw: RawPeer, bob: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "MAX_CALLS", 3)
    for number in range(5):
        raw.request(bob, "INVITE", call_id=f"c{number}", content=OFFER)
    wire.run(0.1)
    assert (bob.endpoint.calls, raw.words) == (3, ["480", "480"])
    bob.do(bob.endpoint.reject, "c0", SIPStatus.BUSY_HERE)
    assert len(bob.told(CallEnded)) == 1
    raw.request(bob, "INVITE", call_id="c9", content=OFFER)
    wire.run(0.1)
    assert bob.endpoint.calls == 3


@pytest.mark.parametrize("uri", ["sip:%00@192.0.2.2", "sip:do%0D%0Aor@192.0.2.2", "sip:%FF@192.0.2.2"])
def test_control_characters_in_the_user_part_get_400(wire: Wire, raw: RawPeer, bob: Party, uri: str) -> None:
    raw.request(bob, "INVITE", uri=uri, content=OFFER)
    wire.run(0.1)
    assert raw.words == ["400"]


def test_the_endpoint_says_who_may_ask_for_something(wire: Wire) -> None:
    alice = Party(wire, "192.0.2.1")
    alice.add_direct_line("alice", allow="192.0.2.0/24")
    known = [alice.endpoint.knows(alice.flow_to((host, 5060))) for host in ("192.0.2.9", "198.51.100.9")]
    assert known == [True, False]
