"""Names, defaults and shapes that scripts rely on."""

import importlib
import inspect
import ssl

import pytest

from sip_bridge import pyvoip
from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.networking.nat import NAT, AddressType, NATError
from sip_bridge.pyvoip.networking.transport import TransportMode
from sip_bridge.pyvoip.RTP import (
    DTMF,
    DynamicPayloadType,
    PayloadType,
    RTPMessage,
    RTPPacketManager,
    RTPParseError,
    RTPProtocol,
    TransmitType,
    add_bytes,
    byte_to_bits,
)
from sip_bridge.pyvoip.SIP.message import (
    ResponseCode,
    SIPMessage,
    SIPMessageType,
    SIPMethod,
    SIPRequest,
    SIPResponse,
    SIPStatus,
)
from tests.pyvoip.test_parser_corpus import AUDIO, SDP, described, request, response

STATUSES = {
    "TRYING": 100, "RINGING": 180, "FORWARDED": 181, "QUEUED": 182, "SESSION_PROGRESS": 183, "TERMINATED": 199,
    "OK": 200, "ACCEPTED": 202, "NO_NOTIFICATION": 204, "MULTIPLE_CHOICES": 300, "MOVED_PERMANENTLY": 301,
    "MOVED_TEMPORARILY": 302, "USE_PROXY": 305, "ALTERNATE_SERVICE": 380, "BAD_REQUEST": 400, "UNAUTHORIZED": 401,
    "PAYMENT_REQUIRED": 402, "FORBIDDEN": 403, "NOT_FOUND": 404, "METHOD_NOT_ALLOWED": 405, "NOT_ACCEPTABLE": 406,
    "PROXY_AUTHENTICATION_REQUIRED": 407, "REQUEST_TIMEOUT": 408, "CONFLICT": 409, "GONE": 410,
    "LENGTH_REQUIRED": 411, "CONDITIONAL_REQUEST_FAILED": 412, "REQUEST_ENTITY_TOO_LARGE": 413,
    "REQUEST_URI_TOO_LONG": 414, "UNSUPPORTED_MEDIA_TYPE": 415, "UNSUPPORTED_URI_SCHEME": 416,
    "UNKOWN_RESOURCE_PRIORITY": 417, "BAD_EXTENSION": 420, "EXTENSION_REQUIRED": 421,
    "SESSION_INTERVAL_TOO_SMALL": 422, "SESSION_INTERVAL_TOO_BRIEF": 423, "BAD_LOCATION_INFORMATION": 424,
    "USE_IDENTITY_HEADER": 428, "PROVIDE_REFERRER_IDENTITY": 429, "FLOW_FAILED": 430, "ANONYMITY_DISALLOWED": 433,
    "BAD_IDENTITY_INFO": 436, "UNSUPPORTED_CERTIFICATE": 437, "INVALID_IDENTITY_HEADER": 438,
    "FIRST_HOP_LACKS_OUTBOUND_SUPPORT": 439, "MAX_BREADTH_EXCEEDED": 440, "BAD_INFO_PACKAGE": 469,
    "CONSENT_NEEDED": 470, "TEMPORARILY_UNAVAILABLE": 480, "CALL_OR_TRANSACTION_DOESNT_EXIST": 481,
    "LOOP_DETECTED": 482, "TOO_MANY_HOPS": 483, "ADDRESS_INCOMPLETE": 484, "AMBIGUOUS": 485, "BUSY_HERE": 486,
    "REQUEST_TERMINATED": 487, "NOT_ACCEPTABLE_HERE": 488, "BAD_EVENT": 489, "REQUEST_PENDING": 491,
    "UNDECIPHERABLE": 493, "SECURITY_AGREEMENT_REQUIRED": 494, "INTERNAL_SERVER_ERROR": 500, "NOT_IMPLEMENTED": 501,
    "BAD_GATEWAY": 502, "SERVICE_UNAVAILABLE": 503, "GATEWAY_TIMEOUT": 504, "SIP_VERSION_NOT_SUPPORTED": 505,
    "MESSAGE_TOO_LONG": 513, "PUSH_NOTIFICATION_SERVICE_NOT_SUPPORTED": 555, "PRECONDITION_FAILURE": 580,
    "BUSY_EVERYWHERE": 600, "DECLINE": 603, "DOES_NOT_EXIST_ANYWHERE": 604, "GLOBAL_NOT_ACCEPTABLE": 606,
    "UNWANTED": 607, "REJECTED": 608,
}  # fmt: skip


@pytest.mark.parametrize("name", STATUSES)
def test_every_status_has_its_name(name: str) -> None:
    assert SIPStatus[name] == STATUSES[name]


