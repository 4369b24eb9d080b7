"""Messages at which the reference's parser fails or reads something else: each reads right here.

A number in brackets is the public issue or pull request of tayler6000/pyVoIP that it is about.
"""

import time
from typing import Any

import pytest

from sip_bridge.errors import SIPParseError
from sip_bridge.pyvoip.RTP import RTPProtocol, TransmitType
from sip_bridge.pyvoip.SIP.message import SIPMessage, SIPMessageType, SIPStatus

URI = {"uri-type": "sip", "password": "", "display-name": "", "port": 5060, "tag": ""}
SDP = "v=0\r\no=- 1 2 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
AUDIO = "m=audio 13344 RTP/AVP 0\r\n"


def request(*headers: str, start: str = "INVITE sip:door@192.0.2.2 SIP/2.0", body: str = "", **changed: str) -> bytes:
    usual = {
        "Via": "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1",
        "From": "<sip:1337@192.0.2.10>;tag=1",
        "To": "<sip:door@192.0.2.2>",
        "Call-ID": "c1",
        "CSeq": "1 INVITE",
        **changed,
    }
    lines = [start, *(f"{name}: {value}" for name, value in usual.items() if value), *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


def described(sdp: str, kind: str = "application/sdp") -> SIPMessage:
    return SIPMessage(request(f"Content-Type: {kind}", body=sdp))


def response(status: str, *headers: str) -> bytes:
    return request(*headers, start=f"SIP/2.0 {status}")


def address(raw: str, **read: Any) -> dict[str, Any]:
    user, host = read.get("user", ""), read.get("host", "")
    return {**URI, "raw": raw, "uri": f"sip:{user}@{host}", "user": user, "host": host, **read}


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        pytest.param(
            '"Asik K"<sip:603@h>', {"user": "603", "host": "h", "display-name": "Asik K"}, id="#301 #154 #240"
        ),
        pytest.param("<sip:hans-1@h>", {"user": "hans-1", "host": "h"}, id="#238"),
        pytest.param("<sip:john.doe@h>", {"user": "john.doe", "host": "h"}, id="a dot"),
        pytest.param("<sip:**1@h>", {"user": "**1", "host": "h"}, id="#256"),
        pytest.param("<sip:%2331@h>", {"user": "%2331", "host": "h"}, id="an escape"),
        pytest.param(
            "<sip:a@pbx-1.example.com:5070>",
            {"user": "a", "host": "pbx-1.example.com", "port": 5070, "uri": "sip:a@pbx-1.example.com:5070"},
            id="a hyphen and a port",
        ),
        pytest.param(
            "<sip:a@[2001:db8::1]:5070>",
            {"user": "a", "host": "2001:db8::1", "port": 5070, "uri": "sip:a@[2001:db8::1]:5070"},
            id="IPv6",
        ),
        pytest.param(
            '"O\'Neil, J. (Home)" <sip:a@h>',
            {"user": "a", "host": "h", "display-name": "O'Neil, J. (Home)"},
            id="punctuation in a name",
        ),
        pytest.param("<sip:a@h>;x=1;tag=99;y=2", {"user": "a", "host": "h", "tag": "99"}, id="parameters and a tag"),
        pytest.param(
            "<tel:+15551234>", {"uri-type": "tel", "uri": "tel:+15551234", "user": "+15551234", "host": ""}, id="tel"
        ),
        pytest.param(
            "<sip:5555:secret@192.168.0.100:616>",
            {
                "user": "5555",
                "password": "secret",
                "host": "192.168.0.100",
                "port": 616,
                "uri": "sip:5555@192.168.0.100:616",
            },
            id="a password",
        ),
        pytest.param("sip:a@h;tag=7", {"user": "a", "host": "h", "tag": "7"}, id="no brackets"),
    ],
)
def test_an_address_reads_right(raw: str, read: dict[str, Any]) -> None:
    assert SIPMessage(request(From=raw)).headers["From"] == address(raw, **read)


