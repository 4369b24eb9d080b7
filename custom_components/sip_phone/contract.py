"""The MQTT contract, schema 1: topics, payloads and their JSON.

Pure: no input, output or clock. The Home Assistant component ships a byte-identical copy of this file, so it imports
nothing of the project. ``encode`` and ``decode`` are inverse on every payload class; readers ignore keys that they
don't know; ``decode`` raises `ContractError` and nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal, Self, TypeVar, Union

SCHEMA: Final = 1
DEFAULT_BASE_TOPIC: Final = "sip_bridge"
DISCOVERY_ROOT: Final = "sip_bridge/discovery"  # fixed, so that a bridge with another base topic is found too
RESERVED_IDS: Final = frozenset({"discovery"})
RETAINED_OF_ACCOUNT: Final = ("registration", "call", "last_call", "settings", "messages")
MAX_PAYLOAD: Final = 65536  # bytes; a longer request is refused unread
MAX_TRANSACTION: Final = 256  # characters; the bridge remembers them

_ID = re.compile(r"[a-z0-9_-]{1,64}")
_VERB = re.compile(r"[a-z_]{1,32}")
_EVENT_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class ContractError(ValueError):
    """A topic or payload that is not of the contract; the text says which key and what was expected."""


def is_valid_id(text: str) -> bool:
    """Whether ``text`` may name a bridge or an account."""
    return _ID.fullmatch(text) is not None and text not in RESERVED_IDS


def rfc3339(seconds: float) -> str:
    """Unix time as RFC 3339 in UTC with milliseconds: ``2026-11-22T20:15:00.000Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- words ---------------------------------------------------------------------------------------------------------


class Availability(StrEnum):
    """``B/state``."""

    ONLINE = "online"
    OFFLINE = "offline"


class AccountKind(StrEnum):
    """How an account is reached."""

    REGISTERED = "registered"
    DIRECT = "direct"


class RegistrationState(StrEnum):
    """``B/account/<id>/registration``; a direct line is always `DISABLED`."""

    REGISTERED = "registered"
    REGISTERING = "registering"
    UNREGISTERED = "unregistered"
    FAILED = "failed"
    DISABLED = "disabled"


class CallState(StrEnum):
    """State of a line or of one of its calls."""

    IDLE = "idle"
    DIALING = "dialing"
    RINGING = "ringing"
    EARLY_MEDIA = "early_media"
    IN_CALL = "in_call"
    ON_HOLD = "on_hold"


