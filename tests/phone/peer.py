"""A bare RTP peer on a socket of its own, a pacer that a test drives by hand, and sound to recognise."""

import asyncio
import math
import socket
import struct
import wave
from collections.abc import Callable, Iterable
from pathlib import Path

from sip_bridge.media.codec import frame_bytes
from sip_bridge.media.g711 import decode_ulaw
from sip_bridge.media.resampler import Resampler
from sip_bridge.media.rtcp import RTCPPacket, is_rtcp, parse_rtcp
from sip_bridge.media.rtp import RTPPacket
from sip_bridge.media.tone_detector import ToneDetector
from sip_bridge.phone.pacer import Pacer, Sender

TIMEOUT = 10.0
SILENCE = b"\xff" * 160


class HandPacer(Pacer):
    """Ticks when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.senders: list[Sender] = []

    def add(self, sender: Sender) -> None:
        self.senders.append(sender)

    def remove(self, sender: Sender) -> None:
        self.senders = [each for each in self.senders if each != sender]

    def tick(self, times: int = 1, *, frames: int = 1) -> None:
        for _ in range(times):
            for sender in list(self.senders):
                sender(frames)


class Peer:
    """The other party: it says what a test makes it say, and keeps what comes."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(0)
        self.sock.bind((host, 0))
        self.port: int = self.sock.getsockname()[1]

    def close(self) -> None:
        self.sock.close()

    def sdp(self, *attributes: str, host: str | None = None, formats: str = "0 101", port: int | None = None) -> bytes:
        address = host or self.host
        family = "IP6" if ":" in address else "IP4"
        lines = (
            "v=0",
            f"o=- 1 1 IN {family} {address}",
            "s=-",
            f"c=IN {family} {address}",
            "t=0 0",
            f"m=audio {port or self.port} RTP/AVP {formats}",
            "a=rtpmap:101 telephone-event/8000",
            *attributes,
        )
        return "\r\n".join(lines).encode()

    def send(self, data: bytes, port: int) -> None:
        self.sock.sendto(data, (self.host, port))

    def say(self, port: int, sequence: int, *, payload: bytes = SILENCE, payload_type: int = 0, ssrc: int = 99) -> None:
        packet = RTPPacket(
            payload_type=payload_type, sequence=sequence, timestamp=160 * sequence, ssrc=ssrc, payload=payload
        )
        self.send(packet.format(), port)

    def datagrams(self) -> list[bytes]:
        """All that has come; the loopback has delivered what was sent."""
        found = []
        while True:
            try:
                found.append(self.sock.recv(4096))
            except BlockingIOError:
                return found

    def heard(self) -> list[RTPPacket]:
        parsed = [RTPPacket.parse(data) for data in self.datagrams() if not is_rtcp(data)]
        return [packet for packet in parsed if packet is not None]

    def reports(self) -> list[RTCPPacket]:
        return [packet for data in self.datagrams() if is_rtcp(data) for packet in parse_rtcp(data)]


class Ear:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.pcm = bytearray()

    def write(self, frame: bytes, rate: int) -> None:
        self.pcm += frame

    def samples(self) -> list[int]:
        return list(struct.unpack(f"<{len(self.pcm) // 2}h", self.pcm))


class Clip:
    """A sound in memory at ``rate``, as a source."""

    def __init__(self, pcm: bytes, *, rate: int = 8000) -> None:
        self._pcm = pcm
        self._rate = rate
        self._at = 0
        self._resampler: tuple[int, Resampler] = (rate, Resampler(rate, rate))

    def read(self, rate: int) -> bytes | None:
        size = frame_bytes(self._rate)
        frame = self._pcm[self._at : self._at + size]
        self._at += size
        if self._resampler[0] != rate:
            self._resampler = (rate, Resampler(self._rate, rate))
        padded = frame.ljust(size, b"\0")
        return (padded if rate == self._rate else self._resampler[1].process(padded)) if frame else None


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until something is so."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110  # it may be about a peer's socket, that wakes nobody here
            await asyncio.sleep(0.001)


def chirp(seconds: float = 0.5) -> list[int]:
    """From 300 to 3000 Hz: it matches itself at one place only."""
    count = int(8000 * seconds)
    return [
        round(12000 * math.sin(2 * math.pi * (300 * i / 8000 + 2700 * i * i / (2 * count * 8000))))
        for i in range(count)
    ]


def write_wav(path: Path, samples: list[int]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return path


def likeness(heard: list[int], original: list[int]) -> float:
    """The best correlation of the original with any part of what was heard, 0 to 1."""
    probe = original[::4]
    energy = math.sqrt(sum(x * x for x in probe))
    best = 0.0
    for shift in range(max(len(heard) - len(original) + 1, 1)):
        part = heard[shift : shift + len(original) : 4]
        product = sum(map(float.__mul__, map(float, part), map(float, probe)))
        best = max(best, product / ((math.sqrt(sum(x * x for x in part)) or 1.0) * energy))
    return best


def keys_in(packets: Iterable[RTPPacket]) -> str:
    """The keys that are sounded in packets of PCMU."""
    detector = ToneDetector()
    return "".join(detector.process(decode_ulaw(packet.payload), 8000) for packet in packets)
