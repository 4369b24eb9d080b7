"""A direct line with a password: challenges of ours, and who gets past them."""

import re
from collections.abc import Callable

import pytest

from sip_bridge.sip.challenger import FAILURE_INTERVAL, MAX_DIALOGS, MAX_FAILING
from sip_bridge.sip.digest import Authorization, Credentials
from sip_bridge.sip.events import CallEnded, CallReceived, EndCause, MessageReceived
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.nonces import LIFE, MAX_USED, WINDOW, Nonces
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire

DOOR = Credentials(username="bell", password="ding dong")
URI = "sip:door@192.0.2.2"


@pytest.fixture
def bob(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.2")
    party.add_direct_line("door", credentials=DOOR)
    return party


def calling(wire: Wire, password: str = DOOR.password, *, min_algorithm: str = "MD5") -> Party:
    """A phone of ours that knows bob as its registrar."""
    carol = Party(wire, "192.0.2.3")
    carol.endpoint.add_line(
        RegisteredLine(
            id="bell",
            user="bell",
            display_name="Bell",
            domain="192.0.2.2",
            registrar=Hop(host="192.0.2.2"),
            credentials=Credentials(username="bell", password=password),
            min_algorithm=min_algorithm,
        )
    )
    return carol


def dial(wire: Wire, carol: Party) -> str:
    call = carol.endpoint.invite("bell", "door", OFFER, wire.now)
    carol.drain()
    wire.run(0.2)
    return call


def challenges(raw: RawPeer) -> list[dict[str, str]]:
    lines = raw.last("401").get_all("www-authenticate")
    return [dict(re.findall(r'(\w+)="?([^",]+(?:,auth-int)?)"?', line.removeprefix("Digest "))) for line in lines]


def header(
    nonce: str,
    *,
    credentials: Credentials = DOOR,
    method: str = "INVITE",
    uri: str = URI,
    content: bytes = b"",
    algorithm: str = "SHA-256",
    qop: str | None = "auth",
    count: int = 1,
) -> str:
    given = Authorization(
        username=credentials.username,
        realm="sip-bridge",
        nonce=nonce,
        uri=uri,
        response="",
        algorithm=algorithm,
        qop=qop,
        cnonce="c",
        count=count,
    )
    response = given.expected_response(credentials, method, content)
    protection = f', qop={qop}, nc={count:08x}, cnonce="c"' if qop else ""
    return (
        f'Authorization: Digest username="{credentials.username}", realm="sip-bridge", nonce="{nonce}", uri="{uri}", '
        f'response="{response}", algorithm={algorithm}{protection}'
    )


class Caller:
    """Sends MESSAGEs, each with a Call-ID of its own, to a peer that keeps the answers."""

    def __init__(self, wire: Wire, raw: RawPeer, bob: Party) -> None:
        self.wire, self.raw, self.bob = wire, raw, bob
        self.sent = 0

    def send(self, *headers: str) -> str:
        self.sent += 1
        call_id = f"text-{self.raw.address[0]}-{self.sent}"
        self.raw.request(
            self.bob,
            "MESSAGE",
            uri=URI,
            call_id=call_id,
            seq=self.sent,
            headers=headers,
        )
        self.wire.run(0.1)
        return self.raw.words[-1]

    def nonce(self) -> str:
        self.send()
        return challenges(self.raw)[0]["nonce"]

    def answer(self, nonce: str, **more: object) -> str:
        return self.send(header(nonce, method="MESSAGE", **more))  # type: ignore[arg-type]


@pytest.fixture
def caller(wire: Wire, raw: RawPeer, bob: Party) -> Caller:
    return Caller(wire, raw, bob)


# --- our own phone calls ---


@pytest.mark.parametrize("min_algorithm", ["MD5", "SHA-256"])
def test_who_knows_the_password_may_ring(wire: Wire, bob: Party, min_algorithm: str) -> None:
    carol = calling(wire, min_algorithm=min_algorithm)
    call = dial(wire, carol)
    assert wire.words[:4] == ["INVITE", "401", "ACK", "INVITE"]
    assert "algorithm=SHA-256" in (wire.sent[3].message.get("authorization") or "")
    assert [event.line for event in bob.events if isinstance(event, CallReceived)] == ["door"]
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(0.2)
    carol.do(carol.endpoint.hangup, call)
    wire.run(0.2)
    assert wire.words[-2:] == ["BYE", "200"]
    assert bob.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_REMOTE, q850=16)]


