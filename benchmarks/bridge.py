"""The whole bridge from outside: its memory with and without calls, and the time from an INVITE to its MQTT event.

``python benchmarks/bridge.py [CALLS]``: the bridge is a process of its own with the embedded broker; this one is the
door station and the MQTT client. Every call rings, is answered over MQTT and hears 50 packets a second. With the extra
``audio`` installed its libraries are in the figures.
"""

import asyncio
import contextlib
import json
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median, quantiles

from calls import request
from parse import SDP

from sip_bridge.mqtt.contract import Topics
from sip_bridge.mqtt.session import InboundMessage, MQTTSession, MQTTSettings

CALLS = 20
BARS = "bars: 40 MB, 60 KB a call, p99 below 10 ms"
LOOPBACK = "127.0.0.1"
TOPICS = Topics()


def megabytes(process: int) -> tuple[float, float]:
    """What a process has in memory, in MB: all (RSS), and without what it shares (PSS)."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    return tuple(int(re.search(rf"^{name}:\s+(\d+)", rollup, re.MULTILINE)[1]) * 1024 / 1e6 for name in ("Rss", "Pss"))


def free_port() -> int:
    """A TCP port that nobody has now."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return server.getsockname()[1]


@contextlib.asynccontextmanager
async def bridge(sip_port: int, mqtt_port: int) -> AsyncIterator[int]:
    """A bridge in a process of its own; its process id."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        settings = {
            "mqtt": {"broker": "embedded", "port": mqtt_port},
            "sip": {"bind": LOOPBACK, "port": sip_port},
            "log_level": "warning",
            "accounts": [{"id": "door", "kind": "direct"}],
        }
        file.write_text(json.dumps(settings))
        arguments = ("-m", "sip_bridge", "run", "-c", str(file))
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        while b"Ctrl-C" not in await process.stdout.readline():
            pass
        yield process.pid
        process.send_signal(signal.SIGINT)
        await process.communicate()


class Station(asyncio.DatagramProtocol):
    """Calls, one after the other, and acknowledges what is answered."""

    def __init__(self) -> None:
        self.answers: dict[str, asyncio.Future[int]] = {}  # Call-ID to the port that wants to hear it

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        """See `asyncio`."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """An answer is acknowledged; what else comes is of no interest."""
        text = data.decode()
        if text.startswith("SIP/2.0 200") and "INVITE" in text.partition("CSeq:")[2].partition("\r\n")[0]:
            call_id = re.search(r"^Call-ID: (\w+)", text, re.MULTILINE)[1]
            tag = re.search(r"^To:.*tag=(\S+)", text, re.MULTILINE)[1]
            self.transport.sendto(self.message("ACK", int(call_id, 16), 1, tag), addr)
            answered = self.answers[call_id]
            if not answered.done():
                answered.set_result(int(re.search(r"^m=audio (\d+)", text, re.MULTILINE)[1]))

    def message(self, method: str, number: int, seq: int, tag: str = "", content: bytes = b"") -> bytes:
        """A request as if our own port were the caller's."""
        port = self.transport.get_extra_info("sockname")[1]
        return request(method, number, seq, tag, content).replace(
            b"192.0.2.10:5060", b"%s:%d" % (LOOPBACK.encode(), port)
        )


class Watcher:
    """The MQTT client: when each call's INVITE was told, and how to have it answered."""

    def __init__(self, mqtt_port: int) -> None:
        self.told: dict[str, asyncio.Future[float]] = {}
        self.connected = asyncio.Event()
        settings = MQTTSettings(host=LOOPBACK, port=mqtt_port, client_id="benchmark")
        self.session = MQTTSession(
            settings,
            will=("benchmark/state", "{}"),
            filters=(TOPICS.of_account("door", "event", "INVITE"),),
            on_message=self._received,
            on_connect=self.connected.set,
        )

    def _received(self, message: InboundMessage) -> None:
        self.told[json.loads(message.payload)["call_id"]].set_result(time.perf_counter())

    def answer(self, call_id: str) -> None:
        """Have a call answered."""
        self.session.publish(TOPICS.of_account("door", "request", "answer"), json.dumps({"call_id": call_id}))


async def call(number: int, station: Station, watcher: Watcher, sip_port: int) -> tuple[float, int]:
    """Ring and be answered: the seconds until MQTT knew, and where sound is heard."""
    loop = asyncio.get_running_loop()
    call_id = f"{number:032x}"
    watcher.told[call_id], station.answers[call_id] = loop.create_future(), loop.create_future()
    began = time.perf_counter()
    station.transport.sendto(station.message("INVITE", number, 1, "", SDP), (LOOPBACK, sip_port))
    delay = await watcher.told[call_id] - began
    watcher.answer(call_id)
    return delay, await station.answers[call_id]


async def talk(ports: list[int], seconds: float) -> None:
    """Send a packet to every call each 20 ms."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        began = time.monotonic()
        for number in range(int(seconds * 50)):
            for port in ports:
                header = bytes((0x80, 0)) + number.to_bytes(2) + (160 * number).to_bytes(4) + port.to_bytes(4)
                sock.sendto(header + b"\xff" * 160, (LOOPBACK, port))
            await asyncio.sleep(began + number / 50 - time.monotonic())


async def main(calls: int) -> None:
    """Print the figures."""
    sip_port, mqtt_port = free_port(), free_port()
    async with bridge(sip_port, mqtt_port) as process:
        watcher = Watcher(mqtt_port)
        async with watcher.session:
            transport, station = await asyncio.get_running_loop().create_datagram_endpoint(
                Station, local_addr=(LOOPBACK, 0)
            )
            await watcher.connected.wait()
            await asyncio.sleep(1)
            idle = megabytes(process)
            print(f"idle: {idle[0]:.1f} MB, {idle[1]:.1f} MB of its own ({BARS})")
            rung = [await call(number, station, watcher, sip_port) for number in range(calls)]
            milliseconds = [1000 * delay for delay, _ in rung]
            print(f"INVITE to MQTT: p50 {median(milliseconds):.2f} ms, p99 {quantiles(milliseconds, n=100)[98]:.2f} ms")
            await talk([port for _, port in rung], 3)
            busy = megabytes(process)
            print(f"{calls} calls: {busy[0]:.1f} MB, {(busy[0] - idle[0]) * 1000 / calls:.0f} KB a call")
            transport.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else CALLS))
