"""Attacks on the SIP port of a running bridge: the door station's call comes through, during them and after them."""

import asyncio
import itertools
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.bridge import Bridge
from tests.peers.mosquitto import Mosquitto
from tests.peers.ports import LOOPBACK
from tests.peers.sipp import Sipp

STRANGER = "127.0.0.66"
ALLOWED = "127.0.0.77"  # may ring, but has gone mad
RATE = 2000  # datagrams a second
SECONDS = 2.0
SLOW_CONNECTIONS = 200
MEMORY = 40  # MiB that an attack may cost

DOOR = f"  - {{id: door, kind: direct, allow_from: [{LOOPBACK}, {ALLOWED}]}}\n"


@pytest.fixture
def bridge(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path, mosquitto, DOOR)
    bridge.start()
    yield bridge
    bridge.end()


def request(method: str, host: str, number: int) -> bytes:
    return (
        f"{method} sip:door@{LOOPBACK} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{number};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:x@{host}>;tag={number}\r\nTo: <sip:door@{LOOPBACK}>\r\n"
        f"Call-ID: {number}@{host}\r\nCSeq: 1 {method}\r\nContact: <sip:x@{host}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def messages(host: str) -> Iterator[bytes]:
    """Without an end: requests of all kinds, responses to nothing, and no SIP at all."""
    for number in itertools.count():
        yield from (request(method, host, number) for method in ("INVITE", "OPTIONS", "BYE", "REGISTER", "NONSENSE"))
        yield request("OPTIONS", host, number).replace(b"OPTIONS sip:door@127.0.0.1 SIP/2.0", b"SIP/2.0 200 OK")
        yield b"\xff\x00" * 500
        yield b"INVITE " + b"x" * 5000


def flood(port: int, host: str) -> int:
    """Sends at RATE for SECONDS; how many datagrams."""
    begin = time.monotonic()
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((host, 0))
        for message in messages(host):
            if time.monotonic() - begin > SECONDS:
                return sent
            sender.sendto(message, (LOOPBACK, port))
            sent += 1
            time.sleep(max(0.0, begin + sent / RATE - time.monotonic()))
    raise AssertionError("the messages have no end")


def resident(bridge: Bridge) -> float:
    """MiB of memory that the bridge's process has."""
    status = Path(f"/proc/{bridge.process.number}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


async def ring(sipp: Sipp, bridge: Bridge, transport: str = "udp") -> None:
    """A door station calls, hears that it rings, and gives up."""
    await (await sipp.call("uac_cancel", bridge.address, user="door", transport=transport)).succeeded()


@pytest.mark.usefixtures("client")
async def test_a_flood_of_datagrams_keeps_nobody_from_ringing(bridge: Bridge, sipp: Sipp) -> None:
    await ring(sipp, bridge)
    before = resident(bridge)
    attack = asyncio.gather(*(asyncio.to_thread(flood, bridge.port, host) for host in (STRANGER, ALLOWED)))
    await ring(sipp, bridge)
    assert min(await attack) > RATE * SECONDS / 2  # a busy machine may not manage all
    await ring(sipp, bridge)
    assert resident(bridge) - before < MEMORY


@pytest.mark.usefixtures("client")
async def test_slow_connections_keep_nobody_from_ringing(bridge: Bridge, sipp: Sipp) -> None:
    with ExitStack() as slow:
        for number in range(SLOW_CONNECTIONS):
            connection = slow.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            connection.bind((f"127.0.{1 + number % 50}.1", 0))
            connection.connect((LOOPBACK, bridge.port))
            connection.send(b"INVITE sip:door")
        await ring(sipp, bridge)
        await ring(sipp, bridge, "tcp")
    await ring(sipp, bridge, "tcp")
