"""Who calls, told by the headers that phones, exchanges and door stations send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.sip.caller import (
    MAX_TEXT,
    MAX_VALUES,
    Caller,
    answer_after,
    asserted_identity,
    caller_of,
    diverted_from,
    number_of,
    readable,
)
from sip_bridge.sip.events import CallReceived
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.message import SIPMessage
from tests.scenario import OFFER, PBX, Party, RawPeer, Wire

FROM = NameAddr(uri="sip:620@pbx.example", display_name="Door")
ANONYMOUS = 'From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=1'


def invite(*headers: str) -> SIPMessage:
    """An INVITE from "Door" <sip:620@pbx.example>, unless the headers hold a From."""
    lines = [*headers, 'From: "Door" <sip:620@pbx.example>;tag=1']
    return SIPMessage(
        "\r\n".join(["INVITE sip:200@192.0.2.2 SIP/2.0", *lines, "", ""]).encode("utf-8", "surrogateescape")
    )


def called_by(*headers: str, trusted: bool = True) -> Caller:
    return caller_of(invite(*headers), trusted=trusted)


# --- as they come ---


@pytest.mark.parametrize(
    ("headers", "caller", "shown"),
    [
        pytest.param(
            ['From: "Haustür" <sip:**611@fritz.box>;tag=A1B2'],
            Caller(address=NameAddr(uri="sip:**611@fritz.box", display_name="Haustür")),
            ("Haustür", "**611", "**611"),
            id="FRITZ!Box, internal call of its door station",
        ),
        pytest.param(
            ["From: <sip:anonymous@fritz.box>;tag=A1B2"],
            Caller(address=NameAddr(uri="sip:anonymous@fritz.box"), anonymous=True),
            (None, "anonymous", None),
            id="FRITZ!Box, number withheld",
        ),
        pytest.param(
            [
                'From: "asterisk" <sip:asterisk@192.0.2.100>;tag=as5f',
                'P-Asserted-Identity: "Front Door" <sip:601@192.0.2.100>',
            ],
            Caller(address=NameAddr(uri="sip:601@192.0.2.100", display_name="Front Door"), asserted=True),
            ("Front Door", "601", "601"),
            id="Asterisk, send_pai",
        ),
        pytest.param(
            [
                'From: "Front Door" <sip:601@192.0.2.100>;tag=as5f',
                'Remote-Party-ID: "Front Door" <sip:601@192.0.2.100>;party=calling;privacy=off;screen=no',
            ],
            Caller(address=NameAddr(uri="sip:601@192.0.2.100", display_name="Front Door"), asserted=True),
            ("Front Door", "601", "601"),
            id="Asterisk, send_rpid",
        ),
        pytest.param(
            [
                ANONYMOUS,
                'P-Asserted-Identity: "Front Door" <sip:601@192.0.2.100>',
                "Privacy: id",
            ],
            Caller(address=NameAddr(uri="sip:anonymous@anonymous.invalid", display_name="Anonymous"), anonymous=True),
            ("Anonymous", "anonymous", None),
            id="Asterisk, presentation prohibited",
        ),
        pytest.param(
            [
                'From: "Hall" <sip:2001@192.0.2.10>;tag=1~2',
                'Remote-Party-ID: "Hall" <sip:2001@192.0.2.10>;party=calling;screen=yes;privacy=off',
                'P-Asserted-Identity: "Hall" <sip:2001@192.0.2.10>',
                "Call-Info: <urn:x-cisco-remotecc:callinfo>; security= NotAuthenticated; orientation= to; isVoip",
                "Diversion: <sip:2000@192.0.2.10>;reason=unconditional;privacy=off;screen=yes",
            ],
            Caller(
                address=NameAddr(uri="sip:2001@192.0.2.10", display_name="Hall"),
                asserted=True,
                diverted_from=NameAddr(uri="sip:2000@192.0.2.10"),
            ),
            ("Hall", "2001", "2001"),
            id="Cisco Unified CM, call forwarding",
        ),
        pytest.param(
            ['From: "GDS3710" <sip:192.0.2.50:5060;transport=udp>;tag=1'],
            Caller(address=NameAddr(uri="sip:192.0.2.50:5060;transport=udp", display_name="GDS3710")),
            ("GDS3710", None, None),
            id="Grandstream GDS, by address and without account",
        ),
        pytest.param(
            [
                'From: "2N IP Verso" <sip:2nipverso@192.0.2.51:5060>;tag=1',
                "P-Preferred-Identity: <sip:door@192.0.2.51>",
            ],
            Caller(address=NameAddr(uri="sip:2nipverso@192.0.2.51:5060", display_name="2N IP Verso")),
            ("2N IP Verso", "2nipverso", None),
            id="2N, peer to peer",
        ),
        pytest.param(
            ["From: DoorBird <sip:doorbird@192.0.2.52>;tag=1"],
            Caller(address=NameAddr(uri="sip:doorbird@192.0.2.52", display_name="DoorBird")),
            ("DoorBird", "doorbird", None),
            id="DoorBird, peer to peer",
        ),
        pytest.param(
            [
                'From: "Reception" <sip:201@pbx.example>;tag=1',
                "Alert-Info: <http://www.notused.com>;info=alert-autoanswer;delay=0",
            ],
            Caller(
                address=NameAddr(uri="sip:201@pbx.example", display_name="Reception"),
                alert=("http://www.notused.com", "alert-autoanswer"),
                answer_after=0,
            ),
            ("Reception", "201", "201"),
            id="Snom and Yealink, intercom",
        ),
        pytest.param(
            ['From: "Reception" <sip:201@pbx.example>;tag=1', "Alert-Info: Ring Answer"],
            Caller(
                address=NameAddr(uri="sip:201@pbx.example", display_name="Reception"),
                alert=("Ring Answer",),
                answer_after=0,
            ),
            ("Reception", "201", "201"),
            id="Polycom, ring and answer",
        ),
        pytest.param(
            [
                "From: <sip:+4930123456@trunk.example;user=phone>;tag=1",
                "P-Asserted-Identity: <sip:+4930123456@trunk.example;user=phone>, <tel:+4930123456>",
                "History-Info: <sip:+4930999@trunk.example;user=phone>;index=1",
                "History-Info: <sip:+4930888@trunk.example;user=phone;cause=302>;index=1.1;mp=1",
            ],
            Caller(
                address=NameAddr(uri="sip:+4930123456@trunk.example;user=phone"),
                asserted=True,
                diverted_from=NameAddr(uri="sip:+4930999@trunk.example;user=phone"),
            ),
            (None, "+4930123456", "+4930123456"),
            id="a provider's trunk, diverted by the network",
        ),
    ],
)
def test_callers_are_recognised(
    headers: list[str], caller: Caller, shown: tuple[str | None, str | None, str | None]
) -> None:
    called = called_by(*headers)
    assert called == caller
    assert (called.display_name, called.user, called.number) == shown


# --- identity ---


@pytest.mark.parametrize(
    "header", ['P-Asserted-Identity: "Boss" <sip:1@pbx.example>', 'Remote-Party-ID: "Boss" <sip:1@pbx.example>']
)
def test_a_stranger_s_assertion_counts_for_nothing(header: str) -> None:
    assert called_by(header, trusted=False) == Caller(address=FROM)
    assert called_by(header).address == NameAddr(uri="sip:1@pbx.example", display_name="Boss")


@pytest.mark.parametrize(
    "header",
    [
        "P-Asserted-Identity: 12345",
        'P-Asserted-Identity: "open <sip:1@pbx.example>',
        "P-Asserted-Identity: <>",
        "P-Asserted-Identity:",
        "P-Preferred-Identity: <sip:1@pbx.example>",
        "Remote-Party-ID: <sip:1@pbx.example>;party=called",
        "Remote-Party-ID: <sip:1@pbx.example>;id-type=user",
    ],
)
def test_an_assertion_of_no_use_is_passed_over(header: str) -> None:
    assert called_by(header) == Caller(address=FROM)


def test_the_first_assertion_that_can_be_read_counts() -> None:
    message = invite("P-Asserted-Identity: 12345, <tel:+49-30-1>", "Remote-Party-ID: <sip:2@pbx.example>")
    assert asserted_identity(message) == NameAddr(uri="tel:+49-30-1")


def test_an_asserted_number_takes_over_the_name_of_the_same_user() -> None:
    same = called_by("P-Asserted-Identity: <sip:620@trunk.example>")
    assert (same.address, same.asserted) == (NameAddr(uri="sip:620@trunk.example", display_name="Door"), True)
    other = called_by("P-Asserted-Identity: <sip:621@trunk.example>")
    assert other.address == NameAddr(uri="sip:621@trunk.example")


@pytest.mark.parametrize(
    ("headers", "anonymous"),
    [
        (["Privacy: id"], True),
        (["Privacy: header;user;critical"], True),
        (["privacy: Session , ID"], True),
        (["Privacy: none"], False),
        (["Privacy: history"], False),
        (["Remote-Party-ID: <sip:620@pbx.example>;privacy=full"], True),
        (["Remote-Party-ID: <sip:620@pbx.example>;privacy=off"], False),
        ([ANONYMOUS], True),
        (["From: <sip:c8oqz84zk7z@anonymous.invalid>;tag=1"], True),
        (["From: <sip:Anonymous@sip.example>;tag=1"], True),
        (["From: <sip:unavailable@unknown.invalid>;tag=1"], True),
        (["From: <sip:restricted@trunk.example>;tag=1"], True),
        ([ANONYMOUS, "P-Asserted-Identity: <sip:1@pbx.example>", "Privacy: none"], False),
    ],
)
def test_who_hides_is_anonymous(headers: list[str], anonymous: bool) -> None:
    assert called_by(*headers).anonymous == anonymous


def test_an_assertion_about_who_hides_is_not_used() -> None:
    caller = called_by("P-Asserted-Identity: <sip:1@pbx.example>", "Privacy: id")
    assert caller == Caller(address=FROM, anonymous=True)


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("tel:+49-30-(123).45;phone-context=example.com", "+493012345"),
        ("tel:7042;phone-context=example.com", "7042"),
        ("sip:+4930123@trunk.example;user=phone", "+4930123"),
        ("sip:+4930123;phone-context=+49@trunk.example;user=phone", "+4930123"),
        ("sips:**611@fritz.box", "**611"),
        ("sip:%2A21%23@pbx.example", "*21#"),
        ("sip:door@pbx.example", None),
        ("sip:1a@pbx.example", None),
        ("sip:pbx.example", None),
        ("sip:\u0661\u0662@pbx.example", None),
        ("http://pbx.example", None),
        ("tel:", None),
    ],
)
def test_a_number_is_told_from_a_name(uri: str, number: str | None) -> None:
    assert number_of(NameAddr(uri=uri)) == number


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Haustür 門", "Haustür 門"),
        ("Haust\udcfcr", "Haustür"),  # Latin-1, from a phone that never heard of UTF-8
        ("=?UTF-8?B?SGF1c3TDvHI=?=", "Haustür"),
        ("=?iso-8859-1?q?Haust=FCr?= 門", "Haustür 門"),
        ("=?UTF-8?B?x?=", "=?UTF-8?B?x?="),
        ("=?klingon?q?a?=", "=?klingon?q?a?="),
        ("=?a\0b?q?x?=", "=?ab?q?x?="),
        ("=?utf-8?q?=FF?=", "=?utf-8?q?=FF?="),
        ("=?half", "=?half"),
        ("\x1b[31mred\u202e\r\n", "[31mred"),
        (" \t ", ""),
        ("x" * 100_000, "x" * MAX_TEXT),
    ],
)
def test_a_name_is_shown_as_it_is_meant(text: str, meant: str) -> None:
    assert readable(text) == meant


def test_a_call_tells_whom_the_registrar_vouches_for(wire: Wire) -> None:
    carol, pbx = Party(wire, "192.0.2.3"), RawPeer(wire, PBX.host)
    carol.add_registered_line("620")
    carol.do(carol.endpoint.register, "620")
    pbx.request(
        carol, "INVITE", uri="sip:620@192.0.2.3", headers=["P-Asserted-Identity: <sip:1@pbx.example>"], content=OFFER
    )
    wire.run(0.1)
    (received,) = (event for event in carol.events if isinstance(event, CallReceived))
    assert received.caller == Caller(address=NameAddr(uri="sip:1@pbx.example"), asserted=True)


def test_nobody_vouches_for_who_calls_a_line_without_registrar(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", headers=["P-Asserted-Identity: <sip:1@pbx.example>"], content=OFFER)
    wire.run(0.1)
    (received,) = (event for event in bob.events if isinstance(event, CallReceived))
    assert received.caller == Caller(address=NameAddr(uri="sip:raw@192.0.2.66"))


# --- diversion ---


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        (["Diversion: <sip:300@pbx.example>;reason=no-answer"], "sip:300@pbx.example"),
        (
            ["Diversion: <sip:302@pbx.example>;reason=user-busy, <sip:301@pbx.example>", "Diversion: <tel:+4930300>"],
            "tel:+4930300",
        ),
        (["Diversion: nobody"], None),
        (["History-Info: <sip:300@pbx.example>;index=1"], None),
        (["History-Info: <sip:200@pbx.example>;index=1, <sip:200@192.0.2.2:5060>;index=1.1;rc=1"], None),
        (
            ["History-Info: <sip:300@p?Privacy=none>;index=1", "History-Info: <sip:200@p>;index=1.1;mp=1"],
            "sip:300@p",
        ),
        (
            ["History-Info: <sip:300@p>;index=1, <sip:200@p?Reason=SIP%3Bcause%3D486>;index=2"],
            "sip:300@p",
        ),
        ([], None),
    ],
)
def test_whom_the_caller_called_at_first(headers: list[str], first: str | None) -> None:
    found = diverted_from(invite(*headers))
    assert (found and found.uri) == first


# --- ringing and answering ---


@pytest.mark.parametrize(
    ("headers", "alert"),
    [
        (["Alert-Info: <http://192.0.2.1/Bellcore-dr2>"], ("http://192.0.2.1/Bellcore-dr2",)),
        (["Alert-Info: Bellcore-dr3"], ("Bellcore-dr3",)),
        (
            ["Alert-Info: <urn:alert:source:external>, <urn:alert:duration:short>"],
            ("urn:alert:source:external", "urn:alert:duration:short"),
        ),
        (["Alert-Info: info=Ring2"], ("Ring2",)),
        (['Alert-Info: "Door bell";info="Front, door"'], ("Door bell", "Front, door")),
        (["Alert-Info: http://192.0.2.1/ring?tone=1"], ("http://192.0.2.1/ring?tone=1",)),
        (["Alert-Info: <cid:internal@192.0.2.1>;avaya-cm-alert-type=internal"], ("cid:internal@192.0.2.1",)),
        (["Alert-Info: <http://x", "Alert-Info: ok"], ("ok",)),
        (['Alert-Info: a;info="open, b', "Alert-Info: ;;;"], ()),
        (
            ["Alert-Info: " + ",".join(f"ring{number}" for number in range(100))],
            tuple(f"ring{n}" for n in range(MAX_VALUES)),
        ),
    ],
)
def test_how_a_call_wants_to_ring(headers: list[str], alert: tuple[str, ...]) -> None:
    assert called_by(*headers).alert == alert


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Call-Info: <sip:192.0.2.1>;answer-after=0"], 0),
        (["Call-Info: <sip:192.0.2.1>; Answer-After = 5"], 5),
        (["Call-Info: answer-after=0"], 0),
        ([r"Call-Info: <sip:192.0.2.1>\;answer-after=0"], 0),
        (["Call-Info: <http://x>;purpose=icon, <sip:192.0.2.1>;answer-after=2"], 2),
        (["Call-Info: <sip:192.0.2.1>;answer-after=soon"], None),
        (["Call-Info: <sip:192.0.2.1>;answer-after=-1"], None),
        (["Call-Info: <sip:192.0.2.1>;answer-after=99999"], None),
        (["Call-Info: <sip:192.0.2.1>;answer-after=3601"], None),
        (["Call-Info: <http://x>;purpose=icon"], None),
        (["Alert-Info: Auto Answer"], 0),
        (["Alert-Info: AUTO_ANSWER"], 0),
        (["Alert-Info: Intercom"], 0),
        (["Alert-Info: info=alert-autoanswer"], 0),
        (["Alert-Info: <http://x>;info=alert-autoanswer;delay=3"], 3),
        (["Alert-Info: <http://x>;info=alert-internal"], None),
        (["Answer-Mode: Auto"], 0),
        (["Answer-Mode: auto;require"], 0),
        (["Priv-Answer-Mode: Auto"], 0),
        (["Answer-Mode: Manual", "Alert-Info: Auto Answer"], None),
        (["Answer-Mode: whatever"], None),
        ([], None),
    ],
)
def test_when_a_call_wants_to_be_answered(headers: list[str], seconds: int | None) -> None:
    assert answer_after(invite(*headers)) == seconds


HEADERS = (
    *("P-Asserted-Identity", "Remote-Party-ID", "Privacy", "Diversion", "History-Info"),
    *("Alert-Info", "Call-Info", "Answer-Mode"),
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(HEADERS),
            st.text(
                alphabet=st.sampled_from('<>"\\;,=?: ab1é\x00\udcff')
                | st.characters(exclude_characters="\r\n", codec="utf-8")
            ),
        ),
        max_size=8,
    )
)
def test_nothing_in_these_headers_fails_a_call(headers: list[tuple[str, str]]) -> None:
    caller = called_by(*(f"{name}: {value}" for name, value in headers))
    texts = [caller.display_name or "", caller.user or "", caller.number or "", *caller.alert]
    assert all(text.isprintable() and len(text) <= MAX_TEXT for text in texts)