def test_the_user_of_a_request_uri_may_have_a_hyphen() -> None:
    message = SIPMessage(request(start="INVITE sip:front-door@h SIP/2.0"))
    assert message.destination["user"] == message.to["user"] == "front-door"


def test_a_star_is_a_contact() -> None:
    assert SIPMessage(request("Contact: *")).headers["Contact"]["raw"] == "*"


@pytest.mark.parametrize("line", ["Call-ID:c2", "Call-ID : c2", "call-id: c2", "i: c2", "I:c2", "CALL-ID: \tc2 "])
def test_a_header_is_found_however_it_is_written(line: str) -> None:
    headers = SIPMessage(request(line, **{"Call-ID": ""})).headers
    assert (headers["Call-ID"], headers["call-id"], headers.get("CALL-ID"), "Call-Id" in headers) == (*["c2"] * 3, True)


def test_names_are_shown_as_they_came() -> None:
    headers = SIPMessage(request("x-Door: 1", "k: timer", "USER-agent: a")).headers
    assert list(headers)[-4:] == ["x-Door", "Supported", "USER-agent", "Content-Length"]


def test_an_absent_header_is_missing() -> None:
    headers = SIPMessage(request()).headers
    assert (headers.get("Subject"), headers.get("Subject", 1), "Subject" in headers) == (None, 1, False)
    with pytest.raises(KeyError, match="Subject"):
        headers["Subject"]


def test_a_value_may_have_colons() -> None:
    assert SIPMessage(request("Subject: re: hello: x")).headers["Subject"] == "re: hello: x"


def test_a_folded_header_is_one() -> None:
    assert SIPMessage(request("Subject: a\r\n b\r\n\tc")).headers["Subject"] == "a b c"


def test_a_repeated_header_keeps_every_value() -> None:
    headers = SIPMessage(request("Record-Route: <sip:a;lr>", "Record-Route: <sip:b;lr>")).headers
    assert headers["Record-Route"] == "<sip:a;lr>, <sip:b;lr>"


@pytest.mark.parametrize("separator", [", ", "\r\nVia: ", "\r\nv: "])
def test_every_via_is_one(separator: str) -> None:
    vias = SIPMessage(request(Via=f"SIP/2.0/UDP a:5070;rport{separator}SIP/2.0/TLS [2001:db8::1];x=1")).headers["Via"]
    assert vias == [
        {"type": "SIP/2.0/UDP", "address": ("a", 5070), "rport": None},
        {"type": "SIP/2.0/TLS", "address": ("2001:db8::1", 5061), "x": 1},
    ]


def test_white_space_around_a_via_parameter_is_none_of_its() -> None:
    via = SIPMessage(request(Via="SIP/2.0/UDP a ; branch=a ;rport=5070")).headers["Via"][0]
    assert via == {"type": "SIP/2.0/UDP", "address": ("a", 5060), "branch": "a", "rport": 5070}


def test_compact_names_are_expanded() -> None:  # pull/309
    short = request("v: SIP/2.0/UDP a", "f: <sip:a@h>", "t: <sip:b@h>", "i: c", "m: <sip:a@h>", Via="", From="", To="")
    headers = SIPMessage(short.replace(b"Call-ID: c1\r\n", b"")).headers
    assert list(headers) == ["CSeq", "Via", "From", "To", "Call-ID", "Contact", "Content-Length"]


@pytest.mark.parametrize("text", ["INVITE,ACK,BYE", "INVITE, ACK, BYE", "INVITE ,ACK\r\nAllow: BYE"])
def test_a_list_is_one_however_it_is_written(text: str) -> None:
    assert SIPMessage(request(f"Allow: {text}")).headers["Allow"] == ["INVITE", "ACK", "BYE"]


@pytest.mark.parametrize("code", [299, 425, 699])
def test_any_status_is_one(code: int) -> None:
    message = SIPMessage(response(f"{code} Odd"))
    assert (message.type, message.status, message.method) == (SIPMessageType.RESPONSE, SIPStatus(code), None)


