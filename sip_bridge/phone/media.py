"""The sound of one call: offers and answers, what is sent and what is heard."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.media.codec import NARROWBAND
from sip_bridge.media.dtmf_receiver import Press
from sip_bridge.media.negotiation import Stream
from sip_bridge.media.offer_answer import OfferAnswer
from sip_bridge.media.quality import mos
from sip_bridge.media.reports import Reports, report_interval
from sip_bridge.media.rtp import ReceptionStatistics, RTPPacket, RTPSender
from sip_bridge.media.sdes import SRTPPolicy
from sip_bridge.media.silence import SilenceWatch
from sip_bridge.phone.audio import AudioSink, AudioSource, AudioTap
from sip_bridge.phone.incoming import Incoming
from sip_bridge.phone.outgoing import KeyPresses, Outgoing
from sip_bridge.phone.pacer import FRAME, Pacer
from sip_bridge.phone.player import PlaybackFinished, Player, check_volume
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.rtp_transport import RTPTransport
from sip_bridge.phone.settings import MEDIA, MediaSettings

_NTP_EPOCH: Final = 2208988800  # seconds from 1900 to 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class DTMFReceived:
    """A key press came in the RTP stream; ``duration_ms`` is what was known when it was told."""

    digit: str = field(repr=False)  # it may be one of a PIN
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaStopped:
    """Nothing came from the peer for ``seconds``, though it should have."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaResumed:
    """After `MediaStopped` something came again."""


MediaEvent = DTMFReceived | PlaybackFinished | MediaStopped | MediaResumed


