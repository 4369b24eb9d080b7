"""Key presses in the bodies of SIP INFO: ``application/dtmf-relay`` and ``application/dtmf``, as devices write them."""

import re
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.media.dtmf import KEYS

RELAY: Final = "application/dtmf-relay"
PLAIN: Final = "application/dtmf"
MAX_BODY: Final = 1024  # bytes; no key press takes more
_LINE: Final = re.compile(rb"""\s*(signal|duration)\s*[=:]\s*["']?([0-9*#a-d]{1,5})["']?\s*""", re.IGNORECASE)
_BARE: Final = re.compile(rb"""\s*["']?([0-9*#a-d]{1,2})["']?\s*""", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoPress:
    """One key; ``duration_ms`` is None when the device doesn't say."""

    digit: str = field(repr=False)  # it may be one of a code
    duration_ms: int | None = None

    @property
    def body(self) -> bytes:
        """The body of type RELAY; `parse_info` is the inverse."""
        duration = "" if self.duration_ms is None else f"Duration={self.duration_ms}\r\n"
        return f"Signal={self.digit}\r\n{duration}".encode()


def parse_info(content_type: str, content: bytes) -> InfoPress | None:
    """The key that a body tells of; None when it is about something else, or makes no sense.

    A key has its own name, or the number of its event: 10 is ``*``, 11 is ``#`` (RFC 4733 §3.2).
    """
    if content_type not in (RELAY, PLAIN) or len(content) > MAX_BODY:
        return None
    bare = _BARE.fullmatch(content) if content_type == PLAIN else None
    if bare is not None:
        return _press(bare[1], None)
    said: dict[bytes, bytes] = {}
    for line in content.rstrip(b"\0").split(b"\n"):
        match = _LINE.fullmatch(line)
        if match is not None:
            said.setdefault(match[1].lower(), match[2])
    return _press(said.get(b"signal", b""), said.get(b"duration"))


def _press(signal: bytes, duration: bytes | None) -> InfoPress | None:
    name = signal.decode().upper()
    number = int(name) if len(name) == 2 and name.isdecimal() else len(KEYS)
    digit = KEYS[number] if number < len(KEYS) else name
    if len(digit) != 1:
        return None
    is_number = duration is not None and duration.isdigit()
    return InfoPress(digit=digit, duration_ms=int(duration) if duration is not None and is_number else None)
