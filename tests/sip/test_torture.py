"""What becomes of the messages of RFC 4475 and RFC 5118."""

import pytest

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.events import CallReceived
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import SIPMessage
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire
from tests.sip.torture import (
    APPLICATION,
    CASES,
    INTERESTING_METHOD,
    IPV6,
    SDP_LENGTH,
    TORTUOUS_INVITE,
    VALID,
    WIDE_RANGE,
    usual,
)

LINES = ("user", "user;par=u@example.net", "sips:user@example.com")
WITHOUT_LENGTH = "3.4.1 an INVITE of RFC 2543"  # legal on UDP only (RFC 3261 §20.14)
NOT_VALID = "4.2 an IPv6 address without brackets"


def verdict(
    wire: Wire, text: str, *, lines: tuple[str, ...] = LINES, transport: str = "UDP", line_end: str = "\r\n"
) -> tuple[str, SIPMessage | None]:
    """What becomes of a message to lines that everybody may call; a call afterwards rings as ever."""
    bob, raw = Party(wire, "192.0.2.2"), RawPeer(wire, "192.0.2.66")
    for line in lines:
        bob.add_direct_line(line)
    flow = Flow(transport=transport, local=bob.address, remote=raw.address)
    bob.endpoint.receive(text.replace("\n", line_end).encode(), flow, wire.now)
    bob.drain()
    answers = [sent for sent in wire.sent if sent.source == bob.address]
    rung = len(bob.told(CallReceived))
    raw.request(bob, "INVITE", uri=f"sip:{lines[0]}@192.0.2.2", call_id="afterwards", content=OFFER)
    wire.run(0.05)
    assert len(bob.told(CallReceived)) == rung + 1
    word = "rings" if rung else "nothing"
    return (answers[0].word, answers[0].message) if answers else (word, None)


def test_no_message_is_left_out() -> None:
    documents = [name.partition(".")[0] for name in CASES]
    assert (documents.count("3"), documents.count("4")) == (49, 12)


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_of_the_rfc(wire: Wire, name: str) -> None:
    text, expected = CASES[name]
    assert verdict(wire, text)[0] == expected


@pytest.mark.parametrize("name", CASES)
def test_a_message_for_nobody_gets_404_where_it_would_have_been_accepted(wire: Wire, name: str) -> None:
    text, expected = CASES[name]
    assert verdict(wire, text, lines=("door",))[0] == {"rings": "404", "200": "404"}.get(expected, expected)


@pytest.mark.parametrize("name", [name for name in CASES if name != WITHOUT_LENGTH])
def test_the_verdict_is_the_same_on_a_stream(wire: Wire, name: str) -> None:
    text, expected = CASES[name]
    assert verdict(wire, text, transport="TCP")[0] == expected


def test_on_a_stream_nothing_goes_without_content_length(wire: Wire) -> None:
    assert verdict(wire, CASES[WITHOUT_LENGTH][0], transport="TCP")[0] == "400"


@pytest.mark.parametrize("name", [name for name in IPV6 if CASES[name][1] != "rings"])
def test_the_verdict_is_the_same_for_lines_that_end_in_lf(wire: Wire, name: str) -> None:
    text, expected = CASES[name]
    assert verdict(wire, text, line_end="\n")[0] == expected


@pytest.mark.parametrize("name", [*VALID, *APPLICATION, *(name for name in IPV6 if name != NOT_VALID)])
def test_what_is_valid_passes_validation(name: str) -> None:
    message = SIPMessage(CASES[name][0].replace("\n", "\r\n").encode())
    assert judged(message) == ("refused" if name.startswith(("3.3.1 ", "3.3.8 ", "3.3.9 ")) else "valid")


def judged(message: SIPMessage) -> str:
    try:
        message.validate()
    except RemoteProtocolError:
        return "refused"
    return "valid"


def test_the_tortuous_invite_reads_right() -> None:
    message = SIPMessage(TORTUOUS_INVITE.replace("\n", "\r\n").encode())
    message.validate()
    assert message.to == NameAddr(uri="sip:vivekg@chair-dnrc.example.com", params=(("tag", "1918181833n"),))
    assert message.from_ == NameAddr(
        uri="sip:jdrosen@example.com", display_name='J Rosenberg \\"', params=(("tag", "98asjd8"),)
    )
    assert (message.cseq.number, message.number("max-forwards"), len(message.content)) == (9, 68, SDP_LENGTH)
    assert (message.via.host, message.via.branch) == ("192.0.2.2", "390skdjuw")
    assert len(message.items("via")) == 3
    assert message.contact == NameAddr(
        uri="sip:jdrosen@example.com",
        display_name='Quoted string ""',
        params=(("newparam", "newvalue"), ("secondparam", None), ("q", "0.33")),
    )