def test_the_callee_hangs_up_as_ever(wire: Wire, bob: Party) -> None:
    carol = calling(wire)
    call = dial(wire, carol)
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(0.2)
    bob.do(bob.endpoint.hangup, call)
    wire.run(0.2)
    assert wire.words[-2:] == ["BYE", "200"]


def test_a_wrong_password_does_not_ring(wire: Wire, bob: Party) -> None:
    carol = calling(wire, "guessed")
    dial(wire, carol)
    assert wire.words == ["INVITE", "401", "ACK", "INVITE", "401", "ACK"]
    assert bob.told(CallReceived) == []
    assert bob.endpoint.counters == {"wrong_credentials": 1}


def test_giving_up_needs_no_password(wire: Wire, bob: Party) -> None:
    carol = calling(wire)
    call = dial(wire, carol)
    carol.do(carol.endpoint.hangup, call)
    wire.run(0.2)
    assert wire.words[-4:] == ["CANCEL", "200", "487", "ACK"]
    assert len(bob.told(CallEnded)) == 1


def test_a_line_without_a_password_beside_it_asks_nobody(wire: Wire, bob: Party, raw: RawPeer) -> None:
    bob.add_direct_line("garden")
    raw.request(bob, "MESSAGE", uri="sip:garden@192.0.2.2")
    wire.run(0.1)
    assert raw.words == ["200"]


# --- what is asked ---


def test_the_challenge_offers_sha_256_and_then_md5(caller: Caller, raw: RawPeer) -> None:
    assert caller.send() == "401"
    first, second = challenges(raw)
    assert (first["algorithm"], second["algorithm"]) == ("SHA-256", "MD5")
    assert {name: first[name] for name in ("realm", "qop")} == {"realm": "sip-bridge", "qop": "auth,auth-int"}
    assert (first["nonce"], first["opaque"]) == (second["nonce"], second["opaque"])
    assert "stale" not in first


def test_the_algorithms_can_be_chosen(wire: Wire, raw: RawPeer) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("door", credentials=DOOR, algorithms=("SHA-256",))
    caller = Caller(wire, raw, bob)
    nonce = caller.nonce()
    assert [challenge["algorithm"] for challenge in challenges(raw)] == ["SHA-256"]
    assert caller.answer(nonce, algorithm="MD5") == "401"
    assert caller.answer(nonce, algorithm="SHA-256") == "200"


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "NOTIFY"])
def test_every_request_outside_a_dialog_is_challenged(wire: Wire, bob: Party, raw: RawPeer, method: str) -> None:
    raw.request(bob, method, uri=URI, headers=["Event: dialog", "Subscription-State: active"])
    wire.run(0.1)
    assert raw.words[-1] == "401"
    assert not bob.events


# --- shapes of answers ---


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
@pytest.mark.parametrize("qop", ["auth", "auth-int", None])
def test_every_protection_is_understood(caller: Caller, bob: Party, algorithm: str, qop: str | None) -> None:
    assert caller.answer(caller.nonce(), algorithm=algorithm, qop=qop) == "200"
    assert len(bob.told(MessageReceived)) == 1


def test_auth_int_protects_the_body(caller: Caller) -> None:
    assert caller.answer(caller.nonce(), qop="auth-int", content=b"another text") == "401"


def test_the_answer_among_those_for_others_is_found(caller: Caller) -> None:
    nonce = caller.nonce()
    other = header(nonce, method="MESSAGE").replace('realm="sip-bridge"', 'realm="elsewhere"')
    assert caller.send("Authorization: Bearer abc", other, header(nonce, method="MESSAGE")) == "200"


def test_a_caller_may_name_only_the_host_as_sipp_does(caller: Caller) -> None:
    assert caller.answer(caller.nonce(), uri="sip:192.0.2.2:5060") == "200"


@pytest.mark.parametrize("uri", ["sip:door@192.0.2.9", "tel:+49", "nonsense", "sip:"])
def test_an_answer_about_something_else_is_malformed_or_wrong(caller: Caller, uri: str) -> None:
    assert caller.answer(caller.nonce(), uri=uri) == "400"


