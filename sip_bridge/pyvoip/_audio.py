"""The sound of a call between the event loop and an application's threads: two buffers, and one lock for both.

An application has unsigned 8-bit PCM at 8 kHz, the event loop signed 16-bit PCM at the rate of the call.
"""

import threading
from typing import Final

from sip_bridge.media.codec import NARROWBAND, frame_bytes, frame_samples
from sip_bridge.media.resampler import Resampler

SILENCE: Final = b"\x80"
MAX_UNREAD: Final = 60 * NARROWBAND  # samples that nobody reads; the oldest give way
_FLIP_SIGN: Final = bytes(value ^ 0x80 for value in range(256))


def to_8_bit(pcm: bytes) -> bytes:
    """The high bytes of signed 16-bit samples, unsigned."""
    return pcm[1::2].translate(_FLIP_SIGN)


def to_16_bit(samples: bytes) -> bytes:
    """Unsigned 8-bit samples as signed 16-bit ones."""
    pcm = bytearray(2 * len(samples))
    pcm[1::2] = samples.translate(_FLIP_SIGN)
    return bytes(pcm)


class CallAudio:
    """`AudioSource` and `AudioSink` of a call on the loop's side, `put` and `take` on the application's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heard = bytearray()
        self._to_say = bytearray()
        self._is_closed = False
        self._from_call = Resampler(NARROWBAND, NARROWBAND)
        self._to_call = Resampler(NARROWBAND, NARROWBAND)
        self._rates = (NARROWBAND, NARROWBAND)  # of the call: heard, said

    # --- on the loop ---

    def write(self, frame: bytes, rate: int) -> None:
        """See `AudioSink`."""
        if rate != self._rates[0]:
            self._from_call, self._rates = Resampler(rate, NARROWBAND), (rate, self._rates[1])
        samples = to_8_bit(frame if rate == NARROWBAND else self._from_call.process(frame))
        with self._changed:
            self._heard += samples
            del self._heard[: max(len(self._heard) - MAX_UNREAD, 0)]
            self._changed.notify_all()

    def read(self, rate: int) -> bytes | None:
        """See `AudioSource`; silence while nothing waits to be said."""
        size = frame_samples(NARROWBAND)
        with self._changed:
            samples = bytes(self._to_say[:size])
            del self._to_say[:size]
        if not samples:
            return bytes(frame_bytes(rate))
        pcm = to_16_bit(samples.ljust(size, SILENCE))
        if rate == NARROWBAND:
            return pcm
        if rate != self._rates[1]:
            self._to_call, self._rates = Resampler(NARROWBAND, rate), (self._rates[0], rate)
        return self._to_call.process(pcm)

    def close(self) -> None:
        """The call is over: whoever waits gets what is left."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    # --- in any other thread ---

    def put(self, samples: bytes) -> None:
        """Say this after what waits already."""
        with self._changed:
            self._to_say += samples

    def take(self, length: int, *, blocking: bool) -> bytes:
        """What was heard next.

        Blocking waits for ``length`` samples and gives nothing else; less when the call ends. Otherwise silence fills
        up what is missing.
        """
        with self._changed:
            if blocking:
                self._changed.wait_for(lambda: len(self._heard) >= length or self._is_closed)
            taken = bytes(self._heard[:length])
            del self._heard[:length]
        return taken if blocking else taken.ljust(length, SILENCE)

    def flush(self) -> None:
        """Forget what was heard and not read."""
        with self._changed:
            self._heard.clear()
