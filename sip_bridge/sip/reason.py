"""Why a request or refusal was sent: the Reason header (RFC 3326, RFC 6432); Q.850 causes as statuses (RFC 3398)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import get_param, is_token, parse_params, quoted, split_leniently
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus

MAX_REASONS: Final = 8  # of one message; more are not read
MAX_TEXT: Final = 200  # characters of a text that are kept
SIP: Final = "SIP"
Q850: Final = "Q.850"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """``Q.850;cause=16;text="Normal call clearing"``; ``protocol`` is in upper case, ``cause`` has 1 to 3 digits."""

    protocol: str
    cause: int | None = None
    text: str | None = None

    @classmethod
    def parse(cls, value: str) -> "Reason":
        """One value of the header; RemoteProtocolError when it is none. A cause that is no number is left out."""
        protocol, semicolon, rest = value.partition(";")
        protocol = protocol.strip()
        if not is_token(protocol):
            raise RemoteProtocolError(f"not a reason: {value[:80]!r}")
        params = parse_params((semicolon + rest).rstrip("; "))
        cause = get_param(params, "cause") or ""
        text = get_param(params, "text")
        return cls(
            protocol=protocol.upper(),
            cause=int(cause) if cause.isascii() and cause.isdigit() and len(cause) <= 3 else None,
            text=None if text is None else text[:MAX_TEXT],
        )

    def format(self) -> str:
        """The inverse of `parse`."""
        cause = "" if self.cause is None else f";cause={self.cause}"
        text = "" if self.text is None else f";text={quoted(self.text)}"
        return f"{self.protocol}{cause}{text}"

    @classmethod
    def of_status(cls, status: SIPStatus, text: str | None = None) -> "Reason":
        """A SIP status as the reason, as in the CANCEL of a fork that lost."""
        return cls(protocol=SIP, cause=int(status), text=text or status.phrase)

    @classmethod
    def answered_elsewhere(cls) -> "Reason":
        """What keeps a phone that stops ringing from showing a missed call."""
        return cls.of_status(SIPStatus.OK, "Call completed elsewhere")

    @classmethod
    def of_cause(cls, cause: int) -> "Reason":
        """A Q.850 cause with its name."""
        return cls(protocol=Q850, cause=cause, text=CAUSES.get(cause))


def reasons_of(message: SIPMessage) -> tuple[Reason, ...]:
    """Every reason that can be read: the header is informative, a malformed one is no reason to refuse a BYE."""
    reasons = []
    for value in split_leniently(message.get_all("reason"), limit=MAX_REASONS):
        try:
            reasons.append(Reason.parse(value))
        except RemoteProtocolError:
            continue
    return tuple(reasons)


def cause_of(message: SIPMessage, protocol: str) -> int | None:
    """The cause that a message gives in a protocol's numbers (`SIP`, `Q850`); the last one counts."""
    causes = [reason.cause for reason in reasons_of(message) if reason.protocol == protocol]
    return next((cause for cause in reversed(causes) if cause is not None), None)


# The names of ITU-T Q.850 for the causes that RFC 3398 maps.
CAUSES: Final[Mapping[int, str]] = {
    1: "Unallocated (unassigned) number",
    2: "No route to specified transit network",
    3: "No route to destination",
    16: "Normal call clearing",
    17: "User busy",
    18: "No user responding",
    19: "No answer from user (user alerted)",
    20: "Subscriber absent",
    21: "Call rejected",
    22: "Number changed",
    23: "Redirection to new destination",
    25: "Exchange routing error",
    26: "Non-selected user clearing",
    27: "Destination out of order",
    28: "Invalid number format (address incomplete)",
    29: "Facility rejected",
    31: "Normal, unspecified",
    34: "No circuit/channel available",
    38: "Network out of order",
    41: "Temporary failure",
    42: "Switching equipment congestion",
    47: "Resource unavailable, unspecified",
    55: "Incoming calls barred within CUG",
    57: "Bearer capability not authorized",
    58: "Bearer capability not presently available",
    63: "Service or option not available, unspecified",
    65: "Bearer capability not implemented",
    70: "Only restricted digital information bearer capability is available",
    79: "Service or option not implemented, unspecified",
    87: "User not member of CUG",
    88: "Incompatible destination",
    102: "Recovery on timer expiry",
    111: "Protocol error, unspecified",
    127: "Interworking, unspecified",
}

_STATUSES: Final[Mapping[int, int]] = {
    **dict.fromkeys((1, 2, 3, 26), 404),
    17: 486,
    18: 408,
    **dict.fromkeys((19, 20, 31), 480),
    **dict.fromkeys((21, 55, 57, 87), 403),
    **dict.fromkeys((22, 23), 410),
    27: 502,
    28: 484,
    **dict.fromkeys((29, 79), 501),
    **dict.fromkeys((34, 38, 41, 42, 47, 58, 88), 503),
    **dict.fromkeys((65, 70), 488),
    102: 504,
    **dict.fromkeys((111, 127), 500),
}

_CAUSES_OF_STATUSES: Final[Mapping[int, int]] = {
    **dict.fromkeys((400, 481, 500, 503), 41),
    **dict.fromkeys((401, 402, 403, 407, 603), 21),
    **dict.fromkeys((404, 485, 604), 1),
    405: 63,
    **dict.fromkeys((406, 415, 501), 79),
    **dict.fromkeys((408, 504), 102),
    410: 22,
    480: 18,
    **dict.fromkeys((482, 483), 25),
    484: 28,
    **dict.fromkeys((486, 600), 17),
    **dict.fromkeys((488, 606), 65),
    502: 38,
}


def status_of(cause: int) -> SIPStatus:
    """The refusal that a Q.850 cause means (RFC 3398 §8.2.6.1); 500 for one that is not listed there."""
    return SIPStatus(_STATUSES.get(cause, 500))


def q850_of(status: SIPStatus) -> int:
    """The Q.850 cause that a refusal means (RFC 3398 §7.2.4.1), 16 for what is none; 127 for one not listed there."""
    return _CAUSES_OF_STATUSES.get(status, 127) if status >= 300 else 16
