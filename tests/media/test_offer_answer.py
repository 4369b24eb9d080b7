"""What one call says over its time: who gets SRTP, and what never changes again."""

import random
import re
from dataclasses import dataclass

import pytest

from sip_bridge.errors import NegotiationError
from sip_bridge.media.negotiation import Stream
from sip_bridge.media.offer_answer import OfferAnswer
from sip_bridge.media.sdes import SUITES, SRTPPolicy
from sip_bridge.media.sdp import SessionDescription

OFF, OPTIONAL, REQUIRED = SRTPPolicy
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
OTHER_KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
CM_80, CM_32 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"


def ours(srtp: SRTPPolicy = OFF, *codecs: str, seed: int = 1) -> OfferAnswer:
    entropy = random.Random(seed).randbytes
    return OfferAnswer(host="192.0.2.1", codecs=codecs or ("PCMU", "PCMA"), srtp=srtp, entropy=entropy)


def theirs(*lines: str, protocol: str = "RTP/AVP", formats: str = "0", host: str = "192.0.2.9") -> bytes:
    head = ("v=0", f"o=- 5 5 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0")
    return "\r\n".join((*head, f"m=audio 5004 {protocol} {formats}", *lines)).encode()


def crypto(tag: int = 1, suite: str = CM_80, key: str = KEY) -> str:
    return f"a=crypto:{tag} {suite} inline:{key}"


def keys_in(body: bytes) -> list[tuple[str, str]]:
    """Tag and suite of each key."""
    return re.findall(r"^a=crypto:(\d+) (\S+) inline:", body.decode(), re.MULTILINE)


def profile_in(body: bytes) -> str:
    return SessionDescription.parse(body).media[0].protocol


@dataclass
class Exchanged:
    """One offer and its answer between two of us."""

    offer: bytes
    answer: bytes
    caller: Stream
    callee: Stream


def exchange(caller: OfferAnswer, callee: OfferAnswer) -> Exchanged:
    offer = caller.create_offer(10000)
    answer, callee_stream = callee.accept_offer(offer, 20000)
    return Exchanged(offer, answer, caller.accept_answer(answer), callee_stream)


ALL_SUITES = [(str(tag), name) for tag, name in enumerate(SUITES, start=1)]


# --- who gets SRTP ---


@pytest.mark.parametrize(
    ("srtp", "profile", "keys"),
    [(OFF, "RTP/AVP", []), (OPTIONAL, "RTP/AVP", ALL_SUITES), (REQUIRED, "RTP/SAVP", ALL_SUITES)],
)
def test_an_offer_has_the_keys_and_the_profile_of_its_account(
    srtp: SRTPPolicy, profile: str, keys: list[tuple[str, str]]
) -> None:
    offer = ours(srtp).create_offer(10000)
    assert (profile_in(offer), keys_in(offer)) == (profile, keys)


@pytest.mark.parametrize(
    ("caller", "callee", "is_encrypted"),
    [
        (OFF, OFF, False),
        (OFF, OPTIONAL, False),
        (OPTIONAL, OFF, False),
        (OPTIONAL, OPTIONAL, True),
        (OPTIONAL, REQUIRED, True),
        (REQUIRED, OPTIONAL, True),
        (REQUIRED, REQUIRED, True),
    ],
)
def test_two_of_us_encrypt_when_both_can(caller: SRTPPolicy, callee: SRTPPolicy, is_encrypted: bool) -> None:
    exchanged = exchange(ours(caller), ours(callee, seed=2))
    near, far = exchanged.caller.keys, exchanged.callee.keys
    assert (near is not None, far is not None) == (is_encrypted, is_encrypted)
    assert is_encrypted is False or (near and far and (near.local, near.remote, near.suite)) == (
        far and (far.remote, far.local, far.suite)
    )


@pytest.mark.parametrize(("caller", "callee"), [(OFF, REQUIRED), (REQUIRED, OFF)])
def test_two_of_us_do_not_talk_when_only_one_may_be_plain(caller: SRTPPolicy, callee: SRTPPolicy) -> None:
    with pytest.raises(NegotiationError, match="no audio in PCMU, PCMA over"):
        exchange(ours(caller), ours(callee, seed=2))


