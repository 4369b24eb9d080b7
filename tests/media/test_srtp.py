"""SRTP: what a=crypto says, and packets that only the one who has the key can make."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.rtcp import ReceiverReport, SourceDescription, format_rtcp
from sip_bridge.media.rtp import RTPPacket
from sip_bridge.media.sdes import SUITES, Crypto, KeyMaterial, SRTPKeys, Suite, new_keys
from sip_bridge.media.srtp import MAX_SOURCES, SRTPContext

CM_80 = SUITES["AES_CM_128_HMAC_SHA1_80"]
# RFC 4568 §9.1's example has a lifetime and an MKI; this is its key.
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
REPORT = format_rtcp((ReceiverReport(ssrc=7, blocks=()), SourceDescription(ssrc=7, cname="hello")))
SUITE = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)


def key_for(suite: Suite, seed: int = 1) -> KeyMaterial:
    return KeyMaterial(random.Random(seed).randbytes(suite.size))


def pair(suite: Suite = CM_80) -> tuple[SRTPContext, SRTPContext]:
    """Two ends of one call."""
    ours, theirs = SRTPContext(), SRTPContext()
    keys = SRTPKeys(suite=suite, local=key_for(suite, 1), remote=key_for(suite, 2))
    ours.agree(keys)
    theirs.agree(replace(keys, local=keys.remote, remote=keys.local))
    return ours, theirs


def rtp(sequence: int, *, ssrc: int = 7) -> bytes:
    return RTPPacket(payload_type=0, sequence=sequence, timestamp=0, ssrc=ssrc, payload=b"hello" * 32).format()


def protected(context: SRTPContext, packet: bytes) -> bytes:
    encrypted = context.protect(packet)
    assert encrypted is not None
    return encrypted


# --- a=crypto ---


@given(st.sampled_from(list(SUITES.values())), st.integers(0, 999999999), st.data())
def test_formatting_and_parsing_a_line_are_inverse(suite: Suite, tag: int, data: st.DataObject) -> None:
    crypto = Crypto(
        tag=tag, suite=suite, key=KeyMaterial(data.draw(st.binary(min_size=suite.size, max_size=suite.size)))
    )
    assert Crypto.parse(crypto.format()) == crypto


@pytest.mark.parametrize(
    "rest",
    ["", "|2^20", "|2^48", "|1048576", " WSH=128", " KDR=0", " -private", "|2^31 KDR=0 WSH=64 -x=y"],
)
def test_a_line_is_read(rest: str) -> None:
    crypto = Crypto.parse(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{rest}")
    assert crypto == Crypto(tag=1, suite=CM_80, key=KeyMaterial(b"YS___semctl () {\t220;}\n}\nunles"))


def test_padding_may_be_left_out() -> None:
    suite = SUITES["AEAD_AES_128_GCM"]
    crypto = Crypto(tag=3, suite=suite, key=key_for(suite))
    assert Crypto.parse(crypto.format().rstrip("=")) == crypto


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1 AES_CM_128_HMAC_SHA1_80",
        f"x AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"1 F8_128_HMAC_SHA1_80 inline:{KEY}",
        f"1 AEAD_AES_256_GCM inline:{KEY}",
        f"1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-1]}",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}AAAA",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-1]}\u00e9",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-1]}$",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|0",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^49",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 UNENCRYPTED_SRTCP",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} FEC_ORDER=FEC_SRTP",
    ],
)
def test_a_line_that_asks_for_what_we_cannot_or_will_not_do_is_passed_over(line: str) -> None:
    assert Crypto.parse(line) is None


@given(st.text(max_size=120) | st.text("1 inle:|2^;=/+AESCM_80", max_size=120))
def test_any_text_is_a_line_or_none(text: str) -> None:
    assert isinstance(Crypto.parse(text), Crypto | None)


def test_each_suite_is_offered_with_a_key_of_its_own() -> None:
    lines = new_keys(random.Random(1).randbytes)
    assert [(line.tag, line.suite.name, len(line.key)) for line in lines] == [
        (1, "AES_CM_128_HMAC_SHA1_80", 30),
        (2, "AEAD_AES_256_GCM", 44),
        (3, "AEAD_AES_128_GCM", 28),
        (4, "AES_CM_128_HMAC_SHA1_32", 30),
    ]
    assert len({line.key for line in lines}) == 4


def test_keys_are_not_shown() -> None:
    [line, *_] = new_keys(random.Random(1).randbytes)
    keys = SRTPKeys(suite=line.suite, local=line.key, remote=line.key)
    assert repr(line) == "Crypto(tag=1, suite=Suite(name='AES_CM_128_HMAC_SHA1_80', size=30), key=***)"
    assert f"{keys} {line.key} {line.key!r}".count("***") == 4


# --- packets ---


@SUITE
def test_what_one_end_protects_the_other_opens(suite: Suite) -> None:
    ours, theirs = pair(suite)
    encrypted = protected(ours, rtp(1))
    report = theirs.protect_rtcp(REPORT) or b""
    assert (theirs.unprotect(encrypted), ours.unprotect_rtcp(report)) == (rtp(1), REPORT)
    assert (b"hello" in encrypted, b"hello" in report) == (False, False)


@SUITE
def test_a_packet_that_was_tampered_with_replayed_or_not_encrypted_is_none(suite: Suite) -> None:
    ours, theirs = pair(suite)
    encrypted, report = protected(ours, rtp(1)), ours.protect_rtcp(REPORT) or b""
    for position in range(len(encrypted)):
        damaged = bytes(byte ^ (1 if at == position else 0) for at, byte in enumerate(encrypted))
        assert theirs.unprotect(damaged) is None
    for position in range(len(report)):
        damaged = bytes(byte ^ (1 if at == position else 0) for at, byte in enumerate(report))
        assert theirs.unprotect_rtcp(damaged) is None
    assert (theirs.unprotect(rtp(1)), theirs.unprotect_rtcp(REPORT)) == (None, None)
    assert (theirs.unprotect(encrypted), theirs.unprotect_rtcp(report)) == (rtp(1), REPORT)
    assert (theirs.unprotect(encrypted), theirs.unprotect_rtcp(report)) == (None, None)


def test_nothing_passes_without_keys() -> None:
    context = SRTPContext()
    done = (context.protect, context.protect_rtcp, context.unprotect, context.unprotect_rtcp)
    assert [each(rtp(1)) for each in done] == [None] * 4


def test_the_rollover_counter_and_the_replay_window_survive_the_same_keys() -> None:
    ours, theirs = pair()
    keys = SRTPKeys(suite=CM_80, local=key_for(CM_80, 1), remote=key_for(CM_80, 2))
    last = protected(ours, rtp(65535))
    assert theirs.unprotect(last) == rtp(65535)
    ours.agree(keys)
    theirs.agree(replace(keys, local=keys.remote, remote=keys.local))
    wrapped = protected(ours, rtp(0))
    assert (theirs.unprotect(wrapped), theirs.unprotect(last)) == (rtp(0), None)
    beginner = pair()[0]
    assert protected(beginner, rtp(0)) != wrapped


def test_a_new_key_of_the_peers_replaces_its_old_one() -> None:
    ours, theirs = pair()
    before = protected(ours, rtp(1))
    renewed = SRTPKeys(suite=CM_80, local=key_for(CM_80, 3), remote=key_for(CM_80, 2))
    ours.agree(renewed)
    theirs.agree(replace(renewed, local=renewed.remote, remote=renewed.local))
    assert (theirs.unprotect(before), theirs.unprotect(protected(ours, rtp(2)))) == (None, rtp(2))


def test_a_key_of_ours_that_comes_back_does_not_encrypt_the_same_place_twice() -> None:
    ours, _ = pair()
    first = SRTPKeys(suite=CM_80, local=key_for(CM_80, 1), remote=key_for(CM_80, 2))
    protected(ours, rtp(1))
    ours.agree(replace(first, local=key_for(CM_80, 3)))
    ours.agree(first)
    assert ours.protect(rtp(1)) is None
    assert ours.protect(rtp(2)) is not None


def test_sources_of_the_peers_are_bounded() -> None:
    ours, theirs = pair()
    opened = [theirs.unprotect(protected(ours, rtp(1, ssrc=ssrc))) for ssrc in range(MAX_SOURCES + 1)]
    assert [packet is None for packet in opened] == [False] * MAX_SOURCES + [True]
    assert theirs.unprotect(protected(ours, rtp(2, ssrc=0))) == rtp(2, ssrc=0)


@SUITE
@given(st.binary(max_size=2048))
def test_any_bytes_are_no_packet(suite: Suite, data: bytes) -> None:
    _, theirs = pair(suite)
    assert (theirs.unprotect(data), theirs.unprotect_rtcp(data)) == (None, None)


@given(st.binary(max_size=60))
def test_any_header_is_no_packet(data: bytes) -> None:
    _, theirs = pair()
    assert (theirs.unprotect(b"\x90\x00" + data), theirs.unprotect_rtcp(b"\x80\xc8" + data)) == (None, None)


def test_a_packet_that_is_too_long_is_not_sent() -> None:
    ours, _ = pair()
    assert ours.protect(rtp(1) + bytes(1500)) is None
