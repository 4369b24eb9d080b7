"""Header values: ``parse`` and ``format`` are inverse, and what real devices write reads right."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import LocalProtocolError, RemoteProtocolError
from sip_bridge.sip.fields import (
    CSeq,
    NameAddr,
    Via,
    check_value,
    find_outside_quotes,
    format_params,
    is_token,
    parse_params,
    quoted,
    split_outside,
    unquoted,
)
from sip_bridge.sip.routing_keys import RoutingKeys

TOKEN = "ABCXYZabcxyz0189-.!%*_+`'~"
tokens = st.text(TOKEN, min_size=1, max_size=8)
anything = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12)
hosts = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?(\.[a-z][a-z0-9]{0,3})?", fullmatch=True),
    st.ip_addresses().map(str),
)
ports = st.one_of(st.none(), st.integers(0, 65535))
params = st.lists(st.tuples(tokens, st.one_of(st.none(), anything)), max_size=4).map(tuple)
uris = st.builds("sip:{}@{}".format, tokens, tokens)
name_addrs = st.builds(NameAddr, uri=uris, display_name=st.one_of(st.none(), anything), params=params)
vias = st.builds(Via, transport=tokens.map(str.upper), host=hosts, port=ports, params=params)
cseqs = st.builds(CSeq, number=st.integers(0, 2**31 - 1), method=tokens)


@given(name_addrs)
def test_an_address_survives_formatting(value: NameAddr) -> None:
    assert NameAddr.parse(value.format()) == value


@given(vias)
def test_a_via_survives_formatting(value: Via) -> None:
    assert Via.parse(value.format()) == value


@given(cseqs)
def test_a_cseq_survives_formatting(value: CSeq) -> None:
    assert CSeq.parse(value.format()) == value


@given(params)
def test_parameters_survive_formatting(value: tuple[tuple[str, str | None], ...]) -> None:
    assert parse_params(format_params(value)) == value


@given(anything)
def test_a_quoted_string_survives_quoting(text: str) -> None:
    assert unquoted(quoted(text)) == text


@given(st.lists(name_addrs, min_size=1, max_size=4))
def test_a_list_of_addresses_splits_into_its_elements(values: list[NameAddr]) -> None:
    line = ", ".join(value.format() for value in values)
    assert [NameAddr.parse(item) for item in split_outside(line, ",")] == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '"Asik K"<sip:603@192.0.2.1>;tag=1',
            NameAddr(uri="sip:603@192.0.2.1", display_name="Asik K", params=(("tag", "1"),)),
        ),
        ("<sip:hans-1@h>", NameAddr(uri="sip:hans-1@h")),
        ("sip:john.doe@h;tag=x", NameAddr(uri="sip:john.doe@h", params=(("tag", "x"),))),
        ("sip:**1@h ; tag = x", NameAddr(uri="sip:**1@h", params=(("tag", "x"),))),
        ("<sip:%2331@h>", NameAddr(uri="sip:%2331@h")),
        ("<sip:a@[2001:db8::1]:5070>", NameAddr(uri="sip:a@[2001:db8::1]:5070")),
        ('"O\'Neil, J. (Home)" <sip:a@h>', NameAddr(uri="sip:a@h", display_name="O'Neil, J. (Home)")),
        ("O'Neil <sip:a@h>", NameAddr(uri="sip:a@h", display_name="O'Neil")),
        ("J. Müller (Home) <sip:a@h>", NameAddr(uri="sip:a@h", display_name="J. Müller (Home)")),
        ('"" <sip:a@h>', NameAddr(uri="sip:a@h", display_name="")),
        ('"a \\"b\\" \\\\ <c>" <sip:a@h>', NameAddr(uri="sip:a@h", display_name='a "b" \\ <c>')),
        ("<sip:a@h;user=phone>;x=1;tag=99;y=2", None),
        ("<tel:+15551234>;tag=1", NameAddr(uri="tel:+15551234", params=(("tag", "1"),))),
        ("caller<sip:caller@h>;tag=323", NameAddr(uri="sip:caller@h", display_name="caller", params=(("tag", "323"),))),
        ("isbn:2983792873", NameAddr(uri="isbn:2983792873")),
        ('<sip:a@h> ;flag ; v="x;y"', NameAddr(uri="sip:a@h", params=(("flag", None), ("v", "x;y")))),
    ],
)
def test_what_devices_write_as_an_address_reads_right(text: str, expected: NameAddr | None) -> None:
    full = NameAddr(uri="sip:a@h;user=phone", params=(("x", "1"), ("tag", "99"), ("y", "2")))
    assert NameAddr.parse(text) == (expected or full)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "<sip:a@h",
        "sip:a@h>",
        '"Mr. J. User <sip:j.user@example.com>',
        "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
        "Bell; x <sip:a@h>",
        '"Watson, Thomas" < sip:t.watson@example.org >',
        "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        "sip:a,b@h",
        "<sip:a@h> nonsense",
        "<sip:a@h>;;",
        "<sip:a@h>;bad name=1",
        "<sip:a@h>;=1",
        "<sip:a\x00@h>",
        "<sip:a\r@h>",
        '<sip:a@h>;v="open',
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        NameAddr.parse(text)


def test_a_tag_is_found_among_other_parameters_in_any_case() -> None:
    address = NameAddr.parse("<sip:a@h>;X=1;TAG=99;y")
    assert (address.tag, address.param("x"), address.param("y"), address.param("z")) == ("99", "1", "", None)


def test_with_tag_replaces_the_tag() -> None:
    assert NameAddr.parse("<sip:a@h>;Tag=1;x").with_tag("2").format() == "<sip:a@h>;x;tag=2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "SIP/2.0/UDP [2001:db8::9:1]:5070 ;branch=a",
            Via(transport="UDP", host="2001:db8::9:1", port=5070, params=(("branch", "a"),)),
        ),
        ("SIP  / 2.0  / TCP     spindle.example.com   ;branch = a", None),
        ("sip/2.0/udp H.example.COM:5060", Via(transport="UDP", host="h.example.com", port=5060)),
        ("SIP/2.0/UNKNOWN h", Via(transport="UNKNOWN", host="h")),
        ("SIP/2.0/UDP h : 5060", Via(transport="UDP", host="h", port=5060)),
        ("SIP/2.0/UDP h;rport;branch=", Via(transport="UDP", host="h", params=(("rport", None), ("branch", "")))),
        (
            "SIP/2.0/UDP h;received=[2001:db8::1]",
            Via(transport="UDP", host="h", params=(("received", "[2001:db8::1]"),)),
        ),
        ("SIP/2.0/UDP h;received=2001:db8::1", Via(transport="UDP", host="h", params=(("received", "2001:db8::1"),))),
    ],
)
def test_what_devices_write_as_a_via_reads_right(text: str, expected: Via | None) -> None:
    spindle = Via(transport="TCP", host="spindle.example.com", params=(("branch", "a"),))
    assert Via.parse(text) == (expected or spindle)


@pytest.mark.parametrize(
    ("params", "received", "rport"),
    [
        (";received=192.0.2.1;rport=52345", "192.0.2.1", 52345),
        (";received=[2001:db8::1];RPORT=5060", "2001:db8::1", 5060),
        (";received=2001:db8::1;rport", "2001:db8::1", None),
        (";rport=x", None, None),
        (";received=;rport=123456", None, None),
    ],
)
def test_what_the_next_hop_saw_of_us_is_read(params: str, received: str | None, rport: int | None) -> None:
    via = Via.parse(f"SIP/2.0/UDP h{params}")
    assert (via.received, via.rport) == (received, rport)


# RFC 3261 §20.42, and what is unusual in one place only: what is read in one step reads the same by the scanners.
@pytest.mark.parametrize(
    ("text", "branch", "sent_by"),
    [
        ("SIP/2.0/UDP h.example:5061;rport;branch=z9hG4bK1;x=y", "z9hG4bK1", ("h.example", 5061)),
        (
            "SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bK2",
            "z9hG4bK2",
            ("first.example.com", 4000),
        ),
        ("SIP/2.0/TLS H;Branch=one;branch=two", "one", ("h", 5061)),
        ("SIP/2.0/UDP h;branch=one;branch=two", "one", ("h", 5060)),
        ("SIP/2.0/UDP h;x=branch=one", None, ("h", 5060)),
        ("SIP/2.0/UDP h;branchy=one", None, ("h", 5060)),
        ("SIP/2.0/UDP h:0;branch=one", "one", ("h", 5060)),
        ("SIP/2.0/UDP h:65535;branch=one, SIP/2.0/UDP h2;branch=two", "one", ("h", 65535)),
        ("SIP/2.0/UDP [2001:DB8::1]:5070;branch=one", "one", ("2001:db8::1", 5070)),
        ('SIP/2.0/UDP h;x="a;branch=no";branch="one"', "one", ("h", 5060)),
        ("SIP/2.0/UDP h", None, ("h", 5060)),
    ],
)
def test_the_keys_of_a_transaction_are_those_of_its_top_via(
    text: str, branch: str | None, sent_by: tuple[str, int]
) -> None:
    keys = RoutingKeys.read(text, "<sip:a@h>;tag=1", "<sip:b@h>", "c1", "1 INVITE")
    via = Via.parse(split_outside(text, ",")[0])
    assert keys == RoutingKeys("c1", "1", None, 1, "INVITE", branch, sent_by)
    assert (via.branch, via.sent_by) == (branch, sent_by)


@given(vias, name_addrs, name_addrs, cseqs)
def test_the_routing_keys_are_those_of_the_typed_values(via: Via, from_: NameAddr, to: NameAddr, cseq: CSeq) -> None:
    from_ = from_.with_tag("f1") if from_.tag is not None else from_
    to = to.with_tag("t1") if to.tag is not None else to
    keys = RoutingKeys.read(via.format(), from_.format(), to.format(), "c1", cseq.format())
    assert keys == ("c1", from_.tag, to.tag, cseq.number, cseq.method, via.branch, via.sent_by)


PIECES = st.sampled_from(
    [
        *('"', "\\", "<", ">", "sip:a@h", "<sip:a@h>", ";tag=1", ";Tag=2", ";tag=", ";x=y", ";branch=z", ";Branch=q"),
        *(";rport", "SIP/2.0/UDP ", "h", "[::1]", ":5060", ":99999", '"n" ', "n ", "-h", "é", ",", ";", "=", " ", "\t"),
        *("\x01", "%41"),
    ]
)


def read(parse: Callable[[str], object], text: str) -> object:
    try:
        return parse(text)
    except RemoteProtocolError:
        return "refused"


@given(st.lists(PIECES, max_size=3).map("".join), st.sampled_from(["", "SIP/2.0/UDP h", '"n" <sip:a@h>', "<sip:a@h>"]))
def test_what_is_read_in_one_step_reads_the_same_step_by_step(text: str, start: str) -> None:
    usual, unusual = start + text, f"{start}{text} "  # white space at the end is never read in one step
    assert read(NameAddr.parse, usual) == read(NameAddr.parse, unusual)
    assert read(Via.parse, usual) == read(Via.parse, unusual)
    keys_by_via = partial(RoutingKeys.read, usual, "<sip:a@h>;tag=1", "<sip:b@h>", "c1")
    assert read(keys_by_via, "1 INVITE") == read(keys_by_via, "1 INVITE ")
    keys_by_address = partial(RoutingKeys.read, "SIP/2.0/UDP h", usual, "<sip:b@h>", "c1")
    assert read(keys_by_address, "1 INVITE") == read(keys_by_address, "1 INVITE ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 h",
        "HTTP/2.0/UDP h",
        "SIP/3.0/UDP h",
        "SIP/2.0/UDP h h2",
        "SIP/2.0/U(P h",
        "SIP/2.0/UDP h:port",
        "SIP/2.0/UDP h:",
        "SIP/2.0/UDP h:99999",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP [xyz]",
        "SIP/2.0/UDP 192.0.2.15;;,;,,",
    ],
)
def test_what_is_no_via_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Via.parse(text)


@pytest.mark.parametrize(
    ("via", "sent_by"), [("SIP/2.0/UDP h", ("h", 5060)), ("SIP/2.0/TLS h", ("h", 5061)), ("SIP/2.0/TLS h:1", ("h", 1))]
)
def test_sent_by_has_the_default_port_of_its_transport(via: str, sent_by: tuple[str, int]) -> None:
    assert Via.parse(via).sent_by == sent_by


@pytest.mark.parametrize(
    ("text", "number"), [("0009 INVITE", 9), ("9\tINVITE", 9), (" 2147483647   INVITE ", 2**31 - 1)]
)
def test_a_cseq_with_odd_space_reads_right(text: str, number: int) -> None:
    assert CSeq.parse(text) == CSeq(number=number, method="INVITE")


@pytest.mark.parametrize(
    "text",
    ["", "1", "INVITE", "-1 INVITE", "1 IN(VITE", "1 A B", "2147483648 INVITE", "36893488147419103232 A", "٣ INVITE"],
)
def test_what_is_no_cseq_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        CSeq.parse(text)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\0b"])
def test_a_value_that_would_forge_a_header_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="X may not contain CR, LF or NUL"):
        check_value(text, "X")


def test_a_search_skips_what_is_quoted() -> None:
    assert find_outside_quotes('"a<b\\"<" <c', "<") == 9
    assert find_outside_quotes('"a<b"', "<") == -1


def test_tokens() -> None:
    assert (is_token("a-.!%*_+`'~"), is_token(""), is_token("a b"), is_token("ä")) == (True, False, False, False)
