"""Provisional responses that are acknowledged by PRACK (RFC 3262), from the side that sends them."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.core import Core
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction

MAX_QUEUED: Final = 8  # provisional responses that wait for the PRACK of an earlier one
MAX_RSEQ: Final = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RAck:
    """``776656 1 INVITE``: which provisional response of which request is acknowledged (RFC 3262 §7.2)."""

    rseq: int
    seq: int
    method: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """RemoteProtocolError for anything but two numbers and a method."""
        words = text.split()
        if len(words) != 3 or not all(w.isascii() and w.isdigit() and len(w) <= 10 for w in words[:2]):
            raise RemoteProtocolError(f"not an RAck: {text[:80]!r}")
        return cls(rseq=int(words[0]), seq=int(words[1]), method=words[2])

    def format(self) -> str:
        """The inverse of `parse`."""
        return f"{self.rseq} {self.seq} {self.method}"


def rseq_of(response: SIPMessage) -> int | None:
    """The RSeq of a provisional response that has to be acknowledged, None when it has not (RFC 3262 §4)."""
    if "100rel" not in response.tokens("require") or response.status == SIPStatus.TRYING:
        return None
    digits = response.get("rseq") or ""
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 10
    return int(digits) if is_number and 0 < int(digits) <= MAX_RSEQ else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Response:
    status: SIPStatus
    headers: tuple[tuple[str, str], ...]
    content: bytes


class ReliableProvisionals:
    """Sends them one after the other, each until its PRACK comes; ``on_silence`` is called when none does."""

    def __init__(self, core: Core, transaction: ServerTransaction, on_silence: Callable[[float], None]) -> None:
        self._core = core
        self._transaction = transaction
        self._on_silence = on_silence
        self._alarm = core.alarm(self._repeat)
        self._queue: deque[_Response] = deque()
        self._current: _Response | None = None
        self._sent = b""
        self._rseq = 0
        self._interval = 0.0
        self._end = 0.0

    @property
    def holds_back_answer(self) -> bool:
        """Whether a session description waits for its PRACK: the 2xx has to wait too (RFC 3262 §3)."""
        return self.carries_description or any(response.content for response in self._queue)

    @property
    def carries_description(self) -> bool:
        """Whether the response that waits for its PRACK has a session description."""
        return self._current is not None and bool(self._current.content)

    def send(self, status: SIPStatus, headers: list[tuple[str, str]], content: bytes, now: float) -> None:
        """Send a provisional response, after those that still wait."""
        response = _Response(status=status, headers=tuple(headers), content=content)
        if self._current is None:
            self._transmit(response, now)
        elif len(self._queue) < MAX_QUEUED:
            self._queue.append(response)

    def _transmit(self, response: _Response, now: float) -> None:
        self._rseq = self._rseq + 1 if self._rseq else 1 + int(self._core.chance.fraction() * (2**31 - 1))
        headers = [*response.headers, ("Require", "100rel"), ("RSeq", str(self._rseq))]
        self._current = response
        self._sent = self._transaction.respond(response.status, now, headers=headers, content=response.content)
        self._interval = self._core.timers.t1
        self._end = now + self._core.timers.b
        self._alarm.set(now + self._interval)

    def _repeat(self, now: float) -> None:
        if now >= self._end:
            self.stop()
            self._on_silence(now)
            return
        self._transaction.repeat(self._sent)
        self._interval *= 2
        self._alarm.set(min(now + self._interval, self._end))

    def acknowledge(self, prack: SIPMessage, now: float) -> bool:
        """Take a PRACK; False when it acknowledges nothing that waits (it gets 481)."""
        rack = RAck.parse(prack.get("rack") or "")
        invite = self._transaction.request.cseq
        if self._current is None or rack != RAck(rseq=self._rseq, seq=invite.number, method=invite.method):
            return False
        self._current = None
        self._alarm.clear()
        if self._queue:
            self._transmit(self._queue.popleft(), now)
        return True

    def stop(self) -> None:
        """The final response went out: nothing is repeated any more, though a PRACK may still come (RFC 3262 §3)."""
        self._queue.clear()
        self._alarm.clear()