class MediaSession:
    """RTP of one call. ``on_event`` is called on the event loop.

    Nothing is sent before `start_sending`, or before the peer's own RTP has come.
    """

    def __init__(
        self,
        *,
        local_host: str,
        advertised_host: str,
        ports: PortAllocator,
        pacer: Pacer,
        codecs: tuple[str, ...],
        srtp: SRTPPolicy = SRTPPolicy.OFF,
        signalling_host: str | None = None,
        media: MediaSettings = MEDIA,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._pacer = pacer
        self._entropy = entropy
        self._is_closed = False
        self._exchange = OfferAnswer(host=advertised_host, codecs=codecs, srtp=srtp, entropy=entropy)
        self._stream: Stream | None = None
        self._is_sending = False
        self._next_report = self._report_frames(is_first=True)
        self._transport = RTPTransport(
            local_host=local_host,
            ports=ports,
            signalling_host=signalling_host,
            is_srtp_required=srtp is SRTPPolicy.REQUIRED,
            on_rtp=self._received,
            on_rtcp=self._received_rtcp,
        )
        self._sender = RTPSender(
            ssrc=int.from_bytes(entropy(4)),
            sequence=int.from_bytes(entropy(2)) & 0x7FFF,  # SRTP's first wrap must not be lost (RFC 3711 §3.3.1)
            timestamp=int.from_bytes(entropy(4)),
        )
        self._player = Player(media, on_finished=self._finished)
        self._outgoing = Outgoing(self._sender, send=self._transport.send, player=self._player)
        self._incoming = Incoming(on_press=self._pressed)
        self._reports = Reports(cname=entropy(8).hex(), sender=self._sender, receiver=self._incoming.receiver)
        self._silence = SilenceWatch(0)
        self._taps: list[AudioTap] = []
        self.on_event: Callable[[MediaEvent], None] = lambda _: None

    async def open(self) -> None:
        """Bind the sockets; NoPortsAvailableError when the range is used up."""
        self._transport.open()

    def close(self) -> None:
        """Say goodbye, stop, and give the ports back. A second time it does nothing."""
        if self._is_closed:
            return
        if self._is_sending:
            self._transport.send_rtcp(self._reports.goodbye(_ntp()))
        self._is_closed = True
        self._is_sending = False
        self._pacer.remove(self._tick)
        self._player.close()
        self._outgoing.close()
        self._transport.close()

    @property
    def port(self) -> int:
        """Our RTP port."""
        return self._transport.port

    @property
    def codec(self) -> str | None:
        """The codec that was agreed on."""
        return self._stream.codec.name if self._stream else None

    @property
    def encrypted(self) -> bool:
        """Whether sound goes over SRTP."""
        return self._stream is not None and self._stream.keys is not None

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
    def volume(self) -> float:
        """Of all that plays, 0.0 to 2.0; it may change at any time."""
        return self._player.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        check_volume(volume)
        self._player.volume = volume

    @property
    def is_playing(self) -> bool:
        """Whether something plays, or is about to."""
        return not self._player.is_idle

    @property
    def rate(self) -> int:
        """Samples a second of the codec that was agreed on."""
        return self._stream.codec.rate if self._stream is not None else NARROWBAND

    @property
    def sinks(self) -> list[AudioSink]:
        """Who hears the peer."""
        return self._incoming.sinks

    @property
    def live(self) -> AudioSource | None:
        """What is sent while nothing plays."""
        return self._outgoing.live

    @live.setter
    def live(self, source: AudioSource | None) -> None:
        self._outgoing.live = source

    def tap(self, tap: AudioTap) -> None:
        """Have something follow both sides until `untap`."""
        self._incoming.sinks.append(tap.heard)
        self._outgoing.sinks.append(tap.said)
        self._taps.append(tap)

    def untap(self, tap: AudioTap) -> None:
        """Undo `tap`."""
        self._incoming.sinks.remove(tap.heard)
        self._outgoing.sinks.remove(tap.said)
        self._taps.remove(tap)

    @property
    def statistics(self) -> ReceptionStatistics:
        """Figures so far."""
        round_trip, remote = self._reports.round_trip, self._reports.heard_by_peer
        round_trip_ms = None if round_trip is None else 1000 * round_trip
        receiver, rating = self._incoming.receiver, self._incoming.rating(round_trip_ms or 0.0)
        clock_rate = self._stream.codec.clock_rate if self._stream is not None else 8000
        return ReceptionStatistics(
            packets_sent=self._sender.packets,
            packets_received=receiver.received,
            packets_lost=receiver.lost,
            packets_late=self._incoming.late,
            packets_duplicated=receiver.duplicates,
            packets_from_elsewhere=self._transport.from_elsewhere,
            jitter_ms=receiver.jitter_ms,
            delay_ms=self._incoming.delay_ms,
            round_trip_ms=round_trip_ms,
            rating=rating,
            mos=None if rating is None else mos(rating),
            remote_lost=None if remote is None else max(remote.lost, 0),
            remote_jitter_ms=None if remote is None else 1000 * remote.jitter / clock_rate,
        )

    # --- offer and answer ---

    def create_offer(self, *, direction: str | None = None) -> bytes:
        """Our first or further offer. ``sendonly`` or ``inactive`` holds the peer until ``sendrecv`` is said."""
        return self._exchange.create_offer(self.port, direction=direction)

    def forget_offer(self) -> None:
        """The peer refused our offer: the direction that was agreed before holds."""
        self._exchange.forget_offer()

    def accept_offer(self, body: bytes) -> bytes:
        """The answer to a first or further offer; NegotiationError when nothing fits: all stays as it was."""
        answer, stream = self._exchange.accept_offer(body, self.port)
        self._agree(stream)
        return answer

    def accept_answer(self, body: bytes) -> None:
        """The peer's answer to our offer; NegotiationError when it refuses the audio."""
        self._agree(self._exchange.accept_answer(body))

    def _agree(self, stream: Stream) -> None:
        self._stream = stream
        self._transport.agree(stream)
        self._incoming.agree(stream)
        self._outgoing.agree(stream)
        self._player.rate = stream.codec.rate

    def watch_silence(self, timeout: float) -> None:
        """The call is answered: from now on tell when nothing came for so many seconds; 0 never does."""
        self._silence = SilenceWatch(timeout)

    # --- sending ---

    def start_sending(self) -> None:
        """The call is confirmed: send from now on, silence when nothing plays."""
        if not self._is_sending and not self._is_closed:
            self._is_sending = True
            self._pacer.add(self._tick)

    async def play(
        self, source: str, *, loop: bool = False, volume: float = 1.0, settle: float = 0.0, enqueue: bool = False
    ) -> None:
        """See `Player.play`."""
        await self._player.play(source, loop=loop, volume=volume, settle=settle, enqueue=enqueue)

    def join(self, source: AudioSource) -> None:
        """Send what ``source`` gives, instead of what plays now."""
        self._player.join(source)

    def stop_playback(self) -> None:
        """Stop what plays, what waits, and what is being opened to be played."""
        self._player.stop()

    def _finished(self, event: PlaybackFinished) -> None:
        self.on_event(event)

    @property
    def takes_events(self) -> bool:
        """Whether the other party takes key presses as RTP events."""
        return self._outgoing.takes_events

    def send_dtmf(self, digits: str, *, duration_ms: int = 160, gap_ms: int = 80, inband: bool = False) -> KeyPresses:
        """Press keys, or sound them.

        LocalProtocolError for what is no key, InvalidStateError when the peer takes no RTP events.
        """
        return self._outgoing.press(digits, duration_ms=duration_ms, gap_ms=gap_ms, inband=inband)

    def withdraw_dtmf(self, presses: KeyPresses) -> None:
        """Press nothing more of what is left of them."""
        self._outgoing.withdraw(presses)

    def _tick(self, frames: int) -> None:
        """The pacer's clock: 20 ms in each direction."""
        self._outgoing.tick(frames)
        self._incoming.tick(frames)
        for tap in list(self._taps):
            tap.tick(frames)
        stream = self._stream
        if self._silence.tick(frames, expects=stream is not None and stream.sends and stream.receives):
            self.on_event(MediaStopped(seconds=self._silence.silent_seconds))
        self._next_report -= frames
        if self._next_report <= 0 and not self._is_closed:
            self._next_report = self._report_frames(is_first=False)
            self._transport.send_rtcp(self._reports.report(_ntp()))

    def _report_frames(self, *, is_first: bool) -> int:
        return round(report_interval(self._entropy(1)[0] / 256, is_first=is_first) / FRAME)

    # --- receiving ---

    def _received(self, packet: RTPPacket) -> None:
        self.start_sending()
        self._heard()
        self._incoming.receive(packet, asyncio.get_running_loop().time())

    def _received_rtcp(self, data: bytes) -> bool:
        is_report = self._reports.receive(data, _ntp())
        if is_report and self._incoming.is_pause:
            self._heard()  # one packet of comfort noise may be all for minutes (RFC 3389), but reports go on
        return is_report

    def _heard(self) -> None:
        if self._silence.heard():
            self.on_event(MediaResumed())

    def _pressed(self, press: Press, clock_rate: int) -> None:
        self.on_event(DTMFReceived(digit=press.digit, duration_ms=press.duration * 1000 // clock_rate))


def _ntp() -> int:
    """Now as an NTP timestamp (RFC 3550 §4)."""
    return int((time.time() + _NTP_EPOCH) * 0x100000000)
