"""Who may ring, who is answered without a person, and what may be dialled: tables of what is decided."""

from dataclasses import replace

import pytest

from sip_bridge.phone.screening import IncomingCall, Refuse, Ring, may_dial, screen
from sip_bridge.phone.settings import (
    Account,
    AutoAnswer,
    CallFrom,
    Contact,
    DirectAccount,
    LineSettings,
    RegisteredAccount,
    RejectWith,
    Secret,
)
from sip_bridge.sip.caller import Caller
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.status import SIPStatus

DIRECT = DirectAccount(id="door", name="Door", user="door")
PBX = RegisteredAccount(id="pbx", name="PBX", user="620", server="pbx.example")
BLOCKED = Refuse(status=SIPStatus(603), reason="blocked")
DISTURBED = Refuse(status=SIPStatus(480), reason="do_not_disturb")
RINGS = Ring(answer_after=None)


def call(
    uri: str = "sip:station@192.168.1.50",
    *,
    claimed: str | None = None,
    host: str = "192.168.1.50",
    anonymous: bool = False,
    answer_after: int | None = None,
    is_replacing: bool = False,
) -> IncomingCall:
    caller = Caller(address=NameAddr(uri=uri), anonymous=anonymous, answer_after=answer_after)
    return IncomingCall(caller=caller, claimed=NameAddr(uri=claimed or uri), host=host, is_replacing=is_replacing)


def verdict(account: Account, incoming: IncomingCall) -> Ring | Refuse:
    return screen(account, LineSettings.of(account), incoming)


# --- who may ring ---


def blocks(pattern: str, incoming: IncomingCall, account: Account = PBX) -> bool:
    return verdict(replace(account, call_from=CallFrom(block=(pattern,))), incoming) == BLOCKED


@pytest.mark.parametrize(
    ("pattern", "uri"),
    [
        ("0900*", "sip:0900123456@pbx.example"),
        ("+49900*", "sip:+49900123456@pbx.example"),
        ("+49 900*", "sip:+49-900.123(456)@pbx.example"),
        ("+49-900/*", "tel:+49-900-123456"),
        ("+49900*", "sip:0049900123456@pbx.example"),
        ("0049900*", "sip:+49900123456@pbx.example"),
        ("0900*", "sip:0900123;phone-context=%2B49@pbx.example;user=phone"),
        ("0900*", "sip:%30900123@pbx.example"),
        ("tel:0900*", "sip:0900123@pbx.example"),
        ("10[1-3]", "sip:102@pbx.example"),
        ("Alice", "sip:aLICE@pbx.example"),
        ("front-door.1", "sip:front-door.1@pbx.example"),
        ("sip:alice@pbx.example", "SIP:Alice@PBX.example:5070;transport=tcp"),
        ("sip:alice@pbx.example:5070", "sip:alice@pbx.example:5070"),
        ("*@evil.example", "sips:mallory@evil.example"),
        ("sip:*@evil.example", "sip:mallory@EVIL.example"),
        ("sip:192.168.1.50", "sip:192.168.1.50"),
        ("sip:0900*@pbx.example", "sip:0900-123@pbx.example"),
        ("*", "sip:192.168.1.50"),
    ],
)
def test_a_pattern_names_a_caller_however_it_writes_itself(pattern: str, uri: str) -> None:
    assert blocks(pattern, call(uri))


@pytest.mark.parametrize(
    ("pattern", "uri"),
    [
        ("0900*", "sip:900123@pbx.example"),
        ("0900", "sip:09001@pbx.example"),
        ("1??", "sip:1000@pbx.example"),
        ("10[1-3]", "sip:104@pbx.example"),
        ("alice", "sip:malice@pbx.example"),
        ("sip:alice@pbx.example", "sip:alice@pbx.example.org"),
        ("*@evil.example", "sip:evil.example@pbx.example"),
        ("sip:alice@pbx.example:5070", "sip:alice@pbx.example:5060"),
        ("anonymous", "sip:alice@pbx.example"),
        ("192.168.1.0/24", "sip:alice@192.168.1.50"),
    ],
)
def test_a_pattern_names_nobody_else(pattern: str, uri: str) -> None:
    assert not blocks(pattern, call(uri, host="198.51.100.7"))


