"""Settings that were changed while the bridge ran, kept for the next time it starts.

Only what differs from the configuration is kept, each value with the configured one that it replaces: once somebody
configures another one, that holds. What is kept of an account that is configured no more is dropped.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sip_bridge.mqtt.daemon_thread import in_thread
from sip_bridge.mqtt.whole_file import replace_file
from sip_bridge.phone.settings import Account, LineSettings

MAX_FILE: Final = 1 << 20  # bytes; a longer one is none of ours
WRITE_WAIT: Final = 2.0  # seconds that anybody waits for the disk
RANGES: Final[Mapping[str, tuple[float, float]]] = {"output_volume": (0.0, 2.0), "ring_timeout": (1.0, 600.0)}
_METHODS: Final = ("auto", "rtp", "info", "inband")
_KEYS: Final = tuple(field.name for field in dataclasses.fields(LineSettings))

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A value that somebody set, and the configured one then."""

    value: object
    configured: object


class SettingsStore:
    """``async with SettingsStore(path)`` reads the file; a disk that refuses it is told of once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, dict[str, Kept]] = {}
        self._changed = asyncio.Condition()
        self._version = 0  # of what is kept, and how much of that was written or has failed
        self._tried = 0
        self._is_closing = False
        self._is_failing = False
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Read what a former run left."""
        try:
            self._kept = _decoded(await in_thread(self._read))
        except FileNotFoundError:
            pass
        except OSError as error:
            _LOG.warning("can't read %s, and so the settings that were made: %s", self._path, error.strerror)
        except ValueError as error:
            await self._set_aside(str(error))
        self._writer = asyncio.create_task(self._write_changes(), name="settings")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is left, within bounded time."""
        await self.written()
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer

    def of(self, account: Account) -> LineSettings:
        """An account's settings: what was set, unless another value is configured since then."""
        configured = LineSettings.of(account)
        mine = self._kept.get(account.id, {})
        holding = {key: kept.value for key, kept in mine.items() if kept.configured == getattr(configured, key)}
        return dataclasses.replace(configured, **holding)  # type: ignore[arg-type]  # each was checked

    def keep(self, account: Account, settings: LineSettings) -> None:
        """These are an account's settings from now on; see `written`."""
        configured = LineSettings.of(account)
        kept = {}
        for key in _KEYS:
            value, default = getattr(settings, key), getattr(configured, key)
            if value != default:
                kept[key] = Kept(value=value, configured=default)
        self._replace(self._kept | {account.id: kept})

    def drop_others(self, accounts: Iterable[Account]) -> None:
        """These accounts are configured, no others; of them, what another configured value has replaced is dropped."""
        known = {account.id: LineSettings.of(account) for account in accounts}
        self._replace(
            {
                account: {key: each for key, each in kept.items() if each.configured == getattr(known[account], key)}
                for account, kept in self._kept.items()
                if account in known
            }
        )

    async def written(self) -> None:
        """Wait, bounded, until what was kept last is on the disk, or can't be."""
        wanted = self._version
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WRITE_WAIT), self._changed:
                self._changed.notify_all()
                await self._changed.wait_for(lambda: self._tried >= wanted)

    def _replace(self, kept: dict[str, dict[str, Kept]]) -> None:
        kept = {account: values for account, values in kept.items() if values}
        if kept != self._kept:
            self._kept = kept
            self._version += 1

    # --- the file ---

    async def _write_changes(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._version > self._tried)
            version, data = self._version, _encoded(self._kept)
            try:
                await in_thread(partial(replace_file, self._path, data))
            except OSError as error:
                self._tell(error)
            else:
                self._is_failing = False
            async with self._changed:
                self._tried = version
                self._changed.notify_all()

    def _tell(self, error: OSError) -> None:
        if not self._is_failing:
            _LOG.warning("can't write %s: %s; settings hold until the next start", self._path, error.strerror)
        self._is_failing = True

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(MAX_FILE + 1)

    async def _set_aside(self, problem: str) -> None:
        aside = self._path.with_name(self._path.name + ".damaged")
        _LOG.warning("%s is damaged: %s; it is %s now, and settings are as configured", self._path, problem, aside.name)
        try:
            await in_thread(partial(self._path.replace, aside))
        except OSError as error:
            self._tell(error)


def _encoded(kept: Mapping[str, Mapping[str, Kept]]) -> bytes:
    accounts = {
        account: {key: dataclasses.asdict(each) for key, each in values.items()} for account, values in kept.items()
    }
    return json.dumps({"accounts": accounts}, indent=1).encode()


def _decoded(data: bytes) -> dict[str, dict[str, Kept]]:
    """ValueError for what this module has not written."""
    if len(data) > MAX_FILE:
        raise ValueError(f"longer than {MAX_FILE} bytes")
    try:
        document = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    match document:
        case {"accounts": dict(accounts)}:
            return {account: _values(values) for account, values in accounts.items()}
        case _:
            raise ValueError("no accounts in it")


def _values(values: Any) -> dict[str, Kept]:
    kept = {}
    for key, each in values.items() if isinstance(values, dict) else [("", values)]:
        match each:
            case {"value": value, "configured": configured} if key in _KEYS:
                kept[key] = Kept(value=_checked(key, value), configured=_checked(key, configured))
            case _:
                raise ValueError(f"unknown setting {key[:40]!r}")
    return kept


def _checked(key: str, value: Any) -> object:
    if key in RANGES:
        low, high = RANGES[key]
        is_right = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    elif key == "dtmf_method":
        is_right = value in _METHODS
    else:
        is_right = isinstance(value, bool)
    if not is_right:
        raise ValueError(f"{key} is no such setting")
    return value
