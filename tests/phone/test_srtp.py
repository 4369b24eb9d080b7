"""SRTP on real sockets: only who has the key is heard, and nothing leaves without it."""

import random
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from sip_bridge.errors import NegotiationError
from sip_bridge.media.rtcp import Goodbye, ReceiverReport, SourceDescription, format_rtcp, is_rtcp, parse_rtcp
from sip_bridge.media.rtp import RTPPacket
from sip_bridge.media.sdes import SUITES, Crypto, SRTPKeys, SRTPPolicy, new_keys
from sip_bridge.media.sdp import SessionDescription
from sip_bridge.media.srtp import SRTPContext
from sip_bridge.phone.call import CallState
from sip_bridge.phone.events import CallFinished
from sip_bridge.phone.media import MediaSession
from sip_bridge.sip.status import SIPStatus
from tests.phone.peer import SILENCE, Ear, HandPacer, Peer, chirp, likeness, until, write_wav
from tests.phone.phones import running
from tests.phone.phones import talking as talk
from tests.phone.sip_peer import Dialog, sending_to
from tests.phone.test_media import session_on

OFF, OPTIONAL, REQUIRED = SRTPPolicy
PLAIN = RTPPacket(payload_type=0, sequence=1, timestamp=0, ssrc=99, payload=SILENCE).format()
REPORT = format_rtcp((ReceiverReport(ssrc=99, blocks=()), SourceDescription(ssrc=99, cname="peer")))


class SRTPPeer(Peer):
    """A `Peer` that has keys."""

    def __init__(self, *, seed: int = 9) -> None:
        super().__init__()
        self.keys = new_keys(random.Random(seed).randbytes)
        self.context = SRTPContext()

    def offer(self, *suites: str, protocol: str = "RTP/SAVP") -> bytes:
        lines = [f"a=crypto:{key.format()}" for key in self.keys if key.suite.name in (suites or SUITES)]
        return self.sdp(*lines).replace(b"RTP/AVP", protocol.encode())

    def agree(self, answer: bytes) -> None:
        """Take the key of an answer."""
        [theirs] = [Crypto.parse(line) for line in SessionDescription.parse(answer).media[0].values("crypto")]
        assert theirs is not None
        mine = next(key for key in self.keys if key.suite == theirs.suite)
        self.context.agree(SRTPKeys(suite=theirs.suite, local=mine.key, remote=theirs.key))

    def protected(self, sequence: int, payload: bytes = SILENCE) -> bytes:
        packet = RTPPacket(payload_type=0, sequence=sequence, timestamp=160 * sequence, ssrc=99, payload=payload)
        protected = self.context.protect(packet.format())
        assert protected is not None
        return protected

    def opened(self) -> list[bytes]:
        """All that came, decrypted; what can't be, as b""."""
        unprotect, unprotect_rtcp = self.context.unprotect, self.context.unprotect_rtcp
        return [(unprotect_rtcp(data) if is_rtcp(data) else unprotect(data)) or b"" for data in self.datagrams()]


def ticked(pacer: HandPacer, peer: SRTPPeer, times: int) -> list[bytes]:
    """What the peer gets while so many frames go by."""
    pacer.tick(times)
    return peer.opened()


def received(session: MediaSession, packets: int) -> bool:
    return session.statistics.packets_received == packets


@pytest.fixture
def pacer() -> HandPacer:
    return HandPacer()


@pytest.fixture
def peer() -> Iterator[SRTPPeer]:
    made = SRTPPeer()
    yield made
    made.close()


@pytest.fixture
def stranger() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
async def session(pacer: HandPacer) -> AsyncIterator[MediaSession]:
    made = session_on(pacer, srtp=REQUIRED)
    await made.open()
    yield made
    made.close()


@pytest.fixture
def talking(session: MediaSession, peer: SRTPPeer) -> MediaSession:
    """A session that has answered the peer's offer and sends."""
    peer.agree(session.accept_offer(peer.offer()))
    session.start_sending()
    return session


@pytest.mark.parametrize("suite", SUITES)
async def test_all_that_is_sent_is_encrypted(
    session: MediaSession, peer: SRTPPeer, pacer: HandPacer, suite: str
) -> None:
    peer.agree(session.accept_offer(peer.offer(suite) + b"\r\na=rtcp-mux"))
    session.start_sending()
    session.send_dtmf("5")
    opened = [data for _ in range(10) for data in ticked(pacer, peer, 40)]
    session.close()
    opened += peer.opened()
    reports = [packet for data in opened if is_rtcp(data) for packet in parse_rtcp(data)]
    sound = [packet for data in opened if not is_rtcp(data) and (packet := RTPPacket.parse(data))]
    assert b"" not in opened
    assert (session.encrypted, isinstance(reports[-1], Goodbye), len(sound) >= 400) == (True, True, True)
    assert {packet.payload_type for packet in sound} == {0, 101}
    assert sound[0].sequence < 0x8000


