"""An adaptive jitter buffer: packets go in as they come, frames come out in order, on time, and with gaps concealed.

It watches how early each packet comes before it is due. A packet that is late moves the rest back by as much, so that
its followers are in time; when for a while every packet was early enough, a piece of quiet is left out, or, when there
is much to be saved, a pitch period of sound now and then. So the delay follows the network, and the drift of the
sender's clock too, and no word is lost to either.
"""

from bisect import insort
from collections import deque
from math import inf
from operator import itemgetter
from typing import Final

from sip_bridge.media.codec import NARROWBAND, Decoder, frame_samples
from sip_bridge.media.comfort_noise import ComfortNoise
from sip_bridge.media.concealment import Concealment, shortened
from sip_bridge.media.pcm import peak
from sip_bridge.media.rtp import signed32

MIN_DELAY_MS: Final = 20  # a delay is made shorter when every packet was earlier than that
START_DELAY_MS: Final = 60  # by which the first packet waits
MAX_DELAY_MS: Final = 240  # that a packet may come early, or late, and still be heard
MAX_PACKETS: Final = 64
_LATE_RUN: Final = 3  # packets in a row that are far too late; one more, and the sender's clock jumped back
_JUDGED: Final = 100  # packets: how early they come is judged over the last one or two hundred
_MAX_PIECES: Final = 8  # of one frame among which gaps are made up for: looking for the pitch takes time
_SHORTEN_EVERY: Final = 5  # frames
_QUIET: Final = 500  # the loudest sample of a frame whose length nobody notices
_LOUD_SPARE_MS: Final = 60  # loud sound is let be until this much more of delay could be saved

# When a piece of sound begins, in samples, and what it is: a payload and its decoder, or PCM with None.
_Waiting = tuple[int, bytes, Decoder | None]
_BEGIN: Final = itemgetter(0)


