"""What a call hears: the peer's packets to key presses, and to frames of sound for the sinks."""

from collections.abc import Callable

from sip_bridge.media.codec import FRAME_MS, NARROWBAND, Codec, Decoder
from sip_bridge.media.comfort_noise import PAYLOAD_TYPE
from sip_bridge.media.dtmf_receiver import DTMFReceiver, Press
from sip_bridge.media.jitter import JitterBuffer
from sip_bridge.media.negotiation import Stream
from sip_bridge.media.quality import rating
from sip_bridge.media.rtp import Receiver, RTPPacket
from sip_bridge.phone.audio import AudioSink


class Incoming:
    """The receiving half of a media session. ``sinks`` get a frame a tick; nothing is decoded while there are none."""

    def __init__(self, *, on_press: Callable[[Press, int], None]) -> None:
        self._on_press = on_press  # with the clock rate that its duration counts in
        self._presses = DTMFReceiver()
        self._stream: Stream | None = None
        self._codecs: dict[int, Codec] = {}  # by payload type
        self._events: dict[int, int] = {}  # clock rates of key presses, by payload type
        self._noises: set[int] = set()
        self._codec: Codec | None = None  # of the packet that came last
        self._decoder: Decoder | None = None
        self._ssrc: int | None = None
        self._jitter = JitterBuffer()
        self._late_before = 0  # in jitter buffers that this one replaced
        self.receiver = Receiver()
        self.is_pause = False  # the peer has said, by comfort noise, that it says nothing for a while
        self.sinks: list[AudioSink] = []

    def agree(self, stream: Stream) -> None:
        """What may come from now on."""
        self._stream = stream
        self._codecs = dict(stream.receive_payload_types)
        self._events = dict(stream.receive_events_payload_types)
        self._noises = {PAYLOAD_TYPE, *stream.receive_comfort_noise_payload_types}

    def receive(self, packet: RTPPacket, now: float) -> None:
        """A packet of the peer's; one of a payload type that was not agreed on is counted and not heard.

        A key press is told by its timestamp, so it need not wait until its source has proved itself.
        """
        stream = self._stream
        if stream is None:
            return
        events_rate = self._events.get(packet.payload_type)
        if events_rate is not None:
            for press in self._presses.receive(packet):
                self._on_press(press, events_rate)
        codec = None if events_rate is not None else self._codecs.get(packet.payload_type)
        self.is_pause = codec is None and packet.payload_type in self._noises
        for each in self.receiver.receive(packet, now, clock_rate=codec.clock_rate if codec else None):
            if self.sinks and each.payload and stream.receives:
                self._hear(each)

    @property
    def late(self) -> int:
        """Packets that came too late to be heard."""
        return self._late_before + self._jitter.late

    @property
    def delay_ms(self) -> float:
        """How long packets waited to be heard, on average."""
        return self._jitter.delay_ms

    def rating(self, round_trip_ms: float) -> float | None:
        """The E-model's R of what was received; None when nothing was."""
        receiver = self.receiver
        if not receiver.expected:
            return None
        return rating(
            delay_ms=round_trip_ms / 2 + FRAME_MS + self.delay_ms,
            expected=receiver.expected,
            missing=receiver.lost + self.late,
            runs=receiver.loss_runs + self.late,
        )

    def tick(self, frames: int = 1) -> None:
        """20 ms went by; after a stall ``frames`` of them, of which the last one is heard."""
        self._jitter.skip(frames - 1)
        heard = self._jitter.get()
        if heard is None:
            return
        for sink in tuple(self.sinks):  # one may leave
            sink.write(heard, self._jitter.rate)
        if not self.sinks:
            self._jitter.forget()  # who comes later does not hear what was said before

    def _hear(self, packet: RTPPacket) -> None:
        codec = self._codecs.get(packet.payload_type)
        if codec is None:
            if packet.payload_type in self._noises and self._jitter.clock_rate == NARROWBAND:
                self._jitter.put_noise(packet.timestamp, packet.payload)
            return
        is_other = packet.ssrc != self._ssrc
        if codec is not self._codec or is_other or self._decoder is None:
            self._decoder = codec.decoder()
            self._codec, self._ssrc = codec, packet.ssrc
        if (codec.rate, codec.clock_rate) != (self._jitter.rate, self._jitter.clock_rate):
            self._late_before += self._jitter.late
            self._jitter = JitterBuffer(codec.rate, codec.clock_rate)
        elif is_other:
            self._jitter.restart()
        self._jitter.put(packet.timestamp, packet.payload, self._decoder)
