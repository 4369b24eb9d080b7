"""The examples of the documentation, run as they are against Asterisk."""

import asyncio
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.asterisk import Asterisk
from tests.peers.process import Process

EXAMPLES = Path(__file__).parents[2] / "examples" / "pyvoip"


@pytest.fixture(scope="module")
def asterisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    asterisk = Asterisk(tmp_path_factory.mktemp("asterisk"))
    asterisk.start()
    yield asterisk
    asterisk.stop()


@contextmanager
def running(asterisk: Asterisk, name: str, *arguments: str | Path) -> Iterator[Process]:
    """An example that is registered as 620."""
    account = (asterisk.host, str(asterisk.port), "620", asterisk.password("620"))
    example = Process(sys.executable, EXAMPLES / f"{name}.py", *account, *arguments)
    example.start_until("PhoneStatus.REGISTERED")
    try:
        yield example
    finally:
        assert example.stop() == 0, example.output


def called(asterisk: Asterisk, *, then: str) -> None:
    """Kitchen <101> calls 620; who answers is connected with a number."""
    asyncio.run(asterisk.originate("620", then=then))


def test_auto_answer(asterisk: Asterisk) -> None:
    with running(asterisk, "auto_answer") as example:
        called(asterisk, then="202")  # hangs up after a second
        example.wait_for_line("Kitchen calls")
        example.wait_for_line("hung up")


def test_answer_and_play(asterisk: Asterisk, tmp_path: Path) -> None:
    announcement = tmp_path / "announcement.wav"
    with wave.open(str(announcement), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(bytes((0x20, 0x20, 0x20, 0x20, 0xE0, 0xE0, 0xE0, 0xE0)) * 1000)  # 1000 Hz for a second
    with running(asterisk, "answer_and_play", announcement) as example:
        called(asterisk, then="204")  # records
        example.wait_for_line("played")
        (recording,) = _recordings(asterisk)
    assert _loud_seconds(recording) == pytest.approx(1.0, abs=0.15)


def test_ivr(asterisk: Asterisk) -> None:
    with running(asterisk, "ivr") as example:
        called(asterisk, then="206")  # presses 1, * and #
        example.wait_for_line("goodbye")
    assert [line for line in example.lines if "Phone" not in line] == ["sales", "operator", "goodbye"]


def test_record(asterisk: Asterisk, tmp_path: Path) -> None:
    with running(asterisk, "record", tmp_path / "recorded.wav") as example:
        called(asterisk, then="203")  # says "hello, world" and hangs up
        example.wait_for_line("recorded")
    assert _loud_seconds(tmp_path / "recorded.wav") > 0.3


@pytest.mark.parametrize(
    ("number", "told"),
    [("203", ["answered", "hung up"]), ("200", ["busy"])],
)
def test_outgoing_call(asterisk: Asterisk, number: str, told: list[str]) -> None:
    account = (asterisk.host, str(asterisk.port), "620", asterisk.password("620"))
    example = Process(sys.executable, EXAMPLES / "outgoing_call.py", *account, number)
    example.start()
    assert (example.wait(within=20), list(example.lines)) == (0, told)


def _recordings(asterisk: Asterisk) -> list[Path]:
    return list(asterisk.recordings.glob("*.wav"))


def _loud_seconds(file: Path) -> float:
    """For how long something is to be heard."""
    with wave.open(str(file)) as recording:
        data, width = recording.readframes(recording.getnframes()), recording.getsampwidth()
    highs = data if width == 1 else bytes(byte ^ 0x80 for byte in data[1::2])
    loud = [byte for byte in highs if abs(byte - 0x80) > 4]
    return len(loud) / 8000
