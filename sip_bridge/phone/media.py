"""The sound of one call: its RTP and RTCP sockets, what is sent and what is heard."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import InvalidStateError, NegotiationError
from sip_bridge.media.codec import PCM_RATE, Codec
from sip_bridge.media.dtmf import DTMFReceiver
from sip_bridge.media.jitter import JitterBuffer
from sip_bridge.media.negotiation import Local, Stream, accept_answer, answer_offer, create_offer
from sip_bridge.media.reports import Reports
from sip_bridge.media.rtcp import is_rtcp
from sip_bridge.media.rtp import Receiver, ReceptionStatistics, RTPPacket, RTPSender
from sip_bridge.media.sdp import SessionDescription
from sip_bridge.phone.audio import AudioSink, AudioSource, Clip, load
from sip_bridge.phone.outgoing import Outgoing
from sip_bridge.phone.pacer import FRAME, Pacer
from sip_bridge.phone.ports import PortAllocator, SocketPair
from sip_bridge.phone.transport.addresses import SocketAddress, link_of, without_interface

_RECEIVE_SIZE: Final = 2048
_BURST: Final = 16  # packets read before other tasks of the loop get their turn
_REPORT_FRAMES: Final = 250  # between RTCP reports: 5 s (RFC 3550 §6.2), half to one and a half of it
_NTP_EPOCH: Final = 2208988800  # seconds from 1900 to 1970

Address = tuple[str, int]


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
    or the ``signalling_host``; the first packet locks the address until an offer or answer names another one.
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
        self._signalling_host = None if signalling_host is None else without_interface(signalling_host)
        self._link = link_of(signalling_host)
        self._entropy = entropy
        self._sockets: SocketPair | None = None
        self._is_closed = False
        self._session_id = int.from_bytes(entropy(4))
        self._offer: SessionDescription | None = None
        self._said: SessionDescription | None = None  # our offer or answer that came last
        self._direction = "sendrecv"  # what we want; a peer's offer does not end our hold
        self._agreed_direction = "sendrecv"
        self._stream: Stream | None = None
        self._remote: Address | None = None
        self._remote_rtcp: Address | None = None
        self._is_locked = False
        self._is_sending = False
        self._next_report = _REPORT_FRAMES // 2
        self._sender = RTPSender(
            ssrc=int.from_bytes(entropy(4)),
            sequence=int.from_bytes(entropy(2)),
            timestamp=int.from_bytes(entropy(4)),
        )
        self._outgoing = Outgoing(self._sender, send=self._send, on_finished=self._finished)
        self._source_name = ""
        self._plays = 0  # so that of two files being read the one that was asked for last is played
        self._presses = DTMFReceiver()
        self._receiver = Receiver(PCM_RATE)
        self._reports = Reports(cname=entropy(8).hex(), sender=self._sender, receiver=self._receiver)
        self._jitter = JitterBuffer()
        self._from_elsewhere = 0
        self.on_event: Callable[[MediaEvent], None] = lambda _: None
        self.sinks: list[AudioSink] = []

    async def open(self) -> None:
        """Bind the sockets; NoPortsAvailableError when the range is used up."""
        if self._sockets is not None or self._is_closed:
            return
        self._sockets = self._ports.bind(self._local_host)
        loop = asyncio.get_running_loop()
        rtp, rtcp = self._sockets
        loop.add_reader(rtp, self._readable, rtp, self._received)
        loop.add_reader(rtcp, self._readable, rtcp, self._received_rtcp)

    def close(self) -> None:
        """Say goodbye, stop, and give the ports back. A second time it does nothing."""
        if self._is_closed:
            return
        if self._is_sending:
            self._send_rtcp(self._reports.goodbye(_ntp()))
        self._is_closed = True
        self._is_sending = False
        self._pacer.remove(self._tick)
        self._outgoing.close()
        if self._sockets is not None:
            for sock in self._sockets:
                asyncio.get_running_loop().remove_reader(sock)
                sock.close()
            self._sockets = None

    @property
    def port(self) -> int:
        """Our RTP port."""
        if self._sockets is None:
            raise InvalidStateError("the media session is not open")
        port: int = self._sockets[0].getsockname()[1]
        return port

    @property
    def codec(self) -> str | None:
        """The codec that was agreed on."""
        return self._stream.codec.name if self._stream else None

    @property
    def held(self) -> bool:
        """Whether the peer does not want to hear us now, or we are not to speak."""
        return self._stream is not None and not self._stream.sends

    @property
    def muted(self) -> bool:
        """Whether silence is sent instead of what plays."""
        return self._outgoing.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._outgoing.muted = muted

    @property
    def statistics(self) -> ReceptionStatistics:
        """Figures so far."""
        round_trip = self._reports.round_trip
        return ReceptionStatistics(
            packets_sent=self._sender.packets,
            packets_received=self._receiver.received,
            packets_lost=self._receiver.lost,
            packets_duplicated=self._receiver.duplicates,
            packets_from_elsewhere=self._from_elsewhere,
            jitter_ms=self._receiver.jitter_ms,
            round_trip_ms=None if round_trip is None else round_trip * 1000,
        )

    # --- offer and answer ---

    def _local(self) -> Local:
        return Local(
            host=self._advertised_host,
            port=self.port,
            codecs=self._codecs,
            session_id=self._session_id,
            direction=self._direction,
        )

    def create_offer(self, *, direction: str | None = None) -> bytes:
        """Our first or further offer. ``sendonly`` or ``inactive`` holds the peer until ``sendrecv`` is said."""
        self._direction = direction or self._direction
        self._offer = self._said = create_offer(self._local(), previous=self._said)
        return self._offer.format()

    def forget_offer(self) -> None:
        """The peer refused our offer: the direction that was agreed before holds."""
        self._direction = self._agreed_direction

    def accept_offer(self, body: bytes) -> bytes:
        """The answer to a first or further offer; NegotiationError when nothing fits: all stays as it was."""
        offer = SessionDescription.parse(body)
        self._said, stream = answer_offer(offer, self._local(), previous=self._said)
        self._agree(stream)
        return self._said.format()

    def accept_answer(self, body: bytes) -> None:
        """The peer's answer to our offer; NegotiationError when it refuses the audio."""
        if self._offer is None:
            raise NegotiationError("an answer to no offer")
        self._agree(accept_answer(self._offer, SessionDescription.parse(body)))

    def _agree(self, stream: Stream) -> None:
        self._agreed_direction = self._direction
        before, self._stream = self._stream, stream
        if stream.remote is not None and (before is None or before.remote != stream.remote):
            self._remote, self._remote_rtcp = stream.remote, stream.remote_rtcp
            self._is_locked = False

    # --- sending ---

    def start_sending(self) -> None:
        """The call is confirmed: send from now on, silence when nothing plays."""
        if not self._is_sending and not self._is_closed:
            self._is_sending = True
            self._pacer.add(self._tick)

    async def play(self, source: str, *, loop: bool = False, volume: float = 1.0, settle: float = 0.0) -> None:
        """Play a WAV file after ``settle`` seconds of silence, instead of what plays now; MediaError if it can't be."""
        self._plays += 1
        mine = self._plays
        pcm = await load(source, volume=volume)
        if mine == self._plays:
            self._play(Clip(pcm, settle=round(settle / FRAME), loop=loop), source)

    def join(self, source: AudioSource) -> None:
        """Send what ``source`` gives, instead of what plays now."""
        self._plays += 1
        self._play(source, "")

    def _play(self, source: AudioSource, name: str) -> None:
        self._outgoing.stop()
        if not self._is_closed:
            self._source_name = name
            self._outgoing.play(source)

    def stop_playback(self) -> None:
        """Stop what plays, and what is being read to be played."""
        self._plays += 1
        self._outgoing.stop()

    def _finished(self, completed: bool) -> None:
        self.on_event(PlaybackFinished(source=self._source_name, completed=completed))

    def send_dtmf(self, digits: str, *, duration_ms: int = 160, gap_ms: int = 80) -> asyncio.Event:
        """Press keys; the event is set when the last one was sent or the call is over.

        LocalProtocolError for what is no key, InvalidStateError when the peer takes no RTP events.
        """
        if self._stream is None or self._stream.events_payload_type is None:
            raise InvalidStateError("the other party takes no key presses over RTP (telephone-event)")
        pressed = asyncio.Event()
        self._outgoing.press(digits, duration_ms=duration_ms, gap_ms=gap_ms, on_pressed=pressed.set)
        return pressed

    def _tick(self, frames: int) -> None:
        """The pacer's clock: 20 ms in each direction."""
        if self._stream is not None and not self._is_closed:
            self._outgoing.tick(self._stream, frames)
        heard = self._jitter.get() if self.sinks else None
        if heard is not None:
            for sink in self.sinks:
                sink.write(heard)
        self._next_report -= frames
        if self._next_report <= 0 and not self._is_closed:
            self._next_report = _REPORT_FRAMES // 2 + _REPORT_FRAMES * self._entropy(1)[0] // 256
            self._send_rtcp(self._reports.report(_ntp()))

    def _send(self, packet: bytes) -> None:
        if self._sockets is not None and self._remote is not None:
            _send_to(self._sockets[0], packet, (*self._remote, *self._link))

    def _send_rtcp(self, packet: bytes) -> None:
        if self._sockets is not None and self._remote_rtcp is not None:
            is_shared = self._remote_rtcp == self._remote
            _send_to(self._sockets[0 if is_shared else 1], packet, (*self._remote_rtcp, *self._link))

    # --- receiving ---

    def _readable(self, sock: socket.socket, received: Callable[[bytes, Address], None]) -> None:
        for _ in range(_BURST):
            try:
                data, address = sock.recvfrom(_RECEIVE_SIZE)
            except OSError:
                return  # nothing more to read, or an ICMP error of what we sent
            received(data, (without_interface(address[0]), address[1]))
            if self._is_closed:
                return  # what came last ended the call

    def _received_rtcp(self, data: bytes, source: Address) -> None:
        if self._stream is None or not self._is_peers_host(source[0]):
            self._from_elsewhere += 1
        elif self._reports.receive(data, _ntp()):
            self._remote_rtcp = source

    def _received(self, data: bytes, source: Address) -> None:
        stream = self._stream
        if is_rtcp(data):
            self._received_rtcp(data, source)
            return
        packet = RTPPacket.parse(data)
        if stream is None or packet is None or not self._is_from_peer(source):
            self._from_elsewhere += 1
            return
        self.start_sending()
        is_press = packet.payload_type in stream.receive_events_payload_types
        codec = None if is_press else self._codec_of(packet.payload_type, stream)
        if not is_press and codec is None:
            return
        is_new = self._receiver.receive(packet, asyncio.get_running_loop().time())
        if is_press:
            press = self._presses.receive(packet)
            if press is not None:
                self.on_event(DTMFReceived(digit=press.digit, duration_ms=press.duration * 1000 // PCM_RATE))
        elif codec is not None and is_new and self.sinks and packet.payload and stream.receives:
            self._jitter.put(packet.timestamp, codec.decode(packet.payload))

    def _is_peers_host(self, host: str) -> bool:
        negotiated = self._stream.remote[0] if self._stream is not None and self._stream.remote is not None else None
        learned = self._remote[0] if self._remote is not None else None
        return host == learned if self._is_locked else host in (negotiated, learned, self._signalling_host)

    def _is_from_peer(self, source: Address) -> bool:
        if self._is_locked:
            return source == self._remote
        if not self._is_peers_host(source[0]):
            return False
        if self._remote is not None and source != self._remote and self._remote_rtcp == self._remote:
            self._remote_rtcp = source  # shared with RTP, so it moves with it
        self._remote = source
        self._is_locked = True
        return True

    def _codec_of(self, payload_type: int, stream: Stream) -> Codec | None:
        return next((codec for number, codec in stream.receive_payload_types if number == payload_type), None)


def _send_to(sock: socket.socket, packet: bytes, address: SocketAddress) -> None:
    try:
        sock.sendto(packet, address)
    except OSError:
        return  # a lost packet: the peer's port is closed, or the network is gone for a moment


def _ntp() -> int:
    """Now as an NTP timestamp (RFC 3550 §4)."""
    return int((time.time() + _NTP_EPOCH) * 0x100000000)
