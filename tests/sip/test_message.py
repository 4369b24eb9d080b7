"""Messages: what is legal but unusual reads right; what breaks a rule is refused with the status it deserves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import RemoteProtocolError, SIPParseError
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.limits import LIMITS
from sip_bridge.sip.message import SIPMessage, SIPMessageType
from sip_bridge.sip.status import SIPStatus
from tests.sip.test_fields import TOKEN, tokens

MANDATORY = {
    "Via": "SIP/2.0/UDP h;branch=z9hG4bKx",
    "From": "<sip:a@h>;tag=1",
    "To": "<sip:b@h>",
    "Call-ID": "c1",
    "CSeq": "1 INVITE",
}


def request(*lines: str, body: str = "", start: str = "INVITE sip:b@h SIP/2.0", **replaced: str) -> SIPMessage:
    """A request with the mandatory headers; ``Call_ID="x"`` replaces one, "" leaves it out, ``lines`` are added."""
    given = {**MANDATORY, **{name.replace("_", "-"): value for name, value in replaced.items()}}
    head = [start, *(f"{name}: {value}" for name, value in given.items() if value), *lines, "", body]
    return SIPMessage("\r\n".join(head).encode("utf-8", "surrogateescape"))


values = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs", "Z"]), max_size=12)
header_names = st.text(TOKEN, min_size=2, max_size=8).map(lambda name: f"X-{name}")
headers = st.lists(st.tuples(header_names, values), max_size=5)


@given(tokens, headers, st.binary(max_size=50))
def test_a_request_survives_formatting(method: str, given: list[tuple[str, str]], content: bytes) -> None:
    message = SIPMessage.request(method, "sip:b@h", given, content)
    assert (message.method, message.uri, message.content) == (method, "sip:b@h", content)
    for name in {name.lower() for name, _ in given}:
        assert message.get_all(name) == [value.strip() for key, value in given if key.lower() == name]
    assert SIPMessage(message.raw).summary() == message.summary()


@given(st.integers(100, 699), headers, st.binary(max_size=50))
def test_a_response_survives_formatting(code: int, given: list[tuple[str, str]], content: bytes) -> None:
    message = SIPMessage.response(SIPStatus(code), given, content)
    assert (message.status, message.content, message.type) == (code, content, SIPMessageType.RESPONSE)
    assert message.heading == f"SIP/2.0 {code} {SIPStatus(code).phrase}"


def test_a_request_has_no_status_and_a_response_no_method() -> None:
    invite, ok = request(), SIPMessage(b"SIP/2.0 200 OK\r\n\r\n")
    assert (invite.type, invite.status, invite.method, invite.uri) == (SIPMessageType.REQUEST, 0, "INVITE", "sip:b@h")
    assert (ok.type, ok.status, ok.method, ok.uri, ok.phrase) == (SIPMessageType.RESPONSE, SIPStatus.OK, None, "", "OK")
    assert repr(invite) == "<SIPMessage 'INVITE sip:b@h SIP/2.0'>"


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("Subject: re: hello: x", "subject", "re: hello: x"),
        ("subject:x", "subject", "x"),
        ("SUBJECT   :\t x \t", "subject", "x"),
        ("s:", "subject", ""),
        ("s: compact", "subject", "compact"),
        ("S: compact", "subject", "compact"),
        ("m: <sip:x@h>", "contact", "<sip:x@h>"),
        ("k: timer", "supported", "timer"),
        ("x: 1800", "session-expires", "1800"),
        ("X-Thing: caf\udce9", "x-thing", "caf\udce9"),
        ("X-Thing: Grüße", "x-thing", "Grüße"),
        ("Subject: one\r\n  two\r\n\tthree", "subject", "one two three"),
        ("Subject:\r\n folded", "subject", "folded"),
    ],
)
def test_a_header_is_found_however_it_is_written(line: str, name: str, value: str) -> None:
    assert request(line).get(name) == value


@pytest.mark.parametrize("short", ["v", "f", "t", "i"])
def test_the_mandatory_headers_have_compact_forms(short: str) -> None:
    full = {"v": "Via", "f": "From", "t": "To", "i": "Call-ID"}[short]
    message = request(f"{short}: {MANDATORY[full]}", **{full.replace("-", "_"): ""})
    message.validate()
    assert message.get(full.lower()) == MANDATORY[full]


def test_lists_are_split_over_lines_and_commas_but_not_inside_quotes_and_brackets() -> None:
    message = request(
        "Allow: INVITE,ACK,  BYE",
        "Allow: OPTIONS,",
        'Contact: "a, b" <sip:x,y@h>;q="1,2", <sip:z@h>',
        "Record-Route: <sip:p1;lr>",
        "Record-Route: <sip:p2;lr>,<sip:p3;lr>",
    )
    assert message.items("allow") == ["INVITE", "ACK", "BYE", "OPTIONS"]
    assert message.tokens("allow") == {"invite", "ack", "bye", "options"}
    assert [contact.uri for contact in message.contacts] == ["sip:x,y@h", "sip:z@h"]
    assert message.contact == NameAddr(uri="sip:x,y@h", display_name="a, b", params=(("q", "1,2"),))
    assert message.items("record-route") == ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]
    assert (message.items("route"), message.get("route"), message.get_all("route")) == ([], None, [])


def test_two_vias_on_one_line_are_two() -> None:
    message = request(Via="SIP/2.0/UDP one ; branch=a, SIP/2.0/UDP two;branch=b")
    assert (message.via.host, message.via.branch) == ("one", "a")


def test_a_contact_of_star_is_no_address() -> None:
    assert (request("Contact: *").contact, request("Contact: *").contacts) == (None, ())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("application/sdp;charset=utf-8", "application/sdp"),
        ("Application/SDP", "application/sdp"),
        ("multipart/mixed ; boundary=x", "multipart/mixed"),
    ],
)
def test_a_content_type_is_compared_without_case_and_parameters(written: str, read: str) -> None:
    assert request(f"Content-Type: {written}").content_type == read


def test_without_content_type_there_is_none() -> None:
    assert request().content_type == ""


@pytest.mark.parametrize(
    ("text", "number"), [("70", 70), ("0068", 68), ("120;duration=3", 120), ("120 (later)", 120), ("0", 0)]
)
def test_a_number_reads_without_what_follows_it(text: str, number: int) -> None:
    assert request(f"Retry-After: {text}").number("retry-after") == number


@pytest.mark.parametrize("text", ["-1", "1.5", "", "x", "٣", "1" * 21, "1 2"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        request(f"Expires: {text}").number("expires")


def test_leading_empty_lines_are_skipped() -> None:
    data = b"\r\n\r\n" + request().raw
    assert SIPMessage(data).method == "INVITE"


@pytest.mark.parametrize(
    "start",
    ["SIP/2.0 200", "SIP/2.0 200 ", "sip/2.0 200 OK", "SIP/2.0 299 = 2**3 * 5**2 но сто девяносто девять - простое"],
)
def test_a_reason_phrase_may_be_anything(start: str) -> None:
    message = SIPMessage(f"{start}\r\n\r\n".encode())
    assert 200 <= message.status < 300
    assert message.phrase == start.partition(" ")[2].partition(" ")[2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"INVITE sip:b@h SIP/2.0",
        b"INVITE sip:b@h SIP/2.0\r\nVia: x\r\n",
        b"INVITE sip:b@h\r\n\r\n",
        b"INVITE  SIP/2.0\r\n\r\n",
        b"IN(VITE sip:b@h SIP/2.0\r\n\r\n",
        b"INVITE sip:b@h HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"SIP/2.0 20 OK\r\n\r\n",
        b"SIP/2.0 099 OK\r\n\r\n",
        b"SIP/2.0 700 OK\r\n\r\n",
        b"SIP/2.0 4294967301 better not break the receiver\r\n\r\n",
        b"SIP/2.0 2x0 OK\r\n\r\n",
        b"INVITE sip:b@h SIP/2.0\r\nno colon here\r\n\r\n",
        b"INVITE sip:b@h SIP/2.0\r\n folded: first\r\n\r\n",
        b"INVITE sip:b@h SIP/2.0\r\nX: a\nY: b\r\n\r\n",
        b"INVITE sip:b@h SIP/2.0\r\nX: a\rY: b\r\n\r\n",
        b"INVITE sip:b@h SIP/2.0\nX: a\r\n\r\n",
        b"INVITE sip:b@h SIP/2.0\nX: a\n",
        b"INVITE sip:b@h SIP/2.0\nContent-Length: 0",
        b"INVITE sip:b@h SIP/2.0\r\nContent-Length: 1\r\n",
        b"INVITE sip:b@h SIP/2.0\r\nContent-Length: 0",
        b"INVITE sip:b@h SIP/2.0\nX: a\n\n\r\n\r\n",
    ],
)
def test_what_is_no_message_can_not_be_parsed(data: bytes) -> None:
    with pytest.raises(SIPParseError):
        SIPMessage(data)


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\nContent-Length: 9"])
def test_a_message_whose_lines_all_end_in_lf_reads_like_one_with_crlf(end: str) -> None:
    message = SIPMessage(f"\nINVITE sip:b@h SIP/2.0\nSubject: a\n b\nTo: <sip:b@h>\nl: 0\n{end}".encode())
    assert (message.method, message.get("subject"), message.to.uri) == ("INVITE", "a b", "sip:b@h")
    assert message.content == end[1:].encode()


def test_the_empty_line_may_only_be_missing_where_no_body_follows() -> None:
    message = SIPMessage(b"OPTIONS sip:b@h SIP/2.0\r\nSubject: a\r\nl: 0\r\n")
    assert (message.get("subject"), message.content) == ("a", b"")


def test_what_a_refused_request_says_legibly_is_saved() -> None:
    lines = b"Via: SIP/2.0/UDP\r\n h\r\nTo: \0<sip:b@h>\r\nno colon\r\nb ad: x\r\nCall-ID: \rc\r\ni: c1\r\n"
    data = b"INVITE sip:b@h\r\n" + lines
    message = SIPMessage.salvage(data, LIMITS)
    assert message is not None
    assert (message.method, message.content, message.get_all("via")) == ("INVITE", b"", ["SIP/2.0/UDP h"])
    assert (message.get("to"), message.get_all("call-id")) == (None, ["c1"])


@pytest.mark.parametrize("data", [b"", b"\r\n", b"   \r\nVia: x", b"SIP/2.0 999 x\r\nVia: x\r\n", b"<>\r\nVia: x"])
def test_nothing_is_saved_of_a_response_or_of_noise(data: bytes) -> None:
    assert SIPMessage.salvage(data, LIMITS) is None


def test_the_limits_are_where_they_are_said_to_be() -> None:
    head = b"INVITE sip:b@h SIP/2.0\r\n\r\n"
    assert SIPMessage(head.ljust(LIMITS.message, b"x")).method == "INVITE"
    with pytest.raises(SIPParseError):
        SIPMessage(head.ljust(LIMITS.message + 1, b"x"))
    most = [f"X-{number}: x" for number in range(LIMITS.headers - len(MANDATORY))]
    assert request(*most).get("x-0") == "x"
    with pytest.raises(SIPParseError):
        request(*most, "One: more")
    request(*["v: SIP/2.0/UDP h"] * (LIMITS.vias - 1)).validate()
    with pytest.raises(RemoteProtocolError):
        request(*["v: SIP/2.0/UDP h"] * LIMITS.vias).validate()


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call_ID", "CSeq"])
def test_a_request_without_a_mandatory_header_deserves_400(name: str) -> None:
    with pytest.raises(RemoteProtocolError, match="is missing") as refusal:
        request(**{name: ""}).validate()
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("lines", "replaced"),
    [
        (["From: <sip:other@h>;tag=2"], {}),
        (["t: <sip:other@h>"], {}),
        (["Call-ID: c2"], {}),
        (["CSeq: 2 INVITE"], {}),
        (["Max-Forwards: 1", "Max-Forwards: 2"], {}),
        (["Content-Length: 0", "l: 1"], {}),
        (["Content-Length: 1"], {}),
        (["Content-Length: -1"], {}),
        (["Content-Length: 0, 0"], {}),
        ([], {"CSeq": "1 BYE"}),
        ([], {"Call_ID": "c 1"}),
        ([], {"Call_ID": "c\0"}),
        ([], {"From": '<sip:a@h>;tag="a b"'}),
        ([], {"From": '"open <sip:a@h>;tag=1'}),
        ([], {"To": '<sip:a@h>;tag="\x01"'}),
        ([], {"Via": 'SIP/2.0/UDP h;x="open, SIP/2.0/UDP h2'}),
        ([], {"start": "INVITE <sip:b@h> SIP/2.0"}),
        ([], {"start": "INVITE  sip:b@h  SIP/2.0"}),
        ([], {"start": "INVITE sip:b@h SIP/2.0 "}),
        ([], {"start": "INVITE sip:b@h; lr SIP/2.0"}),
        ([], {"start": "INVITE sip:b\0@h SIP/2.0"}),
    ],
)
def test_a_request_that_breaks_a_rule_deserves_400(lines: list[str], replaced: dict[str, str]) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        request(*lines, **replaced).validate()
    assert refusal.value.status == 400


def test_the_same_single_header_twice_is_harmless() -> None:
    request("Max-Forwards: 70", "Max-Forwards: 70", "CSeq: 1 INVITE").validate()


@pytest.mark.parametrize("version", ["SIP/7.0", "SIP/2.1", "SIP/"])
def test_another_version_deserves_505(version: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        request(start=f"INVITE sip:b@h {version}").validate()
    assert refusal.value.status == 505


def test_what_follows_content_length_in_a_datagram_is_cut() -> None:
    message = request("Content-Length: 4", body="bodyINVITE sip:next SIP/2.0\r\n\r\n")
    message.validate()
    assert message.content == b"body"


def test_without_content_length_the_body_is_the_rest_of_the_datagram() -> None:
    message = request(body="v=0\r\n\r\n\r\n")
    message.validate()
    assert message.content == b"v=0\r\n\r\n\r\n"


def test_on_a_stream_content_length_is_a_must() -> None:
    request("Content-Length: 0").validate(stream=True)
    with pytest.raises(RemoteProtocolError):
        request().validate(stream=True)


def test_a_summary_shows_start_line_headers_and_body() -> None:
    assert request("Content-Length: 2", body="hi").summary() == (
        "INVITE sip:b@h SIP/2.0\n\nHeaders:\n  via: SIP/2.0/UDP h;branch=z9hG4bKx\n  from: <sip:a@h>;tag=1\n"
        "  to: <sip:b@h>\n  call-id: c1\n  cseq: 1 INVITE\n  content-length: 2\n\nBody:\nhi"
    )
