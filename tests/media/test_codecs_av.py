"""G.722 and Opus: what they do to a chirp and to speech, what they take from a peer, and that they may be missing."""

import subprocess
import sys

import pytest
from av import AudioFrame, CodecContext
from av.audio.codeccontext import AudioCodecContext
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_bridge.errors import MediaError
from sip_bridge.media.codec import (
    CODECS,
    FRAME_MS,
    WIDEBAND,
    Codec,
    check_codecs,
    codec_named,
    default_codecs,
    frame_bytes,
)
from sip_bridge.media.codecs_av import OPUS_PTIMES
from sip_bridge.media.pcm import peak
from tests.sound import Comparison, Signal, chirp, compare, from_pcm, intelligibility, speech, to_pcm, tone

FRAME = frame_bytes(WIDEBAND)
G722, OPUS = CODECS["G722"], CODECS["opus"]
LONGEST = 2 * WIDEBAND * 120 // 1000  # bytes: what an Opus packet can say at most
CHIRP = chirp(WIDEBAND, low=100, high=7000)


def packets(codec: Codec, pcm: bytes, *, ptime: int = FRAME_MS, fmtp: str = "") -> list[bytes]:
    encoder = codec.encoder(ptime, fmtp)
    size = 2 * WIDEBAND * ptime // 1000
    return [encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm), size)]


def through(codec: Codec, sound: Signal, *, ptime: int = FRAME_MS, fmtp: str = "") -> Comparison:
    """What becomes of a sound; half a second of silence behind it pushes its end out."""
    decoder = codec.decoder()
    sent = packets(codec, to_pcm(sound) + bytes(WIDEBAND), ptime=ptime, fmtp=fmtp)
    return compare(sound, from_pcm(b"".join(map(decoder.decode, sent))), WIDEBAND)


def sent_by_others(
    pcm: bytes, *, layout: str = "mono", rate: int, application: str, duration: str = "20", bit_rate: int = 48000
) -> list[bytes]:
    """Packets as another phone's libopus makes them."""
    context: AudioCodecContext = CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = rate, layout, "s16"
    context.options = {"application": application, "frame_duration": duration, "b": str(bit_rate)}
    context.open()
    size = 2 * context.frame_size * context.channels
    frames = []
    for at in range(0, len(pcm) - size + 1, size):
        frame = AudioFrame(format="s16", layout=layout, samples=context.frame_size)
        frame.sample_rate = rate
        frame.planes[0].update(pcm[at : at + size])
        frames.append(frame)
    return [bytes(packet) for frame in frames for packet in context.encode(frame)]


# --- what is heard ---


@pytest.mark.parametrize("ptime", G722.ptimes)
def test_g722_keeps_a_chirp_up_to_7_khz_in_packets_of_any_length(ptime: int) -> None:
    heard = through(G722, CHIRP, ptime=ptime)
    assert heard.snr_db > 25
    assert heard.gain == pytest.approx(1, abs=0.01)
    assert heard.delay_ms == pytest.approx(1.375, abs=0.05)
    assert heard.gaps_ms == ()


@pytest.mark.parametrize("ptime", OPUS_PTIMES)
def test_opus_keeps_a_chirp_up_to_7_khz_in_packets_of_any_length(ptime: int) -> None:
    heard = through(OPUS, CHIRP, ptime=ptime)
    assert heard.snr_db > 28
    assert heard.gain == pytest.approx(1, abs=0.01)
    assert heard.delay_ms == pytest.approx(3.5, abs=0.1)
    assert heard.gaps_ms == ()


@pytest.mark.parametrize(("codec", "snr_db"), [(G722, 20), (OPUS, 14)], ids=["G722", "opus"])
def test_speech_stays_clear(codec: Codec, snr_db: float) -> None:
    heard = through(codec, speech(WIDEBAND))
    assert heard.snr_db > snr_db
    assert heard.gaps_ms == ()


