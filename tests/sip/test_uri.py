"""URIs (RFC 3261 §19.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.uri import SIPURI, scheme_of, user_of
from tests.sip.test_fields import hosts, ports

text = st.text(max_size=8)
words = st.text(min_size=1, max_size=8)
pairs = st.lists(st.tuples(words, st.one_of(st.none(), text)), max_size=3).map(tuple)
uris = st.one_of(
    st.builds(SIPURI, host=hosts, port=ports, params=pairs, headers=pairs),
    st.builds(
        SIPURI,
        scheme=st.sampled_from(["sip", "sips"]),
        user=words,
        password=st.one_of(st.none(), text),
        host=hosts,
        port=ports,
        params=pairs,
        headers=pairs,
    ),
)


@given(uris)
def test_a_uri_survives_formatting(uri: SIPURI) -> None:
    assert SIPURI.parse(uri.format()) == uri


@given(uris)
def test_a_formatted_uri_can_stand_in_a_message(uri: SIPURI) -> None:
    assert set(uri.format()).isdisjoint(set(' \t\r\n\0<>"'))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:alice@atlanta.com", SIPURI(user="alice", host="atlanta.com")),
        (
            "sip:alice:secretword@atlanta.com;transport=tcp",
            SIPURI(user="alice", password="secretword", host="atlanta.com", params=(("transport", "tcp"),)),
        ),
        (
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            SIPURI(
                scheme="sips",
                user="alice",
                host="atlanta.com",
                headers=(("subject", "project x"), ("priority", "urgent")),
            ),
        ),
        ("sip:+1-212-555-1212:1234@gateway.com;user=phone", None),
        ("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com", None),
        ("sip:alice;day=tuesday@atlanta.com", SIPURI(user="alice;day=tuesday", host="atlanta.com")),
        ("SIP:%61lice@ATLANTA.com:5070", SIPURI(user="alice", host="atlanta.com", port=5070)),
        ("sip:[2001:db8::10]:5070", SIPURI(host="2001:db8::10", port=5070)),
        ("sip:a@[::FFFF:192.0.2.2]", SIPURI(user="a", host="::ffff:192.0.2.2")),
        ("sip:a@[2001:db8::10:5070]", SIPURI(user="a", host="2001:db8::10:5070")),
        ("sip:a@[2001:db8:::192.0.2.1]", SIPURI(user="a", host="2001:db8::192.0.2.1")),
        ("sip:a@[2001:db8::192.0.2.1]", SIPURI(user="a", host="2001:db8::192.0.2.1")),
        ("sip:pbx-1.example.com:5070", SIPURI(host="pbx-1.example.com", port=5070)),
        ("sip:front-door@h.", SIPURI(user="front-door", host="h.")),
        (
            "sip:user;par=u%40example.net@example.com",
            SIPURI(user="user;par=u@example.net", host="example.com"),
        ),
        ("sip:null-%00-null@example.com", SIPURI(user="null-\0-null", host="example.com")),
    ],
)
def test_the_examples_of_the_rfcs(text: str, expected: SIPURI | None) -> None:
    others = {
        "sip:+1-212-555-1212:1234@gateway.com;user=phone": SIPURI(
            user="+1-212-555-1212", password="1234", host="gateway.com", params=(("user", "phone"),)
        ),
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com": SIPURI(
            host="atlanta.com", params=(("method", "REGISTER"),), headers=(("to", "alice@atlanta.com"),)
        ),
    }
    assert SIPURI.parse(text) == (expected or others[text])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        ":a@b",
        "sip:@h",
        "sip::p@h",
        "sip:a@",
        "sip:a@h:",
        "sip:a@h:port",
        "sip:a@h:65536",
        "sip:a@h:١",
        "sip:a@[::1",
        "sip:a@[::1]5060",
        "sip:a@[::1]:",
        "sip:a@[]",
        "sip:a@[1:2]",
        "sip:a@[fe80::1%eth0]",
        "sip:a@[2001:db8:::10]",
        "sip:a@[2001:db8::::192.0.2.1]",
        "sip:a@[192.0.2.1]",
        f"sip:a@[{':' * 50}]",
        "sip:a@h h",
        "sip:2001:db8::10",
        "sip:a@-h",
        "1sip:a@h",
    ],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        SIPURI.parse(text)
    assert refusal.value.status == 400


@pytest.mark.parametrize("text", ["tel:+1", "http://x", "soap.beep://192.0.2.103:3002", "nobodyKnowsThisScheme:x"])
def test_another_scheme_is_refused_with_416(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        SIPURI.parse(text)
    assert refusal.value.status == 416


def test_a_parameter_is_found_in_any_case() -> None:
    uri = SIPURI.parse("sip:h;LR;Transport=Tcp")
    assert (uri.param("lr"), uri.param("maddr"), uri.transport) == ("", None, "TCP")
    assert (SIPURI.parse("sips:h").transport, SIPURI.parse("sip:h").transport) == ("TLS", None)


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:a@h", "a"),
        ("TEL:+1;x=y", "+1"),
        ("tel:+49-30-(12).34", "+49301234"),
        ("tel:", None),
        ("sip:h", None),
        ("mailto:a@h", None),
    ],
)
def test_who_a_uri_names(uri: str, user: str | None) -> None:
    assert user_of(uri) == user


def test_the_scheme_of_any_uri() -> None:
    assert (scheme_of("SOAP.beep://x"), scheme_of("tel:1")) == ("soap.beep", "tel")
    with pytest.raises(RemoteProtocolError):
        scheme_of("no scheme")


EQUIVALENT = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:b%40h",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:b%40h",
    ),
    ("sip:a@h?subject=project%20x&priority=urgent", "sip:a@h?Priority=urgent&Subject=project%20x"),
    ("sip:a@[2001:db8::10]:5060", "sip:a@[2001:DB8:0::0010]:5060"),
    ("sip:a@h;lr", "sip:a@h;LR"),
]
DIFFERENT = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    ("sip:a@h", "sips:a@h"),
    ("sip:a@h", "sip:h"),
    ("sip:a@h", "sip:a:p@h"),
    ("sip:a@h", "sip:a@h;user=phone"),
    ("sip:a@[2001:db8::10]", "sip:a@[2001:db8::11]"),
]


@pytest.mark.parametrize(
    ("one", "other", "same"), [*((*pair, True) for pair in EQUIVALENT), *((*pair, False) for pair in DIFFERENT)]
)
def test_uris_are_compared_as_rfc_3261_says(one: str, other: str, same: bool) -> None:
    assert (SIPURI.parse(one).matches(SIPURI.parse(other)), SIPURI.parse(other).matches(SIPURI.parse(one))) == (
        same,
        same,
    )


@given(uris)
def test_a_uri_matches_itself(uri: SIPURI) -> None:
    assert uri.matches(uri)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ],
)
def test_the_equal_uris_of_rfc_3261_section_19_1_4_are_equivalent(one: str, other: str) -> None:
    assert SIPURI.parse(one).is_equivalent(SIPURI.parse(other))
    assert SIPURI.parse(other).is_equivalent(SIPURI.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=off", "sip:carol@chicago.com;security=on"),
    ],
)
def test_the_unequal_uris_of_rfc_3261_section_19_1_4_are_not(one: str, other: str) -> None:
    assert not SIPURI.parse(one).is_equivalent(SIPURI.parse(other))
    assert not SIPURI.parse(other).is_equivalent(SIPURI.parse(one))
