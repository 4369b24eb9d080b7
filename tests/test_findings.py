"""What the doctor makes of what it sees, where the world can't be made so in a test."""

from collections.abc import Callable

import pytest

from sip_bridge.cli.doctor_registrar import Witness
from sip_bridge.cli.findings import Finding, Verdict
from sip_bridge.phone.client import WireMessage
from sip_bridge.sip.flow import Flow

FLOW = Flow(transport="UDP", local=("192.168.1.5", 5062), remote=("203.0.113.9", 5060))
NOW = 1764000000.0  # Mon, 24 Nov 2025 16:00:00 GMT


@pytest.fixture
def witness() -> Witness:
    return Witness(clock=lambda: NOW)


def asked(witness: Witness, via: str = "192.168.1.5:5062") -> None:
    text = f"REGISTER sip:203.0.113.9 SIP/2.0\r\nVia: SIP/2.0/UDP {via};rport;branch=z9hG4bKx\r\n{REST}"
    witness.observe(WireMessage(data=text.encode(), flow=FLOW, is_ours=True))


def answered(witness: Witness, via: str, more: str = "") -> None:
    text = f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKx\r\n{more}{REST}"
    witness.observe(WireMessage(data=text.encode(), flow=FLOW, is_ours=False))


REST = "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"


def texts(witness: Witness) -> list[str]:
    return [each.text for each in witness.findings("line pbx")]


def test_where_nothing_is_in_between_nothing_is_said(witness: Witness) -> None:
    asked(witness)
    answered(witness, "192.168.1.5:5062;rport=5062", "Date: Mon, 24 Nov 2025 16:00:30 GMT\r\n")
    assert texts(witness) == []


def test_a_router_that_translates_addresses_is_named(witness: Witness) -> None:
    asked(witness)
    answered(witness, "192.168.1.5:5062;received=198.51.100.7;rport=40000")
    (said,) = texts(witness)
    seen = "the server sees this computer as 198.51.100.7:40000, which here is 192.168.1.5:5062"
    assert said == f"{seen}: a router translates addresses"


def test_a_router_that_rewrites_sip_is_named(witness: Witness) -> None:
    asked(witness)
    answered(witness, "198.51.100.7:40000;rport=40000")
    (found,) = witness.findings("line pbx")
    assert found == Finding(
        verdict=Verdict.HINT,
        subject="line pbx",
        text="something on the way rewrites SIP messages: a router's SIP ALG, most likely",
        advice="Turn it off in the router (SIP ALG, SIP helper), or use transport: tls.",
    )


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("Mon, 24 Nov 2025 15:50:00 GMT", ["this computer's clock is 600 s ahead of the server's"]),
        ("Mon, 24 Nov 2025 16:05:00 GMT", ["this computer's clock is 300 s behind the server's"]),
        ("the day after tomorrow", []),
    ],
)
def test_clocks_that_differ_are_named(witness: Witness, date: str, said: list[str]) -> None:
    asked(witness)
    answered(witness, "192.168.1.5:5062;rport=5062", f"Date: {date}\r\n")
    assert texts(witness) == said


@pytest.mark.parametrize("observe", [lambda w: answered(w, "198.51.100.7:1"), lambda w: answered(w, "nonsense::")])
def test_what_was_not_asked_for_and_nonsense_say_nothing(witness: Witness, observe: Callable[[Witness], None]) -> None:
    observe(witness)
    assert texts(witness) == []