def test_a_status_tells_number_phrase_and_description() -> None:
    told = [(each.value, each.phrase, each.description) for each in map(SIPStatus, (100, 180, 200, 486))]
    assert told == [
        (100, "Trying", "Extended search being performed, may take a significant time"),
        (180, "Ringing", "Destination user agent received INVITE, and is alerting user of call"),
        (200, "OK", "Request successful"),
        (486, "Busy Here", "Callee is busy"),
    ]
    assert (int(SIPStatus.OK), str(SIPStatus.OK), ResponseCode) == (200, "200 OK", SIPStatus)


def test_a_request_has_the_documented_attributes() -> None:
    message = SIPMessage(request(start="INVITE sip:1234@192.0.2.31:5060 SIP/2.0"))
    assert (message.heading, message.type, message.status, message.method, message.raw, message.authentication) == (
        "INVITE sip:1234@192.0.2.31:5060 SIP/2.0",
        SIPMessageType.REQUEST,
        0,
        "INVITE",
        request(start="INVITE sip:1234@192.0.2.31:5060 SIP/2.0"),
        {},
    )
    assert (message.body, message.version, message.start_line) == (
        {},
        "SIP/2.0",
        ["INVITE", "sip:1234@192.0.2.31:5060", "SIP/2.0"],
    )
    assert message.to == {
        "raw": "sip:1234@192.0.2.31:5060",
        "tag": "",
        "uri": "sip:1234@192.0.2.31:5060",
        "uri-type": "sip",
        "user": "1234",
        "password": "",
        "display-name": "",
        "host": "192.0.2.31",
        "port": 5060,
    }


def test_a_response_has_a_status_and_no_method() -> None:
    message = SIPMessage(response("486 Busy Here"))
    assert (message.type, message.status, message.method, message.destination) == (
        SIPMessageType.RESPONSE,
        SIPStatus.BUSY_HERE,
        None,
        {},
    )


def test_headers_have_the_shapes_that_scripts_read() -> None:
    headers = SIPMessage(
        request(
            "Session-Expires: 1800",
            "User-Agent: Asterisk PBX 18.24.2",
            "Target-Dialog: abc;local-tag=1;remote-tag=2",
            "Refer-Sub: false;x",
            CSeq="16613 INVITE",
            **{"Call-ID": "12345"},
        )
    ).headers
    assert isinstance(headers, dict)
    assert {name: headers[name] for name in list(headers)[3:]} == {
        "Call-ID": "12345",
        "CSeq": {"check": 16613, "method": "INVITE"},
        "Session-Expires": 1800,
        "User-Agent": "Asterisk PBX 18.24.2",
        "Target-Dialog": {"callid": "abc", "local-tag": "1", "remote-tag": "2"},
        "Refer-Sub": {"value": False, "x": None},
        "Content-Length": 0,
    }


