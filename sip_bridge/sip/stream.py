"""SIP on a stream: messages cut out by Content-Length (RFC 3261 §18.3), and the keep-alives between them (RFC 5626).

A stream that can't be cut any more is broken for good: whoever reads it closes the connection.
"""

import re
from dataclasses import dataclass
from typing import Final

from sip_bridge.sip.limits import LIMITS, Limits
from sip_bridge.sip.timers import NEVER

PING: Final = b"\r\n\r\n"  # RFC 5626 §3.5.1
PONG: Final = b"\r\n"
MESSAGE_TIME: Final = 10.0  # seconds for a whole message from its first byte: what a slow sender gets

_EMPTY_LINE: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\n(?:content-length|l)[ \t]*:((?:[^\r]|\r\n[ \t])*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFramed:
    """One whole message."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PingReceived:
    """The peer asks whether we are there: answer with PONG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PongReceived:
    """The answer to a ping of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBroken:
    """Where the next message begins can't be told. ``head`` is what can still be answered."""

    reason: str
    head: bytes


StreamItem = MessageFramed | PingReceived | PongReceived | StreamBroken


class StreamFramer:
    """Takes the bytes of a stream in pieces of any size; `next_item` until None gives what they hold, in linear time.

    Beside what was fed last, not more than one incomplete message within ``limits`` is kept.
    """

    def __init__(self, *, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0  # bytes in which no message's head ends
        self._size: int | None = None  # of the message that begins the buffer, when its head is complete
        self._pings = 0  # of ours, not yet answered
        self._half_ping = False
        self._is_broken = False
        self._fed_at = NEVER
        self._began = NEVER

    def feed(self, data: bytes, now: float) -> None:
        """Bytes arrived."""
        if not self._is_broken:
            self._buffer += data
            self._fed_at = now

    def ping_sent(self) -> None:
        """We sent a ping: the next CRLF between two messages is its pong."""
        self._pings += 1

    @property
    def deadline(self) -> float:
        """By when the message that has begun must be complete; NEVER when none has."""
        return self._began + MESSAGE_TIME

    def next_item(self) -> StreamItem | None:
        """The next item, None when it needs more bytes."""
        while self._buffer.startswith(PONG):
            self._drop(len(PONG))
            keep_alive = self._keep_alive()
            if keep_alive is not None:
                return keep_alive
        if not self._buffer:
            return None
        if self._began == NEVER:
            self._began = self._fed_at
        if self._buffer == b"\r":
            return None  # a CRLF, or a message that begins with a CR: neither yet
        self._half_ping = False
        return self._message()

    def _keep_alive(self) -> StreamItem | None:
        """What a CRLF between two messages means."""
        if self._pings:
            self._pings -= 1
            return PongReceived()
        self._half_ping = not self._half_ping
        return None if self._half_ping else PingReceived()

    def _message(self) -> StreamItem | None:
        if self._size is None:
            refusal = self._read_head()
            if refusal is not None:
                return refusal
        if self._size is None or len(self._buffer) < self._size:
            return None
        data = bytes(self._buffer[: self._size])
        self._drop(self._size)
        return MessageFramed(data=data)

    def _read_head(self) -> StreamBroken | None:
        """Learn the size of the message, when its head is complete."""
        limits = self._limits
        end = self._buffer.find(_EMPTY_LINE, max(self._searched - 3, 0))
        self._searched = len(self._buffer)
        if (self._searched - 3 if end < 0 else end) > limits.head:
            cut = bytes(self._buffer[: limits.head + 1])  # enough to be answered, too much to be accepted
            return self._break(f"more than {limits.head} bytes of headers", cut + _EMPTY_LINE)
        if end < 0:
            return None
        size = end + len(_EMPTY_LINE)
        head = bytes(self._buffer[:size])
        length = _content_length(head)
        if length is None:
            return self._break("no usable Content-Length", head)
        if size + length > limits.message:
            return self._break(f"longer than {limits.message} bytes", head)
        self._size = size + length
        return None

    def _drop(self, count: int) -> None:
        """The first bytes were understood."""
        del self._buffer[:count]
        self._searched = 0
        self._size = None
        self._began = NEVER

    def _break(self, reason: str, head: bytes) -> StreamBroken:
        self._drop(len(self._buffer))
        self._is_broken = True
        return StreamBroken(reason=reason, head=head)


def _content_length(head: bytes) -> int | None:
    """None when it is missing or illegible, or when two differ."""
    lengths = {_number(value) for value in _LENGTH.findall(head)}
    return lengths.pop() if len(lengths) == 1 else None


def _number(value: bytes) -> int | None:
    """A Content-Length as `SIPMessage.number` reads it."""
    digits = value.split(b";", 1)[0].split(b"(", 1)[0].strip()
    return int(digits) if digits.isdigit() and len(digits) <= 20 else None
