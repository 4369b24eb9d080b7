"""Hops: what a URI says of the next server (RFC 3263 §4), and whose certificate it has to show (RFC 5922 §4)."""

import pytest

from sip_bridge.sip.flow import Hop
from sip_bridge.sip.uri import SIPURI


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        ("sip:200@PBX.example", Hop(host="pbx.example")),
        ("sip:pbx.example:5070;transport=tcp", Hop(host="pbx.example", port=5070, transport="TCP")),
        ("sip:pbx.example;transport=tls;lr", Hop(host="pbx.example", transport="TLS")),
        ("sips:pbx.example", Hop(host="pbx.example", secure=True)),
        ("sips:pbx.example;transport=tcp", Hop(host="pbx.example", transport="TLS", secure=True)),
        ("sips:pbx.example;transport=udp", Hop(host="pbx.example", transport="UDP", secure=True)),
        ("sip:pbx.example;transport", Hop(host="pbx.example")),
        ("sip:pbx.example;maddr=192.0.2.7", Hop(host="192.0.2.7", domain="pbx.example")),
        ("sip:pbx.example;maddr=[2001:DB8::7]", Hop(host="2001:db8::7", domain="pbx.example")),
    ],
)
def test_a_uri_names_the_next_hop(uri: str, hop: Hop) -> None:
    assert Hop.of(SIPURI.parse(uri)) == hop


@pytest.mark.parametrize(
    ("hop", "name"),
    [
        (Hop(host="pbx.example"), "pbx.example"),
        (Hop(host="pbx.example."), "pbx.example"),
        (Hop(host="192.0.2.7", domain="pbx.example"), "pbx.example"),
        (Hop(host="192.0.2.7"), "192.0.2.7"),
    ],
)
def test_a_certificate_has_to_hold_the_name_that_the_uri_gave(hop: Hop, name: str) -> None:
    assert hop.server_name == name
