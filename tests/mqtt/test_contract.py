"""The MQTT contract: what is encoded decodes to itself, and junk raises nothing but `ContractError`."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import (
    ACCOUNT_VERBS,
    AccountTopic,
    Answer,
    BridgeTopic,
    CallState,
    ContractError,
    Dial,
    DTMFMethod,
    ErrorCode,
    Event,
    Hangup,
    HealthCheck,
    Play,
    Reject,
    Remote,
    Request,
    RequestFailure,
    Response,
    SendDTMF,
    Topics,
)

NOW: Final = 1_795_000_000.125

_TEXT: Final = st.text(st.characters(codec="utf-8"), max_size=20)
_NUMBERS: Final = st.floats(allow_nan=False, allow_infinity=False, width=32)
_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
st.register_type_strategy(str, _TEXT)
st.register_type_strategy(float, _NUMBERS)


def _made(kind: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


_OPEN: Final = st.dictionaries(_TEXT, _JSON, max_size=3)  # a mapping of anything that JSON has
_EVENTS: Final[list[st.SearchStrategy[Event]]] = [
    _made(Event, event=st.sampled_from(["INVITE", "RINGING", "BYE", "BUSY_HERE"])),
    _made(contract.CallEndedEvent, event=st.just("CALL_ENDED")),
    _made(contract.DTMFEvent, event=st.just("DTMF")),
    _made(contract.DTMFSequenceEvent, event=st.just("DTMF_SEQUENCE")),
    _made(contract.PlaybackDoneEvent, event=st.just("PLAYBACK_DONE")),
    _made(contract.RegistrationChangedEvent, event=st.just("REGISTRATION_CHANGED")),
    _made(contract.MessageEvent, event=st.just("MESSAGE")),
]
PAYLOADS: Final = st.one_of(
    _made(contract.Discovery),
    _made(contract.BridgeState),
    _made(contract.BridgeInfo, config=_OPEN),
    _made(contract.Accounts),
    _made(contract.Registration),
    _made(contract.CallSnapshot),
    _made(contract.WaitingMessages),
    _made(Response, data=_OPEN),
    _made(contract.LogRecord),
    _made(contract.Health),
    _made(contract.TracedMessage),
    *_EVENTS,
)
_VERBS: Final = st.sampled_from(sorted(ACCOUNT_VERBS))
_IDS: Final = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True).filter(contract.is_valid_id)
_NAMES: Final = st.from_regex(r"[A-Za-z_]{1,12}", fullmatch=True)


# --- round trips ---------------------------------------------------------------------------------------------------


@given(payload=PAYLOADS)
def test_what_is_encoded_decodes_to_itself(payload: object) -> None:
    assert contract.decode(type(payload), contract.encode(payload, NOW)) == payload


@given(event=st.one_of(_EVENTS))
def test_an_event_decodes_to_the_class_that_its_name_asks_for(event: Event) -> None:
    assert contract.decode_event(contract.encode(event, NOW)) == event


@given(data=st.data(), verb=_VERBS)
def test_a_request_decodes_to_itself(data: st.DataObject, verb: str) -> None:
    request: Request = data.draw(_made(ACCOUNT_VERBS[verb][0]))
    assert contract.decode_account_request(verb, contract.encode_request(request, NOW).encode()) == request


@given(payload=PAYLOADS)
def test_every_payload_carries_schema_and_time(payload: object) -> None:
    values = json.loads(contract.encode(payload, NOW))
    assert (values["schema"], values["ts"]) == (1, "2026-11-18T11:06:40.125Z")


@given(payload=PAYLOADS)
def test_a_reader_ignores_keys_that_it_does_not_know(payload: object) -> None:
    values = {**json.loads(contract.encode(payload, NOW)), "x-unknown": [1]}
    assert contract.decode(type(payload), json.dumps(values)) == payload


@given(account=_IDS, kind=_NAMES, name=st.none() | _NAMES, bridge=_IDS, base=st.sampled_from(["sip_bridge", "a/b"]))
def test_an_account_topic_parses_to_what_built_it(
    account: str, kind: str, name: str | None, bridge: str, base: str
) -> None:
    topics = Topics(base=base, bridge=bridge)
    assert topics.parse(topics.of_account(account, kind, name)) == AccountTopic(account=account, kind=kind, name=name)


@given(kind=_NAMES.filter(lambda kind: kind != "account"), name=st.none() | _NAMES)
def test_a_bridge_topic_parses_to_what_built_it(kind: str, name: str | None) -> None:
    topics = Topics()
    assert topics.parse(topics.of_bridge(kind, name)) == BridgeTopic(kind=kind, name=name)


# --- requests as people write them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "payload", "request_"),
    [
        ("dial", b"100", Dial(to="100")),
        ("dial", b" sip:bob@192.0.2.1\n", Dial(to="sip:bob@192.0.2.1")),
        ("dial", b"**620", Dial(to="**620")),
        ("dial", b'"0049"', Dial(to="0049")),
        ("dial", b"007", Dial(to="007")),
        ("dial", b'{"to": 100, "timeout": "20"}', Dial(to="100", timeout=20.0)),
        ("dial", b'{"to": "1", "if_state": "idle", "x": 1}', Dial(to="1", if_state=CallState.IDLE)),
        ("answer", b"", Answer()),
        ("answer", b" \n", Answer()),
        ("answer", b"{}", Answer()),
        ("reject", b"603", Reject(status=603)),
        ("hangup", b'{"transaction": 7}', Hangup(transaction="7")),
        ("send_dtmf", b"12#", SendDTMF(digits="12#")),
        ("send_dtmf", b'{"digits": 12, "method": "info"}', SendDTMF(digits="12", method=DTMFMethod.INFO)),
        ("play", "Glöckchen.wav".encode(), Play(url="Glöckchen.wav")),
    ],
)
def test_a_request_is_an_object_or_the_bare_value(verb: str, payload: bytes, request_: Request) -> None:
    assert contract.decode_account_request(verb, payload) == request_


@pytest.mark.parametrize(
    ("verb", "payload", "text"),
    [
        ("dial", b"", "to: missing"),
        ("dial", b'{"to": null}', "to: expected a string"),
        ("dial", b'{"to": true}', "to: expected a string"),
        ("dial", b'{"to": "1", "timeout": "soon"}', "timeout: expected a number"),
        ("dial", b'{"to": "1", "headers": {"X": [1]}}', "headers.X: expected a string"),
        ("dial", b'{"to": "1", "if_state": "busy"}',
         "if_state: expected one of idle, dialing, ringing, early_media, in_call, on_hold"),
        ("dial", b'{"to": "1", "schema": 2}', "schema: expected 1"),
        ("dial", b'{"to": "1"', "not JSON: Expecting ',' delimiter at character 10"),
        ("dial", b"\xff", "not UTF-8"),
        ("dial", b"1" * 65537, "longer than 65536 bytes"),
        ("reject", b"busy", "status: expected an integer"),
        ("reject", b'{"status": 4.5}', "status: expected an integer"),
        ("hangup", b"now", "expected a JSON object or an empty payload"),
        ("play", b'{"url": "x", "volume": NaN}', "NaN is not JSON"),
        ("play", b'{"url": "x", "volume": 1e999}', "volume: expected a number"),
        ("play", b'{"url": "x", "volume": "nan"}', "volume: expected a number"),
        ("play", b'{"url": "x", "volume": 1' + b"0" * 400 + b"}", "volume: expected a number"),
        ("dial", b'{"to": "1", "headers": {"\\ud800": "x"}}', "headers: half a surrogate pair is no character"),
        ("dial", b'{"to": "\\ud800"}', "to: half a surrogate pair is no character"),
        ("play", b'{"url": "x", "loop": 1}', "loop: expected true or false"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_what_was_expected(verb: str, payload: bytes, text: str) -> None:
    with pytest.raises(ContractError) as caught:
        contract.decode_account_request(verb, payload)
    assert str(caught.value) == text


def test_a_health_check_needs_no_payload() -> None:
    assert contract.decode_bridge_request("health_check", b"") == HealthCheck()


def test_a_response_says_ok_or_what_went_wrong() -> None:
    assert [Response.ok("t1", call_id="c"), Response.failed(ErrorCode.NO_CALL, "no call", "t1")] == [
        Response(status="ok", transaction="t1", data={"call_id": "c"}),
        Response(status="error", transaction="t1", error=RequestFailure(code=ErrorCode.NO_CALL, message="no call")),
    ]


@pytest.mark.parametrize(
    ("payload", "transaction"),
    [
        (b'{"transaction": "t1", "to": []}', "t1"),
        (b'{"transaction": 1}', "1"),
        (b'{"transaction": true}', None),
        (b'{"transaction": "\\ud800"}', None),
        (b'{"transaction": "%s"}' % (b"x" * 256), "x" * 256),
        (b'{"transaction": "%s"}' % (b"x" * 257), None),
        (b"100", None),
        (b"\xff", None),
    ],
)
def test_a_request_that_is_wrong_may_still_say_its_transaction(payload: bytes, transaction: str | None) -> None:
    assert contract.transaction_of(payload) == transaction


# --- junk ----------------------------------------------------------------------------------------------------------

_JUNK: Final = st.one_of(
    st.binary(max_size=60),
    _JSON.map(json.dumps).map(str.encode),
    st.dictionaries(
        st.sampled_from(["to", "timeout", "status", "headers", "digits", "url", "loop", "schema", "transaction"]),
        _JSON | st.floats(),
        max_size=5,
    ).map(json.dumps).map(str.encode),
    st.sampled_from([b"[" * 60_000, b'{"to":' * 10_000, b'{"to": ' + b"9" * 5000 + b"}", b'{"volume": "1e999"}',
                     b'{"timeout": 1' + b"0" * 400 + b"}", b"9" * 5000, b'"\\ud800"']),
)  # fmt: skip


def _refusal(decode: Any, *arguments: object) -> str | None:
    try:
        decode(*arguments)
    except ContractError as error:
        return str(error)
    return None


@given(verb=_VERBS, payload=_JUNK)
def test_junk_for_a_request_raises_nothing_else(verb: str, payload: bytes) -> None:
    refusal = _refusal(contract.decode_account_request, verb, payload)
    assert refusal is None or 0 < len(refusal) < 500


@given(kind=st.sampled_from([contract.BridgeInfo, contract.Accounts, contract.CallSnapshot, Response, contract.Health]),
       payload=_JUNK)  # fmt: skip
def test_junk_for_a_payload_raises_nothing_else(kind: type[object], payload: bytes) -> None:
    assert isinstance(_refusal(contract.decode, kind, payload), str | None)


@given(payload=_JUNK)
def test_junk_for_an_event_raises_nothing_else(payload: bytes) -> None:
    assert isinstance(_refusal(contract.decode_event, payload), str | None)


@given(text=st.text())
def test_whatever_a_peer_calls_itself_can_be_published(text: str) -> None:
    assert contract.encode(Remote(uri="sip:x@y", name=text), NOW).encode()


@given(topic=st.text(max_size=40) | st.lists(_NAMES | st.just(""), max_size=6).map("/".join))
def test_a_topic_of_nobody_is_nobodys(topic: str) -> None:
    assert Topics().parse(topic) is None


@pytest.mark.parametrize(
    ("topic", "parsed"),
    [
        ("sip_bridge/home", None),
        ("sip_bridge/home/", None),
        ("sip_bridge/home/account", BridgeTopic(kind="account")),
        ("sip_bridge/home/account/door", None),
        ("sip_bridge/home/account/door/", None),
        ("sip_bridge/home/account/door/request/", None),
        ("sip_bridge/home/account/door/request/dial/x", None),
        ("sip_bridge/homes/state", None),
        ("sip_bridge/discovery/home", None),
    ],
)
def test_only_a_topic_of_the_right_shape_is_parsed(topic: str, parsed: BridgeTopic | None) -> None:
    assert Topics().parse(topic) == parsed


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [("door", True), ("door-2_x", True), ("discovery", False), ("Door", False), ("", False), ("a/b", False),
     ("+", False), ("door\n", False), ("a" * 65, False)],
)  # fmt: skip
def test_an_id_is_a_plain_word(text: str, is_valid: bool) -> None:
    assert contract.is_valid_id(text) is is_valid
