"""Sound through a call: something to say, somebody who listens, and what became of it on the way."""

import asyncio
import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from sip_bridge.media.codec import frame_bytes
from sip_bridge.phone.call import VoIPCall
from tests.sound import Comparison, Signal, at_rate, chirp, from_pcm, silence, speech, to_pcm, typically

PATIENCE: Final = 15.0  # seconds
ADAPTING: Final = 5.0  # seconds after which our jitter buffer has found its delay: it shortens sound until then
_SETTLING: Final = 0.3  # seconds before and after a sound


@cache
def parts(rate: int) -> tuple[Signal, Signal]:
    """A chirp over the whole band of a codec with that rate, and speech."""
    low, high = (300, 3400) if rate == 8000 else (100, 7000)
    return chirp(rate, low=low, high=high), speech(rate, seconds=1.8)


@cache
def utterance(rate: int) -> Signal:
    """Both parts, one after the other, with pauses."""
    pause = silence(rate, _SETTLING)
    return np.concatenate([pause, parts(rate)[0], pause, parts(rate)[1], pause])


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """How both parts of an utterance passed; ``delay_ms`` from where they were asked for to where they were heard."""

    delay_ms: float
    chirp: Comparison
    speech: Comparison

    @property
    def snr_db(self) -> float:
        """Of the worse part."""
        return min(self.chirp.snr_db, self.speech.snr_db)

    @property
    def gaps_ms(self) -> tuple[float, ...]:
        """Of both parts."""
        return self.chirp.gaps_ms + self.speech.gaps_ms

    def __str__(self) -> str:
        return (
            f"chirp {self.chirp.snr_db:5.1f} dB  speech {self.speech.snr_db:5.1f} dB  "
            f"delay {self.delay_ms:5.1f} ms  gain {self.speech.gain:5.2f}  gaps {self.gaps_ms}"
        )


def passage(heard: Signal, rate: int, *, later: float = 0.0) -> Passage:
    """Find the utterance in what was heard, which began ``later`` seconds after the utterance."""
    one, other = (typically(part, heard, rate) for part in parts(rate))
    return Passage(delay_ms=one.delay_ms + (later - _SETTLING) * 1000, chirp=one, speech=other)


class Mouth:
    """An `AudioSource` that says a signal once."""

    def __init__(self, signal: Signal, rate: int) -> None:
        self._pcm = to_pcm(signal)
        self._rate = rate
        self._at = 0
        self.began: float | None = None
        self._ended = asyncio.Event()

    def read(self, rate: int) -> bytes | None:
        """See `AudioSource`."""
        assert rate == self._rate, f"the call has {rate} samples a second, not {self._rate}"
        if self.began is None:
            self.began = asyncio.get_running_loop().time()
        size = frame_bytes(rate)
        frame = self._pcm[self._at : self._at + size]
        self._at += size
        if not frame:
            self._ended.set()
            return None
        return frame.ljust(size, b"\0")

    async def ended(self) -> None:
        """Waits until all was said."""
        async with asyncio.timeout(PATIENCE):
            await self._ended.wait()


class Ear:
    """An `AudioSink` that keeps what it hears."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._heard = asyncio.Event()
        self.rate = 0
        self.began: float | None = None

    def write(self, frame: bytes, rate: int) -> None:
        """See `AudioSink`."""
        if self.began is None:
            self.began = asyncio.get_running_loop().time()
        self.rate = rate
        self._pcm += frame
        self._heard.set()

    @property
    def seconds(self) -> float:
        """How much it has heard."""
        return len(self._pcm) / 2 / self.rate if self.rate else 0.0

    @property
    def signal(self) -> Signal:
        """All that it has heard."""
        return from_pcm(bytes(self._pcm))

    async def hears(self, seconds: float) -> None:
        """Waits until it has heard so much more."""
        wanted = self.seconds + seconds
        async with asyncio.timeout(PATIENCE):
            while self.seconds < wanted:
                self._heard.clear()
                await self._heard.wait()


async def echoed(call: VoIPCall, rate: int, *, after: float = 0.0) -> Passage:
    """What comes back of the utterance from a peer that echoes, ``after`` so many seconds of silence."""
    mouth, ear = Mouth(utterance(rate), rate), Ear()
    call.media.sinks.append(ear)
    await ear.hears(after)
    call.media.join(mouth)
    await mouth.ended()
    await ear.hears(_SETTLING)
    call.media.sinks.remove(ear)
    return _passage_from(mouth, ear)


def _passage_from(mouth: Mouth, ear: Ear) -> Passage:
    assert mouth.began is not None
    assert ear.began is not None
    return passage(ear.signal, ear.rate, later=ear.began - mouth.began)


async def spoken(call: VoIPCall, rate: int) -> None:
    """Says the utterance."""
    mouth = Mouth(utterance(rate), rate)
    call.media.join(mouth)
    await mouth.ended()


async def heard(call: VoIPCall, rate: int, *, after: float = 0.0) -> Passage:
    """What is heard of the utterance when the peer plays it ``after`` some seconds; its delay says nothing."""
    ear = Ear()
    call.media.sinks.append(ear)
    await ear.hears(after + len(utterance(rate)) / rate + _SETTLING)
    assert ear.rate == rate
    return passage(ear.signal, rate)


def write_wav(path: Path, signal: Signal, rate: int, *, channels: int = 1) -> None:
    """A file of 16 bit, the same in each channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_pcm(np.repeat(signal, channels)))


def read_wav(path: Path, rate: int) -> Signal:
    """The first channel of a file of 16 bit, at the rate that is wanted."""
    with wave.open(str(path), "rb") as file:
        channels, own_rate = file.getnchannels(), file.getframerate()
        samples = from_pcm(file.readframes(file.getnframes()))[::channels]
    return samples if own_rate == rate else at_rate(samples, own_rate, rate)