def test_the_wide_range_of_characters_reads_right() -> None:
    message = SIPMessage(WIDE_RANGE.replace("\n", "\r\n").encode())
    message.validate()
    assert message.method == INTERESTING_METHOD
    assert message.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert message.from_.param("fromparam''~+*_!.-%") == "работающий"
    assert message.get("extensionheader-!.%*+_`'~") == "大停電"


def test_an_answer_to_what_can_not_be_read_copies_what_is_there(wire: Wire) -> None:
    text = 'INVITE sip:user@example.com SIP/2.0\nVia: SIP/2.0/UDP ;;\nTo: "open <sip:a@h>\nCall-ID: c\n\n'
    word, answer = verdict(wire, text)
    assert answer is not None
    assert (word, answer.get("via"), answer.get("to"), answer.get("call-id")) == (
        "400",
        "SIP/2.0/UDP ;;",
        '"open <sip:a@h>',
        "c",
    )
    assert (answer.get("from"), answer.get("cseq"), wire.sent[0].destination) == (None, None, ("192.0.2.66", 5060))


def test_a_datagram_is_answered_at_5060_whatever_transport_its_via_claims(wire: Wire) -> None:
    via = "SIP/2.0/TLS fold-and-staple.example.com;branch=z9hG4bKkdjuw"
    word, _ = verdict(wire, f"OPTIONS sip:user@h SIP/2.0\n{usual('OPTIONS', Via=via)}Require: x\nl: 0\n\n")
    assert (word, wire.sent[0].destination) == ("420", ("192.0.2.66", 5060))


def test_without_via_there_is_nowhere_to_answer(wire: Wire) -> None:
    assert verdict(wire, f"INVITE sip:user@h SIP/2.0\n{usual(without='Via')}\n")[0] == "nothing"


def test_a_malformed_ack_gets_no_answer(wire: Wire) -> None:
    assert verdict(wire, f"ACK sip:user@h SIP/2.0\n{usual('INVITE')}\n")[0] == "nothing"


def test_the_unsupported_extensions_are_listed(wire: Wire) -> None:
    _, answer = verdict(wire, CASES["3.3.5 unknown extensions required"][0])
    assert answer is not None
    assert answer.get("unsupported") == "nothingSupportsThis, nothingSupportsThisEither"


def test_requests_without_a_real_branch_are_told_apart(wire: Wire) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("user")
    raw = RawPeer(wire, "192.0.2.66")
    for call_id in ("one", "two", "two"):
        via = "SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK"
        raw.send(f"OPTIONS sip:user@h SIP/2.0\n{usual('OPTIONS', Via=via, Call_ID=call_id)}l: 0\n\n", bob)
    wire.run(0.1)
    assert [message.call_id for message in raw.received] == ["one", "two", "two"]
    assert bob.endpoint.transactions == 2


def test_a_call_of_rfc_2543_can_be_answered_and_hung_up(wire: Wire) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("user")
    bob.hosts["ift.client.example.net"] = (("192.0.2.66", 5060),)
    raw = RawPeer(wire, "192.0.2.66")
    text = CASES["3.4.1 an INVITE of RFC 2543"][0]
    raw.send(text, bob)
    wire.run(0.05)
    (received,) = [event for event in bob.events if isinstance(event, CallReceived)]
    bob.do(bob.endpoint.answer, received.call, ANSWER)
    wire.run(0.05)
    tag = raw.last("200").to.tag
    ack = text.split("Content-Type")[0].replace("INVITE sip", "ACK sip").replace("56 INVITE", "56 ACK")
    raw.send(ack.replace("To: sip:+16505552222@ss1.example.net;user=phone", f"To: <sip:x@h>;tag={tag}") + "\n", bob)
    wire.run(0.05)
    bob.do(bob.endpoint.hangup, received.call)
    bye = wire.sent[-1]
    assert (bye.word, bye.message.uri) == ("BYE", "sip:user@example.com;maddr=192.0.2.66")
    assert bye.destination == ("192.0.2.66", 5060)
    assert bye.message.items("route") == ["<sip:+13035551111@ift.client.example.net;user=phone>"]
