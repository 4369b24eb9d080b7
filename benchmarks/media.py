"""What sound costs: a frame of each codec, SRTP, the jitter buffer, and calls with two-way audio on one core.

``python benchmarks/media.py [CALLS [SECONDS]]``: the calls are media sessions on real sockets, each of which plays one
sound and hears another; another process sends to all of them, 50 packets a second each. Bars: DESIGN's 200 calls on one
core, and a frame in 20 ms.
"""

import asyncio
import gc
import multiprocessing
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from itertools import cycle
from math import pi, sin
from statistics import quantiles

from sip_bridge.media.codec import CODECS, FRAME_MS, Codec, frame_bytes, frame_samples
from sip_bridge.media.jitter import JitterBuffer
from sip_bridge.media.pcm import pcm_of, samples_of
from sip_bridge.media.sdes import Crypto, SRTPKeys, new_keys
from sip_bridge.media.srtp import SRTPContext
from sip_bridge.phone.media import MediaSession
from sip_bridge.phone.pacer import FRAME, Pacer
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.settings import PortRange

CALLS = 200
SECONDS = 10.0
BAR = 1.0  # of a core
FRAMES = 2000  # that a cost is taken over
LOOPBACK = "127.0.0.1"


def sound(rate: int, frames: int) -> list[bytes]:
    """A tone that rises and falls, in frames."""
    samples = samples_of(bytes(2 * frame_samples(rate) * frames))
    for i in range(len(samples)):
        samples[i] = int(12000 * sin(2 * pi * i * (300 + 200 * sin(i / rate)) / rate))
    pcm = pcm_of(samples)
    size = 2 * frame_samples(rate)
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def cost(work: Callable[[int], object]) -> float:
    """Microseconds of each of FRAMES calls, the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        for i in range(FRAMES):
            work(i)
        best = min(best, time.perf_counter() - began)
    return best / FRAMES * 1e6


def tell(name: str, microseconds: float) -> None:
    """A line, with what part of a frame's 20 ms that is."""
    print(f"{name:42} {microseconds:7.1f} µs   {microseconds / (FRAME_MS * 1000):7.2%} of a frame's time")


def codec_costs(codec: Codec) -> None:
    """Encoding, decoding, and the jitter buffer around it."""
    frames = sound(codec.rate, 50)
    encoder, decoder = codec.encoder(FRAME_MS, ""), codec.decoder()
    payloads = [encoder.encode(frame) for frame in frames]
    tell(f"{codec.name} encode", cost(lambda i: encoder.encode(frames[i % 50])))
    tell(f"{codec.name} decode", cost(lambda i: decoder.decode(payloads[i % 50])))
    tell(f"{codec.name} jitter buffer, in and out, decoding", jitter_cost(codec, payloads, lost_of=0))
    tell(f"{codec.name} the same, with 5 % lost", jitter_cost(codec, payloads, lost_of=20))


def jitter_cost(codec: Codec, payloads: list[bytes], *, lost_of: int) -> float:
    """A packet in and a frame out; one of ``lost_of`` is lost."""
    jitter, decoder = JitterBuffer(codec.rate, codec.clock_rate), codec.decoder()
    step = frame_samples(codec.clock_rate)
    numbers = iter(range(1, 1 << 40))

    def pass_through(i: int) -> None:
        number = next(numbers)
        if not lost_of or number % lost_of:
            jitter.put(number * step & 0xFFFFFFFF, payloads[i % 50], decoder)
        jitter.get()

    return cost(pass_through)


def srtp_costs(crypto: Crypto) -> None:
    """Protecting a packet with a suite, and opening it."""
    context = SRTPContext()
    context.agree(SRTPKeys(suite=crypto.suite, local=crypto.key, remote=crypto.key))
    header = struct.Struct("!BBHII")
    plain = iter([header.pack(0x80, 0, i & 0xFFFF, 160 * i, 1) + bytes(160) for i in range(3 * FRAMES)])
    sealed: list[bytes] = []
    tell(f"SRTP {crypto.suite.name} protect", cost(lambda _: sealed.append(context.protect(next(plain)) or b"")))
    coming = iter(sealed)
    tell(f"SRTP {crypto.suite.name} open", cost(lambda _: context.unprotect(next(coming))))


# --- calls ---