@pytest.mark.parametrize(
    ("srtp", "offer", "answered"),
    [
        (OFF, theirs(crypto()), ("RTP/AVP", [])),
        (OPTIONAL, theirs(), ("RTP/AVP", [])),
        (OPTIONAL, theirs(crypto(3)), ("RTP/AVP", [("3", CM_80)])),
        (OPTIONAL, theirs(crypto(3), protocol="RTP/SAVPF"), ("RTP/SAVPF", [("3", CM_80)])),
        (OPTIONAL, theirs("a=crypto:1 F8_128_HMAC_SHA1_80 inline:x"), ("RTP/AVP", [])),
        (REQUIRED, theirs(crypto(3)), ("RTP/AVP", [("3", CM_80)])),
        (REQUIRED, theirs(crypto(2, CM_32), crypto(1), protocol="RTP/SAVP"), ("RTP/SAVP", [("2", CM_32)])),
        (
            REQUIRED,
            theirs("a=crypto:1 F8_128_HMAC_SHA1_80 inline:x", crypto(2), protocol="RTP/SAVP"),
            ("RTP/SAVP", [("2", CM_80)]),
        ),
    ],
)
def test_an_offer_is_answered_in_its_profile_with_the_first_key_that_we_can_use(
    srtp: SRTPPolicy, offer: bytes, answered: tuple[str, list[tuple[str, str]]]
) -> None:
    body, stream = ours(srtp).accept_offer(offer, 10000)
    assert (profile_in(body), keys_in(body)) == answered
    assert (stream.keys is not None) == bool(answered[1])


@pytest.mark.parametrize(
    ("srtp", "offer"),
    [
        (OFF, theirs(crypto(), protocol="RTP/SAVP")),
        (OPTIONAL, theirs(protocol="RTP/SAVP")),
        (OPTIONAL, theirs(crypto() + "|1:4", protocol="RTP/SAVP")),
        (REQUIRED, theirs()),
        (REQUIRED, theirs(crypto() + " UNENCRYPTED_SRTP", protocol="RTP/SAVP")),
        (REQUIRED, theirs(crypto(), protocol="UDP/TLS/RTP/SAVP")),
    ],
)
def test_an_offer_whose_encryption_does_not_fit_is_refused(srtp: SRTPPolicy, offer: bytes) -> None:
    with pytest.raises(NegotiationError, match="no audio in PCMU, PCMA over "):
        ours(srtp).accept_offer(offer, 10000)


def test_of_two_sections_the_encrypted_one_is_taken() -> None:
    offer = theirs("m=audio 5006 RTP/SAVP 0", crypto())
    answers = [SessionDescription.parse(ours(srtp).accept_offer(offer, 10000)[0]) for srtp in SRTPPolicy]
    assert [[media.port for media in answer.media] for answer in answers] == [[10000, 0], [0, 10000], [0, 10000]]


@pytest.mark.parametrize("protocol", ["RTP/AVP", "RTP/SAVP"])
@pytest.mark.parametrize("srtp", [OPTIONAL, REQUIRED])
def test_an_answer_names_the_key_of_ours_that_it_takes(srtp: SRTPPolicy, protocol: str) -> None:
    call = ours(srtp)
    call.create_offer(10000)
    stream = call.accept_answer(theirs(crypto(4, CM_32), protocol=protocol))
    assert stream.keys is not None
    assert (stream.keys.suite.name, len(stream.keys.local), len(stream.keys.remote)) == (CM_32, 30, 30)


@pytest.mark.parametrize(
    ("srtp", "answer", "why"),
    [
        (OFF, theirs(crypto(), protocol="RTP/SAVP"), "would not be encrypted"),
        (OPTIONAL, theirs(protocol="RTP/SAVP"), "would not be encrypted"),
        (REQUIRED, theirs(), "would not be encrypted"),
        (REQUIRED, theirs(protocol="RTP/SAVP"), "would not be encrypted"),
        (OPTIONAL, theirs(crypto(9)), "its key fits none of ours"),
        (OPTIONAL, theirs(crypto(2)), "its key fits none of ours"),
        (REQUIRED, theirs(crypto() + "|1:4", protocol="RTP/SAVP"), "its key fits none of ours"),
        (REQUIRED, theirs(crypto(), protocol="UDP/TLS/RTP/SAVP"), "refuses the audio"),
    ],
)
def test_an_answer_whose_encryption_does_not_fit_is_refused(srtp: SRTPPolicy, answer: bytes, why: str) -> None:
    call = ours(srtp)
    call.create_offer(10000)
    with pytest.raises(NegotiationError, match=why):
        call.accept_answer(answer)


