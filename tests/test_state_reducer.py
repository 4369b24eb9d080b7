"""The component's reducer is pure: it runs on the bridge's Python too, without Home Assistant."""

import importlib
import sys
import types
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce as fold
from pathlib import Path
from typing import Any

import pytest

# The component's own package would import Home Assistant; its pure modules are loaded as if they stood alone.
_package = types.ModuleType("sip_phone_alone")
_package.__path__ = [str(Path(__file__).parents[1] / "custom_components" / "sip_phone")]
sys.modules["sip_phone_alone"] = _package
state: Any = importlib.import_module("sip_phone_alone.state")
contract: Any = importlib.import_module("sip_phone_alone.contract")

TOPICS = contract.Topics()
INFO = contract.BridgeInfo(
    name="Home", version="0.1.0", session="s1", started_at="2026-11-22T20:00:00.000Z", capabilities=(), config={}
)
DOOR = contract.AccountInfo(id="door", name="Door", uri="sip:door@192.0.2.1", kind="direct")
PBX = contract.AccountInfo(id="pbx", name="PBX", uri="sip:620@192.0.2.2", kind="registered")
REGISTERED = contract.Registration(state=contract.RegistrationState.REGISTERED, status=200, phrase="OK")
FRONT = contract.Remote(uri="sip:front@192.0.2.3", user="front", name="Front Door")
LAST_CALL = contract.CallEndedEvent(
    event="CALL_ENDED",
    event_id="e9",
    seq=9,
    session="s1",
    account="door",
    end_reason=contract.EndReason.CANCELED,
    started_at="2026-11-22T20:15:00.000Z",
)

SETTINGS = contract.Settings(do_not_disturb=True)
MESSAGES = contract.WaitingMessages(waiting=True, new=2, old=3)


def call(call_id: str = "c1", state: str = "ringing", direction: str = "incoming", remote: Any = FRONT) -> Any:
    return contract.CallInfo(
        call_id=call_id,
        direction=contract.Direction(direction),
        state=contract.CallState(state),
        remote=remote,
        started_at="2026-11-22T20:15:00.000Z",
    )


def snapshot(*calls: Any) -> Any:
    return contract.CallSnapshot(state=calls[0].state if calls else contract.CallState.IDLE, calls=calls)


def of_bridge(kind: str, payload: Any) -> tuple[str, bytes]:
    return TOPICS.of_bridge(kind), payload and contract.encode(payload, ts=0).encode()


def of_door(kind: str, payload: Any, account: str = "door") -> tuple[str, bytes]:
    return TOPICS.of_account(account, kind), payload and contract.encode(payload, ts=0).encode()


def receive(phone: Any, message: tuple[str, bytes]) -> Any:
    topic = TOPICS.parse(message[0])
    return state.reduce(phone, topic, state.read(state.payload_class(topic), message[1]))


def after(*messages: tuple[str, bytes], phone: Any = None) -> Any:
    return fold(receive, messages, phone or state.PhoneState())


ONLINE = of_bridge("state", contract.BridgeState(state=contract.Availability.ONLINE))
OFFLINE = of_bridge("state", contract.BridgeState(state=contract.Availability.OFFLINE))
ACCOUNTS = of_bridge("accounts", contract.Accounts(accounts=(DOOR, PBX)))
RINGING = of_door("call", snapshot(call()))
EVERYTHING = (
    of_bridge("info", INFO),
    ACCOUNTS,
    of_door("registration", REGISTERED),
    RINGING,
    of_door("last_call", LAST_CALL),
    of_door("settings", SETTINGS),
    of_door("messages", MESSAGES),
    ONLINE,
)
COMPLETE = state.PhoneState(
    availability=contract.Availability.ONLINE,
    info=INFO,
    accounts={"door": DOOR, "pbx": PBX},
    lines={
        "door": state.LineState(
            registration=REGISTERED, call=snapshot(call()), last_call=LAST_CALL, settings=SETTINGS, messages=MESSAGES
        )
    },
)


