"""The timers of RFC 3261 §17 and their relatives, from one table (RFC 3261 appendix A, RFC 6026 §7)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Base values in seconds; every other timer is computed from them. ``reliable`` means TCP or TLS."""

    t1: float = 0.5  # round-trip estimate
    t2: float = 4.0  # longest retransmit interval of non-INVITE requests and INVITE responses
    t4: float = 5.0  # how long a message may stay in the network
    trying: float = 0.2  # 100 Trying goes out by itself after this (§17.2.1)

    @property
    def a(self) -> float:
        """INVITE request retransmit, doubling."""
        return self.t1

    @property
    def b(self) -> float:
        """INVITE transaction time-out; also F, H, J, L, M and the wait for an ACK to a 2xx."""
        return 64 * self.t1

    f = h = m = b

    @property
    def e(self) -> float:
        """Non-INVITE request retransmit, doubling to T2."""
        return self.t1

    @property
    def g(self) -> float:
        """INVITE response retransmit, doubling to T2."""
        return self.t1

    def d(self, *, reliable: bool) -> float:
        """Wait for retransmissions of a final response to INVITE."""
        return 0.0 if reliable else max(32.0, 64 * self.t1)

    def i(self, *, reliable: bool) -> float:
        """Wait for retransmissions of the ACK."""
        return 0.0 if reliable else self.t4

    def j(self, *, reliable: bool) -> float:
        """Wait for retransmissions of a non-INVITE request."""
        return 0.0 if reliable else 64 * self.t1

    def k(self, *, reliable: bool) -> float:
        """Wait for retransmissions of a response to non-INVITE."""
        return 0.0 if reliable else self.t4

    @property
    def l(self) -> float:  # noqa: E743  # the RFC's letter
        """How long an INVITE server transaction absorbs retransmissions after a 2xx (RFC 6026)."""
        return 64 * self.t1

    def doubled(self, interval: float) -> float:
        """The next interval of E, G and the retransmissions of a 2xx: doubled up to T2."""
        return min(2 * interval, self.t2)


RFC3261: Final = Timers()
NEVER: Final = float("inf")