class Direction(StrEnum):
    """Who called whom, seen from the bridge."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


class Origin(StrEnum):
    """Who sent the SIP message that an event tells of."""

    LOCAL = "local"
    REMOTE = "remote"


class EndReason(StrEnum):
    """Why a call ended."""

    ANSWERED_ELSEWHERE = "answered_elsewhere"
    BUSY = "busy"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    CANCELED = "canceled"
    FAILED = "failed"
    HANGUP_LOCAL = "hangup_local"
    HANGUP_REMOTE = "hangup_remote"
    MEDIA_LOST = "media_lost"
    TIMEOUT = "timeout"


class Refusal(StrEnum):
    """Why a call was refused that nobody heard ring."""

    DO_NOT_DISTURB = "do_not_disturb"
    BLOCKED = "blocked"


class ErrorCode(StrEnum):
    """The closed set of codes in an error response."""

    INVALID_PAYLOAD = "invalid_payload"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_VERB = "unknown_verb"
    NO_CALL = "no_call"
    AMBIGUOUS_CALL = "ambiguous_call"
    WRONG_STATE = "wrong_state"
    NOT_REGISTERED = "not_registered"
    NOT_ALLOWED = "not_allowed"
    BUSY = "busy"
    EXPIRED = "expired"
    MEDIA_ERROR = "media_error"
    SIP_ERROR = "sip_error"
    INTERNAL_ERROR = "internal_error"


class DTMFMethod(StrEnum):
    """How a key press crosses the wire."""

    RTP = "rtp"
    INFO = "info"
    INBAND = "inband"


class DTMFChoice(StrEnum):
    """How keys are pressed where a request does not say; `AUTO` is the best way that the peer takes."""

    AUTO = "auto"
    RTP = "rtp"
    INFO = "info"
    INBAND = "inband"


class SequenceEnd(StrEnum):
    """What ended a sequence of keys."""

    TERMINATOR = "terminator"
    LENGTH = "length"
    PAUSE = "pause"
    CALL_END = "call_end"


class DoorOpening(StrEnum):
    """What opened the door: an ``open_door``, or the key for that on a phone that the door rang."""

    REQUEST = "request"
    KEY = "key"


class RecordingEnd(StrEnum):
    """What ended a recording."""

    STOPPED = "stopped"
    CALL_ENDED = "call_ended"
    LIMIT = "limit"
    DISK_FULL = "disk_full"
    ERROR = "error"


MASKED: Final = "?"  # stands for each digit that nobody may see


# --- topics --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeTopic:
    """A topic of the bridge as a whole: ``B/<kind>`` or ``B/<kind>/<name>`` (kind ``request`` or ``response``)."""

    kind: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTopic:
    """A topic of one account: ``B/account/<id>/<kind>`` or ``.../<kind>/<name>``."""

    account: str
    kind: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Every topic of one bridge; `parse` is the inverse of the builders."""

    base: str = DEFAULT_BASE_TOPIC
    bridge: str = "home"

    @property
    def prefix(self) -> str:
        """``B``."""
        return f"{self.base}/{self.bridge}"

    @property
    def discovery(self) -> str:
        """Where Home Assistant finds this bridge, whatever its base topic."""
        return f"{DISCOVERY_ROOT}/{self.bridge}"

    @property
    def everything(self) -> str:
        """A filter for all that the bridge publishes and receives."""
        return f"{self.prefix}/#"

    @property
    def requests(self) -> tuple[str, str]:
        """Filters for every request: of an account, and bridge-wide."""
        return f"{self.prefix}/account/+/request/+", f"{self.prefix}/request/+"

    def of_bridge(self, kind: str, name: str | None = None) -> str:
        """``B/state``, ``B/info``, ``B/accounts``, ``B/health``, ``B/logging``, ``B/request/<verb>``, ..."""
        return "/".join(filter(None, (self.prefix, kind, name)))

    def of_account(self, account: str, kind: str, name: str | None = None) -> str:
        """``B/account/<id>/call``, ``.../event/<NAME>``, ``.../request/<verb>``, ..."""
        return "/".join(filter(None, (self.prefix, "account", account, kind, name)))

    def parse(self, topic: str) -> BridgeTopic | AccountTopic | None:
        """Whose topic this is, or None when it is not one of this bridge's."""
        if not topic.startswith(self.prefix + "/"):
            return None
        match topic[len(self.prefix) + 1 :].split("/"):
            case ["account", account, kind] if kind:
                return AccountTopic(account=account, kind=kind)
            case ["account", account, kind, name] if kind and name:
                return AccountTopic(account=account, kind=kind, name=name)
            case [kind] if kind:
                return BridgeTopic(kind=kind)
            case [kind, name] if kind and name and kind != "account":
                return BridgeTopic(kind=kind, name=name)
            case _:
                return None