@pytest.mark.parametrize(
    ("fmtp", "most"),
    [
        ("", 60),
        ("maxplaybackrate=48000;stereo=1;sprop-stereo=1;usedtx=1;minptime=10", 60),
        ("useinbandfec=1", 60),
        ("MaxAverageBitrate=32000", 42),
        ("maxaveragebitrate=20000", 22),
        ("maxaveragebitrate=6000", 18),  # fewer than 16 kbit/s would not be clear
        ("maxaveragebitrate=510000", 60),
        ("cbr=1;maxaveragebitrate=40000", 40),
        ("maxaveragebitrate=99999999999;cbr=yes;=;;maxaveragebitrate;useinbandfec=²", 60),
    ],
)
def test_opus_honours_what_the_peer_asks_for_and_speech_stays_clear(fmtp: str, most: int) -> None:
    """``most`` is in kbit/s."""
    sound = speech(WIDEBAND, seconds=2)
    sent, decoder = packets(OPUS, to_pcm(sound) + bytes(FRAME), fmtp=fmtp), OPUS.decoder()
    heard = from_pcm(b"".join(map(decoder.decode, sent)))
    start = round(compare(sound, heard, WIDEBAND).delay_ms * WIDEBAND / 1000)
    assert sum(map(len, sent[:-1])) * 8 / 2 / 1000 <= most
    assert intelligibility(sound, heard[start : start + len(sound)], WIDEBAND) > 0.98