class Speaker:
    """A source that says the same again and again."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = cycle(frames)

    def read(self, rate: int) -> bytes:
        """See `AudioSource`; the frames have that rate."""
        frame = next(self._frames)
        assert len(frame) == frame_bytes(rate)
        return frame


class Listener:
    """A sink that counts."""

    def __init__(self) -> None:
        self.frames = 0

    def write(self, frame: bytes, rate: int) -> None:
        """See `AudioSink`."""
        self.frames += len(frame) // frame_bytes(rate)


class TimedPacer(Pacer):
    """Notes how late each tick is."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[float] = []

    def _tick(self) -> None:
        self.late.append(asyncio.get_running_loop().time() - self._next)
        super()._tick()


def sdp(port: int) -> bytes:
    """The peer's description."""
    lines = ("v=0", f"o=- 1 1 IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0", f"m=audio {port} RTP/AVP 0")
    return "\r\n".join((*lines, "")).encode()


def send_to_all(sockets: list[socket.socket], ports: list[int]) -> None:
    """The peers: 50 packets a second to each session, for ever; what comes is not read."""
    payload = CODECS["PCMU"].encoder(FRAME_MS, "").encode(sound(8000, 1)[0])
    sequence, began = 0, time.monotonic()
    while True:
        for number, (sock, port) in enumerate(zip(sockets, ports, strict=True)):
            header = struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, 160 * sequence & 0xFFFFFFFF, 1000 + number)
            sock.sendto(header + payload, (LOOPBACK, port))
        sequence += 1
        time.sleep(max(0.0, began + sequence * FRAME - time.monotonic()))


async def calls(count: int, seconds: float) -> None:
    """Two-way audio, PCMU, in so many calls; what part of a core that takes."""
    pacer, ports = TimedPacer(), PortAllocator(PortRange(low=42000, high=42000 + 2 * count + 99))
    peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    sessions, listeners = [], [Listener() for _ in range(count)]
    frames = sound(8000, 500)
    for peer, listener in zip(peers, listeners, strict=True):
        peer.bind((LOOPBACK, 0))
        session = MediaSession(
            local_host=LOOPBACK, advertised_host=LOOPBACK, ports=ports, pacer=pacer, codecs=("PCMU",)
        )
        await session.open()
        session.create_offer()
        session.accept_answer(sdp(peer.getsockname()[1]))
        session.sinks.append(listener)
        session.join(Speaker(frames))
        sessions.append(session)
    sender = multiprocessing.get_context("fork").Process(
        target=send_to_all, args=(peers, [each.port for each in sessions]), daemon=True
    )
    sender.start()
    for session in sessions:
        session.start_sending()
    await asyncio.sleep(2.0)  # jitter buffers fill, garbage of the start goes
    gc.collect()
    gc.freeze()
    pacer.late.clear()
    before = [(each.statistics.packets_sent, each.statistics.packets_received) for each in sessions]
    heard = sum(listener.frames for listener in listeners)
    cpu, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    cpu, wall = time.process_time() - cpu, time.monotonic() - began
    after = [each.statistics for each in sessions]
    sent = sum(each.packets_sent - old[0] for each, old in zip(after, before, strict=True))
    received = sum(each.packets_received - old[1] for each, old in zip(after, before, strict=True))
    heard = sum(listener.frames for listener in listeners) - heard
    sender.kill()
    for session in sessions:
        session.close()
    due = count * wall / FRAME
    p50, p99 = quantiles(pacer.late, n=100)[49] * 1e3, quantiles(pacer.late, n=100)[98] * 1e3
    print(
        f"{count} calls with two-way audio, PCMU: {cpu / wall:.0%} of a core (bar: {BAR:.0%}); "
        f"of what was due sent {sent / due:.1%}, received {received / due:.1%}, heard {heard / due:.1%}, "
        f"lost {sum(each.packets_lost for each in after)}; ticks late by {p50:.1f} ms (p50), {p99:.1f} ms (p99)"
    )
    print(
        f"{'a call with two-way audio':42} {cpu / wall / count * FRAME_MS * 1000:7.1f} µs   a frame in both directions"
    )


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    for codec in CODECS.values():
        codec_costs(codec)
    for crypto in new_keys(os.urandom):
        srtp_costs(crypto)
    asyncio.run(calls(count, float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS))


if __name__ == "__main__":
    main()
