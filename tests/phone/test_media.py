"""Media sessions on real sockets: against a bare peer under a clock driven by hand, and against each other."""

import asyncio
import random
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from sip_bridge.errors import InvalidStateError, LocalProtocolError, NegotiationError, NoPortsAvailableError
from sip_bridge.media.g711 import decode_ulaw
from sip_bridge.media.pcm import samples_of
from sip_bridge.media.rtcp import Goodbye, ReceiverReport, ReportBlock, SenderReport, SourceDescription, format_rtcp
from sip_bridge.media.rtp import ReceptionStatistics
from sip_bridge.media.sdes import SRTPPolicy
from sip_bridge.phone.media import DTMFReceived, MediaEvent, MediaResumed, MediaSession, MediaStopped
from sip_bridge.phone.pacer import Pacer
from sip_bridge.phone.player import PlaybackFinished
from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.rtp_transport import MAX_DATAGRAM
from sip_bridge.phone.settings import PortRange
from tests.phone.peer import SILENCE, Ear, HandPacer, Peer, chirp, likeness, until, write_wav

LOOPBACK = "127.0.0.1"
PORTS = PortAllocator(PortRange(low=18100, high=18999))


def session_on(
    pacer: Pacer,
    *,
    host: str = LOOPBACK,
    ports: PortAllocator = PORTS,
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    srtp: SRTPPolicy = SRTPPolicy.OFF,
    signalling_host: str | None = None,
) -> MediaSession:
    return MediaSession(
        local_host=host,
        advertised_host=host,
        ports=ports,
        pacer=pacer,
        codecs=codecs,
        srtp=srtp,
        signalling_host=signalling_host,
        entropy=random.Random(1).randbytes,
    )


@pytest.fixture
def pacer() -> HandPacer:
    return HandPacer()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
async def session(pacer: HandPacer) -> AsyncIterator[MediaSession]:
    made = session_on(pacer)
    await made.open()
    yield made
    made.close()


@pytest.fixture
def talking(session: MediaSession, peer: Peer) -> MediaSession:
    """A session that has answered the peer's offer and sends."""
    session.accept_offer(peer.sdp())
    session.start_sending()
    return session


def events_of(session: MediaSession) -> list[MediaEvent]:
    events: list[MediaEvent] = []
    session.on_event = events.append
    return events


# --- when and what is sent ---