# --- retained payloads ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """``sip_bridge/discovery/<bridge>``: stable content, so that a set-up flow is offered once."""

    bridge: str
    name: str
    base_topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeState:
    """``B/state``; the last will says offline."""

    state: Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeInfo:
    """``B/info``: what runs; ``session`` is this process's id, ``config`` carries no secret."""

    name: str
    version: str
    session: str
    started_at: str
    capabilities: tuple[str, ...]
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A name in an account's phone book; a group has ``numbers`` that ring at once, the first as ``number``."""

    name: str
    number: str
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """One line of the inventory; ``door_code`` says whether a code is configured, never the code."""

    id: str
    name: str
    uri: str
    kind: AccountKind
    contacts: tuple[Contact, ...] = ()
    door_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """``B/accounts``: the inventory."""

    accounts: tuple[AccountInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """``B/account/<id>/registration``; ``status`` and ``phrase`` are the registrar's last answer."""

    state: RegistrationState
    status: int | None = None
    phrase: str | None = None
    expires_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """The other party; ``name`` is the display name that it claims."""

    uri: str
    user: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInfo:
    """One live call of an account."""

    call_id: str
    direction: Direction
    state: CallState
    remote: Remote
    started_at: str
    answered_at: str | None = None
    codec: str | None = None
    muted: bool = False
    recording: bool = False
    joined_to: str | None = None  # the call_id of the call whose other party this one talks to
    encrypted: bool = False
    playing: bool = False  # what the bridge was told to play, or is about to


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSnapshot:
    """``B/account/<id>/call``: the line's state and every live call, oldest first."""

    state: CallState
    calls: tuple[CallInfo, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMessages:
    """``B/account/<id>/messages``: whether voicemail waits (RFC 3842), and how many messages are new and old."""

    waiting: bool
    new: int = 0
    old: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``B/account/<id>/settings``: what `Set` changes, and what holds after a restart, too.

    ``do_not_disturb`` refuses every caller, ``auto_answer`` answers those whom the configuration names. What we send is
    ``output_volume`` (0.0 to 2.0) times as loud; nobody rings for longer than ``ring_timeout`` (1 to 600) seconds.
    """

    do_not_disturb: bool = False
    auto_answer: bool = False
    output_volume: float = 1.0
    ring_timeout: float = 180.0
    dtmf_method: DTMFChoice = DTMFChoice.AUTO


# --- events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event carries; ``seq`` rises by one within a ``session``, ``event_id`` never repeats."""

    event: str
    event_id: str
    seq: int
    session: str
    account: str
    call_id: str | None = None
    direction: Direction | None = None
    origin: Origin | None = None
    method: str | None = None
    status: int | None = None
    phrase: str | None = None
    description: str | None = None
    remote: Remote | None = None
    state: CallState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RTPQuality:
    """Figures of a call's audio: packets received, lost, late and sent, interarrival jitter (RFC 3550 §6.4.1) in ms.

    ``mos``, 1.0 to 4.5, is the E-model's; the ``remote_`` figures are how the other party says that it received us.
    What nobody measured is None.
    """

    packets: int = 0
    lost: int = 0
    late: int = 0
    sent: int = 0
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    mos: float | None = None
    remote_lost: int | None = None
    remote_jitter_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEndedEvent(Event):
    """``CALL_ENDED``, and the retained ``B/account/<id>/last_call``: the record of a call.

    With a ``refusal`` the bridge refused it by itself: it never rang, and no other event tells of it.
    """

    end_reason: EndReason
    refusal: Refusal | None = None
    q850: int | None = None
    started_at: str
    ring_seconds: float = 0.0
    talk_seconds: float = 0.0
    quality: RTPQuality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DTMFEvent(Event):
    """``DTMF``: the other party pressed a key, or ``?`` as its mask."""

    digits: str
    dtmf_method: DTMFMethod
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DTMFSequenceEvent(Event):
    """``DTMF_SEQUENCE``: keys pressed one after the other, without the terminator, or a ``?`` for each.

    ``code`` is the name of the account's code that they are, null when they are none; while too many wrong ones have
    been tried (``locked``), none is.
    """

    digits: str
    dtmf_method: DTMFMethod
    ended_by: SequenceEnd
    code: str | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOpenedEvent(Event):
    """``DOOR_OPENED``: the last key of the account's door code was sent in this call; the rest is up to the station."""

    by: DoorOpening


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntDoneEvent(Event):
    """``HUNT_DONE``: of several ``calls`` that rang at once one was taken, whose ``call_id`` this is, or none.

    Then ``call_id`` is null, and ``end_reason`` says why.
    """

    calls: tuple[str, ...]
    end_reason: EndReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackDoneEvent(Event):
    """``PLAYBACK_DONE``: the last sample of ``source`` was sent (``completed``), it was stopped, or ``error`` says why.

    A URL is shown without user, password, query and fragment.
    """

    source: str
    completed: bool
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLostEvent(Event):
    """``MEDIA_LOST``: for ``silent_seconds`` no sound of the other party came, though nobody is on hold."""

    silent_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingDoneEvent(Event):
    """``RECORDING_DONE``: ``file`` in the folder of the recordings is complete, or ``error`` says why there is none.

    It is stereo, left the other party, right what it was sent. ``size`` is in bytes; ``missed_seconds`` of it are
    silence since the disk was too slow. It may follow `CALL_ENDED`: no call waits for a disk.
    """

    file: str | None = None
    seconds: float = 0.0
    size: int = 0
    reason: RecordingEnd
    error: str | None = None
    missed_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationChangedEvent(Event):
    """``REGISTRATION_CHANGED``."""

    registration: RegistrationState


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent(Event):
    """``MESSAGE``: somebody sent the line a text."""

    text: str
    content_type: str = "text/plain"


AnyEvent = (
    MessageEvent
    | Event
    | CallEndedEvent
    | DTMFEvent
    | DTMFSequenceEvent
    | DoorOpenedEvent
    | HuntDoneEvent
    | PlaybackDoneEvent
    | RecordingDoneEvent
    | RegistrationChangedEvent
)
EVENT_CLASSES: Final[Mapping[str, type[Event]]] = {
    "CALL_ENDED": CallEndedEvent,
    "DOOR_OPENED": DoorOpenedEvent,
    "DTMF": DTMFEvent,
    "DTMF_SEQUENCE": DTMFSequenceEvent,
    "HUNT_DONE": HuntDoneEvent,
    "MEDIA_LOST": MediaLostEvent,
    "MESSAGE": MessageEvent,
    "PLAYBACK_DONE": PlaybackDoneEvent,
    "RECORDING_DONE": RecordingDoneEvent,
    "REGISTRATION_CHANGED": RegistrationChangedEvent,
}


# --- requests and responses ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What any request may carry; ``expires`` is an RFC 3339 time after which it must not be done."""

    transaction: str | None = None
    call_id: str | None = None
    if_state: CallState | None = None
    expires: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial(Request):
    """Place a call to a number, a SIP URI or a contact; ``timeout`` in seconds until it is given up, ``hold_ms`` of
    settle time before ``play``.

    Whom ``also`` names is rung at the same time, and the first to answer has the call. With ``accept`` only who presses
    that key within ``accept_timeout`` seconds (15) has it, and hears ``accept_prompt`` (as in `Play`) until then.
    ``HUNT_DONE`` tells how that ends; the answer's data name all ``call_ids``.
    """

    to: str
    from_name: str | None = None
    timeout: float = 60.0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    play: str | None = dataclasses.field(default=None, repr=False)  # as the ``url`` of `Play`
    auto_hangup: bool = False
    hold_ms: int = 500
    also: tuple[str, ...] | None = None
    accept: str | None = None
    accept_prompt: str | None = dataclasses.field(default=None, repr=False)
    accept_timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Request):
    """Answer the ringing call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(Request):
    """Refuse the ringing call with a 4xx to 6xx ``status``; without one, with the account's: 486 unless configured."""

    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup(Request):
    """End the call in whatever state it is; ``status`` is what a ringing caller is told."""

    status: int = 603


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDTMF(Request):
    """Press keys: ``0-9*#A-D`` and ``,`` for a pause. Without a ``method``, as `Settings` say."""

    digits: str = dataclasses.field(repr=False)  # they may be a code
    method: DTMFMethod | None = None
    duration_ms: int = 160
    gap_ms: int = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Play(Request):
    """Play a file, an http or https URL or a tone (``tone:NAME[@COUNTRY][/SECONDS]``) into the call.

    Answered when it is heard, or can't be. ``volume`` is 0.0 to 2.0. ``enqueue`` plays it after what plays, instead of
    in its place; ``early`` plays it to the caller of a ringing call, before the answer.
    """

    url: str = dataclasses.field(repr=False)  # it may hold a token
    loop: bool = False
    volume: float = 1.0
    enqueue: bool = False
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPlayback(Request):
    """Stop what plays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Request):
    """Record both sides; ``name`` stands in the file's name, which the answer's data tell as ``file``."""

    name: str | None = None
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRecording(Request):
    """Finish the recording; ``RECORDING_DONE`` tells when it is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Request):
    """Have the other parties of this call and of ``other_call_id``, of any account, hear each other."""

    other_call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Separate(Request):
    """Undo `Join`, of both its calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(Request):
    """Send silence to the other party."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmute(Request):
    """Undo `Mute`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Request):
    """Put the other party on hold; answered when it agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(Request):
    """Undo `Hold`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Request):
    """Have the other party call ``to``, or talk to the other party of ``attended_call_id``; answered when they do."""

    to: str | None = None
    attended_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessage(Request):
    """Send a text to a number or SIP URI; answered when the other side has taken it or refused it."""

    to: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDoor(Request):
    """Open the door with the account's code, which never crosses MQTT; see the account's ``door`` in the configuration.

    A ringing call is answered for it; without a call, the door station is called if its number is configured. Answered
    when the last key was sent, of which ``DOOR_OPENED`` tells, too.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Set(Request):
    """Change what `Settings` holds; what is left out stays. The answer's data are the settings from now on."""

    do_not_disturb: bool | None = None
    auto_answer: bool | None = None
    output_volume: float | None = None
    ring_timeout: float | None = None
    dtmf_method: DTMFChoice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(Request):
    """Register now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unregister(Request):
    """Remove the registration until told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck(Request):
    """Bridge-wide: answer with the bridge's health."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(Request):
    """Bridge-wide: show every SIP message on ``B/trace`` for so many seconds from now on; 0 ends it."""

    seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload(Request):
    """Bridge-wide: read the configuration again and apply what changed; the answer's data say what that was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLogLevel(Request):
    """Bridge-wide: log so much from now on, until the next start."""

    level: Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Request):
    """Bridge-wide: hang up, deregister, and begin anew; answered before."""


