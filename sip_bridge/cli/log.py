"""The log on stderr: lines for a person, or a JSON object a line; no flood of them, and no secret in a traceback."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

from sip_bridge.bridge.flood import FloodFilter, counted
from sip_bridge.config import Config, LogFormat
from sip_bridge.mqtt.contract import rfc3339
from sip_bridge.phone.settings import Secret

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed
_MASK: Final = "***"
_LEAST_MASKED: Final = 3  # characters; a shorter secret is none, and masking it would mask everything


def log_to_stderr(level: str, log_format: LogFormat = "text", secrets: frozenset[str] = frozenset()) -> logging.Handler:
    """Log from now on; the handler's formatter may be changed for another configuration."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(log_format, secrets))
    handler.addFilter(FloodFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    return handler


def formatter_of(config: Config) -> logging.Formatter:
    """As the configuration wants it, and with its secrets masked."""
    return formatter(config.log_format, secrets_in(config))


def formatter(log_format: LogFormat, secrets: frozenset[str]) -> logging.Formatter:
    """What makes a line of a record."""
    match log_format:
        case "text":
            return TextFormatter(secrets)
        case "json":
            return JSONFormatter(secrets)


def secrets_in(config: Config) -> frozenset[str]:
    """Every password, PIN and code that a configuration has."""
    return frozenset(text for text in _secrets(config) if len(text) >= _LEAST_MASKED)


def _secrets(value: object) -> Iterator[str]:
    match value:
        case Secret():
            yield str(value)
        case tuple():
            for item in value:
                yield from _secrets(item)
        case _ if is_dataclass(value):
            for each in fields(value):
                yield from _secrets(getattr(value, each.name))
        case _:
            pass


class _Formatter(logging.Formatter):
    """Tracebacks may quote a value that a person or a peer gave, and so a secret."""

    def __init__(self, secrets: frozenset[str]) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        ordered = sorted(secrets, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """The traceback as one string."""
        text = super().formatException(ei)
        return text if self._secrets is None else self._secrets.sub(_MASK, text)


class TextFormatter(_Formatter):
    """For a person: what peers say can neither control the terminal nor look like a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """The line, or the first of them."""
        record.message = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", counted(record)).replace("\n", "\n    ")
        return super().formatMessage(record)


class JSONFormatter(_Formatter):
    """For a program: ``ts``, ``level``, ``logger``, ``message``, and ``account``, ``call_id``, ``exception`` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        values = {
            "ts": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": counted(record),
            "account": getattr(record, "account", None),
            "call_id": getattr(record, "call_id", None),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        kept = {key: _clean(value) for key, value in values.items() if value is not None}
        return json.dumps(kept, ensure_ascii=False)


def _clean(text: str) -> str:
    """Without the halves of characters that bytes of a peer may have become."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
