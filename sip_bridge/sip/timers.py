"""The timers of RFC 3261 §17 and their relatives, from one table (RFC 3261 appendix A, RFC 6026 §7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

NEVER: Final = float("inf")


class Timer(StrEnum):
    """The timers that transactions start as they enter a state."""

    A = "timer A"
    B = "timer B"
    D = "timer D"
    E = "timer E"
    F = "timer F"
    G = "timer G"
    H = "timer H"
    I = "timer I"  # noqa: E741  # the RFC's letter
    J = "timer J"
    K = "timer K"
    L = "timer L"
    M = "timer M"
    TRYING = "200 ms"


class Span(StrEnum):
    """How long a timer runs at first, in terms of the base values."""

    ZERO = "0"
    T1 = "T1"
    T4 = "T4"
    T1_64 = "64*T1"
    T1_64_OR_32 = "64*T1, at least 32 s"
    TRYING = "200 ms"
    NEVER = "does not run"


class Row(NamedTuple):
    """One timer over UDP and over TCP or TLS."""

    udp: Span
    stream: Span
    purpose: str


TABLE: Final[Mapping[Timer, Row]] = {
    Timer.A: Row(Span.T1, Span.NEVER, "sends an INVITE again, doubling each time"),
    Timer.B: Row(Span.T1_64, Span.T1_64, "gives an INVITE up that nobody answers"),
    Timer.D: Row(Span.T1_64_OR_32, Span.ZERO, "absorbs repeated refusals of an INVITE"),
    Timer.E: Row(Span.T1, Span.NEVER, "sends another request again, doubling up to T2; every T2 after a 1xx"),
    Timer.F: Row(Span.T1_64, Span.T1_64, "gives another request up that nobody answers"),
    Timer.G: Row(Span.T1, Span.NEVER, "sends the refusal of an INVITE again, doubling up to T2"),
    Timer.H: Row(Span.T1_64, Span.T1_64, "gives up waiting for the ACK to a refusal"),
    Timer.I: Row(Span.T4, Span.ZERO, "absorbs repeated ACKs to a refusal"),
    Timer.J: Row(Span.T1_64, Span.ZERO, "absorbs repetitions of another request"),
    Timer.K: Row(Span.T4, Span.ZERO, "absorbs repeated responses to another request"),
    Timer.L: Row(Span.T1_64, Span.T1_64, "absorbs repetitions of an INVITE that was accepted (RFC 6026)"),
    Timer.M: Row(Span.T1_64, Span.T1_64, "hands up every 2xx to an INVITE of ours (RFC 6026)"),
    Timer.TRYING: Row(Span.TRYING, Span.TRYING, "sends 100 Trying unless the user has answered (§17.2.1)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Base values in seconds; every other timer is computed from them."""

    t1: float = 0.5  # round-trip estimate
    t2: float = 4.0  # longest retransmit interval of non-INVITE requests and INVITE responses
    t4: float = 5.0  # how long a message may stay in the network
    trying: float = 0.2  # 100 Trying goes out by itself after this

    @property
    def b(self) -> float:
        """64*T1: how long anything waits for an answer or an ACK."""
        return 64 * self.t1

    def length(self, timer: Timer, *, reliable: bool) -> float:
        """How long a timer runs at first, in seconds; ``reliable`` means TCP or TLS."""
        row = TABLE[timer]
        return self.seconds(row.stream if reliable else row.udp)

    def seconds(self, span: Span) -> float:
        """A span in seconds; NEVER for a timer that does not run."""
        return {
            Span.ZERO: 0.0,
            Span.T1: self.t1,
            Span.T4: self.t4,
            Span.T1_64: self.b,
            Span.T1_64_OR_32: max(32.0, self.b),
            Span.TRYING: self.trying,
            Span.NEVER: NEVER,
        }[span]

    def doubled(self, interval: float) -> float:
        """The next interval of E, G and the retransmissions of a 2xx: doubled up to T2."""
        return min(2 * interval, self.t2)


RFC3261: Final = Timers()
