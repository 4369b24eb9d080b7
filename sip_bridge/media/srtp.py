"""SRTP by libsrtp (RFC 3711, RFC 7714): packets that only the one who has the key can make."""

from collections.abc import Callable
from typing import Final

from pylibsrtp import Error, Policy, Session

from sip_bridge.media.sdes import KeyMaterial, SRTPKeys, Suite

MAX_SOURCES: Final = 32  # SSRCs of the peer's in one call: libsrtp remembers something about each
_WINDOW: Final = 128  # packets behind the newest among which a replayed one is recognised: 2.5 s
_PROFILES: Final = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


class SRTPContext:
    """Protects one call's packets and opens the peer's: what libsrtp does not vouch for is None."""

    def __init__(self) -> None:
        self._senders: dict[KeyMaterial, Session] = {}  # all that ever were: a key that comes back goes on, not anew
        self._sender: Session | None = None
        self._receiver: Session | None = None
        self._remote: tuple[Suite, KeyMaterial] | None = None
        self._sources: set[bytes] = set()

    def agree(self, keys: SRTPKeys) -> None:
        """The keys from now on. One that does not change keeps its rollover counter and its replay window."""
        if keys.local not in self._senders:
            self._senders[keys.local] = _session(keys.suite, keys.local, Policy.SSRC_ANY_OUTBOUND)
        self._sender = self._senders[keys.local]
        if self._remote != (keys.suite, keys.remote):
            self._remote = (keys.suite, keys.remote)
            self._receiver = _session(keys.suite, keys.remote, Policy.SSRC_ANY_INBOUND)
            self._sources = set()

    def protect(self, packet: bytes) -> bytes | None:
        """RTP to SRTP; None without a key: then nothing may be sent."""
        return None if self._sender is None else _applied(self._sender.protect, packet)

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """RTCP to SRTCP; None without a key: then nothing may be sent."""
        return None if self._sender is None else _applied(self._sender.protect_rtcp, packet)

    def unprotect(self, packet: bytes) -> bytes | None:
        """SRTP to RTP; None when it is not the peer's, was tampered with, or came before."""
        return None if self._receiver is None else self._opened(self._receiver.unprotect, packet, packet[8:12])

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """SRTCP to RTCP; None when it is not the peer's, was tampered with, or came before."""
        return None if self._receiver is None else self._opened(self._receiver.unprotect_rtcp, packet, packet[4:8])

    def _opened(self, unprotect: Callable[[bytes], bytes], packet: bytes, source: bytes) -> bytes | None:
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            return None
        plain = _applied(unprotect, packet)
        if plain is not None:
            self._sources.add(source)
        return plain


def _session(suite: Suite, key: KeyMaterial, direction: int) -> Session:
    policy = Policy(key=bytes(key), ssrc_type=direction, srtp_profile=_PROFILES[suite.name])
    policy.window_size = _WINDOW
    return Session(policy)


def _applied(function: Callable[[bytes], bytes], packet: bytes) -> bytes | None:
    """Foreign errors end here: a packet that libsrtp refuses is none (ValueError: it is too long)."""
    try:
        return function(packet)
    except (Error, ValueError):
        return None
