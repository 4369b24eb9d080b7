"""What is known of a bridge and its lines, as a pure function of the retained messages seen so far.

`reduce` is idempotent: the broker sends every retained message again after each reconnect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from .contract import (
    AccountInfo,
    Accounts,
    AccountTopic,
    Availability,
    BridgeInfo,
    BridgeState,
    BridgeTopic,
    CallEndedEvent,
    CallInfo,
    CallSnapshot,
    CallState,
    ContractError,
    Direction,
    EndReason,
    Event,
    MessageEvent,
    RecordingDoneEvent,
    Registration,
    RegistrationState,
    Remote,
    Settings,
    WaitingMessages,
    as_data,
    decode,
    is_valid_id,
)

MAX_LINES: Final = 256  # lines that are remembered; whoever may publish can't make Home Assistant grow
MAX_CONTACTS: Final = 256  # of a line
INTEGER_BITS: Final = 63  # and the sign
MAX_LABEL: Final = 255  # characters of a contact's name; no state of Home Assistant is longer
MAX_TEXT: Final = 4096  # characters of a message; a text over SIP has 1300 bytes at most (RFC 3428 §8)
MAX_AGE: Final = timedelta(seconds=30)  # of an event that calls for action: later, nobody is at the door any more

Retained = (
    BridgeState | BridgeInfo | Accounts | Registration | CallSnapshot | CallEndedEvent | Settings | WaitingMessages
)
P = TypeVar("P")
_BRIDGE_PAYLOADS: Final[Mapping[str, type[Retained]]] = {"state": BridgeState, "info": BridgeInfo, "accounts": Accounts}
_LINE_PAYLOADS: Final[Mapping[str, type[Retained]]] = {
    "registration": Registration,
    "call": CallSnapshot,
    "last_call": CallEndedEvent,
    "settings": Settings,
    "messages": WaitingMessages,
}
TALKING: Final = frozenset({CallState.IN_CALL, CallState.ON_HOLD})
_UNANSWERED: Final = frozenset({CallState.RINGING, CallState.EARLY_MEDIA})
_NOT_TAKEN: Final = frozenset(
    {EndReason.BUSY, EndReason.CANCELED, EndReason.FAILED, EndReason.NO_ANSWER, EndReason.TIMEOUT}
)
_Record = CallEndedEvent | RecordingDoneEvent | MessageEvent  # events that stay true however late they come


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """One account; None is what the bridge has not told."""

    registration: Registration | None = None
    call: CallSnapshot | None = None
    last_call: CallEndedEvent | None = None
    settings: Settings | None = None
    messages: WaitingMessages | None = None

    @property
    def calls(self) -> tuple[CallInfo, ...]:
        """The live calls, oldest first."""
        return () if self.call is None else self.call.calls

    @property
    def ringing_call(self) -> CallInfo | None:
        """The oldest incoming call that nobody has answered."""
        return next((call for call in self.calls if _is_ringing(call)), None)

    @property
    def live_call(self) -> CallInfo | None:
        """The call that a person means: the one they talk in, else the oldest."""
        return self.talking_call or (self.calls[0] if self.calls else None)

    @property
    def talking_call(self) -> CallInfo | None:
        """The oldest call that was answered: one that is not on hold, if there is any."""
        talking = sorted((call for call in self.calls if call.state in TALKING), key=_is_held)
        return talking[0] if talking else None

    @property
    def dialed(self) -> Remote | None:
        """Whom the line called last, as far as the bridge tells it."""
        outgoing = [call.remote for call in self.calls if call.direction is Direction.OUTGOING]
        if outgoing:
            return outgoing[-1]
        record = self.last_call
        return record.remote if record is not None and record.direction is Direction.OUTGOING else None

    @property
    def is_ringing(self) -> bool | None:
        """Whether an incoming call rings."""
        return None if self.call is None else self.ringing_call is not None

    @property
    def is_in_call(self) -> bool | None:
        """Whether a call was answered and lives, on hold or not."""
        return None if self.call is None else self.call.state in TALKING

    @property
    def remote_party(self) -> str | None:
        """Who the live call is with: the name they give, else their number, else their URI."""
        call = self.live_call
        return None if call is None else call.remote.name or call.remote.user or call.remote.uri

    @property
    def last_call_started(self) -> datetime | None:
        """When the last call began; None when the bridge's word can't be read as a time with its zone."""
        return None if self.last_call is None else parse_time(self.last_call.started_at)

    @property
    def is_registered(self) -> bool | None:
        """Whether the registrar knows the line."""
        return None if self.registration is None else self.registration.state is RegistrationState.REGISTERED

    def find_call(self, call_id: str | None) -> CallInfo | None:
        """A live call by its id."""
        return next((call for call in self.calls if call.call_id == call_id), None)

    def is_begun_by(self, event: Event) -> bool:
        """Whether an event begins a call: an INVITE within one (RFC 3261 §14) changes its media and rings nobody."""
        call = self.find_call(event.call_id)
        state = event.state if call is None else call.state
        return event.event == "INVITE" and state not in TALKING


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneState:
    """One bridge; None is what it has not told."""

    availability: Availability | None = None
    info: BridgeInfo | None = None
    accounts: Mapping[str, AccountInfo] | None = None
    lines: Mapping[str, LineState] = field(default_factory=dict)

    @property
    def is_online(self) -> bool:
        """Whether the bridge can be trusted to keep the rest true."""
        return self.availability is Availability.ONLINE

    @property
    def is_complete(self) -> bool:
        """Whether the bridge has introduced itself."""
        return self.availability is not None and self.info is not None and self.accounts is not None

    def line(self, account: str) -> LineState:
        """What is known of an account, be it nothing."""
        return self.lines.get(account, _UNKNOWN_LINE)

    def account(self, account: str) -> AccountInfo | None:
        """An account's entry in the inventory."""
        return None if self.accounts is None else self.accounts.get(account)


