"""Calls of every kind between two of our phones for a long time, and what the process holds meanwhile.

``python -m benchmarks.soak [MINUTES]``, from the checkout: each call plays, listens, presses keys and holds, or is
refused, cancelled or left unanswered; over UDP and TCP in turn, with each codec. A line a minute; in the end, what
there is more of than after the first minute.
"""

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

from sip_bridge.phone.settings import PortRange
from tests.end_to_end.sounding import write_wav
from tests.end_to_end.traffic import Holdings, Traffic, traffic
from tests.sound import chirp

MINUTES = 20.0
PORTS = (PortRange(low=41000, high=41099), PortRange(low=41100, high=41199))
CODECS = ("PCMU", "G722", "opus")


def megabytes() -> float:
    """What the process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def run(between: Traffic, seconds: float) -> int:
    """Calls for so long; how many."""
    calls = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for transport in ("udp", "tcp"):
            await between.calls(48, transport=transport)
            calls += 48
    return calls


async def soak(minutes: float) -> None:
    """Print the figures."""
    calls = 0
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "chirp.wav"
        write_wav(sound, chirp(8000, seconds=0.5), 8000)
        async with traffic(sound, rtp=PORTS, codecs=CODECS) as between:
            began = time.monotonic()
            first: Holdings | None = None
            while time.monotonic() - began < minutes * 60:
                calls += await run(between, 60.0)
                await between.settle()
                now = Holdings.now()
                first = first or now
                print(
                    f"{(time.monotonic() - began) / 60:5.1f} min  {calls:6} calls  {megabytes():6.1f} MB  "
                    f"{sum(now.files.values())} files  {now.threads} threads  {now.tasks} tasks  "
                    f"{sum(now.objects.values())} objects of ours",
                    flush=True,
                )
            assert first is not None
            print(f"more than after the first minute: {now.more_than(first)}")


if __name__ == "__main__":
    asyncio.run(soak(float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES))
