"""Keys collected to sequences."""

from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.dtmf import KEYS
from sip_bridge.media.key_sequence import KeyCollector, KeySequence, SequenceEnd


def collector(terminator: str | None = "#", max_digits: int = 4, pause: float = 3.0) -> KeyCollector:
    return KeyCollector(terminator=terminator, max_digits=max_digits, pause=pause)


def test_the_terminator_ends_a_sequence_and_is_no_part_of_it() -> None:
    keys = collector()
    assert [keys.press(digit, 0.0) for digit in "12#"] == [
        None,
        None,
        KeySequence(digits="12", ended_by=SequenceEnd.TERMINATOR),
    ]
    assert keys.deadline is None


def test_a_terminator_alone_ends_nothing() -> None:
    keys = collector()
    assert (keys.press("#", 0.0), keys.deadline) == (None, None)


def test_the_last_digit_that_fits_ends_a_sequence() -> None:
    keys = collector()
    told = [keys.press(digit, 0.0) for digit in "1*34#5"]
    assert told == [None, None, None, KeySequence(digits="1*34", ended_by=SequenceEnd.LENGTH), None, None]


def test_a_pause_after_the_last_key_ends_a_sequence() -> None:
    keys = collector()
    keys.press("1", 0.0)
    keys.press("2", 2.0)
    assert (keys.deadline, keys.tick(4.9)) == (5.0, None)
    assert keys.tick(5.0) == KeySequence(digits="12", ended_by=SequenceEnd.PAUSE)
    assert (keys.deadline, keys.tick(9.0)) == (None, None)


def test_without_a_terminator_every_key_is_a_digit() -> None:
    keys = collector(terminator=None)
    assert [keys.press(digit, 0.0) for digit in "1#*#"][-1] == KeySequence(digits="1#*#", ended_by=SequenceEnd.LENGTH)


def test_the_end_of_the_call_ends_a_sequence() -> None:
    keys = collector()
    assert keys.close() is None
    keys.press("9", 0.0)
    assert keys.close() == KeySequence(digits="9", ended_by=SequenceEnd.CALL_END)
    assert keys.close() is None


def test_no_repr_shows_the_digits() -> None:
    assert "12" not in repr(KeySequence(digits="12", ended_by=SequenceEnd.PAUSE))


@given(st.text(KEYS, max_size=200), st.integers(1, 16))
def test_every_digit_is_told_once_and_never_more_than_fit(digits: str, max_digits: int) -> None:
    keys = collector(max_digits=max_digits)
    told = [keys.press(digit, 0.0) for digit in digits] + [keys.close()]
    sequences = [each.digits for each in told if each is not None]
    assert "".join(sequences) == digits.replace("#", "")
    assert max(map(len, sequences), default=0) <= max_digits