async def test_sound_passes_both_ways(talking: MediaSession, peer: SRTPPeer, pacer: HandPacer, tmp_path: Path) -> None:
    ear = Ear()
    talking.sinks.append(ear)
    await talking.play(str(write_wav(tmp_path / "chirp.wav", chirp())))
    for sequence in range(40):
        [*_, data] = ticked(pacer, peer, 1)
        packet = RTPPacket.parse(data)
        assert packet is not None
        peer.send(peer.protected(sequence, packet.payload), talking.port)
        await until(partial(received, talking, sequence + 1))
    assert likeness(ear.samples(), chirp()) > 0.98
    assert talking.statistics.packets_from_elsewhere == 0


async def test_what_is_plain_forged_or_replayed_is_neither_heard_nor_learned_from(
    session: MediaSession, peer: SRTPPeer, stranger: Peer, pacer: HandPacer
) -> None:
    """The stranger is at the peer's host, so that without SRTP its first packet would be believed."""
    ear = Ear()
    session.sinks.append(ear)
    peer.agree(session.accept_offer(peer.offer()))
    real = peer.protected(1)
    bad = [PLAIN, REPORT, bytes([*real[:-1], real[-1] ^ 1]), real[:20], b"\x80", b""]
    for packet in bad:
        stranger.send(packet, session.port)
    await until(lambda: session.statistics.packets_from_elsewhere == len(bad))
    pacer.tick(5)
    assert (stranger.datagrams(), peer.datagrams()) == ([], [])
    peer.send(real, session.port)
    await until(lambda: session.statistics.packets_received == 1)
    peer.send(real, session.port)
    await until(lambda: session.statistics.packets_from_elsewhere == len(bad) + 1)
    pacer.tick(5)
    assert stranger.datagrams() == []
    assert len(peer.opened()) == 5
    assert session.statistics.packets_received == 1


async def test_a_required_call_is_silent_until_there_are_keys(
    session: MediaSession, peer: SRTPPeer, pacer: HandPacer
) -> None:
    """Whatever goes wrong meanwhile: an answer without a key, the peer's own plain sound, the end of the call."""
    session.create_offer()
    with pytest.raises(NegotiationError, match="would not be encrypted"):
        session.accept_answer(peer.sdp())
    with pytest.raises(NegotiationError, match="was offered"):
        session.accept_offer(peer.sdp())
    session.start_sending()
    peer.send(PLAIN, session.port)
    await until(lambda: session.statistics.packets_from_elsewhere == 1)
    pacer.tick(400)
    session.close()
    assert peer.datagrams() == []


async def test_an_encrypted_call_is_not_talked_out_of_it(pacer: HandPacer, peer: SRTPPeer, stranger: Peer) -> None:
    session = session_on(pacer, srtp=OPTIONAL)
    await session.open()
    peer.agree(session.accept_offer(peer.offer(protocol="RTP/AVP") + b"\r\na=rtcp-mux"))
    session.start_sending()
    with pytest.raises(NegotiationError, match="was offered"):
        session.accept_offer(stranger.sdp())
    session.create_offer(direction="sendonly")
    with pytest.raises(NegotiationError, match="would not be encrypted"):
        session.accept_answer(stranger.sdp())
    session.forget_offer()
    opened = [data for _ in range(10) for data in ticked(pacer, peer, 40)]
    session.close()
    opened += peer.opened()
    assert (session.encrypted, stranger.datagrams()) == (True, [])
    assert (len(opened) > 400, b"" in opened) == (True, False)


async def test_an_optional_call_with_a_plain_peer_is_plain(peer: SRTPPeer, pacer: HandPacer) -> None:
    session = session_on(pacer, srtp=OPTIONAL)
    await session.open()
    session.create_offer()
    session.accept_answer(peer.sdp())
    session.start_sending()
    pacer.tick(3)
    peer.send(PLAIN, session.port)
    await until(lambda: session.statistics.packets_received == 1)
    session.close()
    assert ([packet.payload for packet in peer.heard()], session.encrypted) == ([SILENCE] * 3, False)


async def test_a_new_key_of_the_peers_replaces_the_old_one_in_mid_call(
    talking: MediaSession, peer: SRTPPeer, pacer: HandPacer
) -> None:
    """Our own key does not change, so its counters go on: the peer opens what comes without a new start."""
    pacer.tick(2)
    old = peer.protected(1)
    renewed = SRTPPeer(seed=10)
    renewed.close()
    peer.keys = renewed.keys
    peer.agree(talking.accept_offer(peer.offer()))
    pacer.tick(2)
    assert [len(data) for data in peer.opened()] == [172] * 4
    peer.send(old, talking.port)
    await until(lambda: talking.statistics.packets_from_elsewhere == 1)
    peer.send(peer.protected(2), talking.port)
    await until(lambda: talking.statistics.packets_received == 1)


