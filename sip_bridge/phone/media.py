"""The sound of one call: its RTP socket, what is sent and what is heard."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import InvalidStateError, NegotiationError
from sip_bridge.media.codec import FRAME_BYTES, PCM_RATE, Codec
from sip_bridge.media.dtmf import DTMFReceiver, EventFrame, check_digits, event_frames
from sip_bridge.media.negotiation import Local, Stream, accept_answer, answer_offer, create_offer
from sip_bridge.media.rtp import Receiver, ReceptionStatistics, RTPPacket
from sip_bridge.media.sdp import SessionDescription
from sip_bridge.phone.audio import AudioSink, AudioSource, Clip, load
from sip_bridge.phone.pacer import FRAME, Pacer
from sip_bridge.phone.ports import PortAllocator

_SAMPLES: Final = FRAME_BYTES // 2  # of one frame
_RECEIVE_SIZE: Final = 2048
_BURST: Final = 16  # packets read before other tasks of the loop get their turn
_MAX_DIGITS_WAITING: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DTMFReceived:
    """A key press came in the RTP stream; ``duration_ms`` is what was known when it was told."""

    digit: str
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackFinished:
    """The last sample was sent (``completed``), or playing was stopped."""

    source: str
    completed: bool
    error: str | None = None


MediaEvent = DTMFReceived | PlaybackFinished


class MediaSession:
    """RTP of one call. ``on_event`` is called on the event loop.

    Nothing is sent before `start_sending`, or before the peer's own RTP has come. RTP is taken from the negotiated host
    or the ``signalling_host``; the first packet locks the address until the next offer or answer.
    """

    def __init__(
        self,
        *,
        local_host: str,
        advertised_host: str,
        ports: PortAllocator,
        pacer: Pacer,
        codecs: tuple[str, ...],
        signalling_host: str | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._local_host = local_host
        self._advertised_host = advertised_host
        self._ports = ports
        self._pacer = pacer
        self._codecs = codecs
        self._signalling_host = signalling_host
        self._entropy = entropy
        self._socket: socket.socket | None = None
        self._is_closed = False
        self._session_id = int.from_bytes(entropy(4))
        self._version = 0
        self._offer: SessionDescription | None = None
        self._stream: Stream | None = None
        self._remote: tuple[str, int] | None = None
        self._is_locked = False
        self._is_sending = False
        self._sequence = int.from_bytes(entropy(2))
        self._timestamp = int.from_bytes(entropy(4))
        self._ssrc = int.from_bytes(entropy(4))
        self._is_talkspurt_start = True
        self._source: AudioSource | None = None
        self._source_name = ""
        self._digits: list[Iterator[EventFrame]] = []
        self._press_timestamp = 0
        self._events = DTMFReceiver()
        self._receiver = Receiver(PCM_RATE)
        self._sent = 0
        self._from_elsewhere = 0
        self.on_event: Callable[[MediaEvent], None] = lambda _: None
        self.muted = False
        self.sinks: list[AudioSink] = []

    async def open(self) -> None:
        """Bind the RTP socket; NoPortsAvailableError when the range is used up."""
        if self._socket is not None or self._is_closed:
            return
        self._socket = self._ports.bind(self._local_host)
        asyncio.get_running_loop().add_reader(self._socket, self._readable, self._socket)

    def close(self) -> None:
        """Stop, and give the port back."""
        self._is_closed = True
        self._pacer.remove(self._send_frame)
        self._is_sending = False
        self._finish_source(completed=False)
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    @property
    def port(self) -> int:
        """Our RTP port."""
        if self._socket is None:
            raise InvalidStateError("the media session is not open")
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def codec(self) -> str | None:
        """The codec that was agreed on."""
        return self._stream.codec.name if self._stream else None

    @property
    def held(self) -> bool:
        """Whether the peer does not want to hear us now."""
        return self._stream is not None and not self._stream.sends

    @property
    def statistics(self) -> ReceptionStatistics:
        """Figures so far."""
        return ReceptionStatistics(
            packets_sent=self._sent,
            packets_received=self._receiver.received,
            packets_lost=self._receiver.lost,
            jitter_ms=self._receiver.jitter_ms,
            packets_from_elsewhere=self._from_elsewhere,
        )

    # --- offer and answer ---

    def _local(self) -> Local:
        self._version += 1
        return Local(
            host=self._advertised_host,
            port=self.port,
            codecs=self._codecs,
            session_id=self._session_id,
            version=self._version,
        )

    def create_offer(self) -> bytes:
        """Our offer."""
        self._offer = create_offer(self._local())
        return self._offer.format()

    def accept_offer(self, body: bytes) -> bytes:
        """The answer to a first or further offer; NegotiationError when nothing fits."""
        answer, stream = answer_offer(SessionDescription.parse(body), self._local())
        self._agree(stream)
        return answer.format()

    def accept_answer(self, body: bytes) -> None:
        """The peer's answer to our offer; NegotiationError when it refuses the audio."""
        if self._offer is None:
            raise NegotiationError("an answer to no offer")
        self._agree(accept_answer(self._offer, SessionDescription.parse(body)))

    def _agree(self, stream: Stream) -> None:
        if self._stream is None or self._stream.remote != stream.remote:
            self._remote = stream.remote
            self._is_locked = False
        self._stream = stream

    # --- sending ---

    def start_sending(self) -> None:
        """The call is confirmed: send from now on, silence when nothing plays."""
        if not self._is_sending and not self._is_closed:
            self._is_sending = True
            self._pacer.add(self._send_frame)

    async def play(self, source: str, *, loop: bool = False, volume: float = 1.0, settle: float = 0.0) -> None:
        """Play a WAV file after ``settle`` seconds of silence, instead of what plays now; MediaError if it can't be."""
        pcm = await load(source, volume=volume)
        if self._is_closed:
            return
        self._finish_source(completed=False)
        self._source = Clip(pcm, settle=round(settle / FRAME), loop=loop)
        self._source_name = source

    def join(self, source: AudioSource) -> None:
        """Send what ``source`` gives, instead of what plays now."""
        self._finish_source(completed=False)
        self._source, self._source_name = source, ""

    def stop_playback(self) -> None:
        """Stop what plays."""
        self._finish_source(completed=False)

    def _finish_source(self, *, completed: bool) -> None:
        if self._source is not None:
            self._source = None
            self.on_event(PlaybackFinished(source=self._source_name, completed=completed))

    def send_dtmf(self, digits: str, *, duration_ms: int = 160, gap_ms: int = 80) -> None:
        """Press keys; LocalProtocolError for what is none, InvalidStateError when the peer takes no RTP events."""
        keys = check_digits(digits)
        if self._stream is None or self._stream.events_payload_type is None:
            raise InvalidStateError("the other party takes no key presses over RTP (telephone-event)")
        if len(self._digits) >= _MAX_DIGITS_WAITING:
            raise InvalidStateError("too many key presses wait already")
        duration, gap = (min(max(ms, 40), 5000) * PCM_RATE // 1000 for ms in (duration_ms, gap_ms))
        self._digits.append(event_frames(keys, duration=duration, gap=gap, frame=_SAMPLES))

    def _send_frame(self) -> None:
        """One tick of the pacer."""
        stream = self._stream
        if stream is None or not stream.sends:
            self._is_talkspurt_start = True
        elif not self._send_event_frame(stream):
            self._send_audio_frame(stream)
        self._timestamp = (self._timestamp + _SAMPLES) & 0xFFFFFFFF

    def _send_audio_frame(self, stream: Stream) -> None:
        frame = self._source.read() if self._source is not None else None
        if frame is None and self._source is not None:
            self._finish_source(completed=True)
        payload = stream.codec.silence * _SAMPLES if frame is None or self.muted else stream.codec.encode(frame)
        self._send(stream.payload_type, payload, self._timestamp, marker=self._is_talkspurt_start)
        self._is_talkspurt_start = False

    def _send_event_frame(self, stream: Stream) -> bool:
        """The next frame of a key press; False when none is being pressed."""
        while self._digits:
            frame = next(self._digits[0], None)
            if frame is None:
                del self._digits[0]
                continue
            if not frame.payloads or stream.events_payload_type is None:
                return False  # the gap between two keys is sound like any other
            if frame.starts:
                self._press_timestamp = self._timestamp
            for payload in frame.payloads:
                self._send(stream.events_payload_type, payload, self._press_timestamp, marker=frame.starts)
            self._is_talkspurt_start = True
            return True
        return False

    def _send(self, payload_type: int, payload: bytes, timestamp: int, *, marker: bool) -> None:
        if self._socket is None or self._remote is None:
            return
        packet = RTPPacket(
            payload_type=payload_type,
            marker=marker,
            sequence=self._sequence,
            timestamp=timestamp,
            ssrc=self._ssrc,
            payload=payload,
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        try:
            self._socket.sendto(packet.format(), self._remote)
        except OSError:
            return  # a lost packet: the peer's port is closed, or the network is gone for a moment
        self._sent += 1

    # --- receiving ---

    def _readable(self, sock: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for _ in range(_BURST):
            try:
                data, address = sock.recvfrom(_RECEIVE_SIZE)
            except OSError:
                return  # nothing more to read, or an ICMP error of what we sent
            self._received(data, (address[0], address[1]), now)
            if self._is_closed:
                return  # what came last ended the call

    def _received(self, data: bytes, source: tuple[str, int], now: float) -> None:
        stream = self._stream
        packet = RTPPacket.parse(data)
        if stream is None or packet is None or not self._is_from_peer(source, stream):
            self._from_elsewhere += 1
            return
        self.start_sending()
        if packet.payload_type == stream.events_payload_type:
            self._receiver.receive(packet, now)
            press = self._events.receive(packet)
            if press is not None:
                self.on_event(DTMFReceived(digit=press.digit, duration_ms=press.duration * 1000 // PCM_RATE))
            return
        codec = self._codec_of(packet.payload_type, stream)
        if codec is not None and self._receiver.receive(packet, now) and self.sinks and packet.payload:
            pcm = codec.decode(packet.payload)
            for sink in self.sinks:
                sink.write(pcm)

    def _is_from_peer(self, source: tuple[str, int], stream: Stream) -> bool:
        if self._is_locked:
            return source == self._remote
        if source[0] not in (stream.remote[0], self._signalling_host):
            return False
        self._remote = source
        self._is_locked = True
        return True

    def _codec_of(self, payload_type: int, stream: Stream) -> Codec | None:
        return next((codec for number, codec in stream.receive_payload_types if number == payload_type), None)
