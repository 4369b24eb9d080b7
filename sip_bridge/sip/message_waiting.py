"""Messages that wait in a mailbox: the body ``application/simple-message-summary`` (RFC 3842 §5)."""

import re
from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import RemoteProtocolError

PACKAGE: Final = "message-summary"
CONTENT_TYPE: Final = "application/simple-message-summary"
MAX_SUMMARY: Final = 8192  # bytes; a summary is a few lines
MAX_COUNT: Final = 999_999  # messages; more are not counted

# A registry of classes does not exist beyond these (RFC 3458 §6.2); ``none`` is for messages of no class.
CLASSES: Final = ("voice-message", "fax-message", "pager-message", "multimedia-message", "text-message", "none")

_COUNTS: Final = re.compile(r"([0-9]+)\s*/\s*([0-9]+)(?:\s*\(\s*([0-9]+)\s*/\s*([0-9]+)\s*\))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCount:
    """Messages of one class; the urgent ones are among the new and the old."""

    new: int = 0
    old: int = 0
    urgent_new: int = 0
    urgent_old: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSummary:
    """What waits in a mailbox, by class (``voice-message``, ``fax-message``, ...)."""

    waiting: bool
    account: str | None = None
    counts: tuple[tuple[str, MessageCount], ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> "MessageSummary":
        """A summary as servers write them, lenient; RemoteProtocolError when it does not say whether messages wait."""
        if len(content) > MAX_SUMMARY:
            raise RemoteProtocolError(f"a message summary of more than {MAX_SUMMARY} bytes", status=413)
        fields = _fields(content.decode("utf-8", "replace"))
        counts = tuple((name, count) for name in CLASSES if (count := _count(fields.get(name))) is not None)
        waiting = fields.get("messages-waiting", "").lower()
        if waiting not in ("yes", "no"):
            if not counts:
                raise RemoteProtocolError("a message summary without Messages-Waiting")
            waiting = "yes" if any(count.new for _, count in counts) else "no"
        return cls(waiting=waiting == "yes", account=fields.get("message-account") or None, counts=counts)

    def format(self) -> bytes:
        """The inverse of `parse`."""
        lines = [f"Messages-Waiting: {'yes' if self.waiting else 'no'}"]
        if self.account is not None:
            lines.append(f"Message-Account: {self.account}")
        for name, count in self.counts:
            numbers = f"{count.new}/{count.old} ({count.urgent_new}/{count.urgent_old})"
            lines.append(f"{name.title()}: {numbers}")
        return "".join(f"{line}\r\n" for line in lines).encode()

    @property
    def voice(self) -> MessageCount:
        """The voice messages."""
        return dict(self.counts).get("voice-message", MessageCount())


def _fields(text: str) -> dict[str, str]:
    """The first block of ``Name: value`` lines; what follows an empty line tells of single messages."""
    fields: dict[str, str] = {}
    for line in text.strip().splitlines():
        if not line.strip():
            break
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _count(text: str | None) -> MessageCount | None:
    found = _COUNTS.match(text) if text else None
    if found is None:
        return None
    new, old, urgent_new, urgent_old = (_number(group) for group in found.groups())
    return MessageCount(new=new, old=old, urgent_new=urgent_new, urgent_old=urgent_old)


def _number(digits: str | None) -> int:
    """Bounded before it is converted."""
    return 0 if digits is None else min(int(digits[:10]), MAX_COUNT)
