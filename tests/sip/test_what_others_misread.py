"""Messages of real devices at which SIP parsers have been seen to fail: each reads right here."""

from collections.abc import Callable

import pytest

from sip_bridge.media.sdp import SessionDescription
from sip_bridge.sip.auth import Authenticator, CredentialsManager
from sip_bridge.sip.fields import NameAddr, Via
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI
from tests.scenario import OFFER, Party, Wire
from tests.sip.test_message import request

FROM = {
    "no space before <": ('"Asik K"<sip:603@h>;tag=1', "603", "h", None, "Asik K"),
    "a hyphen in the user": ("<sip:hans-1@h>;tag=1", "hans-1", "h", None, None),
    "a dot in the user": ("<sip:john.doe@h>;tag=1", "john.doe", "h", None, None),
    "stars in the user": ("<sip:**1@h>;tag=1", "**1", "h", None, None),
    "an escaped number sign": ("<sip:%2331@h>;tag=1", "#31", "h", None, None),
    "a hyphen and a digit in the host": (
        "<sip:a@pbx-1.example.com:5070>;tag=1",
        "a",
        "pbx-1.example.com",
        5070,
        None,
    ),
    "IPv6 with a port": ("<sip:a@[2001:db8::1]:5070>;tag=1", "a", "2001:db8::1", 5070, None),
    "a name with punctuation": ('"O\'Neil, J. (Home)" <sip:a@h>;tag=1', "a", "h", None, "O'Neil, J. (Home)"),
    "parameters around the tag": ("<sip:a@h>;x=1;tag=1;y=2", "a", "h", None, None),
}


@pytest.mark.parametrize("case", FROM)
def test_a_from_reads_right(case: str) -> None:
    text, user, host, port, name = FROM[case]
    message = request(From=text)
    message.validate()
    assert (message.from_.sip_uri, message.from_.display_name) == (SIPURI(user=user, host=host, port=port), name)
    assert (message.from_.tag, message.keys.from_tag) == ("1", "1")


@pytest.mark.parametrize(
    "address", ["tel:+15551234", "http://www.example.com", "mailto:a@example.com", "sips:a@h", "urn:service:sos"]
)
@pytest.mark.parametrize("header", ["From", "To"])
@pytest.mark.parametrize("form", ["<{}>;tag=1", "{};tag=1", '"N" <{}>;tag=1'])
def test_an_address_of_any_scheme_is_taken(header: str, form: str, address: str) -> None:
    message = request(f"Contact: <{address}>", **{header: form.format(address)})
    message.validate()
    read = {"From": message.from_, "To": message.to}[header]
    assert (read.uri, read.tag) == (address, "1")
    assert message.contact == NameAddr(uri=address)


