"""What a phone tells its owner, in the past tense. The SIP core's facts pass through as they are."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Literal

from sip_bridge.media.key_sequence import SequenceEnd
from sip_bridge.media.press_filter import PressMethod
from sip_bridge.phone.recorder import RecordingEnd
from sip_bridge.sip.events import (
    CallSignaled,
    DialogStateReceived,
    EndCause,
    MessageReceived,
    MessagesWaiting,
    RegistrationChanged,
    SubscriptionChanged,
)
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall


class CallLimit(Enum):
    """A limit of ours that ends a call."""

    NO_ANSWER = auto()  # it rang for too long
    MAX_DURATION = auto()
    MEDIA_LOST = auto()  # nothing was heard for too long


DTMFMethod = PressMethod
DoorOpening = Literal["request", "key"]
SendMethod = Literal["auto"] | PressMethod
Refusal = Literal["do_not_disturb", "blocked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallChanged:
    """A call appeared, or its state, codec or mute changed, or whether it is recorded or joined."""

    call: "VoIPCall"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """A call is over; its figures don't change any more. It never rang, and nothing else is told of it, if the
    account's screening was a ``refusal``.
    """

    call: "VoIPCall"
    cause: EndCause
    status: SIPStatus | None
    phrase: str | None
    q850: int | None
    limit: CallLimit | None  # what of ours ended it, if that did
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DTMFPressed:
    """The other party pressed a key; it may be one of a PIN, so no repr shows it."""

    call: "VoIPCall"
    digit: str = field(repr=False)
    method: DTMFMethod
    duration_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DTMFEntered:
    """Keys that the other party pressed one after the other; ``method`` is how the last one came.

    ``code`` is the name of the account's code that they are. ``locked``: too many codes were tried, none is taken now.
    """

    call: "VoIPCall"
    digits: str = field(repr=False)
    method: DTMFMethod
    ended_by: SequenceEnd
    code: str | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOpened:
    """The last key of the account's door code was sent in a call, as somebody asked for ``by`` a request or a key."""

    call: "VoIPCall"
    by: DoorOpening


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntEnded:
    """Of several phones that rang at once one has the call, the ``winner``, or none.

    Who searched may have given up (`EndCause.CANCELED`), or somebody else answered (`EndCause.ANSWERED_ELSEWHERE`).
    """

    winner: "VoIPCall | None"
    calls: "tuple[VoIPCall, ...]"
    given_up: EndCause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackEnded:
    """What played into a call has ended: ``completed`` when its last sample was sent, else stopped or in ``error``."""

    call: "VoIPCall"
    source: str
    completed: bool
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLost:
    """The other party should have been heard for ``seconds`` and was not; told once, until `MediaFound`."""

    call: "VoIPCall"
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFound:
    """After `MediaLost` the other party is heard again."""

    call: "VoIPCall"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingEnded:
    """A recording is complete, or could not be begun: then it has no ``file`` (its name in the folder), but an error.

    ``missed_seconds`` of it are silence, since the disk was too slow. It may be told after the end of its call.
    """

    call: "VoIPCall"
    file: str | None
    seconds: float = 0.0
    size: int = 0
    reason: RecordingEnd
    error: str | None
    missed_seconds: float = 0.0


LineEvent = RegistrationChanged | MessageReceived | MessagesWaiting | SubscriptionChanged | DialogStateReceived
PhoneEvent = (
    CallSignaled
    | CallChanged
    | CallFinished
    | DTMFPressed
    | DTMFEntered
    | DoorOpened
    | HuntEnded
    | PlaybackEnded
    | RecordingEnded
    | MediaLost
    | MediaFound
    | LineEvent
)
