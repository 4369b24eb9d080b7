"""Calls leave a process as they found it: open files, ports, threads, tasks and objects.

``python -m benchmarks.soak`` does the same for as long as one likes, and looks at the memory too.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sip_bridge.phone.settings import PortRange
from tests.end_to_end.sounding import write_wav
from tests.end_to_end.traffic import Holdings, traffic
from tests.peers.ports import free_ports
from tests.sound import chirp

PORTS = 80  # of each side, RTP and RTCP: not enough for all calls, if any is not given back
CALLS = 64


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_of_every_kind_leave_nothing_behind(tmp_path: Path, transport: str) -> None:
    sound = tmp_path / "chirp.wav"
    write_wav(sound, chirp(8000, seconds=0.2), 8000)
    first = free_ports(2 * PORTS)
    rtp = (
        PortRange(low=first, high=first + PORTS - 1),
        PortRange(low=first + PORTS, high=first + 2 * PORTS - 1),
    )
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))  # else it grows to its own limit
    async with traffic(sound, rtp=rtp, codecs=("PCMU", "G722", "opus")) as between:
        await between.calls(CALLS // 2, transport=transport)  # what is made once, as threads and connections
        await between.settle()
        before = Holdings.now()
        await between.calls(CALLS, transport=transport)
        await between.settle()
        assert Holdings.now().more_than(before) == {}
        talks = CALLS * 3 // 2 // len(between.kinds)
        assert between.pressed == {"1": talks, "#": talks, "2": talks, "9": talks}
