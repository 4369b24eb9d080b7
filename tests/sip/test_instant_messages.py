"""MESSAGE (RFC 3428): texts out and in, with and without a call."""

import pytest

from sip_bridge.errors import LocalProtocolError
from sip_bridge.sip.allowance import MAX_HOSTS, Allowance
from sip_bridge.sip.core import MESSAGE_BURST
from sip_bridge.sip.events import EndCause, Event, MessageFailed, MessageReceived, MessageSent
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.instant_message import MAX_RECEIVED, MAX_SENT
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI
from tests.scenario import ANSWER, OFFER, PBX, Party, RawPeer, Wire, assert_nothing_left

RAW = NameAddr(uri="sip:raw@192.0.2.66")


@pytest.fixture
def carol(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.3")
    party.add_registered_line("620")
    return party


def text_to(party: Party, line: str, target: str, text: str, **more: str) -> str:
    message = party.endpoint.send_message(line, target, text, party.wire.now, **more)
    party.drain()
    return message


def received(text: str, *, content_type: str = "text/plain", line: str = "door") -> MessageReceived:
    return MessageReceived(line=line, remote=RAW, content_type=content_type, text=text)


# --- out ---


def test_a_text_arrives_and_its_sender_hears_so(wire: Wire, alice: Party, bob: Party) -> None:
    message = text_to(alice, "alice", "sip:door@192.0.2.2", "Grüezi, who rings?")
    wire.run(0.1)
    (got,) = bob.events
    assert isinstance(got, MessageReceived)
    assert (got.line, got.remote.uri, got.text) == ("door", "sip:alice@192.0.2.1", "Grüezi, who rings?")
    assert list(alice.events) == [MessageSent(line="alice", message=message, status=SIPStatus.OK)]
    assert wire.words == ["MESSAGE", "200"]
    assert_nothing_left(wire, alice, bob)


def test_a_message_has_no_contact_and_says_its_character_set(wire: Wire, alice: Party, raw: RawPeer) -> None:
    text_to(alice, "alice", "sip:x@192.0.2.66", "é", content_type="text/html")
    wire.run(0.1)
    message = raw.last("MESSAGE")
    assert (message.get("contact"), message.get("content-type")) == (None, "text/html;charset=UTF-8")
    assert (message.uri, message.get("to"), message.content) == ("sip:x@192.0.2.66", "<sip:x@192.0.2.66>", b"\xc3\xa9")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("text/plain; charset=latin-1;format=flowed", "text/plain;format=flowed;charset=UTF-8"),
        ("application/json", "application/json"),
        ("application/x; v=1", "application/x;v=1"),
    ],
)
def test_only_text_has_a_character_set_and_it_is_the_one_that_is_sent(
    wire: Wire, alice: Party, raw: RawPeer, given: str, sent: str
) -> None:
    text_to(alice, "alice", "sip:x@192.0.2.66", "é", content_type=given)
    wire.run(0.1)
    assert raw.last("MESSAGE").get("content-type") == sent


def test_a_text_survives_loss_and_arrives_once(wire: Wire, alice: Party, bob: Party) -> None:
    wire.drops = lambda sent: sent.word == "200" and sent.at < 1004
    text_to(alice, "alice", "sip:door@192.0.2.2", "hi")
    wire.run(10)
    assert len(bob.told(MessageReceived)) == 1
    assert len(alice.told(MessageSent)) == 1


@pytest.mark.parametrize("status", [202, 200])
def test_any_success_counts(wire: Wire, alice: Party, raw: RawPeer, status: int) -> None:
    message = text_to(alice, "alice", "sip:x@192.0.2.66", "hi")
    wire.run(0.1)
    for code in (100, status, status):
        raw.respond(raw.last("MESSAGE"), code)
    wire.run(0.1)
    assert list(alice.events) == [MessageSent(line="alice", message=message, status=SIPStatus(status))]


def test_a_refused_text_says_with_what(wire: Wire, alice: Party, raw: RawPeer) -> None:
    raw.on_request = lambda request: raw.respond(request, 480)
    message = text_to(alice, "alice", "sip:x@192.0.2.66", "hi")
    wire.run(0.1)
    failed = MessageFailed(
        line="alice",
        message=message,
        cause=EndCause.REJECTED,
        status=SIPStatus.TEMPORARILY_UNAVAILABLE,
        phrase="Temporarily Unavailable",
    )
    assert list(alice.events) == [failed]


def test_a_text_that_nobody_answers_fails_after_64_t1(wire: Wire, alice: Party) -> None:
    message = text_to(alice, "alice", "sip:x@192.0.2.66", "hi")
    wire.run(31.9)
    assert list(alice.events) == []
    wire.run(0.2)
    assert list(alice.events) == [MessageFailed(line="alice", message=message, cause=EndCause.TIMEOUT)]