async def test_keys_that_are_offered_again_go_on_where_they_were(
    talking: MediaSession, peer: SRTPPeer, pacer: HandPacer
) -> None:
    real = peer.protected(1)
    peer.send(real, talking.port)
    await until(lambda: talking.statistics.packets_received == 1)
    pacer.tick(2)
    talking.accept_offer(peer.offer())
    peer.send(real, talking.port)
    await until(lambda: talking.statistics.packets_from_elsewhere == 1)
    pacer.tick(2)
    assert [len(data) for data in peer.opened()] == [172] * 4


# --- accounts ---


async def test_a_required_line_takes_encrypted_calls_only(peer: SRTPPeer) -> None:
    async with running("bob", srtp=REQUIRED) as bob:
        async with sending_to("127.0.0.1", bob.phone.client.port) as station:
            dialog = Dialog(station, bob.uri)
            station.send(dialog.request("INVITE", peer.sdp()))
            refused = [(await station.receive()).status]
            station.send(dialog.request("ACK", seq=1))
        async with sending_to("127.0.0.1", bob.phone.client.port) as station:
            dialog = Dialog(station, bob.uri)
            assert (await dialog.establish(peer.offer()))[-1] == "200"
            peer.agree(dialog.answer)
            station.send(dialog.request("INVITE", peer.sdp()))
            refused.append((await station.receive()).status)
            station.send(dialog.request("ACK", seq=2))
            await until(lambda: len(peer.opened()) > 0)
            assert [call.media.encrypted for call in bob.phone.calls.values()] == [True]
            station.send(dialog.request("BYE"))
            assert (await station.receive()).status == SIPStatus.OK
    assert refused == [SIPStatus.NOT_ACCEPTABLE_HERE] * 2
    assert b"" not in peer.opened()


async def test_a_required_caller_hangs_up_on_who_answers_without_a_key() -> None:
    async with running("alice", srtp=REQUIRED) as alice, running("bob", srtp=OFF) as bob:
        await alice.phone.dial(bob.uri, timeout=5)
        await alice.until(lambda: not alice.phone.calls)
    ended = alice.told[-1]
    assert isinstance(ended, CallFinished)
    assert ended.status is SIPStatus.NOT_ACCEPTABLE_HERE


async def test_a_required_line_whose_own_offer_is_answered_plainly_hangs_up_and_says_nothing(
    peer: SRTPPeer,
) -> None:
    """The caller leaves the offer to us, and its answer comes in the ACK: too late for 488."""
    async with running("bob", srtp=REQUIRED) as bob, sending_to("127.0.0.1", bob.phone.client.port) as station:
        dialog = Dialog(station, bob.uri)
        station.send(dialog.request("INVITE"))
        response = await station.receive()
        while response.status != SIPStatus.OK:
            response = await station.receive()
        offer = SessionDescription.parse(response.content).media[0]
        dialog.to_tag = f";tag={response.to.tag}"
        station.send(dialog.request("ACK", peer.sdp(), seq=1))
        request = await station.receive()
        station.send(dialog.response(request))
        await bob.until(lambda: not bob.phone.calls)
    assert (offer.protocol, len(offer.values("crypto")), request.method) == ("RTP/SAVP", 4, "BYE")
    assert peer.datagrams() == []


async def test_two_phones_that_can_encrypt_do_and_say_so_through_hold() -> None:
    async with running("alice", srtp=OPTIONAL) as alice, running("bob", srtp=REQUIRED) as bob:
        call = await talk(alice, bob)
        await call.hold()
        await call.resume()
        encrypted = [each.media.encrypted for phone in (alice, bob) for each in phone.phone.calls.values()]
        assert (encrypted, call.state) == ([True, True], CallState.IN_CALL)


@pytest.mark.parametrize(
    ("srtp", "transport", "warned"), [(OFF, "udp", 0), (OPTIONAL, "udp", 1), (REQUIRED, "tcp", 1), (REQUIRED, "tls", 0)]
)
async def test_keys_that_travel_readable_are_warned_of(
    caplog: pytest.LogCaptureFixture, srtp: SRTPPolicy, transport: str, warned: int
) -> None:
    async with running("gate", srtp=srtp, transport=transport):
        warnings = [
            record.message for record in caplog.records if "gate: the keys of srtp travel readable" in record.message
        ]
    assert len(warnings) == warned