class JitterBuffer:
    """The sound of one stream: PCM at ``rate`` comes out; timestamps count in ``clock_rate``.

    Payloads are decoded when they are due, so that a decoder that remembers gets them in order.
    """

    def __init__(
        self,
        rate: int = NARROWBAND,
        clock_rate: int = NARROWBAND,
        *,
        min_delay_ms: int = MIN_DELAY_MS,
        max_delay_ms: int = MAX_DELAY_MS,
    ) -> None:
        self.rate = rate
        self.clock_rate = clock_rate
        self._frame = frame_samples(rate)
        self._min_delay = min_delay_ms * rate // 1000
        self._max_delay = max_delay_ms * rate // 1000
        self._start_delay = min(max(START_DELAY_MS, min_delay_ms), max_delay_ms) * rate // 1000
        self._loud_spare = _LOUD_SPARE_MS * rate // 1000
        self._waiting: list[_Waiting] = []
        self._timestamp = 0  # of the packet that came last, extended over the wrap
        self._at: int | None = None  # what is due next
        self._played = 0  # where what was heard ends: nothing before it is heard any more
        self._jumps = True  # the next packet begins a count of its own
        self._late_run = 0
        self._ticks = 0
        self._least_early = inf
        self._least_early_before = 0.0
        self._earliness = 0  # of all packets, in samples
        self._packets = 0
        self._recent: deque[bytes] = deque(maxlen=3)
        self._concealment = Concealment(rate)
        self._comfort_noise = ComfortNoise(rate)
        self._is_pause = False  # the peer has said that it says nothing
        self.late = 0  # packets that came too late to be heard
        self.skipped = 0  # packets left out to catch up with a burst
        self.concealed = 0  # samples made up; the silence after them is not counted

    @property
    def delay_ms(self) -> float:
        """How long packets waited to be heard, on average."""
        return 1000 * self._earliness / self._packets / self.rate if self._packets else 0.0

    def restart(self) -> None:
        """The timestamps of the next packet have nothing to do with those before: another source sends."""
        self._jumps = True

    def forget(self) -> None:
        """Begin anew, as if nothing had come; the figures stay."""
        self._waiting.clear()
        self._recent.clear()
        self._concealment = Concealment(self.rate)
        self._at = None
        self._is_pause = False
        self._least_early, self._least_early_before = inf, 0.0

    def put(self, timestamp: int, payload: bytes, decoder: Decoder) -> None:
        """A packet that came just now; one that came before is not heard again."""
        self._timestamp += signed32(timestamp - self._timestamp)
        begin = self._timestamp * self.rate // self.clock_rate
        at = self._begin(begin) if self._at is None else self._at
        early = begin - at
        if self._jumps:
            at = self._jump(begin)
        elif begin < self._played:
            if not self._is_far_behind(early):
                return
            at = self._jump(begin)
        elif not -self._max_delay <= early <= 2 * self._max_delay:
            at = self._jump(begin)
        elif early > self._max_delay:  # a burst after a stall: what waited longest is left out
            at = self._move(early - self._max_delay)
            self._tear()
        elif early < 0:  # what was concealed meanwhile is heard in addition
            at = self._move(early)
        elif not self._waiting and (
            self._is_pause or self._concealment.is_silent
        ):  # nobody hears a delay change in a pause
            at = self._move(min(max(self._spare, 0), early))
        early = begin - at
        self._late_run = 0
        self._least_early = min(self._least_early, early)
        self._earliness += early
        self._packets += 1
        if self._packets % _JUDGED == 0:
            self._least_early_before, self._least_early = self._least_early, inf
        self._insert((begin, payload, decoder))

    def put_noise(self, timestamp: int, payload: bytes) -> None:
        """Comfort noise (RFC 3389): from there on nothing is missing, until sound comes again."""
        self.put(timestamp, payload, self._comfort_noise)

    def get(self) -> bytes | None:
        """The next 20 ms, None before anything came."""
        if self._at is None:
            return None
        self._ticks += 1
        frame = self._take()
        if self._spare > 0 and (peak(frame) <= _QUIET or self._is_worth_shortening):
            return self._shortened(frame)
        return frame

    def skip(self, frames: int) -> None:
        """So many frames went by in which nobody could listen."""
        if self._at is not None and frames > 0:
            self._move(frames * self._frame)

    # --- the delay ---

    @property
    def _spare(self) -> int:
        """By how many samples more than necessary each of the last packets was early."""
        return int(min(self._least_early, self._least_early_before)) - self._min_delay

    @property
    def _is_worth_shortening(self) -> bool:
        """Whether loud sound may lose a pitch period, too."""
        return self._spare > self._loud_spare and self._ticks % _SHORTEN_EVERY == 0

    def _move(self, samples: int) -> int:
        """Let later sound be due now, so that packets wait less; negative: they wait longer."""
        self._at = (self._at or 0) + samples
        self._least_early -= samples
        self._least_early_before -= samples
        return self._at

    def _begin(self, begin: int) -> int:
        self._at = self._played = begin - self._start_delay
        self._jumps = False
        return self._at

    def _jump(self, begin: int) -> int:
        """The clock is another one: go on with it after what waits, or after the usual delay."""
        at = self._at or 0
        wait = self._start_delay
        if self._waiting:
            wait = max(wait, self._waiting[-1][0] + self._frame - at)
        shift = begin - wait - at
        self._waiting = [(each + shift, data, decoder) for each, data, decoder in self._waiting]
        self._played += shift
        self._at = at + shift
        self._jumps = False
        self._least_early, self._least_early_before = inf, 0.0
        return self._at

    def _is_far_behind(self, early: int) -> bool:
        """A later packet than this one was heard already. Whether it is one of many, that are far too late."""
        if early < -self._max_delay:
            self._late_run += 1
            if self._late_run > _LATE_RUN:
                return True
        else:
            newest = self._waiting[-1][0] if self._waiting else self._played
            if newest - (self._at or 0) + self._frame <= self._max_delay:
                self._move(-self._frame)  # the next ones may wait a little longer
        self.late += 1
        return False

    def _shortened(self, frame: bytes) -> bytes:
        """The frame and its follower in one and a half, the rest of which waits."""
        at = self._at or 0
        if self._concealment.is_active or not self._waiting or self._waiting[0][0] != at:
            return frame
        sound = shortened(frame + self._take(), self.rate)
        size = len(frame)
        self._recent.pop()
        self._recent.pop()
        self._recent.append(sound[:size])
        self._at = at  # the rest of the follower is due next
        self._insert((self._move((2 * size - len(sound)) // 2), sound[size:], None))
        return sound[:size]

    # --- the sound ---

    def _insert(self, packet: _Waiting) -> None:
        waiting = self._waiting
        if len(waiting) >= MAX_PACKETS:
            return
        if not waiting or waiting[-1][0] < packet[0]:
            waiting.append(packet)
        elif all(each[0] != packet[0] for each in waiting):
            insort(waiting, packet, key=_BEGIN)

    def _take(self) -> bytes:
        """A frame from what waits; what is missing is concealed."""
        at = self._at or 0
        end = at + self._frame
        parts: list[bytes] = []
        while at < end:
            heard = self._next(at, end)
            if heard:
                if self._concealment.is_active:
                    heard = self._concealment.join(heard)
                parts.append(heard)
                at += len(heard) // 2
                self._played = at
            else:
                due = min(self._waiting[0][0], end) if self._waiting else end
                parts.append(self._conceal(due - at, parts))
                at = due
        self._at = end
        frame = parts[0] if len(parts) == 1 else b"".join(parts)
        self._recent.append(frame)
        return frame

    def _next(self, at: int, end: int) -> bytes:
        """What waits for just that moment, up to ``end``; what it overtakes is dropped."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= at:
            begin, data, decoder = waiting.pop(0)
            pcm = data if decoder is None else decoder.decode(data)
            if decoder is not None:
                self._is_pause = decoder is self._comfort_noise
            if begin < at:
                pcm = pcm[2 * (at - begin) :]
            if pcm:
                size = 2 * (end - at)
                if len(pcm) > size:
                    self._insert((end, pcm[size:], None))
                    return pcm[:size]
                return pcm
            self.skipped += 1
        return b""

    def _conceal(self, samples: int, parts: list[bytes]) -> bytes:
        if self._is_pause:
            return self._comfort_noise.fill(samples)
        if len(parts) > _MAX_PIECES:
            return bytes(2 * samples)
        if not self._concealment.is_active:
            self._concealment.begin(b"".join((*self._recent, *parts)))
        if not self._concealment.is_silent:
            self.concealed += samples
        return self._concealment.fill(samples)

    def _tear(self) -> None:
        """What comes next does not follow what was heard."""
        if not self._concealment.is_active:
            self._concealment.begin(b"".join(self._recent))