@pytest.mark.parametrize(
    "method", ["OPTIONS", "NOTIFY", "INFO", "UPDATE", "PRACK", "PUBLISH", "X-OWN"]
)  # #46 #126 #158 #187 #251 #304
def test_any_method_is_one(method: str) -> None:
    message = SIPMessage(request(start=f"{method} sip:a@h SIP/2.0"))
    assert (message.type, message.status, message.method) == (SIPMessageType.REQUEST, 0, method)


def test_empty_lines_before_a_message_are_nothing() -> None:
    assert SIPMessage(b"\r\n\r\n" + request()).headers["Call-ID"] == "c1"


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"\x00\x01", b"hello", b"INVITE\r\n\r\n", b"SIP/2.0 9999 No\r\n\r\n", b"\xff" * 70000],
)
def test_what_is_no_message_is_told_so(data: bytes) -> None:
    with pytest.raises(SIPParseError):
        SIPMessage(data)


def test_a_description_may_be_followed_by_empty_lines() -> None:  # #95
    assert described(f"{SDP}{AUDIO}\r\n\r\n").body["m"][0]["port"] == 13344


def test_of_two_messages_the_first_is_read_with_its_body() -> None:
    message = SIPMessage(request("Content-Type: text/plain", body="hello") + request(start="BYE sip:a SIP/2.0"))
    assert (message.method, message.body) == ("INVITE", {"content": b"hello"})


def test_a_body_that_is_cut_short_is_told() -> None:
    with pytest.raises(SIPParseError, match="Content-Length is 5, but only 3"):
        SIPMessage(request(body="hello")[:-2])


@pytest.mark.parametrize("kind", ["application/sdp;charset=utf-8", "Application/SDP", "application/sdp ; x=1"])
def test_the_media_type_may_be_written_otherwise(kind: str) -> None:
    assert described(SDP, kind).body["s"] == "-"


def test_a_description_is_found_in_a_multipart_body() -> None:  # pull/259
    parts = (
        f"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--x--\r\n"
    )
    body = described(parts, 'multipart/mixed;boundary="x"').body
    assert (body["s"], body["content"]) == ("-", parts.encode())


@pytest.mark.parametrize(
    ("line", "protocol"),
    [
        ("audio 9 RTP/AVP 0", RTPProtocol.AVP),
        ("audio 9 RTP/SAVPF 0", "RTP/SAVPF"),
        ("audio 9 UDP/TLS/RTP/SAVPF 0", "UDP/TLS/RTP/SAVPF"),
        ("image 9 udptl t38", "udptl"),
    ],
)
def test_any_protocol_is_one(line: str, protocol: str) -> None:
    assert described(f"{SDP}m={line}\r\n").body["m"][0]["protocol"] == protocol


def test_an_attribute_may_have_colons_and_equals_signs() -> None:
    lines = "a=candidate:1 1 UDP 2130706431 2001:db8::1 8998 typ host\r\na=crypto:1 AES_CM_128 inline:Zm9v==\r\n"
    assert described(f"{SDP}{AUDIO}{lines}").body["a"] == {
        "candidate": "1 1 UDP 2130706431 2001:db8::1 8998 typ host",
        "crypto": "1 AES_CM_128 inline:Zm9v==",
    }


def test_a_format_parameter_may_have_an_equals_sign() -> None:
    body = described(f"{SDP}m=audio 9 RTP/AVP 18\r\na=fmtp:18 annexb=no\r\n").body
    assert body["m"][0]["attributes"]["18"] == {"fmtp": {"id": "18", "settings": ["annexb=no"]}}


def test_a_format_that_is_not_in_the_media_line_is_nothing() -> None:
    body = described(f"{SDP}{AUDIO}a=rtpmap:97 opus/48000/2\r\n").body
    assert body["m"][0]["attributes"] == {"0": {}}