async def test_silence_is_sent_from_the_start_and_not_before(
    session: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    session.accept_offer(peer.sdp())
    pacer.tick(3)
    assert peer.heard() == []
    session.start_sending()
    session.start_sending()
    pacer.tick(3)
    heard = peer.heard()
    assert [(packet.payload, packet.payload_type, packet.marker) for packet in heard] == [
        (SILENCE, 0, True),
        (SILENCE, 0, False),
        (SILENCE, 0, False),
    ]
    assert [(packet.sequence - heard[0].sequence) & 0xFFFF for packet in heard] == [0, 1, 2]
    assert [(packet.timestamp - heard[0].timestamp) & 0xFFFFFFFF for packet in heard] == [0, 160, 320]
    assert {packet.ssrc for packet in heard} == {heard[0].ssrc}


async def test_the_peers_own_sound_opens_ours(session: MediaSession, peer: Peer, pacer: HandPacer) -> None:
    session.accept_offer(peer.sdp())
    peer.say(session.port, 1)
    await until(lambda: session.statistics.packets_received == 1)
    pacer.tick()
    assert len(peer.heard()) == 1


async def test_time_that_a_stall_skipped_is_skipped_in_the_timestamps(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    pacer.tick()
    pacer.tick(frames=10)
    first, second = peer.heard()
    assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == 1600


async def test_what_came_during_a_stall_is_left_out_but_for_its_end(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    ear = Ear()
    talking.sinks.append(ear)
    for sequence in range(1, 11):
        peer.say(talking.port, sequence, payload=bytes([0xA0 + sequence]) * 160)
    await until(lambda: talking.statistics.packets_received == 10)
    pacer.tick(frames=9)
    pacer.tick(frames=4)
    assert ear.samples()[319] == samples_of(decode_ulaw(b"\xaa"))[0]  # the tenth, 60 ms after it came


async def test_the_second_codec_is_spoken_where_the_peer_wants_it(
    session: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    session.accept_offer(peer.sdp(formats="8"))
    session.start_sending()
    pacer.tick()
    assert session.codec == "PCMA"
    assert [(packet.payload_type, packet.payload) for packet in peer.heard()] == [(8, b"\xd5" * 160)]


@pytest.mark.parametrize(("ptime", "sizes"), [(10, [80] * 12), (30, [240] * 4), (40, [320] * 3), (60, [480] * 2)])
async def test_packets_have_the_length_that_the_peer_wants(
    session: MediaSession, peer: Peer, pacer: HandPacer, ptime: int, sizes: list[int]
) -> None:
    session.accept_offer(peer.sdp(f"a=ptime:{ptime}"))
    session.start_sending()
    pacer.tick(6)
    heard = peer.heard()
    steps = {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(heard)}
    assert [len(packet.payload) for packet in heard] == sizes
    assert steps == {sizes[0]}


# --- playing ---


async def test_a_files_end_is_told_after_its_last_sample_was_sent(
    talking: MediaSession, peer: Peer, pacer: HandPacer, tmp_path: Path
) -> None:
    events = events_of(talking)
    path = str(write_wav(tmp_path / "bell.wav", [9000] * 480))
    await talking.play(path, settle=0.04)
    pacer.tick(5)
    assert events == []
    assert [packet.payload == SILENCE for packet in peer.heard()] == [True, True, False, False, False]
    pacer.tick()
    assert events == [PlaybackFinished(source=path, completed=True)]
    assert [packet.payload for packet in peer.heard()] == [SILENCE]


async def test_a_files_end_waits_for_its_packet_to_fill_up(
    session: MediaSession, peer: Peer, pacer: HandPacer, tmp_path: Path
) -> None:
    session.accept_offer(peer.sdp("a=ptime:60"))
    session.start_sending()
    events = events_of(session)
    await session.play(str(write_wav(tmp_path / "bell.wav", [9000] * 160)))
    pacer.tick(2)
    assert (peer.heard(), events) == ([], [])
    pacer.tick()
    assert (len(peer.heard()), len(events)) == (1, 1)


async def test_a_loop_goes_on_until_it_is_stopped(
    talking: MediaSession, peer: Peer, pacer: HandPacer, tmp_path: Path
) -> None:
    events = events_of(talking)
    path = str(write_wav(tmp_path / "bell.wav", [9000] * 160))
    await talking.play(path, loop=True)
    pacer.tick(20)
    talking.stop_playback()
    talking.stop_playback()
    pacer.tick()
    assert [packet.payload == SILENCE for packet in peer.heard()] == [*[False] * 20, True]
    assert events == [PlaybackFinished(source=path, completed=False)]


async def test_a_file_replaces_what_plays(talking: MediaSession, pacer: HandPacer, tmp_path: Path) -> None:
    events = events_of(talking)
    paths = [str(write_wav(tmp_path / f"{name}.wav", [9000] * 160)) for name in ("first", "second")]
    await talking.play(paths[0])
    await talking.play(paths[1])
    pacer.tick(2)
    assert events == [
        PlaybackFinished(source=paths[0], completed=False),
        PlaybackFinished(source=paths[1], completed=True),
    ]


class Hum:
    """A source that never ends."""

    def read(self, rate: int) -> bytes:
        return b"\x10\x20" * 160


async def test_a_live_source_is_joined_and_muted(talking: MediaSession, peer: Peer, pacer: HandPacer) -> None:
    talking.join(Hum())
    pacer.tick()
    talking.muted = True
    pacer.tick()
    talking.muted = False
    pacer.tick()
    assert talking.muted is False
    assert [packet.payload == SILENCE for packet in peer.heard()] == [False, True, False]


async def test_the_end_of_a_file_may_end_the_call(
    talking: MediaSession, peer: Peer, pacer: HandPacer, tmp_path: Path
) -> None:
    talking.on_event = lambda _: talking.close()
    await talking.play(str(write_wav(tmp_path / "bell.wav", [9000] * 160)))
    pacer.tick(5)
    assert (len(peer.heard()), pacer.senders) == (2, [])


# --- keys ---


async def test_keys_go_out_in_order_with_one_timestamp_each(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    talking.send_dtmf("1#", duration_ms=60, gap_ms=80)
    pacer.tick(15)
    heard = peer.heard()
    keys = [packet for packet in heard if packet.payload_type == 101]
    assert [(p.payload[0], p.payload[1] >> 7, int.from_bytes(p.payload[2:]), p.marker) for p in keys] == [
        (key, end, duration, marker)
        for key in (1, 11)
        for end, duration, marker in (
            (0, 160, True),
            (0, 320, False),
            (1, 480, False),
            (1, 480, False),
            (1, 480, False),
        )
    ]
    assert (keys[5].timestamp - keys[0].timestamp) & 0xFFFFFFFF == 7 * 160
    assert len({packet.timestamp for packet in keys}) == 2
    assert [packet.marker for packet in heard if packet.payload_type == 0] == [True, False, True, False, False]


async def test_keys_need_a_peer_that_takes_them(session: MediaSession, peer: Peer) -> None:
    with pytest.raises(InvalidStateError, match="no sound has been agreed on"):
        session.send_dtmf("1")
    session.accept_offer(peer.sdp(formats="0"))
    with pytest.raises(InvalidStateError, match="takes no key presses"):
        session.send_dtmf("1")


async def test_what_is_no_key_and_too_many_keys_are_refused(talking: MediaSession) -> None:
    with pytest.raises(LocalProtocolError, match="digits"):
        talking.send_dtmf("x")
    for _ in range(64):
        talking.send_dtmf("1")
    with pytest.raises(InvalidStateError, match="too many key presses"):
        talking.send_dtmf("1")


async def test_a_key_is_heard_once(talking: MediaSession, peer: Peer) -> None:
    events = events_of(talking)
    for sequence in range(3):
        peer.say(talking.port, 0, payload=bytes((5, 10, 1, 64)), payload_type=101)
        peer.say(talking.port, 50 + sequence)
    await until(lambda: talking.statistics.packets_received == 6)
    assert events == [DTMFReceived(digit="5", duration_ms=40)]


async def test_a_key_may_end_the_call(talking: MediaSession, peer: Peer) -> None:
    talking.on_event = lambda _: talking.close()
    for sequence in range(5):
        peer.say(talking.port, sequence, payload=bytes((5, 10, 1, 64)), payload_type=101)
    await until(lambda: talking.statistics.packets_received > 0)
    assert talking.statistics.packets_received == 1


# --- who is heard ---


async def test_strangers_are_counted_and_not_heard(talking: MediaSession, peer: Peer) -> None:
    stranger, same_host = Peer("127.0.0.7"), Peer()
    peer.say(talking.port, 1)
    await until(lambda: talking.statistics.packets_received == 1)
    stranger.sock.sendto(b"\x80\x00" + bytes(170), (LOOPBACK, talking.port))
    same_host.say(talking.port, 2)
    await until(lambda: talking.statistics.packets_from_elsewhere == 2)
    peer.say(talking.port, 2)
    await until(lambda: talking.statistics.packets_received == 2)
    stranger.close()
    same_host.close()
    assert (talking.statistics.packets_received, talking.statistics.packets_from_elsewhere) == (2, 2)


async def test_strangers_do_not_open_the_gate(session: MediaSession, peer: Peer, pacer: HandPacer) -> None:
    session.accept_offer(peer.sdp())
    stranger = Peer("127.0.0.7")
    stranger.sock.sendto(b"\x80\x00" + bytes(170), (LOOPBACK, session.port))
    await until(lambda: session.statistics.packets_from_elsewhere == 1)
    stranger.close()
    pacer.tick()
    assert peer.heard() == []


async def test_a_peer_behind_a_router_is_learned_from_its_first_packet(session: MediaSession, pacer: HandPacer) -> None:
    described, real = Peer(), Peer()
    session.accept_offer(described.sdp())
    session.start_sending()
    pacer.tick()
    real.say(session.port, 1)
    await until(lambda: session.statistics.packets_received == 1)
    pacer.tick()
    assert (len(described.heard()), len(real.heard())) == (1, 1)
    described.close()
    real.close()


async def test_the_signalling_host_may_send_though_the_description_names_another(pacer: HandPacer, peer: Peer) -> None:
    session = session_on(pacer, signalling_host=LOOPBACK)
    await session.open()
    session.accept_offer(peer.sdp(host="192.0.2.55"))
    peer.say(session.port, 1)
    await until(lambda: session.statistics.packets_received == 1)
    pacer.tick()
    session.close()
    assert len(peer.heard()) == 1


async def test_garbage_from_the_peer_changes_nothing(talking: MediaSession, peer: Peer) -> None:
    chance = random.Random(3550)
    talking.sinks.append(Ear())
    for _ in range(40):
        for _ in range(10):
            head = chance.choice((b"", b"\x80", b"\x80\x00", b"\x80\x65", b"\xb3\x00", b"\x80\xc8", b"\x81\xc9"))
            peer.send(head + chance.randbytes(chance.randrange(60)), talking.port)
        await asyncio.sleep(0)
    before = talking.statistics.packets_received
    peer.say(talking.port, 7, payload_type=77)
    peer.say(talking.port, 8)
    await until(lambda: talking.statistics.packets_received > before)
    assert talking.codec == "PCMU"


async def test_packets_before_any_description_are_from_elsewhere(session: MediaSession, peer: Peer) -> None:
    peer.say(session.port, 1)
    peer.send(format_rtcp((ReceiverReport(ssrc=1),)), session.port + 1)
    await until(lambda: session.statistics.packets_from_elsewhere == 2)
    assert session.statistics == ReceptionStatistics(packets_from_elsewhere=2)


async def test_what_the_peer_says_reaches_the_sinks_in_order(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    ear = Ear()
    talking.sinks.append(ear)
    for sequence in (2, 1, 3, 3, 4):
        peer.say(talking.port, sequence, payload=bytes([0x80 + sequence]) * 160)
    peer.say(talking.port, 5, payload=b"")
    await until(lambda: talking.statistics.packets_received == 6)
    pacer.tick(8)
    codes = [ear.samples()[i] for i in range(0, len(ear.samples()), 160)]
    spoken = [samples_of(decode_ulaw(bytes([0x80 + sequence])))[0] for sequence in (1, 2, 3, 4)]
    assert codes[:6] == [0, 0, *spoken]
    assert (talking.statistics.packets_duplicated, talking.statistics.packets_lost) == (1, 0)


async def test_another_source_at_the_same_address_goes_on_being_heard(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    ear = Ear()
    talking.sinks.append(ear)
    for sequence in range(3):
        peer.say(talking.port, sequence, payload=b"\x80" * 160)
    for sequence in range(700, 703):
        peer.say(talking.port, sequence, payload=b"\x90" * 160, ssrc=0xBEEF)
    await until(lambda: talking.statistics.packets_received == 6)
    pacer.tick(10)
    heard = set(ear.samples())
    assert {samples_of(decode_ulaw(code))[0] for code in (b"\x80", b"\x90")} <= heard
    assert talking.statistics.packets_lost == 0


async def test_a_datagram_longer_than_any_sound_is_not_heard(talking: MediaSession, peer: Peer) -> None:
    peer.say(talking.port, 1, payload=bytes(MAX_DATAGRAM - 12))
    peer.say(talking.port, 2, payload=bytes(MAX_DATAGRAM - 11))
    await until(lambda: talking.statistics.packets_from_elsewhere == 1)
    assert talking.statistics.packets_received == 1


@pytest.mark.parametrize("host", [LOOPBACK, "::1"])
async def test_of_a_flood_only_a_few_packets_are_read_in_a_turn_of_the_loop(pacer: HandPacer, host: str) -> None:
    peer, session = Peer(host), session_on(pacer, host=host)
    await session.open()
    session.accept_offer(peer.sdp())
    peer.say(session.port, 1)
    await until(lambda: session.statistics.packets_received == 1)
    stranger = Peer(host)
    for _ in range(150):
        stranger.send(b"\x80\x00" + bytes(30), session.port)
    turns: list[int] = []
    while sum(turns) < 150:
        before = session.statistics.packets_from_elsewhere
        await asyncio.sleep(0)
        turns.append(session.statistics.packets_from_elsewhere - before)
    assert max(turns) == 16
    for closed in (session, peer, stranger):
        closed.close()


async def test_a_flood_on_one_call_leaves_the_pace_of_another_alone() -> None:
    pacer = Pacer()
    near, far, flooded = (session_on(pacer) for _ in range(3))
    for session in (near, far, flooded):
        await session.open()
    near.accept_answer(far.accept_offer(near.create_offer()))
    described = Peer()
    flooded.accept_offer(described.sdp())
    port, junk, is_over = flooded.port, bytes((0x80, 0)) + bytes(170), threading.Event()

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not is_over.is_set():
                for _ in range(20):
                    sock.sendto(junk, (LOOPBACK, port))
                is_over.wait(0.001)  # some 10,000 a second: a thread of ours that never slept would take the turns away

    steps: list[int] = []
    pacer.add(steps.append)
    near.start_sending()
    far.start_sending()
    attacker = threading.Thread(target=flood)
    attacker.start()
    await asyncio.sleep(0.8)
    is_over.set()
    attacker.join()
    pacer.remove(steps.append)
    for closed in (near, far, flooded, described):
        closed.close()
    assert flooded.statistics.packets_received > 1000
    assert (near.statistics.packets_lost, far.statistics.packets_lost) == (0, 0)
    assert near.statistics.packets_received >= 30
    assert len(steps) >= 30


# --- offers, answers, hold ---


async def test_hold_in_both_styles_stops_our_sound_and_resume_brings_it_back(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    sent = []
    for body in (peer.sdp("a=inactive"), peer.sdp(), peer.sdp(host="0.0.0.0"), peer.sdp("a=sendonly"), peer.sdp()):
        talking.accept_offer(body)
        pacer.tick(2)
        sent.append((talking.held, [packet.marker for packet in peer.heard()]))
    assert sent == [(True, []), (False, [True, False]), (True, []), (True, []), (False, [True, False])]


async def test_we_hold_the_peer_and_resume(talking: MediaSession, peer: Peer, pacer: HandPacer) -> None:
    offer = talking.create_offer(direction="inactive")
    talking.accept_answer(peer.sdp("a=inactive"))
    pacer.tick()
    assert (b"a=inactive" in offer, talking.held, peer.heard()) == (True, True, [])
    assert b"a=inactive" in talking.accept_offer(peer.sdp())
    resumed = talking.create_offer(direction="sendrecv")
    talking.accept_answer(peer.sdp())
    pacer.tick()
    assert (b"a=sendrecv" in resumed, talking.held, len(peer.heard())) == (True, False, 1)


async def test_a_further_offer_that_does_not_fit_leaves_all_as_it_was(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    with pytest.raises(NegotiationError):
        talking.accept_offer(peer.sdp(formats="18"))
    pacer.tick()
    assert [packet.payload for packet in peer.heard()] == [SILENCE]


async def test_a_further_offer_moves_the_sound_to_another_address(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    peer.say(talking.port, 1)
    await until(lambda: talking.statistics.packets_received == 1)
    other = Peer()
    talking.accept_offer(other.sdp())
    pacer.tick()
    assert (len(peer.heard()), len(other.heard())) == (0, 1)
    other.close()


async def test_an_answer_without_an_offer_is_refused(session: MediaSession, peer: Peer) -> None:
    with pytest.raises(NegotiationError, match="an answer to no offer"):
        session.accept_answer(peer.sdp())


async def test_who_listens_later_does_not_hear_what_was_said_before(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    first, second = Ear(), Ear()
    talking.sinks.append(first)
    for sequence in range(5):
        peer.say(talking.port, sequence, payload=b"\x80" * 160)
    await until(lambda: talking.statistics.packets_received == 5)
    pacer.tick(4)
    talking.sinks.clear()
    pacer.tick(50)
    talking.sinks.append(second)
    for sequence in range(60, 65):
        peer.say(talking.port, sequence, payload=b"\x90" * 160)
    await until(lambda: talking.statistics.packets_received == 10)
    pacer.tick(6)
    loud, soft = (samples_of(decode_ulaw(code))[0] for code in (b"\x80", b"\x90"))
    assert set(first.samples()) == {0, loud}
    assert set(second.samples()) == {0, soft}


# --- silence ---


async def test_a_peer_that_falls_silent_is_noticed_once_and_so_is_its_return(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    events = events_of(talking)
    pacer.tick(100)
    talking.watch_silence(0.1)
    pacer.tick(4)
    peer.say(talking.port, 1)
    await until(lambda: talking.statistics.packets_received == 1)
    pacer.tick(4)
    assert events == []
    pacer.tick(20)
    assert events == [MediaStopped(seconds=0.1)]
    peer.say(talking.port, 2)
    peer.say(talking.port, 3)
    await until(lambda: talking.statistics.packets_received == 3)
    assert events == [MediaStopped(seconds=0.1), MediaResumed()]


def has_passed_over(session: MediaSession, packets: int) -> bool:
    return session.statistics.packets_from_elsewhere == packets


@pytest.mark.parametrize(("payload_type", "expected"), [(13, []), (0, [MediaStopped(seconds=0.1)])])
async def test_a_peer_that_says_it_says_nothing_is_there_as_long_as_it_reports(
    session: MediaSession, peer: Peer, pacer: HandPacer, payload_type: int, expected: list[MediaEvent]
) -> None:
    """One packet of comfort noise may be all for minutes; after sound, reports alone are no sign of it."""
    session.accept_offer(peer.sdp("a=rtcp-mux", formats="0 13"))
    events = events_of(session)
    session.watch_silence(0.1)
    peer.say(session.port, 1, payload_type=payload_type)
    await until(lambda: session.statistics.packets_received == 1)
    for number in range(1, 11):
        pacer.tick()
        peer.send(format_rtcp((ReceiverReport(ssrc=99, blocks=()),)), session.port)
        peer.send(b"", session.port)  # counted after the report has been read
        await until(partial(has_passed_over, session, number))
    assert events == expected


@pytest.mark.parametrize("direction", ["inactive", "sendonly", "recvonly"])
async def test_nothing_is_missed_while_somebody_is_on_hold(
    talking: MediaSession, peer: Peer, pacer: HandPacer, direction: str
) -> None:
    events = events_of(talking)
    talking.watch_silence(0.1)
    talking.accept_offer(peer.sdp(f"a={direction}"))
    pacer.tick(50)
    assert events == []
    talking.accept_offer(peer.sdp())
    pacer.tick(5)
    assert events == [MediaStopped(seconds=0.1)]


async def test_a_silence_may_end_the_call(talking: MediaSession, pacer: HandPacer) -> None:
    talking.on_event = lambda _: talking.close()
    talking.watch_silence(0.1)
    pacer.tick(5)
    assert pacer.senders == []


# --- reports ---


async def test_reports_are_sent_and_tell_the_round_trip(session: MediaSession, peer: Peer, pacer: HandPacer) -> None:
    reports = Peer()
    session.accept_offer(peer.sdp(f"a=rtcp:{reports.port}"))
    session.start_sending()
    pacer.tick(154)  # 3.08 s: the longest that the first one may wait
    first, name = reports.reports()[:2]
    assert isinstance(first, SenderReport)
    block = ReportBlock(
        ssrc=first.ssrc, fraction_lost=0, lost=0, highest_sequence=0, jitter=0, last_sr=first.ntp >> 16 & 0xFFFFFFFF
    )
    reports.send(format_rtcp((ReceiverReport(ssrc=9, blocks=(block,)),)), session.port + 1)
    await until(lambda: session.statistics.round_trip_ms is not None)
    assert 0 <= (session.statistics.round_trip_ms or 0) < 5000
    assert 51 <= first.packets <= 154
    assert isinstance(name, SourceDescription)
    reports.close()


async def test_the_quality_is_rated_and_what_the_peer_says_of_ours_is_kept(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    ear = Ear()
    talking.sinks.append(ear)
    pacer.tick()
    ssrc = peer.heard()[0].ssrc
    for sequence in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11):
        peer.say(talking.port, sequence)
    block = ReportBlock(ssrc=ssrc, fraction_lost=0, lost=7, highest_sequence=0, jitter=80)
    peer.send(format_rtcp((ReceiverReport(ssrc=99, blocks=(block,)),)), talking.port + 1)
    await until(lambda: talking.statistics.packets_received == 10 and talking.statistics.remote_lost is not None)
    pacer.tick()
    told = talking.statistics
    assert (told.packets_lost, told.packets_late, told.remote_lost, told.remote_jitter_ms) == (1, 0, 7, 10.0)
    assert told.rating == pytest.approx(66, abs=2)  # a loss of 1 in 11 costs 25, the wait of a burst a little
    assert told.mos == pytest.approx(3.4, abs=0.1)


async def test_reports_are_sent_to_where_the_peers_come_from(
    talking: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    moved = Peer()
    moved.send(b"\x80\xcc\x00\x02baresip ping", talking.port + 1)  # no report: it teaches nothing
    moved.send(format_rtcp((ReceiverReport(ssrc=9),)), talking.port + 1)
    peer.say(talking.port, 1)
    await until(lambda: talking.statistics.packets_received == 1)
    pacer.tick(154)
    assert len(moved.reports()) >= 2
    assert talking.statistics.packets_from_elsewhere == 0
    moved.close()


async def test_reports_on_a_shared_port_and_a_goodbye_at_the_end(
    session: MediaSession, peer: Peer, pacer: HandPacer
) -> None:
    session.accept_offer(peer.sdp("a=rtcp-mux"))
    session.start_sending()
    moved = Peer()
    moved.say(session.port, 1)
    await until(lambda: session.statistics.packets_received == 1)
    pacer.tick()
    ssrc = moved.heard()[0].ssrc
    session.close()
    assert moved.reports()[-1] == Goodbye(ssrcs=(ssrc,))
    moved.close()


# --- opening and closing ---


async def test_ports_are_given_back_and_closing_twice_is_fine(pacer: HandPacer) -> None:
    ports = PortAllocator(PortRange(low=18080, high=18081))
    for _ in range(20):
        session = session_on(pacer, ports=ports)
        await session.open()
        await session.open()
        with pytest.raises(NoPortsAvailableError):
            await session_on(pacer, ports=ports).open()
        session.close()
        session.close()


async def test_a_session_that_was_never_opened_ticks_in_vain(pacer: HandPacer) -> None:
    session = session_on(pacer)
    session.start_sending()
    pacer.tick(300)
    session.close()
    assert session.statistics == ReceptionStatistics()


async def test_a_session_that_is_not_open_has_no_port(pacer: HandPacer, peer: Peer) -> None:
    session = session_on(pacer)
    with pytest.raises(InvalidStateError, match="not open"):
        session.accept_offer(peer.sdp())
    session.close()
    await session.open()
    session.start_sending()
    with pytest.raises(InvalidStateError, match="not open"):
        _ = session.port
    assert (pacer.senders, session.codec, session.held) == ([], None, False)


async def test_a_peer_whose_port_is_closed_is_no_error(talking: MediaSession, peer: Peer, pacer: HandPacer) -> None:
    peer.close()
    for _ in range(5):
        pacer.tick(200)
        await asyncio.sleep(0)
    assert talking.statistics.packets_sent == 1000


async def test_ipv6_talks_too(pacer: HandPacer) -> None:
    peer, session = Peer("::1"), session_on(pacer, host="::1")
    await session.open()
    session.accept_offer(peer.sdp())
    session.start_sending()
    peer.say(session.port, 1)
    await until(lambda: session.statistics.packets_received == 1)
    pacer.tick()
    assert len(peer.heard()) == 1
    session.close()
    peer.close()


# --- two of us ---


async def ticked(pacer: HandPacer, near: MediaSession, far: MediaSession, *, times: int) -> None:
    """Time goes on once what was sent has come."""
    for _ in range(times):
        pacer.tick()
        await until(lambda: near.statistics.packets_received == far.statistics.packets_sent)
        await until(lambda: far.statistics.packets_received == near.statistics.packets_sent)


async def test_sound_and_keys_cross_between_two_sessions(pacer: HandPacer, tmp_path: Path) -> None:
    near, far = session_on(pacer), session_on(pacer, codecs=("PCMA",))
    for session in (near, far):
        await session.open()
    near.accept_answer(far.accept_offer(near.create_offer()))
    near_events, far_events, near_ear, far_ear = events_of(near), events_of(far), Ear(), Ear()
    near.sinks.append(near_ear)
    far.sinks.append(far_ear)
    near.start_sending()
    far.start_sending()
    path = str(write_wav(tmp_path / "chirp.wav", chirp()))
    await asyncio.gather(near.play(path, settle=0.1), far.play(path, settle=0.1))
    await ticked(pacer, near, far, times=40)
    near.send_dtmf("42", duration_ms=60, gap_ms=40)
    await ticked(pacer, near, far, times=20)
    near.close()
    far.close()
    assert near_events == far_events[:1] == [PlaybackFinished(source=path, completed=True)]
    assert [event.digit for event in far_events if isinstance(event, DTMFReceived)] == ["4", "2"]
    assert (near.codec, far.codec) == ("PCMA", "PCMA")
    assert likeness(near_ear.samples(), chirp()) > 0.999
    assert likeness(far_ear.samples(), chirp()) > 0.999
    assert (near.statistics.packets_lost, far.statistics.packets_lost) == (0, 0)
