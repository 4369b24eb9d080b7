"""Whatever the bytes: reading them raises nothing but what the peer did wrong, and takes time in proportion."""

import random
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.limits import LIMITS, Limits
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.uri import SIPURI
from tests.sip.test_robustness import DAMAGES, SAMPLES, invite

NASTY = 'ABISPTOUEVN/2.0 :;,<>"\\@=?[]()\r\n\t\0é%1sip'
READS: list[Callable[[SIPMessage], object]] = [
    SIPMessage.validate,
    lambda message: message.keys,
    lambda message: message.via,
    lambda message: message.from_,
    lambda message: message.to.sip_uri,
    lambda message: message.cseq,
    lambda message: message.contacts,
    lambda message: message.tokens("require"),
    lambda message: message.number("expires"),
    lambda message: message.session_description,
    lambda message: message.has_foreign_part,
    lambda message: SIPURI.parse(message.uri),
    SIPMessage.summary,
]


@given(
    st.one_of(st.binary(max_size=300), st.text(NASTY, max_size=300).map(str.encode)),
    st.lists(st.tuples(st.sampled_from(["v", "f", "t", "i", "CSeq", "m", "c", "l", "X"]), st.text(NASTY, max_size=60))),
    st.integers(0, 2**32),
)
def test_reading_any_bytes_raises_nothing_but_what_the_peer_did_wrong(
    noise: bytes, fields: list[tuple[str, str]], seed: int
) -> None:
    chance = random.Random(seed)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("utf-8", "surrogateescape")
    damaged = chance.choice(DAMAGES)(chance, chance.choice(SAMPLES))
    for data in (noise, b"INVITE sip:a@b SIP/2.0\r\n" + lines + b"\r\n" + noise, damaged):
        with suppress(RemoteProtocolError):
            message = SIPMessage(data)
            for read in READS:
                with suppress(RemoteProtocolError):
                    read(message)
        salvaged = SIPMessage.salvage(data, LIMITS)
        assert salvaged is None or salvaged.method is not None


ROOMY = Limits(message=1 << 20, head=70000, line=70000, headers=70000, uri=70000)
REPEATED = [
    ",",
    '"',
    '"",',
    "<",
    "<>",
    ";",
    ";a",
    ";a=b",
    ";branch=x",
    "\\",
    '\\"',
    " ",
    " a",
    "@",
    ":",
    "/",
    "%61",
    "[",
    "ü",
    "\0",
]


def cost(data: bytes) -> float:
    """Seconds that parsing takes, the least of three: 0.01 or so; a scan in the square of the length takes many."""

    def once() -> float:
        start = time.process_time()
        with suppress(RemoteProtocolError):
            SIPMessage(data, limits=ROOMY).validate()
        return time.process_time() - start

    return min(once() for _ in range(3))


@pytest.mark.parametrize("repeated", REPEATED)
def test_64_kib_of_anything_cost_time_in_proportion(repeated: str) -> None:
    nasty = (repeated * 65000)[:65000]
    messages = [
        invite(Via=f"SIP/2.0/UDP h;branch=z9hG4bKx{nasty}"),
        invite(From=f"{nasty}<sip:a@h>;tag=1"),
        invite(To=f"<sip:a@h>{nasty}"),
        invite(uri=f"sip:a{nasty}@h"),
        invite("Content-Type: multipart/mixed;boundary=" + nasty),
    ]

    assert max(map(cost, messages)) < 0.15


@pytest.mark.parametrize("line", ["v: SIP/2.0/UDP h", "Max-Forwards: 70", "X: x", " folded", "no colon"])
def test_64_kib_of_lines_cost_time_in_proportion(line: str) -> None:
    data = invite("X: y", *[line] * (65000 // (len(line) + 2)))

    assert cost(data) < 0.15
