"""Where responses go, and what they tell of the address that a request came from."""

import pytest

from sip_bridge.sip.flow import Flow
from sip_bridge.sip.line import DirectLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.responses import reopened_flow, stamp_via
from sip_bridge.sip.route import Routing
from sip_bridge.sip.uri import SIPURI

GONE = Flow(transport="TCP", local=("192.0.2.1", 5060), remote=("192.0.2.9", 40000), connection=7)


def response(via: str) -> bytes:
    return f"SIP/2.0 200 OK\r\nVia: {via}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("via", "port", "name"),
    [
        ("SIP/2.0/TCP 192.0.2.9:5070;branch=z9hG4bK1", 5070, "192.0.2.9"),
        ("SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1", 5060, "192.0.2.9"),
        ("SIP/2.0/TLS pbx.example;branch=z9hG4bK1;received=192.0.2.9", 5061, "pbx.example"),
        ("illegible", 40000, "192.0.2.9"),
    ],
)
def test_a_response_whose_connection_is_gone_goes_to_the_port_of_sent_by(via: str, port: int, name: str) -> None:
    expected = Flow(transport="TCP", local=GONE.local, remote=("192.0.2.9", port), server_name=name)
    assert reopened_flow(response(via), GONE) == expected


def test_the_interface_of_a_link_local_peer_stays_here() -> None:
    request = SIPMessage(
        b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP [fe80::2];rport;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n"
    )
    flow = Flow(transport="UDP", local=("fe80::1", 5060), remote=("fe80::2%eth0", 5062))
    stamped = "Via: SIP/2.0/UDP [fe80::2];branch=z9hG4bK1;received=fe80::2;rport=5062\r\n"
    assert stamp_via(request, flow) == stamped


@pytest.mark.parametrize(
    ("uri", "transport", "secure"),
    [
        ("sip:a@b.example", "TCP", False),
        ("sip:a@b.example;transport=udp", "UDP", False),
        ("sips:a@b.example", None, True),
    ],
)
def test_a_direct_line_calls_over_its_own_transport_where_the_uri_says_nothing(
    uri: str, transport: str | None, secure: bool
) -> None:
    line = DirectLine(id="door", user="door", display_name="Door", transport="TCP")
    hop = Routing().of(line, SIPURI.parse(uri)).hop
    assert (hop.transport, hop.secure) == (transport, secure)
