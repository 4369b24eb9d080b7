"""Whatever arrives: nothing raises, nothing changes, it is counted, and it costs time in proportion to its length."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.events import CallEnded, CallReceived
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.limits import LIMITS
from sip_bridge.sip.message import METHODS
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions import layer
from tests.scenario import ANSWER, OFFER, PBX, Party, RawPeer, Sent, Wire, established
from tests.sip.torture import CASES

KNOWN, STRANGER = "192.0.2.1", "203.0.113.9"
SAMPLES = [text.replace("\n", "\r\n").encode() for text, _ in CASES.values()]


def talking(wire: Wire) -> tuple[Party, str]:
    """A party in a call with a peer that knows it; also registered, so that responses of all kinds are waited for."""
    alice, bob = Party(wire, KNOWN), Party(wire, "192.0.2.2")
    alice.add_direct_line("alice")
    bob.add_direct_line("door", allow=f"{KNOWN}/32")
    bob.add_direct_line("user", allow=f"{KNOWN}/32")
    bob.add_registered_line("620")
    bob.do(bob.endpoint.register, "620")
    return bob, established(wire, alice, bob)


def state(party: Party) -> tuple[object, ...]:
    endpoint = party.endpoint
    return endpoint.calls, list(endpoint._core.dialogs), endpoint.registration_state("620")


def counted(party: Party) -> int:
    return sum(party.endpoint.counters.values())


def take(party: Party, data: bytes, host: str, transport: str = "UDP") -> list[Sent]:
    flow = Flow(transport=transport, local=party.address, remote=(host, 5060))
    party.endpoint.receive(data, flow, party.wire.now)
    before = len(party.wire.sent)
    party.drain()
    return party.wire.sent[before:]


@given(st.binary(max_size=300), st.sampled_from([KNOWN, STRANGER, PBX.host]), st.sampled_from(["UDP", "TCP"]))
def test_random_bytes_change_nothing_and_are_counted(data: bytes, host: str, transport: str) -> None:
    bob, _ = talking(Wire())
    before, count = state(bob), counted(bob)
    assert take(bob, data, host, transport) == []
    assert (state(bob), counted(bob)) == (before, count + 1)


@given(
    st.text('ABISPTOUEVN/2.0 :;,<>"\\@=?[]()\r\n\t\0é%1sip', max_size=200).map(lambda text: text.encode()),
    st.sampled_from(["Via", "From", "To", "Call-ID", "CSeq", "Contact", "Record-Route", "Require", "Reason"]),
)
def test_random_header_values_change_nothing_for_a_stranger(value: bytes, name: str) -> None:
    bob, _ = talking(Wire())
    before, count = state(bob), counted(bob)
    sample = b"\r\n".join([SAMPLES[2].split(b"\r\n")[0], name.encode() + b": " + value, *SAMPLES[2].split(b"\r\n")[1:]])
    assert take(bob, sample, STRANGER) == []
    assert (state(bob), counted(bob)) == (before, count + 1)


def flip(chance: random.Random, data: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def truncate(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def splice(chance: random.Random, data: bytes) -> bytes:
    other = chance.choice(SAMPLES)
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


def repeat(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.randint(1, 60))
    return data[:start] + data[start:end] * chance.randint(2, 40) + data[end:]


def delete(chance: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    del lines[chance.randrange(len(lines))]
    return b"\r\n".join(lines)


def insert(chance: random.Random, data: bytes) -> bytes:
    position = chance.randrange(data.find(b"\r\n\r\n") + 2)
    thorn = chance.choice([b"\0", b'"\0"', b'"', b"\\", b";", b",", b"<", b">", b"\r\n ", b"%00", b"@", b":", b"\x80"])
    return data[:position] + thorn + data[position:]


def rename(chance: random.Random, data: bytes) -> bytes:
    """The same as another method, often in a dialog."""
    method, _, rest = data.partition(b" ")
    other = chance.choice([name.encode() for name in sorted(METHODS)])
    renamed = b"%b %b" % (other, rest.replace(b" " + method + b"\r\n", b" " + other + b"\r\n"))
    return renamed.replace(b"example.com>\r\n", b"example.com>;tag=t\r\n", chance.randint(0, 1))


DAMAGES = [rename, flip, truncate, splice, repeat, delete, insert, insert]


@given(st.integers(0, 2**32))
def test_damaged_messages_never_raise_and_never_end_a_call(seed: int) -> None:
    wire, chance = Wire(), random.Random(seed)
    bob, call = talking(wire)
    wire.run(0.1)
    samples = [*SAMPLES, *(sent.data for sent in wire.sent)]
    for host in (KNOWN, STRANGER, PBX.host):
        for _ in range(5):
            data = chance.choice(DAMAGES)(chance, chance.choice(samples))
            take(bob, data, host)
    for order in (bob.endpoint.answer, bob.endpoint.hangup):
        for other in bob.endpoint._core.sessions.keys() - {call}:
            bob.do(order, other, *[ANSWER] * (order == bob.endpoint.answer))
    wire.run(300)
    assert call not in {event.call for event in bob.events if isinstance(event, CallEnded)}
    assert bob.endpoint._core.sessions[call].is_confirmed


@given(st.integers(0, 2**32))
def test_damaged_responses_never_raise(seed: int) -> None:
    wire, chance = Wire(), random.Random(seed)
    alice = Party(wire, KNOWN)
    alice.add_registered_line("620")
    pbx = RawPeer(wire, PBX.host)
    alice.do(alice.endpoint.register, "620")
    alice.endpoint.invite("620", "200", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    challenge = ['WWW-Authenticate: Digest realm="pbx", nonce="n1", algorithm=SHA-256, qop="auth", opaque="o"']
    for status in (100, 401, 423, 183, 200, 603):
        for request in pbx.received[:2]:
            pbx.respond(request, status, headers=["Min-Expires: 60", "Retry-After: 3", *challenge], content=ANSWER)
    for sent in wire.sent[-12:]:
        damaged = chance.choice(DAMAGES)(chance, sent.data)
        take(alice, damaged, PBX.host)
        take(alice, damaged, STRANGER)
    wire.run(200)
    ended = alice.told(CallEnded)
    assert len(ended) + alice.endpoint.calls == 1


N = LIMITS.head - 400


def invite(*lines: str, uri: str = "sip:door@h", **other: str) -> bytes:
    given = {
        "Via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx",
        "From": "<sip:a@h>;tag=1",
        "To": "<sip:door@h>",
        "Call-ID": "c",
        "CSeq": "1 INVITE",
        "Contact": "<sip:a@192.0.2.1>",
        **{name.replace("_", "-"): value for name, value in other.items()},
    }
    return "\r\n".join(
        [f"INVITE {uri} SIP/2.0", *(f"{name}: {value}" for name, value in given.items()), *lines, "", ""]
    ).encode()


WORST = {
    "white space": b" " * 65000,
    "empty lines": b"\r\n" * 32000 + b"x",
    "colons": b"INVITE sip:x SIP/2.0\r\n" + b":" * N + b"\r\n\r\n",
    "ten thousand headers": b"INVITE sip:x SIP/2.0\r\n" + b"a:b\r\n" * 10_000 + b"\r\n",
    "a folded header": invite("X: a", *[" " * 120] * 120),
    "via parameters": invite(Via="SIP/2.0/UDP h;branch=z9hG4bKy" + ";a" * (N // 2)),
    "vias": invite(Via='SIP/2.0/UDP h;branch=z9hG4bKy;x=""' + "," * N),
    "via words": invite(Via="SIP/2.0/UDP h" + " x" * (N // 2)),
    "via slashes": invite(Via="/" * N),
    "escaped quotes": invite(From='"' + '\\"' * (N // 2) + '" <sip:a@h>;tag=1'),
    "backslashes": invite(From='"' + "\\" * N + '" <sip:a@h>;tag=1'),
    "quotes": invite(From='"' * (N - 1) + " <sip:a@h>;tag=1"),
    "quoted strings": invite(From='"" ' * (N // 3) + " <sip:a@h>;tag=1"),
    "brackets": invite(To="<" * N),
    "closed brackets": invite(To="<>" * (N // 2)),
    "words": invite(To="a " * (N // 2) + "<sip:door@h>"),
    "parameters": invite(To="<sip:door@h>" + ";a=b" * (N // 4)),
    "quoted parameters": invite(To="<sip:door@h>" + ';a="b"' * (N // 6)),
    "contacts": invite(Contact="<sip:a@h>," * (N // 10) + "<sip:a@h>"),
    "routes": invite("Record-Route: " + "<sip:a@h;lr>," * (N // 13) + "<sip:a@h;lr>"),
    "extensions": invite("Require: " + "a," * (N // 2) + "b"),
    "media ranges": invite("Accept: " + "a/b," * (N // 4) + "*/*"),
    "uri parameters": invite(uri="sip:door@h" + ";a" * (N // 2)),
    "uri host": invite(uri="sip:door@" + "a-" * (N // 2)),
    "uri escapes": invite(uri="sip:" + "%61" * (N // 3) + "@h"),
    "uri ats": invite(uri="sip:" + "@" * N + "h"),
    "uri headers": invite(uri="sip:door@h?" + "a&" * (N // 2)),
    "a long scheme": invite(uri="a" * N),
    "a long number": invite(CSeq="1" * N + " INVITE"),
    "a long length": invite("Content-Length: " + "1" * N),
    "a long reason": invite("Reason: " + ";a=b" * (N // 4)),
    "a long tag": invite(From="<sip:a@h>;tag=" + "a" * N),
    "a long address": invite(uri="sip:door@[" + ":" * N + "]"),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_messages_cost_time_in_proportion_to_their_length(name: str) -> None:
    def cost() -> float:
        bob = Party(Wire(), "192.0.2.2")
        bob.add_direct_line("door")
        start = time.process_time()
        take(bob, WORST[name], KNOWN)
        return time.process_time() - start

    assert min(cost() for _ in range(3)) < 0.08  # seconds; a scan in the square of the length takes many


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\r\n", b"\0\0\0\0", b"", b" "])
def test_a_keep_alive_is_counted_as_one(wire: Wire, data: bytes) -> None:
    bob = Party(wire, "192.0.2.2")
    assert take(bob, data, STRANGER) == []
    assert bob.endpoint.counters == {"keep_alives": 1}


def test_finished_transactions_make_room_for_new_ones(
    monkeypatch: pytest.MonkeyPatch, wire: Wire, raw: RawPeer
) -> None:
    monkeypatch.setattr(layer, "MAX_TRANSACTIONS", 10)
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("door")
    raw.request(bob, "INVITE", call_id="first", content=OFFER)
    for number in range(50):
        raw.request(bob, "OPTIONS", call_id=f"o{number}")
    wire.run(0.1)
    assert (bob.endpoint.transactions, raw.words) == (10, ["200"] * 50)
    bob.do(bob.endpoint.reject, "first", SIPStatus.BUSY_HERE)
    wire.run(0.1)
    assert raw.words[-1] == "486"


def test_even_unfinished_transactions_make_room_in_the_end(
    monkeypatch: pytest.MonkeyPatch, wire: Wire, raw: RawPeer
) -> None:
    monkeypatch.setattr(layer, "MAX_TRANSACTIONS", 3)
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("door")
    for number in range(5):
        raw.request(bob, "INVITE", call_id=f"c{number}", content=OFFER)
    wire.run(0.1)
    assert bob.endpoint.transactions == 3


def test_the_schedule_lets_go_of_what_no_longer_waits(wire: Wire, raw: RawPeer) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("door")
    for number in range(3000):
        raw.request(bob, "INVITE", call_id=f"c{number}", branch=f"z9hG4bK{number}", content=OFFER)
        wire.run(0.02)
        bob.do(bob.endpoint.reject, f"c{number}", SIPStatus.BUSY_HERE)
        wire.run(0.02)
        raw.request(bob, "ACK", call_id=f"c{number}", branch=f"z9hG4bK{number}", to_tag=raw.last("486").to.tag)
        raw.received.clear()
        wire.sent.clear()
    assert len(bob.endpoint._core.schedule._heap) <= 2100
    assert bob.endpoint.transactions < 200
    wire.run(200)
    assert (bob.endpoint.transactions, bob.endpoint.next_deadline) == (0, None)


def test_a_call_whose_transaction_made_room_rings_no_more_and_can_not_be_answered(
    monkeypatch: pytest.MonkeyPatch, wire: Wire, raw: RawPeer
) -> None:
    monkeypatch.setattr(layer, "MAX_TRANSACTIONS", 1)
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("door")
    raw.request(bob, "INVITE", call_id="first", content=OFFER)
    wire.run(0.1)
    bob.do(bob.endpoint.ring, "first", SIPStatus.RINGING)
    raw.request(bob, "INVITE", call_id="second", content=OFFER)
    wire.run(70)
    assert raw.words == ["180", "100"]
    with pytest.raises(InvalidStateError):
        bob.endpoint.answer("first", ANSWER, wire.now)


@pytest.mark.parametrize(
    "header",
    [
        'Record-Route: "\0" <sip:192.0.2.9;lr>',
        "Record-Route: <sip:192.0.2.9;lr>;x=\0",
        "Require: a\0b",
        "Supported: \0",
        'Contact: "\0" <sip:a@192.0.2.66>;x=\0',
        "Reason: \0;cause=\0",
        "X: \0",
    ],
)
def test_nul_in_a_header_of_an_invite_harms_nothing(wire: Wire, raw: RawPeer, header: str) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("door")
    raw.request(bob, "INVITE", headers=[header], content=OFFER, contact="" if "Contact" in header else None)
    wire.run(0.1)
    for event in bob.told(CallReceived):
        assert isinstance(event, CallReceived)
        bob.do(bob.endpoint.answer, event.call, ANSWER)
        raw.request(bob, "ACK", to_tag=bob.wire.sent[-1].message.to.tag)
        wire.run(0.1)
        bob.do(bob.endpoint.hangup, event.call)
    wire.run(0.1)
    assert set(raw.words) <= {"200", "BYE", "400", "420"}
    assert raw.words != []


@pytest.mark.parametrize(
    ("status", "words"), [(200, ["ACK", "ACK", "BYE"]), *((s, ["ACK", "ACK"]) for s in (401, 407, 486))]
)
def test_nul_in_a_response_harms_nothing(wire: Wire, status: int, words: list[str]) -> None:
    alice = Party(wire, KNOWN)
    alice.add_registered_line("620")
    pbx = RawPeer(wire, PBX.host)
    alice.endpoint.invite("620", "200", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    headers = ['Record-Route: "\0" <sip:192.0.2.9;lr>', 'WWW-Authenticate: Digest realm="a\0", nonce="\0", opaque="\0"']
    wire.drops = lambda sent: sent.source == pbx.address
    for tag in ("one", "two"):
        pbx.respond(pbx.last("INVITE"), status, to_tag=tag, headers=headers, content=ANSWER)
        take(alice, wire.sent[-1].data.replace(b"To: <", b'To: "\0" <'), PBX.host)
    wire.run(0.1)
    assert pbx.words[1:] == words
