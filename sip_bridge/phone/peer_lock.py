"""Whose RTP a call takes: no stranger's, and no other call's of the same PBX.

Descriptions lie behind routers, so the address that is heard first is learned, from the host that was negotiated or
that signals only, and it alone is heard from then on. What may take its place:

- the very address that was negotiated: it is the peer's own word;
- the address that was learned first, should it speak again;
- another port of the same host, after `REBOUND_AFTER` seconds of silence: a router that restarts, or forgets a mapping,
  gives its host another port and not another address, and a call that hears nothing has nothing to lose.
"""

from typing import Final

REBOUND_AFTER: Final = 3.0  # seconds; many times what a pause of speech on a lossy network makes
LEARNING: Final = 5.0  # seconds after the first packet in which the negotiated address still takes over

Address = tuple[str, int]


class PeerLock:
    """Knows where the peer is. ``signalling_host`` may send too: it may stand where the description does not say."""

    def __init__(self, *, signalling_host: str | None) -> None:
        self._signalling_host = signalling_host
        self._is_agreed = False
        self._negotiated: Address | None = None
        self._home: Address | None = None  # what was learned first
        self._locked: Address | None = None
        self._locked_at = 0.0
        self._heard_at = 0.0
        self.remote: Address | None = None  # where RTP is to be sent

    def agree(self, remote: Address | None) -> bool:
        """Learn again: a description came; None where it has no address. Whether the peer moved to another one."""
        self._is_agreed = True
        self._locked = None
        if remote is None or remote == self._negotiated:
            return False
        self._negotiated = self.remote = remote
        self._home = None
        return True

    def is_peers_host(self, host: str) -> bool:
        """Whether the peer, or its reports, may come from that host."""
        if not self._is_agreed:
            return False
        if self._locked is not None:
            return host == self._locked[0]
        known = (self._negotiated, self.remote)
        return host == self._signalling_host or any(address is not None and host == address[0] for address in known)

    def may_be(self, source: Address, now: float) -> bool:
        """Whether a packet from there may be the peer's."""
        locked = self._locked
        if source == locked:
            return True
        if locked is None:
            return self.is_peers_host(source[0])
        if source == self._negotiated and now - self._locked_at < LEARNING:
            return True
        is_silent = now - self._heard_at >= REBOUND_AFTER
        return source == self._home or (is_silent and (source[0] == locked[0] or source == self._negotiated))

    def heard(self, source: Address, now: float) -> None:
        """A packet that `may_be` the peer's is indeed RTP, and authentic where that can be told."""
        self._heard_at = now
        if source == self._locked:
            return
        if self._locked is None:
            self._locked_at = now
        if self._home is None or source == self._negotiated:
            self._home = source
        self._locked = self.remote = source