@pytest.mark.parametrize(
    ("network", "host", "expected"),
    [
        ("192.168.1.0/24", "192.168.1.7", True),
        ("192.168.1.0/24", "192.168.2.7", False),
        ("192.168.1.7", "192.168.1.7", True),
        ("192.168.1.0/24", "::ffff:192.168.1.7", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "192.168.1.7", False),
    ],
)
def test_a_network_is_that_of_the_sender(network: str, host: str, expected: bool) -> None:
    assert blocks(network, call(host=host), DIRECT) is expected


def test_an_anonymous_caller_can_be_named() -> None:
    hidden = call("sip:0900123@pbx.example", anonymous=True)
    assert blocks("anonymous", hidden)
    assert blocks("Anonymous", hidden)
    assert not blocks("anonymous", replace(hidden, caller=replace(hidden.caller, anonymous=False)))


def test_what_a_caller_claims_to_be_is_enough_to_be_blocked_and_not_to_be_let_in() -> None:
    masked = call("sip:101@pbx.example", claimed="sip:0900123@pbx.example")
    assert blocks("0900*", masked)
    assert blocks("101", masked)
    friend = replace(PBX, call_from=CallFrom(allow=("0900*",)))
    assert verdict(friend, masked) == BLOCKED


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("sip:101@pbx.example", RINGS), ("sip:102@pbx.example", BLOCKED), ("sip:201@pbx.example", BLOCKED)],
)
def test_where_some_are_allowed_nobody_else_is_and_block_wins(uri: str, expected: Ring | Refuse) -> None:
    account = replace(PBX, call_from=CallFrom(allow=("1??", "sip:102@*"), block=("102",)))
    assert verdict(account, call(uri)) == expected


def test_do_not_disturb_refuses_who_may_ring_but_not_who_takes_the_place_of_a_call() -> None:
    account = replace(DIRECT, do_not_disturb=True, call_from=CallFrom(block=("spam",)))
    assert verdict(account, call()) == DISTURBED
    assert verdict(account, call(is_replacing=True)) == RINGS
    assert verdict(account, call("sip:spam@192.168.1.50", is_replacing=True)) == BLOCKED


def test_what_the_refused_are_told_is_configured() -> None:
    account = replace(
        PBX, reject_with=RejectWith(do_not_disturb=486, blocked=607), call_from=CallFrom(block=("0900*",))
    )
    assert verdict(account, call("sip:0900@pbx.example")) == Refuse(status=SIPStatus(607), reason="blocked")
    disturbed = replace(account, do_not_disturb=True)
    assert verdict(disturbed, call("sip:101@pbx.example")) == Refuse(status=SIPStatus(486), reason="do_not_disturb")


# --- who is answered without a person ---

ANSWERS = AutoAnswer(enabled=True, after=3.0)
FAMILY = (Contact(name="Kitchen", number="**1", also=("**2",)), Contact(name="Anna", number="+49 170 1234567"))


@pytest.mark.parametrize(
    ("account", "incoming", "after"),
    [
        (DIRECT, call(), 3.0),
        (DIRECT, call(host="198.51.100.7"), None),
        (replace(DIRECT, password=Secret("s")), call(host="198.51.100.7"), 3.0),
        (PBX, call("sip:101@pbx.example"), None),
        (replace(PBX, contacts=FAMILY), call("sip:101@pbx.example"), None),
        (replace(PBX, contacts=FAMILY), call("sip:**1@pbx.example"), 3.0),
        (replace(PBX, contacts=FAMILY), call("sip:**2@pbx.example"), 3.0),
        (replace(PBX, contacts=FAMILY), call("sip:**31@pbx.example"), None),
        (replace(PBX, contacts=FAMILY), call("sip:00491701234567@pbx.example"), 3.0),
        (replace(PBX, contacts=FAMILY), call("sip:alice@pbx.example"), None),
    ],
    ids=range(10),
)
def test_unless_told_whom_strangers_are_not_answered(
    account: Account, incoming: IncomingCall, after: float | None
) -> None:
    assert verdict(replace(account, auto_answer=ANSWERS), incoming) == Ring(answer_after=after)