_UNKNOWN_LINE: Final = LineState()


def payload_class(topic: AccountTopic | BridgeTopic) -> type[Retained] | None:
    """The class of a retained payload that the reducer takes, or None when the topic is of no interest to it."""
    if topic.name is not None:
        return None
    if isinstance(topic, BridgeTopic):
        return _BRIDGE_PAYLOADS.get(topic.kind)
    return _LINE_PAYLOADS.get(topic.kind) if is_valid_id(topic.account) else None


def read(kind: type[Retained], data: bytes) -> Retained | None:
    """A retained payload; None when it is empty, which is how MQTT removes one. Raises `ContractError`."""
    return checked(decode(kind, data)) if data else None


def checked(payload: P) -> P:
    """The payload itself; `ContractError` when no state could hold it: integers have 64 bits in Home Assistant."""
    if _is_too_long(as_data(payload)):
        raise ContractError("an integer of more than 64 bits")
    return payload


def reduce(state: PhoneState, topic: AccountTopic | BridgeTopic, payload: Retained | None) -> PhoneState:
    """The state after a message; the payload has the topic's `payload_class`, or is None where it was removed."""
    if isinstance(topic, AccountTopic):
        return _reduce_line(state, topic, payload)
    match topic.kind:
        case "state":
            return _with_availability(state, payload.state if isinstance(payload, BridgeState) else None)
        case "accounts":
            return _with_accounts(state, payload if isinstance(payload, Accounts) else None)
        case _:
            return replace(state, info=payload if isinstance(payload, BridgeInfo) else None)


def without_broker(state: PhoneState) -> PhoneState:
    """The state once the broker is out of reach: what may have changed meanwhile is forgotten."""
    return _with_availability(state, None)


def is_missed(record: CallEndedEvent) -> bool:
    """Whether somebody called and nobody took it: neither here, nor at another phone, nor by refusing it."""
    return record.direction is Direction.INCOMING and record.end_reason in _NOT_TAKEN and not record.talk_seconds


def is_stale(event: Event, age: timedelta, line: LineState) -> bool:
    """Whether an event waited out an outage, and what it tells of is over.

    Of a live call nothing is stale, so a bridge whose clock goes wrong still rings.
    """
    return not isinstance(event, _Record) and age > MAX_AGE and line.find_call(event.call_id) is None


def contacts_of(account: AccountInfo | None) -> Mapping[str, str]:
    """What to dial for each contact, by its name; two of one name go by their numbers too.

    A group goes by its name, on which the bridge rings all of its numbers.
    """
    contacts = () if account is None else account.contacts[:MAX_CONTACTS]
    count = Counter(_key(contact.name) for contact in contacts)
    return {
        (contact.name if is_only_one else f"{contact.name} ({contact.number})")[:MAX_LABEL]: (
            contact.name if contact.numbers and is_only_one else contact.number
        )
        for contact in contacts
        for is_only_one in (count[_key(contact.name)] == 1,)
    }


def number_of(account: AccountInfo | None, to: str) -> str:
    """What the bridge understands where a person chose one of `contacts_of`: it knows no others."""
    names = () if account is None else account.contacts
    return to if any(contact.name == to for contact in names) else contacts_of(account).get(to, to)


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time, in UTC; None when it is no such thing, lacks its zone, or UTC's calendar does not have it."""
    try:
        time = datetime.fromisoformat(text)
        return None if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _with_availability(state: PhoneState, availability: Availability | None) -> PhoneState:
    """A bridge that went away takes its calls along: what the broker retains of them is no longer true."""
    if availability is Availability.ONLINE:
        return replace(state, availability=availability)
    lines = {account: replace(line, call=None) for account, line in state.lines.items()}
    return replace(state, availability=availability, lines=lines)


def _with_accounts(state: PhoneState, payload: Accounts | None) -> PhoneState:
    if payload is None:
        return replace(state, accounts=None)
    accounts = {account.id: account for account in payload.accounts[:MAX_LINES] if is_valid_id(account.id)}
    lines = {account: line for account, line in state.lines.items() if account in accounts}
    return replace(state, accounts=accounts, lines=lines)


def _reduce_line(state: PhoneState, topic: AccountTopic, payload: Retained | None) -> PhoneState:
    if topic.account not in state.lines and len(state.lines) >= MAX_LINES:
        return state
    line = replace(state.line(topic.account), **{topic.kind: payload})  # type: ignore[arg-type]  # payload_class()
    return replace(state, lines={**state.lines, topic.account: line})


def _key(name: str) -> str:
    """A name as the bridge compares it."""
    return name.strip().casefold()


def _is_too_long(value: Any) -> bool:
    match value:
        case int():
            return value.bit_length() > INTEGER_BITS
        case dict():
            return any(map(_is_too_long, value.values()))
        case list():
            return any(map(_is_too_long, value))
        case _:
            return False


def _is_held(call: CallInfo) -> bool:
    return call.state is CallState.ON_HOLD


def _is_ringing(call: CallInfo) -> bool:
    return call.direction is Direction.INCOMING and call.state in _UNANSWERED