def test_retained_messages_make_the_whole_state() -> None:
    assert after(*EVERYTHING) == COMPLETE


def test_the_order_of_retained_messages_does_not_matter() -> None:
    assert after(*reversed(EVERYTHING)) == COMPLETE


def test_retained_messages_that_come_again_change_nothing() -> None:
    assert after(*EVERYTHING, *EVERYTHING) == COMPLETE


def test_the_state_is_complete_once_the_bridge_has_introduced_itself() -> None:
    assert [after(*EVERYTHING[:n]).is_complete for n in (0, 2, 7, 8)] == [False, False, False, True]


def test_a_bridge_that_went_away_takes_its_calls_along_and_nothing_else() -> None:
    phone = after(*EVERYTHING, OFFLINE)
    assert phone.line("door") == state.LineState(
        registration=REGISTERED, last_call=LAST_CALL, settings=SETTINGS, messages=MESSAGES
    )
    assert phone.accounts == COMPLETE.accounts
    assert phone.is_online is False


def test_a_call_that_a_dead_bridge_left_behind_does_not_ring_when_the_bridge_returns() -> None:
    assert after(*EVERYTHING, OFFLINE, ONLINE).line("door").is_ringing is None


def test_without_the_broker_neither_the_bridge_nor_its_calls_are_known() -> None:
    phone = state.without_broker(after(*EVERYTHING))
    assert (phone.availability, phone.line("door").call) == (None, None)


def test_the_state_after_a_reconnect_is_the_state_before() -> None:
    assert after(*EVERYTHING, phone=state.without_broker(after(*EVERYTHING))) == COMPLETE


def test_an_account_that_left_the_inventory_is_forgotten() -> None:
    phone = after(*EVERYTHING, of_bridge("accounts", contract.Accounts(accounts=(PBX,))))
    assert (phone.accounts, phone.lines) == ({"pbx": PBX}, {})


def test_accounts_whose_id_is_none_are_left_out() -> None:
    odd = contract.AccountInfo(id="no/id", name="Odd", uri="sip:x@192.0.2.1", kind="direct")
    assert after(of_bridge("accounts", contract.Accounts(accounts=(odd, DOOR)))).accounts == {"door": DOOR}


@pytest.mark.parametrize("kind", ["state", "info", "accounts"])
def test_a_removed_message_of_the_bridge_is_unknown_again(kind: str) -> None:
    phone = after(*EVERYTHING, (TOPICS.of_bridge(kind), b""))
    assert getattr(phone, {"state": "availability"}.get(kind, kind)) is None
    assert phone.is_complete is False


@pytest.mark.parametrize("kind", ["registration", "call", "last_call", "settings", "messages"])
def test_a_removed_message_of_a_line_is_unknown_again(kind: str) -> None:
    phone = after(*EVERYTHING, (TOPICS.of_account("door", kind), b""))
    assert getattr(phone.line("door"), kind) is None


@pytest.mark.parametrize(
    "topic",
    [
        TOPICS.of_bridge("health"),
        TOPICS.of_bridge("request", "health_check"),
        TOPICS.of_account("door", "event", "INVITE"),
        TOPICS.of_account("door", "call", "extra"),
        TOPICS.of_account("door", "unheard_of"),
        TOPICS.of_account("No Id", "call"),
    ],
)
def test_other_topics_are_none_of_the_reducers_business(topic: str) -> None:
    assert state.payload_class(TOPICS.parse(topic)) is None


def test_rubbish_is_refused_before_it_reaches_the_state() -> None:
    with pytest.raises(contract.ContractError):
        receive(COMPLETE, (TOPICS.of_account("door", "call"), b"{rubbish"))


def test_lines_are_bounded_whoever_may_publish() -> None:
    flood = (of_door("call", snapshot(), account=f"line_{n}") for n in range(state.MAX_LINES + 10))
    assert len(after(*flood).lines) == state.MAX_LINES