@pytest.mark.parametrize(
    "line", ["Digest", 'Digest realm="sip-bridge"', 'Digest realm="sip-bridge", nonce="x", qop=auth']
)
def test_a_malformed_answer_gets_400(caller: Caller, line: str) -> None:
    assert caller.send(f"Authorization: {line}") == "400"


def test_another_user_with_the_right_password_is_wrong(caller: Caller) -> None:
    stranger = Credentials(username="mallory", password=DOOR.password)
    assert caller.answer(caller.nonce(), credentials=stranger) == "401"


def test_an_algorithm_that_was_not_offered_is_wrong(caller: Caller) -> None:
    assert caller.answer(caller.nonce(), algorithm="SHA-512-256") == "401"


# --- nonces ---


def is_stale(raw: RawPeer) -> bool:
    return all(line.endswith("stale=true") for line in raw.last("401").get_all("www-authenticate"))


def test_a_nonce_is_good_for_several_requests_with_rising_counts(caller: Caller) -> None:
    nonce = caller.nonce()
    assert [caller.answer(nonce, count=count) for count in (1, 2, 3)] == ["200"] * 3


def test_requests_that_overtook_each_other_are_let_in_once(caller: Caller) -> None:
    nonce = caller.nonce()
    assert [caller.answer(nonce, count=count) for count in (3, 1, 2)] == ["200"] * 3
    assert [caller.answer(nonce, count=count) for count in (3, 1, 2)] == ["401"] * 3


def test_a_replay_gets_a_new_nonce(caller: Caller, raw: RawPeer, bob: Party) -> None:
    nonce = caller.nonce()
    assert [caller.answer(nonce) for _ in range(2)] == ["200", "401"]
    assert is_stale(raw)
    assert bob.endpoint.counters["replayed_credentials"] == 1
    assert caller.answer(challenges(raw)[0]["nonce"]) == "200"


def test_without_a_count_a_nonce_is_good_once(caller: Caller) -> None:
    nonce = caller.nonce()
    assert [caller.answer(nonce, qop=None) for _ in range(2)] == ["200", "401"]


def test_an_old_nonce_is_stale(wire: Wire, caller: Caller, raw: RawPeer) -> None:
    nonce = caller.nonce()
    wire.run(LIFE + 1)
    assert caller.answer(nonce) == "401"
    assert is_stale(raw)
    assert caller.answer(challenges(raw)[0]["nonce"]) == "200"


@pytest.mark.parametrize("nonce", ["", "x", "f4240.0", "zz.0", "ffffffffffffffffff.0", "\u00e9.0", "."])
def test_a_nonce_of_somebody_else_is_stale(caller: Caller, raw: RawPeer, nonce: str) -> None:
    assert caller.answer(nonce) == "401"
    assert is_stale(raw)


def test_a_nonce_is_only_good_where_it_was_sent(wire: Wire, caller: Caller, bob: Party) -> None:
    nonce = caller.nonce()
    other = Caller(wire, RawPeer(wire, "192.0.2.67"), bob)
    assert other.answer(nonce) == "401"
    assert is_stale(other.raw)


def test_nonces_remember_a_bounded_number_of_counts_and_forget_no_replay() -> None:
    nonces = Nonces(b"key")
    first = nonces.issue("host", 1.0)
    assert nonces.use(first, 1)
    later = [nonces.issue("host", 2.0 + number / 100) for number in range(MAX_USED)]
    assert all(nonces.use(nonce, 1) for nonce in later)
    assert not nonces.is_fresh(first, "host", 20.0)
    assert nonces.is_fresh(later[0], "host", 20.0)
    assert nonces.is_fresh(nonces.issue("host", 1.5), "host", 20.0)


def test_a_count_far_below_the_highest_is_a_replay() -> None:
    nonces = Nonces(b"key")
    assert [nonces.use("n", count) for count in (0xFFFFFFFF, 0xFFFFFFFF - WINDOW, 0xFFFFFFFF - WINDOW + 1)] == [
        True,
        False,
        True,
    ]


# --- guessing ---


