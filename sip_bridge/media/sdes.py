"""SDES (RFC 4568): the keys of SRTP as a session description carries them."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LONGEST_LIFE: Final = 1 << 48  # packets, RFC 3711 §9.2
_HARMLESS: Final = ("-", "WSH=")  # what says itself that it may be ignored, and a hint (RFC 4568 §6.3.6, §6.3.7)


class SRTPPolicy(StrEnum):
    """What an account wants: plain RTP, SRTP where the other party can do it, or nothing but SRTP."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class KeyMaterial(bytes):
    """A master key and its salt. No log or traceback shows it: its repr is ``***``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A crypto suite; ``size`` is that of key and salt together, in bytes."""

    name: str
    size: int


# In the order in which we offer them: what every device has comes first, as some read no further.
SUITES: Final = {
    suite.name: suite
    for suite in (
        Suite(name="AES_CM_128_HMAC_SHA1_80", size=30),
        Suite(name="AEAD_AES_256_GCM", size=44),
        Suite(name="AEAD_AES_128_GCM", size=28),
        Suite(name="AES_CM_128_HMAC_SHA1_32", size=30),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crypto:
    """One ``a=crypto`` line (RFC 4568 §9.1)."""

    tag: int
    suite: Suite
    key: KeyMaterial

    @classmethod
    def parse(cls, value: str) -> "Crypto | None":
        """None for what we can't do, which is to be passed over: other suites, several keys, MKI, weaker sessions."""
        words = value.split()
        if len(words) < 3:
            return None
        tag, name, keys, *parameters = words
        suite = SUITES.get(name)
        key = None if suite is None else _key(keys, suite.size)
        if suite is None or key is None or not _is_number(tag) or not all(map(_may_ignore, parameters)):
            return None
        return cls(tag=int(tag), suite=suite, key=key)

    def format(self) -> str:
        """The inverse of `parse`."""
        return f"{self.tag} {self.suite.name} inline:{base64.b64encode(self.key).decode()}"


def new_keys(entropy: Callable[[int], bytes]) -> tuple[Crypto, ...]:
    """A line for each suite, each with a key of its own; ``entropy`` gives that many random bytes."""
    return tuple(
        Crypto(tag=tag, suite=suite, key=KeyMaterial(entropy(suite.size)))
        for tag, suite in enumerate(SUITES.values(), start=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SRTPKeys:
    """What was agreed: we send with ``local``, the peer with ``remote``."""

    suite: Suite
    local: KeyMaterial
    remote: KeyMaterial


def _key(text: str, size: int) -> KeyMaterial | None:
    """``inline:key[|lifetime]``. One with an MKI behind that, or with a second key, is none for us."""
    method, _, inline = text.partition(":")
    encoded, bar, lifetime = inline.partition("|")
    if method != "inline" or (bar and not _is_lifetime(lifetime)):
        return None
    stripped = encoded.rstrip("=")
    try:
        key = base64.b64decode(stripped + "=" * (-len(stripped) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return KeyMaterial(key) if len(key) == size else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15


def _is_lifetime(text: str) -> bool:
    """``2^31`` or a number of packets. The peer's key is the peer's to renew, so that it makes sense is enough."""
    number = text.removeprefix("2^")
    if not _is_number(number):
        return False
    return int(number) <= 48 if number != text else 0 < int(number) <= _LONGEST_LIFE


def _may_ignore(parameter: str) -> bool:
    """Others weaken the session (UNENCRYPTED_SRTP, UNAUTHENTICATED_SRTP, ...), or are nothing that libsrtp does."""
    return parameter.startswith(_HARMLESS) or parameter == "KDR=0"