def test_a_full_table_still_follows_the_lines_that_it_has() -> None:
    full = after(*(of_door("call", snapshot(), account=f"line_{n}") for n in range(state.MAX_LINES)))
    phone = after(of_door("call", snapshot(call()), account="line_0"), phone=full)
    assert phone.line("line_0").is_ringing is True


def test_a_line_of_which_nothing_is_known_has_no_opinion() -> None:
    line = state.PhoneState().line("door")
    assert (line.is_ringing, line.is_in_call, line.live_call, line.remote_party, line.last_call_started) == (None,) * 5


def test_an_idle_line_neither_rings_nor_talks() -> None:
    line = state.LineState(call=snapshot())
    assert (line.is_ringing, line.is_in_call, line.live_call, line.remote_party) == (False, False, None, None)


def test_an_outgoing_call_that_rings_at_the_other_end_does_not_ring_here() -> None:
    line = state.LineState(call=snapshot(call(direction="outgoing")))
    assert (line.is_ringing, line.live_call) == (False, call(direction="outgoing"))


def test_the_live_call_is_the_one_that_is_talked_in() -> None:
    line = state.LineState(call=snapshot(call("c1"), call("c2", "on_hold"), call("c3")))
    assert (line.live_call.call_id, line.ringing_call.call_id) == ("c2", "c1")


def test_the_call_that_is_talked_in_comes_before_one_on_hold() -> None:
    line = state.LineState(call=snapshot(call("c1"), call("c2", "on_hold"), call("c3", "in_call")))
    assert line.talking_call.call_id == "c3"


def test_a_caller_who_hears_something_before_the_answer_rings_still() -> None:
    assert state.LineState(call=snapshot(call(state="early_media"))).is_ringing is True


def test_whom_the_line_called_is_the_newest_outgoing_call_else_the_last_record_if_it_is_one() -> None:
    anna, bob = (contract.Remote(uri=f"sip:{name}@192.0.2.9") for name in ("anna", "bob"))
    record = replace(LAST_CALL, direction=contract.Direction.OUTGOING, remote=anna)
    live = snapshot(call("c1"), call("c2", "in_call", "outgoing", FRONT), call("c3", "dialing", "outgoing", bob))
    assert state.LineState(call=live, last_call=record).dialed == bob
    assert state.LineState(call=snapshot(), last_call=record).dialed == anna
    assert state.LineState(call=snapshot(call()), last_call=LAST_CALL).dialed is None


@pytest.mark.parametrize(
    ("direction", "reason", "talked", "expected"),
    [
        ("incoming", "canceled", 0.0, True),
        ("incoming", "no_answer", 0.0, True),
        ("incoming", "timeout", 0.0, True),
        ("incoming", "failed", 0.0, True),
        ("incoming", "busy", 0.0, True),
        ("incoming", "timeout", 60.0, False),
        ("incoming", "declined", 0.0, False),
        ("incoming", "answered_elsewhere", 0.0, False),
        ("incoming", "hangup_remote", 3.0, False),
        ("outgoing", "no_answer", 0.0, False),
    ],
)
def test_a_missed_call_is_one_that_nobody_took(direction: str, reason: str, talked: float, expected: bool) -> None:
    record = replace(
        LAST_CALL,
        direction=contract.Direction(direction),
        end_reason=contract.EndReason(reason),
        talk_seconds=talked,
    )
    assert state.is_missed(record) is expected


def event(name: str = "INVITE", **fields: Any) -> Any:
    return contract.Event(event=name, event_id="e1", seq=1, session="s1", account="door", call_id="c1", **fields)


@pytest.mark.parametrize(
    ("happened", "age", "line", "expected"),
    [
        (event(), 29, state.LineState(), False),
        (event(), 31, state.LineState(), True),
        (event(), 31, state.LineState(call=snapshot(call("c1"))), False),
        (event(), 31, state.LineState(call=snapshot(call("c2"))), True),
        (event(), -3600, state.LineState(), False),
        (LAST_CALL, 3600, state.LineState(), False),
    ],
)
def test_an_event_is_stale_when_it_is_old_and_its_call_is_over(
    happened: Any, age: float, line: Any, expected: bool
) -> None:
    assert state.is_stale(happened, timedelta(seconds=age), line) is expected