AccountRequest = (
    Dial
    | Answer
    | Reject
    | Hangup
    | SendDTMF
    | Play
    | StopPlayback
    | Record
    | StopRecording
    | Join
    | Separate
    | Mute
    | Unmute
    | Hold
    | Resume
    | Transfer
    | SendMessage
    | OpenDoor
    | Set
    | Register
    | Unregister
)
BridgeRequest = HealthCheck | Trace | Reload | ChangeLogLevel | Restart

# verb -> class, and the key that a bare value (``mosquitto_pub -t .../dial -m 100``) fills
ACCOUNT_VERBS: Final[Mapping[str, tuple[type[AccountRequest], str | None]]] = {
    "dial": (Dial, "to"),
    "answer": (Answer, None),
    "reject": (Reject, "status"),
    "hangup": (Hangup, None),
    "send_dtmf": (SendDTMF, "digits"),
    "play": (Play, "url"),
    "stop_playback": (StopPlayback, None),
    "record": (Record, "name"),
    "stop_recording": (StopRecording, None),
    "join": (Join, "other_call_id"),
    "separate": (Separate, None),
    "mute": (Mute, None),
    "unmute": (Unmute, None),
    "hold": (Hold, None),
    "resume": (Resume, None),
    "transfer": (Transfer, "to"),
    "send_message": (SendMessage, None),
    "open_door": (OpenDoor, None),
    "set": (Set, None),
    "register": (Register, None),
    "unregister": (Unregister, None),
}
BRIDGE_VERBS: Final[Mapping[str, tuple[type[BridgeRequest], str | None]]] = {
    "health_check": (HealthCheck, None),
    "trace": (Trace, "seconds"),
    "reload": (Reload, None),
    "log_level": (ChangeLogLevel, "level"),
    "restart": (Restart, None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailure:
    """The ``error`` of a response."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """``.../response/<verb>``; ``transaction`` is the request's."""

    status: Literal["ok", "error"]
    transaction: str | None = None
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    error: RequestFailure | None = None

    @classmethod
    def ok(cls, transaction: str | None = None, **data: Any) -> Self:
        """The request was done."""
        return cls(status="ok", transaction=transaction, data=data)

    @classmethod
    def failed(cls, code: ErrorCode, message: str, transaction: str | None = None) -> Self:
        """The request was not done."""
        return cls(status="error", transaction=transaction, error=RequestFailure(code=code, message=message))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """``B/logging``: a warning or worse."""

    level: Literal["warning", "error", "critical"]
    message: str
    logger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """``B/health``, each 60 s, and the data of ``health_check``; ``counters`` are named in docs/mqtt/health.md."""

    uptime_seconds: float
    accounts: int
    registered: int
    calls: int
    mqtt_queued: int
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedMessage:
    """``B/trace`` (QoS 0), while a ``trace`` runs: a SIP message, its secrets masked. ``local`` and ``remote`` are
    ``host:port``; ``origin`` says who sent it.
    """

    origin: Origin
    transport: str
    local: str
    remote: str
    message: str


# --- codec ---------------------------------------------------------------------------------------------------------

P = TypeVar("P", bound=object)


def encode(payload: object, ts: float | None) -> str:
    """The JSON of a payload, stamped with ``schema`` and ``ts`` (Unix seconds; None for stable content)."""
    stamp = {} if ts is None else {"ts": rfc3339(ts)}
    return json.dumps({"schema": SCHEMA, **stamp, **_plain(payload)}, ensure_ascii=False, allow_nan=False)


def as_data(payload: object) -> dict[str, Any]:
    """A payload as the ``data`` of a response."""
    return _plain(payload)


def encode_request(request: Request, ts: float) -> str:
    """The JSON of a request: only what differs from the defaults."""
    values = {k: v for k, v in _plain(request).items() if v is not None}
    return json.dumps({"schema": SCHEMA, "ts": rfc3339(ts), **values}, ensure_ascii=False, allow_nan=False)


def decode(kind: type[P], data: bytes | str) -> P:
    """A payload of class ``kind`` from its JSON; unknown keys are ignored."""
    return _build(kind, _object(data), lenient=False)


def decode_event(data: bytes | str) -> Event:
    """An event of the class that its name asks for."""
    values = _object(data)
    name = values.get("event")
    if not isinstance(name, str) or _EVENT_NAME.fullmatch(name) is None:
        raise ContractError("event: expected an upper-case name")
    return _build(EVENT_CLASSES.get(name, Event), values, lenient=False)


def decode_account_request(verb: str, data: bytes) -> AccountRequest:
    """The request of ``.../request/<verb>``: a JSON object or the bare value."""
    kind, bare_key = ACCOUNT_VERBS[verb]
    return _decode_request(kind, bare_key, data)


def decode_bridge_request(verb: str, data: bytes) -> BridgeRequest:
    """The request of ``B/request/<verb>``."""
    kind, bare_key = BRIDGE_VERBS[verb]
    return _decode_request(kind, bare_key, data)


def transaction_of(data: bytes) -> str | None:
    """The transaction id of a request, even of one that can't be decoded, so that its error still finds its sender."""
    try:
        transaction: str = _scalar(str, _object(data).get("transaction"), "transaction", lenient=True)
    except ContractError:
        return None
    return transaction if len(transaction) <= MAX_TRANSACTION else None


def stamp_of(data: bytes) -> str | None:
    """When a message was made, as its ``ts`` says; None when it does not say."""
    stamp = _object(data).get("ts")
    return stamp if isinstance(stamp, str) else None


def verb_is_well_formed(verb: str) -> bool:
    """Whether a verb may be echoed in a response topic."""
    return _VERB.fullmatch(verb) is not None


def _decode_request(kind: type[P], bare_key: str | None, data: bytes) -> P:
    text = _text(data).strip()
    if text.startswith(("{", "[")):
        values = _object(text)
        if len(str(values.get("transaction"))) > MAX_TRANSACTION:
            raise ContractError(f"transaction: longer than {MAX_TRANSACTION} characters")
        return _build(kind, values, lenient=True)
    if not text:
        return _build(kind, {}, lenient=True)
    if bare_key is None:
        raise ContractError("expected a JSON object or an empty payload")
    return _build(kind, {bare_key: _bare(text)}, lenient=True)


def _bare(text: str) -> str:
    """A bare value is taken as written; a JSON string loses its quotes."""
    if text.startswith('"'):
        value = _json(text)
        return value if isinstance(value, str) else text
    return text


def _text(data: bytes | str) -> str:
    if len(data) > MAX_PAYLOAD:
        raise ContractError(f"longer than {MAX_PAYLOAD} bytes")
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ContractError("not UTF-8") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ContractError:
        raise
    except json.JSONDecodeError as error:
        raise ContractError(f"not JSON: {error.msg} at character {error.pos}") from error
    except (RecursionError, ValueError) as error:  # nested too deep; an integer of too many digits
        raise ContractError("not JSON that can be read") from error


def _refuse_constant(name: str) -> None:
    raise ContractError(f"{name} is not JSON")


def _object(data: bytes | str) -> dict[str, Any]:
    value = _json(_text(data))
    if not isinstance(value, dict):
        raise ContractError("expected a JSON object")
    return value


def _plain(payload: object) -> dict[str, Any]:
    if not dataclasses.is_dataclass(payload) or isinstance(payload, type):
        raise TypeError(f"{payload!r} is no payload")
    return {field.name: _plain_value(getattr(payload, field.name)) for field in dataclasses.fields(payload)}


def _plain_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _plain(value)
    if isinstance(value, tuple):
        return [_plain_value(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain_value(item) for key, item in value.items()}
    return value


@functools.cache
def _hints(kind: Hashable) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)  # the classes of this module, all hashable


def _build(kind: type[P], values: Mapping[str, Any], *, lenient: bool, path: str = "") -> P:
    if values.get("schema", SCHEMA) != SCHEMA and not path:
        raise ContractError(f"schema: expected {SCHEMA}")
    hints = _hints(typing.cast("Hashable", kind))
    arguments = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # every payload class is a dataclass
        where = f"{path}{field.name}"
        if field.name in values:
            arguments[field.name] = _value(hints[field.name], values[field.name], where, lenient=lenient)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ContractError(f"{where}: missing")
    return kind(**arguments)


def _value(hint: Any, value: Any, where: str, *, lenient: bool) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _optional(hint, value, where, lenient=lenient)
    if origin is Literal:
        return _one_of(value, typing.get_args(hint), where)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        if not isinstance(value, list):
            raise ContractError(f"{where}: expected a list")
        return tuple(_value(item, each, f"{where}[{i}]", lenient=lenient) for i, each in enumerate(value))
    if origin is Mapping:
        return _mapping(hint, value, where, lenient=lenient)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(_one_of(value, tuple(hint), where))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ContractError(f"{where}: expected an object")
        return _build(hint, value, lenient=lenient, path=f"{where}.")
    return _scalar(hint, value, where, lenient=lenient)


def _optional(hint: Any, value: Any, where: str, *, lenient: bool) -> Any:
    (inner,) = (each for each in typing.get_args(hint) if each is not type(None))
    return None if value is None else _value(inner, value, where, lenient=lenient)


def _one_of(value: Any, allowed: tuple[Any, ...], where: str) -> Any:
    if not isinstance(value, str) or value not in allowed:
        raise ContractError(f"{where}: expected one of {', '.join(map(str, allowed))}")
    return value


def _mapping(hint: Any, value: Any, where: str, *, lenient: bool) -> Mapping[str, Any]:
    item = typing.get_args(hint)[1]
    if not isinstance(value, dict):
        raise ContractError(f"{where}: expected an object")
    return {
        _scalar(str, key, where, lenient=False): _value(item, each, f"{where}.{key}", lenient=lenient)
        for key, each in value.items()
    }


def _scalar(hint: Any, value: Any, where: str, *, lenient: bool) -> Any:
    """A str, int, float or bool; ``lenient`` takes 100 for "100" and back, as people and templates write them."""
    if hint is Any:
        return value
    if lenient:
        value = _coerced(hint, value)
    if hint is float:
        return _finite(value, where)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ContractError(f"{where}: expected {_WORDS[hint]}")
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise ContractError(f"{where}: half a surrogate pair is no character")  # JSON escapes let it in; UTF-8 has none
    return value


def _finite(value: Any, where: str) -> float:
    """A float that JSON can carry: ``1e999`` and the string ``nan`` are none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ContractError(f"{where}: expected {_WORDS[float]}")


_WORDS: Final = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def _coerced(hint: type, value: Any) -> Any:
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if hint in (int, float) and isinstance(value, str):
        try:
            return hint(value)
        except ValueError:
            return value
    return value