def test_who_guesses_is_refused_and_may_try_again_later(wire: Wire, caller: Caller, bob: Party) -> None:
    wrong = Credentials(username="bell", password="guess")
    nonce = caller.nonce()
    assert [caller.answer(nonce, credentials=wrong) for _ in range(4)] == ["401", "401", "403", "403"]
    assert caller.answer(nonce) == "403"
    assert bob.endpoint.counters["wrong_credentials"] == 5
    wire.run(FAILURE_INTERVAL)
    assert caller.answer(nonce, credentials=wrong) == "403"
    wire.run(FAILURE_INTERVAL)
    assert caller.answer(nonce) == "200"
    assert [caller.answer(nonce, credentials=wrong) for _ in range(3)] == ["401", "401", "403"]


def test_nobody_can_shut_out_another_by_guessing_without_its_nonce(caller: Caller) -> None:
    wrong = Credentials(username="bell", password="guess")
    assert [caller.answer("f4240.0", credentials=wrong) for _ in range(5)] == ["401"] * 5
    assert caller.answer(caller.nonce()) == "200"


def test_the_hosts_that_guessed_are_bounded(wire: Wire, bob: Party) -> None:
    wrong = Credentials(username="bell", password="guess")
    first = Caller(wire, RawPeer(wire, "10.0.0.1"), bob)
    nonce = first.nonce()
    assert [first.answer(nonce, credentials=wrong) for _ in range(3)] == ["401", "401", "403"]
    for number in range(MAX_FAILING):
        other = Caller(wire, RawPeer(wire, f"10.1.{number // 250}.{number % 250 + 1}"), bob)
        other.raw.wire.delay = 0.0001
        other.answer(other.nonce(), credentials=wrong)
    assert first.answer(first.nonce(), credentials=wrong) == "401"


# --- within a dialog ---


def ringing_answered(wire: Wire, bob: Party, raw: RawPeer, headers: Callable[[], list[str]] = list) -> str:
    raw.request(bob, "INVITE", uri=URI, content=OFFER)
    wire.run(0.1)
    nonce = challenges(raw)[0]["nonce"]
    raw.request(bob, "ACK", uri=URI, to_tag=raw.last("401").to.tag, branch=raw.last("401").via.branch)
    raw.request(bob, "INVITE", uri=URI, seq=2, content=OFFER, headers=[header(nonce, content=OFFER), *headers()])
    wire.run(0.1)
    bob.do(bob.endpoint.answer, "raw-call", ANSWER)
    wire.run(0.1)
    tag = raw.last("200").to.tag or ""
    raw.request(bob, "ACK", uri=URI, seq=2, to_tag=tag)
    wire.run(0.1)
    return tag


def test_who_opened_a_dialog_may_go_on_in_it(wire: Wire, bob: Party, raw: RawPeer) -> None:
    tag = ringing_answered(wire, bob, raw)
    raw.request(bob, "BYE", uri=URI, seq=3, to_tag=tag)
    wire.run(0.1)
    assert raw.words[-1] == "200"
    assert bob.told(CallEnded) == [CallEnded(call="raw-call", cause=EndCause.HANGUP_REMOTE)]


def test_anybody_else_is_asked_for_the_password_in_a_dialog_too(wire: Wire, bob: Party, raw: RawPeer) -> None:
    tag = ringing_answered(wire, bob, raw)
    other = RawPeer(wire, "192.0.2.67")
    other.request(bob, "BYE", uri=URI, seq=3, to_tag=tag)
    wire.run(0.1)
    assert (other.words[-1], bob.told(CallEnded)) == ("401", [])
    nonce = challenges(other)[0]["nonce"]
    other.request(bob, "INFO", uri=URI, seq=4, to_tag=tag, headers=[header(nonce, method="INFO")])
    wire.run(0.1)
    assert other.words[-1] == "200"
    other.request(bob, "BYE", uri=URI, seq=5, to_tag=tag)
    wire.run(0.1)
    assert (other.words[-1], len(bob.told(CallEnded))) == ("200", 1)


def test_the_dialogs_that_are_remembered_are_bounded(wire: Wire, caller: Caller, bob: Party) -> None:
    wire.delay = 0.0001
    tag = ringing_answered(wire, bob, caller.raw)
    nonce = caller.nonce()
    for count in range(1, MAX_DIALOGS + 1):
        caller.answer(nonce, count=count)
    other = RawPeer(wire, "192.0.2.67")
    other.request(bob, "BYE", uri=URI, seq=3, to_tag=tag)
    wire.run(0.1)
    assert other.words[-1] == "200"