@pytest.mark.parametrize(
    ("uri", "after"), [("sip:101@pbx.example", 3.0), ("sip:201@pbx.example", None), ("sip:boss@hq.example", 3.0)]
)
def test_whom_the_configuration_names_is_answered(uri: str, after: float | None) -> None:
    account = replace(PBX, auto_answer=replace(ANSWERS, callers=("1??", "*@hq.example")))
    assert verdict(account, call(uri)) == Ring(answer_after=after)


def test_a_claim_is_not_enough_to_be_answered() -> None:
    account = replace(PBX, auto_answer=replace(ANSWERS, callers=("101",)))
    assert verdict(account, call("sip:202@pbx.example", claimed="sip:101@pbx.example")) == RINGS


@pytest.mark.parametrize(
    ("on_request", "asked", "after"),
    [(False, 0, 3.0), (False, None, 3.0), (True, 0, 0), (True, 7, 7), (True, None, None)],
)
def test_a_wish_of_the_caller_counts_where_that_is_configured(
    on_request: bool, asked: int | None, after: float | None
) -> None:
    account = replace(DIRECT, auto_answer=replace(ANSWERS, on_request=on_request))
    assert verdict(account, call(answer_after=asked)) == Ring(answer_after=after)
    assert verdict(account, call(answer_after=asked, host="198.51.100.7")) == RINGS


def test_nobody_is_answered_while_that_is_off() -> None:
    account = replace(DIRECT, auto_answer=replace(ANSWERS, on_request=True))
    assert screen(account, LineSettings(auto_answer=False), call(answer_after=0)) == RINGS


# --- what may be dialled ---


@pytest.mark.parametrize(
    "target",
    [
        "0900123",
        " 0900123 ",
        "0900-123",
        "(0900) 123",
        "0900/123",
        "09.00.123",
        "0 9 0 0 1",
        "tel:0900123",
        "TEL:0900-123;phone-context=+49",
        "sip:0900123@trunk.example",
        "SIP:0900123@trunk.example;user=phone",
        "sips:0900123:secret@trunk.example",
        "sip:0900-123@192.0.2.1:5070",
        "sip:%30%39%30%30123@trunk.example",
        "sip:%2530900123@trunk.example",
        "sip:0900123;ext=1@trunk.example",
        "0900123;phone-context=+49",
        "0900,123",
        "٠٩٠٠١٢٣",
        "０９００１２３",
        "sip:0900123@trunk.example?Subject=hello",
        "sip:0900123@",
    ],
)
def test_a_blocked_number_is_blocked_however_it_is_written(target: str) -> None:
    assert not may_dial(replace(PBX, block_dial=("0900*",)), target)
    assert may_dial(PBX, target)


@pytest.mark.parametrize(
    ("pattern", "target"),
    [
        ("+49900*", "0049 900 1"),
        ("00*", "+1 900 1"),
        ("*@trunk.example", "sip:101@TRUNK.example:5070"),
        ("sip:*@trunk.example", "sips:101@trunk.example"),
        ("sip:0900*@pbx.example", "0900-1"),
        ("*", "sip:192.0.2.1"),
        ("BOSS", "sip:boss@pbx.example"),
        ("sip:192.0.2.1", "sip:192.0.2.1:5070"),
        ("sip:[[]2001:db8::1]", "sip:[2001:DB8::1]"),
    ],
)
def test_a_pattern_blocks_addresses_and_both_ways_to_dial_abroad(pattern: str, target: str) -> None:
    assert not may_dial(replace(PBX, block_dial=(pattern,)), target)


@pytest.mark.parametrize(
    ("pattern", "target"),
    [("0900*", "089012"), ("0900*", "sip:door@0900.example"), ("110", "1100"), ("*@trunk.example", "101")],
)
def test_what_is_not_blocked_may_be_dialled(pattern: str, target: str) -> None:
    assert may_dial(replace(PBX, block_dial=(pattern,)), target)


def test_block_wins_over_allow_and_allow_is_as_it_was() -> None:
    account = replace(PBX, allow_dial=("1??", "sip:*@pbx.example"), block_dial=("11?",))
    dialled = ["101", "110", "2000", "sip:2000@pbx.example", "sip:112@pbx.example"]
    assert [may_dial(account, target) for target in dialled] == [True, False, False, True, False]