def test_a_constant_bit_rate_makes_packets_of_one_size() -> None:
    sizes = {len(packet) for packet in packets(OPUS, to_pcm(CHIRP), fmtp="cbr=1")}
    assert sizes == {48000 // 8 // 50}


@pytest.mark.parametrize("codec", [G722, OPUS], ids=["G722", "opus"])
def test_silence_is_a_packet_that_sounds_like_nothing(codec: Codec) -> None:
    encoder, decoder = codec.encoder(FRAME_MS, ""), codec.decoder()
    decoder.decode(encoder.encode(bytes(FRAME)))
    heard = decoder.decode(encoder.silence(FRAME // 2))
    assert (len(heard), peak(heard) < 8) == (FRAME, True)


@pytest.mark.parametrize("codec", [G722, OPUS], ids=["G722", "opus"])
@given(pcm=st.binary(max_size=2 * FRAME))
@settings(max_examples=50)
def test_any_pcm_makes_one_packet_of_the_agreed_length(codec: Codec, pcm: bytes) -> None:
    assert len(codec.decoder().decode(codec.encoder(FRAME_MS, "").encode(pcm))) == FRAME


# --- what peers send ---


@pytest.mark.parametrize(
    ("application", "duration", "bit_rate"),
    [
        *(("voip", duration, 24000) for duration in ("10", "20", "40", "60", "120")),  # SILK, hybrid
        *(("lowdelay", duration, 96000) for duration in ("2.5", "5", "10", "20", "40", "60", "120")),  # CELT
    ],
)
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_opus_packets_of_every_bandwidth_and_length_are_heard(
    application: str, duration: str, bit_rate: int, rate: int
) -> None:
    sound = to_pcm(tone(rate, 800, seconds=0.24))
    sent = sent_by_others(sound, rate=rate, application=application, duration=duration, bit_rate=bit_rate)
    heard = list(map(OPUS.decoder().decode, sent))
    assert {len(pcm) for pcm in heard} == {int(float(duration) * 2 * WIDEBAND / 1000)}
    assert peak(b"".join(heard)) == pytest.approx(16384, rel=0.25)


@pytest.mark.parametrize("application", ["voip", "audio"])
def test_stereo_is_mixed(application: str) -> None:
    left = chirp(48000, seconds=0.5)
    both = (left[:, None] * (1.0, 0.5)).reshape(-1)  # 0.75 on average
    sent = sent_by_others(to_pcm(both), layout="stereo", rate=48000, application=application)
    heard = b"".join(map(OPUS.decoder().decode, sent))
    assert len(heard) == len(sent) * FRAME
    assert peak(heard) == pytest.approx(0.75 * 16384, rel=0.15)


def test_a_packet_of_one_byte_goes_on_with_what_was_there_before_and_keeps_its_length() -> None:
    """Discontinuous transmission: the table of contents alone (RFC 6716 §3.1)."""
    decoder = OPUS.decoder()
    sent = packets(OPUS, to_pcm(CHIRP))
    decoder.decode(sent[0])
    assert [len(decoder.decode(packet)) for packet in (sent[0][:1], b"\x08", b"\x08\x00", sent[1])] == [FRAME] * 4


@pytest.mark.parametrize("codec", [G722, OPUS], ids=["G722", "opus"])
def test_an_empty_payload_is_no_sound_and_no_end(codec: Codec) -> None:
    decoder = codec.decoder()
    first, second = packets(codec, bytes(2 * FRAME))
    assert [len(decoder.decode(payload)) for payload in (b"", first, b"", second)] == [0, FRAME, 0, FRAME]


@given(st.lists(st.binary(max_size=1500), max_size=20))
def test_opus_takes_any_bytes_and_makes_at_most_120_ms_of_a_packet(payloads: list[bytes]) -> None:
    decoder = OPUS.decoder()
    assert all(len(decoder.decode(payload)) <= LONGEST for payload in payloads)
    assert len(decoder.decode(packets(OPUS, bytes(FRAME))[0])) == FRAME


@given(st.lists(st.binary(max_size=1500), max_size=20))
def test_g722_takes_any_bytes_and_makes_two_samples_of_each(payloads: list[bytes]) -> None:
    decoder = G722.decoder()
    assert [len(decoder.decode(payload)) for payload in payloads] == [4 * len(payload) for payload in payloads]


# --- the table ---


@pytest.mark.parametrize("name", ["opus", "OPUS", "Opus"])
def test_a_codec_is_found_by_its_name_in_capitals_or_not(name: str) -> None:
    assert codec_named(name) is OPUS
    assert codec_named("iLBC") is None


def test_a_packet_gets_no_more_than_the_peer_wants_in_lengths_that_the_codec_has() -> None:
    assert [OPUS.ptime(wanted) for wanted in (5, 10, 20, 30, 50, 60, 200)] == [10, 10, 20, 20, 40, 60, 60]
    assert [G722.ptime(wanted) for wanted in (10, 30, 35, 50)] == [10, 30, 30, 50]


def test_the_best_of_what_is_installed_comes_first() -> None:
    assert default_codecs() == ("G722", "opus", "PCMU", "PCMA")


def test_pyav_is_loaded_by_no_command_that_needs_no_sound() -> None:
    """It takes 26 MB, and half a second on a Raspberry Pi."""
    imports = "import sys, sip_bridge.cli, sip_bridge.bridge, sip_bridge.phone.phone; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", imports], check=False).returncode == 0


def test_a_pyav_without_libopus_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("av.codecs_available", {"g722", "opus"})
    assert default_codecs() == ("PCMU", "PCMA")


def test_what_is_no_codec_is_refused_by_name() -> None:
    check_codecs(CODECS)
    with pytest.raises(MediaError, match=r"^OPUS: expected one of PCMU, PCMA, G722, opus$"):
        check_codecs(("PCMU", "OPUS"))


def test_without_the_extra_there_is_g711_and_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert default_codecs() == ("PCMU", "PCMA")
    assert [codec.is_available for codec in CODECS.values()] == [True, True, False, False]
    with pytest.raises(MediaError, match=r"^opus is not in the plain installation: it needs sip-bridge\[audio\]$"):
        check_codecs(("PCMU", "opus"))
    with pytest.raises(MediaError, match=r"^G\.722 and Opus need sip-bridge\[audio\]: "):
        OPUS.encoder(FRAME_MS, "").encode(bytes(FRAME))
    with pytest.raises(MediaError, match=r"^G\.722 and Opus need sip-bridge\[audio\]: "):
        G722.decoder().decode(b"x")
