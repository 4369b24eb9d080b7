"""What has to outlive the process: events that no broker has acknowledged, and which topics are retained.

One file of lines, each a checksum and a JSON object, so that what is whole of a damaged file is known and kept. It is
replaced as a whole, in a thread: a slow disk delays nobody, and the changes of its time go into one write.
"""

import asyncio
import json
import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sip_bridge.mqtt.daemon_thread import in_thread
from sip_bridge.mqtt.message import Message
from sip_bridge.mqtt.whole_file import replace_file

MAX_FILE: Final = 16 * 1024 * 1024  # bytes; more is never written

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Events in their order; the topics that are retained, with the payloads (None: made anew at each start)."""

    events: tuple[Message, ...] = ()
    retained: Mapping[str, bytes | None] = field(default_factory=dict)


class Outbox:
    """A file of `Kept`; a disk that refuses it is told of once, and what is kept then lives as long as the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[Message, bytes] = {}  # of the last write: most events are in the next one too
        self._is_changed = asyncio.Event()
        self._is_closing = False
        self._is_failing = False

    async def load(self) -> Kept:
        """What a former run left; nothing if there is no file, or none that can be read."""
        try:
            data = await in_thread(self._read)
        except FileNotFoundError:
            return Kept()
        except OSError as error:
            _LOG.warning("can't read %s, and so what a former run did not deliver: %s", self._path, error.strerror)
            return Kept()
        kept, damaged = decode(data)
        if damaged:
            _LOG.warning("%s is damaged: %d of its lines are left out", self._path, damaged)
        return kept

    def changed(self) -> None:
        """There is something else to keep."""
        self._is_changed.set()

    async def run(self, kept: Callable[[], Kept]) -> None:
        """Write what is ``kept`` after each change, until `close`; what changes during a write makes one more."""
        while not self._is_closing or self._is_changed.is_set():
            await self._is_changed.wait()
            self._is_changed.clear()
            try:
                await in_thread(partial(self._write, kept()))
            except OSError as error:
                self._tell(error)
            else:
                self._is_failing = False

    def close(self) -> None:
        """End `run` after one last write."""
        self._is_closing = True
        self._is_changed.set()

    def _tell(self, error: OSError) -> None:
        if not self._is_failing:
            _LOG.warning(
                "can't write %s: %s; a restart would lose what the MQTT broker has not taken",
                self._path,
                error.strerror,
            )
        self._is_failing = True

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(MAX_FILE)

    def _write(self, kept: Kept) -> None:
        self._lines = {message: self._lines.get(message) or _event_line(message) for message in kept.events}
        replace_file(self._path, encode(kept, self._lines))


def encode(kept: Kept, lines: Mapping[Message, bytes] = MappingProxyType({})) -> bytes:
    """The file's bytes; events that would make it longer than `MAX_FILE` are left out, the oldest first.

    ``lines`` of events that were encoded before are taken as they are.
    """
    retained = [_line({"retained": topic} | _payload(payload)) for topic, payload in kept.retained.items()]
    room = MAX_FILE - sum(map(len, retained))
    events: list[bytes] = []
    for message in reversed(kept.events):
        line = lines.get(message) or _event_line(message)
        room -= len(line)
        if room < 0:
            break
        events.append(line)
    return b"".join((*retained, *reversed(events)))


def decode(data: bytes) -> tuple[Kept, int]:
    """What is whole of a file, and how many lines are not."""
    events: list[Message] = []
    retained: dict[str, bytes | None] = {}
    damaged = 0
    for line in data.split(b"\n"):
        match _object(line):
            case {"event": str(topic), "payload": str(payload)}:
                events.append(Message(topic=topic, payload=payload.encode(), keep=True))
            case {"retained": str(topic), "payload": str(payload)}:
                retained[topic] = payload.encode()
            case {"retained": str(topic)}:
                retained[topic] = None
            case _:
                damaged += line != b""
    return Kept(events=tuple(events), retained=retained), damaged


def _event_line(message: Message) -> bytes:
    return _line({"event": message.topic} | _payload(message.payload))


def _payload(payload: bytes | None) -> dict[str, str]:
    return {} if payload is None else {"payload": payload.decode()}


def _line(values: dict[str, str]) -> bytes:
    text = json.dumps(values, ensure_ascii=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _object(line: bytes) -> object:
    """The JSON of a line; None when its checksum says that it is not what was written."""
    checksum, _, text = line.partition(b" ")
    return json.loads(text) if checksum == b"%08x" % zlib.crc32(text) else None
