"""What happened: facts in the past tense, drained from the endpoint together with the bytes to send."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

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
    """An INVITE came for a line; answer, reject or let it ring. ``offer`` is its session description, b"" for none."""

    call: str
    line: str
    remote: NameAddr
    flow: Flow
    offer: bytes


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
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered:
    """A 2xx to our INVITE came and was acknowledged; ``answer`` is its session description."""

    call: str
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfirmed:
    """The ACK to our 2xx came: media may flow. ``answer`` is filled when the offer was ours (delayed offer)."""

    call: str
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReceived:
    """The ACK to a re-INVITE brought the answer to our offer."""

    call: str
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferReceived:
    """A re-INVITE or UPDATE: answer with ``accept_offer`` or ``refuse_offer``; an empty ``offer`` asks for ours."""

    call: str
    offer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoReceived:
    """An INFO inside a call, already answered."""

    call: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """A call is over; told once a call, last. ``q850`` is the cause of a Reason header (RFC 3326)."""

    call: str
    cause: EndCause
    status: SIPStatus | None = None
    phrase: str | None = None
    q850: int | None = None


Event = (
    RegistrationChanged
    | CallReceived
    | CallPlaced
    | CallSignaled
    | CallProgressed
    | CallAnswered
    | CallConfirmed
    | AnswerReceived
    | OfferReceived
    | InfoReceived
    | CallEnded
)
Output = Transmit | ResolveNeeded | Event