MESSAGES: dict[str, tuple[SIPMessage, Callable[[SIPMessage], object], object]] = {
    "a hyphen in the Request-URI": (
        request(start="INVITE sip:front-door@h SIP/2.0"),
        lambda m: (m.uri, SIPURI.parse(m.uri).user),
        ("sip:front-door@h", "front-door"),
    ),
    "IPv6 in Via": (
        request(Via="SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bKx"),
        lambda m: m.via,
        Via(transport="UDP", host="2001:db8::1", port=5070, params=(("branch", "z9hG4bKx"),)),
    ),
    "Contact: *": (request("Contact: *"), lambda m: (m.contact, m.get("contact")), (None, "*")),
    "no space after the colon": (request("Subject:x"), lambda m: m.get("subject"), "x"),
    "a space before the colon": (request("Subject : x"), lambda m: m.get("subject"), "x"),
    "another case": (request("sUBJECT: x"), lambda m: m.get("subject"), "x"),
    "colons in a value": (request("Subject: re: hello: x"), lambda m: m.get("subject"), "re: hello: x"),
    "a folded header": (request("Subject: a\r\n b"), lambda m: m.get("subject"), "a b"),
    "two Record-Routes": (
        request("Record-Route: <sip:p1;lr>", "Record-Route: <sip:p2;lr>"),
        lambda m: m.items("record-route"),
        ["<sip:p1;lr>", "<sip:p2;lr>"],
    ),
    "two Vias on a line": (
        request(Via="SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2"),
        lambda m: [Via.parse(item).branch for item in m.items("via")],
        ["1", "2"],
    ),
    "spaces in Via": (request(Via="SIP/2.0/UDP h ; branch=a"), lambda m: (m.via.branch, m.keys.branch), ("a", "a")),
    "compact forms": (
        request("m: <sip:x@h>", "k: timer", "o: dialog", "u: dialog", "r: <sip:y@h>", "c: text/plain", "l: 0"),
        lambda m: (m.contact, m.tokens("supported"), m.get("event"), m.get("refer-to"), m.content_type),
        (NameAddr(uri="sip:x@h"), {"timer"}, "dialog", "<sip:y@h>", "text/plain"),
    ),
    "Allow without spaces": (
        request("Allow: INVITE,ACK,BYE"),
        lambda m: m.items("allow"),
        ["INVITE", "ACK", "BYE"],
    ),
    "a status of its own": (
        SIPMessage(b"SIP/2.0 299 Fine\r\n\r\n"),
        lambda m: (m.status, m.phrase, SIPStatus(299).phrase),
        (299, "Fine", "OK"),
    ),
    "methods of extensions": (
        request(start="PUBLISH sip:b@h SIP/2.0", CSeq="1 PUBLISH"),
        lambda m: (m.method, m.keys.method),
        ("PUBLISH", "PUBLISH"),
    ),
    "empty lines before": (SIPMessage(b"\r\n\r\n" + request().raw), lambda m: m.method, "INVITE"),
    "an empty line after the body": (
        request("Content-Type: application/sdp", body=f"{OFFER.decode()}\r\n\r\n"),
        lambda m: SessionDescription.parse(m.session_description).media[0].port,
        10000,
    ),
    "a media type with parameters": (
        request("Content-Type: application/sdp;charset=utf-8", body=OFFER.decode()),
        lambda m: m.session_description,
        OFFER,
    ),
    "a media type in capitals": (
        request("Content-Type: Application/SDP", body=OFFER.decode()),
        lambda m: m.session_description,
        OFFER,
    ),
    "a session description among parts": (
        request(
            "Content-Type: multipart/mixed; boundary=b",
            body=f"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: application/sdp\r\n\r\n"
            f"{OFFER.decode()}\r\n--b--\r\n",
        ),
        lambda m: m.session_description,
        OFFER,
    ),
    "a byte that is no UTF-8": (request("Subject: caf\udce9"), lambda m: m.get("subject"), "caf\udce9"),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_a_message_reads_right(case: str) -> None:
    message, read, expected = MESSAGES[case]
    assert read(message) == expected


@pytest.mark.parametrize("method", ["INFO", "UPDATE", "OPTIONS", "NOTIFY", "PRACK", "PUBLISH", "x-Y", "invite", "%"])
def test_any_token_is_a_method(method: str) -> None:
    message = request(start=f"{method} sip:b@h SIP/2.0", CSeq=f"1 {method}")
    message.validate()
    assert message.method == method


@pytest.mark.parametrize("code", [100, 199, 299, 425, 499, 699])
@pytest.mark.parametrize("phrase", ["", "OK", "Grüße", "\udcff", "a  b ", "200 OK: x"])
def test_any_status_and_phrase_is_a_response(code: int, phrase: str) -> None:
    message = SIPMessage(f"SIP/2.0 {code} {phrase}\r\n\r\n".encode("utf-8", "surrogateescape"))
    assert (message.status, message.phrase) == (code, phrase)


@pytest.mark.parametrize(
    "protocol", ["RTP/SAVPF 0", "UDP/TLS/RTP/SAVPF 0", "RTP/AVPF 0", "udptl t38", "TCP/MSRP *", "x y"]
)
def test_any_media_protocol_is_read(protocol: str) -> None:
    sdp = SessionDescription.parse(OFFER.replace(b"RTP/AVP 0", protocol.encode()))
    assert f"{sdp.media[0].protocol} {' '.join(sdp.media[0].formats)}" == protocol


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (
            "a=candidate:1 1 UDP 1 2001:db8::1 9 typ host",
            "candidate",
            "1 1 UDP 1 2001:db8::1 9 typ host",
        ),
        (
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc+/==",
            "crypto",
            "1 AES_CM_128_HMAC_SHA1_80 inline:abc+/==",
        ),
        ("a=fmtp:18 annexb=no", "fmtp", "18 annexb=no"),
        ("a=rtpmap:97 iLBC/8000", "rtpmap", "97 iLBC/8000"),
    ],
)
def test_an_attribute_is_cut_once(line: str, name: str, value: str) -> None:
    assert SessionDescription.parse(OFFER + f"{line}\r\n".encode()).media[0].values(name) == [value]


def test_a_session_name_may_have_an_equals_sign() -> None:
    assert SessionDescription.parse(OFFER.replace(b"s=-", b"s=a=b")).name == "a=b"


def test_without_a_direction_media_flow_both_ways() -> None:
    sdp = SessionDescription.parse(OFFER)
    assert (sdp.direction, sdp.media[0].direction) == ("sendrecv", None)


@pytest.mark.parametrize("header", ["WWW-Authenticate", "Proxy-Authenticate"])
def test_a_realm_with_commas_and_the_stronger_of_two_challenges_are_read(header: str) -> None:
    manager = CredentialsManager()
    manager.add("u", "p")
    authenticator = Authenticator(manager, token=lambda size: "ab" * size, trusts=lambda _: True)
    challenge = 'Digest realm="a, b", nonce="n", qop="auth"'
    response = request(
        f"{header}: {challenge}, algorithm=MD5",
        f"{header}: {challenge}, algorithm=SHA-256",
    )
    assert authenticator.learn(response, set())
    ((name, value),) = authenticator.headers("INVITE", "sip:b@h", b"")
    assert name == {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}[header]
    assert 'realm="a, b"' in value
    assert "algorithm=SHA-256" in value


def test_a_body_cut_short_gets_400_and_what_follows_a_body_is_no_message_in_a_datagram(wire: Wire) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("b")
    flow = Flow(transport="UDP", local=bob.address, remote=("192.0.2.66", 5060))
    options = request("l: 9", start="OPTIONS sip:b@h SIP/2.0", CSeq="1 OPTIONS", body="12345678").raw
    bob.endpoint.receive(options, flow, wire.now)
    bob.endpoint.receive(options.replace(b"l: 9", b"l: 0").replace(b"12345678", options), flow, wire.now)
    bob.drain()
    assert wire.words == ["400", "200"]