def test_a_session_name_may_have_an_equals_sign() -> None:
    assert described("v=0\r\ns=a=b\r\n").body["s"] == "a=b"


def test_a_realm_may_have_commas() -> None:
    message = SIPMessage(response("401 No", 'WWW-Authenticate: Digest realm="a, b", nonce="n"'))
    assert message.authentication["realm"] == "a, b"


@pytest.mark.parametrize("between", ["\r\nWWW-Authenticate: ", ", "])
def test_of_two_challenges_the_first_that_is_known_counts(between: str) -> None:
    line = f'WWW-Authenticate: Digest realm="a", nonce="1", algorithm=SHA-256{between}Digest realm="a", nonce="2"'
    assert SIPMessage(response("401 No", line)).authentication["algorithm"] == "SHA-256"


def test_a_challenge_that_nobody_knows_is_passed_over() -> None:
    lines = ('WWW-Authenticate: Other realm="a"', 'WWW-Authenticate: Digest realm="a", nonce="2"')
    assert SIPMessage(response("401 No", *lines)).authentication["method"] == "Digest"


@pytest.mark.parametrize(
    "header", ["WWW-Authenticate", "Proxy-Authenticate", "Authorization", "Proxy-Authorization"]
)  # #69
def test_each_authentication_header_is_read(header: str) -> None:
    line = f'{header}: Digest realm="asterisk", nonce="16", opaque="5f", algorithm=MD5, qop="auth", userhash=true'
    message = SIPMessage(request(line))
    assert (
        message.authentication
        == message.headers[header]
        == {
            "header": header,
            "method": "Digest",
            "realm": "asterisk",
            "nonce": "16",
            "opaque": "5f",
            "algorithm": "MD5",
            "qop": ["auth"],
            "userhash": True,
        }
    )


def test_a_byte_that_is_no_utf_8_spoils_nothing() -> None:
    message = SIPMessage(request("Subject: caf").replace(b"caf", b"caf\xe9"))
    assert (message.headers["Subject"], message.headers["Call-ID"]) == ("caf\udce9", "c1")


def test_a_description_needs_no_direction() -> None:  # #50
    assert "a" not in described(SDP + AUDIO).body


def test_a_direction_is_told() -> None:
    body = described(f"{SDP}{AUDIO}a=sendonly\r\na=rtcp-mux\r\n").body
    assert (body["a"], body["m"][0]["a"]) == (
        {"transmit_type": TransmitType.SENDONLY},
        {"transmit_type": TransmitType.SENDONLY, "rtcp-mux": ""},
    )


def test_a_content_length_that_is_no_number_is_told() -> None:
    with pytest.raises(SIPParseError, match="content-length is not a number"):
        SIPMessage(request().replace(b"Content-Length: 0", b"Content-Length: x"))


def test_a_name_with_one_quote_spoils_nothing() -> None:
    sender = SIPMessage(request(From='"Door <sip:a@h>;tag=1')).headers["From"]
    assert (sender["user"], sender["display-name"], sender["tag"]) == ("a", '"Door', "1")


def test_a_list_with_one_quote_spoils_nothing() -> None:
    assert SIPMessage(request('Allow: INVITE, "ACK')).headers["Allow"] == ["INVITE", '"ACK']


def test_a_number_that_is_too_long_stays_text() -> None:
    assert SIPMessage(request(f"X-Number: {'9' * 5000}")).headers["X-Number"] == "9" * 5000


@pytest.mark.parametrize(
    "challenge",
    ["a" * 8_000, "a " * 4_000, 'a="' + '\\"' * 3_900, "Digest " * 1_100],
    ids=["word", "words", "quote", "schemes"],
)
def test_a_long_challenge_is_read_in_time_that_grows_with_its_length(challenge: str) -> None:
    began = time.process_time()
    assert "WWW-Authenticate" in SIPMessage(request(f"WWW-Authenticate: {challenge}")).headers
    assert time.process_time() - began < 0.15  # 0.3 s for the first of these if each letter is tried as a beginning