@pytest.mark.parametrize(
    ("happened", "line", "expected"),
    [
        (event(), state.LineState(), True),
        (event("CANCEL"), state.LineState(), False),
        (event(state=contract.CallState.IN_CALL), state.LineState(), False),
        (
            event(state=contract.CallState.IN_CALL),
            state.LineState(call=snapshot(call("c2", "in_call"), call("c1"))),
            True,
        ),
        (event(state=contract.CallState.RINGING), state.LineState(call=snapshot(call("c1", "in_call"))), False),
    ],
)
def test_an_invite_begins_a_call_unless_it_comes_within_one(happened: Any, line: Any, expected: bool) -> None:
    assert line.is_begun_by(happened) is expected


def test_contacts_of_one_name_go_by_their_numbers_too() -> None:
    contacts = tuple(
        contract.Contact(name=name, number=number) for name, number in (("Anna", "1"), ("Bob", "2"), ("Anna", "3"))
    )
    account = replace(DOOR, contacts=contacts)
    assert state.contacts_of(account) == {"Anna (1)": "1", "Bob": "2", "Anna (3)": "3"}
    assert state.contacts_of(None) == {}
    assert [state.number_of(account, to) for to in ("Anna (3)", "Bob", "Carl", "100")] == ["3", "Bob", "Carl", "100"]
    assert state.number_of(None, "Anna (3)") == "Anna (3)"


def test_a_contact_with_a_long_name_goes_by_the_beginning_of_it() -> None:
    account = replace(DOOR, contacts=(contract.Contact(name="x" * 300, number="1"),))
    assert state.contacts_of(account) == {"x" * 255: "1"}
    assert state.number_of(account, "x" * 255) == "1"


@pytest.mark.parametrize("payload", ['{"status": 9223372036854775808}', '{"status": -9223372036854775809}'])
def test_an_integer_that_no_state_can_hold_is_refused(payload: str) -> None:
    text = payload.replace("{", '{"state": "failed", ')
    with pytest.raises(contract.ContractError, match="an integer of more than 64 bits"):
        state.read(contract.Registration, text.encode())


def test_a_group_of_contacts_is_dialled_by_its_name() -> None:
    family = contract.Contact(name="Family", number="1", numbers=("1", "2"))
    other = contract.Contact(name="family ", number="3")
    assert state.contacts_of(replace(DOOR, contacts=(family,))) == {"Family": "Family"}
    assert state.contacts_of(replace(DOOR, contacts=(family, other))) == {"Family (1)": "1", "family  (3)": "3"}


def test_contacts_are_bounded() -> None:
    contacts = tuple(contract.Contact(name=str(n), number=str(n)) for n in range(state.MAX_CONTACTS + 10))
    assert len(state.contacts_of(replace(DOOR, contacts=contacts))) == state.MAX_CONTACTS


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        (FRONT, "Front Door"),
        (contract.Remote(uri="sip:front@192.0.2.3", user="front"), "front"),
        (contract.Remote(uri="sip:192.0.2.3"), "sip:192.0.2.3"),
    ],
)
def test_the_remote_party_goes_by_the_best_name_that_it_gives(remote: Any, expected: str) -> None:
    assert state.LineState(call=snapshot(call(remote=remote))).remote_party == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T20:15:00.000Z", datetime(2026, 11, 22, 20, 15, tzinfo=UTC)),
        ("2026-11-22T20:15:00+01:00", datetime(2026, 11, 22, 20, 15, tzinfo=timezone(timedelta(hours=1)))),
        ("2026-11-22T20:15:00", None),
        ("2026-13-45T20:15:00Z", None),
        ("yesterday", None),
    ],
)
def test_a_time_is_read_only_with_its_zone(text: str, expected: datetime | None) -> None:
    assert state.parse_time(text) == expected
