"""Log lines that come too often: who may cause them could fill a disk."""

import logging
from dataclasses import dataclass
from typing import Final

BURST: Final = 30  # lines of one kind at once, ...
SECONDS_PER_LINE: Final = 6.0  # ... and then one in so long
MAX_KINDS: Final = 4096


@dataclass(slots=True, kw_only=True)
class _Kind:
    """Lines of the same text, apart from what is filled in, about the same account."""

    allowance: float
    as_of: float
    left_out: int = 0


class FloodFilter(logging.Filter):
    """Lets so many lines of a kind through; the next one says how many were left out. Debugging is not bounded."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, str, str | None], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be seen by this handler."""
        if record.levelno <= logging.DEBUG:
            return True
        kind = self._kind_of(record)
        elapsed = max(record.created - kind.as_of, 0.0)
        kind.allowance, kind.as_of = min(kind.allowance + elapsed / SECONDS_PER_LINE, BURST), record.created
        if kind.allowance < 1:
            kind.left_out += 1
            return False
        kind.allowance -= 1
        record.left_out, kind.left_out = kind.left_out, 0
        return True

    def _kind_of(self, record: logging.LogRecord) -> _Kind:
        key = record.name, str(record.msg), getattr(record, "account", None)
        if key not in self._kinds and len(self._kinds) >= MAX_KINDS:
            self._kinds.clear()
        return self._kinds.setdefault(key, _Kind(allowance=BURST, as_of=record.created))


def counted(record: logging.LogRecord) -> str:
    """The message, and how many like it were left out before it."""
    left_out = getattr(record, "left_out", 0)
    more = f" ({left_out} more like this were left out)" if left_out else ""
    return record.getMessage() + more
