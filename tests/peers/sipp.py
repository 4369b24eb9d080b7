"""SIPp, which plays SIP scenarios: its own (`uac`, `uas`), those in tests/peers/sipp, or steps of `sipp_steps`."""

import asyncio
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sip_bridge.sip.uri import format_host_port
from tests.peers import missing, sipp_steps
from tests.peers.ports import LOOPBACK, free_port, tcp_port_taken, udp_port_taken
from tests.peers.process import PeerError, Process

SCENARIOS = Path(__file__).parent / "sipp"
Scenario = str | Sequence[sipp_steps.Step]
_TRANSPORTS = {"udp": "u1", "tcp": "t1"}  # one socket for all calls


@dataclass(frozen=True, slots=True, kw_only=True)
class SippResult:
    """How a run ended: the exit code is 0 only if every call went as the scenario has it."""

    exit_code: int
    messages: str
    errors: str
    statistics: Mapping[str, str]

    @property
    def successful_calls(self) -> int:
        return int(self.statistics["SuccessfulCall(C)"])

    @property
    def failed_calls(self) -> int:
        return int(self.statistics["FailedCall(C)"])


class SippRun:
    """One SIPp process."""

    def __init__(self, process: Process, host: str, port: int, folder: Path) -> None:
        self.process = process
        self.host = host
        self.port = port
        self._folder = folder

    @property
    def address(self) -> str:
        """`host:port` that it sends from and listens at."""
        return format_host_port(self.host, self.port)

    @property
    def messages(self) -> str:
        """Every SIP message so far, sent and received."""
        return self._text("messages.log")

    async def finished(self, *, within: float = 30) -> SippResult:
        """Waits until all calls are over."""
        try:
            code = await asyncio.to_thread(self.process.wait, within=within)
        except PeerError:
            raise PeerError(f"SIPp still runs after {within} s\n{self.messages}\n{self._text('errors.log')}") from None
        return SippResult(
            exit_code=code, messages=self.messages, errors=self._text("errors.log"), statistics=self._statistics()
        )

    async def succeeded(self, *, within: float = 30) -> SippResult:
        """Waits as `finished`; PeerError with the whole dialogue unless every call went as the scenario has it."""
        result = await self.finished(within=within)
        if result.exit_code != 0:
            raise PeerError(
                f"SIPp ended with {result.exit_code}\n{result.errors}\n{result.messages}\n{self.process.output}"
            )
        return result

    def stop(self) -> None:
        """Ends it in the middle of what it does, without a word to the other side."""
        if self.process.is_running:
            self.process.kill()

    def _text(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def _statistics(self) -> Mapping[str, str]:
        rows = list(csv.DictReader(self._text("statistics.csv").splitlines(), delimiter=";"))
        if not rows:
            raise PeerError(f"SIPp wrote no statistics; it printed:\n{self.process.output}")
        return {name: value for name, value in rows[-1].items() if name}


class Sipp:
    """Starts SIPp runs in folders of their own."""

    def __init__(self, folder: Path) -> None:
        self._command = missing.command("sipp")
        self._folder = folder
        self._runs: list[SippRun] = []

    async def call(
        self,
        scenario: Scenario,
        target: str,
        *,
        user: str = "service",
        calls: int = 1,
        rate: int = 10,
        host: str = LOOPBACK,
        port: int | None = None,
        transport: str = "udp",
        keys: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
    ) -> SippRun:
        """A scenario that calls `user` at `target` (`host:port`); `keys` are the scenario's `[name]` words."""
        words = ["-s", user, "-r", str(rate), *_key_words(keys), *options, target]
        return self._start(scenario, host, port, transport, calls, words)

    async def listen(
        self,
        scenario: Scenario,
        *,
        calls: int = 1,
        host: str = LOOPBACK,
        port: int | None = None,
        transport: str = "udp",
        keys: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
    ) -> SippRun:
        """A scenario that is called; it listens when this returns."""
        run = self._start(scenario, host, port, transport, calls, [*_key_words(keys), *options])
        await {"udp": udp_port_taken, "tcp": tcp_port_taken}[transport](run.port, run.process)
        return run

    def stop(self) -> None:
        """Ends all runs."""
        for run in self._runs:
            run.stop()

    def _start(
        self, scenario: Scenario, host: str, port: int | None, transport: str, calls: int, words: Sequence[str]
    ) -> SippRun:
        port = port or free_port()
        folder = self._folder / f"sipp-{len(self._runs)}"
        folder.mkdir()
        process = Process(
            self._command,
            *_scenario_words(scenario, folder),
            *["-t", _TRANSPORTS[transport], "-i", host, "-p", str(port), "-mi", host, "-mp", str(free_port())],
            *["-m", str(calls), "-nostdin", "-recv_timeout", "30000"],
            *["-trace_msg", "-message_file", f"{folder}/messages.log", "-message_overwrite", "true"],
            *["-trace_err", "-error_file", f"{folder}/errors.log"],
            *["-trace_stat", "-stf", f"{folder}/statistics.csv", "-fd", "1"],
            *words,
            environment={"TERM": "dumb"},
        )
        process.start()
        run = SippRun(process, host, port, folder)
        self._runs.append(run)
        return run


def _key_words(keys: Mapping[str, str] | None) -> list[str]:
    return [word for item in (keys or {}).items() for word in ("-key", *item)]


def _scenario_words(scenario: Scenario, folder: Path) -> list[str | Path]:
    if isinstance(scenario, str):
        own = SCENARIOS / f"{scenario}.xml"
        return ["-sf", own] if own.exists() else ["-sn", scenario]
    path = folder / "steps.xml"
    path.write_text(sipp_steps.scenario(scenario))
    return ["-sf", path]