def test_a_text_to_nowhere_fails_at_once(alice: Party) -> None:
    message = text_to(alice, "alice", "sip:x@nowhere.invalid", "hi")
    assert list(alice.events) == [MessageFailed(line="alice", message=message, cause=EndCause.UNREACHABLE)]


def test_a_registered_line_writes_through_its_registrar_and_answers_its_challenge(wire: Wire, carol: Party) -> None:
    pbx = RawPeer(wire, PBX.host)
    challenge = ['Proxy-Authenticate: Digest realm="pbx", nonce="n1", qop="auth"']
    pbx.on_request = lambda request: (
        pbx.respond(request, 200)
        if request.get("proxy-authorization")
        else pbx.respond(request, 407, headers=challenge)
    )
    text_to(carol, "620", "200", "hi")
    wire.run(1)
    message = pbx.last("MESSAGE")
    assert (message.uri, message.from_.uri) == ("sip:200@192.0.2.100", "sip:620@192.0.2.100")
    assert message.cseq.number == 2
    assert len(carol.told(MessageSent)) == 1


def test_a_text_goes_through_the_outbound_proxy(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", outbound_proxy=SIPURI(host="192.0.2.80", params=(("lr", None),)))
    text_to(carol, "620", "200", "hi")
    text_to(carol, "620", "sip:x@192.0.2.66", "hi")
    assert [(sent.destination[0], sent.message.get("route")) for sent in wire.sent] == [
        ("192.0.2.80", "<sip:192.0.2.80;lr>"),
        ("192.0.2.80", "<sip:192.0.2.80;lr>"),
    ]


@pytest.mark.parametrize(
    ("target", "text", "content_type"),
    [
        ("sip:x@192.0.2.66", "x" * (MAX_SENT + 1), "text/plain"),
        ("sip:x@192.0.2.66", "é" * MAX_SENT, "text/plain"),
        ("sip:x@192.0.2.66", "x", "text"),
        ("sip:x@192.0.2.66", "x", "text/plain/x"),
        ("sip:x@192.0.2.66", "x", "text/plain\r\nX: y"),
        ("sip:x@192.0.2.66", "x", "text/plain;a=b\r\nX: y"),
        ("sip:x@192.0.2.66", "x", "text/plain;=b"),
        ("200", "x", "text/plain"),
    ],
)
def test_what_may_not_be_sent_is_refused_here(
    wire: Wire, alice: Party, target: str, text: str, content_type: str
) -> None:
    with pytest.raises(LocalProtocolError):
        alice.endpoint.send_message("alice", target, text, wire.now, content_type=content_type)
    assert wire.words == []


def test_the_longest_text_goes_out(wire: Wire, alice: Party, bob: Party) -> None:
    text_to(alice, "alice", "sip:door@192.0.2.2", "x" * MAX_SENT)
    wire.run(0.1)
    assert len(alice.told(MessageSent)) == 1


# --- in ---


def send(raw: RawPeer, to: Party, content: bytes, content_type: str = "text/plain", **more: str) -> None:
    raw.request(to, "MESSAGE", content=content, content_type=content_type, contact="", **more)  # type: ignore[arg-type]
    raw.wire.run(0.05)


MULTIPART = b"--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b\r\nContent-Type: text/plain\r\n\r\nHi\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("content_type", "content", "told"),
    [
        ("text/plain", b"hi", received("hi")),
        ("TEXT/Plain; charset=utf-8", "é".encode(), received("é")),
        ("text/html", b"<p>hi", received("<p>hi", content_type="text/html")),
        ("text/plain;charset=ISO-8859-1", b"\xe9\x80", received("é€")),
        ("text/plain;charset=unicode_escape", b"\\x41", received("\\x41")),
        ('text/plain;charset="u', b"hi", received("hi")),
        ("text/plain", b"\xff\0", received("\ufffd\0")),
        ("multipart/alternative;boundary=b", MULTIPART, received("Hi")),
        ("text/plain", b"", received("")),
        ("text/plain", b"x" * MAX_RECEIVED, received("x" * MAX_RECEIVED)),
    ],
)
def test_a_text_is_answered_and_told(
    wire: Wire, bob: Party, raw: RawPeer, content_type: str, content: bytes, told: Event
) -> None:
    send(raw, bob, content, content_type)
    assert (raw.words, list(bob.events)) == (["200"], [told])


