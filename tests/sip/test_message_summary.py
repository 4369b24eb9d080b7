"""The body of message waiting (RFC 3842 §5)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.message_waiting import CLASSES, MAX_COUNT, MAX_SUMMARY, MessageCount, MessageSummary

COUNTS = st.builds(MessageCount, **dict.fromkeys(MessageCount.__slots__, st.integers(0, MAX_COUNT)))
SUMMARIES = st.builds(
    MessageSummary,
    waiting=st.booleans(),
    account=st.none() | st.from_regex(r"sips?:[a-z0-9]{1,9}@[a-z]{1,9}", fullmatch=True),
    counts=st.lists(st.tuples(st.sampled_from(CLASSES), COUNTS), unique_by=lambda pair: pair[0]).map(
        lambda pairs: tuple(sorted(pairs, key=lambda pair: CLASSES.index(pair[0])))
    ),
)


@given(SUMMARIES)
def test_what_is_formatted_is_parsed_back(summary: MessageSummary) -> None:
    assert MessageSummary.parse(summary.format()) == summary


def test_a_summary_as_the_rfc_describes_it() -> None:
    content = (
        b"Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\n"
        b"Voice-Message: 2/8 (0/2)\r\nFax-Message: 1/0\r\n\r\nTo: <alice@example.com>\r\nSubject: carpool\r\n"
    )
    summary = MessageSummary.parse(content)
    assert summary == MessageSummary(
        waiting=True,
        account="sip:alice@vmail.example.com",
        counts=(("voice-message", MessageCount(new=2, old=8, urgent_old=2)), ("fax-message", MessageCount(new=1))),
    )
    assert summary.voice == MessageCount(new=2, old=8, urgent_old=2)
    assert summary.format().splitlines()[0:3] == [
        b"Messages-Waiting: yes",
        b"Message-Account: sip:alice@vmail.example.com",
        b"Voice-Message: 2/8 (0/2)",
    ]


@pytest.mark.parametrize(
    ("content", "waiting", "voice"),
    [
        (b"Messages-Waiting: no\r\n", False, MessageCount()),
        (b"Messages-Waiting: yes", True, MessageCount()),
        (b"messages-waiting:YES\nvoice-message:1/2\n", True, MessageCount(new=1, old=2)),
        (
            b"\r\nMessages-Waiting: yes\r\nVoice-Message: 1 / 2 ( 1 / 0 )\r\n",
            True,
            MessageCount(new=1, old=2, urgent_new=1),
        ),
        (b"Voice-Message: 0/3 (0/0)\r\n", False, MessageCount(old=3)),
        (b"Voice-Message: 1/3\r\n", True, MessageCount(new=1, old=3)),
        (b"Messages-Waiting: maybe\r\nVoice-Message: 1/0\r\n", True, MessageCount(new=1)),
        (b"Messages-Waiting: yes\r\nVoice-Message: many\r\n", True, MessageCount()),
        (b"Messages-Waiting: yes\r\nMessages-Waiting: no\r\n", True, MessageCount()),
        (b"Messages-Waiting: yes\r\nVoice-Message: 999999999999999999999/1", True, MessageCount(new=MAX_COUNT, old=1)),
        (b"Messages-Waiting: yes\r\n\xff\xfe: \xff\r\nno colon\r\n", True, MessageCount()),
    ],
)
def test_summaries_are_read_leniently(content: bytes, waiting: bool, voice: MessageCount) -> None:
    summary = MessageSummary.parse(content)
    assert (summary.waiting, summary.voice) == (waiting, voice)


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"hello", 400), (b"Fax: 1/0", 400), (b"Messages-Waiting: yes\n".ljust(MAX_SUMMARY + 1), 413)],
)
def test_what_says_nothing_of_messages_is_refused(content: bytes, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        MessageSummary.parse(content)
    assert caught.value.status == status


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    with suppress(RemoteProtocolError):
        MessageSummary.parse(content)
    assert MessageSummary.parse(b"Voice-Message: 1/1\n\n" + content).voice == MessageCount(new=1, old=1)
