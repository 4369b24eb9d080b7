"""What happened: facts in the past tense, drained from the endpoint together with the bytes to send.

Their reprs leave out bodies: a session description may carry keys, an INFO a digit of a PIN.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

from sip_bridge.sip.caller import Caller
from sip_bridge.sip.dialog_info import DialogInfo
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.status import SIPStatus

Origin = Literal["local", "remote"]


class EndCause(Enum):
    """Why a call ended, as the signalling tells it."""

    HANGUP_LOCAL = auto()  # we sent BYE
    HANGUP_REMOTE = auto()  # the peer sent BYE
    CANCELED = auto()  # the caller gave up before the answer
    ANSWERED_ELSEWHERE = auto()  # cancelled because another phone took it (RFC 3326)
    REJECTED = auto()  # a 3xx to 6xx, see the status
    TIMEOUT = auto()  # nobody answered our request, or no ACK came
    UNREACHABLE = auto()  # the next hop has no address, or sending failed


class RegistrationState(Enum):
    """Where a registration stands."""

    REGISTERING = auto()
    REGISTERED = auto()
    UNREGISTERED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmit:
    """Send these bytes over this flow."""

    data: bytes
    flow: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveNeeded:
    """A request waits for the flows to a hop: answer with ``endpoint.resolved(hop, flows, now)``, best flow first."""

    hop: Hop


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationChanged:
    """A registration moved; ``expires_in`` seconds are granted, ``retry_in`` seconds pass before the next attempt."""

    line: str
    state: RegistrationState
    status: SIPStatus | None = None
    phrase: str | None = None
    expires_in: float | None = None
    retry_in: float | None = None
    account_refused: bool = False  # user name or password are wrong: no further attempt is made


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReceived:
    """An INVITE came for a line; answer, reject or let it ring. ``offer`` is its session description, b"" for none.

    ``remote`` is From as it came, ``caller`` who that is as far as it may be known and shown.
    ``replaces`` is a call of ours whose place this one takes (RFC 3891): answer it at once; that ends the other.
    """

    call: str
    line: str
    remote: NameAddr
    caller: Caller
    flow: Flow
    offer: bytes = field(repr=False)
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlaced:
    """Our INVITE is on its way."""

    call: str
    line: str
    remote: NameAddr


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSignaled:
    """A SIP message of a call was sent or received, retransmissions apart: a request, or a response to the INVITE."""

    call: str
    origin: Origin
    method: str
    status: SIPStatus | None = None
    phrase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProgressed:
    """A provisional response to our INVITE; ``answer`` is early media's session description, b"" for none."""

    call: str
    status: SIPStatus
    answer: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered:
    """A 2xx to our INVITE came; ``answer`` is its session description, b"" when the peer offers, or all is settled."""

    call: str
    answer: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfirmed:
    """The ACK to our 2xx came: media may flow. ``answer`` is filled when the offer was ours (delayed offer)."""

    call: str
    answer: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReceived:
    """The peer's answer to an offer of ours other than the INVITE's came; b"" when it left it out."""

    call: str
    answer: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferReceived:
    """The peer makes an offer within the call: ``accept_offer`` or ``refuse_offer``; an empty one asks for ours."""

    call: str
    offer: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferNeeded:
    """`Endpoint.modify` or a refresh can go out now: give our offer to ``send_offer``."""

    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRefused:
    """The peer refused our offer; the session goes on as it was."""

    call: str
    status: SIPStatus
    phrase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequested:
    """The peer asks us to call ``target`` instead: ``accept_transfer`` or ``refuse_transfer``.

    ``replaces`` is the Replaces header that our INVITE must carry (an attended transfer).
    """

    call: str
    target: str
    replaces: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProgressed:
    """The peer that we transferred told how far its call to the target is."""

    call: str
    status: SIPStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEnded:
    """The outcome of our transfer: with a 2xx the peer talks to the target and our call can be hung up."""

    call: str
    status: SIPStatus
    phrase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoAnswered:
    """The final response to an INFO of ours."""

    call: str
    status: SIPStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoReceived:
    """An INFO inside a call, already answered."""

    call: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """A call is over; told once a call, last. ``q850`` is the cause of a Reason header (RFC 3326)."""

    call: str
    cause: EndCause
    status: SIPStatus | None = None
    phrase: str | None = None
    q850: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived:
    """A MESSAGE came, already answered (RFC 3428); ``remote`` is whom its registrar or proxy vouches for, else From."""

    line: str
    remote: NameAddr
    content_type: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent:
    """Our MESSAGE got its 2xx."""

    line: str
    message: str
    status: SIPStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFailed:
    """Our MESSAGE was refused with ``status``, or, without one, got no answer."""

    line: str
    message: str
    cause: EndCause
    status: SIPStatus | None = None
    phrase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsAnswered:
    """A peer answered our OPTIONS with whatever status: it is there, and ``allow`` is what it can do."""

    line: str
    query: str
    status: SIPStatus
    allow: tuple[str, ...] = ()
    server: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsFailed:
    """Nobody answered our OPTIONS."""

    line: str
    query: str
    cause: EndCause


class SubscriptionState(Enum):
    """Where a subscription of ours stands."""

    SUBSCRIBING = auto()
    PENDING = auto()  # the notifier has not made up its mind
    ACTIVE = auto()
    FAILED = auto()  # it is tried again
    REFUSED = auto()  # the notifier has no such thing: it is tried again, but seldom
    ENDED = auto()  # by us, or because the state can't change any more


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged:
    """A subscription moved; ``reason`` is the notifier's, ``retry_in`` seconds pass before the next attempt."""

    line: str
    subscription: str
    package: str
    state: SubscriptionState
    status: SIPStatus | None = None
    reason: str | None = None
    retry_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesWaiting:
    """What waits in the line's mailbox (RFC 3842): whether anything does, and how many voice messages."""

    line: str
    waiting: bool
    new: int
    old: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogStateReceived:
    """The calls of somebody whom we watch (RFC 4235)."""

    line: str
    subscription: str
    info: DialogInfo


CallEvent = (
    CallReceived
    | CallPlaced
    | CallSignaled
    | CallProgressed
    | CallAnswered
    | CallConfirmed
    | AnswerReceived
    | OfferReceived
    | OfferNeeded
    | OfferRefused
    | TransferRequested
    | TransferProgressed
    | TransferEnded
    | InfoAnswered
    | InfoReceived
    | CallEnded
)
LineEvent = (
    RegistrationChanged
    | MessageReceived
    | MessageSent
    | MessageFailed
    | OptionsAnswered
    | OptionsFailed
    | SubscriptionChanged
    | MessagesWaiting
    | DialogStateReceived
)
Event = CallEvent | LineEvent
Output = Transmit | ResolveNeeded | Event
