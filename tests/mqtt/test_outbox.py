"""What outlives the process: the file, whole, damaged, and on a disk that refuses it."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sip_bridge.mqtt.message import Message
from sip_bridge.mqtt.outbox import MAX_FILE, Kept, Outbox, decode, encode


def event(number: int, payload: str = "{}") -> Message:
    return Message(topic=f"t/event/{number}", payload=payload.encode(), keep=True)


KEPT = Kept(
    events=(event(1, '{"name": "Grüße\\n\u2028"}'), event(2), event(3)),
    retained={"t/last_call": b'{"event": "CALL_ENDED"}', "t/state": None, "t/cleared": b""},
)


@asynccontextmanager
async def writing(path: Path, kept: Callable[[], Kept] = lambda: KEPT) -> AsyncIterator[Outbox]:
    """An outbox that runs, and at the end has written all."""
    outbox = Outbox(path)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(outbox.run(kept))
        yield outbox
        outbox.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a" / "b" / "mqtt.jsonl"


async def test_what_was_kept_is_there_in_the_next_run(path: Path) -> None:
    async with writing(path) as outbox:
        outbox.changed()
    assert await Outbox(path).load() == KEPT


async def test_without_a_file_nothing_was_kept(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert await Outbox(path).load() == Kept()
    assert caplog.messages == []


async def test_the_last_change_is_written_also_when_the_outbox_closes_at_once(path: Path) -> None:
    contents = [Kept()]
    async with writing(path, lambda: contents[0]) as outbox:
        outbox.changed()
        await asyncio.sleep(0)
        contents[0] = KEPT
    assert await Outbox(path).load() == KEPT


async def test_only_its_owner_may_read_the_file_and_nothing_else_is_left_beside_it(path: Path) -> None:
    async with writing(path) as outbox:
        outbox.changed()
    assert modes_beside(path) == {path.name: 0o600}


@pytest.mark.parametrize("cut", range(0, len(encode(KEPT)), 7))
def test_what_is_whole_of_a_truncated_file_is_kept(cut: int) -> None:
    data = encode(KEPT)
    kept, damaged = decode(data[:cut])
    whole, _ = decode(data[: data.rfind(b"\n", 0, cut) + 1])
    assert kept.events in {whole.events, KEPT.events[: len(whole.events) + 1]}  # the last line lacks its end only
    assert damaged <= 1


@pytest.mark.parametrize("position", range(0, len(encode(KEPT)), 11))
def test_a_damaged_byte_costs_its_line_only(position: int) -> None:
    data = bytearray(encode(KEPT))
    data[position] ^= 0x15
    kept, damaged = decode(bytes(data))
    assert len(kept.events) + len(kept.retained) >= len(KEPT.events) + len(KEPT.retained) - 2
    assert set(kept.events) <= set(KEPT.events)
    assert kept.retained.items() <= KEPT.retained.items()
    assert 1 <= damaged <= 2  # a line's end joins it with the next


async def test_damage_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(path, b"garbage\n\0\0\0\0\n" + encode(KEPT) + b"12345678 {")
    assert await Outbox(path).load() == KEPT
    assert caplog.messages == [f"{path} is damaged: 3 of its lines are left out"]


async def test_a_file_that_can_not_be_read_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert await Outbox(tmp_path).load() == Kept()
    assert caplog.messages == [f"can't read {tmp_path}, and so what a former run did not deliver: Is a directory"]


async def test_a_full_disk_is_told_once_and_what_it_had_stays(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(path, encode(KEPT))
    path.with_name(path.name + ".new").symlink_to("/dev/full")
    tried: list[Kept] = []

    def kept() -> Kept:
        tried.append(Kept(events=(event(9),)))
        return tried[-1]

    async with writing(path, kept) as outbox:
        outbox.changed()
        await eventually(lambda: len(tried) == 1)
        outbox.changed()
        await eventually(lambda: len(tried) == 2)
    assert caplog.messages == [
        f"can't write {path}: No space left on device; a restart would lose what the MQTT broker has not taken"
    ]
    assert await Outbox(path).load() == KEPT


async def test_a_disk_that_recovered_is_told_of_when_it_fails_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = path.parent.parent
    folder.write_text("no folder")
    async with writing(path) as outbox:
        outbox.changed()
        await eventually(lambda: len(caplog.messages) == 1)
        folder.unlink()
        outbox.changed()
        await eventually(path.exists)
        path.with_name(path.name + ".new").symlink_to("/dev/full")
        outbox.changed()
        await eventually(lambda: len(caplog.messages) == 2)
    problems = [message.split(": ")[1].split(";")[0] for message in caplog.messages]
    assert problems == ["Not a directory", "No space left on device"]


def test_the_file_is_bounded_and_the_oldest_events_give_way() -> None:
    long = "x" * (MAX_FILE // 4)
    written = encode(Kept(events=tuple(event(number, long) for number in range(6)), retained={"t/state": None}))
    assert len(written) <= MAX_FILE
    assert [message.topic for message in decode(written)[0].events] == ["t/event/3", "t/event/4", "t/event/5"]


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


def modes_beside(path: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)