@pytest.mark.parametrize(
    ("content_type", "content", "answer"),
    [
        ("application/im-iscomposing+xml", b"<x/>", (415, "text/plain, text/*")),
        (
            "multipart/mixed;boundary=b",
            b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--",
            (415, "text/plain, text/*"),
        ),
        ("text/plain", b"x" * (MAX_RECEIVED + 1), (413, None)),
    ],
)
def test_what_is_no_text_is_refused(
    wire: Wire, bob: Party, raw: RawPeer, content_type: str, content: bytes, answer: tuple[int, str | None]
) -> None:
    send(raw, bob, content, content_type)
    assert [(int(got.status), got.get("accept")) for got in raw.received] == [answer]
    assert list(bob.events) == []


def test_a_compressed_text_is_refused(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "MESSAGE", content=b"x", content_type="text/plain", headers=["Content-Encoding: gzip"])
    wire.run(0.1)
    assert (raw.words, raw.last("415").get("accept-encoding")) == (["415"], "identity")


def test_a_text_to_nobody_gets_404_and_a_strangers_gets_silence(wire: Wire, raw: RawPeer, bob: Party) -> None:
    send(raw, bob, b"hi", uri="sip:nobody@192.0.2.2")
    assert raw.words == ["404"]
    guarded = Party(wire, "192.0.2.9")
    guarded.add_direct_line("door", allow="10.0.0.0/8")
    send(raw, guarded, b"hi")
    assert raw.words == ["404"]
    assert (list(guarded.events), guarded.endpoint.counters["strangers"]) == ([], 1)


def test_a_merged_text_is_told_once(wire: Wire, bob: Party, raw: RawPeer) -> None:
    send(raw, bob, b"hi")
    send(raw, bob, b"hi")
    assert (raw.words, len(bob.events)) == (["200", "482"], 1)


def test_a_host_that_floods_is_told_to_wait_and_its_allowance_grows_again(
    wire: Wire, bob: Party, alice: Party, raw: RawPeer
) -> None:
    for number in range(MESSAGE_BURST + 1):
        raw.request(bob, "MESSAGE", call_id=f"m{number}", content=b"x", content_type="text/plain")
    text_to(alice, "alice", "sip:door@192.0.2.2", "from another host")
    wire.run(0.5)
    assert raw.words == ["200"] * MESSAGE_BURST + ["480"]
    assert raw.last("480").get("retry-after") == "10"
    assert (len(bob.events), bob.endpoint.counters["crowded"]) == (MESSAGE_BURST + 1, 1)
    wire.run(2)
    for number in range(3):
        raw.request(bob, "MESSAGE", call_id=f"n{number}", content=b"x", content_type="text/plain")
    wire.run(0.1)
    assert raw.words[-3:] == ["200", "200", "480"]


def test_the_hosts_remembered_are_bounded() -> None:
    allowance = Allowance(burst=1, per_second=1.0)
    assert [allowance.takes(f"h{number}", 0.0) for number in range(MAX_HOSTS + 1)] == [True] * (MAX_HOSTS + 1)
    assert (allowance.takes("h0", 0.0), allowance.takes(f"h{MAX_HOSTS}", 0.0)) == (True, False)


def test_whom_the_registrar_vouches_for_is_the_sender(wire: Wire, carol: Party) -> None:
    pbx = RawPeer(wire, PBX.host)
    pbx.on_request = lambda request: pbx.respond(request, 200)
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    identity = 'P-Asserted-Identity: "Kitchen" <sip:101@192.0.2.100>'
    pbx.request(carol, "MESSAGE", uri="sip:620@h", content=b"x", content_type="text/plain", headers=[identity])
    wire.run(0.1)
    remote = NameAddr(uri="sip:101@192.0.2.100", display_name="Kitchen")
    told = MessageReceived(line="620", remote=remote, content_type="text/plain", text="x")
    assert carol.told(MessageReceived) == [told]


# --- within a call ---


def test_a_text_within_a_call_is_the_lines_and_the_call_goes_on(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "INVITE", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    tag = raw.last("200").to.tag
    raw.request(bob, "ACK", to_tag=tag)
    raw.request(bob, "MESSAGE", to_tag=tag, seq=2, content=b"hi", content_type="text/plain")
    raw.request(bob, "MESSAGE", to_tag=tag, seq=3, content=b"x", content_type="image/png")
    raw.request(
        bob, "MESSAGE", to_tag=tag, seq=4, content=b"x", content_type="text/x", headers=["Content-Encoding: br"]
    )
    wire.run(0.1)
    assert raw.words[-3:] == ["200", "415", "415"]
    assert bob.told(MessageReceived) == [received("hi")]
    assert bob.endpoint.calls == 1