def test_keys_that_were_not_asked_for_are_passed_over() -> None:
    call = ours(OFF)
    call.create_offer(10000)
    assert call.accept_answer(theirs(crypto())).keys is None


# --- over the time of a call ---


def test_a_call_that_is_encrypted_stays_so() -> None:
    call = ours(OPTIONAL)
    call.accept_offer(theirs(crypto(), protocol="RTP/SAVP"), 10000)
    with pytest.raises(NegotiationError, match="was offered"):
        call.accept_offer(theirs(), 10000)
    again = call.create_offer(10000, direction="sendonly")
    assert (profile_in(again), keys_in(again)) == ("RTP/SAVP", ALL_SUITES)
    with pytest.raises(NegotiationError, match="would not be encrypted"):
        call.accept_answer(theirs())


def test_a_call_that_was_encrypted_in_the_plain_profile_keeps_it() -> None:
    call = ours(REQUIRED)
    call.accept_offer(theirs(crypto()), 10000)
    assert profile_in(call.create_offer(10000)) == "RTP/AVP"


def test_a_plain_call_may_become_encrypted() -> None:
    call = ours(OPTIONAL)
    call.accept_offer(theirs(), 10000)
    assert call.accept_offer(theirs(crypto(), protocol="RTP/SAVP"), 10000)[1].keys is not None
    with pytest.raises(NegotiationError, match="was offered"):
        call.accept_offer(theirs(), 10000)


def test_a_further_offer_renews_the_peers_key_and_keeps_ours() -> None:
    call = ours(OPTIONAL)
    before = call.accept_offer(theirs(crypto()), 10000)[1].keys
    after = call.accept_offer(theirs(crypto(5, key=OTHER_KEY)), 10000)[1].keys
    other = call.accept_offer(theirs(crypto(1, CM_32)), 10000)[1].keys
    assert before is not None
    assert after is not None
    assert other is not None
    assert (before.local == after.local, before.remote == after.remote) == (True, False)
    assert (before.local == other.local, before.remote == other.remote) == (False, True)


def test_numbers_keep_their_meaning_through_a_call() -> None:
    call = ours(OFF, "opus", "G722")
    lines = ("a=rtpmap:96 iLBC/8000", "a=rtpmap:111 opus/48000/2", "a=rtpmap:97 telephone-event/8000")
    call.accept_offer(theirs(*lines, formats="9 96 97 111"), 10000)
    assert b" RTP/AVP 111 9 13 97 98\r\n" in call.create_offer(10000)
    call.accept_answer(theirs(formats="9"))
    assert b" RTP/AVP 111 9 13 97 98\r\n" in call.create_offer(10000)


def test_a_refused_offer_leaves_the_direction_as_it_was() -> None:
    call = ours()
    assert b"a=sendonly" in call.create_offer(10000, direction="sendonly")
    call.forget_offer()
    assert b"a=sendrecv" in call.accept_offer(theirs(), 10000)[0]
    call.create_offer(10000, direction="sendonly")
    call.accept_answer(theirs("a=recvonly"))
    assert b"a=sendonly" in call.accept_offer(theirs(), 10000)[0]


def test_an_answer_to_no_offer_is_refused() -> None:
    with pytest.raises(NegotiationError, match="an answer to no offer"):
        ours().accept_answer(theirs())


def test_keys_are_not_shown() -> None:
    call = ours(REQUIRED)
    offer = call.create_offer(10000)
    secrets = re.findall(r"inline:(\S+)", offer.decode())
    shown = f"{call._said!r} {call._local!r} {call.accept_answer(theirs(crypto(), protocol='RTP/SAVP'))!r}"
    assert [secret in shown for secret in (*secrets, KEY)] == [False] * 5