def test_a_description_has_the_shape_that_scripts_read() -> None:
    lines = (
        "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )
    body = described(f"{SDP}m=audio 13344/2 RTP/AVP 0 101\r\n{lines}").body
    attributes = {"ptime": "20", "transmit_type": TransmitType.SENDRECV}
    assert body == {
        "v": 0,
        "o": {
            "username": "-",
            "id": "1",
            "version": "2",
            "network_type": "IN",
            "address_type": "IP4",
            "address": "192.0.2.10",
        },
        "s": "-",
        "c": [
            {
                "network_type": "IN",
                "address_type": "IP4",
                "address": "192.0.2.10",
                "ttl": None,
                "address_count": 1,
            }
        ],
        "t": {"start": "0", "stop": "0"},
        "m": [
            {
                "type": "audio",
                "port": 13344,
                "port_count": 2,
                "protocol": RTPProtocol.AVP,
                "methods": ["0", "101"],
                "attributes": {
                    "0": {"rtpmap": {"id": "0", "name": "PCMU", "frequency": "8000", "encoding": None}},
                    "101": {
                        "rtpmap": {"id": "101", "name": "telephone-event", "frequency": "8000", "encoding": None},
                        "fmtp": {"id": "101", "settings": ["0-16"]},
                    },
                },
                "a": attributes,
            }
        ],
        "a": attributes,
    }


def test_the_rarer_lines_of_a_description_have_their_shapes() -> None:
    lines = "b=AS:64\r\nr=7d 1h 0 25h\r\nz=2882844526 -1h 2898848070 0\r\nk=clear:x\r\ni=info\r\nv=x\r\nodd\r\n"
    body = described(f"{lines}{AUDIO}c=IN IP4 224.2.1.1/127/3\r\na=inactive\r\nk=prompt\r\n").body
    connection = {"network_type": "IN", "address_type": "IP4", "address": "224.2.1.1", "ttl": 127, "address_count": 3}
    assert {name: body[name] for name in body if name != "m"} == {
        "b": {"type": "AS", "bandwidth": "64"},
        "r": {"repeat": "7d", "duration": "1h", "offset1": "0", "offset2": "25h"},
        "z": {"adjustment-time0": "2882844526", "offset0": "-1h", "adjustment-time1": "2898848070", "offset1": "0"},
        "k": {"method": "prompt"},
        "i": "info",
        "v": "x",
        "c": [connection],
        "a": {"transmit_type": TransmitType.INACTIVE},
    }


def test_a_summary_shows_the_message() -> None:
    summary = SIPMessage(request("Subject: hi", body="x")).summary()
    assert summary.startswith("INVITE sip:door@192.0.2.2 SIP/2.0\nHeaders:\n\tVia: [{")
    assert "\n\tSubject: hi" in summary
    assert "\nBody:\n\tcontent: b'x'\nRaw:\n" in summary


def test_a_message_may_be_read_as_its_kind() -> None:
    asked, answered = SIPMessage.from_bytes(request()), SIPMessage.from_string(response("200 OK").decode())
    assert (type(asked), asked.method == SIPMethod.INVITE, repr(asked)) == (
        SIPRequest,
        True,
        "<SIPRequest 'INVITE sip:door@192.0.2.2 SIP/2.0'>",
    )
    assert (type(answered), answered.status) == (SIPResponse, SIPStatus.OK)


def test_a_method_is_a_string() -> None:
    assert ("INVITE", str(SIPMethod.BYE), repr(SIPMethod.ACK)) == (SIPMethod.INVITE, "BYE", "ACK")


# --- RTP ---


def test_payload_types_know_their_numbers_and_names() -> None:
    assert (int(PayloadType.PCMA), str(PayloadType.DVI4_16000), str(PayloadType.EVENT), PayloadType(0)) == (
        8,
        "DVI4",
        "telephone-event",
        PayloadType.PCMU,
    )
    assert (PayloadType.L16_2.rate, PayloadType.L16_2.channel, PayloadType.UNKNOWN.description) == (
        44100,
        2,
        "UNKNOWN CODEC",
    )
    with pytest.raises(DynamicPayloadType):
        int(PayloadType.EVENT)


def test_protocols_directions_and_keys_are_their_text() -> None:
    assert [str(each) for each in (RTPProtocol.SAVP, TransmitType.SENDONLY, DTMF(11))] == ["RTP/SAVP", "sendonly", "#"]


def test_bytes_are_bits_and_a_number() -> None:
    assert (byte_to_bits(b"\x05"), add_bytes(b"\x01\x02")) == ("00000101", 258)


def test_an_rtp_packet_is_read() -> None:
    data = bytes.fromhex("b1 80 0001 00000002 00000003 0000000a 0001 0001 ffffffff") + b"ab" + b"\x00\x02"
    packet = RTPMessage(data, {0: PayloadType.PCMU})
    assert (packet.version, packet.padding, packet.extension, packet.CC, packet.marker) == (2, True, True, 1, True)
    assert (packet.sequence, packet.timestamp, packet.SSRC, packet.CSRC) == (1, 2, 3, [10])
    assert (packet.payload_type, packet.payload, packet.raw) == (PayloadType.PCMU, b"ab", data)
    assert "Sequence Number: 1\nTimestamp: 2" in packet.summary()


def test_an_rtp_packet_may_have_any_number_that_was_agreed_on() -> None:
    data = bytes.fromhex("8065 0001 00000002 00000003")
    assert RTPMessage(data, {101: PayloadType.EVENT}).payload_type is PayloadType.EVENT
    with pytest.raises(RTPParseError, match="101"):
        RTPMessage(data, {})
    with pytest.raises(RTPParseError):
        RTPMessage(b"x", {})


def test_samples_come_out_in_the_order_of_their_timestamps() -> None:
    samples = RTPPacketManager()
    samples.write(1000, b"bb")
    samples.write(1004, b"dd")
    samples.write(998, b"aa")
    assert (samples.read(4), samples.read(5)) == (b"aabb", b"\x80\x80dd\x80")


def test_samples_of_another_stream_begin_anew() -> None:
    samples = RTPPacketManager()
    samples.write(200_000, b"old")
    samples.write(5, b"new")
    assert samples.read(3) == b"new"


# --- the rest ---


def test_credentials_are_looked_up_from_the_most_exact_to_any() -> None:
    manager = CredentialsManager()
    manager.add("any", "0")
    manager.add("exact", "1", server="pbx", realm="r", user="u")
    assert manager.get("pbx", "r", "u") == {"username": "exact", "password": "1"}
    assert manager.get("pbx", "other", "u") == {"username": "any", "password": "0"}
    assert manager.credentials["pbx"]["r"]["u"] == {"username": "exact", "password": "1"}
    assert CredentialsManager().get("pbx", "r", "u") == {"username": "anonymous", "password": ""}


def test_nat_tells_each_peer_an_address_that_it_can_use() -> None:
    nat = NAT("10.0.0.4", "10.0.0.0/24", remote_hostname="example.com")
    assert (nat.get_host("8.8.8.8"), nat.get_host("10.0.0.10")) == ("example.com", "10.0.0.4")
    assert NAT("0.0.0.0", "10.0.0.0/24", hostname="10.0.0.4").get_host("10.0.0.10") == "10.0.0.4"
    with pytest.raises(NATError):
        NAT("10.0.0.4", "10.0.0.0/24").get_host("8.8.8.8")
    with pytest.raises(NATError):
        nat.get_host("nobody.invalid.")


def test_nat_knows_its_own_addresses() -> None:
    nat = NAT("10.0.0.4", "10.0.0.0/24", remote_hostname="example.com")
    asked = ("example.com", "10.0.0.4", "10.0.0.5", "nobody.invalid.")
    assert [nat.check_host(host) for host in asked] == [
        AddressType.LOCAL,
        AddressType.LOCAL,
        AddressType.REMOTE,
        AddressType.REMOTE,
    ]


def test_transports_are_found_by_name() -> None:
    mode = TransportMode("TLS")
    assert (mode, str(mode), mode.tls_mode) == (TransportMode.TLS, "TLS", ssl.PROTOCOL_TLS)


def test_tls_security_can_be_set() -> None:
    pyvoip.set_tls_security(ssl.CERT_NONE)
    lax = (pyvoip.TLS_CHECK_HOSTNAME, pyvoip.TLS_VERIFY_MODE)
    pyvoip.set_tls_security(ssl.CERT_REQUIRED)
    strict = (pyvoip.TLS_CHECK_HOSTNAME, pyvoip.TLS_VERIFY_MODE)
    assert (lax, strict) == ((False, ssl.CERT_NONE), (True, ssl.CERT_REQUIRED))


def test_debug_prints_only_what_it_should(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pyvoip.debug("long", "short")
    pyvoip.debug("long")
    monkeypatch.setattr(pyvoip, "DEBUG", True)
    pyvoip.debug("long", "short")
    assert capsys.readouterr().out == "short\nlong\n"


def test_settings_have_their_defaults() -> None:
    assert (
        pyvoip.DEBUG,
        pyvoip.TRANSMIT_DELAY_REDUCTION,
        pyvoip.ALLOW_BASIC_AUTH,
        pyvoip.ALLOW_MD5_AUTH,
        pyvoip.REGISTER_FAILURE_THRESHOLD,
        pyvoip.ALLOW_TLS_FALLBACK,
        pyvoip.SIP_STATE_DB_LOCATION,
        pyvoip.SIPCompatibleVersions,
        pyvoip.RTPCompatibleVersions,
        pyvoip.RTPCompatibleCodecs,
    ) == (
        False,
        0.0,
        False,
        True,
        3,
        False,
        ":memory:",
        ["SIP/2.0"],
        [2],
        [PayloadType.PCMU, PayloadType.PCMA, PayloadType.EVENT],
    )


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("SIP", "InvalidAccountInfoError SIPParseError"),
        ("SIP.error", "InvalidAccountInfoError SIPParseError RetryRequiredError"),
        ("SIP.message.message", "SIPMessage SIPMethod SIPRequest SIPResponse"),
        ("SIP.message.response_codes", "ResponseCode"),
        ("SIP.message.parse", "parse_raw_headers get_uri_header parse_header COMPACT_KEY"),
        ("VoIP.error", "InvalidStateError InvalidRangeError NoPortsAvailableError"),
        ("VoIP.status", "PhoneStatus"),
        ("types", "URI_HEADER SOCKETS KEY_PASSWORD CREDENTIALS_DICT"),
    ],
)
def test_every_module_has_its_names(module: str, names: str) -> None:
    found = importlib.import_module(f"sip_bridge.pyvoip.{module}")
    assert [name for name in names.split() if not hasattr(found, name)] == []


def test_signatures_are_the_documented_ones() -> None:
    assert str(inspect.signature(SIPMessage)) == "(data: bytes) -> None"
    assert list(inspect.signature(CredentialsManager.add).parameters) == [
        "self",
        "username",
        "password",
        "server",
        "realm",
        "user",
    ]
