"""What a call sends, frame by frame: key presses before sound, silence when there is none."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.media.codec import FRAME_MS, Codec, Encoder, frame_bytes, frame_samples
from sip_bridge.media.dtmf import PAUSE, EventFrame, check_digits, event_frames
from sip_bridge.media.dtmf_tones import KeyTones
from sip_bridge.media.negotiation import Stream
from sip_bridge.media.rtp import RTPSender
from sip_bridge.phone.audio import AudioSink, AudioSource
from sip_bridge.phone.player import Player

_MAX_SEQUENCES: Final = 64  # of keys that wait
_SHORTEST_MS: Final = 40  # of a key press and of the gap after it
LONGEST_MS: Final = 5000


class KeyPresses:
    """A sequence of keys on its way: RTP events, or tones."""

    def __init__(self, presses: Iterator[EventFrame] | KeyTones, *, keys: int) -> None:
        self._keys = keys
        self._begun = 0  # of the RTP events
        self._over = asyncio.Event()
        self.presses = presses

    @property
    def is_over(self) -> bool:
        """Whether the last key was sent, with its gap, or never will be."""
        return self._over.is_set()

    @property
    def were_heard(self) -> bool:
        """Whether the other party has heard of each key: one may hang up as soon as the last one begins."""
        begun = self.presses.begun if isinstance(self.presses, KeyTones) else self._begun
        return begun == self._keys

    async def wait(self) -> None:
        """Until it is over."""
        await self._over.wait()

    def next_event(self) -> EventFrame | None:
        """The next frame of RTP events; None when all were pressed."""
        frame = None if isinstance(self.presses, KeyTones) else next(self.presses, None)
        self._begun += frame is not None and frame.starts
        return frame

    def end(self) -> None:
        """Nothing more of it is sent."""
        self._over.set()


class Outgoing:
    """The sending half of a media session: packets go to ``send``.

    What the ``player`` gives is sent, and it is told when that has left.
    """

    def __init__(self, sender: RTPSender, *, send: Callable[[bytes], None], player: Player) -> None:
        self._sender = sender
        self._send = send
        self._player = player
        self._stream: Stream | None = None
        self._encoder: Encoder | None = None
        self._encoding: tuple[Codec, int, str] | None = None  # what the encoder was made for
        self._ptime = FRAME_MS
        self._pending = b""  # PCM that does not fill a packet yet
        self._keys: deque[KeyPresses] = deque()
        self._press_timestamp = 0
        self.live: AudioSource | None = None  # heard while nothing plays
        self.sinks: list[AudioSink] = []  # who hears what is said: no key presses, since they may be a code
        self.muted = False

    def agree(self, stream: Stream) -> None:
        """How to send from now on."""
        ptime = stream.codec.ptime(stream.ptime)
        encoding = (stream.codec, ptime, stream.fmtp)
        if encoding != self._encoding:
            self._encoder = stream.codec.encoder(ptime, stream.fmtp)
            self._encoding, self._ptime = encoding, ptime
            self._pending = b""
        self._stream = stream

    @property
    def takes_events(self) -> bool:
        """Whether the other party takes key presses as RTP events."""
        return self._stream is not None and self._stream.events_payload_type is not None

    def press(self, digits: str, *, duration_ms: int, gap_ms: int, inband: bool) -> KeyPresses:
        """Queue key presses, as RTP events or ``inband`` as tones in place of what plays.

        LocalProtocolError for what is no key, InvalidStateError when that can't be now.
        """
        digits = check_digits(digits)
        if self._stream is None:
            raise InvalidStateError("no sound has been agreed on")
        if not inband and not self.takes_events:
            raise InvalidStateError("the other party takes no key presses over RTP (telephone-event)")
        if len(self._keys) >= _MAX_SEQUENCES:
            raise InvalidStateError("too many key presses wait already")
        duration_ms, gap_ms = (min(max(ms, _SHORTEST_MS), LONGEST_MS) for ms in (duration_ms, gap_ms))
        rate = self._stream.events_clock_rate
        duration, gap = duration_ms * rate // 1000, gap_ms * rate // 1000
        sequence = KeyPresses(
            KeyTones(digits, duration_ms=duration_ms, gap_ms=gap_ms)
            if inband
            else event_frames(digits, duration=duration, gap=gap, frame=frame_samples(rate)),
            keys=len(digits.replace(PAUSE, "")),
        )
        self._keys.append(sequence)
        return sequence

    def withdraw(self, sequence: KeyPresses) -> None:
        """Send nothing more of a sequence."""
        if sequence in self._keys:
            self._keys.remove(sequence)
            sequence.end()

    def close(self) -> None:
        """The call is over: nothing more is sent, and nobody waits for it."""
        while self._keys:
            self._keys.popleft().end()

    def tick(self, frames: int = 1) -> None:
        """Send the next 20 ms; ``frames`` is how many of them went by, more than one after a stall."""
        stream, encoder = self._stream, self._encoder
        if stream is None or encoder is None:
            return
        frame = frame_samples(stream.codec.clock_rate)
        self._sender.advance((frames - 1) * frame)
        live = self._read_live(stream.codec.rate)
        if not stream.sends:
            self._pause()
        elif not self._send_event(stream):
            self._send_audio(stream, encoder, live)
        self._sender.advance(frame)

    def _pause(self) -> None:
        self._pending = b""
        self._sender.pause()

    def _read_live(self, rate: int) -> bytes | None:
        """The next live frame. It is read though something else may be sent: live sound does not wait."""
        frame = self.live.read(rate) if self.live is not None else None
        if frame is None:
            self.live = None
        return frame

    def _send_audio(self, stream: Stream, encoder: Encoder, live: bytes | None) -> None:
        rate = stream.codec.rate
        tone = self._key_tone(rate)
        frame = self._player.read(rate) if tone is None else tone
        if frame is None and live is not None:
            frame = self._player.as_loud(live)
        if self.muted and tone is None:
            frame = None
        if frame is not None and tone is None:
            for sink in self.sinks:
                sink.write(frame, rate)
        if self._ptime == FRAME_MS and not self._pending:
            payload = encoder.silence(frame_samples(rate)) if frame is None else encoder.encode(frame)
            self._send(self._sender.audio(stream.payload_type, payload, timestamp=self._sender.timestamp))
        else:
            self._send_packed(stream, encoder, frame or bytes(frame_bytes(rate)))
        if not self._pending:
            self._player.sent()

    def _send_packed(self, stream: Stream, encoder: Encoder, frame: bytes) -> None:
        """Packets of another length than a frame's."""
        rate, clock_rate = stream.codec.rate, stream.codec.clock_rate
        begin = self._sender.timestamp - len(self._pending) // 2 * clock_rate // rate
        self._pending += frame
        size = self._ptime * rate // 1000 * 2
        while len(self._pending) >= size:
            payload = encoder.encode(self._pending[:size])
            self._pending = self._pending[size:]
            self._send(self._sender.audio(stream.payload_type, payload, timestamp=begin))
            begin += self._ptime * clock_rate // 1000

    def _send_event(self, stream: Stream) -> bool:
        """The next frame of a key press; False when none is being pressed: a gap is sound like any other."""
        while self._keys:
            sequence = self._keys[0]
            if isinstance(sequence.presses, KeyTones):
                return False
            frame = sequence.next_event()
            if frame is None:
                self._keys.popleft().end()
                continue
            if not frame.packets or stream.events_payload_type is None:
                return False
            if frame.starts:
                self._press_timestamp = self._sender.timestamp
            self._pause()
            for packet in frame.packets:
                at = self._press_timestamp + packet.offset * stream.codec.clock_rate // stream.events_clock_rate
                number, marker = stream.events_payload_type, frame.starts and packet is frame.packets[0]
                self._send(self._sender.packet(number, packet.payload, timestamp=at, marker=marker))
            return True
        return False

    def _key_tone(self, rate: int) -> bytes | None:
        """The next frame of keys that are sounded, None when none are."""
        while self._keys:
            presses = self._keys[0].presses
            if not isinstance(presses, KeyTones):
                return None
            frame = presses.read(rate)
            if frame is not None:
                return frame
            self._keys.popleft().end()
        return None
