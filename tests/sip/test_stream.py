"""Framing on a stream: what is cut out of it does not depend on how it came, and nothing in it can fill us."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.sip.events import Transmit
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.limits import LIMITS, Limits
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.stream import (
    MESSAGE_TIME,
    PING,
    PONG,
    MessageFramed,
    PingReceived,
    PongReceived,
    StreamBroken,
    StreamFramer,
    StreamItem,
)
from sip_bridge.sip.timers import NEVER
from tests.scenario import Party, Wire

TCP = Flow(transport="TCP", local=("192.0.2.1", 5060), remote=("192.0.2.9", 40000), connection=7)


def request(length: str = "Content-Length: 0", body: bytes = b"") -> bytes:
    return f"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n{length}\r\nCall-ID: 1\r\n\r\n".encode() + body


def cut(*pieces: bytes, framer: StreamFramer | None = None) -> list[StreamItem]:
    framer = framer or StreamFramer()
    found: list[StreamItem] = []
    for piece in pieces:
        framer.feed(piece, 0.0)
        while (item := framer.next_item()) is not None:
            found.append(item)
    return found


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


LENGTHS = [
    "Content-Length: 4",
    "l: 4",
    "L:4",
    "cOnTeNt-LeNgTh \t :   4 ",
    "Content-Length:\r\n 4",
    "l\t: \r\n\t\r\n 4\r\n ",
    "Content-Length: 4\r\nl: 04",
    "Content-Length: 4;x=y",
    "Content-Length: 4 (four)",
]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_body_ends_where_content_length_says(length: str) -> None:
    first, second = request(length, b"abcd"), request()
    assert cut(first + second) == [MessageFramed(data=first), MessageFramed(data=second)]


@pytest.mark.parametrize(
    "length",
    [
        "X: 1",
        "Content-Length:",
        "Content-Length: four",
        "Content-Length: -4",
        "Content-Length: 4 4",
        "Content-Length: 4, 4",
        "Content-Length: 4\r\nl: 5",
        "Content-Length: 4\r\nContent-Length: x",
        "Content-Length: 999999999999999999999",
        "Content-Length: ٤",  # a digit, but none of ASCII's
        "X-Content-Length: 4",
        "X: y\r\n Content-Length: 4",
    ],
)
def test_without_a_usable_content_length_the_stream_is_broken_but_the_message_can_be_answered(length: str) -> None:
    head = request(length)
    broken = StreamBroken(reason="no usable Content-Length", head=head)
    assert cut(head + b"abcd" + request()) == [broken]


def test_a_message_that_would_be_too_long_breaks_the_stream_before_its_body_comes() -> None:
    head = request(f"Content-Length: {LIMITS.message}")
    assert cut(head) == [StreamBroken(reason=f"longer than {LIMITS.message} bytes", head=head)]


def test_the_longest_message_passes() -> None:
    head = request("Content-Length: 65000")
    message = head + b"x" * 65000
    size = len(message)
    assert cut(message, framer=StreamFramer(limits=Limits(message=size))) == [MessageFramed(data=message)]
    assert cut(message, framer=StreamFramer(limits=Limits(message=size - 1))) == [
        StreamBroken(reason=f"longer than {size - 1} bytes", head=head)
    ]


def test_a_head_without_end_breaks_the_stream_and_is_kept_only_as_far_as_an_answer_needs_it() -> None:
    piece = b"X" * 1000
    head = b"X" * (LIMITS.head + 1) + b"\r\n\r\n"
    assert cut(*[piece] * 1000) == [StreamBroken(reason=f"more than {LIMITS.head} bytes of headers", head=head)]


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("split", [lambda data: [data], byte_by_byte])
def test_a_head_may_have_the_bytes_that_it_may_have(excess: int, split: Callable[[bytes], list[bytes]]) -> None:
    head = request()
    size = len(head) - 4
    allowed: list[StreamItem] = [MessageFramed(data=head)]
    refused: list[StreamItem] = [StreamBroken(reason=f"more than {size - 1} bytes of headers", head=head)]
    framer = StreamFramer(limits=Limits(head=size - excess))
    assert cut(*split(head), framer=framer) == [allowed, refused][excess]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (request("X: 1"), 400),
        (request("l: 1\r\nl: 2"), 400),
        (request(f"l: {LIMITS.message + 1}"), 513),
        (request(f"X: {'x' * LIMITS.head}"), 513),
    ],
)
def test_the_endpoint_refuses_what_broke_the_stream(message: bytes, status: int, wire: Wire) -> None:
    alice = Party(wire, "192.0.2.1")
    alice.add_direct_line("alice")
    (broken,) = cut(
        message.replace(b"Via: x", b"Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1\r\nFrom: <a:b>\r\nTo: <a:b>")
    )
    assert isinstance(broken, StreamBroken)
    alice.endpoint.receive(broken.head, TCP, 0.0)
    (answer,) = alice.endpoint.drain()
    assert isinstance(answer, Transmit)
    assert (answer.flow, SIPMessage(answer.data).status) == (TCP, status)


def test_nothing_that_comes_after_a_break_is_read() -> None:
    framer = StreamFramer()
    cut(request("X: 1"), framer=framer)
    assert cut(request(), PING, framer=framer) == []
    assert framer.deadline == NEVER


def test_two_crlf_between_messages_are_a_ping() -> None:
    message = request()
    assert cut(PING + message + PING + PING) == [
        PingReceived(),
        MessageFramed(data=message),
        PingReceived(),
        PingReceived(),
    ]


def test_one_crlf_before_a_message_is_passed_over() -> None:
    message = request()
    assert cut(b"\r\n" + message + b"\r\n" + message) == [MessageFramed(data=message)] * 2


def test_one_crlf_after_a_ping_of_ours_is_its_pong() -> None:
    framer = StreamFramer()
    framer.ping_sent()
    assert cut(PONG, PING, framer=framer) == [PongReceived(), PingReceived()]


def test_a_message_that_begins_with_a_bare_cr_is_left_to_the_parser() -> None:
    message = b"\r" + request()
    assert cut(*byte_by_byte(message)) == [MessageFramed(data=message)]


def test_a_message_has_to_be_whole_some_seconds_after_its_first_byte() -> None:
    framer = StreamFramer()
    message = request("l: 4", b"abcd")
    assert framer.deadline == NEVER
    framer.feed(PONG, 1.0)
    assert (framer.next_item(), framer.deadline) == (None, NEVER)
    framer.feed(message[:10], 2.0)
    assert (framer.next_item(), framer.deadline) == (None, 2.0 + MESSAGE_TIME)
    framer.feed(message[10:-1], 9.0)
    assert (framer.next_item(), framer.deadline) == (None, 2.0 + MESSAGE_TIME)
    framer.feed(message[-1:] + message[:1], 11.0)
    assert framer.next_item() == MessageFramed(data=message)
    assert (framer.next_item(), framer.deadline) == (None, 11.0 + MESSAGE_TIME)


def test_a_slow_sender_costs_linear_time() -> None:
    """Each byte alone, the largest head: with a search from the start each time it would take minutes."""
    message = request("l: 40000", b"x" * 40000).replace(b"Via: x", b"Via: " + b"x" * 16000)
    started = time.process_time()
    assert cut(*byte_by_byte(message)) == [MessageFramed(data=message)]
    assert time.process_time() - started < 2.0


WORDS = [
    request(),
    request("l: 4", b"\r\n\r\n"),
    request("Content-Length: 2\r\nl: 2", b"ab"),
    PING,
    PONG,
    b"\r",
    b"x",
    request("X: 1"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.integers(0, 600)), st.integers(0, 2))
def test_the_same_items_come_however_the_bytes_are_split(words: list[bytes], cuts: list[int], pings: int) -> None:
    stream = b"".join(words)
    edges = sorted({0, len(stream), *(edge for edge in cuts if edge < len(stream))})
    framers = [StreamFramer(), StreamFramer(), StreamFramer()]
    for framer in framers * pings:
        framer.ping_sent()
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    whole = cut(stream, framer=framers[0])
    assert cut(*pieces, framer=framers[1]) == whole
    assert cut(*byte_by_byte(stream), framer=framers[2]) == whole


@given(st.binary(max_size=400))
def test_no_bytes_raise(data: bytes) -> None:
    cut(data)
